"""Twice the work takes about twice the operations, counted in calls of Python and steps of SQLite's machine, never in seconds."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from office import WEDNESDAY, Office
from sqlalchemy import event

from touchline.adapters.store import tables
from touchline.app.schedules import start_due

LEAST, MOST = 1.6, 2.4
"""What counts as about twice, the part that does not grow included."""


class Counted:
    """Operations so far."""

    def __init__(self) -> None:
        self.statements = 0
        self.writing = 0
        self.steps = 0
        self.calls = 0


@contextmanager
def counting(office: Office) -> Iterator[Counted]:
    """Count statements, transactions that write, thousands of steps of SQLite's machine (sqlite.org/c3ref/progress_handler.html) and calls of Python functions."""
    counted = Counted()
    engine = office.store.engine

    def step() -> int:
        counted.steps += 1
        return 0

    def called(_frame: object, kind: str, _argument: object) -> None:
        counted.calls += kind == "call"

    def stated(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        counted.statements += 1
        counted.writing += statement.startswith("BEGIN IMMEDIATE")

    def connected(connection: object, *_: object) -> None:
        connection.set_progress_handler(step, 1_000)

    engine.dispose()
    event.listen(engine, "connect", connected)
    event.listen(engine, "before_cursor_execute", stated)
    sys.setprofile(called)
    try:
        yield counted
    finally:
        sys.setprofile(None)
        event.remove(engine, "before_cursor_execute", stated)
        event.remove(engine, "connect", connected)
        engine.dispose()


def cost(office: Office, work: Callable[[], object]) -> Counted:
    with counting(office) as counted:
        work()
    return counted


def about_twice(one: int, two: int) -> bool:
    return LEAST <= two / one <= MOST


def test_twice_the_leads_take_twice_the_steps_and_the_same_statements_a_batch(office: Office) -> None:
    office.batch_rows = 2_000
    office.apply()
    # The files are one batch, four and eight; the first batch of a store has to do more than others.
    first, four, eight = office.people(2_000), office.people(8_000, 2_000), office.people(16_000, 10_000)
    office.load(first, until="nurture")
    one = cost(office, lambda: office.load(four, until="nurture"))
    two = cost(office, lambda: office.load(eight, until="nurture"))
    assert about_twice(one.steps, two.steps)
    assert about_twice(one.statements, two.statements)


def test_a_batch_twice_as_large_takes_no_statement_more(office: Office) -> None:
    office.batch_rows = 10_000
    office.apply()
    first, small, large = office.people(1_000), office.people(2_000, 1_000), office.people(4_000, 3_000)
    office.load(first, until="nurture")
    one = cost(office, lambda: office.load(small, until="nurture"))
    two = cost(office, lambda: office.load(large, until="nurture"))
    assert one.statements == two.statements


@pytest.mark.parametrize("many", [40])
def test_twice_the_messages_take_twice_the_operations(office: Office, many: int) -> None:
    office.enrol(3 * many + 20)
    office.now = WEDNESDAY
    office.send(limit=20)
    one = cost(office, lambda: office.send(limit=many))
    two = cost(office, lambda: office.send(limit=2 * many))
    assert about_twice(one.statements, two.statements)
    assert about_twice(one.calls, two.calls)
    assert one.statements < 16 * many


def test_judging_twice_as_many_again_takes_twice_the_steps(office: Office) -> None:
    office.batch_rows = 500

    def judged(count: int) -> Counted:
        name = f"c{count}"
        office.apply(name=name)
        office.load(office.people(count), campaign=name)
        return cost(office, lambda: office.judge(campaign=name))

    judged(500)
    one, two = judged(2_000), judged(4_000)
    assert about_twice(one.steps, two.steps)
    assert about_twice(one.statements, two.statements)


def test_a_minute_without_anything_to_send_is_one_transaction_for_any_number_of_schedules(office: Office) -> None:
    def idle(campaigns: range) -> Counted:
        for number in campaigns:
            office.apply(name=f"c{number}")
        end_all(office)
        office.later(minutes=1)
        return cost(office, lambda: end_all(office))

    def end_all(office: Office) -> None:
        for run in start_due(office.store, office.now):
            with office.store.transaction() as unit:
                unit.runs.set(run["id"], state="done", finished_at=office.now)

    one, two = idle(range(10)), idle(range(10, 20))
    # One for all that pass by; the health run of the minute is opened in one, and ended here in another.
    assert (one.writing, two.writing) == (3, 3)
    assert two.statements < 2 * one.statements
    with office.store.reading() as unit:
        slots = {row["last_slot"] for row in unit.schedules.listed() if row["job"] == "send"}
    assert slots == {"2027-03-09T05:02:00Z"}


def test_a_night_that_opens_for_a_hundred_campaigns_costs_as_many_transactions_as_for_ten(office: Office) -> None:
    for number in range(10):
        office.apply(name=f"c{number}")
    few = cost(office, lambda: start_due(office.store, datetime(2027, 3, 10, 1, tzinfo=UTC)))
    for number in range(10, 99):
        office.apply(name=f"c{number}")
    with office.store.transaction() as unit:
        for run in unit.runs.unfinished():
            unit.runs.set(run["id"], state="done", finished_at=office.now)
    many = cost(office, lambda: start_due(office.store, datetime(2027, 3, 11, 1, tzinfo=UTC)))
    # The nights, the minute's health run, and intervals that pass by.
    assert (few.writing, many.writing) == (3, 3)
    assert len([run for run in office.rows(tables.runs) if run["job"] == "daily"]) == 10 + 99
