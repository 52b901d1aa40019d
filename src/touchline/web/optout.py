"""The opt-out pages: a POST acts at once and may be repeated, a GET or HEAD only shows a page (RFC 8058, 3.1)."""

import asyncio
from collections.abc import Callable, Mapping
from html import escape
from typing import NamedTuple, TypeVar

import structlog
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from touchline.adapters.public import health as health_text
from touchline.app import tokens
from touchline.app.ports import Clock, Store
from touchline.app.suppression import opt_out
from touchline.model.errors import StoreUnavailable

T = TypeVar("T")
log = structlog.get_logger(__name__)

AT_ONCE = 8
"""Requests that use the database at the same time: fewer than its connections, so that none fails for want of one."""

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",  # the address of the page is the right to use it
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
    "Cache-Control": "no-store",
}

STYLE = """
:root { color-scheme: light dark; font: 1.0625rem/1.6 system-ui, sans-serif;
  --paper: #f4f5f7; --card: #fff; --ink: #1b2430; --soft: #4b5768; --line: #dfe3e8; --act: #1d4ed8; --over: #1e40af; }
@media (prefers-color-scheme: dark) { :root { --paper: #11151b; --card: #1a2029; --ink: #eef1f5; --soft: #b4beca;
  --line: #2d3643; --act: #93b4ff; --over: #b5cbff; } }
*, ::before { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; min-height: 100dvh; padding: 1rem; display: grid; place-items: center;
  background: var(--paper); color: var(--ink); }
main { width: 100%; max-width: 27rem; padding: clamp(1.25rem, 6vw, 2rem); background: var(--card); border: 1px solid var(--line);
  border-radius: .9rem; }
h1 { margin: 0 0 .5rem; font-size: 1.45rem; line-height: 1.25; letter-spacing: -.01em; text-wrap: balance; }
p { margin: 0; color: var(--soft); text-wrap: pretty; }
p + p { margin-top: .75rem; }
form { margin: 1.5rem 0 0; }
button { width: 100%; min-height: 3rem; padding: .6rem 1.2rem; font: inherit; font-weight: 600; border: 0;
  border-radius: .6rem; background: var(--act); color: var(--card); cursor: pointer; }
button:hover { background: var(--over); }
button:focus-visible { outline: 3px solid var(--act); outline-offset: 3px; }
"""


class Content(NamedTuple):
    """What a page says: its title as text, the rest as HTML of ours."""

    title: str
    body: str


ASK = Content(
    "Stop these emails?",
    "<p>One click, and we will send nothing more to your address.</p>\n"
    '<form method="post"><button type="submit">Stop the emails</button></form>',
)
DONE = Content(
    "Done",
    "<p>We will send nothing more to your address. A message that is leaving at this very moment may still arrive.</p>\n"
    "<p>You can close this page.</p>",
)
UNKNOWN = Content(
    "This link does not work",
    "<p>Your mail program may have cut it, or it is too old. Answer the email with “no thanks” instead, "
    "and we will stop.</p>",
)
LATER = Content(
    "Not done yet",
    "<p>We could not note your wish just now. Try again in a minute, or answer the email with “no thanks”, "
    "and we will stop.</p>",
)
NOT_SO = Content(
    "This cannot be done here", "<p>Open the link from the email in a browser, and press the button there.</p>"
)


def page(request: Request, content: Content, status: int = 200, more: Mapping[str, str] | None = None) -> HTMLResponse:
    """A small page; `more` are further headers."""
    title, body = content
    # Relative, because the public address may have a path of its own before ours.
    root = "../" * (request.scope["raw_path"].count(b"/") - 1)
    html = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{escape(title)}</title>\n<link rel="stylesheet" href="{root}style.css">\n</head>\n'
        f"<body>\n<main>\n<h1>{escape(title)}</h1>\n{body}\n</main>\n</body>\n</html>\n"
    )
    return HTMLResponse(html, status, HEADERS | dict(more or {}))


def application(store: Store, secret: bytes, clock: Clock, *, patience: float = 10.0) -> Starlette:
    """The opt-out server as an ASGI application. It reads no request's body: a POST means what its address says.

    Args:
        secret: Key that the tokens were signed with.
        patience: Seconds that a request waits for others to finish with the database.
    """
    turns = asyncio.Semaphore(AT_ONCE)

    async def in_turn(work: Callable[[], T]) -> T:
        try:
            async with asyncio.timeout(patience):
                await turns.acquire()
        except TimeoutError:
            raise StoreUnavailable("Too many requests wait for the database.") from None
        try:
            return await run_in_threadpool(work)
        finally:
            turns.release()

    async def optout(request: Request) -> Response:
        prospect = tokens.verify(secret, request.path_params["token"])
        if prospect is None:
            return page(request, UNKNOWN, 404)
        if request.method != "POST":
            return page(request, ASK)
        known = await in_turn(lambda: _opt_out(store, prospect, clock))
        return page(request, DONE) if known else page(request, UNKNOWN, 404)

    async def health(_: Request) -> Response:
        await in_turn(lambda: _reach(store))
        return PlainTextResponse(health_text(secret), headers=HEADERS)

    made = Starlette(
        routes=[
            Route("/o/{token}", optout, methods=["GET", "POST"]),  # HEAD comes with GET
            Route("/style.css", _style),
            Route("/health", health),
        ],
        exception_handlers={HTTPException: _refused, StoreUnavailable: _unavailable, Exception: _broken},
    )
    # A redirect would name our own host and scheme, not those of the proxy before us.
    made.router.redirect_slashes = False
    return made


async def _style(_: Request) -> Response:
    return Response(STYLE, media_type="text/css", headers=HEADERS | {"Cache-Control": "max-age=86400"})


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return page(request, UNKNOWN if error.status_code == 404 else NOT_SO, error.status_code, error.headers)


async def _unavailable(request: Request, error: Exception) -> Response:
    log.warning("opt_out_unavailable", error=str(error))
    return page(request, LATER, 503, {"Retry-After": "60"})


async def _broken(request: Request, _: Exception) -> Response:
    # The framework raises the error again behind this page, and the server logs it.
    return page(request, LATER, 500)


def _opt_out(store: Store, prospect: int, clock: Clock) -> bool:
    """Act; False where there is no such prospect any more, and so no address to leave alone."""
    with store.transaction() as unit:
        known = unit.prospects.lead_of(prospect) is not None
        opt_out(unit, prospect, "opt-out page", clock.now())
        return known


def _reach(store: Store) -> None:
    with store.reading() as unit:
        unit.controls.get("secret")
