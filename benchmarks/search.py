"""Searches over a large store: what a page of leads, a filter, a journey and the funnel cost."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.cases import BATCH, DOMAINS, NOW, Case, campaign, dns, main, outside, postgresql, zone_file
from touchline.adapters.clock import SystemClock, elapsed
from touchline.adapters.sources.csv import CsvSource
from touchline.adapters.store.store import Store
from touchline.app import campaigns, counts, search
from touchline.app.imports import import_source
from touchline.app.journey import journey
from touchline.sim.market import market

CAMPAIGN = "cloud-costs"
TIMES = 15


def filled(folder: Path, url: str, leads: int) -> Store:
    """A store of so many leads, through the real import."""
    made = market(7, leads, min(DOMAINS, max(1, leads // 4)))
    made.write_csv(folder / "leads.csv")
    zone_file(made, folder / "zone.txt")
    store = Store(url, folder)
    store.migrate()
    campaigns.apply(store, campaign(), NOW)
    with dns(folder / "zone.txt") as port:
        import_source(
            outside(store, port), CsvSource(folder / "leads.csv", batch_rows=BATCH), CAMPAIGN, until="nurture"
        )
    return store


def timed(work: str, act: Callable[[], Any], times: int = TIMES) -> dict[str, object]:
    """p50 and p95 in milliseconds, the first look apart."""
    taken = list[float]()
    for _ in range(times + 1):
        start = time.perf_counter()
        said = act()
        taken.append((time.perf_counter() - start) * 1000)
    first, *rest = taken
    rest.sort()
    p50, p95 = (round(rest[int(share * (len(rest) - 1) + 0.5)], 1) for share in (0.5, 0.95))
    shown = (
        {"rows": len(said.rows), "scanned": said.scanned, "total": said.total} if isinstance(said, search.Page) else {}
    )
    return {"work": work, "p50_ms": p50, "p95_ms": p95, "first_ms": round(first, 1), **shown}


def questions(store: Store) -> dict[str, dict[str, Any]]:
    """Pages by name: what is asked of `search.page`."""
    with store.reading() as unit:
        span = unit.search.span(None)
        assert span is not None
        three = [
            row["email"] for row in unit.search.rows(None, [span[1] // 4, span[1] // 2, span[1] - 1]) if row["email"]
        ]
    listed = ", ".join(f"'{email}'" for email in three)
    asked: dict[str, dict[str, Any]] = {
        f"{sort}{', campaign' if name else ''}": {"sort": sort, "campaign": name}
        for name in (None, CAMPAIGN)
        for sort in search.SORTS
        if name or sort != "score"
    }
    filters = {
        "common": "country = 'de' OR employees > 100",
        "held": "state = 'held'",
        "tier a": "tier = 'a'",
        "three leads": f"email IN ({listed})",
        "no lead": "company = 'nobody at all'",
        "touches sent": "has(touch_states, 'sent')",
    }
    for sort in search.SORTS:
        asked |= {
            f"{name}, {sort}": {"sort": sort, "campaign": CAMPAIGN, "where": where} for name, where in filters.items()
        }
    asked["three leads, no campaign"] = {"where": filters["three leads"]}
    asked["an address"] = {"text": three[0]}
    asked["an address, campaign"] = {"text": three[0], "campaign": CAMPAIGN}
    asked["a name that is there"] = {"text": "maria"}
    asked["a name that is not there"] = {"text": "zzzzz"}
    return asked


def ask(store: Store, asked: dict[str, Any], cursor: search.Cursor | None = None) -> search.Page:
    given = {"campaign": None, "where": None, "text": None, "sort": "newest", "cursor": cursor, **asked}
    return search.page(store, **given, seconds=elapsed)


def measured(store: Store) -> Iterator[dict[str, object]]:
    name = store.engine.name
    for work, asked in questions(store).items():
        yield timed(f"{name}: {work}", lambda asked=asked: ask(store, asked))
        page = ask(store, asked)
        if page.cursor:
            yield timed(f"{name}: {work}, next", lambda asked=asked, at=page.cursor: ask(store, asked, at))
        start, looks = time.perf_counter(), 1
        while page.cursor and len(page.rows) < 50 and looks < 40:
            page, looks = ask(store, asked, page.cursor), looks + 1
        if looks > 1:
            yield {
                "work": f"{name}: {work}, to its end",
                "looks": looks,
                "seconds": round(time.perf_counter() - start, 2),
            }
    row = ask(store, {"campaign": CAMPAIGN}).rows[0]
    yield timed(f"{name}: journey", lambda: journey(store, row["identity"]))
    kept = counts.Counts(SystemClock())
    start = time.perf_counter()
    counts.funnel_of(kept, store, CAMPAIGN)
    kept.settle()
    yield {"work": f"{name}: funnel, counted", "seconds": round(time.perf_counter() - start, 2)}
    yield timed(f"{name}: funnel, known", lambda: counts.funnel_of(kept, store, CAMPAIGN))
    for where in ("state = 'held'", "country = 'de' OR employees > 100"):
        start = time.perf_counter()
        found = search.count(store, CAMPAIGN, where)
        yield {"work": f"{name}: count of {where}", "seconds": round(time.perf_counter() - start, 2), "count": found}
    kept.close()


def search_sqlite(folder: Path, leads: int) -> Iterator[dict[str, object]]:
    store = filled(folder, "sqlite:///bench.db", leads)
    yield from measured(store)
    store.close()


def search_postgresql(folder: Path, leads: int) -> Iterator[dict[str, object]]:
    with postgresql() as url:
        store = filled(folder, url, leads)
        yield from measured(store)
        store.close()


CASES: dict[str, Case] = {"search-sqlite": search_sqlite, "search-postgresql": search_postgresql}

if __name__ == "__main__":
    main(CASES)
