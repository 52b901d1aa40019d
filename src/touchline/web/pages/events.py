"""The page Events: what happened, the newest first, each with the lead it happened to."""

from datetime import datetime
from typing import Annotated, Any, get_args
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from starlette.responses import Response

from touchline.app import campaigns
from touchline.app.ports import Row, Unit
from touchline.web import frame
from touchline.web.api import cursors
from touchline.web.api.events import Kind
from touchline.web.api.texts import ONE_LINE
from touchline.web.pages.leads import name_of
from touchline.web.visit import Visit, needs

routes = APIRouter(include_in_schema=False)
KINDS: tuple[str, ...] = get_args(Kind)
SHOWN = 50
STRETCH = 200
LOOKED = 2_000
"""Events that one request looks through to fill a page of one campaign."""

Place = tuple[datetime, int]


@routes.get("/events")
def page(
    visit: Annotated[Visit, needs("events:read")],
    kind: Annotated[list[Kind] | None, Query(max_length=12)] = None,
    campaign: Annotated[str, Query(max_length=200, pattern=ONE_LINE)] = "",
    cursor: Annotated[str | None, Query(max_length=2_000)] = None,
) -> Response:
    """Events of some kinds, of one campaign or of all."""
    kinds: list[str] = list(dict.fromkeys(kind or []))
    named = f"page:events:{','.join(kinds)}:{campaign}"
    place = cursors.unpack(visit.workspace.secret, named, cursor)
    before = (datetime.fromisoformat(place[0]), int(place[1])) if place else None
    rows, after = _found(visit, kinds or list(KINDS), campaign, before)
    following = cursors.pack(visit.workspace.secret, named, [after[0].isoformat(), after[1]]) if after else ""
    values = {
        "rows": rows,
        "kinds": kinds,
        "campaign": campaign,
        "campaigns": [stored.campaign.name for stored in campaigns.listed(visit.store)],
        "tabs": [
            _tab("All", [], kinds, campaign),
            *(_tab(word.capitalize(), [word], kinds, campaign) for word in KINDS),
        ],
        "following": _url(kinds, campaign, following) if following else "",
        "looked": LOOKED,
        "short": bool(following) and len(rows) < SHOWN,
    }
    return frame.page(visit, "events.html", values)


def _found(visit: Visit, kinds: list[str], campaign: str, before: Place | None) -> tuple[list[Row], Place | None]:
    """A page of events with their leads, and the place of the last one where more may follow."""
    found: list[Row] = []
    looked, ended = 0, False
    with visit.store.reading() as unit:
        if campaign:
            unit.campaigns.get(campaign)
        size = STRETCH if campaign else SHOWN + 1
        while len(found) <= SHOWN and looked < LOOKED and not ended:
            rows = unit.journal.listed(kinds, lead_id=None, since=None, before=before, limit=size)
            looked, ended = looked + len(rows), len(rows) < size
            before = (rows[-1]["at"], rows[-1]["id"]) if rows else before
            told = _told(unit, rows)
            found += [row for row in told if row["campaign"] == campaign] if campaign else told
    if len(found) > SHOWN:
        last = found[SHOWN - 1]
        return found[:SHOWN], (last["at"], last["id"])
    return found, None if ended else before


def _told(unit: Unit, rows: list[Row]) -> list[Row]:
    """Events with `name` (of the lead) and `campaign`; what was told of a lead in several campaigns belongs to none."""
    known = {row["id"]: row for row in unit.search.rows(None, sorted({row["lead_id"] for row in rows}))}
    told = []
    for row in rows:
        lead = known.get(row["lead_id"])
        names = lead["campaigns"] if lead else []
        campaign = names[0] if len(names) == 1 else ""
        if len(names) > 1 and row["prospect_id"]:
            mine = unit.prospects.of_lead(row["lead_id"])
            campaign = next((one["campaign"] for one in mine if one["id"] == row["prospect_id"]), "")
        told.append({**row, "name": name_of(lead) if lead else "", "campaign": campaign, "lead": lead})
    return told


def _url(kinds: list[str], campaign: str, cursor: str = "") -> str:
    said: list[tuple[str, Any]] = [("kind", kind) for kind in kinds]
    said += [(name, value) for name, value in (("campaign", campaign), ("cursor", cursor)) if value]
    return f"/events?{urlencode(said)}" if said else "/events"


def _tab(label: str, kinds: list[str], chosen: list[str], campaign: str) -> dict[str, Any]:
    return {"label": label, "href": _url(kinds, campaign), "active": kinds == chosen}
