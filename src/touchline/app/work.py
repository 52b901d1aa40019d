"""A run's work, one batch at a time, on whichever worker: what the durable engine calls until there is no more."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from typing import Any

import structlog

from touchline.app.history import summed
from touchline.app.pipeline import Outside
from touchline.app.ports import Row, Unit
from touchline.app.runs import ENDED
from touchline.app.schedules import upcoming
from touchline.app.tasks import Bench, Change, Task, tasks
from touchline.model.errors import Permanent, Refused, StoreUnavailable, TouchlineError, Transient

log = structlog.get_logger(__name__)

TRIES = 4
"""How often a batch is tried before it is set aside."""

FIRST_WAIT, LONGEST_WAIT = 1.0, 30.0
"""Seconds before a batch is tried again; each wait is three times the one before."""

TAKEOVERS = 10
"""How often in a row other workers go on with a run, none of them coming past its next batch, before it is given up."""


@dataclass(frozen=True, slots=True)
class Step:
    """What became of one call.

    Attributes:
        more: The run goes on.
        wait: Seconds before it does.
        lost: Another worker has taken the run over.
    """

    more: bool
    wait: float = 0.0
    lost: bool = False


@dataclass(slots=True)
class _Open:
    """A run that this process works on."""

    outside: Outside
    tasks: Iterator[Task]
    task: Task | None
    failures: int = 0


class Work:
    """Runs under way in this process; where each stands is in the store, so any of them can be dropped at any time.

    Args:
        bench: What runs are worked on with.
        longest: A run that has gone on for so long ends before its next batch.
    """

    def __init__(self, bench: Bench, longest: timedelta) -> None:
        self._bench, self._longest = bench, longest
        self._open: dict[int, _Open] = {}
        self._begun: dict[int, float] = {}
        self._turn = Lock()

    def under_way(self) -> dict[int, float]:
        """Runs with a batch that has begun and not ended, and for how many seconds. Safe to ask from any thread."""
        now = self._bench.seconds()
        return {run: now - since for run, since in dict(self._begun).items()}

    def advance(self, run_id: int) -> Step:
        """Do one batch of a run. What it does is kept as a whole or not at all, and calling again is always safe."""
        with self._turn:
            if run_id in self._begun:
                # It was taken from this process, which had been silent, and came back to it; its batch is under way.
                return Step(more=False, lost=True)
            self._begun[run_id] = self._bench.seconds()
        try:
            return self._advance(run_id)
        except StoreUnavailable as error:
            # Nothing can be written down now. The run waits until the database is back, however long that takes.
            log.warning("run.waits", run=run_id, error=error.message)
            self._forget(run_id)
            return Step(more=True, wait=LONGEST_WAIT / 3)
        finally:
            self._begun.pop(run_id, None)

    def drop(self, run_id: int) -> None:
        """Forget what is held in memory of a run, unless a batch of it is under way here."""
        with self._turn:
            if run_id in self._begun:
                return
        self._forget(run_id)

    def _forget(self, run_id: int) -> None:
        held = self._open.pop(run_id, None)
        if held is not None and held.task is not None:
            held.task.close()

    def _advance(self, run_id: int) -> Step:
        outside = self._bench.outside() if run_id not in self._open else self._open[run_id].outside
        with outside.store.transaction() as unit:
            row = unit.runs.get(run_id, lock=True)
            gate = self._gate(unit, row, outside)
        if row is None or gate is not None:
            self._forget(run_id)
            return gate or Step(more=False)
        run = self._open.get(run_id)
        if run is None:
            stored = None
            if row["campaign_id"] is not None:
                with outside.store.reading() as unit:
                    stored = unit.campaigns.by_id(row["campaign_id"])
            run = self._open[run_id] = _Open(outside, tasks(self._bench, outside, row, stored), None)
            if (broken := self._next(run_id, run)) is not None:
                return broken
        # A task with nothing left is no step: a worker that dies at each of its steps would never come past it.
        while run.task is not None:
            step = self._batch(run_id, run, run.task)
            if step is not None:
                return step
            run.task.close()
            if (broken := self._next(run_id, run)) is not None:
                return broken
        self._finish(run_id, run)
        return Step(more=False)

    def _next(self, run_id: int, run: _Open) -> Step | None:
        """Turn to the run's next part; where there is no telling which that is, the run has failed."""
        try:
            run.task, run.failures = next(run.tasks, None), 0
        except StoreUnavailable:
            raise
        except Exception as error:
            log.warning("run.failed", run=run_id, exc_info=error)
            with run.outside.store.transaction() as unit:
                unit.runs.set(run_id, state="failed", finished_at=run.outside.clock.now(), error=_said(error))
            self._forget(run_id)
            return Step(more=False)
        return None

    def _gate(self, unit: Unit, row: Row | None, outside: Outside) -> Step | None:
        """Whether the run may go on here; where it may not, its end is written down."""
        if row is None or row["state"] in ENDED:
            return Step(more=False)
        key, now = row["id"], outside.clock.now()
        ending = self._ending(unit, row, now)
        if ending is not None:
            unit.runs.set(key, state=ending[0], finished_at=now, error=ending[1])
            return Step(more=False)
        if row["state"] == "queued":
            unit.runs.set(key, state="running", started_at=now, worker=self._bench.worker)
        elif row["worker"] != self._bench.worker:
            if key in self._open:
                return Step(more=False, lost=True)
            unit.runs.set(key, worker=self._bench.worker, takeovers=row["takeovers"] + 1)
        return None

    def _ending(self, unit: Unit, row: Row, now: datetime) -> tuple[str, str] | None:
        """The state and the reason with which the run ends before its next batch, if it does."""
        if row["cancel"] is not None:
            return "cancelled", f"cancelled by {row['cancel']}"
        if row["stop_at"] is not None and now >= row["stop_at"] and not _begins_late(unit, row, now):
            return "unfinished", "the window closed; the next run goes on"
        if row["started_at"] is not None and now - row["started_at"] >= self._longest:
            hours = self._longest.total_seconds() / 3600
            return "unfinished", f"it has gone on for {hours:g} hours (worker.run_hours); the next run goes on"
        taken = row["state"] == "running" and row["worker"] != self._bench.worker and row["id"] not in self._open
        if taken and row["takeovers"] >= TAKEOVERS:
            return (
                "failed",
                f"{TAKEOVERS} workers have died over it; look at their logs, then: touchline runs retry {row['id']}",
            )
        return None

    def _batch(self, run_id: int, run: _Open, task: Task) -> Step | None:
        """Do one batch; None where the task has nothing left."""
        try:
            with run.outside.stopwatch.timing("batch"):
                counts = task.batch()
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one batch, the others go on; it is written down
            return self._failed(run_id, run, task, error)
        if counts is None:
            return None
        told = self._write(run_id, run, task, "done", counts, attempts=run.failures + 1)
        run.failures = 0
        return Step(more=told, lost=not told)

    def _failed(self, run_id: int, run: _Open, task: Task, error: Exception) -> Step:
        """Try again later, or set the batch aside."""
        run.failures += 1
        said = _said(error)
        log.warning("batch.failed", run=run_id, stage=task.stage, attempt=run.failures, exc_info=error)
        # What a person has to change first does not get better by waiting; who lost a race may look again at once.
        hopeless = isinstance(error, Permanent) and not isinstance(error, Refused)
        if run.failures < TRIES and not hopeless:
            return Step(more=True, wait=min(FIRST_WAIT * 3 ** (run.failures - 1), LONGEST_WAIT))
        try:
            passed = None if hopeless or isinstance(error, Transient) else task.set_aside()
        except StoreUnavailable:
            raise
        except Exception as again:
            log.warning("batch.cannot_be_set_aside", run=run_id, stage=task.stage, exc_info=again)
            passed = None
        place, counts = passed or (None, {})
        told = self._write(run_id, run, task, "set_aside", counts, attempts=run.failures, error=said, place=place)
        run.failures = 0
        if not told:
            return Step(more=False, lost=True)
        if passed is None:
            task.close()
            return self._next(run_id, run) or Step(more=True)
        return Step(more=True)

    def _write(self, run_id: int, run: _Open, task: Task, state: str, counts: dict[str, Any], **values: Any) -> bool:
        """Write a batch down and add it to its run; False where whoever has taken the run over does so."""
        stage = task.stage
        now, taken = run.outside.clock.now(), run.outside.stopwatch.taken()
        seconds = taken.pop("batch", 0.0)
        with run.outside.store.transaction() as unit:
            row = unit.runs.get(run_id, lock=True)
            assert row is not None
            worker = self._bench.worker
            if isinstance(task, Change) and row["worker"] != worker:
                # Who takes a bulk action over tells what was done before and not told.
                return False
            unit.runs.add_batch(run_id, stage, state, now, counts=counts, seconds=seconds, worker=worker, **values)
            whole = {stage: counts, "batches": {state: 1}, "seconds": taken}
            # Only deaths without a batch between them speak against the run.
            unit.runs.set(run_id, stage=stage, counts=summed(row["counts"], whole), takeovers=0)
        return True

    def _finish(self, run_id: int, run: _Open) -> None:
        with run.outside.store.transaction() as unit:
            row = unit.runs.get(run_id, lock=True)
            assert row is not None
            aside = unit.runs.batches(run_id, states=["set_aside"])
            done = row["counts"].get("batches", {}).get("done", 0)
            failed = any(batch["place"] is None for batch in aside) or (aside and not done)
            many = "1 batch was set aside" if len(aside) == 1 else f"{len(aside)} batches were set aside, the last"
            error = f"{many}: {aside[-1]['error']}" if aside else None
            now = run.outside.clock.now()
            unit.runs.set(run_id, state="failed" if failed else "done", finished_at=now, error=error)
        self._forget(run_id)
        log.info("run.ended", run=run_id, state="failed" if failed else "done", error=error)


def _said(error: Exception) -> str:
    """An error as a run keeps it; one that is none of our own sentences with its kind."""
    return str(error) if isinstance(error, TouchlineError) else f"{type(error).__name__}: {error}"


def _begins_late(unit: Unit, row: Row, now: datetime) -> bool:
    """Let a run begin that no worker was free for while its window was open; it has until the next opening."""
    schedule = next((each for each in unit.schedules.listed() if each["id"] == row["schedule_id"]), None)
    if row["state"] != "queued" or schedule is None:
        return False
    coming = upcoming(schedule, now)
    unit.runs.set(row["id"], late=1, stop_at=coming.opens_at if coming else None)
    return True
