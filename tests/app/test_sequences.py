"""Sequences in their editor: what leads lack, the preview that is what leaves, and the days to come."""

from datetime import date
from zoneinfo import ZoneInfo

import pytest
from office import AGAIN, ANN, HELLO, MARA, MONDAY, TUESDAY, WEDNESDAY, Office

from touchline.app import sequences
from touchline.app.approvals import Rendered
from touchline.app.campaign_detail import revise
from touchline.app.desk import Count
from touchline.app.sequences import Coming, Lack, StepLack, coming, lacking
from touchline.model.errors import InvalidInput, NotFound

NEEDY = {
    "name": "needy",
    "wait_days": 0,
    "subject": "{{ company }} and {{ extra.pain }}",
    "text": "Hi {{ first_name | default: 'there' }}, {{ snippets.offer }} {% if employees > 5 %}{{ tech }}{% endif %}",
    "variants": [{"name": "short", "subject": "Hi {{ first_name }}", "text": "{{ sender.name }} {{ extra.joy.size }}"}],
}
OFFER = {"offer": [{"text": "to {{ city }}", "when": "employees > 5"}, {"text": "to you"}]}


def preview(office: Office, step: int = 1, variant: str | None = None, who: str = ANN, **how: object) -> Rendered:
    return sequences.preview(
        office.store,
        "spring",
        "short",
        step,
        variant,
        who,
        office.opt_out,
        office.now,
        **how,  # type: ignore[arg-type]
    )


def test_sequences_come_with_their_names_routes_and_what_an_edit_starts_from(either: Office) -> None:
    either.apply(sequences={"short": {"steps": [NEEDY, AGAIN]}, "long": {"steps": [HELLO]}}, snippets=OFFER)
    found = sequences.sequences(either.store, "spring")
    assert (found.campaign, found.version) == ("spring", 1)
    assert [(one.name, one.routes) for one in found.sequences] == [("long", []), ("short", ["everyone"])]
    steps = found.sequences[1].steps
    names = ["city", "company", "employees", "extra.joy", "extra.pain", "first_name", "tech"]
    assert [(step.number, step.variables) for step in steps] == [(1, names), (2, ["first_name"])]
    assert steps[0].step.variants[0].name == "short"
    assert revise(either.store, "spring", found.document, either.now, version=1).change == "unchanged"


def test_what_leads_lack_is_counted_and_what_is_needed_stands_first(either: Office) -> None:
    either.apply(sequences={"short": {"steps": [NEEDY, AGAIN]}}, snippets=OFFER)
    header = "Email,First Name,Company,Employees,Tech,Country,pain,joy"
    rows = (
        "a@firm1.com,Ann,Firm,100,python,Germany,slow,x",
        "b@firm1.com,,,,,Germany,,",
        "c@firm1.com,Cem,Firm,20,,Germany,,y",
    )
    either.load(either.csv(*rows, header=header), until="nurture")
    either.apply(name="other")
    either.load(either.people(2), "other", until="nurture")
    found = lacking(either.store, "spring", "short")
    assert found is not None
    assert (found.leads, found.sample) == (3, False)
    assert found.steps[0] == StepLack(
        1,
        "needy",
        [
            Lack("city", 3, needed=True),
            Lack("extra.pain", 2, needed=True),
            Lack("tech", 2, needed=True),
            Lack("company", 1, needed=True),
            Lack("extra.joy", 1, needed=True),
            Lack("first_name", 1, needed=True),
            Lack("employees", 1, needed=False),
        ],
    )
    assert found.steps[1] == StepLack(2, "again", [Lack("first_name", 1, needed=False)])


def test_of_many_leads_the_newest_are_looked_at(either: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequences, "SAMPLE", 5)
    monkeypatch.setattr(sequences, "SPAN", 2)
    either.apply()
    either.load(either.people(5), until="nurture")
    found = lacking(either.store, "spring", "short")
    assert found is not None
    assert (found.leads, found.sample) == (5, False)
    either.add("zoe@firm1.com", first_name="")
    found = lacking(either.store, "spring", "short")
    assert found is not None
    assert (found.leads, found.sample) == (5, True)
    assert Lack("first_name", 1, needed=False) in found.steps[0].lacks


def test_looking_ends_when_it_is_told_to_and_an_empty_campaign_lacks_nothing(office: Office) -> None:
    office.apply()
    assert lacking(office.store, "spring", "short", ending=lambda: True) is None
    found = lacking(office.store, "spring", "short")
    assert found is not None
    assert found.leads == 0
    with pytest.raises(NotFound, match="no sequence 'none'"):
        lacking(office.store, "spring", "none")


def test_a_preview_is_what_leaves(either: Office) -> None:
    either.enrol()
    either.now = WEDNESDAY
    found = preview(either)
    assert either.send()["sent"] == 1
    touch = either.touch()
    assert (found.subject, found.text) == (touch["subject"], touch["text"])
    headers = dict(found.headers)
    assert headers["Message-ID"] == touch["message_id"]
    assert headers["From"] == f"Mara Ellin <{MARA}>"
    later = preview(either, 2)
    either.now = MONDAY
    assert either.send()["sent"] == 1
    assert (later.subject, later.text) == (either.touch(step=2)["subject"], either.touch(step=2)["text"])
    assert dict(later.headers)["References"] == touch["message_id"]


def test_a_later_step_is_shown_in_the_thread_that_would_come_before_it(either: Office) -> None:
    either.apply(sequences={"short": {"steps": [HELLO, AGAIN, {**AGAIN, "name": "last"}]}})
    either.load(either.people(1), until="score")
    found = preview(either, 3)
    assert found.subject == "Re: Hello Anna"
    assert dict(found.headers)["References"].count("@") == 2
    assert either.touches() == []


def test_a_lead_of_another_campaign_can_be_shown_too(office: Office) -> None:
    office.apply(name="other")
    office.load(office.people(1), "other", until="nurture")
    office.apply()
    assert preview(office).subject == "Hello Anna"


def test_changes_are_shown_without_being_kept(either: Office) -> None:
    either.enrol()
    changed = {"sequences": {"short": {"steps": [{**HELLO, "subject": "New {{ first_name }}"}]}}}
    assert preview(either, changes=changed).subject == "New Anna"
    assert either.stored().version == 1
    with pytest.raises(InvalidInput, match="first_name"):
        preview(either, changes={"sequences": {"short": {"steps": [{**HELLO, "text": "{{ first_nam }}"}]}}})


def test_a_variant_is_shown_as_asked_and_what_cannot_be_written_says_why(office: Office) -> None:
    office.enrol(sequences={"short": {"steps": [NEEDY]}}, snippets=OFFER)
    assert preview(office, variant="short").problem is not None
    assert "extra.joy" in str(preview(office, variant="short").problem)
    plain = {**HELLO, "variants": [{"name": "b", "subject": "B", "text": "b"}]}
    office.apply(sequences={"short": {"steps": [plain]}})
    assert preview(office, variant="b").subject == "B"
    for step, variant, why in ((2, None, "no step 2"), (1, "c", "no variant 'c'")):
        with pytest.raises(NotFound, match=why):
            preview(office, step, variant)
    with pytest.raises(NotFound, match="no variant 'x'"):
        preview(office, variant="x", changes={"sequences": {"short": {"steps": [HELLO]}}})


def test_a_campaign_without_a_mailbox_can_be_read_and_a_lead_without_an_address_not(office: Office) -> None:
    office.apply(mailboxes=[])
    office.load(office.people(1), until="nurture")
    assert preview(office).subject == "Hello Anna"
    office.load(office.csv("Kim,https://linkedin.com/in/kim", header="First Name,LinkedIn"))
    with pytest.raises(InvalidInput, match="no address yet"):
        preview(office, who="linkedin.com/in/kim")


# what is to come


def test_the_calendar_counts_what_is_due_by_day_and_campaign(either: Office) -> None:
    either.enrol(3, mailboxes=[either.mailbox(daily_cap=7), either.mailbox("b@quillmast.example", daily_cap=3)])
    assert coming(either.store, TUESDAY) == [Coming(date(2027, 3, 9), "spring", Count(3), 10)]
    either.now = WEDNESDAY
    assert coming(either.store, WEDNESDAY) == [Coming(date(2027, 3, 10), "spring", Count(3), 10)]  # late
    either.send()
    due = sorted({row["due_at"].date() for row in either.touches() if row["step"] == 2})
    found = coming(either.store, WEDNESDAY)
    assert [one.day for one in found] == due
    assert sum(one.touches.value for one in found) == 3
    assert coming(either.store, WEDNESDAY, days=2) == []


def test_days_are_those_of_the_zone_and_a_count_has_a_bound(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    office.enrol(3)
    monkeypatch.setattr(sequences, "MOST", 2)
    days = [row["due_at"].astimezone(ZoneInfo("Pacific/Apia")).date() for row in office.touches()]
    found = coming(office.store, TUESDAY, zone="Pacific/Apia")
    assert {one.day: one.touches.value for one in found} == {day: min(2, days.count(day)) for day in days}
    [one] = coming(office.store, WEDNESDAY)
    assert one.touches == Count(2, more=True)
    office.apply(name="empty", mailboxes=[])
    assert len(coming(office.store, WEDNESDAY)) == 1
