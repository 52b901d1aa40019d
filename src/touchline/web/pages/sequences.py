"""The sequence editor: steps, variants and snippets, what leads lack for them, how they read, and what will leave when."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.datastructures import FormData
from starlette.responses import Response

from touchline.adapters.clock import elapsed
from touchline.app import campaign_detail, campaigns, search, sequences
from touchline.app.approvals import Rendered
from touchline.app.caps import caps_ahead
from touchline.model.cells import clean
from touchline.model.columns import SEARCH
from touchline.model.errors import InvalidInput, NotFound, Refused
from touchline.web import frame
from touchline.web.api.texts import ONE_LINE
from touchline.web.visit import Visit, needs

routes = APIRouter(include_in_schema=False)

Reads = Annotated[Visit, needs("sequences:read")]
Writes = Annotated[Visit, needs("sequences:write")]
Name = Annotated[str, Path(min_length=1, max_length=200, pattern=ONE_LINE)]
Word = Annotated[str, Query(max_length=500, pattern=ONE_LINE)]
ACTS = ("save", "preview", "earlier", "later", "remove")
MOST_VARIANTS = 30
MOST_PASSAGES = 200
OFFERED = 12
"""Leads whose addresses the preview offers."""
TEXTS = ("subject", "text", "html")
PLACE = re.compile(
    r"sequences\.(?P<sequence>[^.]+)\.steps\[(?P<step>.*?)\](?:\.variants\[(?P<variant>.*?)\])?\.(?P<field>\w+)"
    r"(?::| (?=uses)) ?(?P<said>.*)",
    re.DOTALL,
)
PASSAGE = re.compile(
    r"snippets\.(?P<name>[^\[]+)\[(?P<place>\d+)\]\.(?P<field>\w+)(?::| (?=uses)) ?(?P<said>.*)", re.DOTALL
)


async def _sent(request: Request) -> FormData:
    return await request.form()


Sent = Annotated[FormData, Depends(_sent)]


@dataclass(slots=True)
class Typed:
    """One step as it stands in the form, sound or not.

    Attributes:
        number: Its position, from 1; one behind the last is a new step.
        version: Of the campaign that it was made from.
        variants: `name`, `when`, `subject`, `text`, `html`.
        errors: What is wrong, by field: `text`, `variant-1-text`.
        wrong: What is wrong elsewhere.
    """

    sequence: str
    number: int
    version: int
    name: str = ""
    wait_days: str = "3"
    subject: str = ""
    text: str = ""
    html: str = ""
    variants: list[dict[str, str]] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    @property
    def whole(self) -> dict[str, Any]:
        """The step as a campaign's file has it."""
        days = self.wait_days.strip()
        step: dict[str, Any] = {"name": self.name.strip(), "text": self.text}
        step["wait_days"] = int(days) if re.fullmatch(r"-?\d{1,6}", days) else days
        step |= {key: value for key in ("subject", "html") if (value := getattr(self, key)).strip()}
        step["variants"] = [
            {key: value for key, value in one.items() if value.strip() or key in ("name", "text")}
            for one in self.variants
        ]
        return step


@dataclass(frozen=True, slots=True)
class Shown:
    """A preview: the mail, or why there is none."""

    mail: Rendered | None = None
    error: str = ""


@routes.get("/campaigns/{name}/sequences")
def page(
    visit: Reads,
    name: Name,
    sequence: Word = "",
    step: Annotated[int, Query(ge=0, le=51)] = 1,
    part: Literal["steps", "snippets"] = "steps",
    variant: Word = "",
    lead: Word = "",
) -> Response:
    """One step of a sequence, or the snippets of the campaign."""
    found = sequences.sequences(visit.store, name)
    if part == "snippets":
        return _snippets(visit, found, _passages(found.document["snippets"]), found.version)
    typed = _stored(found, sequence or found.sequences[0].name, step)
    new = typed.number > len(found.document["sequences"][typed.sequence]["steps"])
    shown = Shown() if not lead or new else _preview(visit, name, typed, variant, lead, None)
    return _editor(visit, found, typed, lead=lead, variant=variant, shown=shown)


@routes.post("/campaigns/{name}/sequences")
def change(visit: Writes, name: Name, form: Sent) -> Response:
    """Keep a step as it was typed, move it or take it out; or show it to a lead without keeping it."""
    found = sequences.sequences(visit.store, name)
    typed, act = _typed(form), str(form.get("act", "save"))
    lead, variant = _line(form, "lead"), _line(form, "variant")
    if act not in ACTS:
        raise InvalidInput("This form asks for nothing that is known here.", hint="Load the page again.")
    if not clean(list(typed.whole.values())):
        typed.wrong.append("There is a control character in it, which no mail can carry: take it out.")
        return _editor(visit, found, typed, lead=lead, variant=variant, status=422)
    if typed.version != found.version or typed.sequence not in found.document["sequences"]:
        return _conflict(visit, found, typed, lead, variant)
    document, number = _edited(found.document, typed, act)
    if act == "preview":
        return _previewed(visit, found, typed, document, lead, variant)
    try:
        with visit.changing("sequences.revise", f"campaign:{name}", partial(_glance, visit, name)):
            done = campaign_detail.revise(visit.store, name, document, visit.now, version=typed.version)
    except InvalidInput as error:
        _place_errors(typed, error, name)
        return _editor(visit, found, typed, lead=lead, variant=variant, status=422)
    except Refused:
        return _conflict(visit, sequences.sequences(visit.store, name), typed, lead, variant)
    said = "Nothing was different." if done.change == "unchanged" else f"Saved as version {done.version}."
    return frame.done(visit.request, _url(name, typed.sequence, number, lead), f"{said} {' '.join(done.obstacles)}")


@routes.post("/campaigns/{name}/snippets")
def change_snippets(visit: Writes, name: Name, form: Sent) -> Response:
    """Keep all snippets as they were typed."""
    found = sequences.sequences(visit.store, name)
    typed, version = _typed_passages(form), _number(form, "version")
    if not clean([list(one.values()) for one in typed]):
        wrong = ["There is a control character in it, which no mail can carry: take it out."]
        return _snippets(visit, found, typed, version, wrong=wrong, status=422)
    document: dict[str, Any] = {"snippets": {}}
    for one in typed:
        passage = {"text": one["text"]} | ({"when": one["when"]} if one["when"].strip() else {})
        document["snippets"].setdefault(one["name"].strip(), []).append(passage)
    try:
        with visit.changing("sequences.revise", f"campaign:{name}", partial(_glance, visit, name)):
            done = campaign_detail.revise(visit.store, name, document, visit.now, version=version)
    except InvalidInput as error:
        errors, wrong = _passage_errors(typed, error, name)
        return _snippets(visit, found, typed, version, errors=errors, wrong=wrong, status=422)
    except Refused as error:
        now = sequences.sequences(visit.store, name)
        wrong = [f"{error.message} What you typed is kept here: save again to put it in place of theirs."]
        return _snippets(visit, now, typed, now.version, wrong=wrong, status=409)
    said = "Nothing was different." if done.change == "unchanged" else f"Saved as version {done.version}."
    return frame.done(visit.request, f"{_path(name)}?part=snippets", said)


@routes.get("/campaigns/{name}/sequences/lacking")
def lacking(visit: Reads, name: Name, sequence: Word, step: Annotated[int, Query(ge=1, le=51)] = 1) -> Response:
    """What leads lack for a step, once it has been counted."""
    found = sequences.sequences(visit.store, name)
    values = _lacking(visit, found, _stored(found, sequence, step))
    return frame.page(visit, "_lacking.html", {"name": name, **values})


@routes.get("/campaigns/{name}/calendar")
def calendar(visit: Reads, name: Name) -> Response:
    """What is due on each of the next thirty days, against what the mailboxes may send."""
    stored = campaigns.get(visit.store, name)
    zone = visit.caller.timezone or stored.campaign.timezone
    due = {one.day: one for one in sequences.coming(visit.store, visit.now, zone=zone) if one.campaign == name}
    first = visit.now.astimezone(ZoneInfo(zone)).date()
    with visit.store.reading() as unit:
        caps = caps_ahead(unit, stored.campaign.mailboxes, visit.now, 30)
    days = [first + timedelta(days=place) for place in range(30)]
    rows: list[dict[str, Any]] = [
        {"day": day, "due": due[day].touches.value if day in due else 0, "of": due.get(day), "cap": cap}
        for day, cap in zip(days, caps, strict=True)
    ]
    values = {
        "name": name,
        "rows": rows,
        "any": any(row["due"] for row in rows),
        "caps": caps,
        "zone": zone,
        "labels": [f"{day:%d %b}" for day in days],
        "total": sum(row["due"] for row in rows),
        "over": [row for row in rows if row["due"] > row["cap"]],
    }
    return frame.page(visit, "calendar.html", values)


def _editor(
    visit: Visit,
    found: sequences.Sequences,
    typed: Typed,
    *,
    lead: str = "",
    variant: str = "",
    shown: Shown | None = None,
    present: Sequence[str] | None = None,
    status: int = 200,
) -> Response:
    """The page of a step; `present` is what is stored now, where that is not what was edited."""
    view = next((one for one in found.sequences if one.name == typed.sequence), None)
    offered = _offered(visit, found.campaign)
    values = {
        "name": found.campaign,
        "version": found.version,
        "part": "steps",
        "tabs": _tabs(found, typed.sequence),
        "view": view,
        "typed": typed,
        "is_new": view is None or typed.number > len(view.steps),
        "present": present,
        "written": _lines(typed.whole),
        "lead": lead or (offered[0] if offered else ""),
        "offered": offered,
        "variant": variant,
        "shown": shown or Shown(),
        "editable": visit.caller.may("sequences:write"),
        **_lacking(visit, found, typed),
    }
    return frame.page(visit, "sequences.html", values, status=status)


def _snippets(
    visit: Visit,
    found: sequences.Sequences,
    typed: list[dict[str, str]],
    version: int,
    *,
    errors: Mapping[str, str] | None = None,
    wrong: Sequence[str] = (),
    status: int = 200,
) -> Response:
    values = {
        "name": found.campaign,
        "version": version,
        "part": "snippets",
        "tabs": _tabs(found, None),
        "passages": typed,
        "errors": errors or {},
        "wrong": wrong,
        "editable": visit.caller.may("sequences:write"),
    }
    return frame.page(visit, "sequences.html", values, status=status)


def _conflict(visit: Visit, now: sequences.Sequences, typed: Typed, lead: str, variant: str) -> Response:
    """Somebody was quicker: what was typed stays, beside what is stored now; saved again, it goes in its place."""
    steps = now.document["sequences"].get(typed.sequence, {"steps": []})["steps"]
    present = _lines(steps[typed.number - 1]) if typed.number <= len(steps) else []
    typed.wrong.append(f"Campaign {now.campaign} has become version {now.version} while you were writing.")
    typed.version = now.version
    return _editor(visit, now, typed, lead=lead, variant=variant, present=present, status=409)


def _previewed(
    visit: Visit, found: sequences.Sequences, typed: Typed, document: dict[str, Any], lead: str, variant: str
) -> Response:
    shown = _preview(visit, found.campaign, typed, variant, lead, document)
    if visit.request.headers.get("hx-request"):
        return frame.page(visit, "_preview.html", {"shown": shown})
    return _editor(visit, found, typed, lead=lead, variant=variant, shown=shown)


def _preview(visit: Visit, name: str, typed: Typed, variant: str, lead: str, changes: dict[str, Any] | None) -> Shown:
    if not lead:
        return Shown(error="Write the address of a lead, or choose one that is offered.")
    known = {one["name"] for one in typed.variants}
    try:
        found = sequences.preview(
            visit.store,
            name,
            typed.sequence,
            typed.number,
            variant if variant in known else None,
            lead,
            visit.workspace.opt_out,
            visit.now,
            changes=changes,
        )
    except (InvalidInput, NotFound) as error:
        return Shown(error=f"{error.message.removeprefix(f'campaign {name}: ')} {error.hint}".strip())
    return Shown(found)


def _edited(document: Mapping[str, Any], typed: Typed, act: str) -> tuple[dict[str, Any], int]:
    """All sequences with this step as it was typed; and the step to show then."""
    sequence = document["sequences"][typed.sequence]
    steps = list(sequence["steps"])
    at = min(typed.number - 1, len(steps))
    steps[at : at + 1] = [typed.whole]
    if act == "remove":
        del steps[at]
        at = max(0, at - 1)
    to = {"earlier": max(0, at - 1), "later": min(len(steps) - 1, at + 1)}.get(act, at)
    if to != at:
        steps.insert(to, steps.pop(at))
    return {"sequences": {**document["sequences"], typed.sequence: {**sequence, "steps": steps}}}, to + 1


def _stored(found: sequences.Sequences, sequence: str, number: int) -> Typed:
    """A step as it is stored; one behind the last is empty."""
    view = next((one for one in found.sequences if one.name == sequence), None)
    if view is None:
        known = ", ".join(one.name for one in found.sequences)
        raise NotFound(f"Campaign {found.campaign!r} has no sequence {sequence!r}.", hint=f"It has: {known}.")
    count = len(view.steps)
    if number == 0 or number > count:
        return Typed(sequence, count + 1, found.version, name=f"step-{count + 1}")
    step = view.steps[number - 1].step
    return Typed(
        sequence=sequence,
        number=number,
        version=found.version,
        name=step.name,
        wait_days=str(step.wait_days),
        subject=step.subject or "",
        text=step.text,
        html=step.html or "",
        variants=[{key: getattr(one, key) or "" for key in ("name", "when", *TEXTS)} for one in step.variants],
    )


def _typed(form: FormData) -> Typed:
    variants = []
    for place in range(1, MOST_VARIANTS + 1):
        one = {key: str(form.get(f"variant-{place}-{key}", "")) for key in ("name", "when", *TEXTS)}
        # An empty row is the one that waits for a new variant.
        if f"variant-{place}-remove" not in form and (one["name"].strip() or one["text"].strip()):
            variants.append(one)
    return Typed(
        number=max(1, min(_number(form, "step"), 51)),
        version=_number(form, "version"),
        variants=variants,
        sequence=str(form.get("sequence", "")),
        name=str(form.get("name", "")),
        wait_days=str(form.get("wait_days", "")),
        subject=str(form.get("subject", "")),
        text=str(form.get("text", "")),
        html=str(form.get("html", "")),
    )


def _place_errors(typed: Typed, error: InvalidInput, name: str) -> None:
    """Each fault to the field in which it is."""
    for line in error.message.removeprefix(f"campaign {name}: ").splitlines():
        found = PLACE.fullmatch(line)
        mine = (
            found and found["sequence"] == typed.sequence and found["step"] in (typed.name.strip(), str(typed.number))
        )
        if not mine or found is None:
            typed.wrong.append(line)
            continue
        key = found["field"]
        if found["variant"] is not None:
            names = [one["name"].strip() for one in typed.variants]
            of = found["variant"]
            key = f"variant-{names.index(of) + 1 if of in names else of}-{key}"
        typed.errors[key] = found["said"]


def _passages(snippets: Mapping[str, list[dict[str, str]]]) -> list[dict[str, str]]:
    return [
        {"name": name, "when": one.get("when") or "", "text": one.get("text", "")}
        for name, many in snippets.items()
        for one in many
    ]


def _typed_passages(form: FormData) -> list[dict[str, str]]:
    found = []
    for place in range(1, MOST_PASSAGES + 1):
        one = {key: str(form.get(f"passage-{place}-{key}", "")) for key in ("name", "when", "text")}
        if f"passage-{place}-remove" not in form and (one["name"].strip() or one["text"].strip()):
            found.append(one)
    return found


def _passage_errors(typed: list[dict[str, str]], error: InvalidInput, name: str) -> tuple[dict[str, str], list[str]]:
    errors, wrong = dict[str, str](), list[str]()
    for line in error.message.removeprefix(f"campaign {name}: ").splitlines():
        found = PASSAGE.fullmatch(line)
        places = [at for at, one in enumerate(typed, 1) if found and one["name"].strip() == found["name"]]
        if found and int(found["place"]) <= len(places):
            errors[f"passage-{places[int(found['place']) - 1]}-{found['field']}"] = found["said"]
        else:
            wrong.append(line)
    return errors, wrong


def _lacking(visit: Visit, found: sequences.Sequences, typed: Typed) -> dict[str, Any]:
    """What leads lack for this step as it is stored; None while it is being counted."""
    empty: dict[str, Any] = {"lacks": [], "counted": None, "lacking_href": "", "short": {}}
    if typed.sequence not in found.document["sequences"]:
        return empty
    name, sequence = found.campaign, typed.sequence
    counted, _ = visit.site.counts.get(
        ("lacking", name, sequence, found.version), partial(sequences.lacking, visit.store, name, sequence)
    )
    href = f"{_path(name)}/lacking?{urlencode({'sequence': sequence, 'step': typed.number})}"
    if counted is None:
        return {**empty, "lacking_href": href}
    mine = next((one for one in counted.steps if one.number == typed.number), None)
    short = {one.number: max((lack.leads for lack in one.lacks if lack.needed), default=0) for one in counted.steps}
    lacks = [
        {
            "variable": one.variable,
            "leads": one.leads,
            "needed": one.needed,
            "href": "/leads?" + urlencode({"campaign": name, "where": f"{one.variable} IS NULL"})
            if one.variable in SEARCH
            else "",
        }
        for one in (mine.lacks if mine else ())
    ]
    return {"lacks": lacks, "counted": counted, "lacking_href": href, "short": short}


def _offered(visit: Visit, campaign: str) -> list[str]:
    """Addresses of leads that a preview can be made for."""
    if not visit.caller.may("leads:read"):
        return []
    found = search.page(
        visit.store,
        campaign=campaign,
        where=None,
        text=None,
        sort="newest",
        cursor=None,
        seconds=elapsed,
        limit=OFFERED,
    )
    return [row["email"] for row in found.rows if row["email"]]


def _tabs(found: sequences.Sequences, sequence: str | None) -> list[dict[str, Any]]:
    tabs: list[dict[str, Any]] = [
        {
            "label": one.name,
            "href": _url(found.campaign, one.name, 1),
            "active": one.name == sequence,
            "count": len(one.steps),
        }
        for one in found.sequences
    ]
    passages = sum(map(len, found.document["snippets"].values()))
    href = f"{_path(found.campaign)}?part=snippets"
    return [*tabs, {"label": "Snippets", "href": href, "active": sequence is None, "count": passages}]


def _lines(step: Mapping[str, Any]) -> list[str]:
    """A step as lines that can stand beside others."""
    told = [f"{key}: {step[key]}" for key in ("name", "wait_days", "subject") if step.get(key) not in (None, "")]
    told += [line for key in ("text", "html") for line in str(step.get(key) or "").splitlines()]
    for one in step.get("variants", ()):
        told += [f"variant {one['name']}", *_lines({key: one.get(key) for key in ("when", *TEXTS)})]
    return told


def _line(form: FormData, key: str) -> str:
    return " ".join(str(form.get(key, "")).split())[:500]


def _number(form: FormData, key: str) -> int:
    text = str(form.get(key, ""))
    return int(text) if re.fullmatch(r"\d{1,9}", text, re.ASCII) else 0


def _glance(visit: Visit, name: str) -> dict[str, Any]:
    stored = campaigns.get(visit.store, name)
    return {"version": stored.version, "digest": stored.digest, "state": stored.state}


def _path(name: str) -> str:
    return f"/campaigns/{quote(name, safe='')}/sequences"


def _url(name: str, sequence: str, step: int, lead: str = "") -> str:
    asked = {"sequence": sequence, "step": step} | ({"lead": lead} if lead else {})
    return f"{_path(name)}?{urlencode(asked)}"
