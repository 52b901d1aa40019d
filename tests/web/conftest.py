"""An opt-out server on a real database with people in it, served by uvicorn on loopback."""

import os
import socket
import tomllib
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from string import Template
from threading import Thread
from typing import Any

import httpx
import polars as pl
import pytest
import uvicorn
from playwright.sync_api import Browser
from starlette.types import ASGIApp

from touchline.adapters.clock import FixedClock
from touchline.adapters.store.store import Store
from touchline.app import tokens
from touchline.model.campaign import Campaign
from touchline.model.columns import DECISIONS, LEAD, lead_schema, shadows
from touchline.web.optout import application
from web.browser import chromium
from world import CAMPAIGN

SECRET = b"a secret of the tests"
NOW = datetime(2027, 3, 10, 15, tzinfo=UTC)
CAMPAIGNS = ("autumn", "spring")


DATABASES = {"sqlite": "api", "postgresql": "postgres_api"}
EVERY = bool(os.environ.get("TOUCHLINE_EVERY_DATABASE"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Half of the tests of faces run on each database, always the same half: what they call is tested on both.

    With TOUCHLINE_EVERY_DATABASE=1 (`make faces`) all of them run on both.
    """
    if "either" in metafunc.fixturenames:
        half = list(DATABASES)[zlib.crc32(metafunc.function.__qualname__.encode()) % 2]
        chosen = list(DATABASES) if EVERY else [half]
        metafunc.parametrize("either", [DATABASES[name] for name in chosen], ids=chosen, indirect=True)


@dataclass(frozen=True)
class People:
    """Leads that are enrolled in two campaigns, with an open touch in each."""

    store: Store
    secret: bytes = SECRET
    now: datetime = NOW

    def enrol(self, address: str = "ann@firm.example") -> list[int]:
        """Keys of the person's prospects, one a campaign."""
        values = {"email": address, "base_address": address, "email_domain": address.partition("@")[2], "source": "csv"}
        leads = pl.DataFrame([dict.fromkeys(c.name for c in LEAD) | values], schema=lead_schema())
        with self.store.transaction() as unit:
            lead_id = unit.leads.insert(leads.with_columns(*shadows(), identity=pl.lit(address)), None, NOW)[0]
            return [self._enrol(unit, lead_id, name, address) for name in CAMPAIGNS]

    def _enrol(self, unit: Any, lead_id: int, name: str, address: str) -> int:
        stored = unit.campaigns.find(name)
        campaign_id = stored.id if stored else unit.campaigns.create(_campaign(name), "active", NOW)
        decisions = [pl.lit(None, column.dtype).alias(column.name) for column in DECISIONS]
        prospect = pl.DataFrame({"lead_id": [lead_id]}).with_columns(
            *decisions,
            state=pl.lit("enrolled"),
            state_reason=pl.lit(None, pl.String),
            pending=pl.lit(0, pl.Int64),
            recheck_at=pl.lit(None, pl.Datetime("us", "UTC")),
            campaign_version=pl.lit(1, pl.Int64),
        )
        key = int(unit.prospects.insert(prospect, campaign_id, NOW)[0])
        touch = {
            "campaign_id": campaign_id,
            "prospect_id": key,
            "step": 1,
            "sequence": "short",
            "variant": None,
            "state": "planned" if name == "spring" else "drafted",
            "due_at": NOW,
            "mailbox": "mara@quillmast.example",
            "message_id": f"<{name}.{address}>",
        }
        unit.touches.insert(pl.DataFrame([touch], schema_overrides={"variant": pl.String}), NOW)
        return key

    def forget(self, prospect: int) -> None:
        """What an erasure leaves: the prospect is not there any more."""
        with self.store.transaction() as unit:
            unit.connection.exec_driver_sql(f"DELETE FROM prospects WHERE id = {prospect}")

    @property
    def suppressed(self) -> list[str]:
        """Addresses that must get nothing."""
        with self.store.reading() as unit:
            return [row["value"] for row in unit.suppressions.listed(0, 1000)]

    @property
    def touches(self) -> dict[str, int]:
        """Touches by state."""
        with self.store.reading() as unit:
            return unit.touches.counts(None)

    def events(self, prospect: int) -> list[tuple[str, datetime, str]]:
        """What happened to the person behind a prospect."""
        with self.store.reading() as unit:
            lead = unit.prospects.lead_of(prospect)
            assert lead is not None
            return [(event["kind"], event["at"], event["detail"]) for event in unit.journal.of_lead(lead["id"])]

    def application(self, **options: float) -> ASGIApp:
        """The opt-out server of these people."""
        return application(self.store, SECRET, FixedClock(NOW), **options)


def _campaign(name: str) -> Campaign:
    values = {"name": name, "mode": "automatic", "smtp_port": 25, "cap": 10}
    return Campaign(**tomllib.loads(Template(CAMPAIGN).substitute(values)))


@pytest.fixture
def sqlite_people(tmp_path: Path) -> Iterator[People]:
    """People in SQLite."""
    yield from _people("sqlite:///touchline.db", tmp_path)


@pytest.fixture
def postgres_people(postgres_url: str, tmp_path: Path) -> Iterator[People]:
    """People in PostgreSQL."""
    yield from _people(postgres_url, tmp_path)


@pytest.fixture(params=["sqlite", "postgresql"])
def people(request: pytest.FixtureRequest) -> People:
    """People in each database."""
    made: People = request.getfixturevalue("sqlite_people" if request.param == "sqlite" else "postgres_people")
    return made


def _people(url: str, home: Path) -> Iterator[People]:
    store = Store(url, home)
    store.migrate()
    yield People(store)
    store.close()


@pytest.fixture
def link() -> Callable[[int], str]:
    """A prospect's path on the server."""
    return lambda prospect: f"/o/{tokens.sign(SECRET, prospect)}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium of the system."""
    with chromium() as made:
        yield made


@pytest.fixture
def served() -> Callable[..., AbstractContextManager[httpx.Client]]:
    """Runs an application on a free port: gives a client of it. With a certificate it speaks HTTPS."""
    return _served


@contextmanager
def _served(app: ASGIApp, ssl_certfile: Path | None = None) -> Iterator[httpx.Client]:
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", access_log=False, ssl_certfile=ssl_certfile))
    scheme = "https" if ssl_certfile else "http"
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            with httpx.Client(base_url=f"{scheme}://127.0.0.1:{listening.getsockname()[1]}", timeout=30) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()
