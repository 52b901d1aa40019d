"""Opt-out tokens: a prospect's key under a 128-bit keyed BLAKE2b signature (RFC 7693), as 32 URL-safe characters."""

import base64
import hashlib
import hmac

_PERSON = b"opt-out"


def sign(secret: bytes, prospect_id: int) -> str:
    """The token of a prospect: the same as long as the secret is."""
    key = prospect_id.to_bytes(8, "big")
    # A keyed BLAKE2b takes 64 bytes at most; hashed first, a secret may be of any length.
    secret_key = hashlib.blake2b(secret, digest_size=32).digest()
    signature = hashlib.blake2b(key, key=secret_key, digest_size=16, person=_PERSON).digest()
    return base64.urlsafe_b64encode(key + signature).decode("ascii")


def verify(secret: bytes, token: str) -> int | None:
    """The prospect's key, or None where the token is not, letter for letter, one that this secret signed."""
    try:
        prospect_id = int.from_bytes(base64.urlsafe_b64decode(token)[:8], "big")
    except ValueError:
        return None
    # Base64 has several spellings of the same bytes. Comparing tokens instead of signatures leaves one of them.
    return prospect_id if hmac.compare_digest(token, sign(secret, prospect_id)) else None
