"""History: what retention removes stays in the totals, and what has ended is counted once, whatever happens in between."""

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from office import ANN, TUESDAY, WEDNESDAY, Office, PowerCut
from sqlalchemy import event, insert, select, update

from touchline.adapters.store import tables
from touchline.adapters.store.store import Store
from touchline.app.history import GRACE, MARGIN, WAITING, Tally, advance, forget, numbers, summed, summed_all, tally
from touchline.app.ports import Row

MONTH = timedelta(days=30)


def ended(store: Store, queued_at: datetime, *, job: str = "daily", state: str = "done", **values: Any) -> int:
    """A run that was queued, began and ended within a minute."""
    counts = values.pop("counts", {})
    with store.transaction() as unit:
        key = unit.runs.open(job, queued_at, **values)
        assert key is not None
        later = queued_at + timedelta(seconds=60)
        unit.runs.set(key, state=state, started_at=queued_at, finished_at=later, counts=counts)
        unit.runs.add_batch(key, "harvest", "done", later)
    return key


def rows(store: Store, table: Any) -> list[Row]:
    with store.reading() as unit:
        return [dict(row) for row in unit.connection.execute(select(table)).mappings()]


def present(store: Store) -> list[Row]:
    with store.reading() as unit:
        return unit.runs.listed(10_000)


def totals(store: Store) -> list[Row]:
    with store.reading() as unit:
        return unit.runs.totals()


def counted(store: Store, now: datetime) -> Tally:
    with store.reading() as unit:
        return tally(unit, now)


def emptied(store: Store, now: datetime, most: int = 500) -> list[dict[str, int]]:
    """Retention until nothing is left to remove."""
    done = []
    while (batch := forget(store, now, MONTH, most)) is not None:
        done.append(batch)
    return done


def test_old_runs_go_with_their_batches_and_leave_totals_by_day_job_campaign_and_state(either: Office) -> None:
    store, first = either.store, TUESDAY
    ended(store, first, counts={"harvest": {"new": 3}}, campaign_id=7)
    ended(store, first + timedelta(hours=1), counts={"harvest": {"new": 4, "rejected": 1}}, campaign_id=7)
    ended(store, first, state="failed", campaign_id=7)
    ended(store, first, job="retention")
    recent = ended(store, first + timedelta(days=20))
    assert emptied(store, first + timedelta(days=31)) == [{"runs": 4, "alerts": 0}]
    assert [row["id"] for row in present(store)] == [recent]
    assert {row["run_id"] for row in rows(store, tables.batches)} == {recent}
    found = {
        (row["day"], row["job"], row["campaign_id"], row["state"]): (row["runs"], row["seconds"], row["counts"])
        for row in totals(store)
    }
    assert found == {
        ("2027-03-09", "daily", 7, "done"): (2, 120.0, {"harvest": {"new": 7, "rejected": 1}}),
        ("2027-03-09", "daily", 7, "failed"): (1, 60.0, {}),
        ("2027-03-09", "retention", 0, "done"): (1, 60.0, {}),
    }


def test_a_run_that_is_under_way_is_not_removed_however_old_it_is(office: Office) -> None:
    with office.store.transaction() as unit:
        queued = unit.runs.open("daily", TUESDAY)
        running = unit.runs.open("send", TUESDAY, state="running", started_at=TUESDAY)
    assert emptied(office.store, TUESDAY + timedelta(days=400)) == []
    assert {row["id"] for row in present(office.store)} == {queued, running}


def test_a_run_with_a_batch_that_waits_to_be_tried_again_stays_for_a_year_and_is_in_nobodys_way(either: Office) -> None:
    store, place = either.store, {"import": 1, "rows": 40}
    waits, taken, retried, lost = (ended(store, TUESDAY) for _ in range(4))
    with store.transaction() as unit:
        for key, state in ((waits, "set_aside"), (taken, "released"), (retried, "retried")):
            unit.runs.add_batch(key, "harvest", state, TUESDAY, place=place)
        # What has no place is not tried again as a batch.
        unit.runs.add_batch(lost, "harvest", "set_aside", TUESDAY)
    later = ended(store, TUESDAY + timedelta(days=1))
    assert emptied(store, TUESDAY + timedelta(days=60), 1) == [{"runs": 1, "alerts": 0}] * 3
    assert {row["id"] for row in present(store)} == {waits, taken}
    assert not {retried, lost, later} & {row["id"] for row in present(store)}
    assert emptied(store, TUESDAY + WAITING) == []
    assert emptied(store, TUESDAY + WAITING + timedelta(seconds=1)) == [{"runs": 2, "alerts": 0}]
    assert sum(row["runs"] for row in totals(store)) == 5


def test_a_run_that_never_began_adds_no_seconds(office: Office) -> None:
    with office.store.transaction() as unit:
        key = unit.runs.open("daily", TUESDAY)
        assert key is not None
        unit.runs.set(key, state="cancelled", finished_at=TUESDAY)
    emptied(office.store, TUESDAY + timedelta(days=31))
    assert [(row["runs"], row["seconds"]) for row in totals(office.store)] == [(1, 0.0)]


def test_closed_alerts_go_and_open_ones_stay(office: Office) -> None:
    fresh = {"level": "failed", "message": "m", "hint": "h", "opened_at": TUESDAY, "seen_at": TUESDAY}
    with office.store.transaction() as unit:
        unit.alerts.put("old", fresh | {"state": "closed", "closed_at": TUESDAY})
        unit.alerts.put("open", fresh | {"state": "open"})
    assert emptied(office.store, TUESDAY + timedelta(days=31)) == [{"runs": 0, "alerts": 1}]
    assert [row["key"] for row in rows(office.store, tables.alerts)] == ["open"]


@contextmanager
def cut_before(store: Store, beginning: str) -> Iterator[None]:
    """The power fails before a statement that begins so."""

    def cut(_conn: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith(beginning):
            raise PowerCut

    event.listen(store.engine, "before_cursor_execute", cut)
    try:
        with pytest.raises(PowerCut):
            yield
    finally:
        event.remove(store.engine, "before_cursor_execute", cut)


@pytest.mark.parametrize("statement", ["DELETE FROM batches", "DELETE FROM runs", "INSERT INTO run_totals"])
def test_after_a_power_cut_in_the_middle_nothing_is_lost_and_nothing_counts_twice(
    either: Office, statement: str
) -> None:
    for day in range(6):
        ended(either.store, TUESDAY + timedelta(days=day), counts={"judge": {"prospects": 1}})
    late = TUESDAY + timedelta(days=60)
    assert forget(either.store, late, MONTH, 2) == {"runs": 2, "alerts": 0}
    with cut_before(either.store, statement):
        forget(either.store, late, MONTH, 2)
    assert len(present(either.store)) == 4
    emptied(either.store, late, 3)
    assert sum(row["runs"] for row in totals(either.store)) == 6
    assert sum(row["counts"]["judge"]["prospects"] for row in totals(either.store)) == 6


def test_two_processes_that_remove_at_once_count_each_run_once(either: Office) -> None:
    for hour in range(60):
        ended(either.store, TUESDAY + timedelta(hours=hour))
    late = TUESDAY + timedelta(days=60)

    def work(_: int) -> None:
        emptied(either.store, late, 5)

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(work, range(3)))
    assert sum(row["runs"] for row in totals(either.store)) == 60
    assert counted(either.store, late).runs == {"daily": {"done": 60}}


def delivery(store: Store, at: datetime, result: str) -> int:
    with store.transaction() as unit:
        values = {"touch_id": 1, "mailbox": "m@ours.example", "attempt": 1, "started_at": at, "result": result}
        return int(
            unit.connection.execute(insert(tables.deliveries).returning(tables.deliveries.c.id), values).scalar_one()
        )


def became(store: Store, key: int, result: str) -> None:
    with store.transaction() as unit:
        unit.connection.execute(update(tables.deliveries).where(tables.deliveries.c.id == key).values(result=result))


def test_a_delivery_counts_once_its_result_is_final_even_if_that_takes_weeks(either: Office) -> None:
    store = either.store
    delivery(store, TUESDAY, "sent")
    lost = delivery(store, TUESDAY, "uncertain")
    delivery(store, TUESDAY, "deferred")
    for day in range(3):
        now = TUESDAY + timedelta(days=day, hours=1)
        advance(store, now)
        assert counted(store, now).deliveries == {"sent": 1, "deferred": 1}
    became(store, lost, "sent")
    now = TUESDAY + timedelta(days=9)
    assert counted(store, now).deliveries == {"sent": 2, "deferred": 1}
    assert advance(store, now) == {"runs": 0, "deliveries": 1}
    assert advance(store, now) is None
    assert counted(store, now).deliveries == {"sent": 2, "deferred": 1}


def test_what_a_running_run_has_done_is_seen_before_it_ends(office: Office) -> None:
    work = {"batches": {"done": 2, "set_aside": 1}, "seconds": {"read": 1.5}}
    with office.store.transaction() as unit:
        key = unit.runs.open("daily", TUESDAY, state="running", started_at=TUESDAY)
        assert key is not None
        unit.runs.set(key, counts=work)
    late = TUESDAY + timedelta(hours=2)
    advance(office.store, late)
    found = counted(office.store, late)
    assert (found.runs, found.batches, found.seconds) == ({}, {"daily": work["batches"]}, work["seconds"])
    with office.store.transaction() as unit:
        unit.runs.set(key, state="done", finished_at=late)
    advance(office.store, late)
    found = counted(office.store, late)
    assert (found.runs, found.batches) == ({"daily": {"done": 1}}, {"daily": work["batches"]})
    assert found.runs_open == []


def upto(store: Store) -> int:
    """Up to which run the kept tally has counted."""
    with store.reading() as unit:
        return int(json.loads(unit.controls.get("tally") or "{}").get("runs_upto", 0))


def test_a_run_of_a_clock_that_was_years_ahead_keeps_no_other_from_being_counted_and_removed(either: Office) -> None:
    store, now = either.store, TUESDAY
    ahead = ended(store, now + timedelta(days=3650))
    last = [ended(store, now + timedelta(minutes=minute)) for minute in range(20)][-1]
    advance(store, now + timedelta(days=1))
    assert upto(store) == last
    emptied(store, now + timedelta(days=60))
    assert [run["id"] for run in present(store)] == [ahead]
    assert counted(store, now + timedelta(days=60)).runs == {"daily": {"done": 21}}


def test_a_run_of_a_clock_that_is_ahead_is_passed_once_others_show_that_it_is_old(office: Office) -> None:
    store, now = office.store, TUESDAY
    first = ended(store, now - timedelta(days=1))
    ahead = [ended(store, now + timedelta(days=3650)) for _ in range(3)]
    young = ended(store, now)
    advance(store, now)
    assert upto(store) == first  # before one of the others a transaction may still be open
    advance(store, now, most=2)
    assert upto(store) == ahead[1]  # not before as many as one look takes
    advance(store, now + timedelta(days=1))
    assert upto(store) == young


def test_what_is_young_is_left_to_the_next_look(office: Office) -> None:
    ended(office.store, TUESDAY)
    delivery(office.store, TUESDAY, "sent")
    assert advance(office.store, TUESDAY + MARGIN / 2) is None
    found = counted(office.store, TUESDAY + MARGIN / 2)
    assert (found.runs, found.deliveries) == ({"daily": {"done": 1}}, {"sent": 1})
    assert advance(office.store, TUESDAY + 2 * MARGIN) == {"runs": 1, "deliveries": 1}


# What happens to a store: each is a verb and a number that chooses.
HAPPENINGS = st.lists(
    st.tuples(
        st.sampled_from(["open", "end", "fail", "send", "lose", "settle", "later", "advance", "forget"]),
        st.integers(0, 5),
    ),
    min_size=5,
    max_size=40,
)


class Diary:
    """Everything that ever happened, beside the store."""

    def __init__(self, store: Store) -> None:
        self.store, self.now = store, TUESDAY
        self.open: list[int] = []
        self.uncertain: list[int] = []
        self.runs: Counter[tuple[str, str]] = Counter()
        self.leads: Counter[str] = Counter()
        self.deliveries: Counter[str] = Counter()

    def happens(self, verb: str, number: int) -> None:
        store = self.store
        if verb == "open":
            with store.transaction() as unit:
                key = unit.runs.open(f"job{number % 2}", self.now)
            assert key is not None
            self.open.append(key)
        elif verb in ("end", "fail") and self.open:
            key, state = self.open.pop(number % len(self.open)), "done" if verb == "end" else "failed"
            with store.transaction() as unit:
                job = (unit.runs.get(key) or {})["job"]
                counts = {"harvest": {"new": number}, "seconds": {"read": 0.25}, "batches": {"done": 1}}
                unit.runs.set(key, state=state, started_at=self.now, finished_at=self.now, counts=counts)
            self.runs[job, state] += 1
            self.leads[job] += number
        elif verb == "send":
            delivery(store, self.now, "sent")
            self.deliveries["sent"] += 1
        elif verb == "lose":
            self.uncertain.append(delivery(store, self.now, "open"))
        elif verb == "settle" and self.uncertain:
            became(store, self.uncertain.pop(number % len(self.uncertain)), "failed")
            self.deliveries["failed"] += 1
        elif verb == "later":
            self.now += timedelta(days=number * 8, minutes=7)
        elif verb == "advance":
            advance(store, self.now, number + 1)
        elif verb == "forget":
            forget(store, self.now, MONTH, number + 1)

    def check(self) -> None:
        found = counted(self.store, self.now)
        assert found.runs == nested(self.runs)
        assert +Counter(found.deliveries) == +self.deliveries
        assert sum(found.seconds.values()) == 0.25 * self.runs.total()
        assert sum(inner.get("done", 0) for inner in found.batches.values()) == self.runs.total()
        kept, gone = [row for row in present(self.store) if row["finished_at"]], totals(self.store)
        runs, leads = Counter[tuple[str, str]](), Counter[str]()
        for row in kept:
            runs[row["job"], row["state"]] += 1
            leads[row["job"]] += row["counts"]["harvest"]["new"]
        for row in gone:
            runs[row["job"], row["state"]] += row["runs"]
            leads[row["job"]] += row["counts"]["harvest"]["new"]
        assert (runs, +leads) == (self.runs, +self.leads)


def nested(counts: Counter[tuple[str, str]]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for (one, two), count in counts.items():
        found.setdefault(one, {})[two] = count
    return found


@settings(max_examples=25)
@given(HAPPENINGS)
@example([("open", 0), ("end", 0), ("later", 5), ("forget", 0), ("open", 0), ("end", 0)])
def test_runs_that_are_there_and_totals_are_all_runs_ever_and_each_is_counted_once(
    migrated_sqlite: Path, happenings: list[tuple[str, int]]
) -> None:
    with tempfile.TemporaryDirectory() as home:
        shutil.copy(migrated_sqlite, Path(home) / "touchline.db")
        store = Store("sqlite:///touchline.db", Path(home))
        try:
            diary = Diary(store)
            for verb, number in happenings:
                diary.happens(verb, number)
            diary.check()
            diary.now += timedelta(days=90)
            emptied(store, diary.now, 3)
            diary.check()
            assert {row["id"] for row in present(store)} == set(diary.open)
        finally:
            store.close()


COUNTS = st.recursive(
    st.integers(0, 9) | st.text(max_size=2) | st.none() | st.booleans(),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3) | st.lists(inner, max_size=3),
    max_leaves=8,
)
PIECES = st.lists(st.dictionaries(st.sampled_from("abc"), COUNTS, max_size=3).map(numbers), max_size=4)


@given(PIECES, st.randoms(use_true_random=False))
def test_counts_add_up_to_the_same_in_any_order_and_grouping(pieces: list[dict[str, Any]], chance: Any) -> None:
    whole = summed_all({}, pieces)
    cut = chance.randint(0, len(pieces))
    assert summed(summed_all({}, pieces[:cut]), summed_all({}, pieces[cut:])) == whole
    chance.shuffle(pieces)
    assert summed_all({}, pieces) == whole


def test_keys_flags_and_texts_are_no_counts() -> None:
    told = {"imports": [{"import_id": 9, "name": "a.csv", "counts": {"new": 2}}, {"counts": {"new": 3}}], "judged": 4}
    assert numbers(told | {"ok": True, "id": 5, "notes": ["x"]}) == {"imports": {"counts": {"new": 5}}, "judged": 4}


def suppressed(office: Office, kind: str, value: str, before: timedelta) -> None:
    """A suppression of some time ago that, against every gate, has cancelled nothing."""
    row = {"kind": kind, "value": value, "reason": "asked", "source": "test", "at": office.now - before}
    with office.store.transaction() as unit:
        unit.connection.execute(insert(tables.suppressions), row)


@pytest.mark.parametrize(("kind", "value"), [("address", ANN), ("domain", "firm0.com"), ("account", "firm0.com")])
def test_a_message_to_who_was_suppressed_before_is_a_breach(either: Office, kind: str, value: str) -> None:
    either.enrol(2)
    either.now = WEDNESDAY
    either.send()
    assert counted(either.store, either.now).breaches == []
    account = either.lead()["account"]
    suppressed(either, kind, account if kind == "account" else value, timedelta(hours=2))
    touch = either.touch()["id"]
    assert [found for found, _ in counted(either.store, either.now).breaches] == [touch]
    either.later(minutes=30)
    advance(either.store, either.now)
    assert [found for found, _ in counted(either.store, either.now).breaches] == [touch]
    either.later(hours=24)
    assert counted(either.store, either.now).breaches == []


def test_a_parent_domain_that_was_suppressed_counts_too(office: Office) -> None:
    office.zone["eu.firm0.com"] = "mx"
    office.apply()
    office.add("ann@eu.firm0.com")
    office.now = WEDNESDAY
    office.send()
    suppressed(office, "domain", "firm0.com", timedelta(hours=1))
    assert len(counted(office.store, office.now).breaches) == 1


def test_what_left_at_the_moment_of_the_suppression_or_did_not_leave_is_no_breach(office: Office) -> None:
    office.enrol(2)
    office.now = WEDNESDAY
    office.send()
    suppressed(office, "address", ANN, GRACE / 2)
    suppressed(office, "address", "ann1@firm1.com", timedelta(hours=1))
    other = office.touch("ann1@firm1.com")["id"]
    with office.store.transaction() as unit:
        deliveries = tables.deliveries
        unit.connection.execute(update(deliveries).where(deliveries.c.touch_id == other).values(result="failed"))
    assert counted(office.store, office.now).breaches == []
