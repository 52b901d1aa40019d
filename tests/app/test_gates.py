"""Why nothing is sent: each gate closed alone is the one that is named, sending sends nothing then, and goes on when it opens."""

from datetime import UTC, datetime, timedelta

import pytest
from office import AGAIN, ANN, HELLO, MARA, MONDAY, TUESDAY, WEDNESDAY, Office

from touchline.adapters.store import tables
from touchline.app import campaigns, outbox, schedules
from touchline.app.gates import Gate, gates, why_not
from touchline.model.errors import Misconfigured, NotFound
from touchline.sim.smtp_server import Fault


def closed(office: Office, campaign: str = "spring") -> dict[str, Gate]:
    found = gates(office.store, campaign, office.now, office.opt_out)
    return {gate.name: gate for gate in found if not gate.open}


def held(office: Office, email: str = ANN) -> Gate | None:
    return why_not(office.store, office.prospect(email)["id"], office.now, office.opt_out).held_by


def alive(office: Office) -> None:
    with office.store.transaction() as unit:
        unit.workers.beat("w", "here", 1, ["send"], office.now)


def ready(office: Office, count: int = 1, at: datetime = WEDNESDAY, **changes: object) -> None:
    """Everything is open: a touch is due, its recipient is at work, and a worker is there."""
    office.enrol(count, **changes)
    schedules.ensure(office.store, office.now)
    office.now = at
    alive(office)


def sends(office: Office) -> int:
    try:
        return office.send().get("sent", 0)
    except Misconfigured:
        return 0


def test_where_every_gate_is_open_the_message_leaves(either: Office) -> None:
    ready(either)
    assert closed(either) == {}
    assert held(either) is None
    assert sends(either) == 1


def test_the_stop_switch_is_named_with_its_reason(either: Office) -> None:
    ready(either)
    campaigns.stop_all(either.store, "a complaint", either.now)
    assert list(closed(either)) == ["stop"]
    assert closed(either)["stop"].why == "Everything is stopped: a complaint."
    assert held(either) == closed(either)["stop"]
    assert sends(either) == 0
    campaigns.start_all(either.store)
    assert closed(either) == {}
    assert sends(either) == 1


def test_a_pause_is_named_with_its_reason_until_the_campaign_is_started(either: Office) -> None:
    ready(either)
    campaigns.pause(either.store, "spring", either.now, "waiting for legal")
    assert [(gate.name, gate.why) for gate in closed(either).values()] == [
        ("state", "The campaign is paused: waiting for legal.")
    ]
    assert sends(either) == 0
    campaigns.start(either.store, "spring", either.now)
    assert closed(either) == {}
    campaigns.pause(either.store, "spring", either.now)
    assert closed(either)["state"].why == "The campaign is paused."
    campaigns.start(either.store, "spring", either.now)
    assert sends(either) == 1


def test_a_campaign_that_is_a_draft_though_it_is_complete_can_be_started(office: Office) -> None:
    ready(office)
    with office.store.transaction() as unit:
        unit.campaigns.set(office.stored().id, office.now, state="draft")
    assert list(closed(office)) == ["state"]
    assert sends(office) == 0
    campaigns.start(office.store, "spring", office.now)
    assert sends(office) == 1


def test_what_the_law_wants_is_named_where_it_is_missing(either: Office) -> None:
    ready(either)
    either.apply(sender={"name": "Mara"})
    assert closed(either)["complete"].why == "No postal address: set postal_address under [sender]."
    assert next(iter(closed(either))) == "complete"
    assert sends(either) == 0
    either.apply()
    assert closed(either) == {}
    assert sends(either) == 1


def test_a_campaign_without_a_mailbox_says_so(office: Office) -> None:
    ready(office, mailboxes=[])
    assert "No mailbox" in closed(office)["complete"].why
    assert closed(office)["due"].next_step == "Import leads"


@pytest.mark.parametrize("job", ["send:spring"])
def test_a_paused_schedule_starts_nothing_and_is_named(either: Office, job: str) -> None:
    ready(either)
    schedules.pause(either.store, job, either.now)
    assert {name: gate.why for name, gate in closed(either).items()} == {"schedule": "send:spring is paused."}
    either.later(minutes=2)
    alive(either)
    assert "send" not in {run["job"] for run in schedules.start_due(either.store, either.now)}
    schedules.resume(either.store, job, either.now)
    assert closed(either) == {}
    either.later(minutes=2)
    assert "send" in {run["job"] for run in schedules.start_due(either.store, either.now)}


def test_a_schedule_that_is_missing_or_ahead_of_the_clock_is_named(office: Office) -> None:
    office.enrol()
    office.now = WEDNESDAY
    alive(office)
    with office.store.transaction() as unit:
        for row in unit.schedules.listed():
            unit.schedules.remove(row["id"])
    assert closed(office)["schedule"].why == "No schedule of the campaign sends."
    schedules.ensure(office.store, office.now)
    assert closed(office) == {}
    office.later(days=3)
    schedules.start_due(office.store, office.now)
    office.now = WEDNESDAY
    assert "clock" in closed(office)["schedule"].why


def test_without_a_worker_a_run_waits(either: Office) -> None:
    ready(either)
    either.later(minutes=5)
    assert closed(either)["worker"].why == "The last worker was heard of at 2027-03-10 11:00 UTC."
    assert list(closed(either)) == ["worker"]
    alive(either)
    assert closed(either) == {}
    with either.store.transaction() as unit:
        unit.workers.drop("w")
    assert closed(either)["worker"].why == "No worker has ever run."


def test_drafts_wait_for_a_yes(either: Office) -> None:
    ready(either, mode="review")
    assert list(closed(either)) == ["approval"]
    assert closed(either)["approval"].why == "1 wait for your yes."
    assert held(either) == closed(either)["approval"]
    assert sends(either) == 0
    ids = [row["id"] for row in either.touches()]
    outbox.approve(either.store, ids, by="mo", opt_out=either.opt_out, now=either.now)
    assert closed(either) == {}
    assert sends(either) == 1


def test_what_is_not_due_yet_says_when_it_will_be(either: Office) -> None:
    ready(either, at=TUESDAY)
    gate = closed(either)["due"]
    assert gate.opens_at == either.touch()["due_at"]
    assert sends(either) == 0
    either.now = gate.opens_at
    alive(either)
    assert closed(either) == {}
    assert sends(either) == 1


def test_when_all_have_got_everything_nothing_is_due(office: Office) -> None:
    ready(office, sequences={"short": {"steps": [HELLO]}})
    assert sends(office) == 1
    assert closed(office)["due"].opens_at is None
    gate = held(office)
    assert gate is not None
    assert (gate.name, gate.why) == ("prospect", "It is finished.")


def test_outside_working_hours_the_window_says_when_it_opens(either: Office) -> None:
    ready(either)
    either.now = datetime(2027, 3, 10, 22, tzinfo=UTC)
    alive(either)
    assert list(closed(either)) == ["window"]
    opens_at = datetime(2027, 3, 11, 8, tzinfo=UTC)
    assert closed(either)["window"].opens_at == opens_at
    assert sends(either) == 0
    assert closed(either)["due"].opens_at == either.touch()["due_at"]  # sending has planned it for the window
    either.now = either.touch()["due_at"]
    alive(either)
    assert closed(either) == {}
    assert sends(either) == 1


def test_a_window_that_is_open_for_one_of_many_is_open(office: Office) -> None:
    ready(office, 60)
    office.add("kim@firm1.com", country="Japan")
    with office.store.transaction() as unit:
        unit.connection.execute(tables.touches.update().values(due_at=WEDNESDAY - timedelta(hours=9)))
        last = office.touch("kim@firm1.com")["id"]
        one = tables.touches.c.id == last
        unit.connection.execute(tables.touches.update().where(one).values(due_at=WEDNESDAY - timedelta(hours=8)))
    office.now = datetime(2027, 3, 10, 1, tzinfo=UTC)  # 10:00 in Tokyo
    alive(office)
    with office.store.transaction() as unit:
        moment = office.now - timedelta(hours=1)
        unit.connection.execute(tables.touches.update().values(due_at=moment))
        unit.connection.execute(tables.touches.update().where(one).values(due_at=moment + timedelta(minutes=1)))
    assert closed(office) == {}
    assert sends(office) == 1


def test_a_window_that_never_opens_says_so(office: Office) -> None:
    ready(office)
    office.apply(window={"days": ["fri"]})
    with office.store.transaction() as unit:
        unit.connection.execute(tables.leads.update().values(country="ae", timezone="Asia/Dubai"))
    assert "Change the window" in closed(office)["window"].next_step


def test_a_mailbox_that_rests_says_until_when_and_why(either: Office) -> None:
    ready(either)
    with either.store.transaction() as unit:
        unit.mailboxes.failing(MARA, "535 no such user", either.now + timedelta(hours=1), either.now)
    gate = closed(either)["mailbox"]
    assert list(closed(either)) == ["mailbox"]
    assert gate.why == f"{MARA} rests until 2027-03-10 12:00 UTC: 535 no such user."
    assert gate.opens_at == either.now + timedelta(hours=1)
    assert sends(either) == 0
    either.later(hours=1)
    alive(either)
    assert closed(either) == {}
    assert sends(either) == 1


def test_a_cap_that_is_used_up_says_when_there_is_room(either: Office) -> None:
    ready(either, 2, mailboxes=[either.mailbox(daily_cap=1)])
    assert sends(either) == 1
    assert list(closed(either)) == ["cap"]
    gate = closed(either)["cap"]
    assert gate.opens_at == either.now + timedelta(hours=24)
    assert sends(either) == 0
    either.now = gate.opens_at
    alive(either)
    assert closed(either) == {}
    assert sends(either) == 1


def test_a_mailbox_that_warms_up_says_so(office: Office) -> None:
    ready(office, 2, mailboxes=[office.mailbox(daily_cap=9, ramp={"start": 1})])
    assert office.send() == {"sent": 1}
    gate = closed(office)["cap"]
    assert "(1 while it warms up to 9)" in gate.why
    assert gate.opens_at == office.now + timedelta(days=1)


def test_a_cap_of_none_at_all_never_opens_by_itself(office: Office) -> None:
    ready(office, mailboxes=[office.mailbox(daily_cap=0)])
    assert closed(office)["cap"].opens_at is None
    assert sends(office) == 0


def test_only_suppressed_recipients_are_told_from_others(either: Office) -> None:
    ready(either)
    import polars as pl

    row = {"kind": "address", "value": ANN, "reason": "asked", "source": "test", "at": either.now}
    with either.store.transaction() as unit:  # as one that came between the claim's look and its end
        unit.suppressions.add(pl.DataFrame([row]))
    assert list(closed(either)) == ["suppression"]
    assert held(either) == closed(either)["suppression"]
    assert sends(either) == 0
    assert held(either).name == "prospect"  # type: ignore[union-attr]
    with either.store.transaction() as unit:
        unit.connection.execute(tables.suppressions.delete())
    either.add("bob@firm1.com")
    either.now = either.touch("bob@firm1.com")["due_at"]
    alive(either)
    assert closed(either) == {}
    assert sends(either) == 1


def test_a_message_that_cannot_be_written_is_named(either: Office) -> None:
    ready(either)
    broken = {**HELLO, "text": "About {{ extra.pain }}"}
    either.apply(sequences={"short": {"steps": [broken]}})
    assert list(closed(either)) == ["text"]
    assert "extra.pain" in closed(either)["text"].why
    either.apply()
    assert closed(either) == {}
    assert sends(either) == 1


# one prospect


def test_a_prospect_that_is_not_enrolled_says_why(office: Office) -> None:
    office.apply(mode="review")
    office.add("tiny@firm1.com", employees="3")
    gate = held(office, "tiny@firm1.com")
    assert gate is not None
    assert (gate.name, gate.why) == ("prospect", "It is rejected: too small.")
    with pytest.raises(NotFound, match="no prospect 99"):
        why_not(office.store, 99, office.now, office.opt_out)


def test_a_message_of_unknown_fate_waits_for_a_person(office: Office) -> None:
    ready(office)
    office.smtp.script(Fault("dot", "drop", matches=ANN))
    assert office.send()["uncertain"] == 1
    gate = held(office)
    assert gate is not None
    assert (gate.name, gate.href) == ("prospect", "/outbox?state=uncertain")


def test_a_follow_up_says_when_it_is_due(office: Office) -> None:
    ready(office, sequences={"short": {"steps": [HELLO, AGAIN]}})
    assert sends(office) == 1
    found = why_not(office.store, office.prospect()["id"], office.now, office.opt_out)
    assert found.held_by is not None
    assert found.held_by.name == "due"
    assert found.due_at == found.held_by.opens_at == office.touch(step=2)["due_at"]
    office.now = MONDAY
    alive(office)
    assert held(office) is None
    assert sends(office) == 1


def test_a_deferral_is_told_with_what_the_server_said(office: Office) -> None:
    ready(office)
    office.smtp.script(Fault("rcpt", "4xx", matches=ANN))
    assert office.send()["deferred"] == 1
    gate = held(office)
    assert gate is not None
    assert "deferred: 4" in gate.why


def test_a_held_prospect_waits_for_a_verdict(office: Office) -> None:
    office.apply(otherwise="held")
    office.add("ann0@firm0.com")
    gate = held(office)
    assert gate is not None
    assert gate.next_step == "Give it your verdict"
