"""The parts of a run: harvesting a source, trying batches again, judging, sending, chores; each goes batch by batch."""

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, ClassVar, Protocol

from touchline.app import bulk, loading
from touchline.app.claims import Post
from touchline.app.judging import Judging, judging
from touchline.app.pipeline import Outside
from touchline.app.ports import Row, Source, StoredCampaign, Unit
from touchline.app.sending import may_send, send_due
from touchline.model.errors import InvalidInput, NotFound, Refused, SourceUnavailable
from touchline.stages import STAGES, reaches

SENDS = 500
"""Messages in a batch of sending."""

SEND_SECONDS = 300
"""How long a batch of sending goes on claiming: between batches a run can be cancelled, and whoever watches sees that it works."""


class Task(Protocol):
    """One part of a run."""

    @property
    def stage(self) -> str:
        """The stage it belongs to."""
        ...

    def batch(self) -> dict[str, Any] | None:
        """Do the next batch in a transaction of its own and give its counts; None where nothing is left."""
        ...

    def set_aside(self) -> tuple[Row, dict[str, Any]] | None:
        """Pass over the next batch; gives its place and counts, or None where the task has to end."""
        ...

    def close(self) -> None:
        """Let go of files and threads."""
        ...


@dataclass(frozen=True, slots=True)
class Duty:
    """A job without a campaign.

    Attributes:
        work: Does one batch and gives its counts; None when there is no more.
        once: One call is all of a run.
    """

    work: Callable[[], dict[str, Any] | None]
    once: bool = False


def _none(stored: StoredCampaign) -> Mapping[str, Source]:
    del stored
    return {}


@dataclass(slots=True)
class Bench:
    """What runs are worked on with.

    Attributes:
        outside: Made anew for each run.
        sources: Opens a campaign's sources.
        post: Prepares sending.
        duties: Jobs without a campaign.
        worker: Name of this process.
        seconds: Reads a clock that only goes forward, and not while the machine sleeps.
        uploads: Files that were uploaded for a campaign, by id.
    """

    outside: Callable[[], Outside]
    sources: Callable[[StoredCampaign], Iterable[Source]]
    post: Callable[[StoredCampaign], Post]
    duties: Mapping[str, Duty]
    worker: str
    seconds: Callable[[], float]
    uploads: Callable[[StoredCampaign], Mapping[str, Source]] = _none


def tasks(bench: Bench, outside: Outside, row: Row, stored: StoredCampaign | None) -> Iterator[Task]:
    """The parts of a run in order, each made when the one before has ended."""
    if row["job"] == bulk.JOB:
        yield Change(outside, row["id"], bulk.Bulk.of(row["payload"]), row["counts"].get(Change.stage, {}))
        return
    if stored is None:
        yield Chore(row["job"], bench.duties[row["job"]])
        return
    first, until = row["first"] or STAGES[0], row["until"] or STAGES[-1]
    if row["job"] != "send":
        upto = "nurture" if reaches(until, "send") else until
        if first == "harvest":
            yield Again(outside, stored, lambda one: chain(bench.sources(one), bench.uploads(one).values()), upto)
            if row["job"] == "import":
                source = bench.uploads(stored).get(row["slot"])
                yield Harvest(outside, stored, source, upto) if source else Chore("harvest", Duty(_gone))
                return
            for source in bench.sources(stored):
                yield Harvest(outside, stored, source, upto)
        if reaches(until, "score") and first != "send":
            yield Judge(outside, stored, upto)
    if reaches(until, "send"):
        yield Send(outside, stored, bench.post, bench.seconds)


def _gone() -> None:
    raise NotFound("The uploaded file of this run is gone.", hint="Upload it again.")


@dataclass(slots=True)
class Harvest:
    """One source."""

    outside: Outside
    stored: StoredCampaign
    source: Source
    until: str
    stage: str = "harvest"
    _load: loading.Load | None = None
    _batches: Generator[dict[str, int]] | None = None
    _known: bool = False

    def batch(self) -> dict[str, Any] | None:
        """The next rows."""
        if self._load is None and not self._known:
            self._begin()
        if self._load is None:
            return None
        if self._batches is None:
            self._batches = loading.batches(self._load)
        try:
            return next(self._batches, None)
        except BaseException as error:
            # The store has the cursor; a load that failed is begun anew behind its last batch.
            self._batches = None
            if isinstance(error, Refused):
                # Another process has moved the cursor.
                self._load = None
            raise

    def _begin(self) -> None:
        described = self.source.describe()
        with self.outside.store.reading() as unit:
            last = unit.imports.latest(self.stored.id, described.fingerprint)
        self._known = last is not None and last["state"] == "done"
        if not self._known:
            self._load = loading.begun(self.outside, self.stored, self.source, "csv", self.until, last)

    def set_aside(self) -> tuple[Row, dict[str, Any]] | None:
        """Reject the next rows as a batch that failed."""
        return loading.set_aside(self._load) if self._load is not None else None

    def close(self) -> None:
        """Stop reading ahead."""
        if self._batches is not None:
            self._batches.close()
            self._batches = None


@dataclass(slots=True)
class Again:
    """Batches of earlier runs that were set aside and that a person wants tried again."""

    outside: Outside
    stored: StoredCampaign
    sources: Callable[[StoredCampaign], Iterable[Source]]
    until: str
    stage: str = "harvest"
    _now: Row | None = None

    def batch(self) -> dict[str, Any] | None:
        """The next of them."""
        with self.outside.store.reading() as unit:
            waiting = unit.runs.released(self.stored.id)
        if not waiting:
            return None
        self._now = waiting[0]
        place = self._now["place"]
        counts = self._again(place) if place and "import" in place else {}
        with self.outside.store.transaction() as unit:
            unit.runs.set_batch(self._now["run_id"], self._now["number"], state="retried")
        return counts

    def _again(self, place: Row) -> dict[str, int]:
        with self.outside.store.reading() as unit:
            wanted = unit.imports.get(place["import"])
        for source in self.sources(self.stored):
            if wanted is not None and _fingerprint(source) == wanted["fingerprint"]:
                return loading.again(self.outside, self.stored, source, "csv", self.until, place)
        raise Refused("The file of this batch is not where the campaign looks.", hint="Put it back, then retry.")

    def set_aside(self) -> tuple[Row, dict[str, Any]] | None:
        """Set it aside anew, under this run."""
        if self._now is None:
            return None
        with self.outside.store.transaction() as unit:
            unit.runs.set_batch(self._now["run_id"], self._now["number"], state="retried")
        place, self._now = self._now["place"], None
        return place, {}

    def close(self) -> None:
        """Nothing is held."""


def _fingerprint(source: Source) -> str | None:
    try:
        return source.describe().fingerprint
    except (InvalidInput, SourceUnavailable):  # another file than the one that is looked for
        return None


@dataclass(slots=True)
class Judge:
    """Prospects that have work to do."""

    outside: Outside
    stored: StoredCampaign
    until: str
    stage: str = "judge"
    _judging: Judging | None = None

    def batch(self) -> dict[str, Any] | None:
        """The next prospects."""
        work = self._begun()
        if work.ended:
            return None
        height = work.batch(self.outside.batch_rows)
        return {"prospects": height} if height else None

    def _begun(self) -> Judging:
        if self._judging is None:
            # The campaign may have a new version since the run began to harvest.
            with self.outside.store.reading() as unit:
                stored = unit.campaigns.by_id(self.stored.id)
            self._judging = judging(self.outside, stored, self.until)
        return self._judging

    def set_aside(self) -> tuple[Row, dict[str, Any]] | None:
        """Leave the next prospects for the next run."""
        return self._begun().set_aside(self.outside.batch_rows), {}

    def close(self) -> None:
        """Nothing is held."""


@dataclass(slots=True)
class Send:
    """Touches that are due."""

    outside: Outside
    stored: StoredCampaign
    post: Callable[[StoredCampaign], Post]
    seconds: Callable[[], float]
    stage: str = "send"
    _post: Post | None = None
    _ended: bool = False

    def batch(self) -> dict[str, Any] | None:
        """The next messages."""
        if self._ended:
            return None
        if self._post is None:
            may_send(self.stored)
            self._post = replace(self.post(self.stored), stopwatch=self.outside.stopwatch)
        told, until = self._post.ending, self.seconds() + SEND_SECONDS

        def late() -> bool:
            return self.seconds() >= until

        post = replace(self._post, counts=Counter(), notes=[], ending=lambda: told() or late())
        counts = dict(send_due(post, self.stored, SENDS))
        few = sum(counts.get(result, 0) for result in ("sent", "deferred", "failed", "uncertain")) < SENDS
        # Who had no more time does not know that nothing is left.
        self._ended = few and not late()
        return None if self._ended and not counts else counts

    def set_aside(self) -> tuple[Row, dict[str, Any]] | None:
        """What a failed batch held goes back by itself; the next tick finds it."""
        return None

    def close(self) -> None:
        """Sessions end with each batch."""


@dataclass(slots=True)
class Change:
    """One decision for many leads.

    Attributes:
        told: The counts that the run has: whoever takes it over tells what its last batch did and could not tell.
    """

    outside: Outside
    run_id: int
    work: bulk.Bulk
    told: Mapping[str, int]
    stage: ClassVar[str] = bulk.JOB

    def batch(self) -> dict[str, Any] | None:
        """The next leads."""
        if self.work.progress.ended and self.told == self.work.progress.counts:
            return None
        if not self.work.progress.ended:
            self.work = bulk.batch(self.outside.store, self.work, self.outside.clock.now(), keep=self._keep)
        return self._untold()

    def set_aside(self) -> tuple[Row, dict[str, Any]] | None:
        """Leave the next leads as they are."""
        self.work, place = bulk.pass_over(self.outside.store, self.work, self._keep)
        return dict(place), self._untold()

    def _keep(self, unit: Unit, done: bulk.Bulk) -> None:
        row = unit.runs.get(self.run_id, lock=True)
        if row is None or row["payload"] != self.work.document():
            # This process stood still, and another worker has gone on meanwhile.
            raise Refused(f"Run {self.run_id} is where another worker has brought it.", hint="It goes on there.")
        unit.runs.set(self.run_id, payload=done.document())

    def _untold(self) -> dict[str, Any]:
        counts = self.work.progress.counts
        fresh = {name: count - self.told.get(name, 0) for name, count in counts.items()}
        self.told = counts
        return fresh

    def close(self) -> None:
        """Nothing is held."""


@dataclass(slots=True)
class Chore:
    """A job without a campaign."""

    stage: str
    duty: Duty
    _ended: bool = False

    def batch(self) -> dict[str, Any] | None:
        """The next part."""
        counts = None if self._ended else self.duty.work()
        self._ended = self.duty.once
        return counts

    def set_aside(self) -> tuple[Row, dict[str, Any]] | None:
        """The next run does it."""
        return None

    def close(self) -> None:
        """Nothing is held."""
