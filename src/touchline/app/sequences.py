"""Sequences for their editor: what they say, which leads lack what they use, how a message reads, and what will leave when."""

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from touchline.app.approvals import Rendered, render
from touchline.app.campaign_detail import SPAN, edited
from touchline.app.caps import caps_ahead
from touchline.app.desk import MOST, Count, day_bounds
from touchline.app.leads import find
from touchline.app.ledger import batch_of
from touchline.app.letters import OptOut
from touchline.app.pipeline import plan
from touchline.app.ports import Row, Store, StoredCampaign, Unit
from touchline.model import template
from touchline.model.campaign import Campaign, Mailbox, Sequence, Step, Variant
from touchline.model.columns import LEAD, Kind
from touchline.model.errors import InvalidInput, NotFound
from touchline.model.template import TemplateFailed

SAMPLE = 50_000
"""Leads in which what is lacking is counted: all, where a campaign has no more, else the newest."""

COLUMNS = {column.name: column for column in LEAD}


@dataclass(frozen=True, slots=True)
class StepView:
    """One step with the names that it takes from leads."""

    number: int
    step: Step
    variables: list[str]


@dataclass(frozen=True, slots=True)
class SequenceView:
    """One sequence; `routes` are the names of those that lead to it."""

    name: str
    language: str
    about: str
    steps: list[StepView]
    routes: list[str]


@dataclass(frozen=True, slots=True)
class Sequences:
    """What the editor starts from.

    Attributes:
        version: Of the campaign: to be given back with the changes.
        document: `sequences` and `snippets` as `campaign_detail.revise` takes them back.
    """

    campaign: str
    version: int
    sequences: list[SequenceView]
    document: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Lack:
    """A name that a step takes from leads; where it is `needed`, the message cannot be written without it."""

    variable: str
    leads: int
    needed: bool


@dataclass(frozen=True, slots=True)
class StepLack:
    """What leads lack for one step, what is needed first."""

    number: int
    name: str
    lacks: list[Lack]


@dataclass(frozen=True, slots=True)
class Lacking:
    """What the leads of a campaign lack; `sample` where only the newest of them were looked at."""

    leads: int
    sample: bool
    steps: list[StepLack]


@dataclass(frozen=True, slots=True)
class Coming:
    """What is due on one day, and the most that the campaign's mailboxes may send on it."""

    day: date
    campaign: str
    touches: Count
    cap: int


def sequences(store: Store, campaign: str) -> Sequences:
    """The sequences and snippets of a campaign.

    Raises:
        NotFound: No such campaign.
    """
    with store.reading() as unit:
        stored = unit.campaigns.get(campaign)
    now, document = stored.campaign, stored.campaign.as_document()
    return Sequences(
        campaign=campaign,
        version=stored.version,
        sequences=[
            SequenceView(
                name=name,
                language=sequence.language,
                about=sequence.about,
                steps=[StepView(place, step, _variables(now, step)) for place, step in enumerate(sequence.steps, 1)],
                routes=[route.name for route in now.routes if route.sequence == name],
            )
            for name, sequence in now.sequences.items()
        ],
        document={"sequences": document["sequences"], "snippets": document.get("snippets", {})},
    )


def _templates(campaign: Campaign, step: Step) -> list[str]:
    """Every text of a step: its own, its variants', and the passages that these use."""
    sources: list[Step | Variant] = [step, *step.variants]
    own = [text for source in sources for text in (source.subject, source.text, source.html) if text is not None]
    used = frozenset[str]().union(*(template.compiled(text).variables for text in own))
    passages = [one.text for name, many in campaign.snippets.items() if f"snippets.{name}" in used for one in many]
    return own + passages


def _variables(campaign: Campaign, step: Step) -> list[str]:
    """Names that a step takes from leads: columns, and `extra.` names."""
    used = frozenset[str]().union(*(template.compiled(text).variables for text in _templates(campaign, step)))
    return sorted({_column(name) for name in used if _is_of_lead(name)})


def _is_of_lead(name: str) -> bool:
    head, _, rest = name.partition(".")
    return bool(rest) if head == "extra" else head in COLUMNS


def _column(name: str) -> str:
    """`first_name.size` is about `first_name`; `extra.pain` has a name of its own."""
    parts = name.split(".")
    return ".".join(parts[:2]) if parts[0] == "extra" else parts[0]


def lacking(store: Store, campaign: str, sequence: str, ending: Callable[[], bool] = lambda: False) -> Lacking | None:
    """How many leads of a campaign lack what each step uses; None where `ending` said so.

    Raises:
        NotFound: No such campaign, or it has no such sequence.
    """
    with store.reading() as unit:
        stored = unit.campaigns.get(campaign)
        used = _of(stored.campaign, sequence)
        names = {number: _variables(stored.campaign, step) for number, step in enumerate(used.steps, 1)}
        columns = sorted({name.partition(".")[0] for many in names.values() for name in many})
        leads = _newest_leads(unit, stored.id, columns, ending)
    if leads is None:
        return None
    sampled = leads.head(SAMPLE)
    counts = {name: _without(sampled, name) for many in names.values() for name in many}
    return Lacking(
        leads=sampled.height,
        sample=leads.height > SAMPLE,
        steps=[
            StepLack(number, step.name, _lacks(stored.campaign, step, names[number], counts))
            for number, step in enumerate(used.steps, 1)
        ],
    )


def _newest_leads(
    unit: Unit, campaign_id: int, columns: Collection[str], ending: Callable[[], bool]
) -> pl.DataFrame | None:
    """These columns of the newest leads, one more than the sample has where there are more."""
    upto, found = unit.desk.newest_prospect(), list[pl.DataFrame]()
    while True:
        if ending():
            return None
        wanted = SAMPLE + 1 - sum(map(len, found))
        found.append(unit.desk.leads_of(campaign_id, columns, upto - SPAN, upto, wanted))
        upto -= SPAN
        if upto <= 0 or sum(map(len, found)) > SAMPLE:
            return pl.concat(found)


def _without(leads: pl.DataFrame, name: str) -> int:
    column, _, key = name.partition(".")
    if key:
        return sum(not _has_extra(text, key) for text in leads["extra"])
    values = leads[column]
    if values.dtype == pl.String:
        return int((values.str.strip_chars(" \t\n|") == "").fill_null(value=True).sum())
    return values.null_count()


def _has_extra(text: str | None, key: str) -> bool:
    value = json.loads(text).get(key) if text else None
    return bool(value.strip()) if isinstance(value, str) else value is not None


def _lacks(campaign: Campaign, step: Step, names: Iterable[str], counts: Mapping[str, int]) -> list[Lack]:
    found = [Lack(name, counts[name], _is_needed(campaign, step, name)) for name in names]
    return sorted(found, key=lambda one: (not one.needed, -one.leads, one.variable))


def _is_needed(campaign: Campaign, step: Step, name: str) -> bool:
    """Whether some text of a step cannot be written for a lead that has all but this."""
    values = _full(campaign)
    column, _, key = name.partition(".")
    if key:
        # Any other name of one's own is there; this one is not.
        used = {one for text in _templates(campaign, step) for one in template.compiled(text).variables}
        values["extra"] = {_column(one)[6:]: "x" for one in used if one.startswith("extra.") and _column(one) != name}
    else:
        values[column] = None
    for text in _templates(campaign, step):
        try:
            template.compiled(text).render(values)
        except TemplateFailed as error:
            if error.variable == name or _column(error.variable) == name:
                return True
    return False


def _full(campaign: Campaign) -> dict[str, Any]:
    """A lead of whom everything is known."""
    given = {Kind.NUMBER: 100, Kind.AMOUNT: 100.0, Kind.TAGS: "|x|"}
    values: dict[str, Any] = {name: given.get(column.kind, "x") for name, column in COLUMNS.items()}
    values["extra"] = _Anything()
    values["sender"] = {"name": campaign.sender.name or "x", "company": campaign.sender.company or "x"}
    return values | {"mailbox": {"name": "x"}, "snippets": dict.fromkeys(campaign.snippets, "x")}


class _Anything(dict[str, str]):
    """Has something under every name."""

    def __missing__(self, key: str) -> str:
        return "x"


def _of(campaign: Campaign, name: str) -> Sequence:
    if name not in campaign.sequences:
        known = ", ".join(campaign.sequences)
        raise NotFound(f"Campaign {campaign.name!r} has no sequence {name!r}.", hint=f"It has: {known}.")
    return campaign.sequences[name]


def preview(
    store: Store,
    campaign: str,
    sequence: str,
    step: int,
    variant: str | None,
    who: str,
    opt_out: OptOut,
    now: datetime,
    *,
    changes: Mapping[str, Any] | None = None,
) -> Rendered:
    """A step as this lead would get it, by the code that plans and sends; nothing is stored.

    What comes before it in the thread is what the lead has got, else what it would have got.

    Args:
        step: Position, from 1.
        variant: One to show; None: the one that the lead would get.
        who: Address of a lead.
        changes: Entries of the campaign that are being edited, as `campaign_detail.revise` takes them.

    Raises:
        NotFound: No such campaign, sequence, step, variant or lead.
        InvalidInput: The changes cannot be applied.
    """
    with store.reading() as unit:
        stored = unit.campaigns.get(campaign)
        if changes is not None:
            stored = replace(stored, campaign=edited(stored, changes))
        _check(_of(stored.campaign, sequence), sequence, step, variant)
        lead = find(unit, who)
        prospect = next((p["id"] for p in unit.prospects.of_lead(lead["id"]) if p["campaign_id"] == stored.id), 0)
        got = unit.touches.earlier([prospect]).get(prospect, []) if prospect else []
    stored = _with_mailbox(stored)
    before = [one for one in got if one["step"] < step]
    while len(before) < step - 1:
        row = _planned(stored, lead, prospect, sequence, len(before) + 1, opt_out, now)
        found = render(stored, row, {prospect: before}, opt_out, now)
        before.append(row | {"subject": found.subject})
    row = _planned(stored, lead, prospect, sequence, step, opt_out, now)
    if before:
        # The thread stays with its mailbox.
        row["mailbox"] = before[-1]["mailbox"]
    return render(stored, row | ({"variant": variant} if variant else {}), {prospect: before}, opt_out, now)


def _check(sequence: Sequence, name: str, step: int, variant: str | None) -> None:
    if not 1 <= step <= len(sequence.steps):
        raise NotFound(f"Sequence {name!r} has no step {step}.", hint=f"It has 1 to {len(sequence.steps)}.")
    known = [one.name for one in sequence.steps[step - 1].variants]
    if variant is not None and variant not in known:
        hint = f"It has: {', '.join(known)}." if known else "It has none."
        raise NotFound(f"Step {step} of {name!r} has no variant {variant!r}.", hint=hint)


def _with_mailbox(stored: StoredCampaign) -> StoredCampaign:
    """A campaign that has no mailbox yet can be read all the same."""
    if stored.campaign.mailboxes:
        return stored
    nobody = Mailbox(address="nobody@example.com", host="localhost")
    return replace(stored, campaign=stored.campaign.model_copy(update={"mailboxes": (nobody,)}))


def _planned(
    stored: StoredCampaign, lead: Row, prospect: int, sequence: str, step: int, opt_out: OptOut, now: datetime
) -> Row:
    """The touch that would be planned, with its lead."""
    if not lead["email"]:
        raise InvalidInput("This lead has no address yet.", hint="Choose one that has.")
    batch = batch_of([lead]).with_columns(
        pl.lit(prospect, pl.Int64).alias("prospect_id"), pl.lit(now, pl.Datetime("us", "UTC")).alias("due_at")
    )
    planned = plan(batch, stored, sequence=sequence, step=step, secret=opt_out.secret).row(0, named=True)
    fresh = {"touch_id": 0, "subject": None, "text": None, "html": None, "attempts": 0, "reason": None}
    named = {"lead_id": lead["id"], "identity": lead["identity"], "campaign": stored.campaign.name}
    return {name: lead[name] for name in COLUMNS} | planned | fresh | named


def coming(store: Store, now: datetime, *, zone: str = "UTC", days: int = 30) -> list[Coming]:
    """What is due on each day and of each campaign, by day and name; days without anything are left out.

    The first day is today in the zone, with all that is late. A count stops at its bound for each mailbox.
    """
    first = now.astimezone(ZoneInfo(zone)).date()
    bounds = day_bounds(zone, first, days)
    found = []
    with store.reading() as unit:
        for outline in unit.desk.outlines():
            mailboxes = list(map(Mailbox.model_validate, outline["body"].get("mailboxes", ())))
            caps = caps_ahead(unit, mailboxes, now, days)
            counts = [unit.desk.coming(outline["id"], one.address, bounds, MOST + 1) for one in mailboxes]
            for place, each in enumerate(zip(*counts, strict=True)):
                touches = Count(sum(min(one, MOST) for one in each), more=any(one > MOST for one in each))
                if touches:
                    found.append(Coming(first + timedelta(days=place), outline["name"], touches, caps[place]))
    return sorted(found, key=lambda one: (one.day, one.campaign))
