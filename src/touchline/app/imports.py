"""Importing: one source into one campaign, every row accounted for, as a rehearsal or for good."""

from contextlib import closing
from dataclasses import dataclass
from datetime import datetime

from touchline.app.loading import OUTCOMES, STANDS, batches, begun, opened, prepared, rehearse
from touchline.app.pipeline import Outside
from touchline.app.ports import Row, Source, StoredCampaign, Unit
from touchline.app.rehearsal import attempt
from touchline.model.errors import NotFound


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
    load = begun(outside, stored, source, kind, until, last)
    with closing(batches(load)) as stored_batches:
        for _ in stored_batches:
            outside.progress.step("import", load.offset, described.bytes)
            if limit is not None and sum(load.counts.values()) >= limit:
                break
    return _result(outside, load.import_id, resumed_at=last["rows"] if last and resumed else 0)


def _rehearse(outside: Outside, source: Source, stored: StoredCampaign, kind: str, until: str) -> Imported:
    """The whole load in one transaction that is rolled back: what it says is what would happen."""

    def act(unit: Unit) -> Imported:
        load = opened(outside, unit, source, stored, kind, until)
        # DNS is not asked: nothing may wait for the network inside a transaction.
        for batch in prepared(load, ask=False):
            rehearse(unit, load, batch)
        row = unit.imports.get(load.import_id)
        assert row is not None
        return _summed(row, unit.imports.reasons(load.import_id), dry_run=True)

    return attempt(outside.store, act, dry_run=True)


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


def standing(row: Row, now: datetime) -> Row:
    """An import as people see it: `unfinished` where it says that it goes on and has stood still for a while."""
    stands = row["state"] == "running" and now - row["moved_at"] >= STANDS
    return row | {"state": "unfinished"} if stands else row


def listed(outside: Outside, limit: int, before: int | None = None) -> list[Row]:
    """Imports, the newest first, those before a key."""
    with outside.store.reading() as unit:
        return [standing(row, outside.clock.now()) for row in unit.imports.listed(limit, before)]


def shown(outside: Outside, key: int) -> tuple[Row, list[Row]]:
    """One import with how often each reason set a row aside.

    Raises:
        NotFound: No import has this number.
    """
    with outside.store.reading() as unit:
        row = unit.imports.get(key)
        if row is None:
            raise NotFound(f"There is no import {key}.", hint="See them with: touchline imports list")
        return standing(row, outside.clock.now()), unit.imports.reasons(key)
