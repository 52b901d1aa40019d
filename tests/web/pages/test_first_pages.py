"""The doors and the first pages, as a browser without script sees them."""

import re

import httpx
import pytest

from app.office import TUESDAY
from touchline.app import access, campaigns
from web.pages.conftest import HOSTILE, Person, person, words


def log_in(client: httpx.Client, email: str, password: str, target: str = "/") -> httpx.Response:
    form = {"email": email, "password": password, "next": target}
    return client.post("/login", data=form, follow_redirects=False)


def test_nobody_sees_a_page_before_they_log_in_and_then_comes_where_they_wanted(owner: Person) -> None:
    client = owner.api.client
    answer = client.get("/campaigns?x=1", follow_redirects=False, headers={"Authorization": ""})
    # A header that is no key is told so; a browser sends none.
    assert answer.status_code == 303
    assert answer.headers["location"] == "/login?next=%2Fcampaigns%3Fx%3D1"
    answer = log_in(client, "olga@quillmast.example", "a sentence that nobody guesses", "/campaigns?x=1")
    assert (answer.status_code, answer.headers["location"]) == (303, "/campaigns?x=1")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"])
def test_a_login_leads_nowhere_else(owner: Person, target: str) -> None:
    answer = log_in(owner.api.client, "olga@quillmast.example", "a sentence that nobody guesses", target)
    assert answer.headers["location"] == "/"


def test_a_wrong_password_and_an_unknown_address_are_told_alike_and_then_wait(owner: Person) -> None:
    said = {
        words(log_in(owner.api.client, email, "wrong wrong wrong").text).replace(email, "")
        for email in ("olga@quillmast.example", "nobody@quillmast.example")
    }
    assert len(said) == 1
    for _ in range(5):
        answer = log_in(owner.api.client, "olga@quillmast.example", "wrong wrong wrong")
    assert "Too many log-ins have failed." in answer.text
    assert answer.status_code == 403


def test_a_workspace_is_claimed_once(owner: Person) -> None:
    client = owner.api.client
    assert client.get("/claim/anything").status_code == 200
    form = {"token": "anything", "email": "eve@evil.example", "name": "Eve", "password": "a long enough password"}
    answer = client.post("/claim", data=form)
    assert answer.status_code == 403
    assert "cannot be claimed with this link" in answer.text
    with owner.api.workspace.store.reading() as unit:
        assert len(unit.people.listed()) == 1


def test_logging_out_ends_the_session(owner: Person) -> None:
    owner.post("/logout")
    assert owner.ask("GET", "/").status_code == 303
    assert ("session.end", "user:olga@quillmast.example", "done") in owner.api.audited()


def test_a_form_without_its_token_or_from_another_site_changes_nothing(owner: Person) -> None:
    owner.api.enrol()
    before = owner.api.audited()
    for how in (
        {"data": {}},
        {"data": {"csrf": "0" * 43}},
        {"data": {"csrf": owner.csrf}, "headers": {"Origin": "https://evil.example"}},
    ):
        answer = owner.ask("POST", "/campaigns/spring/pause", **how)
        assert answer.status_code == 403
    assert owner.api.audited() == before
    assert campaigns.get(owner.api.workspace.store, "spring").state == "active"


def test_today_says_what_waits_and_what_is_still_to_set_up(owner_on_each: Person) -> None:
    shown = owner_on_each.words("/")
    assert "There is a campaign" in shown
    assert "Add a campaign" in shown
    owner_on_each.api.enrol(3)
    shown = owner_on_each.words("/")
    assert "daily:spring" in shown or "Nothing runs by itself yet" in shown
    assert "waiting for approval" in shown


def test_a_campaign_shows_its_funnel_its_gates_and_its_steps(owner_on_each: Person) -> None:
    owner_on_each.api.enrol(7)
    shown = owner_on_each.words("/campaigns")
    assert "spring" in shown
    owner_on_each.page("/campaigns/spring")
    assert owner_on_each.api.app_counts.settle(20)
    shown = owner_on_each.words("/campaigns/spring")
    assert "Why is this not sending?" in shown
    assert "7 prospects" in shown or "prospects 7" in shown
    assert "In a sequence" in shown
    links = re.findall(r'href="(/leads\?campaign=spring[^"]*)"', owner_on_each.page("/campaigns/spring"))
    assert any("state" in link for link in links)
    assert "There is no campaign" in owner_on_each.words("/campaigns/nothing", 404)


def test_a_campaign_is_paused_with_a_reason_started_and_cloned_and_each_change_is_audited(owner: Person) -> None:
    owner.api.enrol()
    owner.post("/campaigns/spring/pause", reason="a wrong price")
    assert "a wrong price" in owner.words("/campaigns/spring")
    owner.post("/campaigns/spring/start")
    owner.post("/campaigns/spring/clone", new_name="autumn")
    assert "autumn" in owner.words("/campaigns")
    assert [(action, of) for action, of, result in owner.api.audited() if result == "done"][-3:] == [
        ("campaign.pause", "campaign:spring"),
        ("campaign.start", "campaign:spring"),
        ("campaign.clone", "campaign:autumn"),
    ]
    shown = owner.words("/audit?of=campaign:spring")
    assert "campaign.pause" in shown
    assert "autumn" not in shown


def test_everything_is_stopped_and_let_go_on(owner: Person) -> None:
    owner.api.enrol()
    owner.post("/campaigns/stop-all", reason="the wrong list")
    assert "the wrong list" in owner.words("/")
    owner.post("/campaigns/start-all")
    assert "the wrong list" not in owner.words("/")


def test_a_campaign_is_checked_then_applied_and_its_versions_compared(owner: Person) -> None:
    owner.api.enrol()
    text = owner.page("/campaigns/spring/edit")
    assert "name = " in words(text)
    assert "did you mean" in owner.post("/campaigns/new", 422, text='nam = "x"', act="apply").text.replace("&#39;", "'")
    shown = owner.post("/campaigns/new", 422, text="<script>alert(1)</script>", act="check").text
    assert "<script>alert" not in shown


def test_a_viewer_sees_no_button_that_they_may_not_press(owner: Person) -> None:
    owner.api.enrol()
    viewer = person(owner.api, "viewer")
    assert "Stop everything" not in viewer.words("/campaigns")
    assert "Pause" not in viewer.words("/campaigns/spring")
    viewer.post("/campaigns/spring/pause", 403)
    viewer.page("/audit", 403)
    assert "Audit" not in viewer.words("/")


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_words_come_back_as_words(owner: Person, text: str) -> None:
    owner.api.enrol()
    owner.post("/campaigns/spring/pause", reason=text)
    for path in ("/", "/campaigns", "/campaigns/spring", "/audit"):
        shown = owner.page(path)
        assert "<script>alert" not in shown
        assert "<img src=x" not in shown
        assert "alert(1)</script>" not in shown


def test_every_answer_carries_the_policy_and_its_number(owner: Person) -> None:
    for path in ("/", "/login", "/nothing-here", "/static/touchline.css", "/static/../settings.py"):
        answer = owner.ask("GET", path, headers={"X-Request-ID": "abc-123"})
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert answer.headers["x-request-id"] == "abc-123"
    assert owner.ask("GET", "/static/../settings.py").status_code == 404


def test_an_old_session_is_none(owner: Person) -> None:
    owner.api.office.now = TUESDAY.replace(year=2028)
    assert owner.ask("GET", "/").status_code == 303
    assert access.caller_of_session(owner.api.workspace.store, owner.session, owner.api.office.now) is None
