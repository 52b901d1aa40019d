"""API keys over the API: made, shown once, listed and revoked."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Path, Request, Response
from pydantic import Field

from touchline.app import access
from touchline.app.ports import Row
from touchline.model.access import scopes_of
from touchline.web.api.etags import tagged, unchanged
from touchline.web.api.route import router
from touchline.web.api.shapes import Body, Page, Shape
from touchline.web.api.texts import Line
from touchline.web.visit import Visit, needs

routes = router("keys", "/keys")
Prefix = Annotated[str, Path(pattern="^[a-z0-9]{8}$", description="The 8 characters behind tl_.")]


class Key(Shape):
    """A key of a program."""

    name: str
    prefix: str = Field(description="Its first part, by which it is known.", examples=["k3v9x0qa"])
    scopes: list[str]
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    used_at: datetime | None = Field(description="To the minute.")


class Made(Key):
    """A new key."""

    key: str = Field(description="All of it, shown this once.")


class New(Body):
    """A key to make."""

    name: Line = Field(examples=["CRM"])
    scopes: list[Line] = Field(min_length=1, max_length=100, examples=[["leads:read", "suppressions:write"]])
    days: int | None = Field(None, ge=1, le=3650, description="How long it lives; null: until it is revoked.")


@routes.get("", summary="List keys")
def list_(visit: Annotated[Visit, needs("keys:read")]) -> Page[Key]:
    """All of them, the newest first."""
    return Page(items=[Key.model_validate(row) for row in access.keys(visit.store)], next=None)


@routes.post("", status_code=201, summary="Make a key")
def make(response: Response, visit: Annotated[Visit, needs("keys:write")], body: New) -> Made:
    """It can do nothing that its maker cannot."""
    response.headers["Cache-Control"] = "no-store"
    scopes = scopes_of(body.scopes)
    with visit.changing("key.make", f"key:{body.name}") as change:
        row, text = access.make_key(visit.store, body.name, scopes, visit.caller, visit.now, body.days)
        change.after = _glance(row)
    return Made.model_validate(row | {"key": text})


@routes.get("/{prefix}", summary="Read one key")
def get(request: Request, response: Response, visit: Annotated[Visit, needs("keys:read")], prefix: Prefix) -> Key:
    """One by its prefix."""
    row = access.key(visit.store, prefix)
    tagged(request, response, _glance(row))
    return Key.model_validate(row)


@routes.delete("/{prefix}", summary="Revoke a key")
def revoke(request: Request, visit: Annotated[Visit, needs("keys:write")], prefix: Prefix) -> Key:
    """At once and for good; it stays in the list."""
    unchanged(request, _glance(access.key(visit.store, prefix)))
    with visit.changing("key.revoke", f"key:{prefix}", lambda: _glance(access.key(visit.store, prefix))):
        row = access.revoke_key(visit.store, prefix, visit.now)
    return Key.model_validate(row)


def _glance(row: Row) -> dict[str, Any]:
    return {name: row[name] for name in ("name", "prefix", "scopes", "expires_at", "revoked_at")}
