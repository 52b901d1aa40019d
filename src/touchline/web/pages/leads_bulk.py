"""One decision for many leads: those that are ticked, or all that meet the filter, after a count has been confirmed."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Query
from starlette.responses import Response

from touchline.adapters.clock import elapsed
from touchline.app import bulk, campaigns, counts
from touchline.app.ports import Row
from touchline.model.errors import InvalidInput, Refused, TouchlineError
from touchline.web import frame, problems
from touchline.web.api import cursors
from touchline.web.api.texts import LINES, ONE_LINE
from touchline.web.pages.leads import Asked, Filtered, asked_of, faults, name_of
from touchline.web.visit import Visit, needs

routes = APIRouter(include_in_schema=False)
Writes = Annotated[Visit, needs("leads:write")]
Key = Annotated[int, Query(ge=1, le=2**63 - 1)]
SECONDS, BATCH = 2.0, bulk.BATCH
"""How long one request changes many, and how many at a time."""
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
    cursor: Annotated[str | None, Form(max_length=2_000)] = None,
) -> Response:
    """Do it: the ticked ones at once, all that meet a filter in parts of two seconds."""
    asked = asked_of(campaign, where, text)
    order = bulk.Order(action, reason, into or None, visit.caller.name)
    try:
        with visit.changing(f"leads.{action}", f"campaign:{campaign or '*'}") as change:
            progress = _ticked(visit, asked, order, ids) if ids else _part(visit, asked, order, confirmed, cursor)
            told = {"where": asked.where, "text": asked.text, "reason": reason, "into": into, "ticked": len(ids or [])}
            change.after = {**told, "counts": progress.counts, "ended": progress.ended}
    except (InvalidInput, Refused) as error:
        return _ask(visit, asked, action, ids or [], everybody=not ids, error=error, order=order)
    if progress.ended:
        return frame.done(visit.request, asked.url(), _sentence(progress.counts))
    place = cursors.pack(visit.workspace.secret, _kind(asked, order), [progress.after, progress.until, progress.counts])
    values = {"asked": asked, "order": order, "confirmed": confirmed, "cursor": place, "progress": progress}
    return frame.page(visit, "leads_bulk_part.html", {**values, "said": _sentence(progress.counts)})


def _part(visit: Visit, asked: Asked, order: bulk.Order, confirmed: int, cursor: str | None) -> bulk.Progress:
    place = cursors.unpack(visit.workspace.secret, _kind(asked, order), cursor)
    if place is None:
        seen = bulk.Preview(confirmed, asked.selection.digest())
        progress = bulk.begin(visit.store, asked.selection, order, seen)
    else:
        progress = bulk.Progress(after=place[0], until=place[1], counts=place[2])
    until = elapsed() + SECONDS
    while not progress.ended:
        bulk.batch(visit.store, asked.selection, order, progress, visit.now, BATCH)
        if elapsed() >= until:
            break
    return progress


def _ticked(visit: Visit, asked: Asked, order: bulk.Order, ids: list[int]) -> bulk.Progress:
    """Each ticked row by itself; one that does not meet the filter any more stays as it is."""
    order.check()
    counted: dict[str, int] = {"matched": 0}
    for key in sorted(set(ids)):
        one = bulk.Progress(after=key - 1, until=key, counts=counted)
        bulk.batch(visit.store, asked.selection, order, one, visit.now)
    return bulk.Progress(ended=True, counts=counted)


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


def _kind(asked: Asked, order: bulk.Order) -> str:
    return f"page:bulk:{asked.selection.digest()}:{order.action}:{order.into}"


def _sentence(counted: dict[str, int]) -> str:
    matched = counted.get("matched", 0)
    parts = [f"{counted[name]:,} {word}" for name, word in WORDS.items() if counted.get(name)]
    return f"{matched:,} {'lead' if matched == 1 else 'leads'}: {', '.join(parts) or 'nothing to change'}."
