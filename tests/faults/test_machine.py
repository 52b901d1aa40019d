"""Faults of the machine under whole commands: one clear error, a stable exit code, nothing half-written, and the next try goes on."""

import json
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
import pytest
from books import Books, check_mail

from touchline.adapters.store import faults
from world import TUESDAY, WEDNESDAY, Done, World

LEADS = 40
BATCH = 10
FRAME = 4096 + 24
"""Bytes that a page takes in SQLite's write-ahead log."""
FRAMES = (0, 1, 2, 3, 4, 6, 9, 13, 18, 25, 34, 45)
"""Pages that can be written before the disk fails: at first every one, then wider apart."""

IMPORT = ("import", "leads.csv", "-c", "spring")
JUDGE = ("run", "-c", "spring", "--until", "nurture")
SEND = ("run", "-c", "spring")


@pytest.fixture
def ready(sqlite_world: World) -> World:
    sqlite_world.extra["TOUCHLINE_BATCH_ROWS"] = str(BATCH)
    sqlite_world.set_up()
    sqlite_world.leads(LEADS)
    return sqlite_world


def said(done: Done, *hints: str) -> None:
    """It failed, and says where and what to do, in one message."""
    assert (done.code, done.out) == (75, ""), done.err
    logged = ("run.failed", "sender.cannot_beat", "sender.cannot_settle")  # the log has it too
    message, hint = [line for line in done.err.splitlines() if not any(event in line for event in logged)]
    assert message.startswith("touchline: The database ")
    assert message.endswith(".")
    assert ".db cannot be used: " in message
    assert hint.removeprefix("  ") in hints


def file_of(world: World) -> Path:
    return world.home / world.database_url.removeprefix("sqlite:///")


@contextmanager
def emptied_log(world: World) -> Iterator[None]:
    """The write-ahead log is empty, and its index is there: what is written from now on are pages, one after another."""
    with closing(sqlite3.connect(file_of(world), isolation_level=None)) as connection:
        connection.execute("SELECT count(*) FROM leads").fetchone()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        yield


def failing(world: World, *argv: str, now: str = TUESDAY) -> Iterator[Done]:
    """Run a command again and again while the disk fails at a later page each time, until it gets through."""
    for frames in FRAMES:
        with emptied_log(world):
            done = world.run(*argv, now=now, code=None, largest_file=(frames + 1) * FRAME)
        if done.code == 0:
            return
        said(done, faults.DISK)
        yield done
    world.run(*argv, now=now)


def without_fault(world: World, *commands: tuple[str, ...]) -> Books:
    """The books of another installation on which nothing fails."""
    calm = replace(world, database_url="sqlite:///calm.db")
    calm.run("init", "--yes")
    calm.apply()
    for argv in commands:
        calm.run(*argv)
    return Books.of(calm)


def test_a_disk_that_fails_at_any_write_of_an_import_or_of_judging_costs_a_batch_at_most(ready: World) -> None:
    for argv in (IMPORT, JUDGE):
        tries = 0
        for _ in failing(ready, *argv):
            Books.of(ready).check(BATCH, LEADS)
            tries += 1
        assert tries >= 8, argv
    assert Books.of(ready).decisions() == without_fault(ready, IMPORT, JUDGE).decisions()


def test_a_disk_that_fails_at_any_write_of_sending_doubles_no_message(ready: World) -> None:
    ready.run(*IMPORT)
    ready.run(*JUDGE)
    tries = 0
    for _ in failing(ready, *SEND, now=WEDNESDAY):
        check_mail(ready, Books.of(ready))
        tries += 1
    assert tries >= 8
    drafts = ready.run("outbox", "list", "--state", "uncertain", "--json").json
    books = Books.of(ready)
    assert {draft["message_id"] for draft in drafts} == books.messages("uncertain")
    assert not books.messages("claimed", "sending", "planned") - {
        r["message_id"] for r in books.touches if r["step"] > 1
    }
    assert 0 < len(drafts) < tries
    check_mail(ready, books)


def test_a_disk_that_fails_at_any_write_of_a_suppression_or_an_approval_keeps_nothing_of_it(ready: World) -> None:
    ready.apply(mode="review")
    ready.run(*IMPORT)
    ready.run(*JUDGE)
    (ready.home / "no.csv").write_text("".join(f"ann{i}@firm{i % 7}.com\n" for i in range(30)))
    for argv in (("suppress", "import", "no.csv"), ("outbox", "approve", "--all", "-c", "spring")):
        before, tries = Books.of(ready), 0
        for _ in failing(ready, *argv):
            assert Books.of(ready) == before
            tries += 1
        assert tries >= 3, argv
        assert Books.of(ready) != before
    books = Books.of(ready)
    assert len(books.suppressions) == len([r for r in books.touches if r["state"] == "cancelled"]) == 30
    assert len(books.messages("planned")) == LEADS - 30


@dataclass(frozen=True)
class SmallDisk:
    """A disk that can be filled to its last block; where none may be mounted, one on which no file may grow."""

    world: World
    mounted: bool

    @contextmanager
    def full(self) -> Iterator[dict[str, int]]:
        """How commands are to be run on the full disk."""
        with emptied_log(self.world):
            if not self.mounted:
                yield {"largest_file": FRAME}
                return
            filler = file_of(self.world).with_name("filler")
            with filler.open("wb", buffering=0) as file, suppress(OSError):
                while file.write(bytes(4096)):
                    pass
            yield {}
            filler.unlink()


@pytest.fixture
def small_disk(sqlite_world: World) -> Iterator[SmallDisk]:
    folder = sqlite_world.home / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(folder)]
    mounted = subprocess.run(mount, check=False, capture_output=True).returncode == 0
    sqlite_world.database_url = "sqlite:///small/touchline.db"
    try:
        yield SmallDisk(sqlite_world, mounted)
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_stops_each_command_which_goes_on_when_there_is_room_again(small_disk: SmallDisk) -> None:
    world = small_disk.world
    world.set_up(mode="review")
    world.leads(30)
    for argv, now in (
        (IMPORT, TUESDAY),
        (JUDGE, TUESDAY),
        (("suppress", "add", "ann0@firm0.com"), TUESDAY),
        (("outbox", "approve", "--all", "-c", "spring"), TUESDAY),
        (("campaign", "apply", "test.toml"), TUESDAY),
        (SEND, WEDNESDAY),
    ):
        if argv[0] == "campaign":
            (world.home / "test.toml").write_text((world.home / "test.toml").read_text().replace("< 10", "< 11"))
        before = Books.of(world)
        with small_disk.full() as limits:
            said(world.run(*argv, now=now, code=None, **limits), faults.FULL if small_disk.mounted else faults.DISK)
        assert Books.of(world) == before, argv
        world.run(*argv, now=now)
        assert Books.of(world) != before or argv[0] == "campaign"
    assert sorted(world.delivered().values()) == [1] * 29
    assert world.run("campaign", "list", "--json").json[0]["version"] == 2


WRITING = (IMPORT, SEND, ("suppress", "add", "x@firm1.com"), ("campaign", "pause", "spring"), ("stop", "--all"))
READING = (("leads", "list", "--json"), ("outbox", "list"), ("imports", "list"), ("campaign", "show", "spring"))


def test_a_database_that_may_only_be_read_shows_what_it_has_and_takes_nothing(ready: World) -> None:
    ready.run(*IMPORT)
    before, files = Books.of(ready), [*ready.home.glob("touchline.db*")]
    for file in files:
        file.chmod(0o444)
    for argv in READING:
        ready.run(*argv, unprivileged=True)
    for argv in WRITING:
        said(ready.run(*argv, code=75, unprivileged=True), faults.READ_ONLY)
    found = {f["check"]: f["status"] for f in ready.run("doctor", "--json", code=1, unprivileged=True).json}
    assert found["database"] == "error"
    assert Books.of(ready) == before
    for file in files:
        file.chmod(0o644)
    for argv in WRITING:
        ready.run(*argv, unprivileged=True)


def test_a_folder_in_which_nothing_may_be_made_says_so(ready: World) -> None:
    with closing(sqlite3.connect(file_of(ready))) as connection:  # the last to close takes the log with it
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    ready.home.chmod(0o555)
    try:
        for argv in (*READING, *WRITING):
            said(ready.run(*argv, code=75, unprivileged=True), faults.READ_ONLY, faults.CANNOT_OPEN)
    finally:
        ready.home.chmod(0o755)
    ready.run(*IMPORT, unprivileged=True)


@contextmanager
def locked(world: World) -> Iterator[threading.Timer]:
    """Another process writes, until the timer that is given has run down."""
    if world.database_url.startswith("sqlite"):
        other = sqlite3.connect(file_of(world), isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
    else:
        other = psycopg.connect(world.database_url)
        other.execute("LOCK TABLE imports, runs, suppressions, controls IN EXCLUSIVE MODE")
    with closing(other):
        timer = threading.Timer(0.3, other.rollback)
        timer.start()
        yield timer
        timer.join()


def test_a_command_waits_for_another_process_that_writes(world: World) -> None:
    world.set_up()
    world.leads(5)
    for argv in WRITING[:3]:
        with locked(world) as timer:
            world.run(*argv)
            timer.join()
    assert len(Books.of(world).leads) == 5


def sent(world: World, now: str) -> int:
    return int(world.run(*SEND, "--json", now=now).json["sending"].get("sent", 0))


def test_a_clock_set_back_an_hour_breaks_no_cap_sends_nothing_twice_and_holds_nothing_for_ever(world: World) -> None:
    world.set_up(cap=6)
    world.leads(15)
    world.run(*IMPORT)
    world.run(*JUDGE)
    three, two = "2027-03-10T15:00:00Z", "2027-03-10T14:00:00Z"
    # Dead between claim and `sending` at three o'clock, then the clock goes back.
    world.run(*SEND, now=three, code=-9, TOUCHLINE_KILL_AT="recipient-accepted:3")
    world.run(*SEND, now=two, code=-9, TOUCHLINE_KILL_AT="answered:2")
    assert len(world.delivered()) == 4
    # Dead between `sending` and what became of it, and back again: the fate of that one is unknown, and it counts.
    assert sent(world, "2027-03-10T13:00:00Z") == 2
    assert len(world.run("outbox", "list", "--state", "uncertain", "--json").json) == 1
    for now in (two, three, "2027-03-11T12:59:00Z"):
        assert sent(world, now) == 0
    assert sent(world, "2027-03-11T15:00:01Z") == 6
    assert sent(world, "2027-03-11T14:00:00Z") == 0
    assert sent(world, "2027-03-12T15:00:02Z") == 3
    assert world.delivered() == dict.fromkeys(Books.of(world).messages("sent", "uncertain"), 1)
    assert len(world.delivered()) == 15
    told = [json.loads(line)["rcpt"] for line in (world.home / "smtp.log").read_text().splitlines()]
    assert len({str(rcpt) for rcpt in told}) == 15
