"""The page Approvals: drafts as they would leave, read one after the other, edited, approved and rejected."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Form, Path, Query
from pydantic import Field
from starlette.responses import HTMLResponse, Response

from touchline.app import approvals, journey
from touchline.app.ports import Row
from touchline.model.calendar import place_of
from touchline.model.cells import clean
from touchline.model.errors import InvalidInput, NotFound, Refused
from touchline.web import frame
from touchline.web.api.texts import ONE_LINE
from touchline.web.pages.leads import name_of
from touchline.web.visit import Visit, needs

routes = APIRouter(include_in_schema=False)


def _waiting(visit: Visit) -> int | None:
    """How many messages wait for a yes, as far as is known."""
    found, _ = visit.site.counts.get("approvals", lambda: approvals.waiting_count(visit.store).value)
    return found


frame.entry("/approvals", "Approvals", "checks", "touches:read", 30, _waiting)

Reads = Annotated[Visit, needs("touches:read")]
Writes = Annotated[Visit, needs("touches:write")]
Touch = Annotated[int, Path(ge=1, le=2**63 - 1)]
Place = Annotated[int, Query(ge=0, le=2**63 - 2)]
FormPlace = Annotated[int, Form(ge=0, le=2**63 - 2)]
Campaign = Annotated[str, Form(max_length=200, pattern=ONE_LINE)]
Reason = Annotated[str, Form(max_length=500, pattern=ONE_LINE)]
Ids = Annotated[list[Annotated[int, Field(ge=1, le=2**63 - 1)]], Form(max_length=500, default_factory=list)]
Said = Annotated[str, Form(max_length=200_000)]
SHOWN = 25

MAIL_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; "
        "frame-ancestors 'self'; sandbox"
    ),
    "X-Frame-Options": "SAMEORIGIN",
    "Cache-Control": "no-store",
}
"""A mail's HTML is somebody else's page: it may show itself, and do nothing."""


@dataclass(frozen=True, slots=True)
class Typed:
    """What somebody has written into a draft and could not keep."""

    subject: str
    text: str
    error: str


@routes.get("/approvals")
def page(
    visit: Reads,
    campaign: Annotated[str, Query(max_length=200, pattern=ONE_LINE)] = "",
    after: Place = 0,
    touch: Place = 0,
) -> Response:
    """What waits for a yes, and one of them whole: the one named, else the first behind it."""
    return _page(visit, campaign, after, touch)


@routes.get("/approvals/{touch:int}/mail")
def mail(
    visit: Reads,
    touch: Touch,
    campaign: Annotated[str, Query(max_length=200, pattern=ONE_LINE)] = "",
    after: Place = 0,
) -> Response:
    """One draft whole, beside the queue."""
    return frame.page(visit, "_approval.html", _mail(visit, touch, campaign, after))


@routes.get("/approvals/{touch:int}/html")
def html(visit: Reads, touch: Touch) -> HTMLResponse:
    """The HTML of a mail, for a frame in which nothing runs."""
    found = approvals.rendered(visit.store, touch, visit.workspace.opt_out, visit.now)
    return HTMLResponse(found.html, headers=MAIL_HEADERS)


@routes.post("/approvals/{touch:int}/edit")
def edit(
    visit: Writes,
    touch: Touch,
    subject: Said = "",
    text: Said = "",
    seen: Annotated[str, Form(max_length=64)] = "",
    campaign: Campaign = "",
    after: FormPlace = 0,
) -> Response:
    """Another subject and text for one draft; what cannot be kept is shown again."""
    try:
        before = approvals.rendered(visit.store, touch, visit.workspace.opt_out, visit.now)
        if seen and seen != _seen(before):
            raise Refused("Somebody else has edited this draft meanwhile.", hint="Save again to keep yours instead.")
        if not clean([subject, text]):
            raise InvalidInput("There is a control character in it, which no mail can carry.", hint="Take it out.")
        with visit.changing("touch.edit", f"touch:{touch}", lambda: _look(visit, touch)):
            by, opt_out = visit.caller.name, visit.workspace.opt_out
            approvals.edit(visit.store, touch, subject, text, by=by, opt_out=opt_out, now=visit.now)
    except (InvalidInput, Refused) as error:
        status = 409 if isinstance(error, Refused) else 422
        typed = Typed(subject, text, f"{error.message} {error.hint}".strip())
        return _page(visit, campaign, after, touch, typed=typed, status=status)
    return frame.done(visit.request, _url(campaign, after, touch), "Saved. It still waits for a yes.")


@routes.post("/approvals/approve")
def approve(visit: Writes, ids: Ids, only: FormPlace = 0, campaign: Campaign = "", after: FormPlace = 0) -> Response:
    """Say yes to those that are ticked, or to the one whose button was pressed."""
    chosen = _chosen(ids, only)
    with visit.changing("touch.approve", _of(chosen)) as change:
        by, opt_out = visit.caller.name, visit.workspace.opt_out
        done = approvals.approve(visit.store, chosen, by=by, opt_out=opt_out, now=visit.now)
        change.after = {"ids": chosen, "approved": done.approved, "suppressed": done.suppressed, "gone": done.gone}
    kind = "good" if done.approved == len(chosen) else "warn"
    return frame.done(visit.request, _url(campaign, after, min(chosen)), _told(done), kind)


@routes.post("/approvals/reject")
def reject(
    visit: Writes,
    ids: Ids,
    only: FormPlace = 0,
    reason: Reason = "",
    campaign: Campaign = "",
    after: FormPlace = 0,
) -> Response:
    """Say no to them: their leads get nothing more from the campaign."""
    chosen = _chosen(ids, only)
    with visit.changing("touch.reject", _of(chosen)) as change:
        done = approvals.reject(visit.store, chosen, by=visit.caller.name, reason=reason, now=visit.now)
        change.after = {"ids": chosen, "reason": reason, "rejected": done.rejected, "gone": done.gone}
    said = f"{done.rejected} rejected; they get nothing more from their campaign."
    if done.gone:
        said += f" {done.gone} had left or ended already."
    return frame.done(visit.request, _url(campaign, after, min(chosen)), said, "warn" if done.gone else "good")


def _page(
    visit: Visit, campaign: str, after: int, touch: int, *, typed: Typed | None = None, status: int = 200
) -> Response:
    rows, named = _queue(visit, campaign, after), touch
    if touch and (not rows or touch > rows[:SHOWN][-1].touch_id):
        # It stands further behind; where nothing does, the queue begins again.
        after = touch - 1
        if not (rows := _queue(visit, campaign, after)):
            after = touch = 0
            rows = _queue(visit, campaign, after)
    shown = rows[:SHOWN]
    chosen = next((row.touch_id for row in shown if row.touch_id >= touch), None)
    if typed is not None:
        chosen = named
    with visit.store.reading() as unit:
        names = unit.campaigns.names()
    values = {
        "rows": [
            {"waiting": row, "name": name_of(row.row), "href": _url(campaign, after, row.touch_id)} for row in shown
        ],
        "campaigns": names,
        "campaign": campaign,
        "after": after,
        "chosen": chosen,
        "focus": bool(named),
        "total": approvals.waiting_count(visit.store, campaign or None),
        "following": _url(campaign, shown[-1].touch_id, 0) if len(rows) > SHOWN else "",
        "first": _url(campaign, 0, 0) if after else "",
    }
    more = _mail(visit, chosen, campaign, after, typed) if chosen else {}
    return frame.page(visit, "approvals.html", values | more, status=status)


def _queue(visit: Visit, campaign: str, after: int) -> list[approvals.Waiting]:
    opt_out = visit.workspace.opt_out
    return approvals.waiting(visit.store, campaign=campaign or None, after=after, limit=SHOWN + 1, opt_out=opt_out)


def _mail(visit: Visit, touch: int, campaign: str, after: int, typed: Typed | None = None) -> dict[str, Any]:
    """What the right side shows of one touch."""
    found = approvals.rendered(visit.store, touch, visit.workspace.opt_out, visit.now)
    row = found.touch
    with visit.store.reading() as unit:
        stored = unit.campaigns.by_id(row["campaign_id"])
    zone = place_of(row["timezone"], row["country"], row["region"], stored.campaign.timezone).zone
    prospect, parts = _evidence(visit, row)
    return {
        "campaign": campaign,
        "after": after,
        "mail": found,
        "mail_html": f"/approvals/{touch}/html",
        "who": name_of(row),
        "seen": _seen(found),
        "typed": typed,
        "local": f"{row['due_at'].astimezone(ZoneInfo(zone)):%a %d %b, %H:%M}",
        "zone": zone,
        "prospect": prospect,
        "parts": parts,
    }


def _evidence(visit: Visit, row: Row) -> tuple[Row, dict[str, list[dict[str, Any]]]]:
    """The prospect and what made its score, by axis; parts that gave nothing stand on the lead's page."""
    for chapter in journey.journey(visit.store, row["identity"]).chapters:
        if chapter.prospect["id"] == row["prospect_id"]:
            parts: dict[str, list[dict[str, Any]]] = {}
            for line in filter(lambda part: part.points, chapter.parts):
                name = f"{line.group}: {line.name}" if line.group else line.name
                told = {"name": name, "points": line.points, "detail": line.evidence}
                parts.setdefault(line.axis, []).append(told)
            return chapter.prospect, parts
    raise NotFound(f"Touch {row['touch_id']} has no prospect any more.", hint="Its lead may have been erased.")


def _seen(found: approvals.Rendered) -> str:
    """Names a text, so that nobody overwrites what they have not read."""
    return hashlib.sha256(f"{found.subject}\0{found.body}".encode("utf-8", "replace")).hexdigest()[:32]


def _look(visit: Visit, touch: int) -> dict[str, Any]:
    with visit.store.reading() as unit:
        rows = unit.touches.letters([touch])
    return {name: rows[0][name] for name in ("state", "reason", "subject", "text")} if rows else {}


def _chosen(ids: Collection[int], only: int) -> list[int]:
    chosen = [only] if only else sorted(set(ids))
    if not chosen:
        raise InvalidInput("No message is ticked.", hint="Go back, tick those that you mean, and press again.")
    return chosen


def _of(chosen: list[int]) -> str:
    return f"touch:{chosen[0]}" if len(chosen) == 1 else "touches"


def _told(done: approvals.Approved) -> str:
    said = [f"{done.approved} approved."]
    if done.suppressed:
        said.append(f"{done.suppressed} suppressed meanwhile: nothing is sent to them.")
    if done.gone:
        said.append(f"{done.gone} did not wait any more.")
    if done.unwritable:
        reasons = "; ".join(sorted({reason for _, reason in done.unwritable}))
        said.append(f"{len(done.unwritable)} cannot be written: {reasons}.")
    return " ".join(said)


def _url(campaign: str, after: int, touch: int) -> str:
    asked = {"campaign": campaign, "after": after, "touch": touch}
    query = urlencode({name: value for name, value in asked.items() if value})
    return f"/approvals?{query}" if query else "/approvals"
