"""A worker process: it beats, starts what is due, works on queued runs, takes over from the dead, and stops between batches."""

import os
import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from touchline.adapters import machine
from touchline.adapters.clock import Stopwatch, elapsed
from touchline.app.claims import Post
from touchline.app.pipeline import Outside
from touchline.app.ports import Row, StoredCampaign, Unit
from touchline.app.runs import BY_HAND, bury
from touchline.app.schedules import begin, ensure, queue_of, start_due
from touchline.app.tasks import Bench
from touchline.app.work import Work
from touchline.engine import DurableEngine, Queue
from touchline.model.errors import Refused, StoreUnavailable, Transient
from touchline.wiring import Workspace

log = structlog.get_logger(__name__)

QUEUES = ("batch", "send", "health")

FORGET_AFTER = timedelta(days=1)
"""Age at which the engine's own record of a run that has ended goes; what it did stays in our history."""

RENEW_AFTER = timedelta(minutes=1)
"""So long a run is queued before it is asked whether the engine takes it for one that has ended."""

FORGET_TICKS = 100
"""How many looks pass between two that remove such records."""


class Hung(Transient):
    """A batch does not come to an end."""


class Worker:
    """One process's share of the work.

    Args:
        workspace: The workspace.
        listen: Queues that this process works on.
    """

    def __init__(self, workspace: Workspace, listen: Sequence[str] = QUEUES) -> None:
        self.workspace, self.listen = workspace, tuple(listen)
        self.host, self.pid = machine.host(), os.getpid()
        self.name = f"{self.host}:{self.pid}:{secrets.token_hex(4)}"
        settings = workspace.settings.worker
        bench = Bench(self._outside, workspace.sources, self._post, workspace.duties, self.name, elapsed)
        bench.uploads = workspace.uploads
        self.work = Work(bench, timedelta(hours=settings.run_hours))
        self._ticks = 0
        queues = [
            Queue("batch", settings.batch_concurrency, settings.batch_total or None, settings.batch_per_minute or None),
            Queue("send", settings.send_concurrency, settings.send_total or None, settings.send_per_minute or None),
            Queue("health", 1),
        ]
        self.engine = DurableEngine(
            workspace.settings.database_url,
            workspace.settings.home,
            self.name,
            self.work.advance,
            self.work.drop,
            queues,
            self.listen,
            poll_seconds=min(1.0, settings.tick_seconds),
        )

    def _outside(self) -> Outside:
        # A run's own stopwatch and memory of DNS answers.
        return replace(self.workspace.outside, stopwatch=Stopwatch(), heard={})

    def _post(self, stored: StoredCampaign) -> Post:
        return replace(self.workspace.post(stored), ending=self.engine.stopping.is_set)

    def run(self, stop: threading.Event, ready: Callable[[], None] = lambda: None) -> None:
        """Work until `stop` is set; then let batches end, and leave what is unfinished to the next worker.

        Raises:
            Refused: Another worker has the SQLite database.
            Hung: A batch does not come to an end. Its thread cannot be ended, so the process has to be.
        """
        settings = self.workspace.settings.worker
        if not self._joins(stop):
            return
        self.engine.start()
        heart = threading.Thread(target=self._beats, args=(stop, settings.beat_seconds), name="heart", daemon=True)
        heart.start()
        begin(self.workspace.store, self.workspace.clock.now())
        log.info("worker.started", worker=self.name, queues=self.listen)
        ready()
        try:
            self.tick()
            while not stop.wait(settings.tick_seconds):
                self.tick()
                self._give_up_hung()
        finally:
            stop.set()
            self.engine.stop(round(settings.stop_seconds))
            heart.join(timeout=settings.beat_seconds)
            self._gone()
            log.info("worker.stopped", worker=self.name)

    def tick(self) -> None:
        """Start what is due, hand queued runs to the engine, and take over from workers that are gone."""
        try:
            # A machine that was asleep wakes with an old beat, and must not take its own work from itself.
            self._beat()
            self._start()
            self.engine.revive()
            self._take_over()
            if self._ticks % FORGET_TICKS == 0:
                self.engine.forget(self.workspace.clock.now() - FORGET_AFTER)
            self._ticks += 1
        except StoreUnavailable as error:
            log.warning("worker.waits", error=error.message)

    def _give_up_hung(self) -> None:
        limit = self.workspace.settings.worker.batch_minutes * 60
        if hung := [run for run, seconds in self.work.under_way().items() if seconds > limit]:
            raise Hung(
                f"A batch of run {hung[0]} has been going on for longer than worker.batch_minutes.",
                hint=f"The next worker goes on; see: touchline runs show {hung[0]}",
            )

    def _start(self) -> None:
        store, now = self.workspace.store, self.workspace.clock.now()
        ensure(store, now)
        start_due(store, now)
        with store.reading() as unit:
            rows = unit.runs.unfinished()
        waiting = [row for row in rows if row["state"] == "queued"]
        if long := [row["id"] for row in waiting if now - row["queued_at"] > RENEW_AFTER]:
            self.engine.renew(long)
        for row in waiting:
            self.engine.enqueue(row["id"], queue_of(row["job"]), row["priority"])
        bury(store, machine.has_died, now)
        self._close_given_up([row for row in rows if row["state"] == "running" and row["job"] != BY_HAND])

    def _close_given_up(self, rows: Sequence[Row]) -> None:
        """End runs whose workflow is over although they are not: the engine gave up, or its tables were lost."""
        over = self.engine.over([row["id"] for row in rows])
        for key, state in over.items():
            with self.workspace.store.transaction() as unit:
                row = unit.runs.get(key, lock=True)
                if row is None or row["state"] != "running":
                    continue
                error = f"the engine no longer works on it ({state.lower()}); try again: touchline runs retry {key}"
                unit.runs.set(key, state="failed", finished_at=self.workspace.clock.now(), error=error)

    def _take_over(self) -> None:
        with self.workspace.store.transaction() as unit:
            if not unit.workers.alone():
                return
            gone = [row["name"] for row in unit.workers.listed() if not self._alive(row)]
            taken = self.engine.take_over(lambda: {row["name"] for row in unit.workers.listed() if self._alive(row)})
            for name in gone:
                unit.workers.drop(name)
        if taken:
            log.warning("worker.took_over", runs=taken, gone=gone)

    def _alive(self, row: Row) -> bool:
        if row["name"] == self.name:
            return True
        if row["host"] == self.host and not machine.is_alive(row["pid"]):
            return False
        silence = self.workspace.clock.now() - row["beat_at"]
        return bool(silence < timedelta(seconds=self.workspace.settings.worker.take_over_seconds))

    def _beats(self, stop: threading.Event, seconds: float) -> None:
        while not stop.wait(seconds):
            try:
                self._beat()
                self.workspace.watch.back(self.workspace.clock.now())
            except StoreUnavailable as error:
                # Health is looked after by a run, and there are none now. Nor by a tick: the engine may hold it until the database is back.
                self.workspace.watch.away(error, self.workspace.clock.now())

    def _beat(self) -> None:
        with self.workspace.store.transaction() as unit:
            unit.workers.beat(self.name, self.host, self.pid, self.listen, self.workspace.clock.now())

    def _gone(self) -> None:
        try:
            with self.workspace.store.transaction() as unit:
                unit.workers.drop(self.name)
        except StoreUnavailable as error:
            # The others notice that the beat has stopped.
            log.warning("worker.cannot_leave", error=error.message)

    def _joins(self, stop: threading.Event) -> bool:
        """Be known as a worker; False where `stop` came first. On SQLite there is only one.

        Raises:
            Refused: Another worker has the SQLite database.
        """
        heard: dict[str, datetime] = {}
        while not stop.is_set():
            with self.workspace.store.transaction() as unit:
                others = self._others(unit)
                if not others:
                    unit.workers.beat(self.name, self.host, self.pid, self.listen, self.workspace.clock.now())
                    return True
            other = others[0]
            if other["host"] == self.host or heard.setdefault(other["name"], other["beat_at"]) != other["beat_at"]:
                raise Refused(
                    f"Another worker (process {other['pid']} on {other['host']}) works on this SQLite database.",
                    hint="Stop it first, or use PostgreSQL, where many workers share the work.",
                )
            # A container that was started anew cannot look at the process that it had before.
            log.warning("worker.waits_for_silence", other=other["name"], last_heard_of=other["beat_at"].isoformat())
            stop.wait(self.workspace.settings.worker.beat_seconds)
        return False

    def _others(self, unit: Unit) -> list[Row]:
        """Workers that have a SQLite database beside this one."""
        if self.workspace.store.engine.dialect.name != "sqlite":
            return []
        # A container that was started anew may have its host's name and the number that the one before it had.
        mine = (self.host, self.pid)
        return [row for row in unit.workers.listed() if (row["host"], row["pid"]) != mine and self._alive(row)]
