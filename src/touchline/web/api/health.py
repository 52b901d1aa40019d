"""Health over the API: how things stand, why, and what to do."""

from typing import Annotated, Literal

from fastapi import Request, Response
from pydantic import Field

from touchline.web.api.etags import tagged
from touchline.web.api.route import router
from touchline.web.api.shapes import Shape
from touchline.web.visit import Visit, needs

routes = router("health", "/health")
Level = Literal["healthy", "degraded", "failed"]


class Finding(Shape):
    """One thing that is not as it should be."""

    key: str = Field(description="Stays the same as long as it is the same trouble.", examples=["workers: alive"])
    scope: str
    level: Level
    reason: str
    hint: str = Field(description="What to do next.")


class Health(Shape):
    """How things stand."""

    level: Level
    scopes: dict[str, Level] = Field(examples=[{"daily:spring": "healthy", "workers": "failed"}])
    findings: list[Finding]


@routes.get("", summary="Read health")
def get(request: Request, response: Response, visit: Annotated[Visit, needs("health:read")]) -> Health:
    """Of every schedule and of everything else that is looked at; always 200: see `level`."""
    found = Health.model_validate(visit.workspace.health())
    tagged(request, response, found.model_dump())
    return found
