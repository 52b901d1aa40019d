"""Users, keys, the audit, and what every request to the API shares: who asks, how often, and whether it was asked before."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import httpx
import pytest

from app.office import Office
from touchline.app import access, people
from touchline.model.access import at_the_shell
from touchline.settings import Serve
from touchline.web.site import application
from web.api.conftest import Api

LONG = "a sentence that nobody guesses"
ADA = {"email": "ada@example.com", "name": "Ada", "role": "operator"}


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def browser(api: Api, **more: str) -> dict[str, str]:
    """Headers as a page of ours sends them."""
    return {
        "Cookie": f"touchline={api.session.token}",
        "X-CSRF-Token": access.csrf_of(api.session.token),
        "Origin": str(api.client.base_url).rstrip("/"),
    } | more


# users


def test_a_user_is_added_with_a_password_that_is_shown_once(either: Api) -> None:
    told = either.post("/users", ADA, 201)
    store, now = either.workspace.store, either.workspace.clock.now()
    assert (
        access.log_in(store, either.workspace.hasher, ADA["email"], told["password"], "x", "y", now).email
        == ADA["email"]
    )
    assert "password" not in either.get(f"/users/{told['id']}")
    assert told["password"] not in str(either.get("/users")) + str(either.get("/audit"))
    assert either.post("/users", ADA, 409)["code"] == "refused"


def test_a_role_a_door_and_a_password_are_changed(either: Api) -> None:
    key = either.post("/users", ADA, 201)["id"]
    store, hasher, now = either.workspace.store, either.workspace.hasher, either.workspace.clock.now()
    assert either.ask("PATCH", f"/users/{key}", json={"role": "viewer"}).json()["role"] == "viewer"
    made = either.post(f"/users/{key}/password", {})["password"]
    session = access.log_in(store, hasher, ADA["email"], made, "x", "y", now)
    assert either.post(f"/users/{key}/disable")["state"] == "disabled"
    assert access.caller_of_session(store, session.token, now) is None
    assert either.post(f"/users/{key}/enable")["state"] == "active"
    assert either.post(f"/users/{key}/password", {"password": LONG})["password"] is None
    done = [action for action, _, _ in either.audited()]
    assert done == ["user.add", "user.role", "user.password", "user.disable", "user.enable", "user.password"]


def test_the_last_owner_remains(either: Api) -> None:
    [owner] = either.get("/users")["items"]
    assert either.ask("PATCH", f"/users/{owner['id']}", json={"role": "viewer"}).status_code == 409
    assert either.ask("POST", f"/users/{owner['id']}/disable").status_code == 409


def test_nobody_gives_what_they_have_not(api: Api) -> None:
    narrow = api.key("users:read", "users:write", "keys:write")
    assert api.ask("POST", "/users", json=ADA | {"role": "owner"}, headers=narrow).status_code == 409
    assert api.ask("POST", "/keys", json={"name": "more", "scopes": ["audit:read"]}, headers=narrow).status_code == 409
    [owner] = api.get("/users")["items"]
    assert api.ask("POST", f"/users/{owner['id']}/password", json={}, headers=narrow).status_code == 409


def test_ones_own_password_is_changed_by_who_knows_it_and_ends_every_session(api: Api) -> None:
    url, body = "/api/v1/users/me/password", {"old": "a sentence that nobody guesses", "new": "quite another sentence"}
    wrong = api.client.post(url, json=body | {"old": "wrong"}, headers=browser(api))
    assert wrong.status_code == 409
    assert api.client.post(url, json=body, headers=browser(api)).status_code == 204
    assert api.client.get("/api/v1/health", headers=browser(api)).status_code == 401
    assert api.ask("POST", "/users/me/password", json=body).status_code == 409


@pytest.mark.parametrize(
    "wrong",
    [{"email": "ada"}, {"email": "a\x00@b"}, {"name": ""}, {"role": "king"}, {"password": "short"}, {"more": 1}],
)
def test_what_is_no_user_is_refused(api: Api, wrong: dict[str, Any]) -> None:
    assert api.ask("POST", "/users", json=ADA | wrong).status_code == 422
    assert len(api.get("/users")["items"]) == 1


# keys


def test_a_key_is_shown_once_works_and_is_revoked(either: Api) -> None:
    made = either.post("/keys", {"name": "CRM", "scopes": ["leads:read"], "days": 30}, 201)
    assert either.ask("GET", "/leads", headers=bearer(made["key"])).status_code == 200
    assert either.ask("GET", "/audit", headers=bearer(made["key"])).status_code == 403
    seen = str(either.get("/keys")) + str(either.get(f"/keys/{made['prefix']}")) + str(either.get("/audit"))
    assert made["key"] not in seen
    assert either.ask("DELETE", f"/keys/{made['prefix']}").json()["revoked_at"]
    assert either.ask("GET", "/leads", headers=bearer(made["key"])).status_code == 401
    assert either.ask("DELETE", f"/keys/{made['prefix']}").status_code == 409


def test_a_key_expires(api: Api) -> None:
    made = api.post("/keys", {"name": "CRM", "scopes": ["*:read"], "days": 2}, 201)
    api.office.later(days=2, seconds=-1)
    assert api.ask("GET", "/health", headers=bearer(made["key"])).status_code == 200
    api.office.later(seconds=1)
    refused = api.ask("GET", "/health", headers=bearer(made["key"]))
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize("key", ["-", "tl_", "tl_aaaaaaaa_" + "A" * 43, "x" * 5000, "tl_%00", "Basic"])
def test_what_is_no_key_opens_nothing(api: Api, key: str) -> None:
    assert api.ask("GET", "/health", headers={"Authorization": f"Bearer {key}"}).status_code == 401
    assert api.ask("GET", "/health", headers={"Authorization": f"Basic {key}"}).status_code == 401


# the audit


def test_the_audit_tells_who_changed_what_and_is_read_page_by_page(either: Api) -> None:
    for name in ("one", "two", "three"):
        either.post("/keys", {"name": name, "scopes": ["leads:read"]}, 201, headers={"X-Request-Id": f"req-{name}"})
    rows = either.pages("/audit")
    assert [(row["object"], row["request_id"]) for row in rows] == [
        ("key:three", "req-three"),
        ("key:two", "req-two"),
        ("key:one", "req-one"),
    ]
    assert rows[0]["after"]["scopes"] == ["leads:read"]
    assert [row["object"] for row in either.pages("/audit?of=key:two")] == ["key:two"]
    assert either.pages("/audit?actor=user:nobody") == []


# every request


def test_an_error_is_a_problem_with_a_code_a_hint_and_the_number_of_the_request(api: Api) -> None:
    answer = api.ask("GET", "/runs/99", headers={"X-Request-Id": "abc-123"})
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"] == "abc-123"
    told = answer.json()
    assert set(told) == {"type", "title", "status", "detail", "code", "hint", "request_id", "errors"}
    assert (told["status"], told["code"], told["request_id"]) == (404, "not_found", "abc-123")
    assert told["type"] == "urn:touchline:problem:not_found"
    assert told["hint"]


@pytest.mark.parametrize("given", ["a b", "x" * 65, "<script>", "a\tb", "ä", ""])
def test_a_number_that_is_not_harmless_is_replaced(api: Api, given: str) -> None:
    answer = api.client.get("/api/v1/health", headers=[(b"x-request-id", given.encode("latin-1"))])
    assert answer.status_code == 401
    assert answer.headers["x-request-id"] != given
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("method", "path", "code"), [("GET", "/nothing", 404), ("DELETE", "/health", 405), ("POST", "/runs", 422)]
)
def test_the_frameworks_own_errors_are_problems_too(api: Api, method: str, path: str, code: int) -> None:
    answer = api.ask(method, path)
    assert (answer.status_code, answer.headers["content-type"]) == (code, "application/problem+json")


@pytest.mark.parametrize("path", ["/runs", "/audit", "/imports", "/suppressions"])
def test_a_cursor_is_only_what_the_list_before_gave(api: Api, path: str) -> None:
    for number in range(3):
        api.post("/suppressions", {"entries": [{"value": f"a{number}@example.com"}]})
    cursor = api.get("/suppressions?limit=1")["next"]
    forged = [
        cursor[:-1] + ("A" if cursor[-1] != "A" else "B"),
        "A" + cursor[1:],
        "",
        "ä",
        "%00",
        "a" * 3000,
        "=",
        "e30",
    ]
    for text in forged + ([cursor] if path != "/suppressions" else []):
        answer = api.ask("GET", path, params={"cursor": text})
        assert answer.status_code == 422, text
    if path == "/suppressions":
        assert len(api.pages(path, limit=1)) == 3


def test_a_repeated_request_is_done_once_and_answered_alike(either: Api) -> None:
    body = {"entries": [{"value": "bo@example.com", "kind": "address"}]}
    first = either.ask("POST", "/suppressions", json=body, headers={"Idempotency-Key": "a1"})
    again = either.ask("POST", "/suppressions", json=body, headers={"Idempotency-Key": "a1"})
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert (first.headers.get("idempotency-replayed"), again.headers["idempotency-replayed"]) == (None, "true")
    assert len(either.audited()) == 1
    other = either.ask(
        "POST", "/suppressions", json={"entries": [{"value": "x@y.zz"}]}, headers={"Idempotency-Key": "a1"}
    )
    assert (other.status_code, other.json()["code"]) == (422, "key_used")
    somebody = either.ask("POST", "/suppressions", json=body, role="operator", headers={"Idempotency-Key": "a1"})
    assert somebody.json()["already"] == 1


def test_a_request_that_was_refused_may_be_repeated_with_its_key(api: Api) -> None:
    asked: dict[str, Any] = {"json": {"campaign": "spring"}, "headers": {"Idempotency-Key": "a1"}}
    assert api.ask("POST", "/runs", **asked).status_code == 404
    api.office.apply()
    asked["headers"] = {"Idempotency-Key": "a1"}
    assert api.ask("POST", "/runs", **asked).status_code == 202


def test_an_answer_that_is_shown_once_is_not_kept_for_a_repeated_request(api: Api) -> None:
    asked: dict[str, Any] = {"json": {"name": "CRM", "scopes": ["leads:read"]}}
    made = api.ask("POST", "/keys", headers={"Idempotency-Key": "a1"}, **asked).json()
    again = api.ask("POST", "/keys", headers={"Idempotency-Key": "a1"}, **asked)
    assert (again.status_code, again.json()["code"]) == (409, "shown_once")
    assert [key["name"] for key in api.get("/keys")["items"]].count("CRM") == 1
    assert made["key"] not in _everything(api.office)


def _everything(office: Office) -> str:
    with office.store.reading() as unit:
        names = unit.connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'").scalars().all()
        return str([unit.connection.exec_driver_sql(f'SELECT * FROM "{name}"').all() for name in names])


def test_an_unchanged_representation_is_not_sent_again_and_a_stale_writer_is_stopped(api: Api) -> None:
    key = api.post("/users", ADA, 201)["id"]
    tag = api.ask("GET", f"/users/{key}").headers["etag"]
    same = api.ask("GET", f"/users/{key}", headers={"If-None-Match": f'"other", W/{tag}'})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    people.set_role(api.workspace.store, at_the_shell("else"), key, "viewer", api.workspace.clock.now())
    late = api.ask("PATCH", f"/users/{key}", json={"role": "owner"}, headers={"If-Match": tag})
    assert (late.status_code, late.json()["code"]) == (412, "changed_meanwhile")
    assert api.get(f"/users/{key}")["role"] == "viewer"
    assert api.ask("PATCH", f"/users/{key}", json={"role": "owner"}, headers={"If-Match": "*"}).status_code == 200


def test_a_caller_learns_its_limit_and_is_stopped_at_it(
    api: Api, served: Callable[..., AbstractContextManager[httpx.Client]]
) -> None:
    settings = api.workspace.settings.model_copy(update={"serve": Serve(requests_per_minute=3)})
    limited = replace(api.workspace, settings=settings)
    vars(limited).update({name: value for name, value in vars(api.workspace).items() if name != "settings"})
    with served(application(limited)) as client:
        ask = lambda role: client.get("/api/v1/health", headers=bearer(api.keys[role]))  # noqa: E731
        assert [ask("owner").headers["ratelimit-remaining"] for _ in range(3)] == ["2", "1", "0"]
        stopped = ask("owner")
        assert (stopped.status_code, stopped.json()["code"]) == (429, "too_many_requests")
        assert stopped.headers["retry-after"] == stopped.headers["ratelimit-reset"] == "60"
        assert ask("viewer").status_code == 200
        api.office.later(minutes=1)
        assert ask("owner").status_code == 200


def test_a_change_by_cookie_needs_a_page_of_ours(api: Api) -> None:
    url, body = "/api/v1/suppressions", {"entries": [{"value": "bo@example.com"}]}
    bare = {"Cookie": f"touchline={api.session.token}"}
    assert api.client.get("/api/v1/health", headers=bare).status_code == 200
    assert api.client.post(url, json=body, headers=bare).status_code == 403
    assert api.client.post(url, json=body, headers=browser(api, Origin="https://evil.example")).status_code == 403
    assert api.client.post(url, json=body, headers=browser(api) | {"X-CSRF-Token": "0" * 64}).status_code == 403
    assert api.get("/suppressions")["items"] == []
    assert api.client.post(url, json=body, headers=browser(api)).status_code == 200
