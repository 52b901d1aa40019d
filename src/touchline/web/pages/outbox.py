"""The page Outbox: every touch by its state, and the ones whose fate only a person can settle."""

from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Path, Query
from starlette.responses import Response

from touchline.adapters.clock import elapsed
from touchline.app import approvals, campaign_detail, outbox, search
from touchline.app.desk import MOST, Count
from touchline.app.ports import Row
from touchline.web import frame
from touchline.web.api import cursors
from touchline.web.api.texts import ONE_LINE
from touchline.web.pages.leads import name_of
from touchline.web.visit import Visit, needs

BUDGET_SECONDS = 0.08
"""A look at a state that has no index of its own: what it has found by then is shown, with how far it came."""

routes = APIRouter(include_in_schema=False)
frame.entry("/outbox", "Outbox", "send", "touches:read", 35)

Reads = Annotated[Visit, needs("touches:read")]
State = Literal["drafted", "planned", "sending", "sent", "uncertain", "failed", "cancelled"]
UNSETTLED = {"drafted": ("drafted",), "sending": ("claimed", "sending"), "uncertain": ("uncertain",)}
"""States that an index of the ledger leads to; the others are found by the leads of a campaign."""
MEANING = {
    "drafted": "These wait for a person's yes.",
    "planned": "These leave when they are due, within the window and the caps. One that was deferred is tried again.",
    "sending": "These are being handed to the mail server.",
    "sent": "The mail server took these.",
    "uncertain": "These began to leave, and no answer came. Nobody but you can find out what became of them.",
    "failed": "The mail server refused these for good.",
    "cancelled": "These never left: the reason stands beside them.",
}
SHOWN = 50


@dataclass(frozen=True, slots=True)
class Line:
    """One touch of the list.

    Attributes:
        lead: The row of its lead.
        tries: Attempts to send it, where they are asked for.
    """

    touch: Row
    lead_id: int
    name: str
    company: str
    campaign: str
    tries: list[Row] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Listed:
    """A page of lines; `scanned` of `total` leads were looked through, where time was up first."""

    lines: list[Line]
    following: str | None
    scanned: int = 0
    total: int = 0


@routes.get("/outbox")
def page(
    visit: Reads,
    state: State | Literal["claimed", "deferred", ""] = "",
    campaign: Annotated[str, Query(max_length=200, pattern=ONE_LINE)] = "",
    cursor: Annotated[str | None, Query(max_length=2_000)] = None,
) -> Response:
    """Touches in one state; without one, those of unknown fate where there are any."""
    with visit.store.reading() as unit:
        names = unit.campaigns.names()
        uncertain = Count.upto(unit.desk.uncertain(MOST + 1))
    wanted = {"claimed": "sending", "deferred": "planned", "": "uncertain" if uncertain.value else "planned"}
    shown = wanted.get(state, state)
    of = campaign or (names[0] if names and shown not in UNSETTLED else "")
    if shown in UNSETTLED:
        listed = _unsettled(visit, shown, of, cursor)
    else:
        listed = _by_lead(visit, shown, of, cursor) if of else Listed([], None)
    values = {
        "state": shown,
        "campaign": of,
        "chosen": campaign,
        "campaigns": names,
        "listed": listed,
        "meaning": MEANING[shown],
        "tabs": _tabs(visit, shown, campaign, of, uncertain),
        "following": _url(shown, campaign, cursor=listed.following) if listed.following else "",
        "first": _url(shown, campaign) if cursor else "",
    }
    return frame.page(visit, "outbox.html", values)


@routes.post("/outbox/{touch:int}/settle")
def settle(
    visit: Annotated[Visit, needs("touches:write")],
    touch: Annotated[int, Path(ge=1, le=2**63 - 1)],
    how: Annotated[Literal["sent", "resend", "drop"], Form()],
    campaign: Annotated[str, Form(max_length=200, pattern=ONE_LINE)] = "",
) -> Response:
    """Say what became of a message of unknown fate."""
    with visit.changing(f"touch.{how}", f"touch:{touch}") as change:
        secret = visit.workspace.secret
        state = outbox.resolve(visit.store, touch, how, by=visit.caller.name, secret=secret, now=visit.now)
        change.after = {"state": state}
    said = {
        "sent": "It counts as sent; the next step follows in its time.",
        "resend": "It is planned and leaves again.",
        "drop": "It is cancelled; its lead gets nothing more from the campaign.",
    }
    return frame.done(visit.request, _url("uncertain", campaign), said[how])


def _unsettled(visit: Visit, state: str, campaign: str, cursor: str | None) -> Listed:
    kind = f"page:outbox:{state}:{campaign}"
    after = cursors.unpack(visit.workspace.secret, kind, cursor) or 0
    with visit.store.reading() as unit:
        key = unit.campaigns.get(campaign).id if campaign else None
        rows = unit.touches.listed(states=UNSETTLED[state], campaign_id=key, after=after, limit=SHOWN + 1)
        shown = rows[:SHOWN]
        tries = unit.journal.deliveries([row["touch_id"] for row in shown]) if state == "uncertain" else []
    lines = [
        Line(
            row | {"id": row["touch_id"]},
            row["lead_id"],
            name_of(row),
            row["company"] or "",
            row["campaign"],
            [one for one in tries if one["touch_id"] == row["touch_id"]],
        )
        for row in shown
    ]
    more = len(rows) > SHOWN
    return Listed(lines, cursors.pack(visit.workspace.secret, kind, shown[-1]["touch_id"]) if more else None)


def _by_lead(visit: Visit, state: str, campaign: str, cursor: str | None) -> Listed:
    """The touches of a page of leads that have one in this state, the newest lead first."""
    kind = f"page:outbox:{state}:{campaign}"
    found = search.page(
        visit.store,
        campaign=campaign,
        where=search.where_of({"touch": state}),
        text=None,
        sort="newest",
        cursor=cursors.unpack(visit.workspace.secret, kind, cursor),
        seconds=elapsed,
        budget_seconds=BUDGET_SECONDS,
        limit=SHOWN,
    )
    leads = {row["prospect_id"]: row for row in found.rows}
    with visit.store.reading() as unit:
        touches = unit.touches.of_prospects(list(leads))
    mine = [touch for touch in touches if touch["state"] == state]
    place = {key: at for at, key in enumerate(leads)}
    lines = [
        Line(
            touch,
            leads[touch["prospect_id"]]["id"],
            name_of(leads[touch["prospect_id"]]),
            leads[touch["prospect_id"]]["company"] or "",
            campaign,
        )
        for touch in sorted(mine, key=lambda touch: (place[touch["prospect_id"]], touch["step"]))
    ]
    following = cursors.pack(visit.workspace.secret, kind, found.cursor) if found.cursor else None
    short = len(found.rows) < SHOWN and following is not None
    return Listed(lines, following, found.scanned if short else 0, found.total if short else 0)


def _tabs(visit: Visit, state: str, campaign: str, of: str, uncertain: Count) -> list[dict[str, Any]]:
    """States with their counts: those that an index counts at once, the others of one campaign as they were counted last."""
    counts: dict[str, Any] = {"drafted": approvals.waiting_count(visit.store, campaign or None)}
    if uncertain.value and not campaign:
        counts["uncertain"] = uncertain
    if of:
        steps, _ = visit.site.counts.get(("steps", of), partial(campaign_detail.steps, visit.store, of))
        for name in ("planned", "sent", "failed", "cancelled") if steps is not None else ():
            counts[name] = sum(getattr(line, name) for line in steps or ())
        if campaign and steps is not None:
            counts["uncertain"] = sum(line.uncertain for line in steps)
    return [
        {
            "label": name.capitalize(),
            "href": _url(name, campaign),
            "active": name == state,
            "count": counts.get(name),
        }
        for name in MEANING
    ]


def _url(state: str, campaign: str, **more: str | None) -> str:
    asked = {"state": state, "campaign": campaign, **more}
    return "/outbox?" + urlencode({name: value for name, value in asked.items() if value})
