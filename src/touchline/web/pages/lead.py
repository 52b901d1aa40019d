"""The page Lead: who this is, what was decided and why, what has happened, what comes next, and what a person can do."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Form, Path
from starlette.responses import Response

from touchline.app import approvals, bulk, gates, journey, leads, outbox, suppression
from touchline.app.ports import Row
from touchline.app.search import where_of
from touchline.model.calendar import place_of
from touchline.model.errors import InvalidInput, NotFound
from touchline.web import frame
from touchline.web.api.texts import ONE_LINE
from touchline.web.pages.leads import Asked, name_of, why
from touchline.web.visit import Visit, needs

routes = APIRouter(include_in_schema=False)
Reads = Annotated[Visit, needs("leads:read")]
Writes = Annotated[Visit, needs("leads:write")]
Number = Annotated[int, Path(ge=1, le=2**63 - 1)]
Key = Annotated[int, Form(ge=1, le=2**63 - 1)]
Reason = Annotated[str, Form(max_length=500, pattern=ONE_LINE)]

PERSON = ("title", "seniority", "role", "phone", "profile_url", "language", "city", "region", "country", "timezone")
COMPANY = ("company", "domain", "industry", "employees", "stage", "tech", "intent", "budget", "timeline_months")
ALIKE = ("country", "industry", "seniority", "role", "language", "stage", "account")
"""Facts that link to the leads that share them."""
AT_AN_END = ("finished", "replied", "stopped")


@dataclass(frozen=True, slots=True)
class _Fact:
    name: str
    value: str
    href: str = ""


@dataclass(frozen=True, slots=True)
class _Part:
    """One campaign's part of the page.

    Attributes:
        why: Why the prospect stands where it does.
        parts: Score parts by axis, as the macro takes them.
        closed: Gates that hold its next touch.
        zone: The lead's zone.
        local: When the next touch is due there.
        mails: Touches, each with its `deliveries`.
    """

    prospect: Row
    why: str
    parts: dict[str, list[dict[str, Any]]]
    held: gates.WhyNot
    closed: list[gates.Gate]
    next_touch: Row | None
    zone: str
    local: str
    mails: list[Row]
    tier_href: str


@routes.get("/leads/{number:int}")
def page(visit: Reads, number: Number) -> Response:
    """Everything that is known of one lead."""
    row = leads.by_key(visit.store, number)
    found = journey.journey(visit.store, row["identity"])
    values = {
        "lead": row,
        "name": name_of(row),
        "found": found,
        "person": _facts(row, PERSON),
        "company": _facts(row, COMPANY),
        "extra": _extra(row["extra"]),
        "parts": [_part(visit, row, chapter, found.origin) for chapter in found.chapters],
        "timeline": _timeline(found.happened),
        "can_end": any(chapter.prospect["state"] not in AT_AN_END for chapter in found.chapters),
    }
    return frame.page(visit, "lead.html", values)


@routes.get("/leads/{number:int}/touches/{touch:int}")
def message(
    visit: Annotated[Visit, needs("touches:read")], number: Number, touch: Annotated[int, Path(ge=1, le=2**63 - 1)]
) -> Response:
    """One message: as it left, or as it would leave now, by the code that sends."""
    rendered = approvals.rendered(visit.store, touch, visit.workspace.opt_out, visit.now)
    if rendered.touch["lead_id"] != number:
        raise NotFound(f"Lead {number} has no touch {touch}.", hint="Open it from the lead's page.")
    with visit.store.reading() as unit:
        tries = unit.journal.deliveries([touch])
    # The date of what has left stands with its attempt; here it would be that of the look.
    left = rendered.touch["state"] == "sent"
    headers = [(name, value) for name, value in rendered.headers if not (left and name == "Date")]
    values = {"lead_id": number, "name": name_of(rendered.touch), "mail": rendered, "headers": headers, "tries": tries}
    return frame.page(visit, "lead_message.html", values)


@routes.post("/leads/{number:int}/suppress")
def suppress(visit: Writes, number: Number, reason: Reason = "") -> Response:
    """This address gets nothing any more, in any campaign."""
    base = leads.by_key(visit.store, number)["base_address"]
    if base is None:
        raise InvalidInput(f"Lead {number} has no address to suppress.", hint="Suppress its company's domain instead.")
    with visit.changing("suppression.add", f"lead:{number}") as change:
        with visit.store.transaction() as unit:
            done = suppression.suppress(unit, [("address", base, reason)], visit.caller.name, visit.now)
        change.after = {"values": [base], "new": done.new, "reason": reason}
    said = "is suppressed" if done.new else "was suppressed already"
    return _done(visit, number, f"{base} {said}; {done.touches_cancelled} messages cancelled.")


@routes.post("/leads/{number:int}/replied")
def replied(visit: Writes, number: Number) -> Response:
    """A person answered elsewhere: every sequence to them ends."""
    identity = leads.by_key(visit.store, number)["identity"]
    with visit.changing("lead.replied", f"lead:{number}") as change:
        _, cancelled = leads.replied(visit.store, identity, visit.now)
        change.after = {"touches_cancelled": cancelled}
    return _done(visit, number, f"Noted as replied; {cancelled} messages cancelled.")


@routes.post("/leads/{number:int}/stop")
def stop(visit: Writes, number: Number, prospect: Key, reason: Reason = "") -> Response:
    """End the sequence in one campaign."""
    if not reason.strip():
        raise InvalidInput("To stop a sequence needs a reason.", hint="Say why; it is kept with the lead.")
    counted = _bulk_of_one(visit, number, prospect, "stop", reason)
    return _done(visit, number, f"Stopped; {counted.get('touches_cancelled', 0)} messages cancelled.")


@routes.post("/leads/{number:int}/again")
def again(visit: Writes, number: Number, prospect: Key) -> Response:
    """Judge it again in the next run."""
    _bulk_of_one(visit, number, prospect, "requeue", "")
    return _done(visit, number, "The campaign's next run judges it again.")


@routes.post("/leads/{number:int}/verdict")
def decide(
    visit: Annotated[Visit, needs("prospects:write")],
    number: Number,
    prospect: Key,
    verdict: Annotated[Literal["qualified", "rejected"], Form()],
    reason: Reason = "",
) -> Response:
    """A person's verdict."""
    identity = leads.by_key(visit.store, number)["identity"]
    of = _prospect(visit, number, prospect)

    def look() -> dict[str, Any]:
        row = _prospect(visit, number, prospect)
        return {name: row[name] for name in ("state", "verdict", "verdict_reason", "decided_by")}

    with visit.changing(f"prospect.{verdict}", f"prospect:{prospect}", look):
        leads.decide(visit.store, identity, of["campaign"], verdict, by=visit.caller.name, reason=reason, now=visit.now)
    return _done(visit, number, f"Your verdict is {verdict}; the next run of {of['campaign']} goes on from it.")


@routes.post("/leads/{number:int}/settle")
def settle(
    visit: Annotated[Visit, needs("touches:write")],
    number: Number,
    touch: Key,
    how: Annotated[Literal["sent", "resend", "drop"], Form()],
) -> Response:
    """Say what became of a message of unknown fate."""
    with visit.store.reading() as unit:
        rows = [row for row in unit.touches.letters([touch]) if row["lead_id"] == number]
    if not rows:
        raise NotFound(f"Lead {number} has no touch {touch}.", hint="Open it from the lead's page.")
    with visit.changing(f"touch.{how}", f"touch:{touch}") as change:
        state = outbox.resolve(
            visit.store, touch, how, by=visit.caller.name, secret=visit.workspace.secret, now=visit.now
        )
        change.after = {"state": state}
    return _done(visit, number, f"The message is {state} now.")


def _bulk_of_one(visit: Visit, number: int, prospect: int, action: bulk.Action, reason: str) -> Mapping[str, int]:
    campaign = _prospect(visit, number, prospect)["campaign"]
    with visit.changing(f"leads.{action}", f"prospect:{prospect}") as change:
        order = bulk.Order(action, reason, by=visit.caller.name)
        done = bulk.act_on(visit.store, bulk.Selection(campaign, None), order, [number], visit.now)
        change.after = {"reason": reason, "counts": done.progress.counts}
    return done.progress.counts


def _done(visit: Visit, number: int, said: str) -> Response:
    return frame.done(visit.request, f"/leads/{number}", said)


def _prospect(visit: Visit, number: int, prospect: int) -> Row:
    with visit.store.reading() as unit:
        for row in unit.prospects.of_lead(number):
            if row["id"] == prospect:
                return row
    raise NotFound(f"Lead {number} has no prospect {prospect}.", hint="Open the lead's page again.")


def _facts(row: Row, names: tuple[str, ...]) -> list[_Fact]:
    made = []
    for name in names:
        value = row[name]
        if value in (None, ""):
            continue
        text = value.strip("|").replace("|", ", ") if isinstance(value, str) else f"{value:,}".removesuffix(".0")
        alike = "account" if name == "company" and row["account"] else name
        href = Asked(where=where_of({alike: row[alike]})).url() if alike in ALIKE and "\\" not in row[alike] else ""
        made.append(_Fact(name.replace("_", " ").replace("url", "page"), text, href))
    return made


def _extra(text: str | None) -> list[tuple[str, str]]:
    """Other columns of the source, as they came."""
    if not text:
        return []
    try:
        read = json.loads(text)
    except ValueError:
        return [("extra", text)]
    return [(str(name), str(value)) for name, value in read.items()] if isinstance(read, dict) else [("extra", text)]


def _part(visit: Visit, row: Row, chapter: journey.Chapter, origin: Row | None) -> _Part:
    prospect = chapter.prospect
    held = gates.why_not(visit.store, prospect["id"], visit.now, visit.workspace.opt_out)
    with visit.store.reading() as unit:
        campaign = unit.campaigns.by_id(prospect["campaign_id"]).campaign
        tries = unit.journal.deliveries([touch["id"] for touch in chapter.touches])
    zone = place_of(row["timezone"], row["country"], row["region"], campaign.timezone).zone
    due = chapter.next_touch["due_at"] if chapter.next_touch else None
    by_axis: dict[str, list[dict[str, Any]]] = {}
    for line in chapter.parts:
        name = f"{line.group}: {line.name}" if line.group else line.name
        source = {"source": origin["name"], "at": origin["started_at"]} if origin else {"source": row["source"] or ""}
        by_axis.setdefault(line.axis, []).append(
            {"name": name, "points": line.points, "detail": line.evidence, **source}
        )
    return _Part(
        prospect=prospect,
        why=why(prospect),
        parts=by_axis,
        held=held,
        # Who is not enrolled waits for nothing but that.
        closed=[gate for gate in held.gates if not gate.open][: None if held.gates[0].open else 1],
        next_touch=chapter.next_touch,
        zone=zone,
        local=_local(due, zone) if due else "",
        mails=[
            {**touch, "deliveries": [one for one in tries if one["touch_id"] == touch["id"]]}
            for touch in chapter.touches
        ],
        tier_href=Asked(prospect["campaign"], where_of({"tier": prospect["tier"]})).url() if prospect["tier"] else "",
    )


def _local(at: datetime, zone: str) -> str:
    return f"{at.astimezone(ZoneInfo(zone)):%a %d %b, %H:%M}"


def _timeline(happened: list[tuple[datetime, str, str]]) -> list[dict[str, Any]]:
    return [
        {"at": at, "what": what.capitalize(), "detail": detail, "kind": _kind(what)} for at, what, detail in happened
    ]


def _kind(what: str) -> str:
    """The word of an entry that says how it looks: `step 2 cancelled` ends with it, others begin with it."""
    words = what.split()
    return (
        words[-1]
        if words[0] == "step"
        else {"harvested": "info", "scored": "info", "routed": "info"}.get(words[0], words[0])
    )
