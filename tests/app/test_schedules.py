"""Schedules: what is there by itself, one run a slot whoever looks, no overlap, and what people may change."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from office import MARA, TUESDAY, WEDNESDAY, Office

from touchline.adapters.store import tables
from touchline.adapters.store.runs import Runs
from touchline.app import campaigns, runs, schedules
from touchline.app.campaign_detail import clone
from touchline.app.ports import Row
from touchline.model.errors import InvalidInput, NotFound, Refused, TouchlineError

OPENING = datetime(2027, 3, 10, 1, tzinfo=UTC)
"""02:00 in Berlin on the Wednesday."""
DAILY = "daily:spring"


@pytest.fixture(autouse=True)
def _campaign(request: pytest.FixtureRequest) -> None:
    office = request.getfixturevalue(
        next((name for name in ("either", "shared") if name in request.fixturenames), "office")
    )
    office.apply()


def row(office: Office, name: str = DAILY) -> Row:
    return next(row for row in schedules.listed(office.store, office.now) if row["name"] == name)


def tick(office: Office, at: datetime | None = None, job: str = "daily") -> list[Row]:
    """Runs of a job that one look opens."""
    office.now = at or office.now
    return [run for run in schedules.start_due(office.store, office.now, worker="w") if run["job"] == job]


def end(office: Office, run: Row, state: str = "done") -> None:
    with office.store.transaction() as unit:
        unit.runs.set(run["id"], state=state, finished_at=office.now)


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """What each gives, or the refusal that it raises, begun at the same moment."""
    start = threading.Barrier(len(acts))

    def begun(act: Callable[[], Any]) -> Any:
        start.wait()
        try:
            return act()
        except Refused as refused:
            return refused

    with ThreadPoolExecutor(len(acts)) as threads:
        return [job.result() for job in [threads.submit(begun, act) for act in acts]]


# What is there by itself


def test_every_campaign_and_the_workspace_have_their_schedules(either: Office) -> None:
    either.apply(name="autumn", timezone="Pacific/Apia", mailboxes=[])
    clone(either.store, "autumn", "winter", either.now)
    assert schedules.ensure(either.store, either.now) == []
    shown = {r["name"]: (r["job"], r["campaign"], r["when"]) for r in schedules.listed(either.store, either.now)}
    assert shown == {
        "daily:autumn": ("daily", "autumn", "daily 02:00-06:00 Pacific/Apia"),
        "daily:spring": ("daily", "spring", "daily 02:00-06:00 Europe/Berlin"),
        "daily:winter": ("daily", "winter", "daily 02:00-06:00 Pacific/Apia"),
        "health": ("health", None, "every minute"),
        "retention": ("retention", None, "daily 01:00-02:00 UTC"),
        "send:autumn": ("send", "autumn", "every minute"),
        "send:spring": ("send", "spring", "every minute"),
        "send:winter": ("send", "winter", "every minute"),
    }


def test_a_workspace_of_before_gets_the_schedules_that_it_lacks(either: Office) -> None:
    def forget() -> None:
        with either.store.transaction() as unit:
            for row in unit.schedules.listed():
                unit.schedules.remove(row["id"])

    names = ["daily:spring", "health", "retention", "send:spring"]
    forget()
    assert sorted(schedules.ensure(either.store, either.now)) == names
    forget()
    either.apply()  # the version that is there already
    assert [row["name"] for row in schedules.listed(either.store, either.now)] == names


def test_two_workers_that_add_what_is_missing_add_it_once(either: Office) -> None:
    with either.store.transaction() as unit:
        for known in unit.schedules.listed():
            unit.schedules.remove(known["id"])
    at_once(*[lambda: schedules.ensure(either.store, either.now)] * 4)
    assert len(either.rows(tables.schedules)) == 4


def test_what_a_person_changed_or_paused_stays_so(office: Office) -> None:
    schedules.pause(office.store, DAILY, office.now)
    schedules.set_timing(office.store, DAILY, {"opens": "03:00"}, office.now)
    before = office.rows(tables.schedules)
    assert schedules.ensure(office.store, office.now) == []
    assert office.rows(tables.schedules) == before


# One run a slot


def test_a_window_opens_one_run_with_all_that_a_worker_needs(either: Office) -> None:
    assert tick(either, OPENING - timedelta(seconds=1)) == []
    (run,) = tick(either, OPENING)
    wanted = {
        "job": "daily",
        "campaign": "spring",
        "campaign_version": 1,
        "schedule": DAILY,
        "slot": "2027-03-10",
        "until": "nurture",
        "state": "queued",
        "late": 0,
        "queued_at": OPENING,
        "stop_at": OPENING + timedelta(hours=4),
    }
    assert wanted.items() <= run.items()
    end(either, run)
    assert tick(either, OPENING + timedelta(hours=1)) == []
    assert tick(either, OPENING - timedelta(hours=3)) == []  # the clock was set back
    assert [run["slot"] for run in tick(either, OPENING + timedelta(days=1))] == ["2027-03-11"]


def test_of_many_workers_that_look_at_once_exactly_one_opens_the_run(either: Office) -> None:
    for day in range(5):
        either.now = OPENING + timedelta(days=day)
        opened = [run for runs in at_once(*[lambda: schedules.start_due(either.store, either.now)] * 4) for run in runs]
        assert sorted(run["job"] for run in opened) == ["daily", "health", "retention"]
        for run in opened:
            end(either, run)
    slots = [(run["schedule_id"], run["slot"]) for run in either.rows(tables.runs)]
    assert len(slots) == len(set(slots)) == 15


def test_a_worker_whose_clock_is_ahead_and_a_person_open_no_second_run_beside_the_first(either: Office) -> None:
    for day in range(5):
        either.now = OPENING + timedelta(days=2 * day)
        at_once(
            lambda: schedules.start_due(either.store, either.now),
            lambda: schedules.start_due(either.store, either.now + timedelta(days=1)),
            lambda: schedules.run_now(either.store, DAILY, either.now),
        )
        with either.store.reading() as unit:
            (run,) = [run for run in unit.runs.unfinished() if run["job"] == "daily"]
        end(either, run)


def evening(office: Office) -> Any:
    return schedules.run_now(office.store, "evening", office.now)


def morning(office: Office) -> Any:
    return schedules.run_now(office.store, DAILY, office.now)


def by_itself(office: Office) -> Any:
    return schedules.start_due(office.store, office.now)


def from_the_first(office: Office) -> Any:
    return runs.start(office.store, "spring", first="harvest", until="nurture", now=office.now)


def once_more(office: Office) -> Any:
    return runs.retry(office.outside, office.rows(tables.runs)[0]["id"])


@pytest.mark.parametrize(
    ("one", "two"),
    [(morning, evening), (by_itself, evening), (from_the_first, from_the_first), (once_more, from_the_first)],
)
def test_of_two_that_look_for_an_open_run_of_the_same_job_at_once_one_opens_its_own(
    shared: Office,
    monkeypatch: pytest.MonkeyPatch,
    one: Callable[[Office], Any],
    two: Callable[[Office], Any],
) -> None:
    office = shared
    schedules.add(office.store, "evening", "daily", "spring", {"opens": "18:00", "closes": "19:00"}, office.now)
    with office.store.transaction() as unit:
        of = {"campaign_id": office.stored().id, "campaign_version": 1, "until": "nurture"}
        unit.runs.open("run", office.now, **of, state="failed", started_at=office.now, finished_at=office.now)
    office.now = OPENING
    both_have_looked, look = threading.Barrier(2), Runs.unfinished

    def slowly(self: Runs, campaign_id: int | None = None) -> list[Row]:
        found = look(self, campaign_id)
        if campaign_id is not None:
            # Whoever is made to wait for the other before it looks never comes here, and the other goes on.
            with suppress(threading.BrokenBarrierError):
                both_have_looked.wait(timeout=0.5)
        return found

    monkeypatch.setattr(Runs, "unfinished", slowly)
    at_once(lambda: one(office), lambda: two(office))
    assert len([run for run in office.rows(tables.runs) if (run["job"], run["state"]) == ("daily", "queued")]) == 1


def test_a_missed_night_is_made_up_for_once_and_marked_late(office: Office) -> None:
    (run,) = tick(office, OPENING + timedelta(days=3, hours=9))
    assert (run["slot"], run["late"], run["stop_at"]) == ("2027-03-13", 1, OPENING + timedelta(days=4))
    end(office, run)
    assert tick(office) == []


def test_a_run_that_overruns_its_window_is_followed_by_the_next_one_when_it_ends(either: Office) -> None:
    (first,) = tick(either, OPENING)
    assert tick(either, OPENING + timedelta(days=1)) == []
    assert row(either)["last_slot"] == "2027-03-10"
    assert row(either)["due"] == "2027-03-11"
    end(either, first)
    (second,) = tick(either, OPENING + timedelta(days=1, hours=5))
    assert (second["slot"], second["late"]) == ("2027-03-11", 1)


def test_intervals_pass_by_while_their_run_is_open(office: Office) -> None:
    (run,) = tick(office, job="health")
    office.later(minutes=1)
    assert tick(office, job="health") == []
    assert row(office, "health")["last_slot"] == "2027-03-09T05:01:00Z"
    end(office, run)
    assert tick(office, job="health") == []
    office.later(minutes=1)
    assert [run["slot"] for run in tick(office, job="health")] == ["2027-03-09T05:02:00Z"]


def test_runs_of_other_jobs_and_campaigns_keep_nobody_waiting(office: Office) -> None:
    office.apply(name="autumn")
    schedules.run_now(office.store, "daily:autumn", office.now)
    with office.store.transaction() as unit:
        unit.runs.open("run", office.now, campaign_id=office.stored().id, state="running", started_at=office.now)
    assert [run["campaign"] for run in tick(office, OPENING)] == ["spring"]


def test_a_paused_schedule_starts_nothing_and_makes_up_for_nothing_when_it_is_resumed(office: Office) -> None:
    assert schedules.pause(office.store, DAILY, office.now) == "active"
    assert tick(office, OPENING) == []
    assert row(office)["next_at"] is None
    office.later(hours=6)
    assert schedules.resume(office.store, DAILY, office.now) == "paused"
    assert tick(office) == []
    assert row(office)["next_at"] == OPENING + timedelta(days=1)
    assert len(tick(office, OPENING + timedelta(days=1))) == 1


def test_a_schedule_that_is_resumed_within_its_window_starts(office: Office) -> None:
    schedules.pause(office.store, DAILY, office.now)
    office.now = OPENING + timedelta(hours=1)
    schedules.resume(office.store, DAILY, office.now)
    assert [run["late"] for run in tick(office)] == [0]


def test_resuming_what_is_active_takes_no_missed_night_from_it(office: Office) -> None:
    office.now = OPENING + timedelta(hours=9)
    assert schedules.resume(office.store, DAILY, office.now) == "active"
    assert [run["late"] for run in tick(office)] == [1]


def test_what_comes_due_while_a_campaign_is_paused_is_passed_over(office: Office) -> None:
    campaigns.pause(office.store, "spring", office.now)
    assert tick(office, OPENING) == tick(office, OPENING, "send") == []
    campaigns.start(office.store, "spring", office.now)
    (run,) = tick(office, OPENING + timedelta(hours=1))  # the window is still open
    end(office, run)
    campaigns.pause(office.store, "spring", office.now)
    assert tick(office, OPENING + timedelta(days=1, hours=5)) == []
    campaigns.start(office.store, "spring", office.now)
    assert tick(office) == []
    assert row(office)["last_slot"] == "2027-03-11"


def test_a_tick_with_nothing_to_start_writes_nothing(office: Office) -> None:
    tick(office)
    before = office.rows(tables.schedules)
    office.later(seconds=20)
    with office.store.transaction():  # nobody else can write now
        assert tick(office) == []
    assert office.rows(tables.schedules) == before


# Sending


def sends(office: Office) -> bool:
    """Whether the next minute opens a run that sends."""
    office.later(minutes=1)
    runs = tick(office, job="send")
    for run in runs:
        end(office, run)
    assert row(office, "send:spring")["due"] is None  # looked at either way
    return bool(runs)


def test_slots_that_pass_by_leave_alone_what_was_paused_or_taken_since_they_were_read(either: Office) -> None:
    now, later = "2027-03-09T05:00:00Z", "2027-03-09T05:01:00Z"
    schedules.pause(either.store, DAILY, either.now)
    keys = {name: row(either, name)["id"] for name in (DAILY, "health", "send:spring")}
    with either.store.transaction() as unit:
        assert unit.schedules.take(keys["health"], later, either.now)
        unit.schedules.pass_by(list(keys.values()), now, either.now)
    assert {name: row(either, name)["last_slot"] for name in keys} == {DAILY: None, "health": later, "send:spring": now}


def test_a_send_run_is_opened_only_while_something_is_due(either: Office) -> None:
    either.load(either.people(2), until="nurture")
    assert not sends(either)
    either.now = WEDNESDAY
    assert sends(either)
    either.send()
    assert not sends(either)


def test_no_send_run_is_opened_while_everything_is_stopped(office: Office) -> None:
    office.load(office.people(2), until="nurture")
    office.now = WEDNESDAY
    campaigns.stop_all(office.store, "fire", office.now)
    assert not sends(office)
    campaigns.start_all(office.store)
    assert sends(office)


def test_no_send_run_is_opened_while_every_mailbox_rests_or_is_at_its_cap(office: Office) -> None:
    office.load(office.people(3), until="nurture")
    office.apply(mailboxes=[office.mailbox(daily_cap=1)])
    office.now = WEDNESDAY
    with office.store.transaction() as unit:
        unit.mailboxes.failing(MARA, "535 no", office.now + timedelta(minutes=5), office.now)
    assert not sends(office)
    office.later(minutes=5)
    assert sends(office)
    office.send()
    assert len(office.taken()) == 1
    assert not sends(office)
    office.later(days=1)
    assert sends(office)


def test_what_waits_in_a_mailbox_at_its_cap_opens_no_run_although_another_mailbox_has_room(either: Office) -> None:
    either.apply(mailboxes=[either.mailbox(daily_cap=1), either.mailbox("bo@quillmast.example")])
    either.load(either.people(12), until="nurture")
    either.now = WEDNESDAY
    assert sends(either)
    either.send()
    assert {row["mailbox"] for row in either.touches() if row["step"] == 1 and row["state"] == "planned"} == {MARA}
    assert not sends(either)
    either.later(days=1)
    assert sends(either)


def test_what_waits_in_a_mailbox_that_rests_opens_no_run_although_another_mailbox_works(office: Office) -> None:
    bo = office.mailbox("bo@quillmast.example")
    office.apply(mailboxes=[office.mailbox(), bo])
    office.load(office.people(12), until="nurture")
    office.now = WEDNESDAY
    with office.store.transaction() as unit:
        unit.mailboxes.failing(MARA, "535 no", office.now + timedelta(hours=1), office.now)
    office.send()
    assert not sends(office)
    office.later(hours=1)
    assert sends(office)


def test_a_mailbox_that_warms_up_opens_runs_up_to_the_cap_of_its_day(office: Office) -> None:
    office.apply(mailboxes=[office.mailbox(daily_cap=7, ramp={"start": 2, "step": 3})])
    office.load(office.people(30), until="nurture")
    office.now = WEDNESDAY
    for left in (2, 5):
        assert sends(office)
        assert office.send() == {"sent": left}
        assert not sends(office)
        office.later(days=1)


@pytest.mark.parametrize("point", ["claimed", "sending-committed"])
def test_a_send_run_is_opened_for_what_a_dead_sender_holds_although_nothing_else_is_due(
    either: Office, point: str
) -> None:
    either.load(either.people(1), until="nurture")
    either.now = WEDNESDAY
    seen: list[bool] = []

    def look() -> None:
        # In the middle of sending, as after a kill: nothing has been cleaned up.
        either.later(seconds=-1)
        seen.extend([sends(either), sends(either)])

    either.points.at(point, look)
    either.send(name="first")
    assert seen == [False, True], "it was heard of less than a minute ago, then no more"
    assert not sends(either)


def test_what_a_dead_sender_holds_is_settled_while_everything_is_stopped_too(office: Office) -> None:
    office.load(office.people(1), until="nurture")
    office.now = WEDNESDAY
    with office.store.transaction() as unit:
        unit.touches.claim([office.touch()["id"]], "ghost", office.now)
    campaigns.stop_all(office.store, "fire", office.now)
    assert sends(office)
    office.send()
    assert office.touch()["state"] == "planned"
    assert not sends(office)


# What people may change


def test_a_changed_window_begins_with_the_present_one_or_else_the_next(office: Office) -> None:
    office.now = OPENING + timedelta(hours=6)  # 08:00 in Berlin, and last night's slot has not been started
    changed = schedules.set_timing(
        office.store, DAILY, {"opens": "5:00", "closes": "07:30", "until": "score"}, office.now
    )
    assert changed["when"] == "daily 05:00-07:30 Europe/Berlin, until score"
    assert changed["next_at"] == OPENING + timedelta(days=1, hours=3)
    assert tick(office) == []
    schedules.set_timing(office.store, DAILY, {"closes": "09:00"}, office.now)
    (run,) = tick(office)
    assert (run["slot"], run["until"], run["stop_at"]) == ("2027-03-10", "score", OPENING + timedelta(hours=7))


def test_a_date_that_has_run_does_not_run_again_in_a_later_window(office: Office) -> None:
    end(office, tick(office, OPENING)[0])
    schedules.set_timing(office.store, DAILY, {"opens": "12:00", "closes": "13:00"}, office.now)
    assert row(office)["next_at"] == OPENING + timedelta(days=1, hours=10)
    assert tick(office, OPENING + timedelta(hours=10)) == []


def test_the_same_timing_again_changes_nothing(office: Office) -> None:
    before = office.rows(tables.schedules)
    office.later(hours=1)
    schedules.set_timing(
        office.store, DAILY, {"opens": "02:00", "days": ["mon", *row(office)["timing"]["days"]]}, TUESDAY
    )
    schedules.set_timing(office.store, "health", {"every": 60}, office.now)
    assert office.rows(tables.schedules) == before


def test_another_interval_counts_at_once(office: Office) -> None:
    end(office, tick(office, job="health")[0])
    schedules.set_timing(office.store, "health", {"every": 3600}, office.now)
    office.later(minutes=30)
    assert tick(office, job="health") == []
    office.later(minutes=30)
    assert [run["slot"] for run in tick(office, job="health")] == ["2027-03-09T06:00:00Z"]


@pytest.mark.parametrize(
    ("name", "changes", "told"),
    [
        (DAILY, {}, "Say what shall change"),
        (DAILY, {"every": 60}, "daily:spring has no every: it starts daily 02:00-06:00 Europe/Berlin."),
        (DAILY, {"until": "nuture"}, "'nuture' is no stage, did you mean 'nurture'?"),
        (DAILY, {"until": ""}, "'' is no stage."),
        (DAILY, {"zone": "Berlin"}, "did you mean 'Europe/Berlin'?"),
        (DAILY, {"from": "2020-01-01T00:00:00Z"}, "has no from"),
        ("health", {"opens": "02:00", "days": ["mon"]}, "health has no days, opens: it starts every minute."),
        ("send:spring", {"until": "send"}, "send:spring has no until"),
        ("send:spring", {"every": 0}, "greater than or equal to 1"),
    ],
)
def test_a_change_that_does_not_fit_is_refused_and_nothing_changes(
    office: Office, name: str, changes: dict[str, Any], told: str
) -> None:
    before = office.rows(tables.schedules)
    with pytest.raises(InvalidInput) as refused:
        schedules.set_timing(office.store, name, changes, office.now)
    assert told in refused.value.message
    assert refused.value.hint
    assert office.rows(tables.schedules) == before


NEW_YORK, AUCKLAND = "America/New_York", "Pacific/Auckland"


def test_a_campaign_that_moves_to_another_zone_takes_its_schedules_along(either: Office) -> None:
    schedules.add(either.store, "noon", "daily", "spring", {"opens": "12:00", "closes": "13:00"}, either.now)
    schedules.add(either.store, "there", "daily", "spring", {"zone": AUCKLAND}, either.now)
    either.apply(name="autumn")
    either.apply(timezone=NEW_YORK)
    assert {name: row(either, name)["zone"] for name in (DAILY, "noon", "there", "daily:autumn", "send:spring")} == {
        DAILY: NEW_YORK,
        "noon": NEW_YORK,
        "there": AUCKLAND,
        "daily:autumn": "Europe/Berlin",
        "send:spring": "UTC",
    }
    (run,) = [run for run in tick(either, OPENING + timedelta(hours=6)) if run["schedule"] == DAILY]
    assert (run["slot"], run["late"]) == ("2027-03-10", 0)


def test_a_version_that_stays_in_its_zone_leaves_its_schedules_alone(office: Office) -> None:
    schedules.set_timing(office.store, DAILY, {"zone": NEW_YORK}, office.now)
    before = office.rows(tables.schedules)
    office.later(hours=1)
    office.apply(rules=[])
    assert office.rows(tables.schedules) == before


@pytest.mark.parametrize("zone", [NEW_YORK, AUCKLAND])
def test_a_night_that_has_run_does_not_run_again_when_its_campaign_moves(office: Office, zone: str) -> None:
    end(office, tick(office, OPENING)[0])
    office.now = OPENING + timedelta(hours=18)  # in Auckland the next night has just passed
    office.apply(timezone=zone)
    assert tick(office) == []
    following = row(office)["next_at"]
    assert office.now < following <= office.now + timedelta(days=1)
    (run,) = tick(office, following)
    assert (run["slot"] > "2027-03-10", run["late"]) == (True, 0)


@pytest.mark.parametrize(("zone", "hours", "late"), [(NEW_YORK, 7, 0), (AUCKLAND, 5, 1)])
def test_a_night_that_waits_for_its_run_is_made_up_for_when_its_campaign_moves(
    either: Office, zone: str, hours: int, late: int
) -> None:
    (first,) = tick(either, OPENING)
    either.now = OPENING + timedelta(days=1, hours=5)
    assert row(either)["due"] == "2027-03-11"
    either.apply(timezone=zone)
    end(either, first)
    (second,) = tick(either, OPENING + timedelta(days=1, hours=hours))
    assert (second["slot"], second["late"]) == ("2027-03-11", late)


def test_a_schedule_that_does_not_exist_is_named_with_the_likely_right_one(office: Office) -> None:
    for act in (schedules.pause, schedules.resume, schedules.run_now):
        with pytest.raises(NotFound, match="no schedule 'dayly:spring', did you mean 'daily:spring'"):
            act(office.store, "dayly:spring", office.now)


def test_a_clock_that_ran_ahead_blocks_a_schedule_until_it_is_resumed(office: Office) -> None:
    (run,) = tick(office, datetime(2099, 1, 1, 3, tzinfo=UTC))
    end(office, run)
    assert tick(office, OPENING) == []
    assert row(office)["next_at"] is None
    schedules.resume(office.store, DAILY, office.now)
    assert [run["slot"] for run in tick(office)] == ["2027-03-10"]


def test_nights_before_the_first_worker_were_not_missed_and_those_after_it_were(either: Office) -> None:
    late = OPENING + timedelta(hours=8)
    schedules.begin(either.store, late)
    assert tick(either, late) == []
    (run,) = tick(either, OPENING + timedelta(days=1))
    end(either, run)
    schedules.begin(either.store, late + timedelta(days=2))
    (run,) = tick(either, late + timedelta(days=2))
    assert run["late"]


def test_intervals_go_on_by_themselves_after_a_clock_that_ran_ahead(either: Office) -> None:
    (run,) = tick(either, datetime(2099, 1, 1, 3, tzinfo=UTC), job="health")
    end(either, run)
    (run,) = tick(either, OPENING, job="health")
    end(either, run)
    assert tick(either, OPENING + timedelta(seconds=30), job="health") == []
    assert len(tick(either, OPENING + timedelta(seconds=60), job="health")) == 1


def test_a_slot_that_a_clock_set_back_shows_again_keeps_its_one_run(either: Office) -> None:
    for day in range(3):
        end(either, tick(either, OPENING + timedelta(days=day))[0])
    either.now = OPENING
    schedules.resume(either.store, DAILY, either.now)
    assert row(either)["last_slot"] is None
    assert tick(either) == tick(either, OPENING + timedelta(days=1)) == []
    slots = [run["slot"] for run in either.rows(tables.runs) if run["job"] == "daily"]
    assert slots == ["2027-03-10", "2027-03-11", "2027-03-12"]


def test_a_person_starts_one_run_besides_the_schedules_own(either: Office) -> None:
    run = schedules.run_now(either.store, DAILY, either.now)
    wanted = {"slot": None, "state": "queued", "until": "nurture", "schedule": DAILY, "stop_at": OPENING, "late": 0}
    assert wanted.items() <= run.items()
    with pytest.raises(Refused, match=f"daily:spring is queued already, as run {run['id']}"):
        schedules.run_now(either.store, DAILY, either.now)
    assert tick(either, OPENING) == []
    end(either, run)
    assert [run["slot"] for run in tick(either)] == ["2027-03-10"]


def test_a_run_of_an_interval_that_a_person_starts_has_no_end(office: Office) -> None:
    schedules.pause(office.store, "health", office.now)
    assert schedules.run_now(office.store, "health", office.now)["stop_at"] is None


def test_a_person_starts_no_run_of_a_campaign_that_is_not_active(office: Office) -> None:
    campaigns.pause(office.store, "spring", office.now)
    with pytest.raises(Refused, match="campaign 'spring' is not active but paused") as refused:
        schedules.run_now(office.store, DAILY, office.now)
    assert refused.value.hint == "touchline campaign start spring"
    assert "daily" not in [run["job"] for run in office.rows(tables.runs)]


def test_stages_run_at_times_of_their_own(either: Office) -> None:
    """Files at noon without judging them, judging in the evening without a look at files."""
    store, now = either.store, either.now
    at_noon = {"opens": "12:00", "closes": "13:00", "until": "harvest"}
    schedules.add(store, "noon", "daily", "spring", at_noon, now)
    evening = {"opens": "18:00", "closes": "19:00", "first": "score"}
    shown = schedules.add(store, "evening", "daily", "spring", evening, now, priority=3)
    assert shown["when"] == "daily 18:00-19:00 Europe/Berlin, from score"
    [first] = [run for run in tick(either, datetime(2027, 3, 9, 11, 30, tzinfo=UTC)) if run["schedule"] == "noon"]
    assert (first["first"], first["until"], first["priority"]) == (None, "harvest", 10)
    # The same work is under way, so the other waits for it.
    assert tick(either, datetime(2027, 3, 9, 17, 30, tzinfo=UTC)) == []
    end(either, first)
    [second] = tick(either)
    assert (second["schedule"], second["first"], second["until"], second["priority"]) == (
        "evening",
        "score",
        "nurture",
        3,
    )


def test_a_schedule_that_was_added_can_be_removed_and_its_runs_stay(either: Office) -> None:
    schedules.add(either.store, "noon", "daily", "spring", {"opens": "06:00", "closes": "07:00"}, either.now)
    run = schedules.run_now(either.store, "noon", either.now)
    schedules.remove(either.store, "noon")
    assert "noon" not in {row["name"] for row in schedules.listed(either.store, either.now)}
    with either.store.reading() as unit:
        assert unit.runs.get(run["id"])["state"] == "queued"
    for name in (DAILY, "health"):
        with pytest.raises(Refused, match="comes back by itself") as refused:
            schedules.remove(either.store, name)
        assert refused.value.hint == f"Pause it: touchline schedule pause {name}"


@pytest.mark.parametrize(
    ("name", "job", "campaign", "changes", "told"),
    [
        ("noon", "dayly", "spring", {}, "'dayly' is no job, did you mean 'daily'?"),
        ("No on", "daily", "spring", {}, "'No on' is no name for a schedule."),
        ("noon", "daily", None, {}, "daily belongs to a campaign."),
        ("noon", "health", "spring", {}, "health belongs to no campaign."),
        ("noon", "daily", "sprng", {}, "sprng"),
        (DAILY, "daily", "spring", {}, "'daily:spring' is a name that a schedule of every campaign has"),
        ("health", "health", None, {}, "'health' is a name that"),
        ("noon", "daily", "spring", {"first": "send", "until": "score"}, "cannot begin with send and end with score"),
        ("noon", "daily", "spring", {"first": "send"}, "cannot begin with send and end with nurture"),
        ("noon", "send", "spring", {"first": "score"}, "has no first"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused_and_nothing_is_added(
    office: Office, name: str, job: str, campaign: str | None, changes: dict[str, Any], told: str
) -> None:
    before = office.rows(tables.schedules)
    with pytest.raises(TouchlineError) as refused:
        schedules.add(office.store, name, job, campaign, changes, office.now)
    assert told in refused.value.message
    assert refused.value.hint
    assert office.rows(tables.schedules) == before


def test_a_priority_is_from_one_to_a_hundred(office: Office) -> None:
    assert schedules.set_timing(office.store, DAILY, {}, office.now, priority=1)["priority"] == 1
    for wrong in (0, 101):
        with pytest.raises(InvalidInput, match="is no priority"):
            schedules.set_timing(office.store, DAILY, {}, office.now, priority=wrong)
