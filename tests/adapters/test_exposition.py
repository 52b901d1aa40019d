"""The text that Prometheus scrapes: read back by a parser of the format, every number is the store's own."""

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import event, insert

from measured import MARA, NOW, OLA, installation
from touchline import __version__
from touchline.adapters.exposition import CONTENT_TYPE, metrics_text
from touchline.adapters.store import tables
from touchline.adapters.store.store import Store
from touchline.app.history import advance, forget
from touchline.model.errors import StoreUnavailable


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    sqlite = request.param == "sqlite"
    made = installation("sqlite:///t.db" if sqlite else request.getfixturevalue("postgres_url"), tmp_path)
    yield made
    made.close()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Store]:
    made = installation("sqlite:///t.db", tmp_path)
    yield made
    made.close()


Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scraped(store: Store, later: timedelta = timedelta(0)) -> Samples:
    text = metrics_text(store, NOW + later).decode()
    families = list(text_string_to_metric_families(text))
    assert all(family.documentation and family.name.startswith("touchline_") for family in families)
    samples = [((s.name, frozenset(s.labels.items())), s.value) for family in families for s in family.samples]
    assert len(dict(samples)) == len(samples)
    return dict(samples)


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[f"touchline_{name}", frozenset(labels.items())]


def test_every_number_is_what_the_store_says(store: Store) -> None:
    found = scraped(store)
    assert value(found, "build_info", version=__version__) == 1
    for state in ("done", "failed", "unfinished", "cancelled"):
        assert value(found, "runs_total", job_name="daily", state=state) == 1
        assert value(found, "runs_total", job_name="send", state=state) == 0
    assert value(found, "batches_total", job_name="daily", state="done") == 16
    assert value(found, "batches_total", job_name="daily", state="set_aside") == 4
    assert value(found, "batches_total", job_name="send", state="set_aside") == 0
    assert value(found, "stage_seconds_total", stage="read") == 6
    results = {"sent": 2, "deferred": 1, "failed": 1}
    assert {r: value(found, "deliveries_total", result=r) for r in results} == results
    assert value(found, "runs_open", job_name="send", state="queued") == 1
    assert value(found, "runs_open", job_name="retention", state="running") == 1
    assert value(found, "queue_oldest_seconds", job_name="send") == 120
    assert value(found, "queue_oldest_seconds", job_name="daily") == 0
    assert [value(found, "mailbox_cap", mailbox=m) for m in (MARA, OLA)] == [50, 50]
    assert [value(found, "mailbox_used", mailbox=m) for m in (MARA, OLA)] == [4, 0]
    assert [value(found, "mailbox_resting", mailbox=m) for m in (MARA, OLA)] == [0, 1]
    assert value(found, "touches_uncertain") == value(found, "suppression_breaches") == value(found, "leads") == 0
    assert value(found, "workers_alive") == 1
    assert value(found, "schedule_active", schedule="daily:spring", job_name="daily") == 1
    ran = NOW - timedelta(hours=27)
    assert value(found, "schedule_last_run_timestamp_seconds", schedule="daily:spring") == ran.timestamp()
    assert value(found, "schedule_waiting_seconds", schedule="daily:spring") == 0
    assert value(found, "health", scope="mailboxes") == value(found, "health", scope="all") == 1
    assert value(found, "health", scope="workers") == 0


def test_the_numbers_stay_when_the_tally_has_taken_them_and_retention_has_removed_the_rows(store: Store) -> None:
    before = scraped(store)
    assert advance(store, NOW) == {"runs": 4, "deliveries": 4}
    assert scraped(store) == before
    month = timedelta(days=30)
    assert forget(store, NOW + 2 * month, month) == {"runs": 4, "alerts": 0}
    after = scraped(store, 2 * month)
    names = (
        "touchline_runs_total",
        "touchline_batches_total",
        "touchline_stage_seconds_total",
        "touchline_deliveries_total",
    )
    assert all(after[key] == number for key, number in before.items() if key[0] in names)


HOUR = timedelta(hours=1)
LATER = NOW + HOUR


def statements(store: Store) -> int:
    seen = []

    def count(*_: object) -> None:
        seen.append(1)

    event.listen(store.engine, "before_cursor_execute", count)
    scraped(store, HOUR)
    event.remove(store.engine, "before_cursor_execute", count)
    return len(seen)


def steps(store: Store) -> int:
    """Instructions of SQLite's machine that a scrape takes, in hundreds."""
    seen = []
    with store.engine.connect() as connection:
        raw = connection.connection.driver_connection
        assert raw is not None
        raw.set_progress_handler(lambda: seen.append(1) and None, 100)  # type: ignore[func-returns-value]
    scraped(store, HOUR)
    with store.engine.connect() as connection:
        raw = connection.connection.driver_connection
        assert raw is not None
        raw.set_progress_handler(None, 0)
    return len(seen)


def grown(small: Store, tmp_path: Path, times: int) -> Store:
    """The same installation with so many more old deliveries, runs and touches."""
    small.close()
    shutil.copy(tmp_path / "t.db", tmp_path / f"{times}.db")
    store = Store(f"sqlite:///{times}.db", tmp_path)
    old = NOW - timedelta(days=2)
    with store.transaction() as unit:
        gone = {"mailbox": MARA, "attempt": 1, "started_at": old, "result": "sent"}
        unit.connection.execute(insert(tables.deliveries), [gone | {"touch_id": n} for n in range(100 * times)])
        for number in range(20 * times):
            key = unit.runs.open("daily", old, schedule_id=1, slot=f"2027-01-01 {number:05}")
            assert key is not None
            unit.runs.set(key, state="done", finished_at=old)
        touch = {"campaign_id": 1, "step": 1, "sequence": "s", "state": "planned", "due_at": NOW, "mailbox": MARA}
        touch |= {"message_id": "m", "attempts": 0, "updated_at": NOW}
        unit.connection.execute(insert(tables.touches), [touch | {"prospect_id": n} for n in range(100 * times)])
    while advance(store, LATER) is not None:
        pass
    return store


def test_a_scrape_costs_the_same_in_a_store_of_ten_times_the_size(small: Store, tmp_path: Path) -> None:
    few, many = grown(small, tmp_path, 2), grown(small, tmp_path, 20)
    assert statements(few) == statements(many)
    assert abs(steps(many) - steps(few)) <= max(3, steps(few) // 5)
    few.close()
    many.close()


def test_prometheus_is_told_which_format_it_gets(small: Store) -> None:
    assert CONTENT_TYPE.startswith("text/plain")
    assert metrics_text(small, NOW).endswith(b"\n")


def test_what_has_not_happened_to_a_job_that_ran_is_zero_so_that_its_first_failure_shows(small: Store) -> None:
    with small.transaction() as unit:
        unit.runs.open("bulk", NOW, state="done", finished_at=NOW)
    found = scraped(small)
    assert [value(found, "runs_total", job_name="bulk", state=state) for state in ("done", "failed")] == [1, 0]
    assert value(found, "batches_total", job_name="bulk", state="set_aside") == 0


def test_a_mailbox_of_a_draft_is_not_measured(small: Store) -> None:
    with small.transaction() as unit:
        unit.campaigns.set(unit.campaigns.get("spring").id, NOW, state="draft")
        unit.mailboxes.ready(OLA, NOW)
    found = scraped(small)
    assert not [key for key in found if key[0] == "touchline_mailbox_cap"]
    assert value(found, "mailbox_used", mailbox=MARA) == 4


def test_a_scrape_of_a_database_that_is_not_there_says_so(tmp_path: Path) -> None:
    store = Store("sqlite:///none.db", tmp_path)
    with pytest.raises(StoreUnavailable):
        metrics_text(store, NOW)
    store.close()
