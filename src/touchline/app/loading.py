"""One source on its way into a campaign: read ahead, each batch a transaction that also moves the source's cursor."""

import json
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import polars as pl

from touchline.app.pipeline import Answers, Outside, add_prospects, judge, mail_domains
from touchline.app.ports import Row, Source, SourceBatch, StoredCampaign, Unit
from touchline.model.errors import Crossed, Refused
from touchline.stages import harvest, reaches

OUTCOMES = ("new", "updated", "duplicate", "suppressed", "rejected")

ALONE = 8
"""Batches that a load stores alone after another import has crossed one of it: such files bring the same people again,
and taking turns costs less than doing batches twice."""

STANDS = timedelta(minutes=30)
"""An import that has stored nothing for so long does not go on by itself: its process was killed, or its run's window closed."""

SET_ASIDE = "batch_failed"
"""Why rows are rejected whose batch failed as a whole, until somebody has it tried again."""


@dataclass(slots=True)
class Load:
    """One load under way: the store's cursor, which `offset` and `rows` follow.

    Attributes:
        alone: Batches that are still to be stored while no other import stores.
    """

    outside: Outside
    stored: StoredCampaign
    source: Source
    kind: str
    until: str
    import_id: int
    offset: int
    rows: int
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    alone: int = 0


def begun(outside: Outside, stored: StoredCampaign, source: Source, kind: str, until: str, last: Row | None) -> Load:
    """A load of this source, which goes on where the last one of the same content was cut short.

    Args:
        last: The last import of this content, if there is one.

    Raises:
        Refused: Another process has begun to load this content since that was looked at.
    """
    with outside.store.transaction() as unit:
        unit.campaigns.hold(stored.id)
        present = unit.imports.latest(stored.id, source.describe().fingerprint)
        if (present and present["id"]) != (last and last["id"]):
            raise Refused(
                f"Another process is importing {source.describe().name}.",
                hint="Wait for it: touchline imports list.",
            )
        if last is None or last["state"] == "done":
            return opened(outside, unit, source, stored, kind, until)
        unit.imports.finish(last["id"], "running", outside.clock.now())
        return Load(outside, stored, source, kind, until, last["id"], last["offset"], last["rows"])


def opened(outside: Outside, unit: Unit, source: Source, stored: StoredCampaign, kind: str, until: str) -> Load:
    """A load from the source's start."""
    described = source.describe()
    key = unit.imports.open(
        stored.id,
        source=kind,
        name=described.name,
        fingerprint=described.fingerprint,
        size=described.bytes,
        now=outside.clock.now(),
    )
    return Load(outside, stored, source, kind, until, key, 0, 0)


def batches(load: Load) -> Generator[dict[str, int]]:
    """Store the source batch by batch; gives the counts of each once it is committed, and closes the import after the last."""
    outside = load.outside
    ahead = _ahead(prepared(load, ask=reaches(load.until, "qualify")))
    try:
        for batch in ahead:
            # A power cut may take batches back, cursor and all: then they are read again. The import's end makes them last.
            yield take(load, batch)
    finally:
        ahead.close()
    with outside.store.transaction() as unit:
        unit.imports.finish(load.import_id, "done", outside.clock.now())


@dataclass(frozen=True, slots=True)
class Prepared:
    """A batch as far as it comes without a transaction: leads, and what DNS says of their domains."""

    source: SourceBatch
    rows: pl.DataFrame
    answers: Answers


def prepared(load: Load, *, ask: bool) -> Iterator[Prepared]:
    """The source's batches from the cursor on, as far as they come without a transaction.

    Args:
        ask: Ask DNS.
    """
    outside = load.outside
    timing = outside.stopwatch.timing
    batches = iter(load.source.batches(load.offset, load.rows))
    while True:
        with timing("read"):
            batch = next(batches, None)
        if batch is None:
            return
        with timing("normalise"):
            rows = harvest.normalise(batch.rows, load.kind)
        answers = mail_domains(outside, rows.filter(pl.col("reason").is_null())) if ask else Answers({}, {})
        yield Prepared(batch, rows, answers)


def _ahead(batches: Iterator[Prepared]) -> Generator[Prepared]:
    """The same batches, the next one made in a thread of its own while the last one is stored."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        coming = thread.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = thread.submit(next, batches, None)
            yield batch


def take(load: Load, batch: Prepared) -> dict[str, int]:
    """One batch: leads, prospects, touches, counts and the source's cursor in one transaction; gives its counts.

    Where another import brings the same people at the same moment it is begun anew, while no other may store.
    """
    batch.answers.keep(load.outside.store, load.outside.clock.now())
    if not load.alone:
        try:
            return _take(load, batch, alone=False)
        except Crossed:
            load.alone = ALONE
    load.alone -= 1
    return _take(load, batch, alone=True)


def _take(load: Load, batch: Prepared, *, alone: bool) -> dict[str, int]:
    outside = load.outside
    with ExitStack() as to_commit:
        unit = to_commit.enter_context(outside.store.transaction(lasting=False))
        counts = stored_in(unit, load, batch, alone=alone)
        outside.probe.reached("import-before-commit")
        with outside.stopwatch.timing("commit"):
            to_commit.close()
    outside.probe.reached("import-after-commit")
    _passed(load, batch.source, counts)
    return counts


def rehearse(unit: Unit, load: Load, batch: Prepared) -> None:
    """One batch in a transaction that is to be rolled back."""
    _passed(load, batch.source, stored_in(unit, load, batch, alone=False))


def stored_in(unit: Unit, load: Load, batch: Prepared, *, alone: bool) -> dict[str, int]:
    """Write a batch at the import's cursor, which it moves; gives its counts."""
    unit.campaigns.hold(load.stored.id)
    # The campaign may have a new version since the load began. Whoever judges everybody by it waits for this batch.
    load.stored = unit.campaigns.by_id(load.stored.id)
    now = load.outside.clock.now()
    beside = unit.imports.join(load.import_id, now - STANDS, alone=alone)
    cursor = unit.imports.get(load.import_id, lock=True)
    if cursor is None or cursor["offset"] != load.offset:
        raise Refused(
            f"Another process is importing {cursor['name'] if cursor else 'this file'}.",
            hint="Wait for it: touchline imports list.",
        )
    return _store(load, unit, batch, now, cursor=batch.source.next_offset, beside=beside)


def _passed(load: Load, batch: SourceBatch, counts: Mapping[str, int]) -> None:
    load.offset, load.rows = batch.next_offset, load.rows + batch.rows.height
    for outcome, count in counts.items():
        load.counts[outcome] += count


@dataclass(frozen=True, slots=True)
class _Merged:
    """A merged batch in the store: new leads with keys, who was known before, those of them it named, and each row's outcome."""

    inserted: pl.DataFrame
    known: frozenset[int]
    named: list[int]
    outcomes: pl.DataFrame


def _store(load: Load, unit: Unit, batch: Prepared, now: datetime, *, cursor: int, beside: bool) -> dict[str, int]:
    """Write a batch with its counts and set the import's cursor."""
    outside, stored = load.outside, load.stored
    timing = outside.stopwatch.timing
    merged = _merge(unit, batch.rows, now, load, beside=beside)
    with timing("match"):
        absent = unit.prospects.absent(stored.id, merged.named)
        fresh = _fresh(unit, absent, merged)
        # Nothing can be known of a lead that this batch made, so the store is not asked about it.
        old = pl.when(pl.col("lead_id").is_in(absent)).then("lead_id").alias("lead_id")
        facts = unit.prospects.facts(stored.id, fresh.with_columns(old), now)
    decided = judge(
        fresh, stored, until=load.until, mx=batch.answers.words, facts=facts, now=now, stopwatch=outside.stopwatch
    )
    add_prospects(unit, decided, stored, outside, now)
    told = merged.outcomes
    counts = {str(outcome): int(count) for outcome, count in told.group_by("outcome").len().iter_rows()}
    aside = told.filter(pl.col("outcome").is_in(["duplicate", "suppressed", "rejected"]))
    with timing("save rows"):
        aside = _with_text(aside, batch.source.rows)
        unit.imports.advance(load.import_id, now, offset=cursor, rows=told.height, counts=counts, set_aside=aside)
    with timing("match"):
        _see_no_other(unit, load, merged)
    return counts


def _see_no_other(unit: Unit, load: Load, merged: _Merged) -> None:
    """Whoever has the same identity is refused by the store. A profile page may stand beside different addresses.

    Raises:
        Crossed: An import that was committed meanwhile has brought somebody whom this batch brings too.
    """
    if unit.imports.leave(load.import_id):
        there = unit.leads.with_profiles(merged.inserted["profile_url"].drop_nulls().to_list())
        if not merged.known.union(merged.inserted["lead_id"]).issuperset(there):
            raise Crossed("Another import has added the same people.", hint="Try again.")


def set_aside(load: Load) -> tuple[Row, dict[str, int]]:
    """Pass over the next batch: its rows are rejected as `batch_failed`, and kept.

    Returns:
        The batch's place, by which `again` finds it, and its counts.
    """
    batch = next(iter(load.source.batches(load.offset, load.rows)))
    text = pl.lit(None, pl.String)
    rejected = batch.rows.select(
        "row", pl.lit("rejected").alias("outcome"), pl.lit(SET_ASIDE).alias("reason"), text.alias("identity"), "raw"
    )
    counts = {"rejected": rejected.height}
    with load.outside.store.transaction() as unit:
        cursor = unit.imports.get(load.import_id, lock=True)
        if cursor is None or cursor["offset"] != load.offset:
            raise Refused("Another process has gone on with this import.", hint="See: touchline imports list.")
        aside = _with_text(rejected, batch.rows)
        now = load.outside.clock.now()
        unit.imports.advance(
            load.import_id, now, offset=batch.next_offset, rows=rejected.height, counts=counts, set_aside=aside
        )
    place = {"import": load.import_id, "offset": load.offset, "row": load.rows, "rows": rejected.height}
    _passed(load, batch, counts)
    return place, counts


def again(
    outside: Outside, stored: StoredCampaign, source: Source, kind: str, until: str, place: Row
) -> dict[str, int]:
    """Try a batch again that was set aside; gives its counts, nothing where that has been done.

    Raises:
        Refused: The source no longer has the batch.
    """
    load = Load(outside, stored, source, kind, until, place["import"], place["offset"], place["row"])
    batch = next(prepared(load, ask=reaches(until, "qualify")), None)
    if batch is None or batch.rows.height < place["rows"]:
        raise Refused(f"{source.describe().name} no longer holds these rows.", hint="Import the file again.")
    # Batches may be larger by now.
    rows = Prepared(batch.source, batch.rows.head(place["rows"]), batch.answers)
    now = outside.clock.now()
    rows.answers.keep(outside.store, now)
    with outside.store.transaction() as unit:
        unit.campaigns.hold(stored.id)
        load.stored = unit.campaigns.by_id(stored.id)
        unit.imports.join(load.import_id, now - STANDS, alone=True)
        cursor = unit.imports.get(load.import_id, lock=True)
        if cursor is None:
            raise Refused(f"There is no import {load.import_id} any more.", hint="Import the file again.")
        first = place["row"] + 1
        if not unit.imports.take_back(load.import_id, first, first + place["rows"] - 1, SET_ASIDE):
            return {}
        return _store(load, unit, rows, now, cursor=cursor["offset"], beside=False)


def _with_text(aside: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Rejected rows with their cells as JSON where the source kept no text of them, so that a person can mend them."""
    bare = aside.filter((pl.col("outcome") == "rejected") & pl.col("raw").is_null()).select("row")
    cells = rows.drop("fault", "raw", strict=False).join(bare, on="row", how="semi")
    texts = [
        (row.pop("row"), json.dumps({name: cell for name, cell in row.items() if cell is not None}, ensure_ascii=False))
        for row in cells.iter_rows(named=True)
    ]
    found = pl.DataFrame(texts, schema={"row": pl.Int64, "cells": pl.String}, orient="row")
    joined = aside.join(found, on="row", how="left", maintain_order="left")
    return joined.with_columns(pl.coalesce("raw", "cells").str.slice(0, 2_000).alias("raw")).drop("cells")


def _merge(unit: Unit, rows: pl.DataFrame, now: datetime, load: Load, *, beside: bool) -> _Merged:
    """Decide the batch against the store and write its leads."""
    timing = load.outside.stopwatch.timing
    with timing("match"):
        identities, profiles = harvest.keys(rows)
        known = unit.leads.known(identities, profiles)
        suppressed = unit.suppressions.matching(
            rows.filter(pl.col("reason").is_null()).with_columns(harvest.identity())
        )
    with timing("merge"):
        merged = harvest.merge(rows, known, suppressed)
    with timing("save leads"):
        inserted = merged.inserts.with_columns(unit.leads.insert(merged.inserts, load.import_id, now, beside=beside))
    if inserted["lead_id"].has_nulls():
        with timing("match"):
            known = pl.concat([known, unit.leads.known(_absent(inserted)["identity"].to_list(), [])])
        with timing("merge"):
            merged, inserted = _again(rows, known, suppressed, inserted)
    with timing("save leads"):
        unit.leads.update(merged.updates, now)
        unit.prospects.mark_pending(merged.updates["lead_id"].to_list())
    by_identity = pl.concat([known.select("identity", "lead_id"), merged.updates.select("identity", "lead_id")])
    taken = merged.outcomes.filter(pl.col("outcome").is_in(["updated", "duplicate"]))
    named = taken.select("identity").unique().join(by_identity.unique(), on="identity")["lead_id"].unique().sort()
    return _Merged(inserted, frozenset(known["lead_id"]), named.to_list(), merged.outcomes)


def _absent(inserted: pl.DataFrame) -> pl.DataFrame:
    return inserted.filter(pl.col("lead_id").is_null())


def _again(
    rows: pl.DataFrame, known: pl.DataFrame, suppressed: pl.DataFrame, inserted: pl.DataFrame
) -> tuple[harvest.Harvested, pl.DataFrame]:
    """Decide a batch again, some of whose new leads another import has brought meanwhile, which are known now.

    Args:
        inserted: The new leads as they were, with keys; those of the others have none.

    Raises:
        Crossed: A new lead that is written already would have to be another one now.
    """
    merged = harvest.merge(rows, known, suppressed)
    kept = inserted.drop_nulls("lead_id")
    if not merged.inserts.equals(kept.drop("lead_id")):
        raise Crossed("Another import has added the same people.", hint="Try again.")
    return merged, kept


def _fresh(unit: Unit, absent: list[int], merged: _Merged) -> pl.DataFrame:
    """Leads of the batch that are not in the campaign yet: the new ones, and old ones from other campaigns."""
    if not absent:
        return merged.inserted
    return pl.concat([merged.inserted, unit.leads.by_ids(absent)], how="diagonal").select(merged.inserted.columns)
