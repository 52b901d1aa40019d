"""A lead's journey in every state that a prospect can have."""

import json

import pytest
from office import ANN, HELLO, MONDAY, TUESDAY, WEDNESDAY, Office

from touchline.app import campaigns, outbox
from touchline.app.journey import Journey, as_json, journey
from touchline.app.leads import decide, replied
from touchline.model.errors import NotFound
from touchline.sim.smtp_server import Fault


def told(office: Office, who: str = ANN) -> Journey:
    """The journey, which can always be written as JSON."""
    found = journey(office.store, who)
    json.dumps(as_json(found), default=str)
    assert [at for at, _, _ in found.happened] == sorted(at for at, _, _ in found.happened)
    return found


def what(found: Journey) -> list[str]:
    return [what for _, what, _ in found.happened]


def enrolled(office: Office, **changes: object) -> None:
    office.enrol(1, **changes)


def test_a_lead_that_is_not_there_has_no_journey(office: Office) -> None:
    with pytest.raises(NotFound):
        journey(office.store, ANN)


def test_a_harvested_lead_shows_where_it_came_from_and_nothing_else(office: Office) -> None:
    office.apply()
    office.load(office.people(1))
    found = told(office)
    assert found.happened == [(TUESDAY, "harvested", "csv 0.csv, import 1")]
    assert found.origin["name"] == "0.csv"
    assert (found.suppressed, found.chapters[0].parts, found.chapters[0].next_touch) == (None, [], None)


def test_a_lead_without_an_import_shows_its_source(office: Office) -> None:
    enrolled(office)
    with office.store.transaction() as unit:
        from touchline.adapters.store import tables

        unit.connection.execute(tables.leads.update().values(import_id=None))
    found = told(office)
    assert (found.origin, found.happened[0][1:]) == (None, ("harvested", "csv"))


def test_an_enrolled_lead_shows_parts_that_sum_to_its_scores_and_its_next_touch(either: Office) -> None:
    enrolled(either)
    found = told(either)
    (chapter,) = found.chapters
    for axis in ("fit", "opportunity"):
        assert sum(p.points for p in chapter.parts if p.axis == axis) == chapter.prospect[axis] == 60
    assert what(found) == ["harvested", "scored in spring", "qualified in spring", "routed in spring"]
    assert [detail for _, _, detail in found.happened[1:]] == [
        "fit 60, opportunity 60, tier B, by version 1", "no rule matched", "short: everyone",
    ]  # fmt: skip
    assert (chapter.next_touch["step"], chapter.next_touch["state"]) == (1, "planned")
    plain = as_json(found)
    assert plain["campaigns"][0]["score"][0] == {
        "axis": "fit", "group": "size", "part": "50 to 500", "points": 60, "evidence": "employees=120",
    }  # fmt: skip
    assert "score_parts" not in plain["campaigns"][0]
    assert not any(key.endswith("_folded") for key in plain["lead"])


def test_scores_are_explained_by_the_version_that_made_them(office: Office) -> None:
    enrolled(office)
    parts = told(office).chapters[0].parts
    office.apply(icp={
        "fit": {"other": {"parts": [{"name": "any", "when": "employees > 0", "points": 7}]}},
        "opportunity": office.document()["icp"]["opportunity"],
    })  # fmt: skip
    assert told(office).chapters[0].parts == parts
    office.judge()
    assert [(p.group, p.points) for p in told(office).chapters[0].parts if p.axis == "fit"] == [("other", 7)]


def test_a_rejected_lead_shows_the_rule(office: Office) -> None:
    office.apply()
    office.load(office.people(1, employees=5), until="nurture")
    found = told(office)
    assert found.happened[-1][1:] == ("rejected in spring", "too small")
    assert found.chapters[0].next_touch is None


def test_an_unrouted_lead_shows_what_stopped_it(office: Office) -> None:
    enrolled(office, compatibility={"blocked_countries": ["de"]})
    assert told(office).happened[-1][1:] == ("routed in spring", "nowhere: country blocked: de")


def test_a_waiting_lead_shows_that_it_has_no_address(office: Office) -> None:
    office.apply()
    office.load(office.csv(",Cy,linkedin.com/in/cy", header="Email,First Name,Profile URL"), until="nurture")
    assert told(office, "linkedin.com/in/cy").happened[-1][1:] == ("waiting in spring", "no address yet")


def test_a_held_lead_shows_who_decided_and_why(office: Office) -> None:
    enrolled(office, otherwise="held")
    decide(office.store, ANN, "spring", "rejected", by="mo", reason="a customer", now=office.now)
    office.judge()
    assert told(office).happened[-1][1:] == ("rejected in spring", "mo: a customer")


def test_a_lead_in_sequence_shows_what_left_and_what_comes_next(either: Office) -> None:
    enrolled(either)
    either.now = WEDNESDAY
    either.send()
    found = told(either)
    assert found.happened[-1] == (WEDNESDAY, "sent step 1", "250 2.0.0 taken")
    assert (found.chapters[0].next_touch["step"], len(found.chapters[0].touches)) == (2, 2)
    either.now = MONDAY
    either.send()
    found = told(either)
    assert what(found)[-2:] == ["sent step 1", "sent step 2"]
    assert found.chapters[0].next_touch is None


def test_a_failed_touch_shows_the_servers_words(office: Office) -> None:
    enrolled(office)
    office.now = WEDNESDAY
    office.smtp.script(Fault("rcpt", "5xx", text="5.1.1 no such user"))
    office.send()
    found = told(office)
    assert sorted(found.happened[-2:]) == [
        (WEDNESDAY, "failed step 1", "550 5.1.1 no such user"),
        (WEDNESDAY, "step 1 failed", "550 5.1.1 no such user"),
    ]
    assert found.suppressed == "address: not delivered: 550 5.1.1 no such user"


def test_an_uncertain_touch_is_what_waits(office: Office) -> None:
    enrolled(office)
    office.now = WEDNESDAY
    office.smtp.script(Fault("dot", "drop"))
    office.send()
    found = told(office)
    assert what(found)[-1] == "step 1 uncertain"
    assert found.chapters[0].next_touch["state"] == "uncertain"


def test_a_rejected_touch_shows_the_reason(office: Office) -> None:
    enrolled(office, mode="review")
    outbox.reject(office.store, [office.touch()["id"]], "a customer", WEDNESDAY)
    assert told(office).happened[-1] == (WEDNESDAY, "step 1 cancelled", "rejected: a customer")


def test_an_answer_and_a_suppression_are_shown(office: Office) -> None:
    enrolled(office)
    replied(office.store, ANN, WEDNESDAY)
    office.suppress("firm0.com", reason="asked by phone")
    found = told(office)
    assert found.suppressed == "domain: asked by phone"
    assert sorted(what(found)[-2:]) == ["replied", "step 1 cancelled"]


def test_each_campaign_has_its_chapter(office: Office) -> None:
    enrolled(office)
    enrolled(office, name="autumn")
    campaigns.apply(office.store, office.stored().campaign, office.now)
    office.load(office.people(1), "autumn", until="nurture")
    found = told(office)
    assert [chapter.prospect["campaign"] for chapter in found.chapters] == ["spring", "autumn"]
    assert [chapter.prospect["state"] for chapter in found.chapters] == ["enrolled", "unrouted"]


def test_the_journey_of_a_one_step_sequence_ends(office: Office) -> None:
    enrolled(office, sequences={"short": {"steps": [HELLO]}})
    office.now = WEDNESDAY
    office.send()
    assert told(office).chapters[0].prospect["state"] == "finished"
