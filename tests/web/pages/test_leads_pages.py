"""Leads, one lead and its events as pages: found, filtered, kept as views, decided one by one or many at once."""

import json
import re
from html import unescape

import pytest

from app.office import ANN, WEDNESDAY
from touchline.adapters.store import tables
from touchline.app import bulk
from touchline.web.pages import leads
from web.pages.conftest import HOSTILE, Person, person, words

HELD = {"name": "look", "when": "country = 'de'", "then": "held"}


def links(html: str, text: str) -> list[str]:
    """Where links and forms lead whose address has this text."""
    return [
        unescape(found) for found in re.findall(r'(?:href|action|hx-get)="([^"]*)"', html) if text in unescape(found)
    ]


def fields(html: str, action: str) -> dict[str, str]:
    """The hidden fields of the form that posts to an address."""
    form = re.search(rf'<form[^>]*action="{re.escape(action)}".*?</form>', html, re.DOTALL)
    assert form, f"no form for {action}"
    pairs = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', form[0])
    return {name: unescape(value) for name, value in pairs if name != "csrf"}


def test_a_list_without_leads_says_how_to_get_some(owner_on_each: Person) -> None:
    owner = owner_on_each
    assert "No leads yet" in owner.words("/leads")
    assert links(owner.page("/leads"), "/import")
    owner.api.enrol(1)
    assert "No lead meets this filter" in owner.words("/leads?where=employees = 7")


def test_the_list_says_who_it_is_where_they_stand_and_what_comes_next(owner_on_each: Person) -> None:
    owner = owner_on_each
    owner.api.enrol(2)
    for path in ("/leads", "/leads?campaign=spring&sort=score"):
        said = owner.words(path)
        for word in (ANN, "Firm 0", "Chief Technology Officer", "Enrolled", "sequence short", "step 1, planned"):
            assert word in said, (path, word)
        assert "Showing 2 of 2 leads" in said
    assert links(owner.page("/leads"), "/leads/1") == ["/leads/1"]


def test_a_lead_in_several_campaigns_says_where_it_stands_in_each(owner: Person) -> None:
    owner.api.enrol(1)
    owner.api.office.apply(name="autumn", rules=[HELD])
    owner.api.office.load(owner.api.office.people(1), "autumn", until="nurture")
    said = owner.words("/leads")
    assert "spring" in said
    assert "autumn" in said
    assert "Held" in said


def test_pages_follow_each_other_by_a_signed_place_and_a_forged_one_is_refused(
    owner_on_each: Person, monkeypatch
) -> None:
    monkeypatch.setattr(leads, "SHOWN", 2)
    owner = owner_on_each
    owner.api.enrol(5)
    seen, path = [], "/leads?where=employees = 120"
    for _ in range(3):
        html = owner.page(path)
        seen += re.findall(r'href="/leads/(\d+)"', html)
        path = next(iter(links(html, "cursor=")), "")
    assert (seen, path) == (["5", "4", "3", "2", "1"], "")
    assert owner.ask("GET", "/leads?cursor=AAAA").status_code == 422
    other = links(owner.page("/leads"), "cursor=")[0]
    assert owner.ask("GET", other + "&where=employees+%3D+1").status_code == 422


def test_a_search_that_takes_long_says_how_far_it_came_and_goes_on_by_itself_or_by_a_link(
    owner_on_each: Person, monkeypatch
) -> None:
    monkeypatch.setattr(leads, "BUDGET_SECONDS", 0)
    monkeypatch.setattr(leads, "STRETCH", 1)
    owner = owner_on_each
    owner.api.enrol(3)
    html = owner.page("/leads?where=first_name = 'anna'")
    assert "Looked through 1 of 3 so far" in words(html)
    assert "Looked through 2 of 3 so far" in owner.words(links(html, "/leads?where")[-1])
    for _ in range(3):
        html = owner.page(next(path for path in links(html, "/leads/rows") if "room=50" in path))
        if "Looked through" not in html:
            break
    assert ANN in html
    assert "Showing 1 of 1 leads" in words(html)
    nobody = owner.page("/leads?where=employees = 7")
    for _ in range(2):
        nobody = owner.page(links(nobody, "/leads/rows")[0])
    assert "No lead meets this filter" in words(nobody)


def test_a_condition_that_cannot_be_used_is_told_at_its_field_and_kept_for_correction(owner: Person) -> None:
    owner.api.enrol(1)
    html = owner.page("/leads?where=employes = 7", 422)
    assert "did you mean &#39;employees&#39;?" in html
    assert 'value="employes = 7"' in html
    assert 'aria-invalid="true"' in html
    assert "Head count." in html
    assert "no campaign 'sprng'" in owner.words("/leads?campaign=sprng", 422)
    assert "at most 200 characters" in owner.words("/leads?text=" + "a" * 201, 422)
    # Decisions belong to a campaign.
    assert owner.ask("GET", "/leads?where=tier = 'a'").status_code == 422
    assert owner.ask("GET", "/leads?campaign=spring&where=tier = 'a'").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/leads?campaign=a%00",
        "/leads?where=a%00",
        "/leads?text=a%00",
        "/leads?sort=x",
        "/leads/9999999999999999999",
        "/leads/0",
    ],
)
def test_what_no_person_types_is_refused_and_breaks_nothing(owner_on_each: Person, path: str) -> None:
    assert owner_on_each.ask("GET", path).status_code == 422


def test_quick_conditions_go_into_the_condition_and_out_of_it(owner: Person) -> None:
    owner.api.enrol(1)
    html = owner.page("/leads")
    chosen = next(path for path in links(html, "tier") if "where=" in path)
    assert chosen == "/leads?campaign=spring&where=tier+%3D+%27a%27"
    assert "/leads?campaign=spring" in links(owner.page(chosen), "/leads?campaign")
    both = links(owner.page("/leads?campaign=spring&where=fit = 1 OR fit = 2"), "held")[0]
    assert "%28fit+%3D+1+OR+fit+%3D+2%29+AND+state" in both
    assert owner.page(both)


def test_how_many_meet_a_filter_is_counted_apart(owner: Person) -> None:
    owner.api.enrol(2)
    assert words(owner.counted("/leads/count?where=employees = 120")) == "2"
    assert owner.ask("GET", "/leads/count?where=nonsense(").status_code == 422


def test_a_filter_is_kept_as_a_view_shown_as_a_tab_and_removed(owner_on_each: Person) -> None:
    owner = owner_on_each
    owner.api.enrol(1)
    form = fields(owner.page("/leads?campaign=spring&where=tier = 'b'&sort=score"), "/leads/views")
    answer = owner.post("/leads/views", name="Best of spring", **form)
    html = owner.page(answer.headers["location"])
    assert re.search(r'aria-current="page">Best of spring', html)
    assert (
        owner.ask("POST", "/leads/views", data={"csrf": owner.csrf, "name": "Best of spring", **form}).status_code
        == 409
    )
    owner.post("/leads/views/remove", name=fields(html, "/leads/views/remove")["name"])
    assert "Best of spring" not in owner.words("/leads?sort=oldest")
    assert [(what, how) for what, _, how in owner.api.audited() if what.startswith("view.")] == [
        ("view.add", "done"),
        ("view.add", "failed"),
        ("view.remove", "done"),
    ]


def test_the_filter_is_exported_as_a_file(owner: Person) -> None:
    owner.api.enrol(2)
    answer = owner.ask("GET", links(owner.page(f"/leads?where=email = '{ANN}'"), "/export")[0])
    assert answer.headers["content-type"].startswith("text/csv")
    assert len(answer.text.splitlines()) == 2


def test_what_is_ticked_is_shown_confirmed_and_done(owner_on_each: Person) -> None:
    owner = owner_on_each
    owner.api.enrol(3)
    path = "/leads/bulk?action=suppress&ids=1&ids=3"
    assert "Suppress: 2 leads" in owner.words(path)
    form = fields(owner.page(path), "/leads/bulk")
    refused = owner.ask("POST", "/leads/bulk", data={"csrf": owner.csrf, **form, "ids": ["1", "3"], "reason": " "})
    assert (refused.status_code, "needs a reason" in refused.text) == (422, True)
    owner.post("/leads/bulk", **{**form, "ids": ["1", "3"], "reason": "asked at the fair"})
    assert sorted(owner.api.office.suppressed()) == [("address", ANN), ("address", "ann2@firm2.com")]
    people = [ANN, "ann1@firm1.com", "ann2@firm2.com"]
    assert [owner.api.office.touch(email)["state"] for email in people] == ["cancelled", "planned", "cancelled"]
    assert ("leads.suppress", "campaign:*", "done") in owner.api.audited()


def test_the_ticked_of_a_campaign_are_stopped_there_alone(owner: Person) -> None:
    owner.api.enrol(2)
    owner.api.office.apply(name="autumn")
    owner.api.office.load(owner.api.office.people(2), "autumn", until="nurture")
    keys = [row["id"] for row in owner.api.office.rows(tables.prospects) if row["campaign_id"] == 2]
    assert keys
    owner.post("/leads/bulk", action="stop", campaign="autumn", ids=["1"], reason="no fit")
    states = {row["id"]: row["state"] for row in owner.api.office.rows(tables.prospects)}
    assert [key for key, state in states.items() if state == "stopped"] == [keys[0]]


def test_all_that_meet_the_filter_are_changed_only_if_they_are_no_more_than_were_confirmed(
    owner_on_each: Person,
) -> None:
    owner = owner_on_each
    owner.api.enrol(2)
    path = "/leads/bulk?action=stop&everybody=true&campaign=spring&where=employees = 120"
    form = fields(owner.counted(path), "/leads/bulk")
    assert form["confirmed"] == "2"
    owner.api.office.load(owner.api.office.people(1, start=5), until="nurture")
    answer = owner.ask("POST", "/leads/bulk", data={"csrf": owner.csrf, **form, "reason": "later"})
    assert answer.status_code == 409
    assert "3 leads now; 2 were confirmed" in words(answer.text)
    assert {row["state"] for row in owner.api.office.rows(tables.prospects)} == {"enrolled"}
    owner.post("/leads/bulk", **fields(answer.text, "/leads/bulk"), reason="later")
    assert {row["state"] for row in owner.api.office.rows(tables.prospects)} == {"stopped"}


def test_a_change_to_more_is_a_runs_work_and_its_page_says_what_was_decided(owner_on_each: Person, monkeypatch) -> None:
    owner = owner_on_each
    monkeypatch.setattr(bulk, "AT_ONCE", 2)
    owner.api.enrol(3)
    form = fields(owner.counted("/leads/bulk?action=stop&everybody=true&where=employees = 120"), "/leads/bulk")
    place = owner.post("/leads/bulk", **form, reason="the fair is over").headers["location"]
    assert place == "/runs/1"
    told = owner.words(place)
    for said in ("Bulk action: stop 3 leads", "the fair is over", "employees = 120", "Waiting"):
        assert said in told
    assert "0 of 3 leads" not in told
    worker = owner.api.office.worker()
    while worker.advance(1).more:
        pass
    ended = owner.page(place)
    assert "bulk 3 3 3 matched, 3 stopped, 3 touches cancelled" in words(ended)
    assert "/runs/1/retry" not in ended
    assert {row["state"] for row in owner.api.office.rows(tables.prospects)} == {"stopped"}
    for query in ("", "?job=bulk"):
        assert "Done stop 3 leads" in owner.words(f"/runs{query}")


def test_a_run_of_a_bulk_action_tells_how_many_leads_it_has_looked_at(owner: Person, monkeypatch) -> None:
    monkeypatch.setattr(bulk, "AT_ONCE", 2)
    monkeypatch.setattr(bulk, "BATCH", 2)
    owner.api.enrol(3)
    owner.post("/leads/bulk", action="requeue", confirmed="3")
    owner.api.office.worker().advance(1)
    told = json.loads(owner.page("/runs/1/progress?seconds=0").removeprefix("data: "))
    assert told == {"done": 2, "total": 3, "text": "2 of 3 leads"}


def test_leads_are_added_to_another_campaign_and_it_has_to_be_named(owner: Person) -> None:
    owner.api.enrol(2)
    owner.api.office.apply(name="autumn")
    assert "Nobody is meant" in owner.words("/leads/bulk?action=enrol")
    owner.post("/leads/bulk", 422, action="enrol", ids=["1"])
    owner.post("/leads/bulk", 404, action="enrol", ids=["1"], into="winter")
    owner.post("/leads/bulk", action="enrol", ids=["1"], into="autumn")
    assert owner.api.office.prospect(campaign="autumn")["state"] == "harvested"


def test_nothing_changes_without_the_forms_token_or_the_role(owner: Person) -> None:
    owner.api.enrol(1)
    viewer = person(owner.api, "viewer")
    changes = {
        "/leads/bulk": {"action": "suppress", "ids": "1", "reason": "x"},
        "/leads/views": {"name": "x"},
        "/leads/1/suppress": {"reason": "x"},
        "/leads/1/replied": {},
        "/leads/1/stop": {"prospect": "1", "reason": "x"},
        "/leads/1/again": {"prospect": "1"},
        "/leads/1/verdict": {"prospect": "1", "verdict": "rejected", "reason": "x"},
        "/leads/1/settle": {"touch": "1", "how": "drop"},
    }
    before = owner.api.office.decisions()
    for path, form in changes.items():
        assert owner.ask("POST", path, data=form).status_code == 403, path
        assert viewer.ask("POST", path, data={"csrf": viewer.csrf, **form}).status_code == 403, path
    assert owner.api.office.decisions() == before
    assert owner.api.office.suppressed() == []
    html = viewer.page("/leads") + viewer.page("/leads/1")
    assert 'method="post" action="/leads' not in html
    assert 'type="checkbox"' not in html


def test_a_leads_page_tells_its_scores_its_verdict_what_holds_it_and_its_journey(owner_on_each: Person) -> None:
    owner = owner_on_each
    owner.api.enrol(1)
    said = owner.words("/leads/1")
    for word in (
        "Chief Technology Officer at Firm 0",
        "by the rules: no rule matched",
        "by the route: everyone",
        "size: 50 to 500",
        "employees=120",
        "Next: step 1, planned",
        "Europe/Berlin",
        "Why is nothing sent now?",
        "No worker has ever run.",
        "Harvested",
        "Scored in spring",
        "Routed in spring",
        "0.csv",
    ):
        assert word in said, word
    assert owner.ask("GET", "/leads/77").status_code == 404


def test_a_message_is_shown_as_it_would_leave_and_as_it_left(owner_on_each: Person) -> None:
    owner = owner_on_each
    owner.api.enrol(1)
    path = links(owner.page("/leads/1"), "/touches/")[0]
    assert "how does Firm 0 do it?" in owner.words(path)
    assert "As it would leave now" in owner.words(path)
    owner.api.office.now = WEDNESDAY
    owner.api.office.smtp.script()
    assert owner.api.office.send() == {"sent": 1}
    said = owner.words("/leads/1")
    assert "how does Firm 0 do it?" in said
    assert "Sent step 1" in said
    assert "As it left." in owner.words(path)
    assert "Attempt 1: sent" in owner.words(path)
    number = path.rsplit("/", 1)[1]
    owner.api.office.load(owner.api.office.people(1, start=1), until="nurture")
    assert owner.ask("GET", f"/leads/2/touches/{number}").status_code == 404


def test_one_lead_is_suppressed_and_told_so(owner: Person) -> None:
    owner.api.enrol(1)
    owner.post("/leads/1/suppress", reason="asked on the phone")
    said = owner.words("/leads/1")
    assert "Gets nothing: suppressed" in said
    assert owner.api.office.touches()[0]["state"] == "cancelled"
    assert ("suppression.add", "lead:1", "done") in owner.api.audited()


def test_a_lead_without_an_address_cannot_be_suppressed_by_it(owner: Person) -> None:
    owner.api.office.apply()
    owner.api.office.add("", profile_url="https://linkedin.com/in/ann")
    assert 'action="/leads/1/suppress"' not in owner.page("/leads/1")
    owner.post("/leads/1/suppress", 422, reason="asked")


def test_a_reply_ends_every_sequence(owner: Person) -> None:
    owner.api.enrol(1)
    owner.post("/leads/1/replied")
    assert owner.api.office.prospect()["state"] == "replied"
    assert "Replied" in owner.words("/events?kind=replied&campaign=spring")
    assert 'action="/leads/1/replied"' not in owner.page("/leads/1")


def test_a_held_lead_gets_a_persons_verdict_with_its_reason(owner: Person) -> None:
    owner.api.enrol(1, rules=[HELD])
    key = owner.api.office.prospect()["id"]
    assert "Give it your verdict below." in owner.words("/leads/1")
    owner.post("/leads/1/verdict", 422, prospect=key, verdict="qualified")
    owner.post("/leads/1/verdict", prospect=key, verdict="qualified", reason="met at the fair")
    assert "met at the fair" in owner.words("/leads/1")
    assert ("prospect.qualified", f"prospect:{key}", "done") in owner.api.audited()
    owner.api.office.judge()
    assert owner.api.office.prospect()["state"] == "enrolled"
    owner.post("/leads/1/verdict", 409, prospect=key, verdict="rejected", reason="no")


def test_a_sequence_is_stopped_with_a_reason_and_a_lead_judged_again(owner: Person) -> None:
    owner.api.enrol(2)
    key = owner.api.office.prospect()["id"]
    owner.post("/leads/1/stop", 422, prospect=key)
    owner.post("/leads/2/stop", 404, prospect=key, reason="another's")
    owner.post("/leads/1/stop", prospect=key, reason="a customer already")
    assert "a customer already" in owner.words("/leads/1")
    assert [row["state"] for row in owner.api.office.touches()] == ["cancelled", "planned"]
    other = owner.api.office.prospect("ann1@firm1.com")["id"]
    owner.post("/leads/2/again", prospect=other)
    assert "judged again in the next run" in owner.words("/leads/2")


def test_a_message_of_unknown_fate_is_settled_where_it_stands(owner: Person) -> None:
    owner.api.enrol(1)
    touch = owner.api.office.touch()["id"]
    owner.post("/leads/1/settle", 409, touch=touch, how="drop")
    owner.post("/leads/1/settle", 404, touch=999, how="drop")
    with owner.api.office.store.transaction() as unit:
        unit.touches.settle(touch, ("planned",), "uncertain", owner.api.office.now, reason="the power failed")
    said = owner.words("/leads/1")
    assert "What became of it?" in said
    assert "may have arrived or not" in said
    owner.post("/leads/1/settle", touch=touch, how="drop")
    assert owner.api.office.touch()["state"] == "cancelled"


def test_a_lead_in_no_campaign_says_so(owner: Person) -> None:
    owner.api.enrol(1)
    with owner.api.office.store.transaction() as unit:
        unit.connection.exec_driver_sql("DELETE FROM touches")
        unit.connection.exec_driver_sql("DELETE FROM prospects")
    assert "In no campaign" in owner.words("/leads/1")
    assert "in no campaign" in owner.words("/leads")


def test_events_stand_with_their_leads_newest_first_by_kind_and_campaign(owner_on_each: Person) -> None:
    owner = owner_on_each
    assert "Nothing has happened yet" in owner.words("/events")
    owner.api.enrol(3)
    owner.api.office.add(ANN, campaign=owner.api.office.apply(name="autumn").campaign.name)
    owner.api.office.now = WEDNESDAY
    owner.api.office.send()
    html = owner.page("/events?kind=sent&campaign=spring")
    assert sorted(re.findall(r'href="/leads/(\d+)"', html)) == ["1", "2", "3"]
    assert "250" in words(html)
    assert "Nothing of this kind has happened" in owner.words("/events?kind=sent&campaign=autumn")
    assert owner.ask("GET", "/events?campaign=nowhere").status_code == 404
    assert owner.ask("GET", "/events?kind=nonsense").status_code == 422


def test_events_follow_page_by_page(owner: Person, monkeypatch) -> None:
    from touchline.web.pages import events

    monkeypatch.setattr(events, "SHOWN", 2)
    monkeypatch.setattr(events, "STRETCH", 2)
    monkeypatch.setattr(events, "LOOKED", 2)
    owner.api.enrol(3)
    owner.api.office.apply(name="autumn")
    owner.api.office.now = WEDNESDAY
    owner.api.office.send()
    html = owner.page("/events")
    rest = owner.page(links(html, "cursor=")[0])
    found = re.findall(r'href="/leads/(\d+)"', html + rest)
    assert sorted(found) == ["1", "2", "3"]
    html = owner.page("/events?campaign=autumn")
    assert "Older events have not been looked at yet" in words(html)
    assert "Nothing of this kind" in owner.words(links(html, "cursor=")[0])


@pytest.mark.parametrize("text", HOSTILE)
def test_what_others_wrote_is_shown_and_never_obeyed(owner: Person, text: str) -> None:
    values = dict.fromkeys(("first_name", "title", "company", "city", "budget note", text), text)
    owner.api.office.apply()
    owner.api.office.add("eve@firm1.com", **values)
    with owner.api.office.store.transaction() as unit:
        unit.journal.record("bounced", owner.api.office.now, lead_id=1, prospect_id=1, detail=text)
    owner.post("/leads/views", name=text.replace("/", "")[:60], text=text[:60])
    pages = ["/leads", "/leads/1", "/events", f"/leads?text={text[:60]}", "/leads/bulk?action=stop&ids=1"]
    for path in pages:
        answer = owner.ask("GET", path)
        assert answer.status_code == 200, path
        for raw in ("<script>alert", "<img src=x", " 49 ", 'href="javascript:'):
            assert raw not in answer.text, path
    answer = owner.ask("GET", "/leads", params={"where": f"title = {text}"})
    assert answer.status_code == 422
    assert "<script>alert" not in answer.text
    assert "<img src=x" not in answer.text


def test_line_breaks_in_a_reason_split_nothing(owner: Person) -> None:
    owner.api.enrol(1)
    owner.post("/leads/1/suppress", 422, reason="asked\r\nSet-Cookie: a=b")
    assert owner.api.office.suppressed() == []
