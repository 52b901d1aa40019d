"""A served site on a real database, with an owner who is logged in and a key of every role."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.office import TUESDAY, Office, opened
from touchline.adapters.passwords import Argon2Hasher
from touchline.app import access
from touchline.app.counts import Counts
from touchline.model.access import ROLES, at_the_shell
from touchline.settings import Settings
from touchline.sim.smtp_server import SmtpServer
from touchline.web.site import application
from touchline.wiring import Quiet, Workspace

OWNER = "olga@quillmast.example"
PASSWORD = "a sentence that nobody guesses"


@dataclass
class Api:
    """A site that answers on loopback.

    Attributes:
        office: The workspace's parts: campaigns, leads, clock, mail server.
        client: Sends requests as the owner, by key.
        keys: The text of a key of each role.
        session: The owner's session, as a browser has it.
        app_counts: What counts in the background.
    """

    office: Office
    workspace: Workspace
    client: httpx.Client
    keys: dict[str, str]
    session: access.NewSession
    app_counts: Counts
    prefix: str = field(default="/api/v1", init=False)

    def ask(self, method: str, path: str, *, role: str = "owner", **how: Any) -> httpx.Response:
        """One request by a key of this role; `path` begins after /api/v1."""
        headers = {"Authorization": f"Bearer {self.keys[role]}"} | how.pop("headers", {})
        return self.client.request(method, self.prefix + path, headers=headers, **how)

    def get(self, path: str, code: int = 200, **how: Any) -> Any:
        """What a GET gives; asserts its status."""
        return self._told(self.ask("GET", path, **how), code)

    def post(self, path: str, json: Any = None, code: int = 200, **how: Any) -> Any:
        """What a POST gives; asserts its status."""
        return self._told(self.ask("POST", path, json=json, **how), code)

    def _told(self, answer: httpx.Response, code: int) -> Any:
        assert answer.status_code == code, f"{answer.request.url}: {answer.status_code} {answer.text}"
        return answer.json() if answer.headers.get("content-type", "").split(";")[0].endswith("json") else answer.text

    def key(self, *scopes: str) -> dict[str, str]:
        """Headers of a key that may do just this."""
        store, now = self.workspace.store, self.workspace.clock.now()
        return {
            "Authorization": f"Bearer {access.make_key(store, 'narrow', set(scopes), at_the_shell('tests'), now)[1]}"
        }

    def enrol(self, count: int = 1, **changes: Any) -> None:
        """Leads with a first touch, by the test campaign as it is or changed. `office.enrol` would replace the database."""
        self.office.apply(**changes)
        self.office.load(self.office.people(count), until="nurture")

    def pages(self, path: str, limit: int = 2) -> list[Any]:
        """Every item of a list, page by page."""
        found: list[Any] = []
        cursor: str | None = None
        while True:
            params = {"limit": limit} | ({"cursor": cursor} if cursor else {})
            page = self.get(str(httpx.URL(path).copy_merge_params(params)))
            assert len(page["items"]) <= limit
            found += page["items"]
            cursor = page["next"]
            if cursor is None:
                return found

    def audited(self) -> list[tuple[str, str, str]]:
        """Action, object and result of every change, the oldest first."""
        with self.workspace.store.reading() as unit:
            rows = unit.audit.listed(before=None, limit=1000)
        return [(row["action"], row["object"], row["result"]) for row in reversed(rows)]


Served = Callable[..., AbstractContextManager[httpx.Client]]


@contextmanager
def _api(parts: Office, served: Served) -> Iterator[Api]:
    parts.now = TUESDAY
    workspace = Workspace(Settings(home=parts.home), Quiet())
    # As weak as Argon2 can be: what a strong hash costs is nothing that these tests are about.
    vars(workspace)["hasher"] = Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1)
    # The parts that the tests hold take the place of those that the settings would choose.
    vars(workspace).update(
        store=parts.store,
        database=parts.store,
        clock=parts.clock,
        resolver=parts.outside.resolver,
        outside=parts.outside,
        opt_out=parts.opt_out,
        secret=b"secret",
    )
    store = parts.store
    token = access.claim_token(store, parts.now)
    assert token is not None
    session = access.claim(store, workspace.hasher, token, OWNER, "Olga", PASSWORD, "tests", parts.now)
    keys = {
        role: access.make_key(store, role, scopes, at_the_shell("tests"), parts.now)[1]
        for role, scopes in ROLES.items()
    }
    app = application(workspace)
    with served(app) as client:
        yield Api(parts, workspace, client, keys, session, app.state.site.counts)


@pytest.fixture
def api(tmp_path: Path, sqlite_url: str, mail_server: SmtpServer, served: Served) -> Iterator[Api]:
    """A site on SQLite."""
    with ExitStack() as stack:
        parts = opened(stack, tmp_path, sqlite_url, mail_server)
        yield stack.enter_context(_api(parts, served))


@pytest.fixture
def postgres_api(tmp_path: Path, postgresql_url: str, mail_server: SmtpServer, served: Served) -> Iterator[Api]:
    """A site on PostgreSQL."""
    with ExitStack() as stack:
        parts = opened(stack, tmp_path, postgresql_url, mail_server)
        yield stack.enter_context(_api(parts, served))


@pytest.fixture
def either(request: pytest.FixtureRequest) -> Api:
    """A site on one of the databases or on each: see `pytest_generate_tests` in tests/web."""
    made: Api = request.getfixturevalue(request.param)
    return made
