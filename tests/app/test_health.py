"""Health: every trouble has a level, a reason and a command; what is in order says so."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from office import ANN, MARA, TUESDAY, WEDNESDAY, Office

from touchline.app import runs, schedules
from touchline.app.doctor import LOW_DISK, NO_DISK
from touchline.app.health import IN_A_ROW, LATE, LEVELS, RETRIED, SILENT, Finding, Health, Signs, health, judge
from touchline.app.work import TRIES
from touchline.sim.smtp_server import Fault

NOON = datetime.fromisoformat("2027-03-09T12:00:00+00:00")
DAILY = {"opens": "02:00", "closes": "06:00", "zone": "UTC"}


def schedule(**values: Any) -> dict[str, Any]:
    """A daily schedule that has started today's slot."""
    made = NOON - timedelta(days=40)
    row = {
        "id": 1,
        "name": "daily:spring",
        "job": "daily",
        "campaign_id": 1,
        "timing": DAILY,
        "last_slot": "2027-03-09",
    }
    return row | {"created_at": made, "since": NOON - timedelta(hours=10)} | values


def run(number: int, state: str = "done", **values: Any) -> dict[str, Any]:
    row = {"id": number, "job": "daily", "schedule_id": 1, "schedule": "daily:spring", "state": state, "late": 0}
    return row | {"error": None, "queued_at": NOON - timedelta(hours=10), "started_at": NOON} | values


def alive(silent: timedelta = timedelta(0)) -> list[dict[str, Any]]:
    return [{"name": "a", "queues": "batch,send,health", "beat_at": NOON - silent}]


def judged(*, schedules: list[dict[str, Any]] | None = None, states: str = "", **signs: Any) -> Health:
    """What is found where the newest runs ended so: d for done, f for failed, u for unfinished; the newest first."""
    words = {"d": "done", "f": "failed", "u": "unfinished"}
    ended = [run(100 - n, words[state], error="boom" if state == "f" else None) for n, state in enumerate(states)]
    given = {"schedules": [schedule()] if schedules is None else schedules, "ended": {1: ended}, "workers": alive()}
    return judge(Signs(**given | signs), NOON)


def only(found: Health) -> Finding:
    assert len(found.findings) == 1, found.findings
    return found.findings[0]


def test_an_installation_with_nothing_in_it_is_healthy() -> None:
    assert judge(Signs(), NOON).level == "healthy"


def test_where_all_is_well_everything_looked_at_is_named() -> None:
    found = judged(states="dddddddddd")
    assert (found.level, found.findings) == ("healthy", ())
    assert set(found.scopes) == {"daily:spring", "workers", "mailboxes", "touches", "suppression", "disk"}


@pytest.mark.parametrize(
    ("states", "level"),
    [
        ("d", "healthy"),
        ("f", "degraded"),
        ("fd", "degraded"),
        ("fdddddddddd", "degraded"),
        ("df", "healthy"),  # half of them succeed
        ("dfffffdddd", "healthy"),
        ("dffffffddd", "degraded"),
        ("ffddd", "degraded"),
        ("dffdd", "healthy"),
        ("ufddd", "healthy"),
        ("fff", "failed"),
        ("fffddddddd", "failed"),
        ("uuuuuuuuuu", "healthy"),  # the window closed, and the next run goes on
        ("ufff", "degraded"),
    ],
)
def test_a_night_that_failed_and_fewer_than_half_of_the_last_runs_are_degraded_and_three_failures_in_a_row_are_failed(
    states: str, level: str
) -> None:
    found = judged(states=states)
    assert found.scopes["daily:spring"] == level
    if level != "healthy":
        assert "boom" in only(found).reason
        assert only(found).hint == f"touchline runs show {100 - states.index('f')}"


@pytest.mark.parametrize(("states", "level"), [("f", "degraded"), ("fd", "healthy"), ("ffd", "degraded")])
def test_one_failure_of_an_interval_is_left_to_its_next_run(states: str, level: str) -> None:
    every = schedule(job="send", timing={"every": 60}, last_slot="2027-03-09T12:00:00Z", since=NOON)
    assert judged(schedules=[every], states=states).level == level


def test_how_many_runs_succeeded_is_told_where_there_are_several() -> None:
    assert only(judged(states="f")).reason == "its last run failed: boom"
    assert only(judged(states="fd")).reason == "its last run failed: boom"
    assert only(judged(states="ffd")).reason == "1 of the last 3 runs succeeded; the last failure: boom"


def test_an_alert_carries_no_address_out_of_an_error() -> None:
    said = "550 no such user <bob.secret@firm.example>: go away\nTraceback with mara@firm.example"
    found = judge(Signs([schedule()], {1: [run(1, "failed", error=said)]}, workers=alive()), NOON)
    assert "(address)" in only(found).reason
    assert "@" not in only(found).reason


def failed_with(error: str) -> str:
    return only(judged(ended={1: [run(1, "failed", error=error)]})).reason.removeprefix("its last run failed: ")


def test_an_alert_carries_no_value_out_of_an_error_that_is_not_ours() -> None:
    said = failed_with("1 batch set aside, the last: ValueError: could not read 'Jane Doe-Smith' as \"a number\"")
    assert said == "1 batch set aside, the last: ValueError: could not read (value) as (value)"
    assert failed_with("'Titel' and 'City' of a.csv cannot both be the city.").startswith("'Titel' and 'City'")
    assert (
        failed_with("No column says who a lead is.\nIn its first line it has: 'Jane'")
        == "No column says who a lead is."
    )


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("so " * 66 + "it", "so " * 66 + "it"),
        ("so " * 66 + "whole", "so " * 65 + "so…"),
        ("x" * 300, "x" * 199 + "…"),
        ("a " + "x" * 300, "a " + "x" * 197 + "…"),
    ],
)
def test_a_long_error_is_cut_behind_a_word(error: str, said: str) -> None:
    assert failed_with(error) == said
    assert len(failed_with(error)) <= 200


def test_one_is_told_in_the_singular() -> None:
    assert only(judged(workers=[])).reason == "1 schedule is active and no worker is there"
    breach = only(judged(breaches=[(7, NOON.isoformat())]))
    assert breach.reason == "1 message left within a day to recipients who were suppressed: 7"


def test_a_run_that_began_after_its_window_is_late_until_the_next_one() -> None:
    late, on_time = run(5, late=1), run(6, queued_at=NOON)
    assert only(judged(ended={1: [late]})).reason == "its last run began after its window"
    assert judged(ended={1: [on_time, late]}).level == "healthy"
    assert judged(ended={1: [late]}, unfinished=[run(6, "running", queued_at=NOON)]).level == "healthy"
    assert judged(ended={1: [on_time]}, unfinished=[run(7, "running", late=1, queued_at=NOON)]).level == "degraded"


@pytest.mark.parametrize(
    ("waited", "level"),
    [(timedelta(minutes=9), "healthy"), (timedelta(minutes=11), "degraded"), (timedelta(hours=10), "degraded")],
)
def test_an_opening_that_nobody_looked_at_is_late_after_ten_minutes(waited: timedelta, level: str) -> None:
    opened = f"{NOON - waited:%H:%M}"
    timing = DAILY | {"opens": opened, "closes": "23:59"}
    row = schedule(timing=timing, last_slot="2027-03-08", since=NOON - timedelta(hours=23))
    found = judged(schedules=[row])
    assert found.scopes["daily:spring"] == level
    if level != "healthy":
        assert f"since it opened at 2027-03-09 {opened} UTC" in only(found).reason


def test_a_daily_run_that_is_missed_by_more_than_a_day_is_a_failure_though_a_worker_is_there() -> None:
    row = schedule(last_slot="2027-03-05", since=NOON - timedelta(days=4))
    found = judged(schedules=[row])
    assert only(found).level == "failed"
    assert "2027-03-06 02:00" in only(found).reason


def test_a_schedule_that_was_made_or_changed_a_moment_ago_is_not_late() -> None:
    timing = DAILY | {"opens": "11:00", "closes": "13:00"}
    new = schedule(timing=timing, last_slot=None, created_at=NOON, since=NOON)
    assert judged(schedules=[new]).level == "healthy"


def test_an_interval_that_nobody_looked_at_is_late() -> None:
    row = schedule(
        job="send", timing={"every": 60}, last_slot="2027-03-09T11:40:00Z", since=NOON - timedelta(minutes=20)
    )
    assert only(judged(schedules=[row])).level == "degraded"
    assert judged(schedules=[row | {"last_slot": "2027-03-09T12:00:00Z", "since": NOON}]).level == "healthy"


@pytest.mark.parametrize(
    ("timing", "last_slot", "until"),
    [
        (DAILY, "2027-04-01", "2027-04-02 02:00"),
        (DAILY | {"zone": "Asia/Tokyo", "days": ["mon"]}, "2027-04-01", "2027-04-04 17:00"),
        ({"every": 60}, "2027-04-01T10:00:00Z", "2027-04-01 10:01"),
    ],
)
def test_a_schedule_that_a_clock_which_was_ahead_has_left_in_the_future_has_failed(
    timing: dict[str, Any], last_slot: str, until: str
) -> None:
    row = schedule(timing=timing, last_slot=last_slot, job="send" if "every" in timing else "daily")
    told = only(judged(schedules=[row]))
    assert (told.key, told.level) == ("daily:spring: time", "failed")
    assert told.reason.startswith(f"stands still until {until} UTC because its last slot lies in the future")
    assert told.hint == "touchline schedule resume daily:spring"


def test_a_slot_that_is_next_is_not_in_the_future() -> None:
    assert judged(schedules=[schedule(last_slot="2027-03-10")]).level == "healthy"


def test_an_opening_that_waits_for_the_run_before_says_so() -> None:
    row = schedule(last_slot="2027-03-08", since=NOON - timedelta(hours=30))
    reason = only(judged(schedules=[row], unfinished=[run(8, "running")])).reason
    assert reason.endswith("run 8 from before is still running")


def test_a_run_that_waits_for_a_worker_for_more_than_ten_minutes_ages() -> None:
    old = run(8, "queued", queued_at=NOON - LATE - timedelta(seconds=1))
    younger = run(9, "queued", queued_at=NOON - LATE)
    by_hand = run(10, "queued", schedule=None, schedule_id=None, job="retention", queued_at=NOON - timedelta(hours=1))
    assert judged(unfinished=[younger]).level == "healthy"
    found = judged(unfinished=[old, younger, by_hand])
    assert {one.key: one.level for one in found.findings} == {
        "daily:spring: queue": "degraded",
        "retention: queue": "degraded",
    }
    assert found.scopes["retention"] == "degraded"
    assert found.findings[0].reason.startswith("run 8 waits for a worker of the queue batch since")
    assert found.findings[0].hint.endswith("touchline worker --queues batch")


def aside(number: int, stage: str = "harvest", **values: Any) -> dict[str, Any]:
    """A batch that was set aside."""
    given = {"run_id": number, "stage": stage, "place": {"import": 1, "rows": 40}, "counts": {"rejected": 40}}
    return given | {"error": "odd", "job": "daily", "schedule": "daily:spring"} | values


def test_a_batch_that_was_set_aside_is_told_for_each_run_with_its_rows_and_the_command() -> None:
    found = judged(states="d", aside=[aside(12), aside(11), aside(11, place={"rows": 1_200})])
    assert found.scopes["daily:spring"] == "degraded"
    assert {one.key: (one.reason, one.hint) for one in found.findings} == {
        "daily:spring: run 12": (
            "1 batch of run 12 (40 rows) was set aside and waits: odd",
            "touchline runs retry 12, or runs dismiss 12",
        ),
        "daily:spring: run 11": (
            "2 batches of run 11 (1,240 rows) were set aside and wait: odd",
            "touchline runs retry 11, or runs dismiss 11",
        ),
    }
    by_hand = only(judged(aside=[aside(3, "change", schedule=None, job="change", place={}, counts={"set_aside": 1})]))
    assert (by_hand.scope, by_hand.reason) == ("change", "1 batch of run 3 (1 row) was set aside and waits: odd")


def test_leads_that_were_passed_over_are_told_until_a_later_run_has_judged_them() -> None:
    passed = aside(100, "judge", place={"after": 0, "prospects": 7})
    assert "(7 rows)" in only(judged(states="d", aside=[passed])).reason
    assert judged(ended={1: [run(101), run(100)]}, aside=[passed]).level == "healthy"


def test_active_schedules_without_a_worker_that_was_heard_of_within_a_minute_are_a_failure() -> None:
    assert judged(workers=alive(SILENT)).level == "healthy"
    assert judged(workers=[*alive(timedelta(hours=1)), *alive()]).level == "healthy"
    gone = only(judged(workers=alive(SILENT + timedelta(seconds=1))))
    assert (gone.scope, gone.level, gone.hint) == ("workers", "failed", "touchline serve")
    assert "heard of at 2027-03-09 11:58" in gone.reason
    assert only(judged(workers=[])).level == "failed"
    assert judged(workers=[], schedules=[]).level == "healthy"


def test_a_queue_of_an_active_schedule_to_which_no_worker_listens_is_a_failure() -> None:
    sends = schedule(
        id=2, name="send:spring", job="send", timing={"every": 60}, last_slot="2027-03-09T12:00:00Z", since=NOON
    )
    sender, gone = alive()[0] | {"queues": "send"}, alive(timedelta(hours=1))[0]
    told = only(judged(schedules=[schedule(), sends], workers=[sender, gone]))
    assert (told.key, told.scope, told.level) == ("workers: batch", "workers", "failed")
    assert "queue batch" in told.reason
    assert told.hint == "touchline worker --queues batch"
    assert judged(schedules=[sends], workers=[sender]).level == "healthy"
    assert judged(schedules=[schedule(), sends], workers=[sender, alive()[0] | {"queues": "batch"}]).level == "healthy"
    assert only(judged(schedules=[schedule(), sends], workers=[gone])).key == "workers: alive"


def test_what_is_wrong_outside_of_schedules_has_scopes_of_its_own() -> None:
    failing = [{"address": MARA, "error": "login failed", "retry_at": NOON}]
    breaches = [(n, NOON.isoformat()) for n in range(1, 8)]
    found = judged(failing=failing, uncertain=3, breaches=breaches, free_bytes=LOW_DISK - 1)
    assert {one.scope: one.level for one in found.findings} == {
        "mailboxes": "degraded",
        "touches": "degraded",
        "suppression": "failed",
        "disk": "degraded",
    }
    assert found.level == "failed"
    assert [one.level for one in found.findings] == sorted((o.level for o in found.findings), key=LEVELS.index)[::-1]
    assert "1, 2, 3, 4, 5" in next(one.reason for one in found.findings if one.scope == "suppression")


def test_a_full_disk_is_a_failure_and_enough_of_it_is_not_told() -> None:
    assert only(judged(free_bytes=NO_DISK - 1)).level == "failed"
    assert judged(free_bytes=LOW_DISK).level == "healthy"


@given(
    st.text("dfu", max_size=10),
    st.integers(0, 5),
    st.lists(st.integers(0, 3600), max_size=3),
    st.integers(0, 2 * LOW_DISK),
)
def test_the_whole_is_as_bad_as_its_worst_part_and_every_finding_says_why_and_what_to_do(
    states: str, uncertain: int, silences: list[int], free: int
) -> None:
    workers = [
        {"name": str(n), "queues": "batch", "beat_at": NOON - timedelta(seconds=s)} for n, s in enumerate(silences)
    ]
    found = judged(states=states, uncertain=uncertain, workers=workers, free_bytes=free)
    assert found.level == max((one.level for one in found.findings), key=LEVELS.index, default="healthy")
    assert all(one.reason and one.hint and one.scope in found.scopes for one in found.findings)
    assert len({one.key for one in found.findings}) == len(found.findings)
    assert (states[:IN_A_ROW] == "f" * IN_A_ROW) == (found.scopes["daily:spring"] == "failed")


# by the store


def worker(office: Office, name: str = "one") -> None:
    with office.store.transaction() as unit:
        unit.workers.beat(name, "here", 1, ["batch", "send", "health"], office.now)


def went(office: Office, key: int, state: str, error: str | None = None) -> None:
    with office.store.transaction() as unit:
        unit.runs.set(key, state=state, started_at=office.now, finished_at=office.now, error=error)


def boom() -> None:
    raise ValueError("odd")


def unfinished(office: Office) -> list[int]:
    with office.store.reading() as unit:
        return [row["id"] for row in unit.runs.unfinished()]


def begin(office: Office) -> None:
    """A campaign with its schedules, and a worker."""
    office.apply()
    schedules.ensure(office.store, office.now)
    worker(office)


@pytest.mark.parametrize("changes", [{}, {"mailboxes": []}], ids=["active", "draft"])
def test_a_campaign_without_any_worker_has_failed_from_the_moment_it_is_applied(
    either: Office, changes: dict[str, object]
) -> None:
    assert health(either.store, either.now).level == "healthy"
    either.apply(**changes)
    found = health(either.store, either.now)
    assert [(finding.key, finding.level) for finding in found.findings] == [("workers: alive", "failed")]
    assert "no worker is there" in found.findings[0].reason


def test_failing_days_become_failed_and_a_retry_by_hand_that_succeeds_makes_it_healthy_again(either: Office) -> None:
    opened = TUESDAY - timedelta(hours=3)
    either.now = opened
    begin(either)
    for day in range(4):
        either.now = opened + timedelta(days=day)
        worker(either)
        for row in schedules.start_due(either.store, either.now):
            went(either, row["id"], "failed" if row["job"] == "daily" else "done", "disk full")
        level = health(either.store, either.now).scopes["daily:spring"]
        assert level == ("failed" if day >= 2 else "degraded")
    for _ in range(4):
        either.later(minutes=1)
        with either.store.transaction() as unit:
            key = unit.runs.open("daily", either.now, campaign_id=either.stored().id)
        assert key is not None
        went(either, key, "done")
    assert health(either.store, either.now).scopes["daily:spring"] == "healthy"


def test_rows_that_were_set_aside_are_told_until_a_retry_takes_them_up(either: Office) -> None:
    either.now = TUESDAY - timedelta(hours=3)
    begin(either)
    for row in schedules.start_due(either.store, either.now):
        if row["job"] != "daily":
            went(either, row["id"], "done")
    (key,) = unfinished(either)
    for nth in range(2, 2 + TRIES):
        either.points.at("import-before-commit", boom, nth)
    work = either.worker("one", [either.people(130)])
    assert health(either.store, either.now).level == "healthy"
    while work.advance(key).more:
        pass
    worker(either)
    told = only(health(either.store, either.now))
    assert (told.scope, told.level, told.hint) == (
        "daily:spring",
        "degraded",
        f"touchline runs retry {key}, or runs dismiss {key}",
    )
    assert told.reason.startswith(f"1 batch of run {key} (40 rows) was set aside and waits: ")
    runs.retry(either.outside, key)
    assert health(either.store, either.now).level == "healthy"


def test_a_run_of_another_campaign_or_one_that_a_person_cancelled_mends_nothing(either: Office) -> None:
    either.now = TUESDAY - timedelta(hours=3)
    begin(either)
    either.apply(name="autumn")
    schedules.ensure(either.store, either.now)
    for row in schedules.start_due(either.store, either.now):
        went(either, row["id"], "failed" if row["job"] == "daily" else "done")
    either.later(minutes=1)
    with either.store.transaction() as unit:
        autumn = [unit.runs.open("daily", either.now, campaign_id=either.stored("autumn").id) for _ in range(2)]
        cancelled = unit.runs.open("daily", either.now, campaign_id=either.stored().id)
    for key in autumn:
        went(either, key or 0, "done")
    went(either, cancelled or 0, "cancelled")
    found = health(either.store, either.now)
    assert (found.scopes["daily:spring"], found.scopes["daily:autumn"]) == ("degraded", "healthy")


def test_a_paused_schedule_and_one_of_a_paused_campaign_are_not_looked_at(either: Office) -> None:
    begin(either)
    either.now += timedelta(days=3)
    worker(either)
    assert health(either.store, either.now).level == "failed"
    for row in schedules.start_due(either.store, either.now):
        went(either, row["id"], "done")
    names = [row["name"] for row in schedules.listed(either.store, either.now)]
    for name in names:
        schedules.pause(either.store, name, either.now)
    either.now += timedelta(days=3)
    assert not set(names) & set(health(either.store, either.now).scopes)
    for name in names:
        schedules.resume(either.store, name, either.now)
    worker(either)
    with either.store.transaction() as unit:
        unit.campaigns.set(either.stored().id, either.now, state="paused")
    assert "daily:spring" not in health(either.store, either.now).scopes


def test_the_command_that_is_named_mends_a_schedule_that_stands_still(either: Office) -> None:
    begin(either)
    today, either.now = either.now, either.now + timedelta(days=30)
    for row in schedules.start_due(either.store, either.now):
        went(either, row["id"], "done")
    either.now = today
    told = [one for one in health(either.store, today).findings if one.key.endswith(": time")]
    assert "daily:spring" in {one.scope for one in told}
    for one in told:
        schedules.resume(either.store, one.hint.removeprefix("touchline schedule resume "), today)
    assert health(either.store, today).level == "healthy"
    either.now += timedelta(days=1)
    assert "daily:spring" in {row["schedule"] for row in schedules.start_due(either.store, either.now)}


def test_a_campaign_that_starts_again_after_weeks_has_missed_nothing(either: Office) -> None:
    begin(either)
    schedules.start_due(either.store, either.now)
    with either.store.transaction() as unit:
        unit.campaigns.set(either.stored().id, either.now, state="paused")
    either.now += timedelta(days=20)
    schedules.start_due(either.store, either.now)
    with either.store.transaction() as unit:
        unit.campaigns.set(either.stored().id, either.now, state="active")
    worker(either)
    assert health(either.store, either.now).scopes["send:spring"] == "healthy"


def by_hand(office: Office) -> None:
    """Nothing is to start by itself."""
    for row in schedules.listed(office.store, office.now):
        schedules.pause(office.store, row["name"], office.now)


def test_a_mailbox_that_refuses_us_is_told_until_it_works_or_has_nothing_to_send(office: Office) -> None:
    office.enrol(3)
    by_hand(office)
    office.now = WEDNESDAY
    office.smtp.script(Fault("ehlo", "5xx", times=None))
    office.send()
    found = health(office.store, office.now)
    assert only(found).scope == "mailboxes"
    assert MARA in only(found).reason
    rests = office.mailbox_state()["retry_at"] - office.now
    office.now += rests + RETRIED - timedelta(minutes=1)
    assert health(office.store, office.now).level == "degraded"
    office.later(minutes=2)
    assert health(office.store, office.now).level == "healthy"
    office.smtp.script()
    office.send()
    assert health(office.store, office.now).level == "healthy"


def test_a_touch_of_unknown_fate_and_a_breach_are_found_in_the_store(office: Office) -> None:
    office.enrol(1)
    by_hand(office)
    office.now = WEDNESDAY
    office.smtp.script(Fault("dot", "drop"))
    office.send()
    assert only(health(office.store, office.now)).scope == "touches"
    with office.store.transaction() as unit:
        unit.touches.close_deliveries([office.touch(ANN)["id"]], "sent", office.now, frm=("uncertain",))
    assert health(office.store, office.now).level == "degraded"
