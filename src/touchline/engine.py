"""Durable runs: one workflow a run, its steps batches, on queues that every worker shares (DBOS); the truth stays in our store."""

import logging
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import structlog
from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer, SetEnqueueOptions, SetWorkflowID
from sqlalchemy import Engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from touchline.adapters.store.engine import open_engine
from touchline.app.work import Step
from touchline.model.errors import StoreUnavailable

log = structlog.get_logger(__name__)

OPEN = ("ENQUEUED", "PENDING", "DELAYED")
"""States of a workflow that goes on."""

SHAPE = "1"
"""Which order of steps `run` has. Runs of another shape are not picked up: raise it only when the order changes."""

Advance = Callable[[int], Step]


class HandBack(BaseException):
    """Ends a workflow without an outcome: it stays pending, and another worker goes on. No `Exception`, so nothing records it."""


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue of runs.

    Attributes:
        per_worker: Runs that one worker works on at once.
        at_once: Runs that all workers together work on; None: as many as they can.
        limit: Runs that start in `period` seconds at most; None: any number.
    """

    name: str
    per_worker: int
    at_once: int | None = None
    limit: int | None = None
    period: float = 60.0


class DurableEngine:
    """The queues as this process works on them. There is one a process, since DBOS keeps global state.

    Args:
        database_url: Where our store is; its runs are kept beside it (PostgreSQL: schema `dbos`; SQLite: a second file).
        home: Folder that a relative file name starts from.
        worker: Name of this process, new at each start.
        advance: Does one batch of a run.
        drop: Forgets what this process holds of a run.
        queues: Every queue with its limits, the same in every process.
        listen: Those that this process works on.
        poll_seconds: How often a queue is looked at.
    """

    def __init__(
        self,
        database_url: str,
        home: Path,
        worker: str,
        advance: Advance,
        drop: Callable[[int], None],
        queues: Sequence[Queue],
        listen: Sequence[str],
        poll_seconds: float = 1.0,
    ) -> None:
        self.worker, self.queues, self.poll_seconds = worker, tuple(queues), poll_seconds
        self.stopping = threading.Event()
        self._running: Counter[str] = Counter()
        self._missing: set[str] = set()
        self._handles: dict[str, Any] = {}
        _quieten()
        settings: DBOSConfig = {
            "name": "touchline",
            "executor_id": worker,
            "application_version": SHAPE,
            # The default serializer is pickle: whoever could write the table could run code.
            "serializer": DBOSPortableJSONSerializer(),
            "enable_otlp": False,
            "log_level": "WARNING",
            "use_listen_notify": False,
            "scheduler_polling_interval_sec": 3600.0,
            "notification_listener_polling_interval_sec": 0.5,
            "max_executor_threads": sum(queue.per_worker for queue in queues) + 8,
        }
        settings.update(_place(database_url, home))
        self._database = settings.get("system_database_engine")
        DBOS(config=settings)
        self._define(advance, drop)
        DBOS.listen_queues(list(listen))

    def _define(self, advance: Advance, drop: Callable[[int], None]) -> None:
        """The one workflow. Its steps return values and never raise: after a recovery an exception comes back as another type."""

        @DBOS.step(name="batch")
        def batch(run_id: int) -> dict[str, Any]:
            step = advance(run_id)
            if step.lost:
                # Recorded, it would be what every later attempt reads instead of trying.
                raise HandBack
            return {"more": step.more, "wait": step.wait}

        @DBOS.workflow(name="run", max_recovery_attempts=100)
        def run(run_id: int) -> None:
            with self._at_work(workflow_id(run_id)):
                drop(run_id)
                while True:
                    step = batch(run_id)
                    if not step["more"]:
                        return
                    if self.stopping.is_set():
                        raise HandBack
                    if step["wait"]:
                        DBOS.sleep(step["wait"])

        self._run = run

    @contextmanager
    def _at_work(self, workflow: str) -> Iterator[None]:
        self._running[workflow] += 1
        try:
            yield
        finally:
            self._running[workflow] -= 1

    def start(self) -> None:
        """Begin to work on what is queued."""
        DBOS.launch()
        for queue in self.queues:
            self._handles[queue.name] = DBOS.register_queue(
                queue.name,
                global_concurrency=queue.at_once,
                worker_concurrency=queue.per_worker,
                limiter={"limit": queue.limit, "period": queue.period} if queue.limit else None,
                polling_interval_sec=self.poll_seconds,
                on_conflict="always_update",
            )

    def enqueue(self, run_id: int, queue: str, priority: int) -> None:
        """Have a run worked on, the lowest priority first. Nothing happens where it has been queued before, whatever became of it."""
        with _asking(), SetWorkflowID(workflow_id(run_id)), SetEnqueueOptions(priority=priority):
            self._handles[queue].enqueue(self._run, run_id)

    def over(self, run_ids: Sequence[int]) -> dict[int, str]:
        """Those of the runs whose workflow has ended or never was, with its state."""
        if not run_ids:
            return {}
        ids = {workflow_id(run_id): run_id for run_id in run_ids}
        with _asking():
            found = DBOS.list_workflows(workflow_ids=list(ids), load_input=False, load_output=False)
        states = {ids[each.workflow_id]: each.status for each in found}
        return {key: states.get(key, "unknown") for key in run_ids if states.get(key) not in OPEN}

    def forget(self, before: datetime) -> int:
        """Remove what the engine keeps of workflows that ended before an instant; gives how many."""
        with _asking():
            done = DBOS.list_workflows(
                completed_before=before.isoformat(), limit=500, load_input=False, load_output=False
            )
            if done:
                DBOS.delete_workflows([each.workflow_id for each in done])
        return len(done)

    def renew(self, run_ids: Sequence[int]) -> int:
        """Forget workflows of these runs that have ended, although the runs have not begun; gives how many.

        So it is where our database came back from a copy that is older than the queue's: numbers of runs recur.
        """
        ended = [workflow_id(run_id) for run_id, state in self.over(run_ids).items() if state != "unknown"]
        if ended:
            with _asking():
                DBOS.delete_workflows(ended)
        return len(ended)

    def take_over(self, live: Callable[[], set[str]]) -> int:
        """Queue the work of workers that are gone again; gives how many runs. The work is looked at first, then who lives."""
        with _asking():
            pending = DBOS.list_workflows(status="PENDING", load_input=False, load_output=False)
        alive = live() if pending else set[str]()
        return _again([found for found in pending if found.executor_id not in alive])

    def revive(self) -> int:
        """Queue own work again whose thread died, as when the database was lost and the outcome could not be written.

        It must be missing twice in a row: between a dequeue and the start of its thread a run looks the same.
        """
        with _asking():
            pending = DBOS.list_workflows(
                status="PENDING", executor_id=self.worker, load_input=False, load_output=False
            )
        missing = [found for found in pending if not self._running[found.workflow_id]]
        lost = [found for found in missing if found.workflow_id in self._missing]
        self._missing = {found.workflow_id for found in missing}
        return _again(lost)

    def stop(self, seconds: int) -> None:
        """Take no more, let batches end for at most so long, and leave the rest to the others."""
        self.stopping.set()
        DBOS.destroy(workflow_completion_timeout_sec=seconds, destroy_registry=True)
        if self._database is not None:
            self._database.dispose()


def workflow_id(run_id: int) -> str:
    """The workflow of a run."""
    return f"run-{run_id}"


@contextmanager
def _asking() -> Iterator[None]:
    """Say that the queue's database cannot be used as it is said of ours: the next look asks again.

    Raises:
        StoreUnavailable: It is full, locked or away.
    """
    try:
        yield
    except DBAPIError as error:
        raise StoreUnavailable(
            f"The queue's database cannot be used: {error.orig}.", hint="See: touchline doctor"
        ) from error


def _again(workflows: Sequence[Any]) -> int:
    by_queue: dict[str, list[str]] = {}
    for found in workflows:
        by_queue.setdefault(found.queue_name, []).append(found.workflow_id)
    for queue, ids in by_queue.items():
        # Without its queue's name a run would come to one that has no limits.
        with _asking():
            DBOS.resume_workflows(ids, queue_name=queue)
    return len(workflows)


def _place(database_url: str, home: Path) -> DBOSConfig:
    """Where the engine keeps its tables."""
    url = make_url(database_url)
    if url.get_backend_name() == "sqlite":
        # A file of its own: in ours it would wait for every batch, and our engine's BEGIN IMMEDIATE collides with its own.
        path = (home / str(url.database)).resolve()
        path = path.with_name(f"{path.stem}.queue{path.suffix}")
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
        return {"system_database_url": f"sqlite:///{path}"}
    engine = open_engine(database_url, home)
    return {
        "system_database_url": engine.url.render_as_string(hide_password=False),
        "system_database_engine": _patient(engine),
    }


def _patient(engine: Engine) -> Engine:
    """DBOS waits for a lost server only where SQLAlchemy calls it a disconnect; a missing socket or name is not called so."""

    @event.listens_for(engine, "handle_error")
    def told(context: Any) -> None:
        error = context.original_exception
        if isinstance(error, psycopg.OperationalError) and error.sqlstate is None:
            context.is_disconnect = True

    return engine


def _quieten() -> None:
    """DBOS speaks through ours: a lost database would otherwise write a hundred lines a second to the console."""
    logger = logging.getLogger("dbos")
    if not logger.handlers:
        logger.addHandler(_Relay())
    logger.propagate = False


class _Relay(logging.Handler):
    """Each kind of message once a minute at most, with how many were left out."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[str, tuple[float, int]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a record on, unless the same was said a moment ago."""
        key = f"{record.module}:{record.lineno}"
        last, left_out = self._seen.get(key, (0.0, 0))
        if record.created - last < 60:
            self._seen[key] = (last, left_out + 1)
            return
        self._seen[key] = (record.created, 0)
        log.warning("engine", said=record.getMessage()[:500], left_out=left_out, exc_info=record.exc_info)
