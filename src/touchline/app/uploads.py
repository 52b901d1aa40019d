"""Uploads: a file that somebody gave over the web is looked at, tried, and then loaded by a run."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from touchline.app import loading
from touchline.app.pipeline import Outside
from touchline.app.ports import Row, Source, Store, StoredCampaign, Unit
from touchline.app.rehearsal import attempt
from touchline.model.errors import InvalidInput, Refused
from touchline.stages import STAGES

TRIED = 50_000
"""Rows that a rehearsal takes at most: it holds the store's only writer while it lasts."""
SHOWN = 100
"""Rows set aside that a rehearsal shows."""
UNTIL = STAGES[: STAGES.index("nurture") + 1]
JOB = "import"


@dataclass(frozen=True, slots=True)
class Upload:
    """A file on the shelf.

    Attributes:
        id: 32 hexadecimal digits, of chance.
        name: As its owner calls it; only ever shown.
        bytes: Size.
        by: Who gave it.
        campaign: Where it is imported, once somebody has said so.
        columns: Header to field, `extra` or `ignored`, where somebody chose.
        fingerprint: Of its content.
        run: The run that loads it.
    """

    id: str
    name: str
    bytes: int
    at: datetime
    by: str
    campaign: str | None = None
    columns: dict[str, str] = field(default_factory=dict)
    fingerprint: str | None = None
    run: int | None = None


class Shelf(Protocol):
    """Where uploads are kept."""

    def find(self, key: str) -> Upload: ...  # noqa: D102
    def note(self, upload: Upload) -> None: ...  # noqa: D102
    def remove(self, upload: Upload) -> None: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What an import would do.

    Attributes:
        rows: Rows that were tried.
        whole: These are all.
        counts: Rows by outcome; they add up to `rows`.
        reasons: `outcome`, `reason`, `rows`.
        aside: The first rows that would become no lead: `row`, `outcome`, `reason`, `identity`, `raw`.
        already: The import by which this content has been loaded before.
    """

    rows: int
    whole: bool
    counts: dict[str, int]
    reasons: list[Row]
    aside: list[Row]
    already: int | None


def rehearse(outside: Outside, source: Source, campaign: str, until: str) -> Rehearsed:
    """Try the first rows of a source, and undo it. DNS is not asked.

    Raises:
        InvalidInput: The source cannot be read.
        NotFound: No such campaign.
    """
    stored, last = _known(outside, source, campaign)
    load = loading.Load(outside, stored, source, "csv", until, 0, 0, 0)
    reader, rows = loading.prepared(load, ask=False), 0
    batches = []
    for batch in reader:
        batches.append(batch)
        rows += batch.rows.height
        if rows >= TRIED:
            break

    def act(unit: Unit) -> Rehearsed:
        begun = loading.opened(outside, unit, source, stored, "csv", until)
        for batch in batches:
            loading.rehearse(unit, begun, batch)
        key = begun.import_id
        aside = unit.imports.set_aside(key, None, 0, SHOWN)
        already = last["id"] if last and last["state"] == "done" else None
        return Rehearsed(begun.rows, rows < TRIED, begun.counts, unit.imports.reasons(key), aside, already)

    return attempt(outside.store, act, dry_run=True)


def _known(outside: Outside, source: Source, campaign: str) -> tuple[StoredCampaign, Row | None]:
    described = source.describe()
    with outside.store.reading() as unit:
        stored = unit.campaigns.get(campaign)
        return stored, unit.imports.latest(stored.id, described.fingerprint)


def commit(
    outside: Outside,
    shelf: Shelf,
    upload: Upload,
    source: Source,
    *,
    campaign: str,
    until: str,
    columns: Mapping[str, str],
) -> Row:
    """Queue the run that loads an upload; gives that run.

    Raises:
        InvalidInput: The file or the stage cannot be used.
        NotFound: No such campaign.
        Refused: It is being loaded, or its content has been.
    """
    if until not in UNTIL:
        raise InvalidInput(f"An import cannot go on to {until!r}.", hint=f"Stages: {', '.join(UNTIL)}.")
    stored, last = _known(outside, source, campaign)
    if last and last["state"] == "done":
        raise Refused(f"This content was loaded already, as import {last['id']}.", hint=f"See it: /import/{last['id']}")
    now = outside.clock.now()
    with outside.store.transaction() as unit:
        present = shelf.find(upload.id)
        if present.run is not None:
            raise Refused(f"{upload.name} is loaded by run {present.run}.", hint=f"Follow it: /runs/{present.run}")
        version = {"campaign_id": stored.id, "campaign_version": stored.version}
        # The slot names what the run is for: here the file.
        key = unit.runs.open(JOB, now, **version, slot=upload.id, until=until)
        assert key is not None
        row = unit.runs.get(key)
        assert row is not None
        fingerprint = source.describe().fingerprint
        shelf.note(replace(present, campaign=campaign, columns=dict(columns), fingerprint=fingerprint, run=key))
    return row


def forget(shelf: Shelf, upload: Upload) -> None:
    """Remove an upload that nobody has imported.

    Raises:
        Refused: A run loads it, and may be tried again.
    """
    if upload.run is not None:
        raise Refused(f"{upload.name} is loaded by run {upload.run}.", hint="It goes by itself when its time is over.")
    shelf.remove(upload)


def import_of(store: Store, upload: Upload) -> int | None:
    """The import that an upload became, once its run has begun to load it."""
    if upload.campaign is None or upload.fingerprint is None:
        return None
    with store.reading() as unit:
        stored = unit.campaigns.find(upload.campaign)
        last = unit.imports.latest(stored.id, upload.fingerprint) if stored else None
    return int(last["id"]) if last else None
