"""Settings over the API: what holds now, to read; secrets are never shown."""

from typing import Annotated, Any

from fastapi import Request, Response
from pydantic import Field

from touchline.settings import shown
from touchline.web.api.etags import tagged
from touchline.web.api.route import router
from touchline.web.api.shapes import Page, Shape
from touchline.web.visit import Visit, needs

routes = router("settings", "/settings")


class Setting(Shape):
    """One key of touchline.toml."""

    key: str = Field(examples=["worker.tick_seconds"])
    value: Any = Field(description="A secret is shown as `***`.")
    default: Any
    meaning: str
    variable: str = Field(examples=["TOUCHLINE_WORKER__TICK_SECONDS"])


@routes.get("", summary="Read settings")
def list_(request: Request, response: Response, visit: Annotated[Visit, needs("settings:read")]) -> Page[Setting]:
    """Change them in touchline.toml or by variables, and start again."""
    found: Page[Setting] = Page(items=[Setting.model_validate(one) for one in shown(visit.workspace.settings)])
    tagged(request, response, found.model_dump())
    return found
