"""Touches over the API: drafts are read, edited, approved and rejected by people, and uncertain ones settled."""

import pytest

from app.office import WEDNESDAY


def drafts(site, count=3):
    """Leads whose first messages wait for a yes."""
    site.enrol(count, mode="review")
    return [touch["id"] for touch in site.pages("/touches")]


def test_drafts_are_listed_by_campaign_page_by_page(either):
    keys = drafts(either, 5)
    assert keys == sorted(keys)
    assert len(keys) == 5
    either.office.apply(name="autumn", mode="review")
    assert either.get("/touches?campaign=autumn")["items"] == []
    assert [touch["id"] for touch in either.pages("/touches?campaign=spring")] == keys
    listed = either.get("/touches?limit=1")["items"][0]
    assert (listed["id"], listed["campaign"], listed["state"]) == (keys[0], "spring", "drafted")
    assert either.get("/touches?state=sent", 422)["code"] == "invalid_request"
    assert either.get("/touches?campaign=none", 404)["code"] == "not_found"
    assert either.get("/touches/waiting?campaign=spring") == {"count": 5, "more": False}


def test_a_touch_is_read_as_it_would_leave(either):
    key = drafts(either, 1)[0]
    told = either.get(f"/touches/{key}")
    mail = told["mail"]
    assert (mail["subject"], mail["problem"]) == ("Hello Anna", None)
    assert "how does Firm 0 do it?" in mail["text"]
    assert "1 Example Row, Dublin" in mail["text"]
    assert "1 Example Row, Dublin" not in mail["body"]
    assert {header["name"] for header in mail["headers"]} >= {"From", "To", "Subject", "List-Unsubscribe"}
    assert either.get("/touches/99", 404)["code"] == "not_found"


def test_an_approved_text_is_the_text_that_leaves(either):
    keys = drafts(either)
    done = either.post("/touches/approve", {"ids": [*keys[:2], 99]}, role="reviewer")
    assert done == {"approved": 2, "suppressed": 0, "gone": 1, "unwritable": [], "dry_run": False}
    said = either.get(f"/touches/{keys[0]}")
    assert said["state"] == "planned"
    assert said["approved_by"].startswith("key:")
    either.office.now = WEDNESDAY
    assert either.office.send() == {"sent": 2}
    assert either.get(f"/touches/{keys[0]}")["mail"]["subject"] == said["mail"]["subject"]


def test_a_dry_run_of_an_approval_approves_nothing(either):
    keys = drafts(either)
    either.office.suppress("ann1@firm1.com")
    tried = either.post("/touches/approve?dry_run=true", {"ids": keys})
    assert (tried["approved"], tried["gone"], tried["dry_run"]) == (2, 1, True)
    assert either.get("/touches/waiting")["count"] == 2
    tried = either.post("/touches/reject?dry_run=true", {"ids": keys})
    assert (tried["rejected"], tried["gone"]) == (2, 1)
    assert either.get("/touches/waiting")["count"] == 2
    assert [action for action, *_ in either.audited()] == ["touch.try", "touch.try"]


def test_a_rejected_touch_never_leaves(either):
    keys = drafts(either)
    done = either.post("/touches/reject", {"ids": keys[:1], "reason": "a customer already"})
    assert done == {"rejected": 1, "gone": 0, "dry_run": False}
    told = either.get(f"/touches/{keys[0]}")
    assert (told["state"], "a customer already" in told["reason"]) == ("cancelled", True)
    assert either.post("/touches/reject", {"ids": keys[:1]})["gone"] == 1


def test_a_draft_is_edited_by_one_person_at_a_time(either):
    key = drafts(either, 1)[0]
    answer = either.ask("GET", f"/touches/{key}")
    seen = {"If-Match": answer.headers["etag"]}
    body = {"subject": "A question", "text": "Hi Anna,\n\nshall we talk?"}
    done = either.ask("PATCH", f"/touches/{key}", json=body, headers=seen)
    assert (done.status_code, done.json()["mail"]["subject"]) == (200, "A question")
    assert done.json()["mail"]["body"] == body["text"]
    assert "1 Example Row, Dublin" in done.json()["mail"]["text"]
    late = either.ask("PATCH", f"/touches/{key}", json=body, headers=seen)
    assert (late.status_code, late.json()["code"]) == (412, "changed_meanwhile")
    once_more = either.ask("PATCH", f"/touches/{key}", json=body, headers={"If-Match": done.headers["etag"]})
    assert once_more.status_code == 200
    either.post("/touches/approve", {"ids": [key]})
    refused = either.ask("PATCH", f"/touches/{key}", json=body)
    assert (refused.status_code, refused.json()["code"]) == (409, "refused")


@pytest.mark.parametrize(
    "body", [{"subject": "", "text": "x"}, {"subject": "a\nb", "text": "x"}, {"subject": "a", "text": "\0"}]
)
def test_what_cannot_be_a_mail_is_no_edit(api, body):
    key = drafts(api, 1)[0]
    answer = api.ask("PATCH", f"/touches/{key}", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


def test_ids_are_bounded(api):
    for ids in ([], [0], [2**63], list(range(1, 502)), ["x"], None):
        assert api.post("/touches/approve", {"ids": ids}, 422)["code"] == "invalid_request"


def test_a_repeated_approval_with_its_key_is_answered_again(either):
    keys = drafts(either, 1)
    headers = {"Idempotency-Key": "once"}
    first = either.post("/touches/approve", {"ids": keys}, headers=headers)
    assert first["approved"] == 1
    again = either.ask("POST", "/touches/approve", json={"ids": keys}, headers=headers)
    assert (again.json(), again.headers["idempotency-replayed"]) == (first, "true")


@pytest.mark.parametrize(("how", "state"), [("sent", "sent"), ("resend", "planned"), ("drop", "cancelled")])
def test_a_touch_of_unknown_fate_is_settled_by_a_person(either, how, state):
    either.enrol(1)
    with either.workspace.store.transaction() as unit:
        unit.touches.settle(1, ("planned",), "uncertain", either.office.now)
    assert [touch["id"] for touch in either.get("/touches?state=uncertain")["items"]] == [1]
    assert either.post("/touches/1/settle", {"how": how}) == {"id": 1, "state": state}
    assert either.post("/touches/1/settle", {"how": how}, 409)["code"] == "refused"
    assert [result for _, _, result in either.audited()] == ["done", "failed"]
    assert either.post("/touches/9/settle", {"how": how}, 404)["code"] == "not_found"


def test_a_viewer_approves_nothing(api):
    keys = drafts(api, 1)
    for method, path, body in (
        ("POST", "/touches/approve", {"ids": keys}),
        ("POST", "/touches/reject", {"ids": keys}),
        ("PATCH", f"/touches/{keys[0]}", {"subject": "a", "text": "b"}),
        ("POST", f"/touches/{keys[0]}/settle", {"how": "drop"}),
    ):
        assert api.ask(method, path, json=body, role="viewer").status_code == 403
    assert api.get(f"/touches/{keys[0]}", role="viewer")["state"] == "drafted"
