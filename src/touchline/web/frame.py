"""What every page stands in: templates, navigation, who is looking, and words for numbers and times."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, RedirectResponse, Response

from touchline import __version__

if TYPE_CHECKING:
    from touchline.web.visit import Site, Visit

HERE = Path(__file__).parent
STATIC = HERE / "static"
FLASH = "touchline-flash"
LONGEST_FLASH = 300


@dataclass(frozen=True, slots=True)
class Entry:
    """A page in the navigation.

    Attributes:
        scope: Who has not this one does not see the page.
        order: Place in the list.
        waiting: How many things wait there for a person; None: nothing is told.
    """

    path: str
    title: str
    icon: str
    scope: str
    order: int
    waiting: Callable[["Visit"], int | None] | None = None


@lru_cache
def static(name: str) -> str:
    """The address of a static file; it changes when the file does, so browsers may keep it for ever."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?v={digest}"


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(static=static, version=__version__)
    return made


templates = _environment()
navigation: list[Entry] = []
"""Filled by the page modules as they are imported."""


def entry(
    path: str,
    title: str,
    icon: str,
    scope: str,
    order: int,
    waiting: Callable[["Visit"], int | None] | None = None,
) -> Entry:
    """Add a page to the navigation."""
    made = Entry(path, title, icon, scope, order, waiting)
    navigation.append(made)
    navigation.sort(key=lambda each: each.order)
    return made


def page(visit: "Visit", template: str, values: Mapping[str, Any] | None = None, *, status: int = 200) -> HTMLResponse:
    """A page of the frame, or a fragment of one, for somebody who is logged in."""
    request = visit.request
    path = request.url.path
    nav = [
        {
            "path": each.path,
            "title": each.title,
            "icon": each.icon,
            "active": path == each.path or (each.path != "/" and path.startswith(f"{each.path}/")),
            "count": each.waiting(visit) if each.waiting else None,
        }
        for each in navigation
        if visit.caller.may(each.scope)
    ]
    level, _ = visit.site.counts.get("health", lambda: visit.workspace.health().level)
    given = {
        "request": request,
        "visit": visit,
        # Not `caller`: inside a call block that is the macro's own.
        "me": visit.caller,
        "viewer": visit.caller.name.partition(":")[2],
        "csrf": visit.csrf,
        "nav": nav,
        "health": level or "healthy",
        "now": visit.now,
        "workspace_name": _name(visit.site),
        "flash": _flashed(request),
    }
    text = templates.get_template(template).render(given | dict(values or {}))
    response = HTMLResponse(text, status, {"Cache-Control": "no-store"})
    if given["flash"]:
        response.delete_cookie(FLASH)
    return response


def bare(
    request: Request,
    template: str,
    values: Mapping[str, Any],
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> HTMLResponse:
    """A page for somebody who is not known: log-in, claim, errors."""
    given = {
        "request": request,
        "csrf": "",
        "flash": _flashed(request),
        "workspace_name": _name(request.app.state.site),
    }
    text = templates.get_template(template).render(given | dict(values))
    return HTMLResponse(text, status, {"Cache-Control": "no-store"} | dict(headers or {}))


def done(request: Request, target: str, said: str, kind: str = "good") -> Response:
    """After a form: go to a page that says what was done. htmx is told by header, a browser by redirect."""
    response: Response
    if request.headers.get("hx-request"):
        response = Response(status_code=204, headers={"HX-Redirect": target})
    else:
        response = RedirectResponse(target, 303)
    text = f"{kind}:{said[:LONGEST_FLASH]}".encode().hex()
    response.set_cookie(FLASH, text, max_age=60, httponly=True, samesite="lax", secure=request.url.scheme == "https")
    return response


def _name(site: "Site") -> str:
    return site.workspace.settings.home.resolve().name or "Touchline"


def _flashed(request: Request) -> list[dict[str, str]]:
    text = request.cookies.get(FLASH)
    if not text:
        return []
    try:
        kind, _, said = bytes.fromhex(text).decode().partition(":")
    except ValueError:  # not written by us
        return []
    return [{"kind": kind if kind in ("good", "warn", "bad") else "info", "text": said}]
