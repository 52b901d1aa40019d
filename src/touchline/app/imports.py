"""Importing: one source into one campaign, batch by batch, every row accounted for, resumable at any batch."""

import json
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime

import polars as pl

from touchline.app.pipeline import Answers, Outside, add_prospects, judge, mail_domains
from touchline.app.ports import Row, Source, SourceBatch, StoredCampaign, Unit
from touchline.model.errors import NotFound, Refused
from touchline.stages import harvest, reaches

OUTCOMES = ("new", "updated", "duplicate", "suppressed", "rejected")


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a source's rows. The five outcomes add up to `rows`."""

    import_id: int
    name: str
    rows: int
    counts: dict[str, int]
    reasons: list[Row]
    dry_run: bool = False
    resumed_at: int = 0
    already: bool = False


@dataclass(slots=True)
class _Load:
    """One load under way."""

    outside: Outside
    stored: StoredCampaign
    source: Source
    kind: str
    until: str
    import_id: int
    offset: int
    rows: int
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))


class _DryRun(Exception):
    def __init__(self, result: Imported) -> None:
        super().__init__()
        self.result = result


def import_source(
    outside: Outside,
    source: Source,
    campaign: str,
    *,
    kind: str = "csv",
    until: str = "harvest",
    dry_run: bool = False,
    limit: int | None = None,
    skip_known: bool = False,
) -> Imported:
    """Load a source into a campaign.

    An import of the same content that was cut short goes on where it stopped. New leads run through the stages up
    to `until` in memory and are written once.

    Args:
        limit: Stop after at least so many rows, at the end of a batch.
        skip_known: Do nothing where this content has been loaded before.

    Raises:
        InvalidInput: The source cannot be read; nothing is kept.
        Refused: Another process is loading the same content.
    """
    described = source.describe()
    with outside.store.reading() as unit:
        stored = unit.campaigns.get(campaign)
        last = unit.imports.latest(stored.id, described.fingerprint)
    if last and last["state"] == "done" and skip_known:
        return _result(outside, last["id"], already=True)
    if dry_run:
        return _rehearse(outside, source, stored, kind, until)
    resumed = last is not None and last["state"] != "done"
    with outside.store.transaction() as unit:
        if last is not None and resumed:
            load = _Load(outside, stored, source, kind, until, last["id"], last["offset"], last["rows"])
            unit.imports.finish(load.import_id, "running", outside.clock.now())
        else:
            load = _opened(outside, unit, source, stored, kind, until)
    with closing(_ahead(_prepared(load, ask=reaches(until, "qualify")))) as batches:
        for batch in batches:
            _take(load, batch, outside.store.transaction)
            outside.progress.step("import", load.offset, described.bytes)
            if limit is not None and sum(load.counts.values()) >= limit:
                break
        else:
            with outside.store.transaction() as unit:
                unit.imports.finish(load.import_id, "done", outside.clock.now())
    return _result(outside, load.import_id, resumed_at=last["rows"] if last and resumed else 0)


def _opened(outside: Outside, unit: Unit, source: Source, stored: StoredCampaign, kind: str, until: str) -> _Load:
    described = source.describe()
    key = unit.imports.open(
        stored.id,
        source=kind,
        name=described.name,
        fingerprint=described.fingerprint,
        size=described.bytes,
        now=outside.clock.now(),
    )
    return _Load(outside, stored, source, kind, until, key, 0, 0)


def _rehearse(outside: Outside, source: Source, stored: StoredCampaign, kind: str, until: str) -> Imported:
    """The whole load in one transaction that is rolled back: what it says is what would happen."""
    try:
        with outside.store.transaction() as unit:
            load = _opened(outside, unit, source, stored, kind, until)

            @contextmanager
            def same() -> Iterator[Unit]:
                yield unit

            # DNS is not asked: nothing may wait for the network inside a transaction.
            for batch in _prepared(load, ask=False):
                _take(load, batch, same)
            row = unit.imports.get(load.import_id)
            assert row is not None
            raise _DryRun(_summed(row, unit.imports.reasons(load.import_id), dry_run=True))
    except _DryRun as rolled_back:
        return rolled_back.result


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A batch as far as it comes without a transaction: leads, and what DNS says of their domains."""

    source: SourceBatch
    rows: pl.DataFrame
    answers: Answers


def _prepared(load: _Load, *, ask: bool) -> Iterator[_Prepared]:
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
        yield _Prepared(batch, rows, answers)


def _ahead(batches: Iterator[_Prepared]) -> Generator[_Prepared]:
    """The same batches, the next one made in a thread of its own while the last one is stored."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        coming = thread.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = thread.submit(next, batches, None)
            yield batch


def _take(load: _Load, batch: _Prepared, transaction: Callable[[], AbstractContextManager[Unit]]) -> None:
    """One batch: leads, prospects, touches, counts and the source's cursor in one transaction."""
    outside, stored = load.outside, load.stored
    timing = outside.stopwatch.timing
    now = outside.clock.now()
    with ExitStack() as to_commit:
        unit = to_commit.enter_context(transaction())
        cursor = unit.imports.get(load.import_id, lock=True)
        if cursor is None or cursor["offset"] != load.offset:
            raise Refused(
                f"Another process is importing {cursor['name'] if cursor else 'this file'}.",
                hint="Wait for it: touchline imports list.",
            )
        unit.mx.keep(batch.answers.asked, now)
        merged = _merge(unit, batch.rows, now, load)
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
        next_offset = batch.source.next_offset
        with timing("save rows"):
            set_aside = _with_text(aside, batch.source.rows)
            unit.imports.advance(
                load.import_id, offset=next_offset, rows=told.height, counts=counts, set_aside=set_aside
            )
        outside.probe.reached("import-before-commit")
        with timing("commit"):
            to_commit.close()
    outside.probe.reached("import-after-commit")
    load.offset, load.rows = next_offset, load.rows + told.height
    for outcome, count in counts.items():
        load.counts[outcome] += count


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


@dataclass(frozen=True, slots=True)
class _Merged:
    """A merged batch in the store: new leads with keys, the keys of the others it named, and the outcome of each row."""

    inserted: pl.DataFrame
    named: list[int]
    outcomes: pl.DataFrame


def _merge(unit: Unit, rows: pl.DataFrame, now: datetime, load: _Load) -> _Merged:
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
        inserted = merged.inserts.with_columns(unit.leads.insert(merged.inserts, load.import_id, now))
        unit.leads.update(merged.updates, now)
        unit.prospects.mark_pending(merged.updates["lead_id"].to_list())
    by_identity = pl.concat([known.select("identity", "lead_id"), merged.updates.select("identity", "lead_id")])
    taken = merged.outcomes.filter(pl.col("outcome").is_in(["updated", "duplicate"]))
    named = taken.select("identity").unique().join(by_identity.unique(), on="identity")["lead_id"].unique().sort()
    return _Merged(inserted, named.to_list(), merged.outcomes)


def _fresh(unit: Unit, absent: list[int], merged: _Merged) -> pl.DataFrame:
    """Leads of the batch that are not in the campaign yet: the new ones, and old ones from other campaigns."""
    if not absent:
        return merged.inserted
    return pl.concat([merged.inserted, unit.leads.by_ids(absent)], how="diagonal").select(merged.inserted.columns)


def _result(outside: Outside, key: int, *, resumed_at: int = 0, already: bool = False) -> Imported:
    with outside.store.reading() as unit:
        row = unit.imports.get(key)
        assert row is not None
        return _summed(row, unit.imports.reasons(key), resumed_at=resumed_at, already=already)


def _summed(
    row: Row, reasons: list[Row], *, dry_run: bool = False, resumed_at: int = 0, already: bool = False
) -> Imported:
    return Imported(
        import_id=row["id"],
        name=row["name"],
        rows=row["rows"],
        counts={outcome: row[outcome] for outcome in OUTCOMES},
        reasons=reasons,
        dry_run=dry_run,
        resumed_at=resumed_at,
        already=already,
    )


def shown(outside: Outside, key: int) -> tuple[Row, list[Row]]:
    """One import with how often each reason set a row aside.

    Raises:
        NotFound: No import has this number.
    """
    with outside.store.reading() as unit:
        row = unit.imports.get(key)
        if row is None:
            raise NotFound(f"There is no import {key}.", hint="See them with: touchline imports list")
        return row, unit.imports.reasons(key)
