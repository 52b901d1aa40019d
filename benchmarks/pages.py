"""Every page and standard view over a large store, as a browser asks for it on loopback."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from urllib.parse import quote

import httpx
import uvicorn

from benchmarks.cases import NOW, Case, main, postgresql
from benchmarks.search import CAMPAIGN, filled
from touchline.adapters.passwords import Argon2Hasher
from touchline.app import access, runs, schedules
from touchline.cli.context import listening
from touchline.settings import Settings
from touchline.web.site import application
from touchline.web.visit import COOKIE
from touchline.wiring import Quiet, Workspace

TIMES = 30
LEADS = f"/leads?campaign={CAMPAIGN}"
VIEWS = (
    "/",
    "/campaigns",
    f"/campaigns/{CAMPAIGN}",
    f"/campaigns/{CAMPAIGN}/versions",
    f"/campaigns/{CAMPAIGN}/sequences",
    f"/campaigns/{CAMPAIGN}/calendar",
    "/leads",
    LEADS,
    f"{LEADS}&sort=score",
    f"{LEADS}&sort=oldest",
    f"{LEADS}&where=" + quote("tier = 'a'"),
    f"{LEADS}&where=" + quote("state = 'held'"),
    "/leads/{lead}",
    "/approvals",
    "/outbox",
    "/outbox?state=uncertain",
    "/events",
    "/import",
    "/runs",
    "/runs/{run}",
    "/mailboxes",
    "/suppression",
    "/settings",
    "/settings/people",
    "/settings/keys",
    "/settings/schedules",
    "/audit",
)


@contextmanager
def served(workspace: Workspace) -> Iterator[httpx.Client]:
    """The site on loopback, asked by its owner."""
    now = workspace.clock.now()
    token = access.claim_token(workspace.store, now)
    assert token is not None
    hasher = Argon2Hasher()
    made = access.claim(workspace.store, hasher, token, "a@b.example", "A", "a long enough password", "bench", now)
    server = uvicorn.Server(uvicorn.Config(application(workspace), log_level="critical", access_log=False))
    with listening("127.0.0.1", 0) as at:
        thread = Thread(target=server.run, kwargs={"sockets": [at]})
        thread.start()
        try:
            address = f"http://127.0.0.1:{at.getsockname()[1]}"
            with httpx.Client(base_url=address, cookies={COOKIE: made.token}, timeout=60) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()


def measured(folder: Path, url: str, leads: int) -> Iterator[dict[str, object]]:
    store = filled(folder, url, leads)
    (folder / "touchline.toml").write_text(f'database_url = "{url}"\n[serve]\nrequests_per_minute = 0\n')
    workspace = Workspace(Settings(home=folder, database_url=url, serve={"requests_per_minute": 0}), Quiet())
    schedules.ensure(workspace.store, NOW)
    run = schedules.run_now(workspace.store, f"daily:{CAMPAIGN}", NOW)["id"]
    runs.cancel(workspace.outside, run, "bench")
    with store.reading() as unit:
        lead = unit.leads.page(campaign_id=None, where=None, after=leads // 3, limit=1)[0]["id"]
    with served(workspace) as client:
        worst = 0.0
        for view in VIEWS:
            path = view.replace("{lead}", str(lead)).replace("{run}", str(run))
            taken, size = list[float](), 0
            for _ in range(TIMES + 1):
                start = time.perf_counter()
                answer = client.get(path)
                taken.append((time.perf_counter() - start) * 1000)
                assert answer.status_code == 200, (path, answer.status_code)
                size = len(answer.content)
            first, rest = taken[0], sorted(taken[1:])
            p95 = rest[int(0.95 * (len(rest) - 1) + 0.5)]
            worst = max(worst, p95)
            yield {
                "work": f"{store.engine.name}: {view}",
                "count": leads,
                "p50_ms": round(rest[len(rest) // 2], 1),
                "p95_ms": round(p95, 1),
                "first_ms": round(first, 1),
                "bytes": size,
            }
        yield {"work": f"{store.engine.name}: the slowest p95", "count": leads, "p95_ms": round(worst, 1)}
    store.close()


def pages_sqlite(folder: Path, leads: int) -> Iterator[dict[str, object]]:
    yield from measured(folder, "sqlite:///bench.db", leads)


def pages_postgresql(folder: Path, leads: int) -> Iterator[dict[str, object]]:
    with postgresql() as url:
        yield from measured(folder, url, leads)


CASES: dict[str, Case] = {"pages-sqlite": pages_sqlite, "pages-postgresql": pages_postgresql}

if __name__ == "__main__":
    main(CASES)
