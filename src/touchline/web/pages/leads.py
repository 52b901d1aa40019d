"""The page Leads: any filter in the address, saved views, and a list that fills itself while a long search goes on."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form, Query
from starlette.responses import HTMLResponse, Response

from touchline.adapters.clock import elapsed
from touchline.app import campaigns, counts, search, views
from touchline.app.bulk import Selection
from touchline.app.gates import DECIDED, WAITING
from touchline.app.ports import Row
from touchline.model.columns import SEARCH, SEARCH_LEADS
from touchline.model.errors import InvalidInput, NotFound
from touchline.web import frame
from touchline.web.api import cursors
from touchline.web.api.texts import LINES, ONE_LINE
from touchline.web.visit import Visit, needs

routes = APIRouter(include_in_schema=False)
frame.entry("/leads", "Leads", "users", "leads:read", 20)

Reads = Annotated[Visit, needs("leads:read")]
Sort = Literal["newest", "oldest", "score"]
Place = Annotated[str | None, Query(max_length=2_000)]
SHOWN = 50
BUDGET_SECONDS, STRETCH = search.BUDGET_SECONDS, search.FIRST_STRETCH
"""How long one request looks, and through how many keys first."""

CHIPS = (
    ("Tier A", "tier = 'a'"),
    ("Enrolled", "state = 'enrolled'"),
    ("Held", "state = 'held'"),
    ("Replied", "state = 'replied'"),
    ("Rejected", "state = 'rejected'"),
    ("Risky address", "address_status = 'risky'"),
    ("Waits for a yes", "has(touch_states, 'drafted')"),
    ("Unknown fate", "has(touch_states, 'uncertain')"),
    ("No e-mail yet", "email IS NULL"),
    ("Decides", "seniority IN ('founder', 'c_level', 'vp')"),
)
"""Conditions at one click."""
OF_LEADS = frozenset({"email IS NULL", "seniority IN ('founder', 'c_level', 'vp')"})
"""Those that need no campaign."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address asks for; empty texts ask for everything."""

    campaign: str = ""
    where: str = ""
    text: str = ""
    sort: Sort = "newest"

    @property
    def selection(self) -> Selection:
        """The same as bulk actions name it."""
        return Selection(self.campaign or None, self.where or None, self.text or None)

    @property
    def kind(self) -> str:
        """Whose cursors these are."""
        return f"page:leads:{self.campaign}:{self.where}:{self.text}:{self.sort}"

    def query(self, **more: Any) -> str:
        """The part of an address behind the question mark."""
        said = {"campaign": self.campaign, "where": self.where, "text": self.text}
        if self.sort != "newest":
            said["sort"] = self.sort
        return urlencode({name: value for name, value in {**said, **more}.items() if value not in ("", None)})

    def url(self, path: str = "/leads", **more: Any) -> str:
        """An address of a page with this filter."""
        query = self.query(**more)
        return f"{path}?{query}" if query else path


def asked_of(
    campaign: Annotated[str, Query(max_length=200, pattern=ONE_LINE)] = "",
    where: Annotated[str, Query(max_length=10_000, pattern=LINES)] = "",
    text: Annotated[str, Query(max_length=1_000, pattern=LINES)] = "",
    sort: Sort = "newest",
) -> Asked:
    """The filter in an address."""
    return Asked(campaign, where.strip(), " ".join(text.split()), sort if campaign or sort != "score" else "newest")


Filtered = Annotated[Asked, Depends(asked_of)]


@routes.get("/leads")
def page(visit: Reads, asked: Filtered, cursor: Place = None) -> Response:
    """Leads that meet a filter."""
    names = [stored.campaign.name for stored in campaigns.listed(visit.store)]
    wrong = faults(visit, asked)
    listed = _Listed.empty() if wrong else _look(visit, asked, cursor, SHOWN)
    total = None
    if not wrong:
        total = len(listed.lines) if not cursor and not listed.following else _total(visit, asked)
    values = {
        "asked": asked,
        "campaigns": names,
        "faults": {"campaign": "", "where": "", "text": ""} | wrong,
        "bad": bool(wrong),
        "listed": listed,
        "first": not cursor,
        "total": total,
        "count_href": asked.url("/leads/count"),
        "chips": chips(asked, names),
        "tabs": _tabs(visit, asked),
        "view": _view(visit, asked),
        "export_href": asked.url("/api/v1/leads/export"),
        "columns": SEARCH if asked.campaign else SEARCH_LEADS,
    }
    return frame.page(visit, "leads.html", values, status=422 if wrong else 200)


@routes.get("/leads/rows")
def rows(
    visit: Reads, asked: Filtered, cursor: Place = None, room: Annotated[int, Query(ge=1, le=SHOWN)] = SHOWN
) -> Response:
    """More rows of a page whose search ran out of time."""
    listed = _look(visit, asked, cursor, room)
    values = {
        "asked": asked,
        "listed": listed,
        "shown": SHOWN - room + len(listed.lines),
        "total": _total(visit, asked),
    }
    return frame.page(visit, "_lead_rows.html", {**values, "count_href": asked.url("/leads/count")})


@routes.get("/leads/count")
def count(visit: Reads, asked: Filtered) -> HTMLResponse:
    """How many leads meet the filter, as text; while they are being counted, a text that asks again."""
    with visit.store.reading() as unit:
        search.filter_of(unit, asked.campaign or None, asked.where, asked.text)
    values = {"total": _total(visit, asked), "count_href": asked.url("/leads/count")}
    return frame.page(visit, "_lead_count.html", values)


@routes.post("/leads/views")
def save_view(
    visit: Annotated[Visit, needs("views:write")],
    name: Annotated[str, Form(max_length=200, pattern=ONE_LINE)] = "",
    campaign: Annotated[str, Form(max_length=200, pattern=ONE_LINE)] = "",
    where: Annotated[str, Form(max_length=10_000, pattern=LINES)] = "",
    text: Annotated[str, Form(max_length=1_000, pattern=LINES)] = "",
    sort: Annotated[Sort, Form()] = "newest",
) -> Response:
    """Keep the filter under a name, for everybody."""
    asked = asked_of(campaign, where, text, sort)
    with visit.changing("view.add", f"view:{name}") as change:
        query = {"campaign": asked.campaign, "where": asked.where, "text": asked.text, "sort": asked.sort}
        views.add(visit.store, name, query, by=visit.caller.name, now=visit.now)
        change.after = query
    return frame.done(visit.request, asked.url(), f"Saved as {' '.join(name.split())}.")


@routes.post("/leads/views/remove")
def remove_view(
    visit: Annotated[Visit, needs("views:write")], name: Annotated[str, Form(max_length=200, pattern=ONE_LINE)] = ""
) -> Response:
    """Forget a view; the leads stay."""

    def look() -> dict[str, Any] | None:
        return next((row["query"] for row in views.listed(visit.store) if row["name"] == name), None)

    with visit.changing("view.remove", f"view:{name}", look):
        views.remove(visit.store, name)
    return frame.done(visit.request, "/leads", f"The view {name} is removed.")


def faults(visit: Visit, asked: Asked) -> dict[str, str]:
    """What cannot be used, by field."""
    found: dict[str, str] = {}
    with visit.store.reading() as unit:
        for field, where, text in (("where", asked.where, ""), ("text", "", asked.text)):
            try:
                search.filter_of(unit, asked.campaign or None, where, text)
            except InvalidInput as error:
                # The page lists the columns itself.
                found[field] = f"{error.message} {(error.hint or '').partition('Columns here')[0]}".strip()
        try:
            if asked.campaign:
                unit.campaigns.get(asked.campaign)
        except NotFound as error:
            found["campaign"] = error.message
    return found


def chips(asked: Asked, names: list[str]) -> list[dict[str, Any]]:
    """Conditions at one click: each is added to the condition, or taken out of it."""
    campaign = asked.campaign or (names[0] if len(names) == 1 else "")
    parts = asked.where.split(" AND ")
    made = []
    for label, condition in CHIPS:
        if condition not in OF_LEADS and not campaign:
            continue
        if condition in parts:
            rest = " AND ".join(part for part in parts if part != condition)
            made.append({"label": label, "href": replace(asked, where=rest).url(), "active": True})
            continue
        chosen = asked if condition in OF_LEADS else replace(asked, campaign=campaign)
        made.append(
            {"label": label, "href": replace(chosen, where=also(asked.where, condition)).url(), "active": False}
        )
    return made


def also(where: str, condition: str) -> str:
    """Both conditions at once."""
    if not where:
        return condition
    whole = f"({where})" if " or " in f" {where.lower()} " else where
    return f"{whole} AND {condition}"


def why(prospect: Mapping[str, Any]) -> str:
    """Why a prospect stands where it does, in a few words."""
    if prospect["state_reason"]:
        return str(prospect["state_reason"])
    if prospect["state"] in DECIDED:
        return str((prospect["route_reason"] if prospect["state"] == "unrouted" else prospect["verdict_reason"]) or "")
    return f"sequence {prospect['sequence']}" if prospect["sequence"] else ""


def name_of(row: Mapping[str, Any]) -> str:
    """What a lead is called on a page."""
    full = " ".join(part for part in (row["first_name"], row["last_name"]) if part)
    return full or row["email"] or row["profile_url"] or row["identity"]


@dataclass(frozen=True, slots=True)
class _Line:
    """A row of the list.

    Attributes:
        standings: Its prospects with `campaign`, `why` and `next` (a touch or None).
    """

    lead: Row
    name: str
    standings: list[Row]


@dataclass(frozen=True, slots=True)
class _Listed:
    """A page of the list, or the part of it that was found in time.

    Attributes:
        following: Address of what follows the page.
        rest: Address of the rows that still fit on this page.
    """

    lines: list[_Line]
    following: str = ""
    rest: str = ""
    scanned: int = 0
    of: int = 0

    @classmethod
    def empty(cls) -> "_Listed":
        return cls([])


def _look(visit: Visit, asked: Asked, cursor: str | None, room: int) -> _Listed:
    secret = visit.workspace.secret
    found = search.page(
        visit.store,
        campaign=asked.campaign or None,
        where=asked.where or None,
        text=asked.text or None,
        sort=asked.sort,
        cursor=cursors.unpack(secret, asked.kind, cursor),
        seconds=elapsed,
        limit=room,
        budget_seconds=BUDGET_SECONDS,
        stretch=STRETCH,
    )
    place = cursors.pack(secret, asked.kind, found.cursor) if found.cursor else ""
    left = room - len(found.rows)
    return _Listed(
        _lines(visit, asked, found.rows),
        asked.url(cursor=place) if place else "",
        asked.url("/leads/rows", cursor=place, room=left) if place and left else "",
        found.scanned,
        found.total,
    )


def _lines(visit: Visit, asked: Asked, found: list[Row]) -> list[_Line]:
    with visit.store.reading() as unit:
        standings: list[list[Row]]
        if asked.campaign:
            standings = [[{**row, "campaign": asked.campaign, "id": row["prospect_id"]}] for row in found]
        else:
            standings = [unit.prospects.of_lead(row["id"]) if row["campaigns"] else [] for row in found]
        touches = unit.touches.of_prospects([one["id"] for each in standings for one in each])
    following = {touch["prospect_id"]: touch for touch in reversed(touches) if touch["state"] in WAITING}
    return [
        _Line(
            row,
            name_of(row),
            [{**one, "why": why(one), "next": following.get(one["id"])} for one in each],
        )
        for row, each in zip(found, standings, strict=True)
    ]


def _total(visit: Visit, asked: Asked) -> int | None:
    chosen = asked.selection
    return counts.matching(visit.site.counts, visit.store, chosen.campaign, chosen.where, chosen.text)[0]


def _asked_by(row: Row) -> Asked:
    said = row["query"]
    return Asked(said.get("campaign", ""), said.get("where", ""), said.get("text", ""), said.get("sort", "newest"))


def _tabs(visit: Visit, asked: Asked) -> list[dict[str, Any]]:
    kept = [(row["name"], _asked_by(row)) for row in views.listed(visit.store)]
    shown = [("All leads", Asked()), *kept] if kept else []
    return [{"label": name, "href": each.url(), "active": each == asked} for name, each in shown]


def _view(visit: Visit, asked: Asked) -> str | None:
    """The name of the view that is shown."""
    return next((row["name"] for row in views.listed(visit.store) if _asked_by(row) == asked), None)
