"""The durable engine by itself: an id runs once, waits are kept, what has ended can be forgotten, and a stop leaves the rest."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from crew import until

from touchline.app.work import Step
from touchline.engine import DurableEngine, Queue
from touchline.model.errors import StoreUnavailable


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    return "sqlite:///touchline.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")


@contextmanager
def engine(home: Path, url: str, advance: Callable[[int], Step], name: str = "one") -> Iterator[DurableEngine]:
    made = DurableEngine(url, home, name, advance, lambda _: None, [Queue("batch", 2)], ["batch"], poll_seconds=0.1)
    made.start()
    try:
        yield made
    finally:
        made.stop(5)


def test_a_run_goes_on_until_there_is_no_more_and_its_id_runs_once(tmp_path: Path, url: str) -> None:
    calls = list[int]()

    def advance(run_id: int) -> Step:
        calls.append(run_id)
        return Step(more=calls.count(run_id) < 3, wait=0.01)

    with engine(tmp_path, url, advance) as one:
        for _ in range(3):
            one.enqueue(7, "batch", 10)
        until(lambda: one.over([7]), 20, "the run does not end")
        one.enqueue(7, "batch", 10)
        one.enqueue(8, "batch", 10)
        until(lambda: one.over([8]), 20, "the run does not end")
        assert one.over([7, 8, 9]) == {7: "SUCCESS", 8: "SUCCESS", 9: "unknown"}
        assert one.forget(datetime.now(UTC) - timedelta(hours=1)) == 0
        assert one.forget(datetime.now(UTC) + timedelta(hours=1)) == 2
        assert one.over([7]) == {7: "unknown"}
    assert calls == [7, 7, 7, 8, 8, 8]


def test_a_stop_leaves_a_run_to_whoever_comes_next(tmp_path: Path, url: str) -> None:
    calls = list[str]()

    def endless(_: int) -> Step:
        calls.append("one")
        return Step(more=True, wait=0.05)

    def last(_: int) -> Step:
        calls.append("two")
        return Step(more=False)

    with engine(tmp_path, url, endless) as one:
        one.enqueue(1, "batch", 10)
        until(lambda: calls, 20, "nothing begins")
    begun = len(calls)
    with engine(tmp_path, url, last, "two") as two:
        assert two.over([1]) == {}
        assert two.take_over(lambda: {"two"}) == 1
        until(lambda: two.over([1]), 20, "nobody goes on")
    assert calls[begun:] == ["two"]


def test_a_run_that_was_lost_once_is_tried_again_when_it_comes_back(tmp_path: Path, url: str) -> None:
    calls = list[int]()

    def advance(_: int) -> Step:
        calls.append(1)
        return Step(more=len(calls) == 1, lost=len(calls) == 1)

    with engine(tmp_path, url, advance) as one:
        one.enqueue(1, "batch", 10)
        until(lambda: one.revive() + len(one.over([1])), 20, "nobody goes on")
        until(lambda: one.over([1]), 20, "what was lost is never tried again")
    assert len(calls) == 2


def test_a_number_that_comes_again_runs_again_once_its_old_workflow_is_forgotten(tmp_path: Path, url: str) -> None:
    calls = list[int]()

    def advance(run_id: int) -> Step:
        calls.append(run_id)
        return Step(more=False)

    with engine(tmp_path, url, advance) as one:
        one.enqueue(1, "batch", 10)
        until(lambda: one.over([1]), 20, "the run does not end")
        assert one.renew([1, 2]) == 1
        one.enqueue(1, "batch", 10)
        until(lambda: one.over([1]), 20, "it does not run again")
        assert one.renew([]) == 0
    assert calls == [1, 1]


def test_a_queue_whose_database_cannot_be_used_is_told_as_ours_is(tmp_path: Path) -> None:
    with engine(tmp_path, "sqlite:///touchline.db", lambda _: Step(more=False)) as one:
        with sqlite3.connect(tmp_path / "touchline.queue.db") as connection:
            connection.execute("ALTER TABLE workflow_status RENAME TO away")
        try:
            for ask in (lambda: one.over([1]), lambda: one.enqueue(1, "batch", 10), one.revive):
                with pytest.raises(StoreUnavailable, match="queue's database"):
                    ask()
        finally:
            with sqlite3.connect(tmp_path / "touchline.queue.db") as connection:
                connection.execute("ALTER TABLE away RENAME TO workflow_status")


def test_what_a_living_worker_runs_is_not_taken_from_it(tmp_path: Path, url: str) -> None:
    going = [True]

    def advance(_: int) -> Step:
        return Step(more=going[0], wait=0.05)

    with engine(tmp_path, url, advance) as one:
        one.enqueue(1, "batch", 10)
        until(lambda: one.revive() == 0 and one.take_over(lambda: {"one"}) == 0, 20, "it is taken for lost")
        assert [one.revive() for _ in range(3)] == [0, 0, 0]
        going[0] = False
        until(lambda: one.over([1]), 20, "the run does not end")


def test_what_is_urgent_goes_first_and_a_queue_begins_no_more_runs_than_it_may(tmp_path: Path, url: str) -> None:
    calls = list[int]()

    def advance(run_id: int) -> Step:
        calls.append(run_id)
        return Step(more=False)

    queues = [Queue("batch", 1, limit=2, period=3600.0)]
    made = DurableEngine(url, tmp_path, "one", advance, lambda _: None, queues, ["batch"], poll_seconds=1.0)
    made.start()
    try:
        # Queued faster than the queue is looked at, the third and the fourth are the two that go first.
        for run_id, priority in ((1, 50), (2, 50), (3, 1), (4, 2)):
            made.enqueue(run_id, "batch", priority)
        until(lambda: len(calls) == 2, 20, "nothing begins")
        until(lambda: made.over([3, 4]), 20, "they do not end")
    finally:
        made.stop(5)
    assert calls == [3, 4]
