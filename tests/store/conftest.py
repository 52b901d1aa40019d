"""A migrated, empty database for each test, on SQLite and on PostgreSQL."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from touchline.adapters.store.store import Store

BOTH = ("sqlite", "postgresql")


@pytest.fixture(params=BOTH)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/empty.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


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
