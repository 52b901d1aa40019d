"""Approvals, the outbox and the sequence editor, as a browser without script sees them."""

import re
from html import unescape
from typing import Any

import polars as pl
import pytest

from app.office import AGAIN, ANN, HELLO, WEDNESDAY
from touchline.adapters.store import tables
from touchline.app.campaign_detail import revise
from web.pages.conftest import HOSTILE, Person, person, words

SEQUENCES = "/campaigns/spring/sequences"


def drafts(who: Person, count: int = 3, **changes: Any) -> list[int]:
    """Leads whose first messages wait for a yes."""
    who.api.enrol(count, mode="review", **changes)
    return [touch["id"] for touch in who.api.office.touches()]


def state_of(who: Person, key: int) -> str:
    return str(next(touch["state"] for touch in who.api.office.touches() if touch["id"] == key))


def name_of(who: Person, key: int) -> str:
    """The first name of the lead behind a touch."""
    office = who.api.office
    touch = next(touch for touch in office.touches() if touch["id"] == key)
    leads = {row["id"]: row["lead_id"] for row in office.rows(tables.prospects)}
    return str(next(row["first_name"] for row in office.rows(tables.leads) if row["id"] == leads[touch["prospect_id"]]))


def flashed(answer: Any) -> str:
    """What the next page will say."""
    text = re.search(r"touchline-flash=([0-9a-f]+)", answer.headers["set-cookie"])
    assert text is not None
    return bytes.fromhex(text[1]).decode()


def step_form(who: Person, **changes: Any) -> dict[str, Any]:
    """The form of the first step as the editor gives it, with some fields changed."""
    page = who.page(SEQUENCES)
    version = re.search(r'name="version" value="(\d+)"', page)
    assert version is not None
    given = {"version": version[1], "sequence": "short", "step": "1", "act": "save", "wait_days": "0"}
    return {**given, **{key: str(HELLO[key]) for key in ("name", "subject", "text")}, **changes}


def harmless(page: str) -> None:
    """None of the hostile texts stands in the page as markup."""
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert 'href="javascript:' not in page


# approvals


def test_the_queue_shows_who_waits_and_the_first_mail_whole(owner_on_each: Person) -> None:
    keys = drafts(owner_on_each)
    said = owner_on_each.words("/approvals")
    assert "3 messages wait for a yes" in said
    for name in ("Anna", "Annb", "Annc", "Firm 0", "Firm 2"):
        assert name in said
    assert "Hello Anna" in said
    assert f"To {name_of(owner_on_each, keys[0])}" in said
    assert "how does Firm" in said
    assert "1 Example Row, Dublin" in said
    assert "List-Unsubscribe" in said
    assert "Europe/Berlin" in said
    page = owner_on_each.page(f"/approvals?campaign=spring&touch={keys[1]}")
    assert f"To {name_of(owner_on_each, keys[1])}" in page
    lead = f"ann{'abc'.index(name_of(owner_on_each, keys[1])[-1])}"
    mine = next(row for row in owner_on_each.api.office.rows(tables.leads) if row["email"].startswith(lead))
    assert f'href="/leads/{mine["id"]}"' in page
    assert "size: 50 to 500" in words(page)
    assert f"To {name_of(owner_on_each, keys[2])}" in owner_on_each.words(f"/approvals/{keys[2]}/mail")
    owner_on_each.page("/approvals?campaign=none", 404)
    owner_on_each.page("/approvals/99/mail", 404)


def test_an_empty_queue_offers_the_next_thing(owner: Person) -> None:
    said = owner.words("/approvals")
    assert "Nothing waits for a yes" in said
    assert "All read" in said


def test_a_touch_behind_the_first_page_is_found_and_behind_the_last_the_queue_begins_again(owner: Person) -> None:
    keys = drafts(owner, 30)
    far = owner.page(f"/approvals?touch={keys[28]}")
    assert f"/approvals/{keys[28]}/edit" in far
    assert f"/approvals/{keys[25]}/edit" in owner.page(f"/approvals?touch={keys[25]}")
    assert f"/approvals/{keys[0]}/edit" in owner.page("/approvals?touch=99999")
    following = re.search(r'rel="next" href="([^"]+)"', owner.page("/approvals"))
    assert following is not None
    assert f"/approvals/{keys[25]}/edit" in owner.page(unescape(following[1]))


def test_one_or_many_are_approved_and_it_is_audited(owner_on_each: Person) -> None:
    keys = drafts(owner_on_each)
    answer = owner_on_each.post("/approvals/approve", only=keys[0], campaign="spring")
    assert answer.headers["location"] == f"/approvals?campaign=spring&touch={keys[0]}"
    assert flashed(answer) == "good:1 approved."
    assert f"To {name_of(owner_on_each, keys[1])}" in owner_on_each.page(answer.headers["location"])
    assert flashed(owner_on_each.post("/approvals/approve", ids=keys)) == "warn:2 approved. 1 did not wait any more."
    assert [state_of(owner_on_each, key) for key in keys] == ["planned"] * 3
    assert owner_on_each.api.audited() == [
        ("touch.approve", f"touch:{keys[0]}", "done"),
        ("touch.approve", "touches", "done"),
    ]
    owner_on_each.api.office.now = WEDNESDAY
    assert owner_on_each.api.office.send() == {"sent": 3}


def test_an_address_that_was_suppressed_meanwhile_gets_nothing(owner_on_each: Person) -> None:
    keys = drafts(owner_on_each, 2)
    # As a file does that is imported beside: the word is there, and the draft not yet cancelled.
    with owner_on_each.api.workspace.store.transaction() as unit:
        word = {
            "kind": "address",
            "value": ANN,
            "reason": "asked",
            "source": "test",
            "at": owner_on_each.api.office.now,
        }
        unit.suppressions.add(pl.DataFrame([word]))
    said = flashed(owner_on_each.post("/approvals/approve", ids=keys))
    assert said == "warn:1 approved. 1 suppressed meanwhile: nothing is sent to them."
    owner_on_each.api.office.now = WEDNESDAY
    owner_on_each.api.office.send()
    assert owner_on_each.api.office.taken() == ["ann1@firm1.com"]


def test_what_cannot_be_written_is_told_with_its_reason(owner: Person) -> None:
    owner.api.office.apply(mode="review", sequences={"short": {"steps": [{**HELLO, "text": "In {{ city }}"}]}})
    owner.api.office.load(owner.api.office.people(1), until="nurture")
    key = owner.api.office.touches()[0]["id"]
    page = owner.words("/approvals")
    assert "cannot be written" in page
    assert "city" in page
    said = flashed(owner.post("/approvals/approve", ids=[key]))
    assert said.startswith("warn:0 approved. 1 cannot be written:")
    assert "city" in said


def test_a_rejection_keeps_its_reason(owner: Person) -> None:
    keys = drafts(owner)
    answer = owner.post("/approvals/reject", ids=keys[:2], reason="customers already")
    assert "2 rejected" in flashed(answer)
    assert [state_of(owner, key) for key in keys] == ["cancelled", "cancelled", "drafted"]
    assert "customers already" in owner.api.office.touch()["reason"]
    assert "1 had left or ended already" in flashed(owner.post("/approvals/reject", only=keys[0]))


def test_nothing_ticked_is_told(owner: Person) -> None:
    drafts(owner, 1)
    for act in ("approve", "reject"):
        assert "No message is ticked" in words(owner.post(f"/approvals/{act}", 422).text)


def test_an_edit_is_what_leaves(owner: Person) -> None:
    key = drafts(owner, 1)[0]
    seen = re.search(r'name="seen" value="(\w+)"', owner.page("/approvals"))
    assert seen is not None
    form = {"subject": "A question", "text": "Hi Anna,\r\n\r\nshall we talk?", "seen": seen[1]}
    owner.post(f"/approvals/{key}/edit", **form)
    said = owner.words("/approvals")
    assert "shall we talk?" in said
    assert "edited" in said
    late = owner.post(f"/approvals/{key}/edit", 409, **{**form, "text": "mine, later"})
    assert "Somebody else has edited this draft" in late.text
    assert "mine, later" in late.text
    owner.post("/approvals/approve", only=key)
    owner.api.office.now = WEDNESDAY
    owner.api.office.send()
    raw = owner.api.office.smtp.messages[0].data.decode()
    assert "Subject: A question" in raw
    assert "shall we talk?" in raw
    gone = owner.post(f"/approvals/{key}/edit", 409, subject="S", text="too late")
    assert "too late" in gone.text


@pytest.mark.parametrize(("subject", "text"), [("", "x"), ("x", " "), ("x", "a\0b"), ("x\x07", "y")])
def test_what_cannot_be_kept_of_an_edit_is_shown_again(owner: Person, subject: str, text: str) -> None:
    key = drafts(owner, 1)[0]
    answer = owner.post(f"/approvals/{key}/edit", 422, subject=subject, text=text)
    assert "Not saved" in answer.text
    assert owner.api.office.touch()["subject"] is None


def test_line_breaks_in_a_subject_make_no_header(owner: Person) -> None:
    key = drafts(owner, 1)[0]
    owner.post(f"/approvals/{key}/edit", subject="Hello\r\nBcc: eve@evil.example", text="Hi")
    assert owner.api.office.touch()["subject"] == "Hello Bcc: eve@evil.example"
    assert "Bcc" not in re.findall(r"<dt>([^<]+)</dt>", owner.page("/approvals"))


def test_the_html_of_a_mail_may_do_nothing(owner: Person) -> None:
    html = "<h1>Hi</h1><script>alert(1)</script>"
    key = drafts(owner, 1, sequences={"short": {"steps": [{**HELLO, "html": html}]}})[0]
    answer = owner.ask("GET", f"/approvals/{key}/html")
    assert "<h1>Hi</h1>" in answer.text
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "script-src" not in policy
    assert policy.endswith("sandbox")
    assert answer.headers["x-frame-options"] == "SAMEORIGIN"
    page = owner.page("/approvals")
    assert f'<iframe sandbox src="/approvals/{key}/html"' in page
    harmless(page)


# the outbox


def test_the_outbox_lists_each_state_with_its_reasons(owner_on_each: Person) -> None:
    keys = drafts(owner_on_each)
    assert "Annb" in owner_on_each.words("/outbox?state=drafted")
    owner_on_each.post("/approvals/approve", ids=keys[:2])
    owner_on_each.post("/approvals/reject", only=keys[2], reason="a friend")
    page = owner_on_each.page("/outbox?state=planned&campaign=spring")
    assert "Anna" in page
    assert f'href="/leads/{owner_on_each.api.office.lead()["id"]}"' in page
    assert "a friend" in owner_on_each.words("/outbox?state=cancelled")
    owner_on_each.api.office.now = WEDNESDAY
    owner_on_each.api.office.send()
    assert "ann" in owner_on_each.words("/outbox?state=sent").lower()
    assert "Nothing here" in owner_on_each.words("/outbox?state=failed")
    assert "Nothing is uncertain" in owner_on_each.words("/outbox?state=uncertain")
    for state in ("deferred", "claimed", "sending", ""):
        owner_on_each.page(f"/outbox?state={state}")
    owner_on_each.page("/outbox?state=lost", 422)
    owner_on_each.page("/outbox?state=sent&cursor=x", 422)
    owner_on_each.page("/outbox?state=drafted&campaign=none", 404)


@pytest.mark.parametrize("state", ["drafted", "planned"])
def test_the_outbox_goes_on_page_by_page(owner_on_each: Person, state: str) -> None:
    keys = drafts(owner_on_each, 60)
    if state == "planned":
        owner_on_each.post("/approvals/approve", ids=keys)
    path, seen = f"/outbox?state={state}", set[str]()
    while path:
        page = owner_on_each.page(path)
        found = set(re.findall(r'<th scope="row"><a href="/leads/(\d+)"', page))
        assert found.isdisjoint(seen)
        seen |= found
        following = re.search(r'rel="next" href="([^"]+)"', page)
        path = unescape(following[1]) if following else ""
    assert len(seen) == 60


@pytest.mark.parametrize(("how", "state"), [("sent", "sent"), ("resend", "planned"), ("drop", "cancelled")])
def test_a_touch_of_unknown_fate_is_settled_from_its_page(owner_on_each: Person, how: str, state: str) -> None:
    owner_on_each.api.enrol(1)
    with owner_on_each.api.workspace.store.transaction() as unit:
        unit.touches.settle(1, ("planned",), "uncertain", owner_on_each.api.office.now, reason="the line broke")
    said = owner_on_each.words("/outbox")
    assert "the line broke" in said
    assert owner_on_each.api.office.touch()["message_id"] in unescape(owner_on_each.page("/outbox?state=uncertain"))
    owner_on_each.post("/outbox/1/settle", how=how)
    assert state_of(owner_on_each, 1) == state
    assert owner_on_each.api.audited() == [(f"touch.{how}", "touch:1", "done")]
    owner_on_each.post("/outbox/1/settle", 409, how=how)
    owner_on_each.post("/outbox/1/settle", 422, how="maybe")


# sequences


def test_the_editor_shows_steps_and_what_leads_lack(owner_on_each: Person) -> None:
    drafts(owner_on_each)
    owner_on_each.page(SEQUENCES)
    owner_on_each.api.app_counts.settle(10)
    said = owner_on_each.words(SEQUENCES)
    for text in (
        "hello",
        "again",
        "3 days later",
        "answers in the thread",
        "everyone",
        "of 3 leads",
        "written without it",
    ):
        assert text in said
    assert "something else." in owner_on_each.words(f"{SEQUENCES}?sequence=short&step=2")
    assert "New step" in owner_on_each.words(f"{SEQUENCES}?step=0")
    assert "first_name" in owner_on_each.words(f"{SEQUENCES}/lacking?sequence=short")
    owner_on_each.page(f"{SEQUENCES}?sequence=none", 404)
    owner_on_each.page("/campaigns/none/sequences", 404)


def test_a_step_is_edited_and_becomes_a_version(owner: Person) -> None:
    drafts(owner)
    answer = owner.post(SEQUENCES, **step_form(owner, text="Hi {{ first_name }},\r\n\r\nnew words."))
    assert flashed(answer).startswith("good:Saved as version 2.")
    assert "new words." in owner.page(answer.headers["location"])
    step = owner.api.office.stored().campaign.sequences["short"].steps[0]
    assert step.text == "Hi {{ first_name }},\n\nnew words."
    assert owner.api.audited() == [("sequences.revise", "campaign:spring", "done")]
    assert "Nothing was different" in flashed(owner.post(SEQUENCES, **step_form(owner, text=step.text)))


def test_steps_are_added_moved_and_taken_out(owner: Person) -> None:
    drafts(owner)

    def names() -> list[str]:
        return [step.name for step in owner.api.office.stored().campaign.sequences["short"].steps]

    added = owner.post(SEQUENCES, **step_form(owner, step="3", name="last", subject="Bye", text="Bye", wait_days="9"))
    assert added.headers["location"].endswith("step=3")
    assert names() == ["hello", "again", "last"]
    owner.post(SEQUENCES, **step_form(owner, act="later"), code=422)  # the first step then has no subject
    owner.post(SEQUENCES, **step_form(owner, step="3", name="last", subject="Bye", text="Bye", act="earlier"))
    assert names() == ["hello", "last", "again"]
    owner.post(SEQUENCES, **step_form(owner, step="2", name="last", text="Bye", act="remove"))
    assert names() == ["hello", "again"]


def test_variants_are_added_and_taken_out(owner: Person) -> None:
    drafts(owner)
    first = {"variant-1-name": "short", "variant-1-subject": "Hi", "variant-1-text": "Hi."}
    owner.post(SEQUENCES, **step_form(owner, **first, **{"variant-1-when": "employees > 50"}))
    variant = owner.api.office.stored().campaign.sequences["short"].steps[0].variants[0]
    assert (variant.name, variant.when, variant.text) == ("short", "employees > 50", "Hi.")
    assert "employees &gt; 50" in owner.page(SEQUENCES)
    bad = owner.post(SEQUENCES, 422, **step_form(owner, **first, **{"variant-1-when": "employes > 50"}))
    assert re.search(r'id="variant-1-when-error".*employes', bad.text, re.DOTALL)
    owner.post(SEQUENCES, **step_form(owner, **first, **{"variant-1-remove": "true"}))
    assert owner.api.office.stored().campaign.sequences["short"].steps[0].variants == ()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "Not A Name!"),
        ("wait_days", "soon"),
        ("wait_days", "999"),
        ("text", "Hi {{ frist_name }}"),
        ("text", " "),
        ("subject", "{% if %}"),
        ("html", "{{ snippets.none }}"),
    ],
)
def test_a_fault_is_told_at_its_place_and_what_was_typed_stays(owner: Person, field: str, value: str) -> None:
    drafts(owner)
    answer = owner.post(SEQUENCES, 422, **step_form(owner, **{"subject": "Kept as typed", field: value}))
    assert f'id="{field}-error"' in answer.text
    assert unescape(answer.text).count(value.strip()) >= 1
    assert field == "subject" or "Kept as typed" in answer.text
    assert owner.api.office.stored().version == 1


@pytest.mark.parametrize("field", ["subject", "text", "name", "variant-1-text"])
def test_control_characters_are_no_template(owner: Person, field: str) -> None:
    drafts(owner)
    answer = owner.post(SEQUENCES, 422, **step_form(owner, **{"variant-1-name": "v", field: "a\0b\x07"}))
    assert "control character" in answer.text


def test_who_was_slower_loses_nothing(owner_on_each: Person) -> None:
    drafts(owner_on_each)
    mine = step_form(owner_on_each, text="my words")
    steps = [{**HELLO, "text": "their words"}, AGAIN]
    revise(owner_on_each.api.workspace.store, "spring", {"sequences": {"short": {"steps": steps}}}, WEDNESDAY)
    answer = owner_on_each.post(SEQUENCES, 409, **mine)
    assert "has become version 2" in answer.text
    assert "my words" in answer.text
    assert "their words" in answer.text
    assert owner_on_each.api.office.stored().version == 2
    version = re.search(r'name="version" value="(\d+)"', answer.text)
    assert version is not None
    owner_on_each.post(SEQUENCES, **{**mine, "version": version[1]})
    assert owner_on_each.api.office.stored().campaign.sequences["short"].steps[0].text == "my words"


def test_a_preview_shows_what_is_not_saved_by_the_code_that_sends(owner: Person) -> None:
    drafts(owner)
    form = step_form(owner, act="preview", lead=ANN, text="Hi {{ first_name }}, unsaved at {{ company }}")
    answer = owner.post(SEQUENCES, 200, **form)
    assert "Hi Anna, unsaved at Firm 0" in answer.text
    assert owner.api.office.stored().version == 1
    part = owner.ask("POST", SEQUENCES, data={"csrf": owner.csrf, **form}, headers={"HX-Request": "true"})
    assert "Hi Anna, unsaved at Firm 0" in part.text
    assert "<html" not in part.text
    assert "which no lead has" in owner.post(SEQUENCES, 200, **{**form, "text": "{{ nothing }}"}).text
    assert "No preview" in owner.post(SEQUENCES, 200, **{**form, "lead": "nobody@nowhere.example"}).text
    assert "Write the address" in owner.post(SEQUENCES, 200, **{**form, "lead": ""}).text
    stored = owner.words(f"{SEQUENCES}?sequence=short&step=2&lead={ANN}")
    assert "Re: Hello Anna" in stored


def test_snippets_are_edited_and_their_faults_told_at_their_place(owner: Person) -> None:
    drafts(owner)
    path, page = "/campaigns/spring/snippets", f"{SEQUENCES}?part=snippets"
    form = {"version": "1", "passage-1-name": "proof", "passage-1-when": "employees > 5", "passage-1-text": "It works."}
    owner.post(path, **form, **{"passage-2-name": "proof", "passage-2-text": "For you too."})
    assert [one.text for one in owner.api.office.stored().campaign.snippets["proof"]] == ["It works.", "For you too."]
    assert "For you too." in owner.page(page)
    slow = owner.post(path, 409, **{**form, "passage-1-text": "my words"})
    assert "my words" in slow.text
    assert "has become version 2" in unescape(slow.text)
    bad = owner.post(path, 422, **{**form, "version": "2", "passage-1-when": "employes > 5"})
    assert 'id="passage-1-when-error"' in bad.text
    bad = owner.post(path, 422, **{**form, "version": "2", "passage-1-text": "a\0"})
    assert "control character" in bad.text
    owner.post(path, **{**form, "version": "2", "passage-1-remove": "true"})
    assert owner.api.office.stored().campaign.snippets == {}


def test_the_calendar_sets_what_is_due_against_the_cap(owner_on_each: Person) -> None:
    assert owner_on_each.page("/campaigns/none/calendar", 404)
    keys = drafts(owner_on_each, 3, mailboxes=[owner_on_each.api.office.mailbox(daily_cap=2)])
    assert "Nothing is planned" in owner_on_each.words("/campaigns/spring/calendar")
    owner_on_each.post("/approvals/approve", ids=keys)
    said = owner_on_each.words("/campaigns/spring/calendar")
    assert "Tuesday 09 March" in said
    assert "1 over" in said
    assert "Show as a table" in said


def test_mailboxes_that_warm_up_show_how(owner: Person) -> None:
    warm = owner.api.office.mailbox(daily_cap=40, ramp={"start": 1, "step": 2})
    keys = drafts(owner, 3, mailboxes=[warm])
    owner.post("/approvals/approve", ids=keys)
    said = owner.words("/campaigns/spring/calendar")
    assert "may leave today 1 as they warm up, 40 in a month" in said
    assert "2 over" in said
    assert "warms up by 2 a day, to 40" in owner.words("/mailboxes")
    [told] = owner.api.get("/mailboxes")["items"]
    assert (told["cap"], told["daily_cap"]) == (1, 40)


# who may what, and hostile texts


def test_a_viewer_sees_no_button_that_they_may_not_press(api: Any) -> None:
    keys = drafts(person(api), 2)
    viewer = person(api, "viewer")
    with api.workspace.store.transaction() as unit:
        unit.touches.settle(keys[1], ("drafted",), "uncertain", api.office.now)
    for path in (
        "/approvals",
        "/outbox?state=uncertain",
        SEQUENCES,
        f"{SEQUENCES}?part=snippets",
        f"{SEQUENCES}?lead={ANN}",
    ):
        forms = re.findall(r'<form[^>]*method="post"[^>]*action="([^"]+)"', viewer.page(path))
        assert set(forms) <= {"/logout"}, path
    assert "Hi Anna" in viewer.page(f"{SEQUENCES}?lead={ANN}")
    for path, form in _changes(keys).items():
        viewer.post(path, 403, **form)
    assert [touch["state"] for touch in api.office.touches()] == ["drafted", "uncertain"]
    reviewer = person(api, "reviewer")
    reviewer.post("/approvals/approve", only=keys[0])
    reviewer.post(SEQUENCES, 403, **step_form(person(api)))


def test_no_form_works_without_its_token(owner: Person) -> None:
    keys = drafts(owner, 2)
    for path, form in _changes(keys).items():
        assert owner.post(path, 403, **form, csrf="x").status_code == 403
    assert owner.api.audited() == []


def _changes(keys: list[int]) -> dict[str, dict[str, Any]]:
    return {
        "/approvals/approve": {"ids": keys},
        "/approvals/reject": {"ids": keys},
        f"/approvals/{keys[0]}/edit": {"subject": "S", "text": "T"},
        f"/outbox/{keys[1]}/settle": {"how": "drop"},
        SEQUENCES: {"sequence": "short", "step": "1", "version": "1"},
        "/campaigns/spring/snippets": {"version": "1"},
    }


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_of_leads_come_back_escaped(owner: Person, text: str) -> None:
    owner.api.office.apply(mode="review")
    owner.api.office.add("eve@firm1.com", first_name=text, company=text, last_name="\u202eevil")
    key = owner.api.office.touches()[0]["id"]
    for path in ("/approvals", f"/approvals/{key}/mail", "/outbox?state=drafted", f"{SEQUENCES}?lead=eve@firm1.com"):
        harmless(owner.page(path))


@pytest.mark.parametrize("text", [one for one in HOSTILE if "{{" not in one])
def test_hostile_texts_of_templates_come_back_escaped(owner: Person, text: str) -> None:
    drafts(owner)
    form = step_form(owner, subject=f"Hi {text}", text=text, html=text, lead=ANN, **{"variant-1-name": text})
    harmless(owner.post(SEQUENCES, 422, **form).text)
    harmless(owner.post(SEQUENCES, 200, **{**form, "variant-1-name": "", "act": "preview"}).text)
    owner.post(SEQUENCES, **{**form, "variant-1-name": ""})
    for path in ("/approvals", SEQUENCES, "/outbox?state=drafted"):
        harmless(owner.page(path))
