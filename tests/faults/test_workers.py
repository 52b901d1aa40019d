"""Workers as processes: killed, frozen and stopped, they lose no run and double nothing."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import pytest
from crew import QUICK, Crew, until

from touchline.adapters.machine import is_alive
from touchline.adapters.store.store import Store
from touchline.app import schedules
from touchline.app.ports import Row
from touchline.cli.work import LAST_SECONDS
from touchline.settings import Worker
from world import World

CAMPAIGNS = 6
ROWS = 400
ALL = 100_000
KILLS = int(os.environ.get("TOUCHLINE_CHAOS_KILLS", "20"))
LONG = KILLS > 20
AS_SET_BY_DEFAULT = {
    f"TOUCHLINE_WORKER__{name.upper()}": str(getattr(Worker(), name))
    for name in ("tick_seconds", "beat_seconds", "take_over_seconds")
}
REGIMES: dict[str, tuple[int, bool, dict[str, str]]] = {
    "one host": (20, False, AS_SET_BY_DEFAULT),
    "a host each": (KILLS if LONG else 6, True, {}),
    "a host each, as set by default": (20, True, AS_SET_BY_DEFAULT),
}
"""How many workers die, whether each is on a host of its own, where only its silence tells, and their settings beside those of `QUICK`."""


@pytest.fixture
def crew(world: World) -> Iterator[Crew]:
    made = Crew(world)
    yield made
    made.close()


@pytest.fixture
def store(world: World) -> Iterator[Store]:
    made = Store(world.database_url, world.home)
    yield made
    made.close()


def set_up(world: World, campaigns: int = CAMPAIGNS, rows: int = ROWS) -> list[str]:
    """Campaigns that each harvest a file of their own; gives their names."""
    names = [f"c{number}" for number in range(campaigns)]
    world.run("init", "--yes")
    for number, name in enumerate(names):
        world.leads(rows, start=number * rows, name=f"{name}.csv")
        world.apply(source_campaign(name))
    world.run("schedule", "list")
    return names


def source_campaign(name: str) -> str:
    from world import CAMPAIGN

    return CAMPAIGN.replace("$name", name).replace("[sender]", f'[[sources]]\npath = "{name}.csv"\n\n[sender]', 1)


def states(store: Store) -> dict[str, int]:
    """Daily runs by state."""
    with store.reading() as unit:
        rows = unit.runs.listed(ALL, job="daily")
    return {state: sum(row["state"] == state for row in rows) for state in {row["state"] for row in rows}}


def check(world: World, store: Store, names: list[str], runs: int, files: int = 1) -> None:
    """Every run is done, every lead of every file is there once, with one first touch, and the counts add up."""
    assert states(store) == {"done": runs}
    for name in names:
        shown = world.run("campaign", "show", name, "--json").json
        assert shown["prospects"] == ROWS * files
        assert sum(shown["touches"].values()) == ROWS * files
    with store.reading() as unit:
        imports = unit.imports.listed(ALL)
    assert {(row["state"], row["rows"], row["new"]) for row in imports} == {("done", ROWS, ROWS)}
    assert len(imports) == len(names) * files


@pytest.mark.timeout(300 + 6 * KILLS)
def test_a_worker_killed_at_random_loses_and_doubles_nothing(sqlite_world: World) -> None:
    survive(sqlite_world, KILLS // 2 if LONG else 6, 1)


@pytest.mark.timeout(300 + 6 * KILLS)
@pytest.mark.parametrize("regime", REGIMES if LONG else ["one host", "a host each"])
def test_workers_killed_at_random_lose_and_double_nothing(postgres_url: str, sqlite_world: World, regime: str) -> None:
    sqlite_world.database_url = postgres_url
    kills, hosts, settings = REGIMES[regime]
    survive(sqlite_world, kills, 3, hosts=hosts, **settings)


def survive(world: World, kills: int, workers: int, *, hosts: bool = False, **settings: str) -> None:
    """Kill whoever works on a run, or sometimes whoever there is, and begin another; then look at what they have done."""
    dice = random.Random(7)
    crew, store = Crew(world, hosts=hosts, **settings), Store(world.database_url, world.home)
    names = set_up(world)
    begun = files = 0

    def victim() -> int | None:
        """Whom to kill, once somebody works: before anybody does a death shows nothing; files and runs are added as they are used up."""
        nonlocal begun, files
        with store.reading() as unit:
            rows = unit.runs.unfinished()
        if not [row for row in rows if row["job"] == "daily"]:
            for number, name in enumerate(names):
                world.leads(ROWS, start=(files * len(names) + number) * ROWS, name=f"{name}.csv")
            begun, files = begun + queued(store, names), files + 1
        with store.reading() as unit:
            last = [unit.runs.batches(row["id"])[-1:] for row in rows if row["state"] == "running"]
        busy = {int(batch["worker"].split(":")[1]) for batches in last for batch in batches}
        # Half of them have done a batch of a run and are at another; who only waits, or has just begun, dies as well.
        found = [pid for pid in crew.members if pid in busy]
        return dice.choice(found if dice.random() < 0.6 else crew.members) if found else None

    try:
        for _ in range(workers):
            crew.start()
        for _ in range(kills):
            chosen = until(victim, 90, lambda: f"nothing begins: {standing(store)}\n{crew.logs()[-9000:]}")
            assert chosen is not None
            time.sleep(dice.uniform(0.0, 0.2))
            crew.kill(chosen)
            crew.start()
        until(
            lambda: set(states(store)) == {"done"},
            180,
            lambda: f"the runs do not end: {standing(store)}\n{crew.logs()[-9000:]}",
        )
        check(world, store, names, begun, files)
        assert midway(store) >= kills // 3, "most kills met nobody at work"
    finally:
        crew.close()
        store.close()


def midway(store: Store) -> int:
    """How often somebody went on where another had stopped, after at least a batch of each."""
    with store.reading() as unit:
        runs = [unit.runs.batches(row["id"]) for row in unit.runs.listed(ALL, job="daily")]
    return sum(len({batch["worker"] for batch in batches}) - 1 for batches in runs)


def standing(store: Store) -> list[Row]:
    """Runs that are not done, and who is at work."""
    with store.reading() as unit:
        return [row for row in unit.runs.listed(ALL) if row["state"] != "done"] + unit.workers.listed()


def queued(store: Store, names: list[str]) -> int:
    """A daily run of each campaign; gives how many."""
    return sum(bool(schedules.run_now(store, f"daily:{name}", datetime.now(UTC))) for name in names)


def test_a_frozen_worker_is_taken_over_and_harms_nothing_when_it_wakes(postgres_url: str, sqlite_world: World) -> None:
    world = sqlite_world
    world.database_url = postgres_url
    crew, store = Crew(world), Store(postgres_url, world.home)
    try:
        names = set_up(world, 2)
        for name in names:
            world.run("schedule", "run-now", f"daily:{name}", now="")
        frozen = crew.start()
        until(lambda: states(store).get("running"), 30, "nothing begins")
        os.kill(frozen, signal.SIGSTOP)
        crew.start()
        # Frozen inside a transaction it keeps its locks until the server ends that.
        until(lambda: set(states(store)) == {"done"}, 150, "nobody takes over")
        os.kill(frozen, signal.SIGCONT)
        assert crew.stop(frozen) < 30
        check(world, store, names, 2)
    finally:
        crew.close()
        store.close()


def test_a_worker_that_is_told_to_stop_hands_its_run_over_between_batches(
    world: World, crew: Crew, store: Store
) -> None:
    names = set_up(world, 1)
    world.run("schedule", "run-now", f"daily:{names[0]}", now="")
    first = crew.start()
    until(lambda: states(store).get("running"), 30, "nothing begins")
    assert crew.stop(first) < 30
    with store.reading() as unit:
        assert unit.workers.listed() == []
    crew.start()
    until(lambda: set(states(store)) == {"done"}, 60, "nobody goes on")
    check(world, store, names, 1)
    assert "Traceback" not in crew.logs()


def test_a_second_worker_on_sqlite_is_refused(sqlite_world: World) -> None:
    crew = Crew(sqlite_world)
    store = Store(sqlite_world.database_url, sqlite_world.home)
    try:
        set_up(sqlite_world, 1)
        crew.start()

        def beats() -> bool:
            with store.reading() as unit:
                return bool(unit.workers.listed())

        until(beats, 30, "no worker begins")
        done = sqlite_world.run("worker", now="", code=77, **crew.settings)
        assert "Another worker" in done.err
    finally:
        crew.close()
        store.close()


def elsewhere(store: Store, heard: datetime) -> None:
    with store.transaction() as unit:
        unit.workers.beat("before", "this-container/7", 7, ["batch"], heard)


def test_on_sqlite_a_worker_that_cannot_be_looked_at_is_waited_for_until_it_has_been_silent(
    sqlite_world: World,
) -> None:
    crew, store = Crew(sqlite_world), Store(sqlite_world.database_url, sqlite_world.home)
    try:
        names = set_up(sqlite_world, 1)
        sqlite_world.run("schedule", "run-now", f"daily:{names[0]}", now="")
        elsewhere(store, datetime.now(UTC))
        crew.start()
        until(lambda: "worker.waits_for_silence" in crew.logs(), 30, "it does not wait")
        until(lambda: set(states(store)) == {"done"}, 60, "it does not begin")
    finally:
        crew.close()
        store.close()


def test_on_sqlite_a_worker_that_is_heard_of_again_is_alive(sqlite_world: World) -> None:
    crew = Crew(sqlite_world, TOUCHLINE_WORKER__TAKE_OVER_SECONDS="20")
    store = Store(sqlite_world.database_url, sqlite_world.home)
    try:
        set_up(sqlite_world, 1)
        elsewhere(store, datetime.now(UTC))
        refused = crew.start()
        until(lambda: "worker.waits_for_silence" in crew.logs(), 30, "it does not wait")
        elsewhere(store, datetime.now(UTC))
        until(lambda: not is_alive(refused), 30, "it does not give up")
        crew.members.remove(refused)
        assert "Another worker (process 7 on this-container/7)" in crew.logs()
        with store.reading() as unit:
            assert [row["name"] for row in unit.workers.listed()] == ["before"]
    finally:
        crew.close()
        store.close()


def test_a_process_that_is_told_to_stop_ends_in_time_whatever_its_batch_waits_for(sqlite_world: World) -> None:
    world, store = sqlite_world, Store(sqlite_world.database_url, sqlite_world.home)
    names = set_up(world, 1)
    world.run("schedule", "run-now", f"daily:{names[0]}", now="")
    with closing(store), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        waits = {
            "TOUCHLINE_DNS__NAMESERVERS": f'["127.0.0.1:{silent.getsockname()[1]}"]',
            "TOUCHLINE_DNS__TIMEOUT": "60",
            "TOUCHLINE_WORKER__STOP_SECONDS": "1",
        }
        command = [sys.executable, "-m", "touchline", "worker"]
        # A real process with an interpreter of its own: at its end that waits for every thread.
        process = subprocess.Popen(command, env=world.environment | QUICK | waits, cwd=world.home)
        try:
            until(lambda: states(store).get("running"), 60, "nothing begins")
            time.sleep(0.5)
            process.terminate()
            assert process.wait(1 + LAST_SECONDS + 10) == 0
        finally:
            process.kill()
    crew = Crew(world)
    try:
        crew.start()
        with closing(Store(world.database_url, world.home)) as store:
            until(lambda: set(states(store)) == {"done"}, 60, "nobody goes on")
            check(world, store, names, 1)
    finally:
        crew.close()


def test_a_worker_whose_batch_hangs_stops_and_the_next_one_goes_on(sqlite_world: World) -> None:
    crew, store = Crew(sqlite_world), Store(sqlite_world.database_url, sqlite_world.home)
    try:
        names = set_up(sqlite_world, 1)
        sqlite_world.run("schedule", "run-now", f"daily:{names[0]}", now="")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            hanging = crew.settings | {
                "TOUCHLINE_DNS__NAMESERVERS": f'["127.0.0.1:{silent.getsockname()[1]}"]',
                "TOUCHLINE_DNS__TIMEOUT": "60",
                "TOUCHLINE_WORKER__BATCH_MINUTES": "0.01",
                "TOUCHLINE_WORKER__STOP_SECONDS": "0",
            }
            done = sqlite_world.run("worker", now="", code=75, **hanging)
        assert "A batch of run 1 has been going on for longer than worker.batch_minutes." in done.err
        assert "touchline runs show 1" in done.err
        assert states(store) == {"running": 1}
        crew.start()
        until(lambda: set(states(store)) == {"done"}, 60, "nobody goes on")
        check(sqlite_world, store, names, 1)
    finally:
        crew.close()
        store.close()
