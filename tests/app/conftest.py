"""An office for each test: on SQLite, or where the database matters on both."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from office import Office, opened

from touchline.sim.smtp_server import SmtpServer


@pytest.fixture
def office(tmp_path: Path, sqlite_url: str, mail_server: SmtpServer) -> Iterator[Office]:
    """An office on SQLite."""
    with ExitStack() as stack:
        yield opened(stack, tmp_path, sqlite_url, mail_server)


@pytest.fixture
def shared(tmp_path: Path, postgresql_url: str, mail_server: SmtpServer) -> Iterator[Office]:
    """An office on PostgreSQL, where several write at once."""
    with ExitStack() as stack:
        yield opened(stack, tmp_path, postgresql_url, mail_server)


@pytest.fixture(params=["office", "shared"], ids=["sqlite", "postgresql"])
def either(request: pytest.FixtureRequest) -> Office:
    """An office on each database."""
    made: Office = request.getfixturevalue(request.param)
    return made
