"""The API: requests a second and how long they take, over loopback, from a process of its own to one that serves."""

import asyncio
import contextlib
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.cases import BATCH, NOW, campaign, dns, figure, main, outside, postgresql, zone_file
from touchline.adapters.sources.csv import CsvSource
from touchline.adapters.store.store import Store
from touchline.app import access, campaigns, suppression
from touchline.app.imports import import_source
from touchline.model.access import READ, WRITE, at_the_shell
from touchline.sim.market import market

LEADS = 10_000
SUPPRESSED = 1_000
CONNECTIONS = 8
SECONDS = 8
WARM = 200
BOUNDS = {"read": (400, 100.0), "write": (150, 100.0)}
"""Least requests a second, most milliseconds that 99 of 100 take."""


def api(folder: Path, leads: int) -> Iterator[dict[str, object]]:
    """Reads (one lead, a page of leads, a page of suppressions) and writes (one suppression) over keep-alive connections."""
    del leads
    yield from _measured(folder, "sqlite:///touchline.db")


def api_postgresql(folder: Path, leads: int) -> Iterator[dict[str, object]]:
    """The same on PostgreSQL."""
    del leads
    with postgresql() as url:
        yield from _measured(folder, url)


def _measured(folder: Path, url: str) -> Iterator[dict[str, object]]:
    key = _furnish(folder, url)
    with _serving(folder, url) as port:
        for work, make in (("read", _read), ("write", _write)):
            asyncio.run(_load(port, key, make, count=WARM))
            start = time.perf_counter()
            taken = asyncio.run(_load(port, key, make, seconds=SECONDS))
            seconds = time.perf_counter() - start
            taken.sort()
            rate, (least, most) = len(taken) / seconds, BOUNDS[work]
            p50, p99 = (1_000 * taken[int(len(taken) * share)] for share in (0.5, 0.99))
            yield figure(
                work, len(taken), seconds, p50_ms=round(p50, 1), p99_ms=round(p99, 1), ok=rate >= least and p99 < most
            )


def _furnish(folder: Path, url: str) -> str:
    """Leads, suppressions and a key; gives the key."""
    made = market(7, LEADS, LEADS // 4)
    made.write_csv(folder / "leads.csv")
    zone_file(made, folder / "zone.txt")
    store = Store(url, folder)
    store.migrate()
    campaigns.apply(store, campaign(), NOW)
    with dns(folder / "zone.txt") as port:
        source = CsvSource(folder / "leads.csv", batch_rows=BATCH)
        import_source(outside(store, port), source, "cloud-costs", until="nurture")
    entries = [("address", f"gone{number}@example.com", "asked") for number in range(SUPPRESSED)]
    with store.transaction() as unit:
        suppression.suppress(unit, entries, "benchmark", NOW)
    _, key = access.make_key(store, "benchmark", READ | WRITE, at_the_shell("benchmark"), NOW)
    store.close()
    return key


@contextlib.contextmanager
def _serving(folder: Path, url: str) -> Iterator[int]:
    """The site in a process of its own; gives its port."""
    where = {"TOUCHLINE_HOME": str(folder), "DATABASE_URL": url}
    environment = os.environ | where | {"TOUCHLINE_SERVE__REQUESTS_PER_MINUTE": "0"}
    command = [sys.executable, "-m", "benchmarks.api", "serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, env=environment, text=True) as server:
        assert server.stdout is not None
        try:
            yield int(server.stdout.readline())
        finally:
            server.terminate()


def _serve() -> None:
    from touchline.cli.context import listening
    from touchline.settings import load
    from touchline.web.site import application, server
    from touchline.wiring import Quiet, Workspace

    socket = listening("127.0.0.1", 0)
    print(socket.getsockname()[1], flush=True)
    server(application(Workspace(load(), Quiet()))).run(sockets=[socket])


Asked = tuple[str, str, dict[str, object] | None]


def _read(chance: random.Random) -> Asked:
    what = chance.random()
    if what < 0.6:
        return "GET", f"/api/v1/leads/{chance.randint(1, LEADS // 2)}", None
    return "GET", "/api/v1/leads?limit=50" if what < 0.85 else "/api/v1/suppressions?limit=50", None


def _write(chance: random.Random) -> Asked:
    return "POST", "/api/v1/suppressions", {"entries": [{"value": f"x{chance.getrandbits(60)}@example.com"}]}


async def _load(port: int, key: str, make: object, *, seconds: float = 1e9, count: int = 10**9) -> list[float]:
    """Seconds that each request took."""
    end, left, taken = time.perf_counter() + seconds, iter(range(count)), list[float]()

    async def one(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        chance = random.Random(number)
        while time.perf_counter() < end and next(left, None) is not None:
            method, path, body = make(chance)  # type: ignore[operator]
            text = json.dumps(body).encode() if body is not None else b""
            head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
            more = f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
            start = time.perf_counter()
            writer.write((head + more).encode() + text)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = next(
                int(line[15:]) for line in answer.split(b"\r\n") if line.lower().startswith(b"content-length:")
            )
            told = await reader.readexactly(length)
            taken.append(time.perf_counter() - start)
            assert answer[9:12] == b"200", answer + told
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*(one(number) for number in range(CONNECTIONS)))
    return taken


CASES = {"api": api, "api-postgresql": api_postgresql}

if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        _serve()
    else:
        main(CASES)
