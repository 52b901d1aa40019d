"""Opaque cursors: where a list goes on, signed so that nobody writes one by hand."""

import base64
import hashlib
import hmac
import json
from typing import Any

from touchline.web.problems import Stop

SIGNATURE = 12


def pack(secret: bytes, kind: str, place: Any) -> str:
    """A cursor for a place in lists of this kind; the place is JSON."""
    body = json.dumps([kind, place], separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_sign(secret, body) + body).decode().rstrip("=")


def unpack(secret: bytes, kind: str, text: str | None) -> Any:
    """The place, None where no cursor is given.

    Raises:
        Stop: It is none of ours, or of another list.
    """
    if text is None:
        return None
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        signature, body = raw[:SIGNATURE], raw[SIGNATURE:]
        if hmac.compare_digest(signature, _sign(secret, body)):
            found, place = json.loads(body)
            if found == kind:
                return place
    except ValueError:  # no base64, no JSON, no pair
        pass
    raise Stop(422, "This cursor belongs to no list here.", code="bad_cursor", hint="Take `next` of the page before.")


def _sign(secret: bytes, body: bytes) -> bytes:
    return hmac.new(secret, b"cursor" + body, hashlib.sha256).digest()[:SIGNATURE]
