"""The pages Runs and Run: what is not as it should be, thirty days of work, and each run batch by batch."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from typing import Annotated, Any, Literal
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Form, Query
from starlette.responses import Response

from touchline.app import bulk, runs, uploads
from touchline.app.history import numbers
from touchline.app.ports import Row, Store, Unit
from touchline.model.errors import NotFound
from touchline.stages import STAGES
from touchline.web import frame
from touchline.web.api.texts import ONE_LINE, Number
from touchline.web.follow import LONGEST, News, stream
from touchline.web.pages import troubles
from touchline.web.pages.leads import asked_of
from touchline.web.visit import Visit, needs

routes = APIRouter(include_in_schema=False)
frame.entry("/runs", "Runs", "activity", "runs:read", 50)

Reads = Annotated[Visit, needs("runs:read")]
Writes = Annotated[Visit, needs("runs:write")]
Word = Annotated[str, Form(max_length=200, pattern=ONE_LINE)]

SHOWN = 50
DAYS = 30
BATCHES = 200
"""Batches that a page shows, the last ones."""
PART, PARTS = 1_000, 100
"""Runs read at once for the chart, and how often: health looks every minute, so thirty days may hold many."""
SERIES = ("done", "unfinished", "failed", "cancelled", "running", "queued")
TONES = ("good", "warn", "bad", "drop", "info", "accent")
"""How each of them looks in the chart; what failed is striped as well."""
JOBS = (
    ("", "Work on leads"),
    ("all", "Everything"),
    ("daily", "Daily runs"),
    ("send", "Sending"),
    ("import", "Imports"),
    ("bulk", "Bulk actions"),
    ("run", "By hand"),
    ("retention", "Retention"),
    ("health", "Health"),
)
GIVEN = {bulk.JOB: ("matched", "set_aside")}
"""Counts of a stage that say what went into it; into other stages went the sum of what they tell."""
INTO = {
    "harvest": ("new", "updated"),
    "send": ("sent",),
    bulk.JOB: ("suppressed", "stopped", "requeued", "enrolled"),
}
"""Counts of a stage that say what came out of it; of other stages everything does."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which runs are looked at; an empty text is any."""

    job: str = ""
    campaign: str = ""
    state: str = ""

    @property
    def query(self) -> str:
        """For an address."""
        return urlencode({name: value for name in ("job", "campaign", "state") if (value := getattr(self, name))})

    def found(self, unit: Unit, limit: int, before: int | None) -> list[Row]:
        """A page of them, the newest first."""
        return unit.runs.listed(
            limit,
            before=before,
            job=self.job if self.job not in ("", "all") else None,
            campaign_id=unit.campaigns.get(self.campaign).id if self.campaign else None,
            of_campaigns=not self.job,
            states=[self.state] if self.state else [],
        )

    def fits(self, total: Row, campaign_id: int | None) -> bool:
        """Whether a total of runs that are gone is of these."""
        job = total["job"] == self.job if self.job else total["campaign_id"] or total["job"] == bulk.JOB
        job = job or self.job == "all"
        return bool(job) and campaign_id in (None, total["campaign_id"]) and self.state in ("", total["state"])


def _chosen(
    job: Annotated[Literal["", "all", "daily", "send", "import", "bulk", "run", "retention", "health"], Query()] = "",
    campaign: Annotated[str, Query(max_length=200, pattern=ONE_LINE)] = "",
    state: Annotated[Literal["", "queued", "running", "done", "unfinished", "failed", "cancelled"], Query()] = "",
) -> Chosen:
    return Chosen(job, campaign, state)


Asked = Annotated[Chosen, Depends(_chosen)]


@routes.get("/runs")
def page(visit: Reads, chosen: Asked, before: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None) -> Response:
    """What needs a look, and runs."""
    with visit.store.reading() as unit:
        rows = chosen.found(unit, SHOWN + 1, before)
        names = unit.campaigns.names()
    health = visit.workspace.health()
    values = {
        "health_now": health,
        "troubles": troubles.of_health(health.findings),
        "rows": [row | {"took": runs.took(row, visit.now)} for row in rows[:SHOWN]],
        "following": rows[SHOWN - 1]["id"] if len(rows) > SHOWN else None,
        "before": before,
        "campaigns": names,
        "jobs": JOBS,
        "states": SERIES,
        "stages": STAGES,
    }
    return frame.page(visit, "runs.html", values | _days(visit, chosen))


@routes.get("/runs/days")
def days(visit: Reads, chosen: Asked) -> Response:
    """The chart, once it has been counted."""
    return frame.page(visit, "_run_days.html", _days(visit, chosen))


@routes.post("/runs")
def start(visit: Writes, campaign: Word = "", first: Word = "harvest", until: Word = "nurture") -> Response:
    """Queue stages of a campaign."""
    with visit.changing("run.start", f"campaign:{campaign}") as change:
        row = runs.start(visit.store, campaign, first=first, until=until, now=visit.now)
        change.after = {"run": row["id"], "first": first, "until": until}
    return frame.done(visit.request, f"/runs/{row['id']}", f"Run {row['id']} is queued.")


@routes.get("/runs/{number}")
def detail(visit: Reads, number: Number) -> Response:
    """One run."""
    row, batches = runs.shown(visit.workspace.outside, number)
    seconds = numbers(row["counts"].get("seconds", {})) or {}
    values = {
        "row": row,
        "took": runs.took(row, visit.now),
        "goes_on": row["state"] in runs.OPEN,
        "parts": list(_parts(row, batches)),
        "seconds": sorted(seconds.items(), key=lambda one: -one[1]),
        "batches": batches[-BATCHES:],
        "all_batches": len(batches),
        "waiting": sum(batch["state"] == "set_aside" for batch in batches),
        "released": sum(batch["state"] == "set_aside" and batch["place"] is not None for batch in batches),
        "import_href": _import_of(visit, row),
        "loaded": row["counts"].get("imports", []) if row["job"] == "run" else [],
        "files": _files(visit, batches[-BATCHES:]),
        "decision": _decision(row),
    }
    return frame.page(visit, "run.html", values)


@routes.post("/runs/{number}/cancel")
def cancel(visit: Writes, number: Number) -> Response:
    """End it before its next batch."""
    with visit.changing("run.cancel", f"run:{number}", partial(_glance, visit, number)):
        row = runs.cancel(visit.workspace.outside, number, visit.caller.name)
    said = f"Run {number} is cancelled." if row["state"] == "cancelled" else f"Run {number} ends before its next batch."
    return frame.done(visit.request, f"/runs/{number}", said)


@routes.post("/runs/{number}/retry")
def retry(visit: Writes, number: Number) -> Response:
    """Queue its work anew."""
    with visit.changing("run.retry", f"run:{number}") as change:
        row, batches = runs.retry(visit.workspace.outside, number)
        change.after = {"run": row["id"], "batches": batches}
    said = f"Run {row['id']} does the work of run {number} again"
    return frame.done(
        visit.request, f"/runs/{row['id']}", f"{said}, {batches} batches first." if batches else f"{said}."
    )


@routes.post("/runs/{number}/dismiss")
def dismiss(visit: Writes, number: Number) -> Response:
    """Let what was set aside rest."""
    with visit.changing("run.dismiss", f"run:{number}") as change:
        count = runs.dismiss(visit.workspace.outside, number)
        change.after = {"batches": count}
    said = "1 batch rests" if count == 1 else f"{count} batches rest"
    return frame.done(visit.request, f"/runs/{number}", f"{said} for good.")


@routes.get("/runs/{number}/progress")
async def progress(
    visit: Reads, number: Number, seconds: Annotated[int, Query(ge=0, le=LONGEST)] = LONGEST
) -> Response:
    """Server-sent events for whoever looks at a page: how far it is, and that it has ended. A browser asks again."""
    return await stream(partial(_news, visit, number), seconds)


def _news(visit: Visit, key: int) -> News:
    told = _told(visit, key)
    return News(f"data: {json.dumps(told)}\n\n", "end" in told)


def _told(visit: Visit, key: int) -> dict[str, Any]:
    """How far a run is, as the page's progress reads it."""
    row, _ = runs.shown(visit.workspace.outside, key)
    if row["state"] not in runs.OPEN:
        return {"end": True, "text": f"It is {row['state']}."}
    if row["state"] == "queued":
        return {"text": "Waiting for a worker."}
    if row["payload"]:
        found, total = row["payload"]["progress"]["counts"]["matched"], row["payload"]["count"]
        return {"done": found, "total": total, "text": f"{found:,} of {total:,} leads"}
    present = _load_of(visit, row)
    if present is not None and present["bytes"]:
        done = f"{present['rows']:,} rows, {present['new']:,} new leads"
        return {"done": present["offset"], "total": present["bytes"], "text": done}
    done = ", ".join(f"{part['stage']}: {part['into']:,} of {part['rows']:,}" for part in _parts(row, []))
    return {"text": done or "It has begun."}


def _load_of(visit: Visit, row: Row) -> Row | None:
    """The import that a run makes, where it is one's."""
    if row["job"] != "import" or not row["slot"]:
        return None
    try:
        upload = visit.workspace.shelf.find(row["slot"])
    except NotFound:  # files are forgotten in time
        return None
    key = uploads.import_of(visit.store, upload)
    if key is None:
        return None
    with visit.store.reading() as unit:
        return unit.imports.get(key)


def _decision(row: Row) -> dict[str, Any] | None:
    """What a bulk action's run does, and the page of those it is about."""
    if not row["payload"]:
        return None
    work = bulk.Bulk.of(row["payload"])
    of = work.selection
    href = asked_of(of.campaign or "", of.where or "", of.text or "").url()
    return {"order": work.order, "selection": of, "count": work.count, "ended": work.progress.ended, "href": href}


def _import_of(visit: Visit, row: Row) -> str:
    found = _load_of(visit, row)
    return f"/import/{found['id']}" if found else ""


def _files(visit: Visit, batches: list[Row]) -> dict[int, str]:
    """Names of the imports that batches say they are of: those that were set aside."""
    keys = {batch["place"]["import"] for batch in batches if batch["place"] and "import" in batch["place"]}
    with visit.store.reading() as unit:
        rows = [unit.imports.get(key) for key in sorted(keys)]
    return {row["id"]: row["name"] for row in rows if row is not None}


def _glance(visit: Visit, key: int) -> dict[str, Any]:
    row, _ = runs.shown(visit.workspace.outside, key)
    return {name: row[name] for name in ("state", "cancel")}


def _parts(row: Row, batches: list[Row]) -> Iterator[dict[str, Any]]:
    """Each stage of a run with what went in, what came out, and its batches."""
    counts = row["counts"]
    if row["job"] == "run":
        # A run by hand keeps what each of its imports did, and no batches.
        loaded = (numbers(counts.get("imports", [])) or {}).get("counts", {})
        of_stage = {"harvest": loaded, "judge": {"prospects": counts.get("judged", 0)}, "send": counts.get("sending")}
    else:
        of_stage = {name: value for name, value in counts.items() if name not in ("batches", "seconds")}
    for stage, value in of_stage.items():
        found = {name: count for name, count in (numbers(value) or {}).items() if isinstance(count, int)}
        mine = [batch for batch in batches if batch["stage"] == stage]
        if any(found.values()) or mine:
            yield {
                "stage": stage,
                "rows": sum(found.get(name, 0) for name in GIVEN.get(stage, found)),
                "into": sum(found.get(name, 0) for name in INTO.get(stage, found)),
                "counts": {name: count for name, count in sorted(found.items()) if count},
                "batches": len(mine),
                "aside": sum(batch["state"] == "set_aside" for batch in mine),
                "seconds": sum(batch["seconds"] for batch in mine),
            }


def _days(visit: Visit, chosen: Chosen) -> dict[str, Any]:
    zone = visit.caller.timezone or "UTC"
    today = visit.now.astimezone(ZoneInfo(zone)).date()
    found, as_of = visit.site.counts.get(
        ("runs", chosen, zone, today), partial(_by_day, visit.store, chosen, zone, today)
    )
    known: Mapping[tuple[date, str], int] = found or {}
    labels = [today - timedelta(days=DAYS - 1 - place) for place in range(DAYS)]
    series = [
        {"name": state, "tone": tone, "values": [known.get((day, state), 0) for day in labels]}
        for state, tone in zip(SERIES, TONES, strict=True)
        if any(state == one for _, one in known)
    ]
    return {"chosen": chosen, "labels": [f"{day:%d %b}" for day in labels], "series": series, "as_of": as_of}


def _by_day(store: Store, chosen: Chosen, zone: str, today: date) -> Counter[tuple[date, str]]:
    """Runs by day and state: those that are kept, and the totals of those that are gone."""
    first, local, before = today - timedelta(days=DAYS - 1), ZoneInfo(zone), None
    found: Counter[tuple[date, str]] = Counter()
    with store.reading() as unit:
        campaign_id = unit.campaigns.get(chosen.campaign).id if chosen.campaign else None
        for total in unit.runs.totals():
            day = date.fromisoformat(total["day"])
            if first <= day <= today and chosen.fits(total, campaign_id):
                found[day, total["state"]] += total["runs"]
        for _ in range(PARTS):
            rows = chosen.found(unit, PART, before)
            for row in rows:
                found[row["queued_at"].astimezone(local).date(), row["state"]] += 1
            if len(rows) < PART or rows[-1]["queued_at"].astimezone(local).date() < first:
                break
            before = rows[-1]["id"]
    return Counter({(day, state): count for (day, state), count in found.items() if first <= day <= today})
