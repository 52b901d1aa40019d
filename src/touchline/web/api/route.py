"""A route of the API: a change that carries an Idempotency-Key is done once and its answer replayed for a day."""

import hashlib
import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

from touchline.web.problems import RESPONSES, Stop
from touchline.web.visit import COOKIE, SAFE, Site

LONGEST_KEY = 200
ONCE = 0
"""Kept in place of the status of an answer that is not to be repeated."""
LARGEST = 1_000_000
"""Bytes of an answer that is kept."""


class Once(APIRoute):
    """Replays the answer of a change whose key was seen before."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's own work, done once for each key."""
        work = super().get_route_handler()

        async def once(request: Request) -> Response:
            key = request.headers.get("idempotency-key")
            if key is None or request.method in SAFE:
                return await work(request)
            if not 1 <= len(key) <= LONGEST_KEY or not key.isprintable():
                raise Stop(422, f"An Idempotency-Key has 1 to {LONGEST_KEY} printable characters.", code="bad_key")
            site: Site = request.app.state.site
            who = request.headers.get("authorization") or request.cookies.get(COOKIE) or ""
            name = _digest(who.encode(), key.encode())
            asked = _digest(request.method.encode(), str(request.url).encode(), await request.body())
            kept = await run_in_threadpool(_begin, site, name, asked)
            if kept is not None:
                return _replayed(kept, asked)
            try:
                response = await work(request)
            except BaseException:
                # What was refused may be repeated with the same key once its cause is gone.
                await run_in_threadpool(_drop, site, name)
                raise
            # What is streamed has no body that could be kept.
            body = bytes(response.body) if hasattr(response, "body") else None
            if response.headers.get("cache-control") == "no-store":
                # It holds a secret that is shown once, so it is not kept; that it was done is.
                await run_in_threadpool(_finish, site, name, ONCE, {}, b"")
            elif body is None or len(body) > LARGEST or response.status_code >= 500:
                await run_in_threadpool(_drop, site, name)
            else:
                headers = {"content-type": response.headers.get("content-type", "application/json")}
                headers |= {each: response.headers[each] for each in ("location", "etag") if each in response.headers}
                await run_in_threadpool(_finish, site, name, response.status_code, headers, body)
            return response

        return once


def router(name: str, prefix: str) -> APIRouter:
    """A router of one resource."""
    return APIRouter(
        prefix=f"/api/v1{prefix}",
        tags=[name],
        route_class=Once,
        responses=RESPONSES,
        generate_unique_id_function=lambda route: f"{name}_{route.name.strip('_')}",
    )


def _digest(*parts: bytes) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(len(part).to_bytes(8) + part)
    return found.hexdigest()


def _begin(site: Site, name: str, asked: str) -> dict[str, Any] | None:
    with site.store.transaction(lasting=False) as unit:
        return unit.answers.begin(name, asked, site.workspace.clock.now())


def _drop(site: Site, name: str) -> None:
    with site.store.transaction(lasting=False) as unit:
        unit.answers.drop(name)


def _finish(site: Site, name: str, status: int, headers: dict[str, str], body: bytes) -> None:
    with site.store.transaction(lasting=False) as unit:
        unit.answers.finish(name, status, headers, body)


def _replayed(kept: dict[str, Any], asked: str) -> Response:
    if kept["request"] != asked:
        raise Stop(422, "This Idempotency-Key was used for another request.", code="key_used", hint="Take a new one.")
    if kept["status"] is None:
        raise Stop(409, "The first request with this key is still being worked on.", code="in_progress", hint="Wait.")
    if kept["status"] == ONCE:
        raise Stop(409, "This was done, and its answer is shown only once.", code="shown_once", hint="Make a new one.")
    headers = kept["headers"] if isinstance(kept["headers"], dict) else json.loads(kept["headers"])
    return Response(kept["body"], kept["status"], headers | {"Idempotency-Replayed": "true"})
