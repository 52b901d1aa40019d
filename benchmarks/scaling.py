"""The cases of growth: what durable work costs a batch, what more workers bring, and how many bytes a lead takes."""

import contextlib
import json
import os
import resource
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, pairwise
from pathlib import Path
from statistics import median
from typing import Any

import psycopg
from sqlalchemy.engine import make_url

from benchmarks.cases import DOMAINS, Case, campaign, dns, figure, main, nobody, postgresql, write_zone
from touchline.app import campaigns, runs, schedules
from touchline.app.funnel import funnel
from touchline.app.imports import import_source
from touchline.app.ports import Row
from touchline.app.tasks import Duty
from touchline.app.work import Step
from touchline.engine import DurableEngine, Queue
from touchline.settings import Dns, Settings
from touchline.sim.companies import WORDS
from touchline.sim.market import Market, market
from touchline.wiring import Quiet, Workspace
from touchline.worker import Worker

EMPTY = 1_000
"""Batches that do nothing."""

WARM_UP = 1_000
"""Leads of an import that is not counted."""

CAMPAIGNS = 4
SHARED = 400_000
"""Leads that workers share at most."""

CREWS = (1, 2, 4)
LOOK_SECONDS = 0.1

Urls = Iterator[str]
"""A fresh database at each step."""


def sqlite_urls() -> Urls:
    return (f"sqlite:///bench-{number}.db" for number in range(100))


def postgresql_urls(server: str) -> Urls:
    for number in range(100):
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE bench_{number}")
        yield make_url(server).set(database=f"bench_{number}").render_as_string(hide_password=False)


def workspace(folder: Path, url: str, port: int = 9, kind: type[Workspace] = Workspace) -> Workspace:
    """A new installation whose DNS answers on a port of this machine."""
    settings = Settings(home=folder, database_url=url, dns=Dns(nameservers=(f"127.0.0.1:{port}",)))
    made = kind(settings, Quiet())
    made.database.migrate()
    return made


def apply(ws: Workspace, names: Sequence[str]) -> None:
    """Campaigns that each harvest the file of their name, and start nothing by themselves."""
    now = ws.clock.now()
    for name in names:
        campaigns.apply(ws.store, campaign(name=name, sources=[{"path": f"{name}.csv"}]), now)
    schedules.ensure(ws.store, now)
    for row in schedules.listed(ws.store, now):
        if row["job"] in ("daily", "retention"):
            schedules.pause(ws.store, row["name"], now)


def write(folder: Path, made: Mapping[str, Market]) -> None:
    """The files of campaigns, and what DNS says of their domains."""
    for name, one in made.items():
        one.write_csv(folder / f"{name}.csv")
    write_zone({domain: kind for one in made.values() for domain, kind in one.zone().items()}, folder / "zone.txt")


def sized(seed: int, leads: int) -> Market:
    return market(seed, leads, min(DOMAINS, max(1, leads // 4)))


# The engine's cost.


@dataclass(frozen=True)
class Idle(Workspace):
    """A workspace one of whose duties does nothing, again and again; `at` has the times of its batches."""

    at: list[float] = field(default_factory=list)

    @property
    def duties(self) -> Mapping[str, Duty]:
        return {**super().duties, "retention": Duty(self._nothing)}

    def _nothing(self) -> dict[str, Any] | None:
        self.at.append(time.perf_counter())
        return {} if len(self.at) <= EMPTY else None


def _engine(folder: Path, urls: Urls, leads: int) -> Iterator[dict[str, object]]:
    yield batches_of("engine alone, empty batches", engine_alone(folder, next(urls)))
    idle = Idle(Settings(home=folder, database_url=next(urls)), Quiet())
    idle.database.migrate()
    apply(idle, ())
    with idle.store.transaction() as unit:
        run = unit.runs.open("retention", idle.clock.now())
    assert run is not None
    with working(idle):
        wait(lambda: ended(idle, [run]))
    each = batches_of("worker, empty batches: engine, our gate and our history", idle.at)
    yield each
    idle.store.close()
    yield from pairs(folder, urls, leads, float(str(each["median_ms"])))


def engine_alone(folder: Path, url: str) -> list[float]:
    """Times at which a run of empty batches came by, without any work of ours."""
    at = list[float]()

    def advance(_: int) -> Step:
        at.append(time.perf_counter())
        return Step(more=len(at) <= EMPTY)

    engine = DurableEngine(url, folder, "bench", advance, lambda _: None, [Queue("batch", 1)], ["batch"])
    engine.start()
    try:
        engine.enqueue(1, "batch", 10)
        wait(lambda: engine.over([1]))
    finally:
        engine.stop(10)
    return at


def batches_of(work: str, at: Sequence[float]) -> dict[str, object]:
    """Milliseconds a batch, and whether a run's thousandth costs more than its first."""
    each = [1_000 * (after - before) for before, after in pairwise(at)]
    tenth = len(each) // 10
    return figure(
        work,
        len(each),
        at[-1] - at[0],
        median_ms=round(median(each), 2),
        p99_ms=round(sorted(each)[len(each) * 99 // 100], 2),
        last_tenth_by_first=round(sum(each[-tenth:]) / sum(each[:tenth]), 2),
    )


def pairs(folder: Path, urls: Urls, leads: int, batch_ms: float) -> Iterator[dict[str, object]]:
    """The same import by hand and by a worker, each into a database of its own, in turns."""
    ratios = list[float]()
    write(folder, {"c0": sized(7, WARM_UP)})
    with dns(folder / "zone.txt") as port:
        by_hand(workspace(folder, next(urls), port), WARM_UP)
    write(folder, {"c0": sized(7, leads)})
    with dns(folder / "zone.txt") as port:
        for number in range(max(1, min(3, 600_000 // leads))):
            order = (by_hand, by_worker) if number % 2 == 0 else (by_worker, by_hand)
            lines = {each: each(workspace(folder, next(urls), port), leads) for each in order}
            yield from lines.values()
            hand, worker = (float(str(lines[each]["seconds"])) for each in (by_hand, by_worker))
            ratios.append(worker / hand)
            count = int(str(lines[by_worker]["batches"]))
    yield {
        "work": "worker by hand",
        "ratios": [round(ratio, 3) for ratio in ratios],
        "engine_share_percent": round(100 * count * batch_ms / 1_000 / worker, 2),
    }


def by_hand(ws: Workspace, leads: int) -> dict[str, object]:
    apply(ws, ["c0"])
    start = time.perf_counter()
    done = runs.run(ws.outside, "c0", until="nurture", limit=None, sources=ws.sources, post=nobody)
    seconds = time.perf_counter() - start
    assert done.imports[0]["rows"] == leads
    ws.store.close()
    return figure("file to enrolled by hand", leads, seconds)


def by_worker(ws: Workspace, leads: int) -> dict[str, object]:
    apply(ws, ["c0"])
    with working(ws):
        key = schedules.run_now(ws.store, "daily:c0", ws.clock.now())["id"]
        wait(lambda: ended(ws, [key]))
    with ws.store.reading() as unit:
        run, batches = unit.runs.get(key), unit.runs.batches(key)
    assert run is not None
    assert run["state"] == "done"
    assert sum(run["counts"]["harvest"].values()) == leads
    seconds = (run["finished_at"] - run["started_at"]).total_seconds()
    beside = seconds - sum(batch["seconds"] for batch in batches)
    ws.store.close()
    return figure(
        "file to enrolled by a worker", leads, seconds, batches=len(batches), beside_batches_seconds=round(beside, 2)
    )


@contextlib.contextmanager
def working(ws: Workspace) -> Iterator[None]:
    """A worker of this process."""
    stop, ready = threading.Event(), threading.Event()
    thread = threading.Thread(target=Worker(ws).run, args=(stop, ready.set))
    thread.start()
    try:
        assert ready.wait(60)
        yield
    finally:
        stop.set()
        thread.join(60)


def wait(condition: Callable[[], object]) -> None:
    while not condition():
        time.sleep(0.2)


def ended(ws: Workspace, keys: Iterable[int]) -> bool:
    with ws.store.reading() as unit:
        rows = [unit.runs.get(key) for key in keys]
    return all(row is not None and row["finished_at"] is not None for row in rows)


def engine_sqlite(folder: Path, leads: int) -> Iterator[dict[str, object]]:
    yield from _engine(folder, sqlite_urls(), leads)


def engine_postgresql(folder: Path, leads: int) -> Iterator[dict[str, object]]:
    with postgresql() as server:
        yield from _engine(folder, postgresql_urls(server), leads)


# More workers.


class Watch:
    """Looks again and again at who waits for whom in a PostgreSQL database."""

    LOOK = """
        SELECT wait_event, extract(epoch FROM clock_timestamp() - query_start)::float FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND wait_event_type = 'Lock'"""

    def __init__(self, url: str) -> None:
        self.url = url
        self.waiting: list[int] = []
        self.longest: dict[str, float] = {}
        self.seen: Counter[str] = Counter()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._looks)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _looks(self) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            while not self._stop.wait(LOOK_SECONDS):
                rows = connection.execute(self.LOOK).fetchall()
                self.waiting.append(len(rows))
                for lock, seconds in rows:
                    self.seen[lock] += 1
                    self.longest[lock] = max(seconds, self.longest.get(lock, 0.0))

    def told(self, workers: int) -> dict[str, object]:
        """Percent of looks at which somebody waited, and of the workers' time spent waiting."""
        looks = len(self.waiting)
        return {
            "looks": looks,
            "somebody_waits_percent": round(100 * sum(map(bool, self.waiting)) / looks, 1),
            "waiting_of_workers_time_percent": round(100 * sum(self.waiting) / looks / workers, 1),
            "locks": dict(self.seen),
            "longest_wait_seconds": {lock: round(seconds, 2) for lock, seconds in self.longest.items()},
        }


def workers_postgresql(folder: Path, leads: int) -> Iterator[dict[str, object]]:
    """Four campaigns with a file each, worked on by more and more workers, each time in a fresh database."""
    each = min(leads, SHARED) // CAMPAIGNS
    names = [f"c{number}" for number in range(CAMPAIGNS)]
    write(folder, {name: sized(70 + number, each) for number, name in enumerate(names)})
    yield from _crews(folder, names, each, "each two files share 10 to 20 people")
    write_apart(folder, names, each)
    yield from _crews(folder, names, each, "no two files share anybody")


def write_apart(folder: Path, names: Sequence[str], each: int) -> None:
    """Files that share nobody: the parts of one market without dirt, in which no person stands twice."""
    leads = each * len(names)
    whole = market(70, leads, min(WORDS, DOMAINS * len(names), max(1, leads // 4)), 0)
    write(folder, {"whole": whole})
    with (folder / "whole.csv").open(encoding="utf-8") as file:
        header = next(file)
        for name in names:
            (folder / f"{name}.csv").write_text(header + "".join(islice(file, each)), "utf-8")


def _crews(folder: Path, names: Sequence[str], each: int, files: str) -> Iterator[dict[str, object]]:
    alone = 0.0
    with postgresql() as server, dns(folder / "zone.txt") as port:
        for crew, url in zip(CREWS, postgresql_urls(server), strict=False):
            ws = workspace(folder, url, port)
            apply(ws, names)
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            with workers(crew, ws, port), Watch(url) as watch:
                now = ws.clock.now()
                keys = [schedules.run_now(ws.store, f"daily:{name}", now)["id"] for name in names]
                wait(lambda ws=ws, keys=keys: ended(ws, keys))
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            with ws.store.reading() as unit:
                done = [row for row in map(unit.runs.get, keys) if row is not None]
            assert [row["state"] for row in done] == ["done"] * CAMPAIGNS
            assert sum(sum(row["counts"]["harvest"].values()) for row in done) == each * CAMPAIGNS
            seconds = (max(r["finished_at"] for r in done) - min(r["started_at"] for r in done)).total_seconds()
            alone = alone or seconds
            cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            yield figure(
                f"{crew} workers, {CAMPAIGNS} campaigns, file to enrolled; {files}",
                each * CAMPAIGNS,
                seconds,
                cores=os.cpu_count(),
                efficiency=round(alone / seconds / crew, 2),
                speed_up=round(alone / seconds, 2),
                workers_cpu_seconds=round(cpu, 1),
                worker_peak_rss_mb=round(after.ru_maxrss / 1024),
                runs_by_worker=sorted(Counter(row["worker"] for row in done).values(), reverse=True),
                seconds_of_parts=parts(done),
                **watch.told(crew),
            )
            ws.store.close()


def parts(done: Sequence[Row]) -> dict[str, float]:
    """Seconds of each part, of all runs together."""
    found: Counter[str] = Counter()
    for row in done:
        found.update(row["counts"].get("seconds", {}))
    return {name: round(seconds, 1) for name, seconds in found.most_common()}


@contextlib.contextmanager
def workers(count: int, ws: Workspace, port: int) -> Iterator[None]:
    """Worker processes that are ready, until the block ends."""
    environment = os.environ | {
        "TOUCHLINE_HOME": str(ws.settings.home),
        "DATABASE_URL": ws.settings.database_url,
        "TOUCHLINE_DNS__NAMESERVERS": json.dumps([f"127.0.0.1:{port}"]),
        # Else the wait for the next look would count as work.
        "TOUCHLINE_WORKER__TICK_SECONDS": "0.5",
    }
    command = [sys.executable, "-m", "touchline", "worker"]
    started = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    try:
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("working")
        yield
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.communicate(timeout=60)


# Bytes a lead.


class Pace:
    """Progress that keeps the time of each batch."""

    def __init__(self) -> None:
        self.at = [time.perf_counter()]

    def step(self, what: str, done: int, total: int | None) -> None:
        del what, done, total
        self.at.append(time.perf_counter())

    @property
    def each(self) -> list[float]:
        """Seconds of each step."""
        return [after - before for before, after in pairwise(self.at)]

    def last_by_second(self) -> float:
        """Seconds of the last fifth of the steps by those of the second: the first ones warm up."""
        each = self.each
        fifth = max(1, len(each) // 5)
        return round(sum(each[-fifth:]) / sum(each[fifth : 2 * fifth] or each[:fifth]), 2)


def _size(folder: Path, url: str, leads: int, measure: Callable[[], tuple[dict[str, int], int]]) -> Iterator[Any]:
    """One real import, then what it takes on the disk: bytes of each table and index, and of its log."""
    write(folder, {"c0": sized(7, leads)})
    with dns(folder / "zone.txt") as port:
        ws = workspace(folder, url, port)
        apply(ws, ["c0"])
        pace, (_, log) = Pace(), measure()
        start = time.perf_counter()
        (source,) = ws.sources(campaigns.get(ws.store, "c0"))
        done = import_source(replace(ws.outside, progress=pace), source, "c0", until="nurture")
        seconds = time.perf_counter() - start
    looks = Pace()
    for _ in range(3):
        counted = funnel(ws.store, "c0")
        looks.step("funnel", 0, None)
    ws.store.close()
    (bytes_, logged), new = measure(), done.counts["new"]
    whole = sum(bytes_.values())
    yield figure(
        f"{ws.store.engine.name}: bytes a lead",
        leads,
        seconds,
        new=new,
        last_fifth_by_second=pace.last_by_second(),
        megabytes=round(whole / 1e6, 1),
        bytes_a_lead=round(whole / new),
        log_bytes_a_lead=round((logged - log) / new),
        parts={
            name: round(size / new)
            for name, size in sorted(bytes_.items(), key=lambda one: -one[1])
            if size > whole / 100
        },
        enrolled=sum(line["count"] for line in counted["lines"] if line["stage"] == "enrolled"),
        funnel_seconds=round(min(looks.each), 3),
    )


def size_sqlite(folder: Path, leads: int) -> Iterator[dict[str, object]]:
    def measure() -> tuple[dict[str, int], int]:
        with contextlib.closing(sqlite3.connect(folder / "bench.db")) as connection:
            query = "SELECT name, sum(pgsize) FROM dbstat GROUP BY name"
            return dict(connection.execute(query)), 0

    yield from _size(folder, "sqlite:///bench.db", leads, measure)


def size_postgresql(folder: Path, leads: int) -> Iterator[dict[str, object]]:
    with postgresql() as server:

        def measure() -> tuple[dict[str, int], int]:
            query = """
                SELECT c.relname, CASE c.relkind WHEN 'r' THEN pg_table_size(c.oid) ELSE pg_relation_size(c.oid) END
                FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE n.nspname = 'public' AND c.relkind IN ('r', 'i')"""
            with psycopg.connect(server) as connection:
                sizes = {name: int(size) for name, size in connection.execute(query)}
                (written,) = connection.execute("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn").fetchone() or (0,)
            return sizes, int(written)

        yield from _size(folder, server, leads, measure)


CASES: dict[str, Case] = {
    "engine-sqlite": engine_sqlite,
    "engine-postgresql": engine_postgresql,
    "workers-postgresql": workers_postgresql,
    "size-sqlite": size_sqlite,
    "size-postgresql": size_postgresql,
}

if __name__ == "__main__":
    main(CASES)
