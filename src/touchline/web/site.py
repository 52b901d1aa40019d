"""Everything that `touchline serve` answers over HTTP: the opt-out pages, what Prometheus scrapes, and health."""

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from touchline.web import optout
from touchline.wiring import Workspace


def application(workspace: Workspace) -> Starlette:
    """The site of one workspace as an ASGI application."""

    async def metrics(_: Request) -> Response:
        text, kind = await run_in_threadpool(workspace.metrics)
        return Response(text, media_type=kind)

    async def health(_: Request) -> Response:
        """200 while work goes on, 503 where it has failed; the reasons stay inside, since anybody may ask."""
        level = await run_in_threadpool(lambda: workspace.health().level)
        return JSONResponse({"health": level}, 503 if level == "failed" else 200)

    pages = optout.application(workspace.store, workspace.secret, workspace.clock)
    return Starlette(routes=[Route("/metrics", metrics), Route("/healthz", health), Mount("/", pages)])
