"""Twice the work takes about twice the operations, counted in calls of Python and steps of SQLite's machine, never in seconds."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from office import WEDNESDAY, Office
from sqlalchemy import event

LEAST, MOST = 1.6, 2.4
"""What counts as about twice, the part that does not grow included."""


class Counted:
    """Operations so far."""

    def __init__(self) -> None:
        self.statements = 0
        self.steps = 0
        self.calls = 0


@contextmanager
def counting(office: Office) -> Iterator[Counted]:
    """Count statements, thousands of steps of SQLite's machine (sqlite.org/c3ref/progress_handler.html) and calls of Python functions."""
    counted = Counted()
    engine = office.store.engine

    def step() -> int:
        counted.steps += 1
        return 0

    def called(_frame: object, kind: str, _argument: object) -> None:
        counted.calls += kind == "call"

    def stated(*_: object) -> None:
        counted.statements += 1

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
