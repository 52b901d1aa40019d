"""One decision for many leads: those that are ticked, or all that meet the filter, after a count has been confirmed."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query
from starlette.responses import Response

from touchline.app import bulk, campaigns, counts
from touchline.app.ports import Row
from touchline.model.errors import InvalidInput, Refused, TouchlineError
from touchline.web import frame, problems
from touchline.web.api.texts import LINES, ONE_LINE
from touchline.web.pages.leads import Asked, Filtered, asked_of, faults, name_of
from touchline.web.visit import Visit, needs

routes = APIRouter(include_in_schema=False)
Writes = Annotated[Visit, needs("leads:write")]
Key = Annotated[int, Query(ge=1, le=2**63 - 1)]
MOST = 200
"""Rows that can be ticked."""
NAMED = 8
WORDS = {
    "suppressed": "suppressed",
    "stopped": "stopped",
    "requeued": "to be judged again",
    "enrolled": "added",
    "already": "so already",
    "touches_cancelled": "messages cancelled",
}


@routes.get("/leads/bulk")
def ask(
    visit: Writes,
    asked: Filtered,
    action: bulk.Action,
    everybody: bool = False,
    ids: Annotated[list[Key] | None, Query(max_length=MOST)] = None,
) -> Response:
    """What is about to be done to how many, and why?"""
    if wrong := faults(visit, asked):
        raise InvalidInput(next(iter(wrong.values())), hint="Correct the filter on the page Leads.")
    return _ask(visit, asked, action, [] if everybody else ids or [], everybody=everybody)


@routes.post("/leads/bulk")
def act(
    visit: Writes,
    action: Annotated[bulk.Action, Form()],
    campaign: Annotated[str, Form(max_length=200, pattern=ONE_LINE)] = "",
    where: Annotated[str, Form(max_length=10_000, pattern=LINES)] = "",
    text: Annotated[str, Form(max_length=1_000, pattern=LINES)] = "",
    reason: Annotated[str, Form(max_length=500, pattern=ONE_LINE)] = "",
    into: Annotated[str, Form(max_length=200, pattern=ONE_LINE)] = "",
    confirmed: Annotated[int, Form(ge=0, le=2**63 - 1)] = 0,
    ids: Annotated[list[Annotated[int, Form(ge=1, le=2**63 - 1)]] | None, Form(max_length=MOST)] = None,
) -> Response:
    """Do it: a few at once, and more of them by a run."""
    asked = asked_of(campaign, where, text)
    order, run = bulk.Order(action, reason, into or None, visit.caller.name), None
    try:
        with visit.changing(f"leads.{action}", f"campaign:{campaign or '*'}") as change:
            if ids:
                work = bulk.act_on(visit.store, asked.selection, order, set(ids), visit.now)
            else:
                seen = bulk.Preview(confirmed, asked.selection.digest())
                work, run = bulk.act(visit.store, asked.selection, order, seen, visit.now)
            told = {"where": asked.where, "text": asked.text, "reason": reason, "into": into, "ticked": len(ids or [])}
            change.after = {**told, "counts": work.progress.counts, "run": run}
    except (InvalidInput, Refused) as error:
        return _ask(visit, asked, action, ids or [], everybody=not ids, error=error, order=order)
    if run is not None:
        return frame.done(visit.request, f"/runs/{run}", f"Run {run} does it: {work.count:,} leads.")
    return frame.done(visit.request, asked.url(), _sentence(work.progress.counts))


def _ask(
    visit: Visit,
    asked: Asked,
    action: str,
    ids: list[int],
    *,
    everybody: bool,
    error: TouchlineError | None = None,
    order: bulk.Order | None = None,
) -> Response:
    chosen = asked.selection
    count: int | None
    if everybody and error:
        # The number that was known has just proved to be wrong.
        count, named = bulk.preview(visit.store, chosen).count, list[Row]()
    elif everybody:
        count, _ = counts.matching(visit.site.counts, visit.store, chosen.campaign, chosen.where, chosen.text)
        named = []
    else:
        with visit.store.reading() as unit:
            campaign_id = unit.campaigns.get(asked.campaign).id if asked.campaign else None
            named = unit.search.rows(campaign_id, sorted(set(ids)))
        count = len(named)
    values: dict[str, Any] = {
        "asked": asked,
        "action": action,
        "ids": ids,
        "everybody": everybody,
        "count": count,
        "names": [name_of(row) for row in named[:NAMED]],
        "here": asked.url("/leads/bulk", action=action, everybody="true" if everybody else ""),
        "campaigns": [stored.campaign.name for stored in campaigns.listed(visit.store)],
        "error": error,
        "order": order,
    }
    return frame.page(visit, "leads_bulk.html", values, status=problems.of(error)[0] if error else 200)


def _sentence(counted: Mapping[str, int]) -> str:
    matched = counted.get("matched", 0)
    parts = [f"{counted[name]:,} {word}" for name, word in WORDS.items() if counted.get(name)]
    return f"{matched:,} {'lead' if matched == 1 else 'leads'}: {', '.join(parts) or 'nothing to change'}."
