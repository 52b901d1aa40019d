"""Everything that `touchline serve` answers over HTTP: the API, the pages, the opt-out, what Prometheus scrapes, and health."""

import sys
from collections.abc import Awaitable, Callable, MutableMapping
from functools import cache
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from starlette.concurrency import run_in_threadpool
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from touchline import __version__
from touchline.app.counts import Counts
from touchline.web import api, frame, optout, pages, problems
from touchline.web.api.etags import NotModified
from touchline.web.lanes import lanes
from touchline.web.limits import Limiter
from touchline.web.visit import Recent, Site, request_id
from touchline.wiring import Workspace

POLICY = (
    "default-src 'self'; img-src 'self' data:; script-src 'self'; style-src 'self'; font-src 'self'; connect-src 'self'; "
    "object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
SMALLEST_PACKED = 1_000
SWITCH_SECONDS = 0.0005
YEAR = "public, max-age=31536000, immutable"

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Envelope:
    """Gives every request a number and every answer its headers."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        number = request_id(given.decode("latin-1"))
        state = scope.setdefault("state", {})
        state["request_id"] = number

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name.lower() for name, _ in message["headers"]}
                more = HEADERS | state.get("headers", {}) | {"x-request-id": number}
                message["headers"] = [
                    *message["headers"],
                    *(
                        (name.lower().encode(), value.encode())
                        for name, value in more.items()
                        if name.lower().encode() not in present
                    ),
                ]
            await send(message)

        await self.app(scope, receive, told)


class Enveloped(FastAPI):
    """An application whose every answer is enveloped, what the outermost error page says too."""

    def build_middleware_stack(self) -> Any:
        """The framework's layers inside ours."""
        return Envelope(super().build_middleware_stack())


def application(workspace: Workspace) -> FastAPI:
    """The site of one workspace as an ASGI application."""
    app = Enveloped(
        title="Touchline",
        version=__version__,
        summary="Client acquisition that can be accounted for.",
        description=api.DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
        redirect_slashes=False,
        lifespan=lanes,
    )
    app.state.site = Site(
        workspace,
        Counts(workspace.clock),
        Limiter(workspace.settings.serve.requests_per_minute, workspace.clock),
        Recent(workspace.clock),
    )
    problems.install(app)
    app.add_exception_handler(NotModified, _not_modified)
    app.router.routes += [
        *api.routes,
        *pages.routes,
        Route("/static/{name:path}", _static),
        Route("/metrics", _metrics),
        Route("/healthz", _health),
        *_opt_out(workspace),
    ]
    app.add_middleware(GZipMiddleware, minimum_size=SMALLEST_PACKED, compresslevel=5)
    return app


def server(app: FastAPI) -> uvicorn.Server:
    """Serves the site; whoever runs it gives the socket."""
    # Python lets a thread that computes go on for 5 ms before another may: each request changes threads several times.
    sys.setswitchinterval(SWITCH_SECONDS)
    return uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))


def _opt_out(workspace: Workspace) -> list[Route]:
    """The public pages, as the server for them alone has them."""
    public = optout.application(workspace.store, workspace.secret, workspace.clock)
    return [Route(path, endpoint=public) for path in ("/o/{token:path}", "/style.css", "/health")]


async def _static(request: Request) -> Response:
    """A file of ours; only names that are there are answered."""
    name = request.path_params["name"]
    if name not in _files():
        return problems.answer(request, 404, "There is no such file.")
    return FileResponse(frame.STATIC / name, headers={"Cache-Control": YEAR})


@cache
def _files() -> frozenset[str]:
    return frozenset(path.relative_to(frame.STATIC).as_posix() for path in frame.STATIC.rglob("*") if path.is_file())


async def _metrics(request: Request) -> Response:
    text, kind = await run_in_threadpool(request.app.state.site.workspace.metrics)
    return Response(text, media_type=kind)


async def _health(request: Request) -> Response:
    """200 while work goes on, 503 where it has failed; the reasons stay inside, since anybody may ask."""
    level = await run_in_threadpool(lambda: request.app.state.site.workspace.health().level)
    return JSONResponse({"health": level}, 503 if level == "failed" else 200)


async def _not_modified(_: Request, error: Exception) -> Response:
    assert isinstance(error, NotModified)
    return Response(status_code=304, headers={"ETag": error.tag})
