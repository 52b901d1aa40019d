"""Today: every count, day and item of the checklist as the store has it, and none that costs what the store is large."""

from datetime import UTC, date, datetime, timedelta

import pytest
from office import ANN, HELLO, MARA, TUESDAY, WEDNESDAY, Office

from touchline.adapters.store import tables
from touchline.app import campaigns, outbox, schedules
from touchline.app.desk import Count, Today, mailbox_checked, today
from touchline.app.leads import replied
from touchline.app.mailboxes import mailbox_use
from touchline.model.errors import NotFound
from touchline.sim.smtp_server import Fault


def look(office: Office, **settings: object) -> Today:
    return today(office.store, office.now, **settings)  # type: ignore[arg-type]


def done(office: Office, **settings: object) -> list[str]:
    return [item.key for item in look(office, **settings).checklist if item.done]


def test_a_new_installation_has_only_its_database(either: Office) -> None:
    found = look(either)
    assert done(either) == ["database"]
    assert not found.is_set_up
    assert all(item.href and item.action and item.text for item in found.checklist)
    assert (found.schedules, found.failures, found.mailboxes, found.alerts) == ([], [], [], [])
    assert (found.approvals.waiting, found.approvals.oldest, found.uncertain) == (Count(0), None, Count(0))
    assert [(day.sent, day.replied, day.bounced) for day in found.days] == [(0, 0, 0)] * 7


def test_the_checklist_is_done_step_by_step(either: Office) -> None:
    either.apply(mode="review")
    assert done(either) == ["database", "campaign"]
    either.load(either.people(1), until="nurture")
    assert done(either) == ["database", "campaign", "leads"]
    either.now = WEDNESDAY
    ids = [row["id"] for row in either.touches()]
    outbox.approve(either.store, ids, by="mo", opt_out=either.opt_out, now=either.now)
    assert done(either) == ["database", "campaign", "leads", "message"]
    assert either.send()["sent"] == 1
    assert done(either) == ["database", "campaign", "leads", "mailbox", "message"]
    person = {"email": "mo@x.example", "name": "Mo", "role": "owner", "state": "active", "password": "x"}
    with either.store.transaction() as unit:
        times = {"created_at": either.now, "updated_at": either.now}
        unit.connection.execute(tables.users.insert().values(**person, **times))
    assert look(either, public_url="https://x.example", alerts=True).is_set_up


def test_a_mailbox_that_was_tried_by_hand_works_until_it_fails(office: Office) -> None:
    office.apply()
    assert done(office) == ["database", "campaign", "message"]
    mailbox_checked(office.store, MARA, office.now)
    assert "mailbox" in done(office)
    with office.store.transaction() as unit:
        unit.mailboxes.failing(MARA, "refused", office.now + timedelta(hours=1), office.now)
    assert "mailbox" not in done(office)


def test_schedules_show_their_last_run_the_open_one_and_the_next(either: Office) -> None:
    either.apply()
    schedules.ensure(either.store, either.now)
    either.now = datetime(2027, 3, 10, 1, 5, tzinfo=UTC)
    opened = {run["schedule"]: run for run in schedules.start_due(either.store, either.now)}
    daily = {row["name"]: row for row in look(either).schedules}["daily:spring"]
    assert (daily["open"]["id"], daily["last"]) == (opened["daily:spring"]["id"], None)
    with either.store.transaction() as unit:
        unit.runs.set(daily["open"]["id"], state="done", finished_at=either.now)
    daily = {row["name"]: row for row in look(either).schedules}["daily:spring"]
    assert (daily["open"], daily["last"]["state"]) == (None, "done")
    assert daily["next_at"] == datetime(2027, 3, 11, 1, tzinfo=UTC)


def fail(office: Office, job: str = "daily", error: str | None = "the file is gone", **values: object) -> int:
    with office.store.transaction() as unit:
        ended = {"state": "failed", "finished_at": office.now, "error": error, "campaign_id": office.stored().id}
        key = unit.runs.open(job, office.now, **ended | values)
    assert key is not None
    return key


def test_a_failure_is_shown_with_what_to_do_until_a_later_run_succeeds(either: Office) -> None:
    either.apply()
    fail(either)
    either.later(hours=1)
    key = fail(either, job="run", error=None)
    [failure] = look(either).failures
    assert (failure.run["id"], failure.times, failure.href) == (key, 2, f"/runs/{key}")
    assert (failure.error, failure.run["campaign"]) == ("no error was written down", "spring")
    assert failure.hint
    either.later(hours=1)
    fail(either, job="send", state="done", error=None)
    assert len(look(either).failures) == 1
    fail(either, job="daily", state="done", error=None)
    assert look(either).failures == []


def test_a_job_without_a_campaign_fails_and_is_mended_too(office: Office) -> None:
    office.apply()
    fail(office, job="retention", campaign_id=None)
    assert [failure.run["job"] for failure in look(office).failures] == ["retention"]
    office.later(minutes=1)
    fail(office, job="retention", campaign_id=None, state="done")
    assert look(office).failures == []
    fail(office)
    office.later(days=8)
    assert look(office).failures == []


def test_drafts_and_what_is_uncertain_are_counted(either: Office) -> None:
    either.apply(mode="review")
    either.load(either.people(3), until="nurture")
    found = look(either)
    assert (found.approvals.waiting, found.approvals.oldest) == (Count(3), TUESDAY)
    either.now = WEDNESDAY
    ids = [either.touch()["id"]]
    outbox.approve(either.store, ids, by="mo", opt_out=either.opt_out, now=either.now)
    either.smtp.script(Fault("dot", "drop", matches=ANN))
    assert either.send()["uncertain"] == 1
    found = look(either)
    assert (found.approvals.waiting, found.uncertain) == (Count(2), Count(1))


def test_counts_stop_and_say_so() -> None:
    assert str(Count.upto(10_001)) == "10,000+"
    assert str(Count.upto(10_000)) == "10,000"
    assert Count(1)
    assert not Count(0)


def test_days_are_the_viewers_and_end_today(either: Office) -> None:
    either.enrol(2)
    either.now = WEDNESDAY
    either.smtp.script(Fault("rcpt", "5xx", matches="ann1"))
    assert either.send() == {"sent": 1, "failed": 1}
    replied(either.store, ANN, either.now)
    last = look(either).days[-1]
    assert (last.day, last.sent, last.replied, last.bounced) == (date(2027, 3, 10), 1, 1, 1)
    # 11:00 UTC is the next day in Apia, and the day before that there it was not.
    assert look(either, zone="Pacific/Apia").days[-1].day == date(2027, 3, 11)
    either.later(days=6)
    assert (look(either).days[0].day, look(either).days[0].sent) == (date(2027, 3, 10), 1)
    either.later(days=1)
    assert sum(day.sent for day in look(either).days) == 0


def test_mailboxes_that_cannot_send_stand_out(either: Office) -> None:
    either.enrol(2, mailboxes=[either.mailbox(daily_cap=1)])
    either.now = WEDNESDAY
    assert look(either).mailboxes == []
    either.send()
    [mailbox] = look(either).mailboxes
    assert (mailbox.used, mailbox.cap, mailbox.free) == (1, 1, 0)
    assert mailbox.frees_at == either.now + timedelta(hours=24)
    assert mailbox.last_sent == either.now
    with pytest.raises(NotFound, match="no campaign 'none'"):
        mailbox_use(either.store, "none", either.now)


def test_a_mailbox_of_two_campaigns_has_the_larger_cap_and_for_one_its_own(office: Office) -> None:
    office.apply(mailboxes=[office.mailbox(daily_cap=5)])
    office.apply(name="autumn", mailboxes=[office.mailbox(daily_cap=9), office.mailbox("b@quillmast.example")])
    found = mailbox_use(office.store, None, office.now)
    assert [(one.address, one.cap, one.campaigns) for one in found] == [
        ("b@quillmast.example", 1000, ["autumn"]),
        (MARA, 9, ["autumn", "spring"]),
    ]
    with office.store.transaction() as unit:
        unit.mailboxes.failing(MARA, "refused", office.now + timedelta(hours=1), office.now)
    [mine] = mailbox_use(office.store, "spring", office.now)
    assert (mine.cap, mine.state, mine.error, mine.needs_a_look) == (5, "error", "refused", True)
    assert mine.retry_at == office.now + timedelta(hours=1)
    office.later(hours=2)
    assert mailbox_use(office.store, "spring", office.now)[0].retry_at is None


def test_the_stop_and_open_alerts_are_on_the_first_page(office: Office) -> None:
    campaigns.stop_all(office.store, "a complaint", office.now)
    alert = {"level": "failed", "state": "open", "message": "m", "hint": "h", "opened_at": office.now}
    with office.store.transaction() as unit:
        unit.alerts.put("k", alert | {"seen_at": office.now})
        unit.alerts.put("over", alert | {"seen_at": office.now, "state": "closed"})
    found = look(office)
    assert found.stopped == "a complaint"
    assert [row["key"] for row in found.alerts] == ["k"]


def test_a_first_message_may_leave_once_something_is_planned(office: Office) -> None:
    office.apply(mode="review", sequences={"short": {"steps": [HELLO]}})
    assert "message" not in done(office)
    office.apply(name="autumn")
    assert "message" in done(office)
