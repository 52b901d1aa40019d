"""Who is asking, and what they may: the one dependency of every route that is not public."""

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from urllib.parse import quote, urlsplit

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool

from touchline.app import access
from touchline.app.audit import Change, changing
from touchline.app.counts import Counts
from touchline.app.ports import Clock, Store
from touchline.model.access import Caller
from touchline.web.limits import Limiter
from touchline.wiring import Workspace

COOKIE = "touchline"
SAFE = ("GET", "HEAD", "OPTIONS")
RECENT = timedelta(seconds=1)
MOST_RECENT = 1_000
OF_CALLERS = ("key.", "user.")
"""How the names of changes begin after which a key may mean somebody else, or nobody."""


class Unauthenticated(Exception):
    """Nobody is known to be asking."""

    def __init__(self, said: str) -> None:
        super().__init__(said)
        self.said = said


class Forbidden(Exception):
    """The one who asks may not do this."""

    def __init__(self, said: str, hint: str = "") -> None:
        super().__init__(said)
        self.said, self.hint = said, hint


class Recent:
    """Keys that were just looked up, so that a program which asks a hundred times a second costs one question a second.

    A key that is revoked here is forgotten at once; one that another process revokes, within a second.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[str, tuple[datetime, Caller]] = {}

    def get(self, key: str) -> Caller | None:
        """Who has this key, if that was looked up within the last second."""
        found = self._known.get(key)
        return found[1] if found and timedelta(0) <= self._clock.now() - found[0] < RECENT else None

    def put(self, key: str, caller: Caller) -> None:
        """Remember who has it."""
        if len(self._known) >= MOST_RECENT:
            self._known.clear()
        self._known[key] = self._clock.now(), caller

    def clear(self) -> None:
        """Look everybody up again."""
        self._known.clear()


@dataclass(frozen=True, slots=True)
class Site:
    """What every request of this process shares."""

    workspace: Workspace
    counts: Counts
    limiter: Limiter
    recent: "Recent"

    @property
    def store(self) -> Store:
        """The database."""
        return self.workspace.store


@dataclass(frozen=True)
class Visit:
    """One request by somebody who is known.

    Attributes:
        site: What requests share.
        request: As it came.
        caller: Who asks.
        session: The cookie's token; None where a key was shown.
    """

    site: Site
    request: Request
    caller: Caller
    session: str | None

    @property
    def store(self) -> Store:
        """The database."""
        return self.site.store

    @property
    def workspace(self) -> Workspace:
        """Settings and adapters."""
        return self.site.workspace

    @cached_property
    def now(self) -> datetime:
        """The instant of this request."""
        return self.site.workspace.clock.now()

    @property
    def csrf(self) -> str:
        """What forms of this session carry."""
        return access.csrf_of(self.session) if self.session else ""

    @contextmanager
    def changing(
        self, action: str, of: str, look: Callable[[], Mapping[str, Any] | None] | None = None
    ) -> Iterator[Change]:
        """Audit what the block does.

        Args:
            action: Such as `campaign.pause`.
            of: What is changed, such as `campaign:spring`.
            look: Reads what is changed, before and after.
        """
        try:
            with changing(
                self.store,
                self.caller,
                action,
                of,
                self.workspace.clock,
                request_id=self.request.state.request_id,
                look=look,
            ) as change:
                yield change
        finally:
            # A change that failed may have been made in part. Whoever looks next has it counted anew.
            self.site.counts.touch()
            if action.startswith(OF_CALLERS):
                self.site.recent.clear()


class Needs:
    """A dependency that lets pass who has a scope. `scope` is what a test of every route reads.

    Args:
        scope: Such as `leads:read`.
    """

    def __init__(self, scope: str) -> None:
        self.scope = scope

    async def __call__(self, request: Request) -> Visit:
        """The visit.

        Raises:
            Unauthenticated: Nobody is known to be asking.
            Forbidden: The caller has not the scope, or the request may not be theirs.
        """
        site: Site = request.app.state.site
        header, cookie = request.headers.get("authorization"), request.cookies.get(COOKIE)
        if header is not None:
            kind, _, text = header.partition(" ")
            found = None
            if kind.lower() == "bearer":
                found = site.recent.get(text.strip()) or await run_in_threadpool(_by_key, site, text.strip())
            if found is None:
                raise Unauthenticated("This key is not known, has expired or was revoked.")
            visit = Visit(site, request, found, None)
        else:
            found = await run_in_threadpool(_by_session, site, cookie) if cookie else None
            if found is None or cookie is None:
                raise Unauthenticated("Log in, or send a key: Authorization: Bearer tl_...")
            visit = Visit(site, request, found, cookie)
            if request.method not in SAFE:
                await _check_origin(request, cookie)
        site.limiter.count(visit.caller.name, request)
        if not visit.caller.may(self.scope):
            raise Forbidden(
                f"{visit.caller.name} may not do this: it needs {self.scope}.", "Ask an owner for the scope or role."
            )
        return visit


def needs(scope: str) -> Any:
    """What a route says of itself, as the annotation of its visit."""
    return Depends(Needs(scope))


def _by_key(site: Site, text: str) -> Caller | None:
    found = access.caller_of_key(site.store, text, site.workspace.clock.now())
    if found is not None:
        site.recent.put(text, found)
    return found


def _by_session(site: Site, token: str) -> Caller | None:
    return access.caller_of_session(site.store, token, site.workspace.clock.now())


async def _check_origin(request: Request, token: str) -> None:
    """A change by cookie has to come from a page of ours: its token, and where the browser says so its origin."""
    origin = request.headers.get("origin")
    if origin is not None and origin != "null" and urlsplit(origin).netloc != request.headers.get("host"):
        raise Forbidden("This request comes from another site.")
    given = request.headers.get("x-csrf-token")
    if given is None and request.headers.get("content-type", "").startswith(
        ("application/x-www-form-urlencoded", "multipart/form-data")
    ):
        field = (await request.form()).get("csrf")
        given = field if isinstance(field, str) else None
    if given is None or not access.csrf_holds(token, given):
        await request.close()
        raise Forbidden("The form is too old.", "Load the page again and repeat what you did.")


def login_url(request: Request) -> str:
    """Where to log in, and come back from."""
    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return f"/login?next={quote(target, safe='')}" if request.method == "GET" and target != "/" else "/login"


def request_id(given: str | None) -> str:
    """The caller's own number for the request where it is a harmless one, else a new one."""
    if given and len(given) <= 64 and given.replace("-", "").isalnum() and given.isascii():
        return given
    return secrets.token_hex(8)
