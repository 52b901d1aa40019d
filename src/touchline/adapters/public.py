"""Asks the opt-out server at its public address whether it is there."""

from http.client import HTTPException, HTTPMessage
from threading import Thread
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from touchline.app import tokens
from touchline.stages.send import HTTPS

MARK = "touchline opt-out"
"""How the server's health page begins, so that another server at the same address is not taken for it."""
NOBODY = 0
"""Key of no prospect: the health page shows its token, which proves the server's secret and opts nobody out."""
LONGEST = 200
"""Bytes of an answer that are looked at."""


def health(secret: bytes) -> str:
    """What the server's health page says."""
    return f"{MARK} {tokens.sign(secret, NOBODY)}\n"


def fault(public_url: str, secret: bytes | None = None, timeout: float = 5.0) -> str | None:
    """Why mails must not carry this address, or None where the opt-out server answers there.

    RFC 8058 (3.1) wants an HTTPS URI, and no redirect behind it.

    Args:
        secret: Key that mails are signed with; a server with another one, which would refuse their links, is a fault.
        timeout: Seconds for all of it, name look-up included.
    """
    if (wrong := _unusable(public_url)) is not None:
        return wrong
    said: list[str | None] = []
    # A thread that may be left behind: no time-out of a socket ends a slow name look-up, or an answer that drips.
    asking = Thread(target=lambda: said.append(_asked(public_url, secret, timeout)), daemon=True)
    asking.start()
    asking.join(timeout)
    return said[0] if said else f"{public_url} does not answer within {timeout:g} seconds"


def _unusable(public_url: str) -> str | None:
    link = f"{public_url.rstrip('/')}/o/{'x' * 32}"
    try:
        parts = urlsplit(public_url)
        plain = not (parts.query or parts.fragment or parts.username or parts.password)
        whole = bool(parts.hostname) and parts.port != 0
    except ValueError:
        plain = whole = False
    if not public_url.startswith("https://"):
        return f"{public_url} is not an https address"
    if not (plain and whole and HTTPS.fullmatch(link)):
        return f"{public_url} is not a plain address such as https://mail.example.com"
    return None


def _asked(public_url: str, secret: bytes | None, timeout: float) -> str | None:
    request = Request(f"{public_url.rstrip('/')}/health", headers={"User-Agent": "touchline"})  # noqa: S310 - https only, see `_unusable`
    try:
        with build_opener(_Stay).open(request, timeout=timeout) as answer:
            text = answer.read(LONGEST).decode("utf-8", "replace")
    except HTTPError as error:
        error.close()
        moved = f"; it redirects to {error.headers['Location']}" if error.headers["Location"] else ""
        return f"{public_url} answers with HTTP {error.code}{moved}"
    except URLError as error:
        return f"{public_url} does not answer: {error.reason}"
    except (OSError, HTTPException, UnicodeError) as error:
        return f"{public_url} does not answer: {str(error) or type(error).__name__}"
    if not text.startswith(MARK):
        return f"{public_url} is answered by something else"
    if secret is not None and text != health(secret):
        return f"{public_url} is answered by an opt-out server with another secret"
    return None


class _Stay(HTTPRedirectHandler):
    """Follows no redirect: a mail provider's POST would not survive it."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        """Leave the answer as it is, an error."""
