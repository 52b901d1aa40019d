"""A migrated, empty database for each test, on SQLite and on PostgreSQL."""

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from touchline.adapters.store.store import Store
from touchline.adapters.store.tables import metadata

BOTH = ("sqlite", "postgresql")


def migrated(url: str, home: Path) -> None:
    store = Store(url, home)
    store.migrate()
    store.close()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("template")
    migrated("sqlite:///template.db", home)
    return home / "template.db"


@pytest.fixture(scope="session")
def postgres_migrated(postgres_server: str) -> Iterator[str]:
    """URL of a database that is migrated once; copying it for each test would take longer than the test."""
    name = f"migrated_{os.getpid()}_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    url = postgres_server.replace("/postgres?", f"/{name}?")
    migrated(url, Path("/"))
    yield url
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(params=BOTH)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/empty.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """URL of a migrated SQLite file."""
    shutil.copy(sqlite_template, tmp_path / "touchline.db")
    return f"sqlite:///{tmp_path}/touchline.db"


@pytest.fixture
def postgresql_url(postgres_migrated: str) -> str:
    """URL of a migrated PostgreSQL database without a row, whose keys start at 1."""
    tables = metadata.sorted_tables
    counted = [table.name for table in tables if table.autoincrement_column is not None]
    with psycopg.connect(postgres_migrated, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        connection.execute("; ".join(f"DELETE FROM {table.name}" for table in tables))
        connection.execute("; ".join(f"SELECT setval('{name}_id_seq', 1, false)" for name in counted))
    return postgres_migrated


@pytest.fixture(params=BOTH)
def store_url(request: pytest.FixtureRequest) -> str:
    """URL of a migrated database."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def open_store() -> Iterator[Callable[..., Store]]:
    """Opens stores that are closed when the test ends."""
    with ExitStack() as stack:

        def opened(url: str, busy_seconds: float = 5) -> Store:
            found = Store(url, Path("/"), busy_seconds)
            stack.callback(found.close)
            return found

        yield opened


@pytest.fixture
def store(store_url: str, open_store: Callable[..., Store]) -> Store:
    """A fresh store."""
    return open_store(store_url)
