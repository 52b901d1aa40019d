"""Sending: what every answer of a mail server, every interruption and every gate does to the touch, the mailbox and the person."""

import threading
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy
from office import AGAIN, ANN, EVERYONE, HELLO, MARA, MONDAY, TUESDAY, WEDNESDAY, Office, PowerCut

from touchline.adapters.store import tables
from touchline.app import campaigns, outbox, sending
from touchline.app.claims import LOOK, recover
from touchline.app.leads import replied
from touchline.app.letters import OptOut
from touchline.app.sending import BACK_OFF, CLAIM, LOST_IN_A_ROW, may_send, no_such_mailbox, send_due
from touchline.model.errors import Crossed, Misconfigured
from touchline.sim.smtp_server import Fault, SmtpServer

BOB = "ann1@firm1.com"


def ready(office: Office, count: int = 1, **changes: object) -> Office:
    """Leads whose first touch is due, on a Wednesday afternoon."""
    office.enrol(count, **changes)
    office.now = WEDNESDAY
    return office


def patience(kind: str) -> float:
    """Seconds to wait for an answer: few only where none will come, since a busy machine is slow too."""
    return 1 if kind == "stall" else 5


def states(office: Office, step: int = 1) -> Counter[str]:
    return Counter(row["state"] for row in office.touches() if row["step"] == step)


# what goes well


def test_what_is_due_is_sent_once_and_the_next_touch_is_planned(either: Office) -> None:
    ready(either, 3)
    assert either.send() == {"sent": 3}
    assert sorted(either.taken()) == sorted(row["email"] for row in either.rows(tables.leads))
    assert (states(either, 1), states(either, 2)) == ({"sent": 3}, {"planned": 3})
    assert either.deliveries() == [("sent", 250)] * 3
    assert either.events() == ["sent"] * 3
    touch = either.touch()
    assert (touch["attempts"], touch["sent_at"], touch["reason"]) == (1, WEDNESDAY, None)
    assert either.touch(step=2)["due_at"] >= WEDNESDAY + timedelta(days=3)
    assert either.send() == {}
    assert either.rows(tables.senders) == []


def test_the_end_of_the_sequence_finishes_the_prospect(office: Office) -> None:
    ready(office).send()
    office.now = MONDAY
    assert office.send() == {"sent": 1}
    assert office.prospect()["state"] == "finished"
    office.later(days=30)
    assert office.send() == {}
    assert len(office.smtp.messages) == 2


def test_each_follow_up_waits_as_its_own_sequence_says(office: Office) -> None:
    office.apply(
        sequences={"short": {"steps": [HELLO, AGAIN]}, "long": {"steps": [HELLO, {**AGAIN, "wait_days": 10}]}},
        routes=[{"name": "large", "when": "employees >= 1000", "sequence": "long"}, EVERYONE],
    )
    office.add(ANN)
    office.add(BOB, employees="1000")
    office.now = WEDNESDAY
    assert office.send() == {"sent": 2}
    due = {row["sequence"]: row["due_at"].date() for row in office.touches() if row["step"] == 2}
    # Both waits end on a Saturday, and the window opens on Monday.
    assert due == {"short": MONDAY.date(), "long": MONDAY.date() + timedelta(days=7)}


def test_what_is_not_due_yet_is_not_sent(office: Office) -> None:
    ready(office)
    office.now = office.touch()["due_at"] - timedelta(seconds=1)
    assert office.send() == {}
    office.later(seconds=1)
    assert office.send() == {"sent": 1}


def test_a_limit_holds_over_all_mailboxes_together(office: Office) -> None:
    ready(office, 8, mailboxes=[office.mailbox(), office.mailbox("bo@quillmast.example")])
    assert office.send(limit=3) == {"sent": 3}
    assert office.send(limit=0) == {}
    assert office.send(limit=50) == {"sent": 5}


def test_a_limit_is_shared_by_the_mailboxes(office: Office) -> None:
    ready(office, 12, mailboxes=[office.mailbox(), office.mailbox("bo@quillmast.example")])
    assert office.send(limit=4) == {"sent": 4}
    assert Counter(message.mail_from for message in office.smtp.messages) == {MARA: 2, "bo@quillmast.example": 2}


def test_more_than_one_claim_is_sent_over_one_connection(office: Office) -> None:
    ready(office, CLAIM + 1)
    assert office.send() == {"sent": CLAIM + 1}
    assert sum(line.startswith("EHLO") for line in office.smtp.commands) == 1


def test_a_further_message_costs_two_transactions_and_few_statements(office: Office) -> None:
    ready(office, 12)
    counts: Counter[str] = Counter()
    sqlalchemy.event.listen(
        office.store.engine, "before_cursor_execute", lambda *given: counts.update([given[2].partition(" ")[0]])
    )
    office.send(limit=1)
    one = Counter(counts)
    counts.clear()
    assert office.send(limit=11) == {"sent": 11}
    counts.subtract(one)
    assert +counts == {"BEGIN": 20, "SELECT": 20, "INSERT": 30, "UPDATE": 40}


def test_a_link_to_opt_out_stands_in_text_and_header_where_there_is_a_public_address(office: Office) -> None:
    office.opt_out = OptOut(b"secret", "https://hello.example/")
    ready(office).send()
    data = office.smtp.messages[0].data.decode()
    assert data.count("https://hello.example/o/") >= 3
    assert "List-Unsubscribe-Post: List-Unsubscribe=One-Click" in data


# what goes wrong: stage by stage

BEFORE_THE_BODY = [
    (stage, kind)
    for stage in ("connect", "banner", "ehlo", "mail")
    for kind in ("4xx", "5xx", "drop", "stall", "garbage")
    # A lost answer to MAIL may be the end of one connection only: the next one is tried.
    if stage != "mail" or kind in ("4xx", "5xx")
]


@pytest.mark.parametrize(("stage", "kind"), BEFORE_THE_BODY)
def test_a_mailbox_that_fails_before_any_recipient_rests_and_blames_nobody(office: Office, stage, kind) -> None:
    ready(office, 2)
    office.smtp.script(Fault(stage, kind))
    assert office.send(timeout=patience(kind)) == {"mailbox_errors": 1}
    assert states(office) == {"planned": 2}
    assert (office.deliveries(), office.events(), office.suppressed()) == ([], [], [])
    state = office.mailbox_state()
    rest = timedelta(hours=1) if kind == "5xx" else timedelta(minutes=5)
    assert (state["state"], state["retry_at"]) == ("error", WEDNESDAY + rest)
    assert office.prospect()["state"] == "enrolled"
    office.now += rest - timedelta(seconds=1)
    post = office.post()
    assert not +send_due(post, office.stored())
    assert f"{MARA} rests until" in post.notes[0]
    office.later(seconds=1)
    assert office.send() == {"sent": 2}
    state = office.mailbox_state()
    assert (state["state"], state["error"], state["retry_at"]) == ("ready", None, None)


@pytest.mark.parametrize("stage", ["mail", "rcpt", "data"])
@pytest.mark.parametrize("kind", ["drop", "stall", "garbage"])
def test_a_connection_lost_before_the_body_is_tried_again_at_once(office: Office, stage, kind) -> None:
    ready(office)
    office.smtp.script(Fault(stage, kind))
    assert office.send(timeout=patience(kind)) == {"lost": 1, "sent": 1}
    touch = office.touch()
    assert (touch["state"], touch["attempts"]) == ("sent", 2 if stage == "data" else 1)
    assert [result for result, _ in office.deliveries()] == (["deferred", "sent"] if stage == "data" else ["sent"])
    assert len(office.smtp.messages) == 1
    assert office.mailbox_state()["state"] == "ready"


@pytest.mark.parametrize("stage", ["rcpt", "data"])
def test_a_connection_lost_three_times_in_a_row_rests_the_mailbox(office: Office, stage) -> None:
    ready(office, 5)
    office.smtp.script(Fault(stage, "drop", times=None))
    assert office.send() == {"lost": LOST_IN_A_ROW, "mailbox_errors": 1}
    assert states(office) == {"planned": 5}
    assert {row["claimed_by"] for row in office.touches()} == {None}
    assert "3 times in a row" in office.mailbox_state()["error"]
    assert office.smtp.messages == []


def test_losses_with_a_success_between_them_do_not_rest_the_mailbox(office: Office) -> None:
    ready(office, 5)
    order = [row["prospect_id"] for row in sorted(office.touches(), key=lambda row: row["due_at"])]
    emails = {row["id"]: row["email"] for row in office.rows(tables.leads)}
    faults = [Fault("rcpt", "drop", matches=emails[order[i]]) for i in (0, 2, 4)]
    office.smtp.script(*faults)
    assert office.send() == {"lost": 3, "sent": 5}


@pytest.mark.parametrize("stage", ["rcpt", "data", "body", "dot"])
def test_a_temporary_refusal_is_tried_again_later(office: Office, stage) -> None:
    ready(office, 2)
    office.smtp.script(Fault(stage, "4xx", matches=ANN))
    assert office.send() == {"deferred": 1, "sent": 1}
    touch = office.touch()
    assert (touch["state"], touch["due_at"], touch["claimed_by"]) == ("planned", WEDNESDAY + BACK_OFF[0], None)
    assert touch["reason"].startswith("deferred: 45")
    assert sorted(r for r, _ in office.deliveries()) == ["deferred", "sent"]
    assert sorted(office.events()) == ["deferred", "sent"]
    assert (office.prospect()["state"], office.mailbox_state()["state"]) == ("enrolled", "ready")
    assert office.suppressed() == []
    office.later(minutes=15)
    assert office.send() == {"sent": 1}
    assert office.touch()["reason"] is None


@pytest.mark.parametrize("stage", ["rcpt", "data", "body", "dot"])
def test_a_lasting_refusal_fails_the_touch_and_stops_the_prospect(office: Office, stage) -> None:
    ready(office, 2)
    office.smtp.script(Fault(stage, "5xx", matches=ANN))
    assert office.send() == {"failed": 1, "sent": 1}
    touch, prospect = office.touch(), office.prospect()
    assert touch["state"] == "failed"
    assert touch["reason"] == prospect["state_reason"].removeprefix("not delivered: ")
    assert prospect["state"] == "stopped"
    assert sorted(r for r, _ in office.deliveries()) == ["failed", "sent"]
    assert sorted(office.events()) == ["failed", "sent"]
    assert office.suppressed() == [], "an answer that does not speak of the address says nothing of it"
    assert office.mailbox_state()["state"] == "ready"
    office.now = MONDAY
    assert office.send() == {"sent": 1}


@pytest.mark.parametrize(("stage", "kind"), [(s, k) for s in ("body", "dot") for k in ("drop", "stall", "garbage")])
def test_a_lost_answer_after_the_body_began_is_uncertain_and_never_sent_again(office: Office, stage, kind) -> None:
    ready(office)
    office.smtp.script(Fault(stage, kind))
    assert office.send(timeout=patience(kind)) == {"uncertain": 1}
    touch = office.touch()
    assert touch["state"] == "uncertain"
    assert touch["reason"].startswith("no answer after the message began to leave: ")
    assert office.deliveries() == [("uncertain", None)]
    assert (office.events(), office.prospect()["state"]) == ([], "enrolled")
    assert len(office.smtp.messages) == (stage == "dot")
    office.later(days=1)
    assert office.send() == {}
    assert len(office.touches()) == 1, "the next step waits until a person has settled this one"


@pytest.mark.parametrize("kind", ["4xx", "5xx", "drop", "stall", "garbage"])
def test_trouble_at_quit_concerns_no_message(office: Office, kind) -> None:
    ready(office)
    office.smtp.script(Fault("quit", kind))
    assert office.send(timeout=patience(kind)) == {"sent": 1}
    assert office.mailbox_state()["state"] == "ready"


def test_waits_grow_and_end_in_giving_up(office: Office) -> None:
    ready(office)
    office.smtp.script(Fault("rcpt", "4xx", times=None))
    waits = []
    while office.touch()["state"] == "planned":
        office.now = max(office.now, office.touch()["due_at"])
        done = office.send()
        if done == {"deferred": 1}:
            waits.append(office.touch()["due_at"] - office.now)
    assert (tuple(waits), done) == (BACK_OFF, {"failed": 1})
    assert (office.touch()["attempts"], office.prospect()["state"]) == (len(BACK_OFF) + 1, "stopped")
    assert (office.suppressed(), office.smtp.messages) == ([], [])


@pytest.mark.parametrize(
    ("answer", "gone"),
    [
        ((550, "5.1.1 no such user"), True),
        ((553, "5.1.3 bad address syntax"), True),
        ((550, "user unknown"), True),
        ((551, "user not local"), True),
        ((550, "5.7.1 you are on a list"), False),
        ((550, "5.7.1 see 5.1.1 of our policy"), False),
        ((550, "5.2.2 mailbox full"), False),
        ((554, "transaction failed"), False),
        ((None, "connection lost"), False),
    ],
)
def test_only_an_answer_that_speaks_of_the_address_says_that_it_is_gone(answer: tuple, gone: bool) -> None:
    assert no_such_mailbox(*answer) is gone


def test_our_own_address_in_a_refusal_does_not_make_the_recipient_unknown() -> None:
    assert not no_such_mailbox(554, "185.1.2.3 is listed, go away")


def test_an_address_that_does_not_exist_is_suppressed_for_every_campaign(either: Office) -> None:
    ready(either, 2)
    either.apply(name="autumn", compatibility={"one_sequence_at_a_time": False, "quiet_days": 0})
    either.load(either.people(2), "autumn", until="nurture")
    either.smtp.script(Fault("rcpt", "5xx", matches=ANN, text="5.1.1 no such user"))
    assert either.send() == {"failed": 1, "sent": 1}
    assert either.suppressed() == [("address", ANN)]
    assert either.rows(tables.suppressions)[0]["reason"] == "not delivered: 550 5.1.1 no such user"
    assert either.touch(campaign="autumn")["state"] == "cancelled"
    either.now = MONDAY
    assert either.send(campaign="autumn") == {"sent": 1}


# the mailbox


def test_a_password_that_is_not_there_rests_the_mailbox_before_it_connects(office: Office) -> None:
    login = {"username": "mara", "password_env": "MARA_PASSWORD"}
    ready(office, mailboxes=[office.mailbox(**login)])
    office.smtp.users["mara"] = "s3cret"
    post = office.post()
    assert +send_due(post, office.stored()) == {"mailbox_errors": 1}
    assert "MARA_PASSWORD is not set" in post.notes[0]
    assert office.mailbox_state()["retry_at"] == WEDNESDAY + timedelta(hours=1)
    assert office.smtp.commands == []
    office.passwords["MARA_PASSWORD"] = "s3cret"
    office.later(minutes=59)
    assert office.send() == {}
    office.later(minutes=1)
    assert office.send() == {"sent": 1}


def test_a_wrong_password_rests_the_mailbox_for_an_hour(office: Office) -> None:
    login = {"username": "mara", "password_env": "MARA_PASSWORD"}
    ready(office, mailboxes=[office.mailbox(**login)])
    office.smtp.users["mara"] = "s3cret"
    office.passwords["MARA_PASSWORD"] = "wrong"
    assert office.send() == {"mailbox_errors": 1}
    assert office.mailbox_state()["retry_at"] == WEDNESDAY + timedelta(hours=1)
    assert "wrong" not in office.mailbox_state()["error"].split("535")[0]


def test_one_mailbox_that_fails_does_not_keep_the_others_from_sending(office: Office) -> None:
    dead = office.mailbox("dead@quillmast.example", port=1)
    ready(office, 20, mailboxes=[office.mailbox(), dead])
    done = office.send()
    assert done["mailbox_errors"] == 1
    assert states(office) == {"sent": done["sent"], "planned": 20 - done["sent"]}
    assert {t["mailbox"] for t in office.touches() if t["state"] == "sent"} == {MARA}


def test_what_breaks_in_one_mailbox_leaves_no_message_of_another_without_its_answer(office: Office) -> None:
    broken = threading.Event()

    def once_the_other_is_broken(_: str) -> bool:
        assert broken.wait(10)
        time.sleep(0.05)
        return False

    def breaks() -> None:
        broken.set()
        raise ValueError("odd")

    with SmtpServer() as other:
        ready(office, 12, mailboxes=[office.mailbox(), office.mailbox("bo@quillmast.example", port=other.port)])
        # One mail server has the message, and says so when the mailbox at the other one is at its end.
        office.smtp.script(Fault("dot", "drop", matches=once_the_other_is_broken, times=None))
        office.points.at("recipient-accepted", breaks, nth=2)
        with pytest.raises(ValueError, match="odd"):
            office.send()
    firsts = [(row["mailbox"], row["state"]) for row in office.touches() if row["step"] == 1]
    assert {state for _, state in firsts} == {"sent", "planned"}
    assert len({mailbox for mailbox, state in firsts if state == "sent"}) == 1
    assert len(set(firsts)) == 2, "one mailbox has sent all of its own, the other has given all back"
    assert office.rows(tables.senders) == []


def test_the_cap_counts_any_24_hours(office: Office) -> None:
    ready(office, 7, mailboxes=[office.mailbox(daily_cap=3)])
    found = []
    office.now = WEDNESDAY.replace(hour=10)
    for hours in (0, 1, 22.99, 0.02):
        office.later(hours=hours)
        post = office.post()
        found.append((send_due(post, office.stored())["sent"], len(post.notes)))
    assert [sent for sent, _ in found] == [3, 0, 0, 3]
    assert all(notes for _, notes in found), "the cap is said"


def test_a_mailbox_that_warms_up_sends_more_each_day_until_its_cap(either: Office) -> None:
    warm = either.mailbox(daily_cap=7, ramp={"start": 2, "step": 3})
    ready(either, 30, mailboxes=[warm])
    either.now = WEDNESDAY.replace(hour=10)
    sent, said = [], list[str]()
    for _ in range(2):
        post = either.post()
        sent.append(send_due(post, either.stored())["sent"])
        said += post.notes
        either.later(hours=24.01)
    either.later(days=3)  # from Friday to Monday
    sent.append(either.send()["sent"])
    assert sent == [2, 5, 7]
    assert said[0].endswith("has reached its cap of 2 messages in 24 hours, which is on its way to 7")


def test_a_cap_below_the_start_of_its_ramp_holds_from_the_first_day(office: Office) -> None:
    ready(office, 5, mailboxes=[office.mailbox(daily_cap=1, ramp={"start": 3})])
    assert office.send() == {"sent": 1}


def test_a_cap_of_nothing_sends_nothing(office: Office) -> None:
    ready(office, mailboxes=[office.mailbox(daily_cap=0)])
    post = office.post()
    assert not +send_due(post, office.stored())
    assert "cap of 0" in post.notes[0]


def test_what_failed_or_was_deferred_does_not_use_up_the_cap_and_what_is_uncertain_does(office: Office) -> None:
    ready(office, 5, mailboxes=[office.mailbox(daily_cap=2)])
    office.smtp.script(Fault("rcpt", "4xx"), Fault("rcpt", "5xx"), Fault("dot", "drop"))
    assert office.send() == {"deferred": 1, "failed": 1, "uncertain": 1, "sent": 1}


def test_each_mailbox_has_its_own_cap(office: Office) -> None:
    ready(office, 20, mailboxes=[office.mailbox(f"m{i}@quillmast.example", daily_cap=2) for i in range(2)])
    assert office.send() == {"sent": 4}
    assert Counter(m.mail_from for m in office.smtp.messages) == {f"m{i}@quillmast.example": 2 for i in range(2)}


def test_two_processes_on_one_mailbox_share_its_cap_and_double_nothing(either: Office) -> None:
    ready(either, 12, mailboxes=[either.mailbox(daily_cap=8)])
    either.running |= {2}
    posts = [either.post(f"p{pid}", pid=pid) for pid in (1, 2)]
    stored = either.stored()
    threads = [threading.Thread(target=send_due, args=(post, stored)) for post in posts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(post.counts["sent"] for post in posts) == 8
    assert Counter(either.taken()).most_common(1)[0][1] == 1
    assert len(either.smtp.messages) == 8


# between claim and send


def test_a_stop_holds_before_anything_is_claimed(office: Office) -> None:
    ready(office)
    campaigns.stop_all(office.store, "fire drill", office.now)
    assert office.send() == {"stopped": 1}
    campaigns.start_all(office.store)
    assert office.send() == {"sent": 1}


def test_a_stop_between_claim_and_send_is_obeyed_and_gives_the_claims_back(either: Office) -> None:
    ready(either, 3)
    either.points.at("recipient-accepted", lambda: campaigns.stop_all(either.store, "stop", either.now), nth=2)
    assert either.send() == {"sent": 1, "stopped": 1}
    assert states(either) == {"sent": 1, "planned": 2}
    assert len(either.smtp.messages) == 1
    assert {row["claimed_by"] for row in either.touches() if row["state"] == "planned"} == {None}


def test_a_suppression_between_claim_and_send_is_obeyed(either: Office) -> None:
    ready(either, 2)
    either.points.at("claimed", lambda: either.suppress(ANN))
    assert either.send() == {"sent": 1, "gone": 1}
    assert either.taken() == [BOB]
    assert (either.touch()["state"], either.touch()["reason"]) == ("cancelled", "suppressed: address")


def test_an_answer_between_claim_and_send_is_obeyed(office: Office) -> None:
    ready(office)
    office.points.at("recipient-accepted", lambda: replied(office.store, ANN, office.now))
    assert office.send() == {"gone": 1}
    assert office.smtp.messages == []
    assert office.prospect()["state"] == "replied"


def test_a_suppression_before_the_claim_cancels_the_touch_in_the_claim(office: Office) -> None:
    ready(office, 2)
    # As a write of another kind would leave it: the entry is there, and the touch is still planned.
    with office.store.transaction() as unit:
        unit.connection.execute(
            tables.suppressions.insert().values(kind="address", value=ANN, reason="x", source="t", at=office.now)
        )
    assert office.send() == {"sent": 1, "suppressed": 1}
    assert (office.touch()["reason"], office.prospect()["state"]) == ("suppressed: address: x", "stopped")


def test_a_paused_campaign_claims_nothing(office: Office) -> None:
    ready(office)
    campaigns.pause(office.store, "spring", office.now)
    assert office.send() == {}
    campaigns.start(office.store, "spring", office.now)
    assert office.send() == {"sent": 1}


def test_a_pause_is_obeyed_at_the_next_claim_at_the_latest(office: Office) -> None:
    ready(office, 2 * CLAIM)
    office.points.at("claimed", lambda: campaigns.pause(office.store, "spring", office.now))
    assert office.send().get("sent", 0) <= CLAIM


def test_a_pause_between_claim_and_send_is_obeyed(office: Office) -> None:
    ready(office)
    office.points.at("claimed", lambda: campaigns.pause(office.store, "spring", office.now))
    office.send()
    assert office.smtp.messages == []


@pytest.mark.parametrize("steps", [[HELLO], [HELLO, AGAIN]])
def test_an_answer_that_comes_while_the_message_leaves_ends_the_sequence(office: Office, steps: list) -> None:
    ready(office, sequences={"short": {"steps": steps}})
    office.points.at("answered", lambda: replied(office.store, ANN, office.now))
    assert office.send() == {"sent": 1}
    assert office.prospect()["state"] == "replied"
    assert [row["state"] for row in office.touches()] == ["sent"]


# the window


@pytest.mark.parametrize("told", ["to stop", "nothing, but it takes long"])
def test_very_many_touches_outside_the_window_keep_a_worker_from_nothing(office: Office, told: str) -> None:
    ready(office, 3 * CLAIM)
    office.now = datetime(2027, 3, 12, 20, tzinfo=UTC)
    stop = threading.Event()
    office.points.at("claimed", stop.set if told == "to stop" else lambda: office.later(seconds=LOOK.seconds + 1))
    counts = send_due(replace(office.post(), ending=stop.is_set), office.stored(), None)
    assert counts == {"postponed": CLAIM}
    assert office.send() == {"postponed": 2 * CLAIM}


def test_a_touch_outside_the_window_is_postponed_into_the_next_one(office: Office) -> None:
    ready(office, 2)
    office.now = datetime(2027, 3, 12, 20, tzinfo=UTC)  # Friday evening
    assert office.send() == {"postponed": 2}
    monday = datetime(2027, 3, 15, tzinfo=UTC)
    for row in office.touches():
        assert monday + timedelta(hours=8) <= row["due_at"] < monday + timedelta(hours=16)
        assert row["state"] == "planned"
    assert office.send() == {}
    office.now = MONDAY.replace(hour=15, minute=59)
    assert office.send() == {"sent": 2}


# what cannot be written


def test_a_message_that_cannot_be_written_is_held_for_a_person(either: Office) -> None:
    strict = {**HELLO, "text": "Hi {{ city }}"}
    ready(either, 2, sequences={"short": {"steps": [strict, AGAIN]}})
    with either.store.transaction() as unit:
        unit.connection.execute(tables.leads.update().where(tables.leads.c.email == BOB).values(city="Ulm"))
    assert either.send() == {"sent": 1, "unwritable": 1}
    touch, prospect = either.touch(), either.prospect()
    assert (touch["state"], prospect["state"]) == ("cancelled", "held")
    assert touch["reason"] == prospect["state_reason"]
    assert touch["reason"].startswith("cannot be written: ")
    assert either.taken() == [BOB]


def test_an_address_that_smtp_cannot_carry_is_held_for_a_person(office: Office) -> None:
    ready(office, 2)
    with office.store.transaction() as unit:
        unit.connection.execute(tables.leads.update().where(tables.leads.c.email == ANN).values(email="änn@firm0.com"))
    assert office.send() == {"sent": 1, "unwritable": 1}
    assert office.prospect("änn@firm0.com")["state"] == "held"
    assert office.touch("änn@firm0.com")["claimed_by"] is None
    assert office.deliveries() == [("sent", 250)]


def test_a_domain_in_other_letters_is_written_to_in_its_wire_form(office: Office) -> None:
    office.zone["xn--bcher-kva.de"] = "mx"
    office.apply()
    office.add("ann@bücher.de")
    office.now = WEDNESDAY
    assert office.send() == {"sent": 1}
    assert office.taken() == ["ann@xn--bcher-kva.de"]


# crashes


@pytest.mark.parametrize(
    ("point", "after", "messages"),
    [
        ("claimed", "planned", 1),
        ("recipient-accepted", "planned", 1),
        ("sending-before-commit", "planned", 1),
        ("sending-committed", "uncertain", 0),
        ("answered", "uncertain", 1),
        ("settle-before-commit", "uncertain", 1),
        ("settle-committed", "sent", 1),
    ],
)
def test_after_a_crash_the_next_run_sends_what_was_not_begun_and_asks_about_the_rest(
    either: Office, point: str, after: str, messages: int
) -> None:
    ready(either)
    either.points.fail(point)
    with pytest.raises(PowerCut):
        either.send(name="first")
    either.send(name="second")
    assert either.touch()["state"] == ("sent" if after == "planned" else after)
    assert len(either.smtp.messages) == messages
    expected = {"planned": ["sent"], "uncertain": ["uncertain"], "sent": ["sent"]}[after]
    assert [result for result, _ in either.deliveries()] == expected


def cannot_be_written(office: Office, times: int) -> None:
    """Let the store refuse the first answer of a mail server so often."""

    def crossed() -> None:
        raise Crossed("deadlock detected")

    for nth in range(1, times + 1):
        office.points.at("settle-before-commit", crossed, nth)


def test_an_answer_that_the_store_does_not_take_at_once_is_written_down_again(either: Office, monkeypatch) -> None:
    ready(either)
    monkeypatch.setattr(sending, "SETTLE_AGAIN", (0.0, 0.0))
    cannot_be_written(either, times=2)
    assert either.send() == {"sent": 1}
    assert (either.deliveries(), either.events(), either.taken()) == ([("sent", 250)], ["sent"], [ANN])
    assert states(either, step=2) == {"planned": 1}


def test_an_answer_that_the_store_never_takes_is_for_a_person_to_find_out(office: Office, monkeypatch) -> None:
    ready(office)
    monkeypatch.setattr(sending, "SETTLE_AGAIN", (0.0, 0.0))
    cannot_be_written(office, times=3)
    with pytest.raises(Crossed):
        office.send(name="first")
    assert office.send(name="second") == {"uncertain": 1}
    assert office.taken() == [ANN]


def held(office: Office, sender: str, state: str = "claimed", beat: datetime | None = None, **who: object) -> None:
    """A touch in another sender's hands."""
    with office.store.transaction() as unit:
        key = next(row["id"] for row in office.touches() if row["state"] == "planned")
        unit.touches.claim([key], sender, office.now)
        if state == "sending":
            unit.touches.begin(key, sender, ("s", "t", None), office.now)
        if beat:
            given = {"host": "here", "pid": 2} | who
            unit.senders.beat(sender, now=beat, **given)


@pytest.mark.parametrize(
    ("state", "found", "after"), [("claimed", "released", "planned"), ("sending", "uncertain", "uncertain")]
)
def test_what_a_sender_nobody_knows_holds_is_settled(either: Office, state, found, after) -> None:
    ready(either)
    held(either, "ghost", state)
    assert recover(either.post()) == {found: 1}
    touch = either.touch()
    assert touch["state"] == after
    assert either.deliveries() == ([] if state == "claimed" else [("uncertain", None)])
    assert recover(either.post()) == {}


@pytest.mark.parametrize(
    ("beat", "who", "dead"),
    [
        (timedelta(0), {}, True),  # process 2 does not run on this host
        (timedelta(0), {"pid": 3}, False),
        (timedelta(seconds=59), {"pid": 3}, False),
        (timedelta(seconds=60), {"pid": 3}, True),
        (timedelta(seconds=59), {"host": "there"}, False),
        (timedelta(seconds=60), {"host": "there"}, True),
        (timedelta(hours=-1), {"host": "there"}, False),  # a clock was set back
        (timedelta(hours=-1), {"pid": 3}, False),
        (timedelta(hours=-1), {}, True),
    ],
)
def test_a_sender_is_dead_when_its_process_or_its_beat_is(
    office: Office, beat: timedelta, who: dict, dead: bool
) -> None:
    ready(office)
    office.running.add(3)
    held(office, "other", beat=office.now - beat, **who)
    assert recover(office.post()) == ({"released": 1} if dead else {})
    assert bool(office.rows(tables.senders)) is not dead


def test_a_sender_does_not_recover_from_itself(office: Office) -> None:
    ready(office)
    held(office, "me", "sending")
    assert recover(office.post("me")) == {}
    assert office.touch()["state"] == "sending"


def test_recovering_one_sender_leaves_the_claims_of_a_living_one(office: Office) -> None:
    ready(office, 2)
    held(office, "ghost")
    held(office, "alive", beat=office.now, host="there")
    assert recover(office.post()) == {"released": 1}
    assert sorted(str(row["claimed_by"]) for row in office.touches()) == ["None", "alive"]


def test_a_run_first_settles_what_the_dead_left(office: Office) -> None:
    ready(office)
    held(office, "ghost")
    assert office.send() == {"released": 1, "sent": 1}


def test_a_sender_declared_dead_by_mistake_sends_nothing_that_another_took_over(either: Office) -> None:
    ready(either, 2)
    either.running.add(2)

    def other() -> None:
        with either.store.transaction() as unit:
            unit.senders.drop("first")
        # A thread of its own stands for another process: it has its own event loop.
        thread = threading.Thread(target=either.send, kwargs={"name": "second", "pid": 2})
        thread.start()
        thread.join()

    either.points.at("recipient-accepted", other)
    assert either.send(name="first")["gone"] >= 1
    assert Counter(either.taken()) == {ANN: 1, BOB: 1}
    assert states(either) == {"sent": 2}


def test_a_sender_declared_dead_while_its_message_left_still_writes_down_the_answer(office: Office) -> None:
    ready(office)

    def other() -> None:
        with office.store.transaction() as unit:
            unit.senders.drop("first")
        assert recover(office.post("second")) == {"uncertain": 1}

    office.points.at("sending-committed", other)
    assert office.send(name="first") == {"sent": 1}
    assert office.touch()["state"] == "sent"
    assert office.deliveries() == [("sent", 250)]
    assert office.touch(step=2)["state"] == "planned"


@pytest.mark.parametrize("how", ["sent", "drop", "resend"])
def test_an_answer_that_comes_after_a_person_settled_the_touch_harms_nothing(office: Office, how) -> None:
    ready(office)

    def settled() -> None:
        with office.store.transaction() as unit:
            unit.senders.drop("first")
        recover(office.post("second"))
        outbox.resolve(office.store, office.touch()["id"], how, by="mo", secret=b"secret", now=office.now)

    office.points.at("answered", settled)
    office.send(name="first")
    steps = [(row["step"], row["state"]) for row in office.touches()]
    assert (
        steps
        == {
            "sent": [(1, "sent"), (2, "planned")],
            "drop": [(1, "cancelled")],
            "resend": [(1, "sent"), (2, "planned")],
        }[how]
    )


# may it send at all


def test_a_draft_may_not_send_and_says_what_is_missing(office: Office) -> None:
    stored = office.apply(mailboxes=[])
    with pytest.raises(Misconfigured, match="No mailbox"):
        may_send(stored)
    may_send(office.apply())


def test_a_draft_without_obstacles_may_not_send_either(office: Office) -> None:
    stored = office.apply()
    with office.store.transaction() as unit:
        unit.campaigns.set(stored.id, office.now, state="draft")
    with pytest.raises(Misconfigured, match="it is a draft"):
        may_send(office.stored())


def test_beats_keep_a_sender_alive_while_it_sends(office: Office) -> None:
    ready(office)
    seen: list[object] = []
    office.points.at("answered", lambda: seen.extend(office.rows(tables.senders)))
    office.send(name="first")
    assert [(row["name"], row["host"], row["pid"], row["beat_at"]) for row in seen] == [("first", "here", 1, WEDNESDAY)]


def test_first_touches_of_tuesday_are_due_in_the_window_of_tuesday(office: Office) -> None:
    ready(office, 5)
    assert all(TUESDAY.replace(hour=8) <= row["due_at"] < TUESDAY.replace(hour=16) for row in office.touches())


def test_a_process_that_is_told_to_stop_ends_after_the_message_under_way_and_gives_the_rest_back(
    office: Office,
) -> None:
    office.enrol(5)
    office.now = WEDNESDAY
    post = replace(office.post(), ending=lambda: len(office.taken()) >= 2)
    assert send_due(post, office.stored())["sent"] == 2
    assert sorted(touch["state"] for touch in office.touches() if touch["step"] == 1) == ["planned"] * 3 + ["sent"] * 2
    assert office.send() == {"sent": 3}


def test_a_process_that_is_told_to_stop_before_it_begins_claims_nothing(office: Office) -> None:
    office.enrol(2)
    office.now = WEDNESDAY
    assert not send_due(replace(office.post(), ending=lambda: True), office.stored())["sent"]
    assert "claimed" not in office.points.passed
