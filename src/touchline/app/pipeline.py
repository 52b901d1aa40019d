"""From leads to planned touches: asks for what the stages need, runs them on a batch, and saves the batch once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import polars as pl

from touchline.app.ports import Clock, Probe, Progress, Resolver, Stopwatch, Store, StoredCampaign, Unit
from touchline.model.campaign import Campaign
from touchline.model.columns import DECISIONS
from touchline.stages import nurture, qualify, reaches, route, score
from touchline.stages.addresses import check_addresses
from touchline.stages.route import draw
from touchline.stages.send import message_ids

RECHECK = timedelta(hours=20)
"""A little less than from one daily run to the next, which may begin sooner in its window. When to look again at what may pass by itself: a silent DNS server, another campaign's sequence, a recent contact."""

DECIDED = tuple(column.name for column in DECISIONS)
UNWRITABLE = "cannot be written: "
"""How the reason of a touch begins whose message lacks something; its prospect is held until a person has looked."""


@dataclass(frozen=True, slots=True)
class Outside:
    """What the pipeline needs from outside, together."""

    store: Store
    resolver: Resolver
    clock: Clock
    probe: Probe
    progress: Progress
    secret: bytes
    keep_answers: timedelta
    batch_rows: int
    stopwatch: Stopwatch
    heard: dict[str, str] = field(default_factory=dict)
    """DNS answers of this work so far, silence among them: who is slow for one batch is not waited for in the next."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What DNS says of the mail domains of a batch."""

    words: dict[str, str]
    asked: dict[str, str]
    """Those that the store does not keep yet."""

    def keep(self, store: Store, now: datetime) -> None:
        """Keep what was asked, in a transaction of its own: whoever asks for the same domains waits for no batch."""
        if self.asked:
            with store.transaction(lasting=False) as unit:
                unit.mx.keep(self.asked, now)


def mail_domains(outside: Outside, leads: pl.DataFrame) -> Answers:
    """DNS answers for the mail domains of a batch: kept ones first, the rest asked. Before the transaction, since DNS takes its time."""
    with outside.stopwatch.timing("resolve"):
        wanted = qualify.domains_to_resolve(leads)
        unheard = wanted - outside.heard.keys()
        asked = {}
        if unheard:
            with outside.store.reading() as unit:
                known = unit.mx.known(unheard, outside.clock.now() - outside.keep_answers)
            asked = outside.resolver.resolve_now(sorted(unheard - known.keys()))
            outside.heard.update(known | asked)
        return Answers({domain: outside.heard[domain] for domain in wanted}, asked)


def judge(
    leads: pl.DataFrame,
    stored: StoredCampaign,
    *,
    until: str,
    mx: Mapping[str, str],
    facts: pl.DataFrame,
    now: datetime,
    stopwatch: Stopwatch,
) -> pl.DataFrame:
    """Run score, qualify and route over a batch and say where each prospect stands.

    Args:
        leads: LEAD columns with shadows and `identity`; `decided_by` and `was_verdict` where a person decided.
        until: Last stage to run.
        mx: DNS answers of the batch's mail domains.
        facts: What the store knows (see `route`).

    Returns:
        The batch with every column of a decision, `state`, `state_reason`, `pending`, `recheck_at`, `campaign_version`.
    """
    campaign = stored.campaign
    batch = leads
    if reaches(until, "score"):
        with stopwatch.timing("score"):
            batch = score.score(batch, campaign.icp, campaign.tiers)
    if reaches(until, "qualify"):
        with stopwatch.timing("qualify"):
            batch = qualify.qualify(check_addresses(batch, mx), campaign.rules, campaign.otherwise)
            batch = _with_persons_verdict(batch)
    if reaches(until, "route"):
        with stopwatch.timing("route"):
            batch = route.route(batch, campaign, facts)
    missing = [pl.lit(None, pl.Int64 if c in ("fit", "opportunity") else pl.String).alias(c) for c in DECIDED]
    batch = batch.with_columns(m for m in missing if m.meta.output_name() not in batch.columns)
    done = reaches(until, "nurture")
    verdict, passing = pl.col("verdict"), pl.col("route_reason").str.contains(r"^(in active sequence|contacted )")
    state = (
        pl.when(verdict != "qualified")
        .then(verdict)
        .when(pl.col("sequence").is_null())
        .then(pl.lit("unrouted"))
        .otherwise(pl.lit("enrolled"))
    )
    again = (pl.col("state") == "unrouted") & passing | (
        pl.col("state").is_in(["held", "rejected", "unrouted"]) & (pl.col("address_status") == "unknown")
    )
    return (
        batch.with_columns((state if done else pl.lit("harvested")).alias("state"))
        .with_columns(
            pl.lit(None, pl.String).alias("state_reason"),
            pl.lit(0 if done else 1, pl.Int64).alias("pending"),
            pl.when(again.fill_null(False) & done)
            .then(pl.lit(now + RECHECK, pl.Datetime("us", "UTC")))
            .alias("recheck_at"),
            pl.lit(stored.version if reaches(until, "score") else None, pl.Int64).alias("campaign_version"),
        )
        .rechunk()
    )


def _with_persons_verdict(batch: pl.DataFrame) -> pl.DataFrame:
    """A verdict that a person gave stands until a person changes it; an address that takes no mail stays rejected."""
    if "decided_by" not in batch.columns:
        return batch
    # "address invalid" is no person's word: it stood in for theirs while the address took no mail.
    theirs = pl.col("decided_by").is_not_null() & ~pl.col("was_verdict_reason").str.starts_with("address invalid")
    persons = theirs.fill_null(False) & (pl.col("address_status") != "invalid").fill_null(False)
    return batch.with_columns(
        pl.when(persons).then(f"was_{name}").otherwise(name).alias(name) for name in ("verdict", "verdict_reason")
    )


def enrolments(batch: pl.DataFrame, stored: StoredCampaign, secret: bytes, now: datetime) -> pl.DataFrame:
    """First touches of the enrolled prospects of a batch.

    Args:
        batch: `prospect_id`, `state`, `sequence`, `identity` and LEAD columns with shadows.

    Returns:
        One row for each enrolled prospect: all that `touches.insert` wants.
    """
    campaign = stored.campaign
    enrolled = batch.filter(pl.col("state") == "enrolled")
    if enrolled.is_empty() or not campaign.mailboxes:
        return _no_touches()
    parts = []
    for (name,), group in enrolled.group_by("sequence", maintain_order=True):
        first = campaign.sequences[str(name)].steps[0]
        start = now + timedelta(days=first.wait_days)
        timed = nurture.due(group, campaign.window, campaign.timezone, start, 0)
        parts.append(plan(timed, stored, sequence=str(name), step=1, secret=secret))
    return pl.concat(parts)


def plan(timed: pl.DataFrame, stored: StoredCampaign, *, sequence: str, step: int, secret: bytes) -> pl.DataFrame:
    """Touches at one step for prospects whose `due_at` is known; the same input always gives the same Message-IDs."""
    campaign = stored.campaign
    if "mailbox" not in timed.columns:
        timed = timed.with_columns(mailbox=_mailboxes(timed["identity"], campaign))
    named = []
    for (address,), part in timed.with_row_index("place").group_by("mailbox", maintain_order=True):
        domain = str(address).rpartition("@")[2]
        ids = message_ids(secret, campaign.name, part["identity"].to_list(), step, domain)
        named.append(part.select("place", pl.Series("message_id", ids, dtype=pl.String)))
    message_id = pl.concat(named).sort("place")["message_id"]
    return timed.select(
        pl.lit(stored.id, pl.Int64).alias("campaign_id"),
        "prospect_id",
        pl.lit(step, pl.Int64).alias("step"),
        pl.lit(sequence).alias("sequence"),
        route.choose_variants(timed, campaign.sequences[sequence], step - 1).alias("variant"),
        pl.lit("drafted" if campaign.mode == "review" else "planned").alias("state"),
        "due_at",
        "mailbox",
        message_id,
    )


def _mailboxes(identities: pl.Series, campaign: Campaign) -> pl.Series:
    """One mailbox a person, by a stable draw: the thread stays with one sender."""
    addresses = [mailbox.address for mailbox in campaign.mailboxes]
    drawn = draw(identities, "mailbox").cast(pl.UInt64) * len(addresses) // 2**32
    return drawn.replace_strict(range(len(addresses)), addresses, return_dtype=pl.String)


def _no_touches() -> pl.DataFrame:
    text, whole = pl.String, pl.Int64
    return pl.DataFrame(
        schema={
            "campaign_id": whole,
            "prospect_id": whole,
            "step": whole,
            "sequence": text,
            "variant": text,
            "state": text,
            "due_at": pl.Datetime("us", "UTC"),
            "mailbox": text,
            "message_id": text,
        }
    )


def add_prospects(unit: Unit, decided: pl.DataFrame, stored: StoredCampaign, outside: Outside, now: datetime) -> None:
    """Write new prospects with their decisions and first touches: each row once.

    Args:
        decided: From `judge`, with `lead_id`.
    """
    timing = outside.stopwatch.timing
    with timing("save prospects"):
        keys = unit.prospects.insert(decided, stored.id, now)
    with timing("nurture"):
        touches = enrolments(decided.with_columns(keys), stored, outside.secret, now)
    with timing("save touches"):
        unit.touches.insert(touches, now)
