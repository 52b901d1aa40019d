"""The disk fails, another process locks, PostgreSQL restarts or the clock goes back in the middle of each phase of the work."""

import resource
import sqlite3
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from crew import Server, own_server

from app.office import ANN, MARA, WEDNESDAY, Office, opened
from touchline.adapters.store import faults, tables
from touchline.adapters.store.store import Store
from touchline.app import outbox
from touchline.model.errors import StoreUnavailable
from touchline.sim.smtp_server import SmtpServer

BATCH = 40
PEOPLE = 90
MESSAGES = 5
Strike = Callable[[], object]


@contextmanager
def failing_disk(office: Office) -> Iterator[Strike]:
    """From the strike on this process can write no file beyond its first page."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4_096, hard))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def locked(office: Office) -> Iterator[Strike]:
    """From the strike on another process writes and does not end."""
    with ExitStack() as stack:

        def strike() -> None:
            if office.store.engine.dialect.name == "sqlite":
                file = sqlite3.connect(office.home / "touchline.db", isolation_level=None)
                stack.callback(file.close)
                file.execute("BEGIN IMMEDIATE")
            else:
                other = psycopg.connect(office.store.engine.url.set(drivername="postgresql").render_as_string(False))
                stack.callback(other.close)
                names = ", ".join(table.name for table in tables.metadata.sorted_tables)
                other.execute(f"LOCK TABLE {names} IN EXCLUSIVE MODE")

        yield strike


@dataclass(frozen=True)
class Scene:
    """An office and what happens to it."""

    office: Office
    fault: Callable[[Office], AbstractContextManager[Strike]]
    hint: str

    def strikes(self, work: Callable[[], object], point: str = "") -> None:
        """Do some work that is struck at a point, or before it begins; it fails with one clear error."""
        with self.fault(self.office) as strike:
            if point:
                self.office.points.at(point, strike)
            else:
                strike()
            with pytest.raises(StoreUnavailable) as raised:
                work()
        assert raised.value.hint == self.hint
        assert self.office.store.place in raised.value.message
        assert raised.value.exit_code == 75


@contextmanager
def an_office(home: Path, url: str, mail_server: SmtpServer) -> Iterator[Office]:
    """An office that waits for no lock."""
    with ExitStack() as stack:
        office = opened(stack, home, url, mail_server)
        office.store.migrate()
        office.store.close()
        office.store = Store(url, home, busy_seconds=0.05)
        stack.callback(office.store.close)
        office.apply()
        yield office


SCENES = {
    "disk fails-sqlite": (failing_disk, faults.DISK),
    "locked-sqlite": (locked, faults.BUSY),
    "locked-postgresql": (locked, faults.BUSY),
}


@pytest.fixture(params=SCENES)
def scene(request: pytest.FixtureRequest, tmp_path: Path, mail_server: SmtpServer) -> Iterator[Scene]:
    postgresql = request.param.endswith("postgresql")
    url = request.getfixturevalue("postgres_url") if postgresql else "sqlite:///touchline.db"
    with an_office(tmp_path, url, mail_server) as office:
        yield Scene(office, *SCENES[request.param])


def heights(office: Office) -> list[int]:
    return [len(office.rows(table)) for table in (tables.leads, tables.prospects, tables.touches)]


def states(office: Office) -> dict[str, int]:
    """First touches by state."""
    return dict(Counter(row["state"] for row in office.touches() if row["step"] == 1))


def ready(office: Office, count: int = MESSAGES) -> None:
    """First touches that are due."""
    office.load(office.people(count), until="nurture")
    office.now = WEDNESDAY


def doubled(office: Office) -> list[str]:
    return [address for address, times in Counter(office.taken()).items() if times > 1]


# every phase that writes


def test_an_import_that_is_struck_keeps_whole_batches_and_goes_on_behind_them(scene: Scene) -> None:
    office = scene.office
    source = office.people(PEOPLE)
    scene.strikes(lambda: office.load(source, until="nurture"), "import-after-commit")
    assert heights(office) == [BATCH] * 3
    done = office.load(source, until="nurture")
    assert (done.rows, done.counts["new"], done.resumed_at) == (PEOPLE, PEOPLE, BATCH)
    assert heights(office) == [PEOPLE] * 3


def test_judging_that_is_struck_keeps_whole_batches_and_goes_on_behind_them(scene: Scene) -> None:
    office = scene.office
    office.load(office.people(PEOPLE))
    scene.strikes(office.judge, "judge-after-commit")
    assert heights(office) == [PEOPLE, PEOPLE, BATCH]
    office.judge()
    assert heights(office) == [PEOPLE] * 3
    assert {row["state"] for row in office.rows(tables.prospects)} == {"enrolled"}


def test_a_claim_that_is_struck_claims_nothing(scene: Scene) -> None:
    office = scene.office
    ready(office)
    scene.strikes(lambda: office.send(name="first", pid=2))
    assert (states(office), office.taken()) == ({"planned": MESSAGES}, [])
    assert office.send(name="second") == {"sent": MESSAGES}


def test_a_message_that_is_struck_before_it_is_begun_has_not_left_and_goes_later(scene: Scene) -> None:
    office = scene.office
    ready(office)
    scene.strikes(lambda: office.send(name="first", pid=2), "recipient-accepted")
    assert (states(office), office.taken(), office.deliveries()) == ({"claimed": MESSAGES}, [], [])
    assert office.send(name="second") == {"released": MESSAGES, "sent": MESSAGES}
    assert doubled(office) == []


def test_a_message_that_is_struck_when_it_has_left_is_uncertain_and_goes_once(scene: Scene) -> None:
    office = scene.office
    ready(office)
    scene.strikes(lambda: office.send(name="first", pid=2), "answered")
    assert states(office) == {"sending": 1, "claimed": MESSAGES - 1}
    assert len(office.taken()) == 1
    assert office.send(name="second") == {"released": MESSAGES - 1, "sent": MESSAGES - 1, "uncertain": 1}
    assert states(office) == {"sent": MESSAGES - 1, "uncertain": 1}
    assert len(office.taken()) == MESSAGES
    assert doubled(office) == []


def test_a_suppression_that_is_struck_suppresses_nothing(scene: Scene) -> None:
    office = scene.office
    ready(office)
    scene.strikes(lambda: office.suppress(ANN))
    assert (office.suppressed(), states(office)) == ([], {"planned": MESSAGES})
    office.suppress(ANN)
    assert (office.suppressed(), states(office)) == ([("address", ANN)], {"planned": MESSAGES - 1, "cancelled": 1})


def test_an_approval_that_is_struck_approves_nothing(scene: Scene) -> None:
    office = scene.office
    office.apply(mode="review")
    ready(office)

    def approve() -> int:
        done = outbox.approve_all(office.store, "spring", by="mo", opt_out=office.opt_out, now=office.now)
        return done.approved

    scene.strikes(approve)
    assert states(office) == {"drafted": MESSAGES}
    assert approve() == MESSAGES
    assert states(office) == {"planned": MESSAGES}


# PostgreSQL


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with own_server() as made:
        yield made


@pytest.fixture
def restarted(server: Server, tmp_path: Path, mail_server: SmtpServer) -> Iterator[Scene]:
    """An office whose database server restarts."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')

    @contextmanager
    def restarting(office: Office) -> Iterator[Strike]:
        yield server.restart

    with an_office(tmp_path, server.url.replace("/postgres?", f"/{name}?"), mail_server) as office:
        yield Scene(office, restarting, faults.AWAY)


def test_a_server_that_restarts_in_the_middle_of_importing_or_judging_costs_the_batch_under_way(
    restarted: Scene,
) -> None:
    office = restarted.office
    source = office.people(PEOPLE)
    restarted.strikes(lambda: office.load(source), "import-before-commit")
    assert heights(office) == [0, 0, 0]
    assert office.load(source).counts["new"] == PEOPLE
    restarted.strikes(office.judge, "judge-before-commit")
    assert heights(office) == [PEOPLE, PEOPLE, 0]
    office.judge()
    assert heights(office) == [PEOPLE] * 3


def test_a_server_that_restarts_between_two_transactions_is_waited_for(restarted: Scene) -> None:
    office = restarted.office
    source = office.people(PEOPLE)
    with restarted.fault(office) as restart:
        office.points.at("import-after-commit", restart)
        assert office.load(source, until="nurture").counts["new"] == PEOPLE
        office.now = WEDNESDAY
        for point in ("claimed", "answered"):
            office.points.at(point, restart)
        assert office.send(limit=MESSAGES) == {"sent": MESSAGES}
    assert len(office.taken()) == MESSAGES
    assert doubled(office) == []


def test_a_server_that_restarts_while_a_message_leaves_doubles_nothing(restarted: Scene) -> None:
    office = restarted.office
    ready(office)
    restarted.strikes(lambda: office.send(name="first", pid=2), "sending-before-commit")
    assert (states(office), office.taken()) == ({"planned": MESSAGES}, [])
    with restarted.fault(office) as restart:
        office.points.at("settle-before-commit", restart)
        assert office.send(name="second") == {"sent": MESSAGES}
    assert (office.points.passed.count("settle-before-commit"), len(office.taken())) == (MESSAGES + 1, MESSAGES)
    assert doubled(office) == []


# the clock


@pytest.mark.parametrize(
    "point", ["claimed", "recipient-accepted", "sending-committed", "answered", "settle-committed"]
)
def test_a_clock_that_goes_back_while_messages_leave_changes_neither_cap_nor_order(
    tmp_path: Path, mail_server: SmtpServer, point: str
) -> None:
    with an_office(tmp_path, "sqlite:///touchline.db", mail_server) as office:
        office.apply(mailboxes=[office.mailbox(daily_cap=MESSAGES)])
        ready(office, 2 * MESSAGES)
        office.points.at(point, lambda: office.later(hours=-1), nth=1 if point == "claimed" else 3)
        assert office.send() == {"sent": MESSAGES}
        for hours in (0, 1, 22):
            office.later(hours=hours)
            assert office.send() == {}, "the cap holds by either clock"
        office.later(hours=2)
        assert office.send() == {"sent": MESSAGES}
        assert doubled(office) == []
        assert len(office.taken()) == 2 * MESSAGES
        assert office.mailbox_state(MARA)["state"] == "ready"
        # Follow-ups come three days after their first messages, and then it ends: nothing waits for an hour that is over.
        office.later(days=6)
        office.send()
        office.later(days=1)
        office.send()
        assert {row["state"] for row in office.touches()} == {"sent"}
