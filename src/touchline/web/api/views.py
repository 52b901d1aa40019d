"""Saved views over the API: searches that people keep under a name."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import Request, Response
from pydantic import Field

from touchline.app import views
from touchline.model.errors import NotFound
from touchline.web.api import etags
from touchline.web.api.route import router
from touchline.web.api.shapes import Body, Page, Shape
from touchline.web.api.texts import Line, Name, Rule, Said
from touchline.web.visit import Visit, needs

routes = router("views", "/views")
Reads = Annotated[Visit, needs("views:read")]
Writes = Annotated[Visit, needs("views:write")]


class ViewSearch(Body):
    """What a view looks for, as `GET /leads` takes it."""

    campaign: Said | None = Field(None, examples=["spring"])
    where: Rule | None = Field(None, examples=["tier = 'a' AND state = 'held'"])
    text: Line | None = None
    sort: Literal["newest", "oldest", "score"] | None = None
    columns: list[Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[a-z_]*$")]] | None = Field(
        None, max_length=60, examples=[["email", "company", "tier"]]
    )


class View(Shape):
    """A search with a name."""

    name: str = Field(examples=["Held in Germany"])
    query: ViewSearch
    created_by: str = Field(examples=["user:olga@quillmast.example"])
    created_at: datetime


class NewView(Body):
    """A search to keep."""

    name: str = Field(min_length=1, max_length=60, pattern=r"^[^\x00-\x1f\x7f/]*$", examples=["Held in Germany"])
    query: ViewSearch


@routes.get("", summary="List saved views")
def list_(visit: Reads) -> Page[View]:
    """All of them, in order of name."""
    return Page(items=[View.model_validate(row) for row in views.listed(visit.store)], next=None)


@routes.post("", status_code=201, summary="Save a view")
def add(visit: Writes, body: NewView) -> View:
    """Keep a search for everybody."""
    with visit.changing("view.add", f"view:{body.name}") as change:
        query = body.query.model_dump(exclude_none=True)
        views.add(visit.store, body.name, query, by=visit.caller.name, now=visit.now)
        change.after = query
    return _view(visit, " ".join(body.name.split()))


@routes.get("/{name}", summary="Read one view")
def get(visit: Reads, request: Request, response: Response, name: Name) -> View:
    """One by its name."""
    found = _view(visit, name)
    etags.tagged(request, response, found.model_dump(mode="json"))
    return found


@routes.delete("/{name}", status_code=204, summary="Forget a view")
def remove(visit: Writes, request: Request, name: Name) -> None:
    """Take it away for everybody; the leads stay."""
    present = _view(visit, name).model_dump(mode="json")
    etags.unchanged(request, present)
    with visit.changing("view.remove", f"view:{name}", lambda: _view(visit, name).model_dump(mode="json")):
        views.remove(visit.store, name)


def _view(visit: Visit, name: str) -> View:
    for row in views.listed(visit.store):
        if row["name"] == name:
            return View.model_validate(row)
    raise NotFound(f"There is no view {name!r}.", hint="List them: GET /api/v1/views")
