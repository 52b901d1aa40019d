"""`touchline serve` left alone: whatever part is pulled, it goes on by itself, or an alert says what a person has to do."""

import json
import os
import subprocess
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from urllib.error import HTTPError

import psycopg
import pytest
from books import Books
from crew import Crew, MovedTime, Server, own_server, until
from sqlalchemy import update

from touchline.adapters.machine import is_alive
from touchline.adapters.store import faults, tables
from touchline.adapters.store.store import Store
from touchline.app.alerts import CALM, PATIENCE
from touchline.app.claims import STALE
from touchline.app.health import LEVELS
from touchline.app.pipeline import RECHECK
from touchline.app.sending import RETRY_MAILBOX, RETRY_REFUSED_MAILBOX, SETTLE_AGAIN
from touchline.settings import Worker
from touchline.sim.dns_server import KINDS, DnsServer
from touchline.sim.smtp_server import Fault, SmtpServer
from webhook import SECRET, Hook, listening
from world import CAMPAIGN, World, zone

MORNING = "2027-03-10T08:00:00+00:00"
"""A Wednesday."""
DAY = timedelta(days=1)
LEADS = 90
BATCH = 30
SLOW = 90.0
"""Seconds that a slow machine may take for anything."""

SOURCE = """
[[sources]]
path = "leads.csv"

[window]
start = 00:00:00
end = 23:59:59

[sender]"""
HELD = """[[rules]]
name = "nobody answers for it"
when = "address_status = 'unknown'"
then = "held"

[[rules]]"""
LOGIN = 'security = "none"\nusername = "mara"\npassword_env = "MAIL_PASSWORD"'

UNCERTAIN = "-> touchline outbox list --state uncertain"
DOCTOR = "-> touchline doctor"

LONG = int(os.environ.get("TOUCHLINE_CHAOS_KILLS", "20")) > 20
"""`make chaos` pulls each part in every way; the suite in one."""


class StandStill:
    """A mail server's fault that strikes nobody: at its n-th passing the conversation stands still until it may go on."""

    def __init__(self, nth: int) -> None:
        self.left = nth
        self.reached, self.go = threading.Event(), threading.Event()

    def __call__(self, recipient: str) -> bool:
        self.left -= 1
        if self.left == 0:
            self.reached.set()
            assert self.go.wait(SLOW)
        return False


@dataclass
class Site:
    """An installation that `touchline serve` looks after, with a mail server, name server and webhook on loopback."""

    world: World
    crew: Crew
    time: MovedTime
    hook: Hook
    pid: int = 0
    held: list[StandStill] = field(default_factory=list)

    def set_up(self, *changes: tuple[str, str]) -> None:
        """A campaign, changed by replacing some of its text, with a file of leads, and windows that are open now."""
        world, text = self.world, CAMPAIGN
        for old, new in (("\n[sender]", SOURCE), *changes):
            text = text.replace(old, new, 1)
        self.command("init", "--yes")
        world.leads(LEADS, name=str(Path(world.extra.get("TOUCHLINE_HOME", ""), "leads.csv")))
        world.apply(text)
        for name in ("daily:spring", "retention"):
            self.command("schedule", "set", name, "--opens", "00:00", "--closes", "23:59")
        for name in ("send:spring", "health"):
            self.command("schedule", "set", name, "--every", "1")

    def command(self, *argv: str) -> None:
        self.world.run(*argv, now=self.time.now)

    def serve(self) -> None:
        """Start it, as a supervisor does."""
        self.pid = self.crew.start("serve", "--port", "0")
        until(lambda: "listening on " in self.crew.said(), SLOW, "it does not listen")

    def harvests(self) -> None:
        """Let it harvest the leads or look at them again, plan their messages, and the day pass into which these are spread."""
        self.serve()
        until(lambda: len(Books.of(self.world).messages("planned")) == LEADS, SLOW, "nothing is planned")
        self.passes(DAY)

    def passes(self, span: timedelta) -> None:
        """Tell it to stop, and let time pass; a batch under way would seem to hang if so much passed at once."""
        self.crew.stop(self.pid, SLOW)
        self.time.later(span)

    def looks_in_vain(self) -> None:
        """Let it harvest the leads while nobody says which domains take mail: all are kept, and held until somebody does."""
        self.serve()
        until(lambda: len(Books.of(self.world).leads) == LEADS, SLOW, "nothing is harvested")
        found = Counter((row["address_status"], row["state"]) for row in Books.of(self.world).prospects)
        assert found == {("unknown", "held"): LEADS}

    def level(self) -> str:
        """What /healthz says."""
        address = self.crew.said().partition("listening on ")[2].split()[0]
        try:
            with urllib.request.urlopen(f"{address}/healthz", timeout=10) as answer:
                return str(json.load(answer)["health"])
        except HTTPError as error:
            return error.read().decode()
        except OSError:
            return "no answer"

    def stands_still(self, stage: str, nth: int) -> StandStill:
        """The mail server stands still there; see `StandStill`."""
        made = StandStill(nth)
        self.held.append(made)
        self.world.smtp.script(Fault(stage, "drop", matches=made, times=None))  # type: ignore[arg-type]
        return made

    @contextmanager
    def mail_server(self, port: int = 0, users: dict[str, str] | None = None) -> Iterator[SmtpServer]:
        """A mail server, which ends with the block, in the place of the one before."""
        home = self.world.home
        with SmtpServer(port=port, log=home / "smtp.log", mail_dir=home / "mail", users=users) as made:
            self.world.smtp = made
            yield made

    def notices(self, *words: str) -> None:
        """Wait until these stand in its log."""
        until(lambda: all(word in self.crew.logs() for word in words), SLOW, f"it does not notice: {words}")

    def told(self, what: str) -> str:
        """Wait for a notice with these words, perhaps among others; gives what it says."""

        def found() -> list[str]:
            return [each["message"] for each in list(self.hook.heard) if what in each["title"] + each["message"]]

        until(found, SLOW, f"nobody is told {what}: {self.hook.titles}\n{self.crew.logs()[-3000:]}")
        return found()[-1]

    def sends(self, count: int) -> None:
        """Wait until so many messages were taken, and see that none of them was taken twice."""
        until(
            lambda: len(self.world.delivered()) >= count,
            SLOW,
            f"only {len(self.world.delivered())} leave\n{self.crew.logs()[-3000:]}",
        )
        assert set(self.world.delivered().values()) == {1}
        assert len(self.world.delivered()) == count

    def ends_healthy(self) -> None:
        """By the page that monitors ask and by the command, with every lead there and written to once, and no run failed."""
        until(lambda: self.level() == "healthy", SLOW, f"it is not healthy: {self.hook.heard[-3:]}")
        found = self.world.run("health", "--json", now=self.time.now).json
        assert (found["health"], found["findings"]) == ("healthy", [])
        self.accounts(0)

    def accounts(self, uncertain: int) -> None:
        """Every lead is there once, and every message was taken once."""
        until(lambda: len(Books.of(self.world).messages("sent")) >= LEADS - uncertain, SLOW, "not all is sent")
        books = Books.of(self.world)
        books.check(BATCH, LEADS)
        assert len(books.leads) == LEADS
        assert self.world.delivered() == dict.fromkeys(books.messages("sent", "uncertain"), 1)
        assert len(books.messages("uncertain")) == uncertain
        assert len(self.world.delivered()) == LEADS

    def close(self) -> None:
        for each in self.held:
            each.go.set()
        self.crew.close()


@contextmanager
def site_of(world: World, **settings: str) -> Iterator[Site]:
    moved = MovedTime(world.home / "ahead", MORNING)
    with listening() as hook, ExitStack() as stack:
        # Time is moved by more than a batch may take, or a worker be silent.
        settings = {"TOUCHLINE_WORKER__BATCH_MINUTES": "1440", "TOUCHLINE_WORKER__TAKE_OVER_SECONDS": "3600"} | settings
        world.extra |= {"TOUCHLINE_BATCH_ROWS": str(BATCH), "TOUCHLINE_SMTP__TIMEOUT": str(SLOW)}
        world.extra |= {"TOUCHLINE_ALERTS__URLS": json.dumps([hook.url])}
        crew = Crew(world, moved, **settings)
        made = Site(world, crew, moved, hook)
        stack.callback(made.close)
        yield made


@pytest.fixture
def site(sqlite_world: World) -> Iterator[Site]:
    with site_of(sqlite_world) as made:
        yield made


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with own_server() as made:
        yield made


@pytest.fixture
def on_server(server: Server, sqlite_world: World) -> Iterator[Site]:
    """A site on a PostgreSQL server that may be stopped."""
    name = f"t_{os.urandom(6).hex()}"
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    sqlite_world.database_url = server.url.replace("/postgres?", f"/{name}?")
    with site_of(sqlite_world) as made:
        yield made


def ends(site: Site, stage: str) -> None:
    """Before a message has begun to leave it goes by itself; of one whose fate nobody can know a person is told what to do."""
    site.sends(LEADS)
    if stage != "dot":
        site.ends_healthy()
        return
    assert UNCERTAIN in site.told("DEGRADED  touches: ")
    site.accounts(1)


# PostgreSQL


@pytest.mark.parametrize("stage", ["rcpt", "dot"] if LONG else ["dot"])
def test_a_database_server_that_restarts_while_messages_leave_is_waited_for(
    on_server: Site, server: Server, stage: str
) -> None:
    site = on_server
    site.set_up()
    site.harvests()
    still = site.stands_still(stage, 20)
    site.serve()
    assert still.reached.wait(SLOW)
    server.stop()
    still.go.set()
    site.notices("run.waits", "health.store_unavailable")
    # Back sooner, it would still be told what the mail server has said.
    time.sleep(sum(SETTLE_AGAIN) + 1)
    assert site.level() not in LEVELS
    site.time.later(PATIENCE)
    assert f"-> {faults.AWAY}" in site.told("Touchline failed: database")
    server.start()
    site.told("Touchline over: database")
    site.time.later(STALE)
    ends(site, stage)
    assert is_alive(site.pid)


# names


@pytest.mark.parametrize("how", ["silent", "stopped"] if LONG else ["stopped"])
def test_while_no_name_server_answers_addresses_are_unknown_and_a_later_run_looks_again(site: Site, how: str) -> None:
    with DnsServer(lambda _: KINDS["timeout"]) as names:
        site.world.dns = names
        site.set_up(("[[rules]]", HELD))
        if how == "silent":
            site.looks_in_vain()
    if how == "stopped":
        site.looks_in_vain()
    with DnsServer(zone, names.port):
        site.passes(RECHECK)
        site.harvests()
        assert {row["address_status"] for row in Books.of(site.world).prospects} == {"safe"}
        site.serve()
        site.sends(LEADS)
        site.ends_healthy()


# mail


@pytest.mark.parametrize("how", ["busy", "stopped", "login refused"] if LONG else ["busy"])
def test_a_mail_server_that_takes_nothing_rests_with_an_alert_and_gets_the_mail_when_it_does(
    site: Site, how: str
) -> None:
    login = how == "login refused"
    site.world.extra["MAIL_PASSWORD"] = SECRET
    with site.mail_server() as mail:
        site.set_up(*[('security = "none"', LOGIN)] if login else [])
        site.harvests()
    with ExitStack() as stack:
        if login:
            stack.enter_context(site.mail_server(mail.port, {"mara": "another"}))
        elif how == "busy":
            stack.enter_context(site.mail_server(mail.port)).script(Fault("banner", "4xx", times=None))
        site.serve()
        said = site.told("DEGRADED  mailboxes: mara@quillmast.example")
        assert DOCTOR in said
        assert {"busy": "421", "stopped": "cannot be reached", "login refused": "refuses the login: 535"}[how] in said
        assert SECRET not in said
        assert site.world.delivered() == {}
    with site.mail_server(mail.port, {"mara": SECRET} if login else {}):
        site.time.later(RETRY_REFUSED_MAILBOX if login else RETRY_MAILBOX)
        site.sends(LEADS)
        site.time.later(CALM)
        site.told("OVER  mailboxes: mara@quillmast.example")
        site.ends_healthy()


# the disk


@dataclass(frozen=True)
class Disk:
    """A disk of its own that can be made as small as what is on it."""

    folder: Path

    def leave(self, free: int) -> None:
        """Leave so many bytes free."""

        def done() -> bool:
            # Between the look and the change somebody may have written more than is left.
            found = os.statvfs(self.folder)
            try:
                return self._mount("remount", found.f_bsize * (found.f_blocks - found.f_bfree) + free)
            except subprocess.CalledProcessError:
                return False

        until(done, 10, "the disk cannot be made smaller")

    def mount(self) -> bool:
        return self._mount("", 4_000_000_000)

    def _mount(self, how: str, size: int) -> bool:
        options = ",".join(filter(None, (how, f"size={size}")))
        command = ["mount", "-t", "tmpfs", "-o", options, "none", str(self.folder)]
        return subprocess.run(command, check=bool(how), capture_output=True).returncode == 0


@pytest.fixture
def disk(sqlite_world: World) -> Iterator[Disk]:
    """The disk on which the installation is, but not what the servers beside it and our workers' logs write."""
    made = Disk(sqlite_world.home / "small")
    made.folder.mkdir()
    if not made.mount():
        lacking = "A small disk cannot be mounted here: run the suite as root, in a container with --cap-add SYS_ADMIN."
        pytest.fail(lacking) if os.environ.get("CI") else pytest.skip(lacking)
    sqlite_world.database_url = "sqlite:///small/touchline.db"
    sqlite_world.extra |= {"TOUCHLINE_HOME": str(made.folder), "DATABASE_URL": "sqlite:///touchline.db"}
    yield made
    subprocess.run(["umount", "--lazy", str(made.folder)], check=True)


def test_a_disk_that_fills_up_is_told_in_time_and_when_there_is_room_again_all_goes_on(disk: Disk, site: Site) -> None:
    site.set_up()
    site.harvests()
    still = site.stands_still("rcpt", 20)
    site.serve()
    assert still.reached.wait(SLOW)
    disk.leave(50_000_000)
    assert "-> Free some space." in site.told("FAILED  disk: ")
    disk.leave(0)
    site.notices("is full")
    still.go.set()
    site.notices("run.waits", "health.store_unavailable")
    site.time.later(PATIENCE)
    assert f"-> {faults.FULL}" in site.told("Touchline failed: database")
    disk.leave(4_000_000_000)
    site.told("Touchline over: database")
    site.time.later(STALE)
    site.sends(LEADS)
    site.time.later(CALM)
    site.told("OVER  disk")
    site.ends_healthy()
    assert is_alive(site.pid)


# the process


@pytest.mark.parametrize("stage", ["import-after-commit:2", "rcpt", "dot"] if LONG else ["rcpt"])
def test_a_process_that_is_killed_and_started_anew_goes_on_where_it_was(site: Site, stage: str) -> None:
    site.set_up()
    if stage.startswith("import"):
        site.world.extra["TOUCHLINE_KILL_AT"] = stage
        site.serve()
        until(lambda: not is_alive(site.pid), SLOW, "it does not die")
        site.crew.members.remove(site.pid)
        del site.world.extra["TOUCHLINE_KILL_AT"]
        assert 0 < len(Books.of(site.world).leads) < LEADS
        site.harvests()
    else:
        site.harvests()
        still = site.stands_still(stage, 20)
        site.serve()
        assert still.reached.wait(SLOW)
        site.crew.kill(site.pid)
        still.go.set()
    site.serve()
    ends(site, stage)


# another host


def test_with_the_default_settings_the_runs_of_a_host_that_falls_silent_are_taken_over_within_a_minute(
    postgres_url: str, sqlite_world: World
) -> None:
    """Its last beat came when it died, and whoever looks next looks as late as may be."""
    world, given = sqlite_world, Worker()
    world.database_url = postgres_url
    names = ("tick_seconds", "beat_seconds", "take_over_seconds")
    default = {f"TOUCHLINE_WORKER__{name.upper()}": str(getattr(given, name)) for name in names}
    store = Store(postgres_url, world.home)
    with site_of(world, **default) as site, closing(store):
        site.set_up()
        site.harvests()
        still = site.stands_still("rcpt", 20)
        site.serve()
        assert still.reached.wait(SLOW)
        site.crew.kill(site.pid)
        still.go.set()
        with store.transaction() as unit:
            unit.connection.execute(update(tables.workers).values(host="elsewhere"))
            beat_at = unit.workers.listed()[0]["beat_at"]
            run = next(row["id"] for row in unit.runs.unfinished() if row["job"] == "send")
        # So much passes while nobody else looks; the rest as it does.
        silence = datetime.fromisoformat(site.time.now) - beat_at
        site.time.later(timedelta(seconds=given.take_over_seconds - 9) - silence)
        site.serve()

        def taken() -> bool:
            with store.reading() as unit:
                row = unit.runs.get(run)
            return row is not None and row["takeovers"] == 1

        until(taken, SLOW, "nobody takes over")
        assert datetime.fromisoformat(site.time.now) - beat_at < timedelta(seconds=60)
        ends(site, "rcpt")
