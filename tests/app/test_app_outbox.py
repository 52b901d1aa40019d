"""The outbox: a person's yes, no, and word on what became of a message, in every state a touch can have."""

from datetime import timedelta

import pytest
from office import AGAIN, ANN, HELLO, MONDAY, WEDNESDAY, Office

from touchline.adapters.store import tables
from touchline.app import outbox
from touchline.app.leads import replied
from touchline.app.letters import Content, Unrenderable
from touchline.app.outbox import Approved
from touchline.model.errors import NotFound, Refused
from touchline.sim.smtp_server import Fault

BOB = "ann1@firm1.com"
STATES = ("drafted", "planned", "claimed", "sending", "sent", "uncertain", "failed", "cancelled")


def drafted(office: Office, count: int = 1, **changes: object) -> list[int]:
    """Leads whose first touch waits for a yes; gives the keys of the touches."""
    office.apply(mode="review", **changes)
    office.load(office.people(count), until="nurture")
    office.now = WEDNESDAY
    return [row["id"] for row in office.touches()]


def approve(office: Office, *keys: int) -> Approved:
    return outbox.approve(office.store, keys, by="mo", opt_out=office.opt_out, now=office.now)


def listed(office: Office, *states: str, campaign: str | None = "spring", limit: int = 50, after: int = 0) -> list:
    return outbox.listed(
        office.store, campaign=campaign, states=states, opt_out=office.opt_out, limit=limit, after=after
    )


def put(office: Office, key: int, state: str) -> None:
    with office.store.transaction() as unit:
        unit.connection.execute(tables.touches.update().where(tables.touches.c.id == key).values(state=state))


def uncertain(office: Office, count: int = 1, **changes: object) -> int:
    """A touch of unknown fate; the mail server has its message."""
    office.enrol(count, **changes)
    office.now = WEDNESDAY
    office.smtp.script(Fault("dot", "drop", matches=ANN))
    assert office.send()["uncertain"] == 1
    return office.touch()["id"]


def resolve(office: Office, key: int, how: str) -> str:
    return outbox.resolve(office.store, key, how, by="mo", secret=b"secret", now=office.now)  # type: ignore[arg-type]


# looking


def test_drafts_are_shown_as_they_would_leave(either: Office) -> None:
    keys = drafted(either, 3)
    found = listed(either, "drafted")
    assert [draft.row["touch_id"] for draft in found] == keys
    content = next(draft.content for draft in found if draft.row["email"] == ANN)
    assert isinstance(content, Content)
    assert content.subject == "Hello Anna"
    assert "1 Example Row, Dublin" in content.text
    assert content.html is None
    assert [d.row["touch_id"] for d in listed(either, "drafted", limit=1, after=keys[0])] == [keys[1]]
    assert listed(either, "planned") == []


def test_touches_of_several_campaigns_are_written_each_by_its_own(office: Office) -> None:
    drafted(office)
    subject = {**HELLO, "subject": "Other"}
    office.apply(
        name="autumn", compatibility={"one_sequence_at_a_time": False}, sequences={"short": {"steps": [subject]}}
    )
    office.load(office.people(1), "autumn", until="nurture")
    assert [d.content.subject for d in listed(office, "drafted", "planned", campaign=None)] == ["Hello Anna", "Other"]
    with pytest.raises(NotFound, match="no campaign 'none'"):
        listed(office, "drafted", campaign="none")


def test_a_follow_up_is_shown_under_the_subject_it_answers(office: Office) -> None:
    office.apply()
    office.load(office.people(1), until="nurture")
    office.now = WEDNESDAY
    office.send()
    assert [draft.content.subject for draft in listed(office, "planned")] == ["Re: Hello Anna"]


def test_a_draft_that_cannot_be_written_says_why(office: Office) -> None:
    drafted(office, sequences={"short": {"steps": [{**HELLO, "text": "Hi {{ city }}"}]}})
    content = listed(office, "drafted")[0].content
    assert isinstance(content, Unrenderable)
    assert "city" in content.reason


# yes


def test_only_what_was_approved_leaves_and_the_next_step_waits_for_its_own_yes(either: Office) -> None:
    drafted(either, 3)
    assert either.send() == {}
    ann, bob = (either.touch(who)["id"] for who in (ANN, BOB))
    assert approve(either, ann, ann, bob) == Approved(2, 0, [])
    assert either.touch()["approved_by"] == "mo"
    assert either.send() == {"sent": 2}
    assert sorted(either.taken()) == [ANN, BOB]
    either.now = MONDAY
    assert either.send() == {}
    assert either.touch(step=2)["state"] == "drafted"


def test_the_very_text_that_was_approved_leaves_whatever_the_campaign_says_now(office: Office) -> None:
    (key,) = drafted(office)
    content = listed(office, "drafted")[0].content
    approve(office, key)
    other = {"short": {"steps": [{**HELLO, "subject": "Other", "text": "Other."}, AGAIN]}}
    office.apply(mode="review", sequences=other)
    office.judge()
    assert listed(office, "planned")[0].content == content
    assert office.send() == {"sent": 1}
    assert (office.touch()["subject"], office.touch()["text"]) == (content.subject, content.text)
    assert b"Other" not in office.smtp.messages[0].data


@pytest.mark.parametrize("state", [s for s in STATES if s != "drafted"])
def test_approving_what_does_not_wait_changes_nothing(office: Office, state: str) -> None:
    (key,) = drafted(office)
    put(office, key, state)
    assert approve(office, key) == Approved(0, 1, [])
    assert (office.touch()["state"], office.touch()["approved_by"]) == (state, None)


def test_approving_nothing_is_harmless(office: Office) -> None:
    assert approve(office) == Approved(0, 0, [])


def test_one_touch_that_is_not_there_keeps_all_of_them_from_being_approved(office: Office) -> None:
    (key,) = drafted(office)
    with pytest.raises(NotFound, match="no touch 98, 99"):
        approve(office, key, 98, 99)
    assert office.touch()["state"] == "drafted"


def test_what_cannot_be_written_is_not_approved(office: Office) -> None:
    keys = drafted(office, 2, sequences={"short": {"steps": [{**HELLO, "text": "Hi {{ city }}"}]}})
    with office.store.transaction() as unit:
        unit.connection.execute(tables.leads.update().where(tables.leads.c.email == BOB).values(city="Ulm"))
    done = approve(office, *keys)
    assert (done.approved, done.not_waiting) == (1, 0)
    assert [key for key, _ in done.unwritable] == [office.touch()["id"]]
    assert office.touch()["state"] == "drafted"


def test_who_was_suppressed_since_is_not_approved(office: Office) -> None:
    keys = drafted(office, 2)
    # As a write of another kind would leave it: the entry is there, and the touch still waits.
    with office.store.transaction() as unit:
        unit.connection.execute(
            tables.suppressions.insert().values(kind="address", value=ANN, reason="x", source="t", at=office.now)
        )
    assert approve(office, *keys) == Approved(1, 0, [(office.touch()["id"], "suppressed: address: x")])


def test_a_suppression_cancels_a_draft_at_once(office: Office) -> None:
    (key,) = drafted(office)
    office.suppress(ANN)
    assert approve(office, key) == Approved(0, 1, [])


def test_everything_is_approved_page_by_page_and_what_cannot_be_is_said_once(either: Office) -> None:
    drafted(either, 7, sequences={"short": {"steps": [{**HELLO, "text": "Hi {{ city }}"}]}})
    with either.store.transaction() as unit:
        unit.connection.execute(tables.leads.update().where(tables.leads.c.email != ANN).values(city="Ulm"))
    done = outbox.approve_all(either.store, "spring", by="mo", opt_out=either.opt_out, now=either.now, page=2)
    assert (done.approved, done.not_waiting, [key for key, _ in done.unwritable]) == (6, 0, [either.touch()["id"]])
    again = outbox.approve_all(either.store, "spring", by="mo", opt_out=either.opt_out, now=either.now)
    assert (again.approved, len(again.unwritable)) == (0, 1)


def test_approving_everything_leaves_other_campaigns_alone(office: Office) -> None:
    drafted(office)
    office.apply(name="autumn", mode="review", compatibility={"one_sequence_at_a_time": False})
    office.load(office.people(1), "autumn", until="nurture")
    outbox.approve_all(office.store, "autumn", by="mo", opt_out=office.opt_out, now=office.now)
    assert [t["state"] for t in office.touches()] == ["drafted"]
    assert [t["state"] for t in office.touches("autumn")] == ["planned"]


# no


@pytest.mark.parametrize("state", STATES)
def test_only_what_has_not_begun_can_be_rejected(office: Office, state: str) -> None:
    (key,) = drafted(office)
    put(office, key, state)
    still_open = state in ("drafted", "planned")
    assert outbox.reject(office.store, [key], "a customer", office.now) == still_open
    assert office.touch()["state"] == ("cancelled" if still_open else state)
    prospect = office.prospect()
    assert prospect["state"] == ("stopped" if still_open else "enrolled")
    assert prospect["state_reason"] == ("rejected: a customer" if still_open else None)


def test_a_rejected_touch_of_an_automatic_campaign_does_not_leave(office: Office) -> None:
    office.apply()
    office.load(office.people(2), until="nurture")
    office.now = WEDNESDAY
    assert outbox.reject(office.store, [office.touch()["id"]], "a customer", office.now) == 1
    assert office.send() == {"sent": 1}
    assert office.taken() == [BOB]


def test_rejecting_what_is_not_there_rejects_nothing(office: Office) -> None:
    (key,) = drafted(office)
    with pytest.raises(NotFound, match="no touch 99"):
        outbox.reject(office.store, [key, 99], "no", office.now)
    assert office.touch()["state"] == "drafted"


# what only a person can settle


def test_what_arrived_is_sent_and_the_next_step_is_planned(office: Office) -> None:
    key = uncertain(office)
    office.later(hours=1)
    assert resolve(office, key, "sent") == "sent"
    touch = office.touch()
    assert (touch["state"], touch["sent_at"], touch["reason"]) == ("sent", office.now, "settled as sent by mo")
    assert office.deliveries() == [("sent", None)]
    assert office.events() == ["sent"]
    assert office.touch(step=2)["due_at"] >= office.now + timedelta(days=3)
    office.now = MONDAY + timedelta(days=1)
    assert office.send() == {"sent": 1}
    assert office.smtp.messages[-1].data.count(touch["message_id"].encode()) == 2, "the follow-up answers it"


def test_the_last_step_that_arrived_finishes_the_prospect(office: Office) -> None:
    key = uncertain(office, sequences={"short": {"steps": [HELLO]}})
    resolve(office, key, "sent")
    assert office.prospect()["state"] == "finished"


def test_what_goes_again_keeps_its_message_id_and_its_text(either: Office) -> None:
    key = uncertain(either)
    before = either.touch()
    assert resolve(either, key, "resend") == "planned"
    assert (either.touch()["claimed_by"], either.touch()["due_at"]) == (None, either.now)
    assert either.deliveries() == [("failed", None)]
    assert either.send() == {"sent": 1}
    after = either.touch()
    assert [after[name] for name in ("message_id", "text")] == [before[name] for name in ("message_id", "text")]
    first, second = (message.data for message in either.smtp.messages)
    assert first == second, "a recipient who got both sees one message twice, not two"


def test_what_is_dropped_stops_the_sequence(office: Office) -> None:
    key = uncertain(office)
    assert resolve(office, key, "drop") == "cancelled"
    prospect = office.prospect()
    assert (prospect["state"], prospect["state_reason"]) == ("stopped", "settled as drop by mo")
    assert [row["state"] for row in office.touches()] == ["cancelled"]
    office.now = MONDAY
    assert office.send() == {}


@pytest.mark.parametrize("state", [s for s in STATES if s != "uncertain"])
@pytest.mark.parametrize("how", ["sent", "resend", "drop"])
def test_a_touch_whose_fate_is_known_cannot_be_settled(state: str, how: str, known: Office) -> None:
    key = known.touch()["id"]
    put(known, key, state)
    with pytest.raises(Refused, match=f"is {state}, not uncertain"):
        resolve(known, key, how)
    assert known.touch()["state"] == state


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite, mail_server):  # type: ignore[no-untyped-def]
    """An office with one touch, which the tests only look at."""
    import shutil
    from contextlib import ExitStack

    from office import opened

    home = tmp_path_factory.mktemp("known")
    shutil.copy(migrated_sqlite, home / "touchline.db")
    with ExitStack() as stack:
        office = opened(stack, home, "sqlite:///touchline.db", mail_server)
        drafted(office)
        yield office


def test_a_touch_that_is_not_there_cannot_be_settled(office: Office) -> None:
    with pytest.raises(NotFound, match="no touch 1"):
        resolve(office, 1, "sent")


def test_settling_the_last_step_of_who_answered_meanwhile_leaves_the_answer(office: Office) -> None:
    key = uncertain(office, sequences={"short": {"steps": [HELLO]}})
    replied(office.store, ANN, office.now)
    resolve(office, key, "sent")
    assert office.prospect()["state"] == "replied"
