"""Events over the API: what happened, newest first; and what other systems know to have happened."""

from datetime import datetime
from typing import Annotated, Literal, get_args

from fastapi import Query
from pydantic import AfterValidator, AwareDatetime, Field

from touchline.app import leads
from touchline.web.api import cursors
from touchline.web.api.route import router
from touchline.web.api.shapes import Body, Cursor, Limit, Page, Shape
from touchline.web.api.texts import Said
from touchline.web.visit import Visit, needs

routes = router("events", "/events")
Reads = Annotated[Visit, needs("events:read")]
Writes = Annotated[Visit, needs("events:write")]
Kind = Literal[
    "queued",
    "sent",
    "deferred",
    "failed",
    "delivered",
    "bounced",
    "opened",
    "clicked",
    "replied",
    "autoresponded",
    "complained",
    "unsubscribed",
]
YEARS = range(1970, 9000)


def _sane(at: datetime) -> datetime:
    # Near the ends of the calendar a move to another zone leaves it.
    if at.year not in YEARS:
        raise ValueError(f"a year from {YEARS[0]} to {YEARS[-1]}")
    return at


Instant = Annotated[AwareDatetime, AfterValidator(_sane)]


class Event(Shape):
    """Something that happened."""

    id: int
    kind: Kind
    at: datetime
    lead_id: int
    prospect_id: int | None
    touch_id: int | None
    detail: str | None = Field(examples=["250 accepted"])


class Outcome(Body):
    """Something that another system knows."""

    kind: Literal["replied"]
    lead: Said = Field(description="The lead's address.", examples=["ada@example.com"])


class OutcomeRecorded(Shape):
    """What recording it did."""

    lead_id: int
    touches_cancelled: int


@routes.get("", summary="List events")
def list_(
    visit: Reads,
    lead: Annotated[int | None, Query(ge=1, le=2**63 - 1, description="Only of this lead.")] = None,
    kind: Annotated[list[Kind] | None, Query(description="Only these; may be repeated.", max_length=12)] = None,
    since: Annotated[
        Instant | None, Query(description="From this instant on.", examples=["2027-03-09T00:00:00Z"])
    ] = None,
    until: Annotated[Instant | None, Query(description="Before this instant.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Event]:
    """The newest first."""
    kinds = tuple(dict.fromkeys(kind or get_args(Kind)))
    named = f"events:{lead}:{','.join(kinds)}:{since}:{until}"
    place = cursors.unpack(visit.workspace.secret, named, cursor)
    before = (datetime.fromisoformat(place[0]), int(place[1])) if place else (until, 0) if until else None
    with visit.store.reading() as unit:
        rows = unit.journal.listed(kinds, lead_id=lead, since=since, before=before, limit=limit + 1)
    last = rows[limit - 1] if len(rows) > limit else None
    following = cursors.pack(visit.workspace.secret, named, [last["at"].isoformat(), last["id"]]) if last else None
    return Page(items=[Event.model_validate(row) for row in rows[:limit]], next=following)


@routes.post("", status_code=201, summary="Record an outcome")
def record(visit: Writes, body: Outcome) -> OutcomeRecorded:
    """A reply that came elsewhere: every sequence to that person ends at once."""
    with visit.store.reading() as unit:
        lead = leads.find(unit, body.lead)
    with visit.changing("lead.replied", f"lead:{lead['id']}") as change:
        _, cancelled = leads.replied(visit.store, lead["identity"], visit.now)
        change.after = {"touches_cancelled": cancelled}
    return OutcomeRecorded(lead_id=lead["id"], touches_cancelled=cancelled)
