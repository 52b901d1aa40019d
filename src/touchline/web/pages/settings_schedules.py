"""The tab Schedules of the page Settings: what starts by itself, changed, held, run now, and added."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Form, Query
from starlette.responses import Response

from touchline.app import schedules
from touchline.app.ports import Row
from touchline.app.schedules import JOBS
from touchline.model import timing
from touchline.model.calendar import WEEKDAYS
from touchline.model.errors import InvalidInput, NotFound, Refused, TouchlineError
from touchline.model.timing import Daily
from touchline.stages import STAGES
from touchline.web import frame
from touchline.web.api.texts import ONE_LINE, Name
from touchline.web.pages.settings_tabs import Word, page, zones
from touchline.web.visit import Visit, needs

routes = APIRouter(include_in_schema=False)


def in_zone(instant: datetime, zone: str) -> str:
    """As a window's own times are written, such as 10 Mar, 02:00."""
    return f"{instant.astimezone(ZoneInfo(zone)):%-d %b, %H:%M}"


frame.templates.filters["in_zone"] = in_zone


@routes.get("/settings/schedules")
def all_schedules(visit: Annotated[Visit, needs("schedules:read")]) -> Response:
    """What starts by itself, and when."""
    with visit.store.reading() as unit:
        rows = [
            row | {"last": next(iter(unit.gauges.ended(row["id"], 1)), None)}
            for row in schedules.shown(unit, visit.now)
        ]
    return page(visit, "settings_schedules.html", {"rows": rows})


@routes.get("/settings/schedules/new")
def new_schedule(
    visit: Annotated[Visit, needs("schedules:write")],
    job: Annotated[str, Query(max_length=40, pattern=ONE_LINE)] = "daily",
    campaign: Annotated[str, Query(max_length=200, pattern=ONE_LINE)] = "",
) -> Response:
    """One more, beside those that every campaign has."""
    if job not in JOBS:
        raise NotFound(f"There is no job {job!r}.", hint=f"Jobs: {', '.join(JOBS)}.")
    usual = timing.document_of(JOBS[job].timing)
    if JOBS[job].per_campaign:
        with visit.store.reading() as unit:
            campaign = campaign or next(iter(unit.campaigns.names()), "")
            if campaign and "zone" in usual:
                usual["zone"] = unit.campaigns.get(campaign).campaign.timezone
    return _schedule(visit, None, job, {"name": "", "campaign": campaign, "priority": JOBS[job].priority} | usual)


class Timing:
    """What a form says of a schedule.

    Attributes:
        typed: As it was typed, to be shown again.
    """

    def __init__(
        self,
        opens: Word = "",
        closes: Word = "",
        zone: Word = "",
        days: Annotated[list[str] | None, Form(max_length=7)] = None,
        first: Word = "",
        until: Word = "",
        every: Word = "",
        priority: Word = "",
    ) -> None:
        given = {"opens": opens, "closes": closes, "zone": zone, "days": days or [], "first": first, "until": until}
        self.typed: dict[str, Any] = given | {"every": every, "priority": priority}

    def changes(self, job: str) -> dict[str, Any]:
        """What `schedules.add` and `set_timing` take.

        Raises:
            InvalidInput: A number is none.
        """
        typed = self.typed
        if not isinstance(JOBS[job].timing, Daily):
            return {"every": _whole(typed["every"], "seconds")}
        found = {name: typed[name] for name in ("opens", "closes", "zone", "days")}
        stages = {name: typed[name] or None for name in ("first", "until")} if JOBS[job].until else {}
        return found | stages

    @property
    def priority(self) -> int | None:
        """Of its runs; None: as it is.

        Raises:
            InvalidInput: It is no number.
        """
        return _whole(self.typed["priority"], "a priority") if self.typed["priority"] else None


Given = Annotated[Timing, Depends()]


@routes.post("/settings/schedules")
def add_schedule(
    visit: Annotated[Visit, needs("schedules:write")],
    given: Given,
    name: Word = "",
    job: Word = "daily",
    campaign: Word = "",
) -> Response:
    """Add it."""
    if job not in JOBS:
        raise NotFound(f"There is no job {job!r}.", hint=f"Jobs: {', '.join(JOBS)}.")
    try:
        with visit.changing("schedule.add", f"schedule:{name}") as change:
            of = campaign if JOBS[job].per_campaign and campaign else None
            row = schedules.add(visit.store, name, job, of, given.changes(job), visit.now, given.priority)
            change.after = _of_schedule(row)
    except (InvalidInput, Refused) as error:
        return _schedule(visit, None, job, given.typed | {"name": name, "campaign": campaign}, error)
    return frame.done(visit.request, "/settings/schedules", f"{name} starts {row['when']}.")


@routes.get("/settings/schedules/{name}")
def schedule(visit: Annotated[Visit, needs("schedules:read")], name: Name) -> Response:
    """One schedule, to change."""
    row = _found(visit, name)
    return _schedule(visit, row, row["job"], row["timing"] | {"priority": row["priority"]})


@routes.post("/settings/schedules/{name}")
def set_schedule(visit: Annotated[Visit, needs("schedules:write")], name: Name, given: Given) -> Response:
    """Change when it starts."""
    row = _found(visit, name)
    try:
        with visit.changing("schedule.set", f"schedule:{name}", lambda: _of_schedule(_found(visit, name))):
            after = schedules.set_timing(visit.store, name, given.changes(row["job"]), visit.now, given.priority)
    except (InvalidInput, Refused) as error:
        return _schedule(visit, row, row["job"], given.typed, error)
    return frame.done(visit.request, "/settings/schedules", f"{name} starts {after['when']}.")


@routes.post("/settings/schedules/{name}/pause")
def pause(visit: Annotated[Visit, needs("schedules:write")], name: Name) -> Response:
    """Let it start nothing."""
    with visit.changing("schedule.pause", f"schedule:{name}", lambda: _of_schedule(_found(visit, name))):
        schedules.pause(visit.store, name, visit.now)
    return frame.done(visit.request, "/settings/schedules", f"{name} is paused.")


@routes.post("/settings/schedules/{name}/resume")
def resume(visit: Annotated[Visit, needs("schedules:write")], name: Name) -> Response:
    """Let it start again."""
    with visit.changing("schedule.resume", f"schedule:{name}", lambda: _of_schedule(_found(visit, name))):
        schedules.resume(visit.store, name, visit.now)
    return frame.done(visit.request, "/settings/schedules", f"{name} starts again at its next time.")


@routes.post("/settings/schedules/{name}/run")
def run_now(visit: Annotated[Visit, needs("schedules:write")], name: Name) -> Response:
    """Beside its own times."""
    with visit.changing("schedule.run", f"schedule:{name}") as change:
        row = schedules.run_now(visit.store, name, visit.now)
        change.after = {"run": row["id"]}
    return frame.done(visit.request, f"/runs/{row['id']}", f"Run {row['id']} is queued.")


@routes.post("/settings/schedules/{name}/remove")
def remove_schedule(visit: Annotated[Visit, needs("schedules:write")], name: Name) -> Response:
    """Its runs stay."""
    with visit.changing("schedule.remove", f"schedule:{name}", lambda: _of_schedule(_found(visit, name))):
        schedules.remove(visit.store, name)
    return frame.done(visit.request, "/settings/schedules", f"{name} is removed.")


def _schedule(
    visit: Visit, row: Row | None, job: str, typed: Mapping[str, Any], error: TouchlineError | None = None
) -> Response:
    with visit.store.reading() as unit:
        campaigns = unit.campaigns.names()
    plain = {"name": "", "campaign": "", "opens": "", "closes": "", "zone": "", "days": (), "first": "", "until": ""}
    values = {
        "row": row,
        "job": job,
        "jobs": list(JOBS),
        "per_campaign": JOBS[job].per_campaign,
        "is_daily": isinstance(JOBS[job].timing, Daily),
        "until": JOBS[job].until,
        "typed": plain | {"every": "", "priority": ""} | dict(typed),
        "campaigns": campaigns,
        "weekdays": WEEKDAYS,
        "stages": STAGES,
        "zones": zones(),
    }
    return page(visit, "settings_schedule.html", values | ({"error": error} if error else {}))


def _found(visit: Visit, name: str) -> Row:
    for row in schedules.listed(visit.store, visit.now):
        if row["name"] == name:
            return row
    raise NotFound(f"There is no schedule {name!r}.", hint="They stand on /settings/schedules.")


def _of_schedule(row: Row) -> dict[str, Any]:
    return {name: row[name] for name in ("name", "job", "campaign", "state", "timing", "priority")}


def _whole(text: str, what: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise InvalidInput(f"{text[:20]!r} is no number of {what}." if text else f"A number of {what} is missing.")
    return int(text)
