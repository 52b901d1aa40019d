"""A run batch by batch: it stops between batches, goes on anywhere, and what fails is set aside and tried again."""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from itertools import count

import pytest
from office import TUESDAY, WEDNESDAY, Office

from touchline.adapters.store import tables
from touchline.app import runs, schedules
from touchline.app.ports import Source
from touchline.app.tasks import Duty
from touchline.app.work import TAKEOVERS, TRIES, Step, Work
from touchline.model.errors import Refused, SourceUnavailable, StoreUnavailable

ROWS = 130
"""Three whole batches of the office and ten rows."""


class Shop:
    """Runs of one office, as workers see them."""

    def __init__(self, office: Office) -> None:
        self.office = office
        office.apply()
        self.files = [office.people(ROWS)]

    def worker(self, name: str = "one", **duties: Duty) -> Work:
        return self.office.worker(name, self.files, **duties)

    def open(self, job: str = "daily", until: str = "nurture", **values: object) -> int:
        office = self.office
        given = {"campaign_id": office.stored().id, "campaign_version": 1, "until": until} | values
        with office.store.transaction() as unit:
            key = unit.runs.open(job, office.now, **given)
        assert key is not None
        return key

    def row(self, key: int) -> dict:
        with self.office.store.reading() as unit:
            row = unit.runs.get(key)
        assert row is not None
        return row

    def batches(self, key: int) -> list[tuple[str, str, int]]:
        with self.office.store.reading() as unit:
            return [(row["stage"], row["state"], row["attempts"]) for row in unit.runs.batches(key)]


@pytest.fixture
def shop(either: Office) -> Shop:
    return Shop(either)


@pytest.fixture
def small(office: Office) -> Shop:
    return Shop(office)


def through(work: Work, key: int) -> list[float]:
    """Advance to the end; gives the waits."""
    waits = list[float]()
    for _ in range(100):
        step = work.advance(key)
        if step.wait:
            waits.append(step.wait)
        if not step.more:
            return waits
    raise AssertionError("the run never ends")


def fails(office: Office, point: str, error: BaseException, nth: int, times: int) -> None:
    """Let a point raise at its n-th passing from now and at the ones after it."""

    def act() -> None:
        raise error

    for each in range(nth, nth + times):
        office.points.at(point, act, each)


def test_a_daily_run_harvests_and_judges_and_keeps_what_each_batch_did(shop: Shop) -> None:
    key = shop.open()
    assert through(shop.worker(), key) == []
    row = shop.row(key)
    assert (row["state"], row["worker"], row["error"]) == ("done", "one", None)
    assert row["counts"]["harvest"]["new"] == ROWS
    assert row["counts"]["batches"] == {"done": 4}
    assert row["counts"]["seconds"]["save leads"] > 0
    assert shop.batches(key) == [("harvest", "done", 1)] * 4
    assert shop.worker().advance(key) == Step(more=False)


def test_a_run_that_ends_with_sending_sends_what_is_due(small: Shop) -> None:
    through(small.worker(), small.open())
    small.office.now = WEDNESDAY
    key = small.open("send", until="send")
    through(small.worker(), key)
    assert small.row(key)["counts"]["send"]["sent"] == ROWS == len(small.office.taken())


def sends_slowly(office: Office, count: int, minutes: float) -> None:
    """Leads whose first message is due, and a mail server that takes so long over each."""
    office.load(office.people(count), until="nurture")
    office.now = WEDNESDAY
    for nth in range(1, count + 1):
        office.points.at("answered", lambda: office.later(minutes=minutes), nth)


def test_a_batch_of_slow_messages_ends_after_five_minutes_and_the_run_goes_on_with_the_next(shop: Shop) -> None:
    sends_slowly(shop.office, 12, minutes=1)
    work, key = shop.worker(), shop.open("send", until="send")
    assert work.advance(key).more
    assert Counter(row["state"] for row in shop.office.touches() if row["step"] == 1) == {"sent": 5, "planned": 7}
    through(work, key)
    row = shop.row(key)
    assert (row["state"], row["counts"]["send"], row["counts"]["batches"]) == ("done", {"sent": 12}, {"done": 3})
    assert len(shop.office.taken()) == 12


def test_a_batch_whose_time_is_over_without_a_message_is_not_the_last(small: Shop) -> None:
    sends_slowly(small.office, 2, minutes=0)
    small.office.points.at("claimed", lambda: small.office.later(minutes=5))
    key = small.open("send", until="send")
    through(small.worker(), key)
    assert (small.row(key)["counts"]["send"], small.row(key)["counts"]["batches"]) == ({"sent": 2}, {"done": 2})


def test_a_cancelled_run_sends_no_longer_than_its_batch_lasts(small: Shop) -> None:
    office = small.office
    sends_slowly(office, 12, minutes=1)
    key = small.open("send", until="send")
    office.points.at("sending-committed", lambda: runs.cancel(office.outside, key, "mo"), nth=2)
    through(small.worker(), key)
    assert (small.row(key)["state"], len(office.taken())) == ("cancelled", 5)


def test_a_window_that_closes_stops_between_batches_and_the_next_run_goes_on(shop: Shop) -> None:
    work, key = shop.worker(), shop.open(stop_at=TUESDAY + timedelta(hours=1))
    work.advance(key)
    shop.office.later(hours=1)
    assert not work.advance(key).more
    assert shop.row(key)["state"] == "unfinished"
    assert shop.batches(key) == [("harvest", "done", 1)]
    after = shop.open()
    through(shop.worker("two"), after)
    assert shop.row(after)["counts"]["harvest"]["new"] == ROWS - 40


def test_a_run_that_no_worker_was_free_for_begins_late_and_has_until_the_next_opening(small: Shop) -> None:
    office = small.office
    schedules.ensure(office.store, office.now)
    office.later(hours=21)
    (opened,) = [row for row in schedules.start_due(office.store, office.now) if row["job"] == "daily"]
    office.now = opened["stop_at"]
    through(small.worker(), opened["id"])
    row = small.row(opened["id"])
    assert (row["state"], row["late"]) == ("done", 1)
    assert row["stop_at"] - opened["stop_at"] == timedelta(hours=20)


def test_a_run_that_a_person_cancels_ends_before_its_next_batch(small: Shop) -> None:
    work, key = small.worker(), small.open()
    work.advance(key)
    with small.office.store.transaction() as unit:
        unit.runs.set(key, cancel="mara")
    assert not work.advance(key).more
    assert (small.row(key)["state"], small.row(key)["error"]) == ("cancelled", "cancelled by mara")


def test_what_was_set_aside_rests_for_good_where_a_person_says_so(shop: Shop) -> None:
    office, key = shop.office, shop.open()
    with pytest.raises(Refused, match="goes on"):
        runs.dismiss(office.outside, key)
    fails(office, "import-before-commit", ValueError("odd"), nth=2, times=TRIES)
    through(shop.worker(), key)
    with office.store.reading() as unit:
        assert len(unit.gauges.aside(9)) == 1
    assert runs.dismiss(office.outside, key) == 1
    with office.store.reading() as unit:
        assert unit.gauges.aside(9) == []
    with pytest.raises(Refused, match=f"No batch of run {key} waits"):
        runs.dismiss(office.outside, key)
    made, aside = runs.retry(office.outside, key)
    assert aside == 0
    through(shop.worker(), made["id"])
    assert len(office.rows(tables.leads)) == ROWS - 40


def test_another_worker_goes_on_and_the_first_one_is_told(shop: Shop) -> None:
    first, second, key = shop.worker(), shop.worker("two"), shop.open()
    first.advance(key)
    assert second.advance(key).more
    assert first.advance(key) == Step(more=False, lost=True)
    through(second, key)
    row = shop.row(key)
    assert (row["state"], row["worker"]) == ("done", "two")
    assert row["counts"]["harvest"]["new"] == ROWS


def test_a_run_that_kills_its_workers_is_given_up(small: Shop) -> None:
    key = small.open()
    assert small.worker().advance(key).more
    fails(small.office, "import-before-commit", KeyboardInterrupt(), nth=1, times=TAKEOVERS)
    for name in range(TAKEOVERS):
        with pytest.raises(KeyboardInterrupt):
            small.worker(f"w{name}").advance(key)
    assert not small.worker("last").advance(key).more
    row = small.row(key)
    assert row["state"] == "failed"
    assert f"touchline runs retry {key}" in row["error"]


def test_a_batch_that_fails_is_tried_again_with_growing_waits(small: Shop) -> None:
    key = small.open()
    fails(small.office, "import-before-commit", ValueError("odd"), nth=2, times=2)
    assert through(small.worker(), key) == [1.0, 3.0]
    assert small.row(key)["state"] == "done"
    assert small.row(key)["counts"]["harvest"]["new"] == ROWS
    assert small.batches(key)[1] == ("harvest", "done", 3)


def test_a_batch_that_fails_always_is_set_aside_and_the_rest_goes_on(shop: Shop) -> None:
    office, key = shop.office, shop.open()
    fails(office, "import-before-commit", ValueError("odd"), nth=2, times=TRIES)
    through(shop.worker(), key)
    row = shop.row(key)
    assert row["state"] == "done"
    assert "odd" in row["error"]
    assert row["counts"]["harvest"] == {"new": ROWS - 40, "rejected": 40}
    assert shop.batches(key)[1] == ("harvest", "set_aside", TRIES)
    (load,) = office.rows(tables.imports)
    assert (load["rows"], load["new"], load["rejected"], load["state"]) == (ROWS, ROWS - 40, 40, "done")

    with office.store.transaction() as unit:
        (aside,) = unit.runs.batches(key, states=["set_aside"])
        unit.runs.set_batch(key, aside["number"], state="released")
    later = shop.open()
    through(shop.worker("two"), later)
    assert shop.row(later)["counts"]["harvest"] == {"new": 40}
    (load,) = office.rows(tables.imports)
    assert (load["rows"], load["new"], load["rejected"]) == (ROWS, ROWS, 0)
    assert shop.batches(key)[1] == ("harvest", "retried", TRIES)


def test_a_batch_of_judging_that_fails_keeps_its_work_to_do(small: Shop) -> None:
    office = small.office
    office.load(small.files[0])
    small.files = []
    key = small.open()
    fails(office, "judge-before-commit", ValueError("odd"), nth=2, times=TRIES)
    through(small.worker(), key)
    assert small.row(key)["counts"]["judge"] == {"prospects": ROWS - 40}
    with office.store.reading() as unit:
        assert unit.prospects.pending_count(office.stored().id, everyone=False) == 40
    again = small.open()
    through(small.worker(), again)
    assert small.row(again)["counts"]["judge"] == {"prospects": 40}


def test_a_file_that_cannot_be_read_does_not_keep_the_others_from_it(small: Shop) -> None:
    office = small.office
    bad = office.csv("not a list", header="\0\0\0\0")
    small.files = [bad, *small.files]
    key = small.open()
    through(small.worker(), key)
    row = small.row(key)
    assert row["state"] == "failed"
    assert row["counts"]["harvest"]["new"] == ROWS
    assert row["counts"]["batches"] == {"done": 4, "set_aside": 1}


def test_a_source_that_is_away_is_waited_for_and_then_left_for_the_next_run(small: Shop) -> None:
    key = small.open()
    fails(small.office, "import-before-commit", SourceUnavailable("away"), nth=1, times=TRIES)
    assert through(small.worker(), key) == [1.0, 3.0, 9.0]
    assert small.row(key)["state"] == "failed"
    after = small.open()
    through(small.worker(), after)
    assert small.row(after)["counts"]["harvest"] == {"new": ROWS}


def test_a_database_that_is_away_is_waited_for_however_long(small: Shop) -> None:
    key = small.open()
    fails(small.office, "import-before-commit", StoreUnavailable("away"), nth=2, times=3 * TRIES)
    waits = through(small.worker(), key)
    assert waits == [10.0] * (3 * TRIES)
    assert small.row(key)["state"] == "done"
    assert small.row(key)["counts"]["harvest"]["new"] == ROWS


def test_dropping_what_is_in_memory_at_any_moment_changes_no_decision(office: Office) -> None:
    shop = Shop(office)
    whole = shop.open()
    names = count()
    for _ in range(50):
        # A new process for every batch.
        if not shop.worker(f"w{next(names)}").advance(whole).more:
            break
    assert shop.row(whole)["state"] == "done"
    assert shop.row(whole)["counts"]["harvest"] == {"new": ROWS}
    assert len(office.touches()) == ROWS


def test_a_chore_goes_on_until_it_has_no_more(small: Shop) -> None:
    parts = [{"removed": 2}, {"removed": 1}, None]
    key = small.open("retention", campaign_id=None, campaign_version=None, until=None)
    through(small.worker(retention=Duty(lambda: parts.pop(0))), key)
    assert small.row(key)["counts"]["retention"] == {"removed": 3}


def test_a_duty_of_one_call_is_tried_again_where_it_fails_and_then_done_once(small: Shop) -> None:
    calls = count()

    def look() -> dict[str, int]:
        if next(calls) == 0:
            raise ValueError("odd")
        return {"findings": 0}

    key = small.open("health", campaign_id=None, campaign_version=None, until=None)
    assert through(small.worker(health=Duty(look, once=True)), key) == [1.0]
    assert (small.row(key)["state"], next(calls)) == ("done", 2)


def test_a_run_that_begins_with_a_later_stage_reads_no_source(shop: Shop) -> None:
    through(shop.worker(), shop.open(until="harvest"))
    key = shop.open(first="score")
    through(shop.worker(), key)
    assert shop.batches(key)
    assert {stage for stage, _, _ in shop.batches(key)} == {"judge"}
    assert shop.row(key)["counts"]["judge"]["prospects"] == ROWS


def test_a_run_that_goes_on_too_long_ends_between_batches_and_the_next_one_goes_on(small: Shop) -> None:
    work, key = small.worker(), small.open()
    work.advance(key)
    small.office.later(hours=24)
    assert work.advance(key) == Step(more=False)
    assert small.row(key)["state"] == "unfinished"
    assert "gone on for 24 hours (worker.run_hours)" in small.row(key)["error"]
    following = small.open()
    through(small.worker(), following)
    assert small.row(following)["counts"]["harvest"]["new"] == ROWS - 40


def test_a_run_that_comes_back_while_its_batch_is_under_way_is_left_to_that(small: Shop) -> None:
    work, key, said = small.worker(), small.open(), list[Step]()

    def comes_back() -> None:
        work.drop(key)
        said.append(work.advance(key))

    small.office.points.at("import-before-commit", comes_back)
    through(work, key)
    assert said == [Step(more=False, lost=True)]
    assert small.row(key)["state"] == "done"
    assert len(small.office.rows(tables.leads)) == ROWS


def test_a_file_that_a_person_imports_meanwhile_is_passed_and_the_rest_of_the_run_is_done(small: Shop) -> None:
    work, key, office = small.worker(), small.open(), small.office
    assert work.advance(key) == Step(more=True)
    office.load(small.files[0], until="nurture")
    through(work, key)
    row = small.row(key)
    assert (row["state"], row["error"]) == ("done", None)
    assert len(office.rows(tables.leads)) == ROWS
    assert {p["state"] for p in office.rows(tables.prospects)} == {"enrolled"}


def test_parts_that_cannot_be_told_end_the_run_with_the_cause(small: Shop) -> None:
    def sources() -> Iterator[Source]:
        raise ZeroDivisionError("nobody thought of it")
        yield from small.files

    small.files = sources()  # type: ignore[assignment]
    key = small.open()
    through(small.worker(), key)
    row = small.row(key)
    assert (row["state"], row["error"]) == ("failed", "ZeroDivisionError: nobody thought of it")


def test_a_batch_that_cannot_even_be_set_aside_leaves_the_rest_its_turn(small: Shop) -> None:
    office, key = small.office, small.open()
    small.files = [office.people(ROWS, start=ROWS), *small.files]

    def breaks() -> None:
        (office.home / small.files[0].describe().name).unlink()
        raise RuntimeError("broken")

    fails(office, "import-before-commit", RuntimeError("broken"), nth=1, times=TRIES - 1)
    office.points.at("import-before-commit", breaks, nth=TRIES)
    through(small.worker(), key)
    row = small.row(key)
    assert (row["state"], row["counts"]["harvest"]["new"]) == ("failed", ROWS)
    assert row["counts"]["batches"] == {"done": 4, "set_aside": 1}


def test_a_batch_that_does_not_end_is_seen_from_outside(small: Shop) -> None:
    seen = list[dict]()
    work, key = small.worker(), small.open()

    def look() -> None:
        small.office.later(seconds=7)
        seen.append(work.under_way())

    small.office.points.at("import-after-commit", look)
    through(work, key)
    assert seen == [{key: 7.0}]
    assert work.under_way() == {}
