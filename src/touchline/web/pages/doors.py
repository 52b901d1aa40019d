"""The doors: the first claim of a workspace, logging in and out."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from touchline.app import access
from touchline.app.audit import changing
from touchline.model.access import Caller
from touchline.model.errors import InvalidInput, Refused
from touchline.web import frame
from touchline.web.visit import COOKIE, Site, Visit, needs

routes = APIRouter(include_in_schema=False)
Text = Annotated[str, Form(max_length=300)]


@routes.get("/login")
def login_form(request: Request, next: str = "/") -> Response:  # noqa: A002 - the word in the address
    """Who are you?"""
    site: Site = request.app.state.site
    with site.store.reading() as unit:
        fresh = not unit.people.any()
    return frame.bare(request, "login.html", {"next": _local(next), "email": "", "error": "", "fresh": fresh})


@routes.post("/login")
def log_in(request: Request, email: Text = "", password: Text = "", next: Text = "/") -> Response:  # noqa: A002
    """Let somebody in."""
    site: Site = request.app.state.site
    try:
        made = access.log_in(
            site.store,
            site.workspace.hasher,
            email,
            password,
            source=request.client.host if request.client else "",
            agent=request.headers.get("user-agent", "")[:200],
            now=site.workspace.clock.now(),
        )
    except (Refused, InvalidInput) as error:
        values = {"next": _local(next), "email": email, "error": str(error), "fresh": False}
        return frame.bare(request, "login.html", values, status=403)
    _told(request, made.email, "session.begin")
    return _entered(request, made, _local(next))


@routes.get("/claim/{token}")
def claim_form(request: Request, token: str) -> Response:
    """The first person makes themself the owner."""
    return frame.bare(request, "claim.html", {"token": token, "email": "", "name": "", "error": ""})


@routes.post("/claim")
def claim(request: Request, token: Text = "", email: Text = "", name: Text = "", password: Text = "") -> Response:
    """Make the owner."""
    site: Site = request.app.state.site
    try:
        made = access.claim(
            site.store,
            site.workspace.hasher,
            token,
            email=email,
            name=name,
            password=password,
            agent=request.headers.get("user-agent", "")[:200],
            now=site.workspace.clock.now(),
        )
    except (Refused, InvalidInput) as error:
        values = {"token": token, "email": email, "name": name, "error": error}
        return frame.bare(request, "claim.html", values, status=403)
    _told(request, made.email, "workspace.claim")
    return _entered(request, made, "/")


@routes.post("/logout")
def log_out(visit: Annotated[Visit, needs("health:read")]) -> Response:
    """End this session."""
    if visit.session:
        with visit.changing("session.end", visit.caller.name):
            access.log_out(visit.store, visit.session)
    response = RedirectResponse("/login", 303)
    response.delete_cookie(COOKIE)
    return response


@routes.get("/styleguide")
def style_guide(visit: Annotated[Visit, needs("health:read")]) -> Response:
    """Every part that pages are made of, for those who add one."""
    return frame.page(visit, "styleguide.html")


def _told(request: Request, email: str, action: str) -> None:
    """Write down that somebody came in; there was nobody to name before."""
    site: Site = request.app.state.site
    caller = Caller(f"user:{email}", frozenset())
    with changing(site.store, caller, action, caller.name, site.workspace.clock, request_id=request.state.request_id):
        pass


def _entered(request: Request, made: access.NewSession, target: str) -> Response:
    site: Site = request.app.state.site
    response = RedirectResponse(target, 303)
    # Behind a proxy that ends TLS, the public address says that browsers come by https.
    secure = request.url.scheme == "https" or request.headers.get("x-forwarded-proto") == "https"
    response.set_cookie(
        COOKIE,
        made.token,
        max_age=int((made.expires_at - site.workspace.clock.now()).total_seconds()),
        httponly=True,
        samesite="lax",
        secure=secure,
    )
    return response


def _local(target: str) -> str:
    """A path of this site; anything else would let a link lead a person who logs in elsewhere."""
    fine = (
        target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable() and "\\" not in target
    )
    return target if fine else "/"
