"""A campaign in detail: steps add up to the ledger, versions differ where they differ, and no edit is taken half."""

from datetime import timedelta

import pytest
from office import AGAIN, ANN, HELLO, MARA, MONDAY, WEDNESDAY, Office

from touchline.app import campaign_detail
from touchline.app.campaign_detail import Change, StepLine, clone, difference, revise, steps, versions
from touchline.app.leads import replied
from touchline.model.errors import InvalidInput, NotFound, Refused
from touchline.sim.smtp_server import Fault

COUNTS = ("planned", "drafted", "sending", "sent", "replied", "bounced", "failed", "cancelled", "uncertain")


def table(office: Office) -> dict[tuple[str, int], dict[str, int]]:
    """The counts of each step that are not 0."""
    found = steps(office.store, "spring")
    assert found is not None
    return {(line.sequence, line.step): {n: c for n in COUNTS if (c := getattr(line, n))} for line in found}


def test_a_campaign_without_prospects_shows_its_steps(either: Office) -> None:
    either.apply()
    assert steps(either.store, "spring") == [
        StepLine("short", 1, "hello", HELLO["subject"], 0, *[0] * 9, present=True),  # type: ignore[arg-type]
        StepLine("short", 2, "again", None, 3, *[0] * 9, present=True),
    ]


def test_every_touch_stands_in_the_line_of_its_step(either: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign_detail, "SPAN", 2)
    either.enrol(5)
    assert table(either) == {("short", 1): {"planned": 5}, ("short", 2): {}}
    either.now = WEDNESDAY
    either.smtp.script(Fault("rcpt", "5xx", matches="ann1@"), Fault("dot", "drop", matches="ann2@"))
    either.send(limit=4)
    either.send()
    assert table(either) == {("short", 1): {"sent": 3, "failed": 1, "uncertain": 1}, ("short", 2): {"planned": 3}}
    either.now = MONDAY
    either.send(limit=1)
    for email in (ANN, "ann3@firm3.com", "ann4@firm4.com"):
        replied(either.store, email, either.now)
    found = table(either)
    assert found["short", 1]["replied"] == 2
    assert found["short", 2] == {"sent": 1, "replied": 1, "cancelled": 2}


def test_a_message_that_came_back_is_counted_once(office: Office) -> None:
    office.enrol()
    office.now = WEDNESDAY
    office.send()
    touch = office.touch()
    with office.store.transaction() as unit:
        for _ in range(2):
            unit.journal.record("bounced", office.now, lead_id=office.lead()["id"], touch_id=touch["id"])
    assert table(office)["short", 1] == {"sent": 1, "bounced": 1}


def test_what_an_earlier_version_sent_stays_counted(office: Office) -> None:
    office.enrol(sequences={"short": {"steps": [HELLO, AGAIN]}})
    office.now = WEDNESDAY
    office.send()
    office.apply(sequences={"short": {"steps": [HELLO]}})
    lines = steps(office.store, "spring")
    assert lines is not None
    assert [(line.step, line.name, line.present, line.planned) for line in lines] == [
        (1, "hello", True, 0),
        (2, "step 2", False, 1),
    ]


def test_counting_ends_when_it_is_told_to(office: Office) -> None:
    office.enrol()
    assert steps(office.store, "spring", ending=lambda: True) is None
    with pytest.raises(NotFound):
        steps(office.store, "none")


def test_versions_are_listed_and_their_differences_named(either: Office) -> None:
    either.apply()
    either.later(hours=1)
    text = {**HELLO, "text": "Hi"}
    either.apply(otherwise="held", sequences={"short": {"steps": [text, AGAIN]}})
    found = versions(either.store, "spring")
    assert [(one.version, one.present) for one in found] == [(2, True), (1, False)]
    assert found[0].applied_at - found[1].applied_at == timedelta(hours=1)
    assert difference(either.store, "spring", 1, 2) == [
        Change("otherwise", "qualified", None),
        Change("sequences.short.steps[hello].text", HELLO["text"], "Hi"),  # type: ignore[arg-type]
    ]
    assert difference(either.store, "spring", 2, 2) == []
    with pytest.raises(NotFound, match="no version 3"):
        difference(either.store, "spring", 1, 3)


def test_entries_of_lists_are_named_by_what_they_are_called(office: Office) -> None:
    office.apply()
    either = {"text": "One", "when": "employees > 5"}
    office.apply(mailboxes=[office.mailbox(daily_cap=3)], snippets={"opener": [either]}, window={"days": ["mon"]})
    assert [(change.path, change.before, change.after) for change in difference(office.store, "spring", 1, 2)] == [
        (f"mailboxes[{MARA}].daily_cap", "1000", "3"),
        ("snippets.opener[1].text", None, "One"),
        ("snippets.opener[1].when", None, "employees > 5"),
        ("window.days", None, '["mon"]'),
    ]


def test_a_copy_is_paused_and_has_nobody_in_it(either: Office) -> None:
    either.enrol()
    made = clone(either.store, "spring", "summer", either.now)
    assert (made.name, made.version, made.state) == ("summer", 1, "paused")
    copy, first = either.stored("summer"), either.stored()
    assert copy.state == "paused"
    assert copy.campaign == first.campaign.model_copy(update={"name": "summer"})
    assert either.touches("summer") == []
    with pytest.raises(Refused, match="There is a campaign 'summer'"):
        clone(either.store, "spring", "summer", either.now)
    with pytest.raises(InvalidInput, match="name"):
        clone(either.store, "spring", "Not A Name", either.now)


def test_a_copy_of_what_is_incomplete_is_a_draft(office: Office) -> None:
    office.apply(mailboxes=[])
    assert clone(office.store, "spring", "summer", office.now).state == "draft"


def test_an_edit_becomes_the_present_version(either: Office) -> None:
    either.apply()
    shorter = {"short": {"steps": [{**HELLO, "wait_days": 1}]}}
    done = revise(either.store, "spring", {"sequences": shorter}, either.now, version=1)
    assert (done.version, done.change) == (2, "revised")
    campaign = either.stored().campaign
    assert [step.wait_days for step in campaign.sequences["short"].steps] == [1]
    assert campaign.mailboxes[0].address == MARA
    assert revise(either.store, "spring", {"sequences": shorter}, either.now).change == "unchanged"
    revise(either.store, "spring", {"snippets": {"opener": [{"text": "Hi"}]}}, either.now)
    assert revise(either.store, "spring", {"snippets": None}, either.now).change == "revised"
    assert either.stored().campaign.snippets == {}


def test_an_edit_with_a_fault_names_the_key_and_changes_nothing(office: Office) -> None:
    office.apply()
    broken = {"short": {"steps": [{**HELLO, "text": "Hi {{ first_nam }}"}, {**AGAIN, "wait_days": -1}]}}
    with pytest.raises(InvalidInput, match="wait_days"):
        revise(office.store, "spring", {"sequences": broken}, office.now)
    with pytest.raises(InvalidInput, match="first_name"):
        revise(office.store, "spring", {"sequences": {"short": {"steps": broken["short"]["steps"][:1]}}}, office.now)
    with pytest.raises(InvalidInput, match="keeps its name"):
        revise(office.store, "spring", {"name": "other"}, office.now)
    assert office.stored().version == 1


def test_an_edit_of_what_somebody_else_has_changed_is_refused(either: Office) -> None:
    either.apply()
    either.apply(otherwise="held")
    with pytest.raises(Refused, match="has become version 2; this change was made from 1"):
        revise(either.store, "spring", {"mode": "review"}, either.now, version=1)
    assert either.stored().campaign.mode == "automatic"
