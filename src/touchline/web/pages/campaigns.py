"""The pages Campaigns and Campaign: where its prospects stand and why, what holds it back, and its versions."""

from functools import partial
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Form, Query
from starlette.responses import RedirectResponse, Response

from touchline.adapters import campaign_file
from touchline.app import campaign_detail, campaigns, counts, gates, mailboxes, schedules, search
from touchline.model.errors import InvalidInput, NotFound, TouchlineError
from touchline.web import frame
from touchline.web.visit import Visit, needs

routes = APIRouter(include_in_schema=False)
frame.entry("/campaigns", "Campaigns", "target-arrow", "campaigns:read", 10)

Reads = Annotated[Visit, needs("campaigns:read")]
Writes = Annotated[Visit, needs("campaigns:write")]
Text = Annotated[str, Form(max_length=1_000_000)]
Word = Annotated[str, Form(max_length=300)]

STAGES = ("harvested", "waiting", "rejected", "held", "unrouted", "enrolled", "finished", "replied", "stopped")
MEANING = {
    "harvested": "Not scored yet",
    "waiting": "Waits for a fact",
    "rejected": "Rejected by a rule",
    "held": "Held for a person",
    "unrouted": "No sequence fits",
    "enrolled": "In a sequence",
    "finished": "Sequence at its end",
    "replied": "Answered",
    "stopped": "Stopped",
}


@routes.get("/campaigns")
def page(visit: Reads) -> Response:
    """Every campaign with its numbers."""
    rows = []
    for stored in campaigns.listed(visit.store):
        numbers, as_of = counts.funnel_of(visit.site.counts, visit.store, stored.campaign.name)
        rows.append({"stored": stored, "numbers": _by_stage(numbers), "as_of": as_of})
    with visit.store.reading() as unit:
        stopped = campaigns.stopped(unit)
    return frame.page(visit, "campaigns.html", {"rows": rows, "stopped": stopped})


@routes.get("/campaigns/new")
def new(visit: Writes) -> Response:
    """A campaign as its file would say it."""
    return _form(visit, campaign_file.example(), None, "")


@routes.post("/campaigns/new")
def create(visit: Writes, text: Text = "", act: Word = "check") -> Response:
    """Check a campaign, or make it so."""
    try:
        campaign = campaign_file.of_text(text)
    except InvalidInput as error:
        return _form(visit, text, error, "", status=422)
    if act != "apply":
        said = f"{campaign.name} can be applied. " + " ".join(campaign.obstacles())
        return _form(visit, text, None, said)
    with visit.changing("campaign.apply", f"campaign:{campaign.name}", partial(_look, visit, campaign.name)):
        applied = campaigns.apply(visit.store, campaign, visit.now)
    schedules.ensure(visit.store, visit.now)
    return frame.done(visit.request, _path(applied.name), f"{applied.name}: version {applied.version}, {applied.state}")


@routes.post("/campaigns/stop-all")
def stop_all(visit: Writes, reason: Word = "") -> Response:
    """No sender claims another touch."""
    with visit.changing("campaigns.stop", "workspace") as change:
        campaigns.stop_all(visit.store, reason.strip() or "stopped by hand", visit.now)
        change.after = {"reason": reason}
    return frame.done(visit.request, "/campaigns", "Everything is stopped. Nothing more leaves.", "warn")


@routes.post("/campaigns/start-all")
def start_all(visit: Writes) -> Response:
    """Lift the stop."""
    with visit.changing("campaigns.go-on", "workspace"):
        campaigns.start_all(visit.store)
    return frame.done(visit.request, "/campaigns", "The stop is lifted.")


@routes.get("/campaigns/{name}")
def detail(visit: Reads, name: str) -> Response:
    """One campaign."""
    stored = campaigns.get(visit.store, name)
    now = visit.now
    with visit.store.reading() as unit:
        paused = campaigns.pause_reason(unit, name)
    values = {
        "stored": stored,
        "paused": paused,
        "gates": gates.gates(visit.store, name, now, visit.workspace.opt_out),
        "mailboxes": mailboxes.mailbox_use(visit.store, name, now),
        "versions": campaign_detail.versions(visit.store, name)[:20],
        "obstacles": stored.campaign.obstacles(),
    }
    return frame.page(visit, "campaign.html", values | _numbers(visit, name))


@routes.get("/campaigns/{name}/numbers")
def numbers(visit: Reads, name: str) -> Response:
    """The funnel and the steps, once they have been counted."""
    stored = campaigns.get(visit.store, name)
    return frame.page(visit, "_campaign_numbers.html", {"stored": stored} | _numbers(visit, name))


@routes.post("/campaigns/{name}/start")
def start(visit: Writes, name: str) -> Response:
    """Let it send."""
    with visit.changing("campaign.start", f"campaign:{name}", partial(_look, visit, name)):
        campaigns.start(visit.store, name, visit.now)
    return frame.done(visit.request, _path(name), f"{name} is active.")


@routes.post("/campaigns/{name}/pause")
def pause(visit: Writes, name: str, reason: Word = "") -> Response:
    """Let it send nothing."""
    with visit.changing("campaign.pause", f"campaign:{name}", partial(_look, visit, name)):
        campaigns.pause(visit.store, name, visit.now, reason.strip())
    return frame.done(visit.request, _path(name), f"{name} is paused. Nothing more leaves.")


@routes.post("/campaigns/{name}/clone")
def clone(visit: Writes, name: str, new_name: Word = "") -> Response:
    """A copy without its prospects."""
    with visit.changing("campaign.clone", f"campaign:{new_name}", partial(_look, visit, new_name)):
        applied = campaign_detail.clone(visit.store, name, new_name.strip(), visit.now)
    return frame.done(visit.request, _path(applied.name), f"{applied.name} is a copy of {name}, and {applied.state}.")


@routes.post("/campaigns/{name}/run")
def run(visit: Annotated[Visit, needs("runs:write")], name: str) -> Response:
    """Queue its daily run now."""
    schedules.ensure(visit.store, visit.now)
    with visit.changing("schedule.run", f"schedule:daily:{name}") as change:
        row = schedules.run_now(visit.store, f"daily:{name}", visit.now)
        change.after = {"run": row["id"]}
    return frame.done(visit.request, f"/runs/{row['id']}", f"Run {row['id']} is queued.")


@routes.get("/campaigns/{name}/edit")
def edit(visit: Writes, name: str) -> Response:
    """The campaign as its file would say it, to change."""
    stored = campaigns.get(visit.store, name)
    return _form(visit, campaign_file.write(stored.campaign), None, "")


@routes.get("/campaigns/{name}/versions")
def versions(
    visit: Reads,
    name: str,
    before: Annotated[int | None, Query(ge=1, le=2**31)] = None,
    after: Annotated[int | None, Query(ge=1, le=2**31)] = None,
) -> Response:
    """Two versions side by side."""
    found = campaign_detail.versions(visit.store, name)
    newest = found[0].version
    after = after or newest
    before = before or max(1, after - 1)
    changes = campaign_detail.difference(visit.store, name, before, after)
    values = {"name": name, "versions": found, "before": before, "after": after, "changes": changes}
    return frame.page(visit, "campaign_versions.html", values)


@routes.get("/campaigns/{name}/leads")
def leads(visit: Reads, name: str) -> Response:
    """The list of its leads."""
    campaigns.get(visit.store, name)
    return RedirectResponse(_leads(name), 303)


def _numbers(visit: Visit, name: str) -> dict[str, Any]:
    known, as_of = counts.funnel_of(visit.site.counts, visit.store, name)
    steps, _ = visit.site.counts.get(("steps", name), partial(campaign_detail.steps, visit.store, name))
    return {
        "known": known,
        "as_of": as_of,
        "steps": steps,
        "rows": _funnel(name, known) if known else [],
        "tiers": [(tier, count, _leads(name, tier=tier.lower())) for tier, count in known["tiers"].items()]
        if known
        else [],
        "touched": [(state, count, _leads(name, touch=state)) for state, count in known["touches"].items()]
        if known
        else [],
        "leads": partial(_leads, name),
    }


def _funnel(name: str, known: dict[str, Any]) -> list[dict[str, Any]]:
    """Each stage with its sum, and beneath it what keeps people there and why."""
    found = []
    for stage in STAGES:
        lines = [line for line in known["lines"] if line["stage"] == stage]
        if not lines:
            continue
        total = sum(line["count"] for line in lines)
        found.append({"stage": f"{MEANING[stage]}", "reason": None, "count": total, "href": _leads(name, stage=stage)})
        if stage in ("rejected", "held", "unrouted", "stopped", "waiting"):
            found += [
                {
                    "stage": stage,
                    "reason": line["reason"] or "no reason given",
                    "count": line["count"],
                    "href": _leads(name, stage=stage, reason=line["reason"]),
                }
                for line in lines[:8]
            ]
    return found


def _leads(name: str, **line: Any) -> str:
    where = search.where_of(line) if line else ""
    return "/leads?" + urlencode({"campaign": name} | ({"where": where} if where else {}))


def _by_stage(numbers: dict[str, Any] | None) -> dict[str, int] | None:
    if numbers is None:
        return None
    found = dict.fromkeys(STAGES, 0)
    for line in numbers["lines"]:
        found[line["stage"]] += line["count"]
    return found | {"prospects": numbers["prospects"], "sent": numbers["touches"].get("sent", 0)}


def _look(visit: Visit, name: str) -> dict[str, Any]:
    try:
        stored = campaigns.get(visit.store, name)
    except NotFound:
        return {}
    return {"state": stored.state, "version": stored.version, "digest": stored.digest}


def _form(visit: Visit, text: str, error: TouchlineError | None, said: str, status: int = 200) -> Response:
    return frame.page(visit, "campaign_new.html", {"text": text, "error": error, "said": said}, status=status)


def _path(name: str) -> str:
    return f"/campaigns/{quote(name, safe='')}"
