"""The audit over the API: who changed what, from what to what."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import Field

from touchline.app import audit
from touchline.web.api import cursors
from touchline.web.api.route import router
from touchline.web.api.shapes import Cursor, Limit, Page, Shape
from touchline.web.api.texts import Line
from touchline.web.visit import Visit, needs

routes = router("audit", "/audit")


class Change(Shape):
    """One change."""

    id: int
    at: datetime
    actor: str = Field(examples=["user:ada@example.com", "key:k3v9x0qa", "shell:ada"])
    action: str = Field(examples=["campaign.pause"])
    object: str = Field(examples=["campaign:spring"])
    result: Literal["begun", "done", "failed"] = Field(
        description="`begun` with nothing after it: its process died over it."
    )
    before: Any
    after: Any
    error: str | None
    request_id: str | None


@routes.get("", summary="List changes")
def list_(
    visit: Annotated[Visit, needs("audit:read")],
    actor: Annotated[Line | None, Query(description="Only by this one.")] = None,
    of: Annotated[Line | None, Query(description="Only of this object.", examples=["campaign:spring"])] = None,
    action: Annotated[Line | None, Query(description="Only of this kind.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Change]:
    """The newest first."""
    kind = "audit"
    before = cursors.unpack(visit.workspace.secret, kind, cursor)
    rows = audit.listed(visit.store, before=before, limit=limit + 1, actor=actor, object_=of, action=action)
    following = cursors.pack(visit.workspace.secret, kind, rows[limit - 1]["id"]) if len(rows) > limit else None
    return Page(items=[Change.model_validate(row) for row in rows[:limit]], next=following)
