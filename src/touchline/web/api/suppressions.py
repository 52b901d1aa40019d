"""Suppressions over the API: who must get nothing."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import Path
from pydantic import Field

from touchline.app import suppression
from touchline.app.rehearsal import attempt
from touchline.model.errors import NotFound
from touchline.web.api import cursors
from touchline.web.api.route import router
from touchline.web.api.shapes import Body, Cursor, DryRun, Limit, Page, Shape
from touchline.web.visit import Visit, needs

routes = router("suppressions", "/suppressions")
MOST = 10_000


class Suppression(Shape):
    """Somebody who must get nothing."""

    id: int
    kind: Literal["address", "domain", "account"]
    value: str = Field(examples=["ada@example.com"])
    reason: str
    source: str = Field(description="Who or what added it.")
    at: datetime


class Entry(Body):
    """One to add."""

    kind: Literal["address", "domain", "account"] | None = Field(None, description="Guessed where it is not given.")
    value: str = Field(min_length=1, max_length=500, examples=["example.com"])
    reason: str = Field("added by the API", max_length=500)


class Entries(Body):
    """Those to add."""

    entries: list[Entry] = Field(min_length=1, max_length=MOST)


class Rejected(Shape):
    """What could not be used."""

    entry: int = Field(description="Its place in the list, from 1.")
    value: str
    reason: str


class Added(Shape):
    """What an addition did: `entries` is the sum of new, already and rejected."""

    entries: int
    new: int
    already: int
    rejected: list[Rejected]
    touches_cancelled: int


@routes.get("", summary="List suppressions")
def list_(
    visit: Annotated[Visit, needs("suppressions:read")], limit: Limit = 50, cursor: Cursor = None
) -> Page[Suppression]:
    """In the order in which they were added."""
    after = cursors.unpack(visit.workspace.secret, "suppressions", cursor) or 0
    with visit.store.reading() as unit:
        rows = unit.suppressions.listed(after, limit + 1)
    following = (
        cursors.pack(visit.workspace.secret, "suppressions", rows[limit - 1]["id"]) if len(rows) > limit else None
    )
    return Page(items=[Suppression.model_validate(row) for row in rows[:limit]], next=following)


@routes.post("", status_code=200, summary="Suppress addresses, domains or accounts")
def add(visit: Annotated[Visit, needs("suppressions:write")], body: Entries, dry_run: DryRun = False) -> Added:
    """Effective at once, in every campaign, for everything that has not begun to leave."""
    entries = [(entry.kind, entry.value, entry.reason) for entry in body.entries]
    with visit.changing("suppression.add" if not dry_run else "suppression.try", "suppressions") as change:
        done = attempt(
            visit.store,
            lambda unit: suppression.suppress(unit, entries, visit.caller.name, visit.now),
            dry_run=dry_run,
        )
        change.after = {"values": [entry.value for entry in body.entries], "new": done.new}
    return Added(
        entries=done.rows,
        new=done.new,
        already=done.already,
        rejected=[Rejected(entry=row, value=value, reason=reason) for row, value, reason in done.rejected],
        touches_cancelled=done.touches_cancelled,
    )


@routes.get("/{number}", summary="Read one suppression")
def get(
    visit: Annotated[Visit, needs("suppressions:read")], number: Annotated[int, Path(ge=1, le=2**63 - 1)]
) -> Suppression:
    """One by its number."""
    with visit.store.reading() as unit:
        rows = unit.suppressions.listed(number - 1, 1)
    if not rows or rows[0]["id"] != number:
        raise NotFound(f"There is no suppression {number}.", hint="List them: GET /api/v1/suppressions")
    return Suppression.model_validate(rows[0])
