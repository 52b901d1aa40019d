"""Schedules over the API: what starts by itself, and when."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Request, Response
from pydantic import Field

from touchline.app import schedules
from touchline.app.ports import Row
from touchline.model.errors import NotFound
from touchline.model.faults import meant
from touchline.web.api.etags import tagged, unchanged
from touchline.web.api.route import router
from touchline.web.api.shapes import Body, Followed, Page, Shape, place_of
from touchline.web.api.texts import Line, Name
from touchline.web.visit import Visit, needs

routes = router("schedules", "/schedules")
Stage = Literal["harvest", "score", "qualify", "route", "nurture", "send"]


class Schedule(Shape):
    """When a job starts by itself."""

    name: str = Field(examples=["daily:spring"])
    job: str
    campaign: str | None
    campaign_state: str | None
    state: Literal["active", "paused"]
    when: str = Field(description="In words.", examples=["daily 02:00-06:00 Europe/Berlin"])
    zone: str
    timing: dict[str, Any]
    priority: int
    queue: str
    due: str | None = Field(description="The time that waits to be started.")
    next_at: datetime | None
    ahead: bool = Field(description="A clock that ran ahead has left a time to come as the newest: resume it.")
    last_slot: str | None


class Timing(Body):
    """When it starts; what is not given stays. A job that goes by intervals takes `every`, the others the rest."""

    opens: Line | None = Field(None, examples=["02:00"])
    closes: Line | None = Field(None, examples=["06:00"])
    zone: Line | None = Field(None, examples=["Europe/Berlin"])
    days: list[Line] | None = Field(None, max_length=7, examples=[["mon", "wed"]])
    first: Stage | None = None
    until: Stage | None = None
    every: int | None = Field(None, ge=1, le=7 * 24 * 3600, description="Seconds.")
    priority: int | None = Field(None, ge=1, le=100, description="Of its runs: the lowest number goes first.")

    def changes(self) -> dict[str, Any]:
        """What is given, without the priority."""
        return {name: value for name, value in self.model_dump(exclude={"priority"}).items() if value is not None}


class New(Body):
    """A schedule to add."""

    name: Line = Field(examples=["evening:spring"])
    job: Line = Field(examples=["daily"])
    campaign: Line | None = Field(None, examples=["spring"])
    timing: Timing = Timing()


@routes.get("", summary="List schedules")
def list_(visit: Annotated[Visit, needs("schedules:read")]) -> Page[Schedule]:
    """All of them, by name."""
    return Page(items=[Schedule.model_validate(row) for row in schedules.listed(visit.store, visit.now)], next=None)


@routes.post("", status_code=201, summary="Add a schedule")
def add(visit: Annotated[Visit, needs("schedules:write")], body: New) -> Schedule:
    """Beside those that every campaign has."""
    with visit.changing("schedule.add", f"schedule:{body.name}") as change:
        row = schedules.add(
            visit.store, body.name, body.job, body.campaign, body.timing.changes(), visit.now, body.timing.priority
        )
        change.after = _glance(row)
    return Schedule.model_validate(row)


@routes.get("/{name}", summary="Read one schedule")
def get(request: Request, response: Response, visit: Annotated[Visit, needs("schedules:read")], name: Name) -> Schedule:
    """One by its name."""
    row = _found(visit, name)
    tagged(request, response, _glance(row))
    return Schedule.model_validate(row)


@routes.patch("/{name}", summary="Change when a schedule starts")
def set_(request: Request, visit: Annotated[Visit, needs("schedules:write")], name: Name, body: Timing) -> Schedule:
    """A window that is open now, or else the next one, is the first of the new timing."""
    unchanged(request, _glance(_found(visit, name)))
    with visit.changing("schedule.set", f"schedule:{name}", lambda: _glance(_found(visit, name))):
        row = schedules.set_timing(visit.store, name, body.changes(), visit.now, body.priority)
    return Schedule.model_validate(row)


@routes.delete("/{name}", status_code=204, summary="Remove a schedule")
def remove(request: Request, visit: Annotated[Visit, needs("schedules:write")], name: Name) -> None:
    """Only one that somebody added; its runs stay."""
    unchanged(request, _glance(_found(visit, name)))
    with visit.changing("schedule.remove", f"schedule:{name}", lambda: _glance(_found(visit, name))):
        schedules.remove(visit.store, name)


@routes.post("/{name}/pause", summary="Pause a schedule")
def pause(visit: Annotated[Visit, needs("schedules:write")], name: Name) -> Schedule:
    """It starts nothing until it is resumed."""
    with visit.changing("schedule.pause", f"schedule:{name}", lambda: _glance(_found(visit, name))):
        schedules.pause(visit.store, name, visit.now)
    return Schedule.model_validate(_found(visit, name))


@routes.post("/{name}/resume", summary="Resume a schedule")
def resume(visit: Annotated[Visit, needs("schedules:write")], name: Name) -> Schedule:
    """What it would have started meanwhile is not made up for."""
    with visit.changing("schedule.resume", f"schedule:{name}", lambda: _glance(_found(visit, name))):
        schedules.resume(visit.store, name, visit.now)
    return Schedule.model_validate(_found(visit, name))


@routes.post("/{name}/run", status_code=202, summary="Run a schedule now")
def run(visit: Annotated[Visit, needs("schedules:write")], name: Name) -> Followed:
    """Beside its own times."""
    with visit.changing("schedule.run", f"schedule:{name}") as change:
        row = schedules.run_now(visit.store, name, visit.now)
        change.after = {"run": row["id"]}
    return Followed(run=row["id"], follow=place_of(row["id"]))


def _found(visit: Visit, name: str) -> Row:
    rows = {row["name"]: row for row in schedules.listed(visit.store, visit.now)}
    if name not in rows:
        raise NotFound(
            f"There is no schedule {name!r}{meant(name, rows) or '.'}", hint="List them: GET /api/v1/schedules"
        )
    return rows[name]


def _glance(row: Row) -> dict[str, Any]:
    """What people decide about a schedule."""
    return {name: row[name] for name in ("name", "job", "campaign", "state", "timing", "priority")}
