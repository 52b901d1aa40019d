"""Counts in the background: never waited for twice, shown as they were, counted once, kept within bounds."""

from collections.abc import Iterator
from datetime import timedelta
from threading import Event
from threading import enumerate as threads
from typing import Any

import pytest
from office import TUESDAY, Office

from touchline.adapters.clock import FixedClock
from touchline.app import counts as numbers
from touchline.app.counts import Counts
from touchline.model.errors import StoreUnavailable


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(TUESDAY)


@pytest.fixture
def counts(clock: FixedClock) -> Iterator[Counts]:
    made = Counts(clock, fresh=timedelta(seconds=30), most=3)
    yield made
    made.close()
    assert "counts" not in {thread.name for thread in threads()}


class Held:
    """A count that ends when it is let go."""

    def __init__(self, value: object) -> None:
        self.value = value
        self.calls = 0
        self.begun, self.go_on = Event(), Event()

    def __call__(self) -> Any:
        self.calls += 1
        self.begun.set()
        assert self.go_on.wait(10)
        if isinstance(self.value, Exception):
            raise self.value
        return self.value

    def let_go(self, counts: Counts) -> None:
        self.go_on.set()
        assert counts.settle(10)
        self.go_on.clear()
        self.begun.clear()


def test_a_quick_number_is_there_at_the_first_look(counts: Counts) -> None:
    assert counts.get("a", lambda: 7, patience=10) == (7, TUESDAY)


def test_a_slow_number_is_unknown_until_it_is_counted_and_counted_once(counts: Counts) -> None:
    slow = Held(7)
    for _ in range(3):
        assert counts.get("a", slow, patience=0) == (None, None)
    assert slow.begun.wait(10)
    assert counts.get("a", slow, patience=0) == (None, None)
    slow.let_go(counts)
    assert counts.get("a", slow, patience=0) == (7, TUESDAY)
    assert slow.calls == 1


def test_an_old_number_is_shown_while_it_is_counted_anew(counts: Counts, clock: FixedClock) -> None:
    counts.get("a", lambda: 7, patience=10)
    clock.at += timedelta(seconds=29)
    never = Held(0)
    assert counts.get("a", never) == (7, TUESDAY)
    assert never.calls == 0
    clock.at += timedelta(seconds=1)
    slow = Held(8)
    assert counts.get("a", slow) == (7, TUESDAY)
    assert slow.begun.wait(10)
    assert counts.get("a", slow) == (7, TUESDAY)
    slow.let_go(counts)
    assert counts.get("a", slow) == (8, clock.at)


def test_a_clock_that_was_set_back_keeps_no_number_for_ever(counts: Counts, clock: FixedClock) -> None:
    counts.get("a", lambda: 7, patience=10)
    clock.at -= timedelta(days=1)
    counts.get("a", lambda: 8)
    assert counts.settle(10)
    assert counts.get("a", lambda: 9) == (8, clock.at)


def test_after_a_change_numbers_are_counted_anew_also_those_under_way(counts: Counts) -> None:
    slow = Held(7)
    counts.get("a", slow, patience=0)
    assert slow.begun.wait(10)
    counts.touch()
    slow.let_go(counts)
    again = Held(8)
    assert counts.get("a", again) == (7, TUESDAY)
    assert again.begun.wait(10)
    again.let_go(counts)
    assert counts.get("a", Held(0)) == (8, TUESDAY)


def test_a_count_that_fails_keeps_the_last_number_and_is_tried_again_later(counts: Counts, clock: FixedClock) -> None:
    counts.get("a", lambda: 7, patience=10)
    counts.touch()
    broken = Held(StoreUnavailable("The database is locked."))
    counts.get("a", broken)
    broken.let_go(counts)
    assert counts.get("a", broken) == (7, TUESDAY)
    assert broken.calls == 1
    clock.at += timedelta(seconds=31)
    counts.get("a", lambda: 8)
    assert counts.settle(10)
    assert counts.get("a", broken) == (8, clock.at)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_defect_in_one_count_stops_no_other(counts: Counts) -> None:
    defect = Held(ZeroDivisionError())
    defect.go_on.set()
    counts.get("b", defect, patience=0)
    counts.settle(10)
    assert counts.get("c", lambda: 3, patience=10) == (3, TUESDAY)


def test_only_the_numbers_looked_at_last_are_kept(counts: Counts) -> None:
    for key in "abc":
        counts.get(key, lambda: 1, patience=10)
    counts.get("a", lambda: 2)
    counts.get("d", lambda: 1, patience=10)
    assert counts.get("a", lambda: 3) == (1, TUESDAY)
    assert counts.get("b", lambda: 4, patience=10) == (4, TUESDAY)


def test_a_number_that_was_dropped_while_it_was_counted_is_dropped(counts: Counts) -> None:
    slow = Held(7)
    counts.get("a", slow, patience=0)
    assert slow.begun.wait(10)
    for key in "bcd":
        counts.get(key, lambda: 1, patience=0)
    slow.let_go(counts)
    assert counts.get("a", lambda: 8, patience=10) == (8, TUESDAY)


def test_closing_counts_nothing_more(counts: Counts) -> None:
    slow, never = Held(7), Held(8)
    counts.get("a", slow, patience=0)
    assert slow.begun.wait(10)
    counts.get("b", never, patience=0)
    slow.go_on.set()
    counts.close()
    assert never.calls == 0


def test_the_pages_numbers_are_those_of_the_store(office: Office) -> None:
    office.enrol(6)
    office.suppress("firm2.com")
    counts = Counts(office.clock)
    for ask in (
        lambda: numbers.funnel_of(counts, office.store, "spring"),
        lambda: numbers.matching(counts, office.store, "spring", "state = 'enrolled'"),
        lambda: numbers.matching(counts, office.store, None, None),
        lambda: numbers.suppressions(counts, office.store),
        lambda: numbers.funnel_of(counts, office.store, "nobody's"),
    ):
        ask()
    assert counts.settle(10)
    funnel, as_of = numbers.funnel_of(counts, office.store, "spring")
    assert funnel is not None
    assert (funnel["prospects"], as_of) == (6, office.now)
    assert numbers.matching(counts, office.store, "spring", "state = 'enrolled'")[0] == 5
    assert numbers.matching(counts, office.store, None, None)[0] == 6
    assert numbers.suppressions(counts, office.store)[0] == 1
    assert numbers.funnel_of(counts, office.store, "nobody's") == (None, None)
    counts.close()
