"""Bulk actions: one decision for all leads that meet a filter, after a person has confirmed how many that are."""

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, TypeAlias

import polars as pl

from touchline.app.ports import Store, StoredCampaign, Unit
from touchline.app.search import Filter, filter_of
from touchline.app.suppression import stop, suppress
from touchline.model.columns import DECISIONS
from touchline.model.errors import InvalidInput, Refused

JOB = "bulk"
PRIORITY = 1
"""Of its runs: somebody waits for it."""
BATCH = 500
AT_ONCE = 2 * BATCH
"""Leads that whoever decides may wait for; more are a run's work."""
AT_AN_END = ("stopped", "replied")

Action: TypeAlias = Literal["suppress", "stop", "requeue", "enrol"]
Keep: TypeAlias = Callable[[Unit, "Bulk"], None]


@dataclass(frozen=True, slots=True)
class Selection:
    """The leads that a person means: as on the page of leads."""

    campaign: str | None
    where: str | None
    text: str | None = None

    def digest(self) -> str:
        """Equal for equal filters."""
        said = [self.campaign, (self.where or "").strip(), " ".join((self.text or "").split())]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Preview:
    """What a person confirms: the count they saw, and of which filter."""

    count: int
    digest: str


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done.

    Attributes:
        reason: Stands with every suppression and stop; needed for those two.
        into: The campaign that `enrol` adds the leads to.
        by: Who decided.
    """

    action: Action
    reason: str = ""
    into: str | None = None
    by: str = "unknown"

    def check(self) -> None:
        """See that nothing is missing.

        Raises:
            InvalidInput: A reason or a campaign is.
        """
        if self.action in ("suppress", "stop") and not self.reason.strip():
            raise InvalidInput(f"To {self.action} leads needs a reason.", hint="Say why; it is kept with each of them.")
        if self.action == "enrol" and not self.into:
            raise InvalidInput("It is not said which campaign to enrol into.", hint="Choose a campaign.")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a bulk action has come.

    Attributes:
        after: Key of the last lead that was looked at.
        until: Greatest key when it began; who comes later was not confirmed.
        counts: matched, and by action: suppressed, stopped, requeued, enrolled, already, touches_cancelled, set_aside.
    """

    after: int = 0
    until: int = 0
    ended: bool = False
    counts: Mapping[str, int] = field(default_factory=lambda: {"matched": 0})


@dataclass(frozen=True, slots=True)
class Bulk:
    """A bulk action under way: with the same value it goes on behind its last batch, in this process or another.

    Attributes:
        count: How many leads met the filter when it began; no more are done, whoever meets it later.
    """

    selection: Selection
    order: Order
    count: int
    progress: Progress

    @property
    def left(self) -> int:
        """How many of them are still to be done."""
        counts = self.progress.counts
        return self.count - counts["matched"] - counts.get("set_aside", 0)

    def behind(self, keys: Sequence[int], most: int, counts: Mapping[str, int]) -> "Bulk":
        """As it is once these leads, of which `most` were asked for, are done."""
        before = self.progress
        whole = {name: before.counts.get(name, 0) + counts.get(name, 0) for name in {**before.counts, **counts}}
        done = replace(self, progress=replace(before, after=keys[-1] if keys else before.after, counts=whole))
        return replace(done, progress=replace(done.progress, ended=len(keys) < most or done.left <= 0))

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Bulk":
        """What `document` gave."""
        return cls(
            Selection(**document["selection"]),
            Order(**document["order"]),
            document["count"],
            Progress(**document["progress"]),
        )


def preview(store: Store, selection: Selection) -> Preview:
    """How many leads a filter means now. Exact, so it may take some seconds in a large store.

    Raises:
        NotFound: No such campaign.
        InvalidInput: The filter cannot be used.
    """
    with store.reading() as unit:
        asked = filter_of(unit, selection.campaign, selection.where, selection.text)
        return Preview(unit.search.count(_campaign_id(unit, selection), asked), selection.digest())


def begin(store: Store, selection: Selection, order: Order, confirmed: Preview) -> Bulk:
    """Check an order against what was confirmed.

    Raises:
        Refused: More leads meet the filter now than were confirmed, or it is another filter; the message has the new count.
        InvalidInput: A reason or a campaign is missing.
        NotFound: No such campaign.
    """
    order.check()
    if confirmed.digest != selection.digest():
        raise Refused("The filter is not the one that was confirmed.", hint="Look at the count again and confirm it.")
    now = preview(store, selection)
    if now.count > confirmed.count:
        raise Refused(
            f"The filter means {now.count:,} leads now; {confirmed.count:,} were confirmed.",
            hint="Look at them again and confirm the new count.",
        )
    with store.reading() as unit:
        if order.into:
            unit.campaigns.get(order.into)
        span = unit.search.span(_campaign_id(unit, selection))
    progress = Progress(until=span[1]) if span and now.count else Progress(ended=True)
    return Bulk(selection, order, now.count, progress)


def act_on(store: Store, selection: Selection, order: Order, keys: Collection[int], now: datetime) -> Bulk:
    """Do it to each of a few leads that still meet the filter, by key; raises as `begin` does."""
    order.check()
    work = Bulk(selection, order, len(keys), Progress())
    for key in sorted(keys):
        work = batch(store, replace(work, progress=replace(work.progress, after=key - 1, until=key)), now)
    return replace(work, progress=replace(work.progress, ended=True))


def act(store: Store, selection: Selection, order: Order, confirmed: Preview, now: datetime) -> tuple[Bulk, int | None]:
    """Do it at once where it is about few leads, else queue a run of it; raises as `begin` does.

    Returns:
        How far it has come, and the number of the run.
    """
    work = begin(store, selection, order, confirmed)
    if work.count > AT_ONCE:
        with store.transaction() as unit:
            campaign = unit.campaigns.get(selection.campaign) if selection.campaign else None
            of = {"campaign_id": campaign.id, "campaign_version": campaign.version} if campaign else {}
            return work, unit.runs.open(JOB, now, **of, priority=PRIORITY, payload=work.document())
    while not work.progress.ended:
        work = batch(store, work, now)
    return work, None


def batch(store: Store, work: Bulk, now: datetime, keep: Keep | None = None) -> Bulk:
    """Do the next `BATCH` leads in one transaction, in which `keep` may write down what the work has come to."""
    most = min(BATCH, work.left)
    campaign_id, asked, keys = _next(store, work, most)
    counts: dict[str, int] = {}
    with store.transaction() as unit:
        if keys:
            chosen = unit.search.still(campaign_id, asked, keys)
            counts = {"matched": len(chosen), **_done(unit, work.order, campaign_id, chosen, now)}
        done = work.behind(keys, most, counts)
        if keep is not None:
            keep(unit, done)
    return done


def pass_over(store: Store, work: Bulk, keep: Keep) -> tuple[Bulk, dict[str, int]]:
    """Leave the next `BATCH` leads as they are; gives which: those behind `after`, up to `upto`."""
    most = min(BATCH, work.left)
    _, _, keys = _next(store, work, most)
    passed = work.behind(keys, most, {"set_aside": len(keys)})
    with store.transaction() as unit:
        keep(unit, passed)
    return passed, {"after": work.progress.after, "upto": passed.progress.after}


def again(document: Mapping[str, Any], places: Iterable[Mapping[str, int]]) -> dict[str, Any]:
    """What a run is to do that tries another one again: all from the first batch that was set aside, else from where it ended.

    What is done already is found to be so: every action may be repeated.

    Raises:
        Refused: There is nothing left to do.
    """
    work = Bulk.of(document)
    aside = [place["after"] for place in places]
    if work.progress.ended and not aside:
        raise Refused("It has come to its end.", hint="Choose the leads on the page Leads, and confirm their number.")
    after = min([work.progress.after, *aside])
    return replace(work, progress=Progress(after=after, until=work.progress.until)).document()


def _next(store: Store, work: Bulk, most: int) -> tuple[int | None, Filter, list[int]]:
    """The keys of the next leads. They are looked for outside the transaction that writes: in a large store a rare filter takes a while."""
    of, progress = work.selection, work.progress
    with store.reading() as unit:
        campaign_id = _campaign_id(unit, of)
        asked = filter_of(unit, of.campaign, of.where, of.text)
        low, high = progress.after + 1, progress.until
        return campaign_id, asked, unit.search.between(campaign_id, asked, low=low, high=high, newest=False, limit=most)


def _campaign_id(unit: Unit, selection: Selection) -> int | None:
    return unit.campaigns.get(selection.campaign).id if selection.campaign else None


def _done(
    unit: Unit, order: Order, campaign_id: int | None, chosen: list[tuple[int, int | None]], now: datetime
) -> dict[str, int]:
    lead_ids = [lead for lead, _ in chosen]
    match order.action:
        case "suppress":
            return _suppressed(unit, lead_ids, order, now)
        case "stop":
            return _stopped(unit, campaign_id, chosen, order, now)
        case "requeue":
            if campaign_id is None:
                unit.prospects.mark_pending(lead_ids)
            else:
                unit.prospects.set([key for _, key in chosen if key is not None], now, pending=1)
            return {"requeued": len(chosen)}
        case "enrol":
            assert order.into is not None
            return _enrolled(unit, lead_ids, unit.campaigns.get(order.into), now)


def _suppressed(unit: Unit, lead_ids: list[int], order: Order, now: datetime) -> dict[str, int]:
    leads = unit.leads.by_ids(lead_ids)
    addresses = leads["base_address"].drop_nulls().to_list()
    done = suppress(unit, [("address", address, order.reason) for address in addresses], order.by, now)
    # Without an address there is nothing to suppress yet, and nothing may go on either.
    nameless = leads.filter(pl.col("base_address").is_null())["lead_id"].to_list()
    cancelled = stop(unit, nameless, f"suppressed: {order.reason.strip()}", now)
    return {
        "suppressed": done.new,
        "already": done.already,
        "stopped": len(nameless),
        "touches_cancelled": done.touches_cancelled + cancelled,
    }


def _stopped(
    unit: Unit, campaign_id: int | None, chosen: list[tuple[int, int | None]], order: Order, now: datetime
) -> dict[str, int]:
    reason = f"{order.by}: {order.reason.strip()}"
    if campaign_id is None:
        lead_ids = [lead for lead, _ in chosen]
        ended = unit.prospects.stop_leads(lead_ids, "stopped", reason, now)
    else:
        # They are locked, so what they are now they still are when they are stopped.
        ended = [key for _, key in chosen if key is not None and unit.prospects.state(key) not in AT_AN_END]
        unit.prospects.set(ended, now, state="stopped", state_reason=reason, pending=0, recheck_at=None)
    return {"stopped": len(ended), "touches_cancelled": unit.touches.cancel_open(ended, reason, now)}


def _enrolled(unit: Unit, lead_ids: list[int], into: StoredCampaign, now: datetime) -> dict[str, int]:
    """New prospects that the campaign's next run judges; who is suppressed or in it already is left out."""
    unit.campaigns.hold(into.id)
    absent = unit.prospects.absent(into.id, lead_ids)
    leads = unit.leads.by_ids(absent)
    barred = unit.suppressions.matching(leads)["identity"].to_list()
    fresh = leads.filter(~pl.col("identity").is_in(barred)).select("lead_id")
    unknown: dict[str, pl.DataType] = {
        "state_reason": pl.String(),
        "recheck_at": pl.Datetime("us", "UTC"),
        "campaign_version": pl.Int64(),
        **{column.name: column.dtype for column in DECISIONS},
    }
    rows = fresh.with_columns(
        pl.lit("harvested").alias("state"),
        pl.lit(1, pl.Int64).alias("pending"),
        *(pl.lit(None, kind).alias(name) for name, kind in unknown.items()),
    )
    unit.prospects.insert(rows, into.id, now)
    return {"enrolled": fresh.height, "already": len(lead_ids) - len(absent), "suppressed": len(barred)}
