"""An office for each test: on SQLite, or where the database matters on both."""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from office import Office, opened

from touchline.adapters.store.store import Store
from touchline.adapters.store.tables import metadata
from touchline.sim.smtp_server import SmtpServer


def _migrated(url: str, home: Path) -> None:
    store = Store(url, home)
    store.migrate()
    store.close()


@pytest.fixture(scope="session")
def office_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty SQLite file: copying it is faster than migrating."""
    home = tmp_path_factory.mktemp("office")
    _migrated("sqlite:///template.db", home)
    return home / "template.db"


@pytest.fixture(scope="session")
def office_postgres(postgres_server: str) -> Iterator[str]:
    """A migrated PostgreSQL database, emptied for each test."""
    name = f"office_{os.getpid()}_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    url = postgres_server.replace("/postgres?", f"/{name}?")
    _migrated(url, Path("/"))
    yield url
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def office_mail() -> Iterator[SmtpServer]:
    """The mail server of every office: on one port, so that a prepared database fits all of them."""
    with SmtpServer() as server:
        yield server


@pytest.fixture
def office(tmp_path: Path, office_template: Path, office_mail: SmtpServer) -> Iterator[Office]:
    """An office on SQLite."""
    shutil.copy(office_template, tmp_path / "touchline.db")
    with ExitStack() as stack:
        yield opened(stack, tmp_path, "sqlite:///touchline.db", office_mail)


@pytest.fixture(params=["sqlite", "postgresql"])
def either(request: pytest.FixtureRequest, tmp_path: Path, office_mail: SmtpServer) -> Iterator[Office]:
    """An office on each database."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("office_template"), tmp_path / "touchline.db")
        url = "sqlite:///touchline.db"
    else:
        url = emptied(request.getfixturevalue("office_postgres"))
    with ExitStack() as stack:
        yield opened(stack, tmp_path, url, office_mail)


@pytest.fixture
def shared(tmp_path: Path, office_postgres: str, office_mail: SmtpServer) -> Iterator[Office]:
    """An office on PostgreSQL, where several write at once."""
    with ExitStack() as stack:
        yield opened(stack, tmp_path, emptied(office_postgres), office_mail)


def emptied(url: str) -> str:
    """The same database without a row."""
    names = ", ".join(table.name for table in metadata.sorted_tables)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"TRUNCATE {names} RESTART IDENTITY")
    return url
