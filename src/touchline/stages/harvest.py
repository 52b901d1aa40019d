"""Merging normalised rows into the leads that are known: what is new, updated, duplicate, suppressed or rejected.

The answer is that of taking the rows one by one in file order, whatever the size of the batches:

- A row belongs to the lead with its base address. Without one, or if no lead has it, to the first lead with its profile,
  as long as the row or that lead has no address. A row with neither address nor profile belongs to the lead with neither
  that has its source and source key. "First" is the smallest `lead_id`, then the earliest row.
- A value that is not null takes the place of the lead's. What identifies a lead stays, once known: `KEPT`. A row with an
  address gives it to a lead that waits for one, which keeps its `lead_id`. `account` follows from domain and company.
- A row that is suppressed changes nothing. This is decided by the row's own identity alone.
"""

from dataclasses import dataclass

import polars as pl

from touchline.model.columns import LEAD, Kind
from touchline.stages.normalise import FIELDS, normalise
from touchline.stages.normalise.company import account
from touchline.stages.normalise.text import either, folded, only

__all__ = ["Harvested", "identity", "keys", "merge", "normalise"]

KEPT = ("email", "base_address", "email_domain", "profile_url")
"""Columns in which the first known value stays."""

ORIGIN = ("source", "source_key")
"""Columns that only the row that made the lead fills: a key means nothing beside another source."""


@dataclass(frozen=True, slots=True)
class Harvested:
    """What a batch comes to.

    Args:
        inserts: New leads after the whole batch, in file order: the columns of `LEAD`, their folded shadows, `identity`
            and `first_row`, the `row` that made the lead.
        updates: Known leads that are not what they were, after the whole batch: `lead_id`, `identity`, the columns of
            `LEAD` and their folded shadows.
        outcomes: Every row once, in file order: `row`, `outcome` (new, updated, duplicate, suppressed or rejected),
            `reason` (of the last two, else null), `identity` (of the lead that the row went to, after the whole batch;
            of a suppressed row its own; of a rejected row null) and `raw`.
    """

    inserts: pl.DataFrame
    updates: pl.DataFrame
    outcomes: pl.DataFrame


def identity() -> pl.Expr:
    """Identity of a lead: its base address, else `profile:` and its profile, else `source:`, its source, `:` and its key."""
    return pl.coalesce(
        "base_address",
        _page(),
        "source:" + pl.col("source") + ":" + pl.col("source_key"),
    ).alias("identity")


def _page() -> pl.Expr:
    return "profile:" + pl.col("profile_url")


def keys(rows: pl.DataFrame) -> tuple[list[str], list[str]]:
    """What to ask the store for before a merge.

    Args:
        rows: As `normalise` gives them.

    Returns:
        Identities and profiles, each without repeats. The known leads are those whose `identity` is among the first or
        whose `profile_url` is among the second.
    """
    good = rows.filter(pl.col("reason").is_null())
    direct = good.filter(pl.col("base_address").is_not_null() | pl.col("profile_url").is_null())
    profiles = good["profile_url"].drop_nulls().unique(maintain_order=True)
    return direct.select(identity()).to_series().unique(maintain_order=True).to_list(), profiles.to_list()


def merge(rows: pl.DataFrame, known: pl.DataFrame, suppressed: pl.DataFrame) -> Harvested:
    """Decide on every row, and give the leads as they are after all of them.

    Args:
        rows: As `normalise` gives them.
        known: Leads that match any of `keys(rows)`, more do no harm: the columns of `LEAD` and `lead_id`.
        suppressed: `identity` and `why` of those identities among the rows that must get nothing.
    """
    leads = known.select(pl.col("lead_id").cast(pl.Int64), *FIELDS).sort("lead_id").with_row_index("slot")
    leads = leads.with_columns(pl.col("slot").cast(pl.Int64))
    stopped = suppressed.select("identity", "why", pl.lit(value=True).alias("stopped")).unique("identity", keep="first")
    judged = rows.with_columns(
        pl.when(pl.col("reason").is_null()).then(identity()).alias("identity"),
        pl.int_range(pl.len()).alias("at"),
    ).join(stopped, on="identity", how="left", maintain_order="left")
    live = judged.filter(pl.col("reason").is_null() & pl.col("stopped").is_null())
    live = live.with_columns(_slots(live, leads).alias("slot"))
    touched = (live["slot"] < leads.height) | live["slot"].is_duplicated()
    states, changes = _states(live.filter(touched), leads)
    changed = _different(states, changes, leads)

    # Most rows are the only one of a lead nobody knew: those stay as they are.
    plain = live.filter(~touched).select("slot", pl.col("row").alias("first_row"), "identity", *FIELDS)
    fresh = states.filter(pl.col("slot") >= leads.height).select(plain.columns)
    inserts = pl.concat([plain, fresh]).sort("slot").drop("slot")
    return Harvested(
        inserts=_shadowed(inserts.select(*FIELDS, "identity", "first_row")),
        updates=_shadowed(changed.select("lead_id", "identity", *FIELDS)),
        outcomes=_outcomes(judged, changes.join(states.select("slot", "identity"), on="slot")),
    )


def _slots(rows: pl.DataFrame, leads: pl.DataFrame) -> pl.Series:
    """The place of each row's lead: that of a known one, else the number of known ones and the first row's place."""
    bare = pl.col("base_address").is_null()
    places = pl.concat(
        [
            leads.filter(~bare).select(identity="base_address", slot="slot"),
            leads.filter(pl.col("profile_url").is_not_null()).select(identity=_page(), slot="slot"),
            leads.filter(bare & pl.col("profile_url").is_null()).select(identity(), slot="slot"),
        ],
        how="vertical_relaxed",
    )
    places = places.group_by("identity").agg(pl.col("slot").min())
    new = leads.height + pl.col("at").min().over("identity")
    found = rows.select("identity", "at").join(places, on="identity", how="left", maintain_order="left")
    slots = found.select(pl.coalesce("slot", new)).to_series()
    tangled = _tangled(rows, leads)
    at = tangled.arg_true()
    return slots if at.is_empty() else slots.scatter(at, pl.Series(_one_by_one(rows.gather(at), leads), dtype=pl.Int64))


def _tangled(rows: pl.DataFrame, leads: pl.DataFrame) -> pl.Series:
    """Whether a row's lead depends on the order: its profile stands with an address here and without one there.

    So it is, too, with all rows of the addresses that such a profile stands with. Elsewhere one key decides.
    """
    both = pl.concat([frame.select("base_address", "profile_url") for frame in (rows, leads)])
    paged = both.filter(pl.col("profile_url").is_not_null())
    bare = paged.filter(pl.col("base_address").is_null()).select("profile_url").unique()
    shared = paged.filter(pl.col("base_address").is_not_null()).join(bare, on="profile_url", how="semi")
    pages, addresses = shared["profile_url"].unique().implode(), shared["base_address"].unique().implode()
    among = pl.col("profile_url").is_in(pages).fill_null(value=False) | pl.col("base_address").is_in(addresses)
    return rows.select(among.fill_null(value=False)).to_series()


def _one_by_one(rows: pl.DataFrame, leads: pl.DataFrame) -> list[int]:
    """Slots of tangled rows, found as the head of this module says; `first` and `bare` hold slots in order."""
    owner: dict[str, int] = {}
    first: dict[str, int] = {}
    bare: dict[str, list[int]] = {}
    paged: set[int] = set()
    slots = []

    def learn(slot: int, address: str | None, page: str | None) -> None:
        if address is not None:
            owner.setdefault(address, slot)
        if page is not None and slot not in paged:
            paged.add(slot)
            first[page] = min(slot, first.get(page, slot))
            if address is None:
                bare.setdefault(page, []).append(slot)

    for slot, address, page in leads.select("slot", "base_address", "profile_url").iter_rows():
        learn(slot, address, page)
    for at, address, page in rows.select("at", "base_address", "profile_url").iter_rows():
        found = first.get(page) if address is None else owner.get(address)
        if found is None and address is not None and bare.get(page):
            found = bare[page].pop(0)
        slots.append(leads.height + at if found is None else found)
        learn(slots[-1], address, page)
    return slots


def _states(rows: pl.DataFrame, leads: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The leads of some rows after all of these rows, and what each row did.

    Returns:
        One row a lead: `slot`, `lead_id` (null if new), `first_row`, `identity` and the columns of `LEAD`; and one row for each
        row: `at`, `slot` and `outcome`.
    """
    before = leads.join(rows.select("slot").unique(), on="slot", how="semi").with_columns(at=pl.lit(-1, pl.Int64))
    steps = pl.concat([before, rows.select("slot", "at", "row", *FIELDS)], how="diagonal").sort("slot", "at")
    slot, index = steps["slot"], pl.int_range(steps.height, eager=True)
    starts, ends = slot.is_first_distinct(), slot.is_last_distinct()
    begin = only(index, starts).forward_fill()
    changed, final = pl.repeat(value=False, n=steps.height, eager=True), {}
    for name in FIELDS:
        values = steps[name]
        brings = values.is_not_null()
        if not brings.any():
            final[name] = values.filter(ends)
            continue
        if name in ORIGIN:
            brings &= starts
        elif name in KEPT:
            brings &= only(slot, brings).is_first_distinct()
        held = only(index, brings).forward_fill()
        held = only(held, held >= begin)
        final[name] = values.gather(held.filter(ends))
        if name != "account":
            changed |= brings & values.ne_missing(values.gather(only(held.shift(1), ~starts)))
    final["account"] = either(account(final["domain"], final["company"]), final["account"])
    made = steps.filter(starts).select("slot", "lead_id", pl.col("row").alias("first_row"))
    states = made.with_columns(**final).with_columns(identity())
    outcome = pl.when(starts).then(pl.lit("new")).when(changed).then(pl.lit("updated")).otherwise(pl.lit("duplicate"))
    return states, steps.select("at", "slot", outcome.alias("outcome")).filter(pl.col("at") >= 0)


def _different(states: pl.DataFrame, changes: pl.DataFrame, leads: pl.DataFrame) -> pl.DataFrame:
    """Known leads that some row changed, unless another changed them back."""
    updated = changes.filter(pl.col("outcome") == "updated")["slot"].unique()
    after = states.filter((pl.col("slot") < leads.height) & pl.col("slot").is_in(updated.implode()))
    before = leads.gather(after["slot"])
    differs = pl.repeat(value=False, n=after.height, eager=True)
    for name in FIELDS:
        differs |= after[name].ne_missing(before[name])
    return after.filter(differs)


def _outcomes(judged: pl.DataFrame, changes: pl.DataFrame) -> pl.DataFrame:
    """One row for each row: a row that no change speaks of is new, unless it was stopped before."""
    rejected, stopped = pl.col("reason").is_not_null(), pl.col("stopped").is_not_null()
    outcome = (
        pl.when(rejected).then(pl.lit("rejected")).when(stopped).then(pl.lit("suppressed")).otherwise(pl.lit("new"))
    )
    found = judged.select(
        "row", outcome.alias("outcome"), pl.coalesce("reason", "why").alias("reason"), "identity", "raw"
    )
    at = changes["at"]
    return found.with_columns(
        found["outcome"].scatter(at, changes["outcome"]),
        found["identity"].scatter(at, changes["identity"]),
    )


def _shadowed(leads: pl.DataFrame) -> pl.DataFrame:
    """With the folded shadow of every TEXT column: the answer of `columns.shadows`, sooner."""
    texts = [column for column in LEAD if column.kind is Kind.TEXT]
    return leads.with_columns(folded(leads[column.name]).alias(column.compared) for column in texts)
