"""Leads: found by what people type, listed by rules, and decided on by persons."""

import pytest
from office import ANN, WEDNESDAY, Office

from touchline.adapters.store import tables
from touchline.app import leads
from touchline.app.ports import Row
from touchline.model.errors import InvalidInput, NotFound, Refused

PROFILE = "linkedin.com/in/cy"


def found(office: Office, who: str) -> Row:
    with office.store.reading() as unit:
        return leads.find(unit, who)


def decide(office: Office, who: str = ANN, verdict: str = "qualified", reason: str = " met at the fair ") -> Row:
    return leads.decide(
        office.store, who, "spring", verdict, by="mo", reason=reason, now=office.now  # type: ignore[arg-type]
    )  # fmt: skip


def held(office: Office) -> None:
    office.apply(otherwise="held")
    office.load(office.people(1), until="nurture")
    assert office.prospect()["state"] == "held"


# finding


@pytest.mark.parametrize("who", [ANN, "ANN0@FIRM0.COM", " ann0+news@firm0.com ", "Ann Lee <ann0@firm0.com>"])
def test_a_lead_is_found_by_any_spelling_of_its_address(office: Office, who: str) -> None:
    office.apply()
    office.load(office.people(2))
    assert found(office, who)["email"] == ANN


def test_a_lead_without_an_address_is_found_by_its_profile(office: Office) -> None:
    office.apply()
    office.load(office.csv(f",Cy,https://{PROFILE}/", header="Email,First Name,Profile URL"))
    for who in (PROFILE, PROFILE.upper(), f"profile:{PROFILE}"):
        assert found(office, who)["first_name"] == "Cy"


def test_a_lead_is_found_by_its_profile_as_a_browser_shows_it(office: Office) -> None:
    office.apply()
    office.load(office.csv(f",Cy,https://www.{PROFILE}/", header="Email,First Name,Profile URL"))
    assert found(office, f"https://www.{PROFILE}/")["first_name"] == "Cy"


@pytest.mark.parametrize("who", ["no@firm0.com", "nobody", "", "source:csv:1"])
def test_who_is_not_there_is_not_found(office: Office, who: str) -> None:
    with pytest.raises(NotFound, match="There is no lead"):
        found(office, who)


# pages


def test_leads_come_in_pages_in_order_of_key(either: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leads, "PAGE", 4)
    either.apply()
    either.load(either.people(9))

    def pages(**how: object) -> list[list[int]]:
        given = {"campaign": None, "where": None, "limit": None} | how
        return [[row["id"] for row in page] for page in leads.pages(either.store, **given)]  # type: ignore[arg-type]

    assert pages() == [[1, 2, 3, 4], [5, 6, 7, 8], [9]]
    assert pages(limit=6) == [[1, 2, 3, 4], [5, 6]]
    assert pages(limit=4) == [[1, 2, 3, 4]]
    assert pages(limit=0) == []
    assert pages(after=7) == [[8, 9]]
    assert pages(after=9) == []
    assert pages(where="domain = 'firm1.com'") == [[2, 9]]
    assert pages(where="employees > 1000") == []


def test_with_a_campaign_leads_come_with_their_decisions_and_rules_may_ask_for_them(office: Office) -> None:
    office.apply()
    office.load(office.people(3), until="nurture")
    office.apply(name="autumn")
    (page,) = leads.pages(
        office.store, campaign="spring", where="tier = 'b' AND fit >= 60 OR verdict = 'qualified'", limit=9
    )
    assert [(row["state"], row["fit"]) for row in page] == [("enrolled", 60)] * 3
    assert list(leads.pages(office.store, campaign="autumn", where=None, limit=None)) == []
    with pytest.raises(InvalidInput, match="fit"):
        list(leads.pages(office.store, campaign=None, where="fit > 3", limit=9))
    with pytest.raises(NotFound, match="no campaign"):
        list(leads.pages(office.store, campaign="none", where=None, limit=9))


# answers


def test_who_answered_gets_nothing_more_in_any_campaign(either: Office) -> None:
    either.apply()
    either.apply(name="autumn", compatibility={"one_sequence_at_a_time": False})
    for name in ("spring", "autumn"):
        either.load(either.people(1), name, until="nurture")
    lead, cancelled = leads.replied(either.store, "ANN0+x@firm0.com", either.now)
    assert (lead["email"], cancelled) == (ANN, 2)
    assert [p["state"] for p in either.rows(tables.prospects)] == ["replied"] * 2
    (event,) = either.rows(tables.events)
    assert (event["kind"], event["account"], event["detail"]) == ("replied", "firm0.com", "recorded by hand")
    either.now = WEDNESDAY
    assert either.send() == {}
    assert leads.replied(either.store, ANN, either.now)[1] == 0


def test_colleagues_of_who_answered_are_not_enrolled(office: Office) -> None:
    office.apply()
    office.load(office.people(1), until="nurture")
    leads.replied(office.store, ANN, office.now)
    office.add("bo@firm0.com", company="Firm 0", domain="firm0.com")
    row = office.prospect("bo@firm0.com")
    assert (row["state"], row["route_reason"]) == ("unrouted", "company has replied")


def test_an_answer_of_nobody_is_not_recorded(office: Office) -> None:
    with pytest.raises(NotFound):
        leads.replied(office.store, ANN, office.now)
    assert office.events() == []


# verdicts


def test_a_persons_verdict_is_kept_with_name_and_reason_and_the_next_run_goes_on_from_it(either: Office) -> None:
    held(either)
    assert decide(either)["email"] == ANN
    row = either.prospect()
    assert (row["verdict"], row["verdict_reason"], row["decided_by"]) == ("qualified", "mo: met at the fair", "mo")
    assert (row["state"], row["pending"]) == ("held", 1)
    assert either.judge() == 1
    assert either.touch()["state"] == "planned"


def test_a_person_may_think_again(office: Office) -> None:
    held(office)
    decide(office, verdict="rejected")
    office.judge()
    assert office.prospect()["state"] == "rejected"
    decide(office)
    office.judge()
    assert office.prospect()["state"] == "enrolled"


def test_what_was_held_because_it_could_not_be_written_goes_on_after_a_yes(office: Office) -> None:
    from office import HELLO

    office.apply(sequences={"short": {"steps": [{**HELLO, "text": "Hi {{ city }}"}]}})
    office.load(office.people(1), until="nurture")
    office.now = WEDNESDAY
    assert office.send() == {"unwritable": 1}
    with office.store.transaction() as unit:
        unit.connection.execute(tables.leads.update().values(city="Ulm"))
    decide(office)
    office.judge()
    office.now = office.touch()["due_at"]
    assert office.send() == {"sent": 1}


def test_what_was_held_in_the_middle_of_a_sequence_goes_on_after_a_yes(office: Office) -> None:
    from office import AGAIN, HELLO, MONDAY

    office.apply(sequences={"short": {"steps": [HELLO, {**AGAIN, "text": "Hi {{ city }}"}]}})
    office.load(office.people(1), until="nurture")
    office.now = WEDNESDAY
    office.send()
    office.now = MONDAY
    assert office.send() == {"unwritable": 1}
    with office.store.transaction() as unit:
        unit.connection.execute(tables.leads.update().values(city="Ulm"))
    decide(office)
    office.judge()
    assert (office.prospect()["state"], office.touch(step=2)["state"]) == ("enrolled", "planned")


@pytest.mark.parametrize("reason", ["", "  "])
def test_a_verdict_without_a_reason_is_refused(office: Office, reason: str) -> None:
    held(office)
    with pytest.raises(InvalidInput, match="needs a reason"):
        decide(office, reason=reason)
    assert office.prospect()["decided_by"] is None


@pytest.mark.parametrize("state", ["enrolled", "finished", "replied", "stopped"])
def test_where_a_sequence_has_begun_or_ended_a_verdict_comes_too_late(office: Office, state: str) -> None:
    held(office)
    with office.store.transaction() as unit:
        unit.prospects.set([office.prospect()["id"]], office.now, state=state)
    with pytest.raises(Refused, match=f"is {state} in 'spring' already"):
        decide(office)


def test_a_verdict_wants_a_lead_that_is_in_the_campaign(office: Office) -> None:
    office.apply()
    office.apply(name="autumn")
    office.load(office.people(1), "autumn")
    with pytest.raises(NotFound, match="is not in campaign 'spring'"):
        decide(office)
    with pytest.raises(NotFound, match="There is no lead"):
        decide(office, "no@firm0.com")
