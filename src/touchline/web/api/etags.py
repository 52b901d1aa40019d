"""ETags: a reader sees whether something changed, a writer changes only what it has seen (RFC 9110, 8.8.3 and 13.1)."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from fastapi import Request, Response

from touchline.web.problems import Stop


def etag(value: Mapping[str, Any]) -> str:
    """The tag of a representation."""
    text = json.dumps(value, sort_keys=True, default=str)
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:20]}"'


def tagged(request: Request, response: Response, value: Mapping[str, Any]) -> None:
    """Set the tag of what is answered.

    Raises:
        NotModified: The reader has it already.
    """
    tag = etag(value)
    response.headers["ETag"] = tag
    if tag in _listed(request.headers.get("if-none-match")):
        raise NotModified(tag)


def unchanged(request: Request, present: Mapping[str, Any]) -> None:
    """Check If-Match against what is there now.

    Raises:
        Stop: It has changed since the writer saw it.
    """
    wanted = _listed(request.headers.get("if-match"))
    if wanted and "*" not in wanted and etag(present) not in wanted:
        raise Stop(412, "It has changed since you read it.", hint="Read it again, and repeat your change on that.")


class NotModified(Exception):
    """The reader has the present representation.

    Args:
        tag: Its ETag.
    """

    def __init__(self, tag: str) -> None:
        super().__init__(tag)
        self.tag = tag


def _listed(header: str | None) -> list[str]:
    return [part.strip().removeprefix("W/") for part in header.split(",")] if header else []
