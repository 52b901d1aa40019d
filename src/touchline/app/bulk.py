"""Bulk actions: one decision for all leads that meet a filter, after a person has confirmed how many that are."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias

import polars as pl

from touchline.app.ports import Store, StoredCampaign, Unit
from touchline.app.search import filter_of
from touchline.app.suppression import stop, suppress
from touchline.model.columns import DECISIONS
from touchline.model.errors import InvalidInput, Refused

BATCH = 500
AT_AN_END = ("stopped", "replied")

Action: TypeAlias = Literal["suppress", "stop", "requeue", "enrol"]
ACTIONS: tuple[Action, ...] = ("suppress", "stop", "requeue", "enrol")


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


@dataclass(slots=True)
class Progress:
    """How far a bulk action has come: with the same value it goes on behind its last batch.

    Attributes:
        after: Key of the last lead that was looked at.
        until: Greatest key when it began; who comes later was not confirmed.
        counts: matched, and by action: suppressed, stopped, requeued, enrolled, already, touches_cancelled.
    """

    after: int = 0
    until: int = 0
    ended: bool = False
    counts: dict[str, int] = field(default_factory=lambda: {"matched": 0})


def preview(store: Store, selection: Selection) -> Preview:
    """How many leads a filter means now. Exact, so it may take some seconds in a large store.

    Raises:
        NotFound: No such campaign.
        InvalidInput: The filter cannot be used.
    """
    with store.reading() as unit:
        campaign_id = unit.campaigns.get(selection.campaign).id if selection.campaign else None
        asked = filter_of(unit, selection.campaign, selection.where, selection.text)
        return Preview(unit.search.count(campaign_id, asked), selection.digest())


def begin(store: Store, selection: Selection, order: Order, confirmed: Preview) -> Progress:
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
        campaign_id = unit.campaigns.get(selection.campaign).id if selection.campaign else None
        span = unit.search.span(campaign_id)
    return Progress(until=span[1]) if span and now.count else Progress(ended=True)


def batch(
    store: Store, selection: Selection, order: Order, progress: Progress, now: datetime, size: int = BATCH
) -> None:
    """Do the next `size` leads in one transaction and move `progress` behind them."""
    with store.reading() as unit:
        # Looked for outside the transaction that writes: in a large store a rare filter takes a while.
        campaign_id = unit.campaigns.get(selection.campaign).id if selection.campaign else None
        asked = filter_of(unit, selection.campaign, selection.where, selection.text)
        keys = unit.search.between(
            campaign_id, asked, low=progress.after + 1, high=progress.until, newest=False, limit=size
        )
    counts: dict[str, int] = {}
    if keys:
        with store.transaction() as unit:
            chosen = unit.search.still(campaign_id, asked, keys)
            counts = {"matched": len(chosen), **_done(unit, order, campaign_id, chosen, now)}
        progress.after = keys[-1]
    for name, count in counts.items():
        progress.counts[name] = progress.counts.get(name, 0) + count
    progress.ended = len(keys) < size


def carry_out(
    store: Store,
    selection: Selection,
    order: Order,
    confirmed: Preview,
    clock: Callable[[], datetime],
    size: int = BATCH,
) -> Iterator[Progress]:
    """All of it, batch by batch; gives how far it has come after each."""
    progress = begin(store, selection, order, confirmed)
    while not progress.ended:
        batch(store, selection, order, progress, clock(), size)
        yield progress


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
