"""Runs over the API: start any stage of a campaign, follow, cancel and retry."""

import json
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import Query, Request, Response
from pydantic import Field, model_validator

from touchline.app import runs
from touchline.app.ports import Row
from touchline.web.api import cursors
from touchline.web.api.etags import tagged
from touchline.web.api.route import router
from touchline.web.api.shapes import Body, Cursor, Followed, Limit, Page, Shape, place_of
from touchline.web.api.texts import Campaign, Line, Number
from touchline.web.follow import LONGEST, News, Stream, stream
from touchline.web.visit import Visit, needs

routes = router("runs", "/runs")
Stage = Literal["harvest", "score", "qualify", "route", "nurture", "send"]
State = Literal["queued", "running", "done", "unfinished", "failed", "cancelled"]


class Decision(Shape):
    """What a run decides for every lead that meets a filter."""

    action: str = Field(description="suppress, stop, requeue or enrol.")
    campaign: str | None
    where: str | None
    text: str | None
    reason: str
    into: str | None = Field(description="The campaign that leads are added to.")
    by: str = Field(description="Who decided.")
    count: int = Field(description="How many leads the filter meant when it began.")

    @model_validator(mode="before")
    @classmethod
    def _flat(cls, kept: Any) -> Any:
        return {**kept["selection"], **kept["order"], "count": kept["count"]}


class Run(Shape):
    """One execution of work."""

    id: int
    job: str = Field(description="Such as daily, send, import, bulk.")
    campaign: str | None
    campaign_version: int | None
    schedule: str | None
    slot: str | None = Field(description="Which of the schedule's times it is for; of an import, the upload.")
    first: str | None = Field(description="First stage; null: harvest.")
    until: str | None = Field(description="Last stage.")
    state: State
    stage: str | None = Field(description="Where it is, or was when it ended.")
    late: bool
    cancel: str | None = Field(description="Who wants it to end before its next batch.")
    worker: str | None
    takeovers: int
    counts: dict[str, Any] = Field(examples=[{"harvest": {"new": 40}, "batches": {"done": 1}}])
    bulk: Decision | None = Field(validation_alias="payload", description="Of a bulk action: what it does.")
    error: str | None
    queued_at: datetime
    started_at: datetime | None
    stop_at: datetime | None
    finished_at: datetime | None


class Batch(Shape):
    """One transaction of a run."""

    number: int
    stage: str
    state: str = Field(description="done, set_aside, released, retried, dismissed.")
    attempts: int
    seconds: float
    counts: dict[str, Any]
    error: str | None
    worker: str | None
    finished_at: datetime


class Detail(Run):
    """A run with its batches."""

    batches: list[Batch]


class Start(Body):
    """What to run."""

    campaign: Line = Field(min_length=1, examples=["spring"])
    first: Stage = "harvest"
    until: Stage = "nurture"


class Retried(Followed):
    """A run's work, queued anew."""

    batches: int = Field(description="Batches that had been set aside and come first.")


@routes.get("", summary="List runs")
def list_(
    visit: Annotated[Visit, needs("runs:read")],
    campaign: Campaign = None,
    job: Annotated[Line | None, Query(description="Only of this job.")] = None,
    state: Annotated[State | None, Query(description="Only in this state.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Run]:
    """The newest first."""
    kind = f"runs/{campaign}/{job}/{state}"
    before = cursors.unpack(visit.workspace.secret, kind, cursor)
    with visit.store.reading() as unit:
        key = unit.campaigns.get(campaign).id if campaign is not None else None
        states = [state] if state else []
        rows = unit.runs.listed(limit + 1, before=before, job=job, campaign_id=key, states=states)
    following = cursors.pack(visit.workspace.secret, kind, rows[limit - 1]["id"]) if len(rows) > limit else None
    return Page(items=[Run.model_validate(row) for row in rows[:limit]], next=following)


@routes.post("", status_code=202, summary="Start stages of a campaign")
def start(visit: Annotated[Visit, needs("runs:write")], body: Start) -> Followed:
    """A worker does it as soon as one is free. `first` to `until` may be any stages in order, or one and the same."""
    with visit.changing("run.start", f"campaign:{body.campaign}") as change:
        row = runs.start(visit.store, body.campaign, first=body.first, until=body.until, now=visit.now)
        change.after = {"run": row["id"], "first": body.first, "until": body.until}
    return _followed(row)


def _followed(row: Row) -> Followed:
    return Followed(run=row["id"], follow=place_of(row["id"]))


@routes.get("/{number}", summary="Read one run")
def get(request: Request, response: Response, visit: Annotated[Visit, needs("runs:read")], number: Number) -> Detail:
    """With its batches: counts, seconds, errors."""
    row, batches = runs.shown(visit.workspace.outside, number)
    found = Detail.model_validate(row | {"batches": batches})
    tagged(request, response, found.model_dump())
    return found


@routes.post("/{number}/cancel", summary="Cancel a run")
def cancel(visit: Annotated[Visit, needs("runs:write")], number: Number) -> Run:
    """It ends before its next batch; one that waits for a worker ends at once."""
    with visit.changing("run.cancel", f"run:{number}", lambda: _glance(visit, number)):
        row = runs.cancel(visit.workspace.outside, number, visit.caller.name)
    return Run.model_validate(row)


@routes.post("/{number}/retry", status_code=202, summary="Try a run again")
def retry(visit: Annotated[Visit, needs("runs:write")], number: Number) -> Retried:
    """Its work is queued as a new run; batches that were set aside come first."""
    with visit.changing("run.retry", f"run:{number}") as change:
        row, batches = runs.retry(visit.workspace.outside, number)
        change.after = {"run": row["id"], "batches": batches}
    return Retried(run=row["id"], follow=place_of(row["id"]), batches=batches)


class Dismissed(Shape):
    """Batches that rest for good."""

    run: int
    dismissed: int


@routes.post("/{number}/dismiss", summary="Let what was set aside rest")
def dismiss(visit: Annotated[Visit, needs("runs:write")], number: Number) -> Dismissed:
    """Its batches that were set aside are not told of any more; their rows stay rejected, and kept in the import."""
    with visit.changing("run.dismiss", f"run:{number}") as change:
        count = runs.dismiss(visit.workspace.outside, number)
        change.after = {"batches": count}
    return Dismissed(run=number, dismissed=count)


def _glance(visit: Visit, key: int) -> dict[str, Any]:
    row, _ = runs.shown(visit.workspace.outside, key)
    return {name: row[name] for name in ("state", "cancel")}


EVENT = {
    "type": "object",
    "required": ["event", "data"],
    "properties": {
        "event": {"type": "string", "enum": ["progress", "end", "pause"]},
        "data": {"type": "string", "description": "The run as JSON, without its batches."},
    },
}
"""One event of a stream."""


@routes.get(
    "/{number}/events",
    summary="Follow a run",
    response_class=Response,
    responses={200: {"content": {"text/event-stream": {"schema": EVENT}}, "description": "Its progress."}},
)
async def events(
    visit: Annotated[Visit, needs("runs:read")],
    number: Number,
    seconds: Annotated[int, Query(ge=0, le=LONGEST, description="How long to follow at most.")] = LONGEST,
) -> Stream:
    """Server-sent events: `progress` with the run as JSON whenever it has changed, then `end`. Reconnect to go on."""
    over = f"event: pause\ndata: {json.dumps({'seconds': seconds})}\n\n"
    return await stream(partial(_news, visit, number), seconds, over)


def _news(visit: Visit, key: int) -> News:
    row, _ = runs.shown(visit.workspace.outside, key)
    end = row["state"] in runs.ENDED
    return News(f"event: {'end' if end else 'progress'}\ndata: {Run.model_validate(row).model_dump_json()}\n\n", end)
