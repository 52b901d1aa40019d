"""Every route of the site is walked: who may not use it changes nothing and learns nothing, and what is not there is not found."""

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_origin

import httpx
import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from sqlalchemy import select

from app.office import Office
from touchline.adapters.store.tables import metadata
from touchline.app import access, people, schedules, suppression
from touchline.model.access import ROLES, SCOPES, at_the_shell
from touchline.web.site import application
from touchline.web.visit import Needs
from web.api.conftest import Api

PUBLIC = {
    "/login",
    "/claim",
    "/claim/{token}",
    "/static/{name:path}",
    "/metrics",
    "/healthz",
    "/o/{token:path}",
    "/style.css",
    "/health",
    "/api/v1/openapi.json",
}
"""Who is not known may see these; each says in its module why."""

NARROW = "views:write"
"""The only scope of one of the keys."""

OWN = re.compile(r"POST (/logout|/api/v1/users/me/password|/settings/account/\w+|.*/preview)$")
"""What everybody may do to themselves, and what only reads although it takes much."""

OUTSIDE_HERE = {"sessions": None, "api_keys": "used_at"}
"""What being asked may change: whole tables, or a column."""

ABSENT = {
    "name": "nobody",
    "sequence": "nothing",
    "upload": "0" * 32,
    "prefix": "zzzzzzzz",
    "address": "nobody@nowhere.example",
}
NOT_THERE = 2**53
FITTING = {"reason": "said", "role": "viewer"}
"""Fields of pages' forms that their routes check themselves."""
Served = Callable[..., AbstractContextManager[httpx.Client]]


@dataclass(frozen=True)
class Route:
    """One method of one path."""

    method: str
    path: str
    scopes: frozenset[str]
    form: tuple[tuple[str, str], ...] = ()
    """Fields that its form needs."""
    query: tuple[tuple[str, str], ...] = ()
    """Parameters that it needs after its path."""

    @property
    def names(self) -> list[str]:
        """The parameters in its path."""
        return re.findall(r"{(\w+)", self.path)

    def at(self, **values: object) -> str:
        """An address of it."""
        path = re.sub(r"{(\w+)[^}]*}", lambda match: str(values[match[1]]), self.path)
        return f"{path}?seconds=0" if path.endswith(("/events", "/progress")) and "/runs/" in path else path

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def scopes_of(dependant: Dependant) -> Iterator[str]:
    """What a route and all that it depends on ask for."""
    if isinstance(dependant.call, Needs):
        yield dependant.call.scope
    for inner in dependant.dependencies:
        yield from scopes_of(inner)


def fields_of(dependant: Dependant, place: str) -> Iterator[tuple[str, str]]:
    """What a route and all that it depends on need in a form or after the path, each with a value of its kind."""
    for field_ in getattr(dependant, place):
        if field_.field_info.is_required():
            kind = field_.field_info.annotation
            yield (
                field_.alias,
                str(get_args(kind)[0]) if get_origin(kind) is Literal else "1",
            )
    for inner in dependant.dependencies:
        yield from fields_of(inner, place)


def routes_of(app: Any) -> list[Route]:
    """Every method of every path of the site."""
    found = []
    for route in iter_route_contexts(app.routes):
        dependant = getattr(route, "dependant", None)
        scopes = frozenset(scopes_of(dependant)) if dependant is not None else frozenset()
        path: str = getattr(route, "path", None) or route.original_route.path  # type: ignore[attr-defined]
        methods = getattr(route, "methods", None) or {"GET"}
        form, query = (tuple(fields_of(dependant, one)) if dependant else () for one in ("body_params", "query_params"))
        found += [Route(method, path, scopes, form, query) for method in sorted(methods - {"HEAD"})]
    return found


@dataclass
class Place:
    """A site with one of everything, and its routes.

    Attributes:
        here: What stands in a path, by the beginning of the path and the parameter's name.
    """

    api: Api
    routes: list[Route]
    document: dict[str, Any]
    headers: dict[str, dict[str, str]]
    here: dict[tuple[str, str], object] = field(default_factory=dict)

    @property
    def guarded(self) -> list[Route]:
        """Those that are not public."""
        return [route for route in self.routes if route.path not in PUBLIC]

    def values(self, route: Route) -> dict[str, object]:
        """One of those that are there."""
        area = route.path.removeprefix("/api/v1").split("/")[1]
        return {name: self.here.get((area, name), ABSENT.get(name, 1)) for name in route.names}

    def may(self, who: str) -> frozenset[str]:
        """The scopes of a caller."""
        return {"nobody": frozenset[str](), "narrow": frozenset({NARROW})}.get(who) or ROLES.get(who, frozenset())

    def ask(self, route: Route, address: str, headers: dict[str, str]) -> httpx.Response:
        """A request with a body that fits where one is needed."""
        how: dict[str, Any] = {}
        operation = self.document["paths"].get(route.path, {}).get(route.method.lower(), {})
        query = {
            one["name"]: sample(one["schema"], self.document)
            for one in operation.get("parameters", ())
            if one["in"] == "query" and one["required"]
        } or dict(route.query)
        address = str(httpx.URL(address).copy_merge_params(query)) if query else address
        if route.method not in ("GET", "DELETE"):
            how = self._body(route, operation)
        try:
            return self.api.client.request(route.method, address, headers=headers, **how)
        except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
            # A server that refuses without reading the body may close the connection before its answer is read.
            return self.api.client.request(route.method, address, headers=headers, **how)

    def _body(self, route: Route, operation: dict[str, Any]) -> dict[str, Any]:
        content = operation.get("requestBody", {}).get("content", {})
        if "multipart/form-data" in content:
            return {"files": {"file": ("a.csv", b"Email\nzoe@example.com\n")}}
        if "application/json" in content:
            return {"json": sample(content["application/json"]["schema"], self.document)}
        return {} if route.path.startswith("/api/") else {"data": dict(route.form) | FITTING}

    def state(self, *without: str) -> dict[str, str]:
        """A digest of every table but some."""
        found = {}
        with self.api.workspace.store.reading() as unit:
            for table in metadata.sorted_tables:
                dropped = OUTSIDE_HERE.get(table.name, "")
                if dropped is None or table.name in without:
                    continue
                columns = [column for column in table.columns if column.name != dropped]
                rows = unit.connection.execute(select(*columns)).all()  # type: ignore[attr-defined]
                text = "\n".join(sorted(map(repr, rows)))
                found[table.name] = f"{len(rows)} rows, {hashlib.sha256(text.encode()).hexdigest()[:12]}"
        return found


def sample(schema: dict[str, Any], document: dict[str, Any]) -> Any:
    """The smallest value that a schema allows."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    given = [
        *schema.get("examples", ()),
        *(schema[k] for k in ("const", "default") if k in schema),
        *schema.get("enum", ()),
    ]
    if given:
        return given[0]
    several = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
    if several:
        return sample(several[0], document)
    least = {
        "object": lambda: {name: sample(schema["properties"][name], document) for name in schema.get("required", [])},
        "array": lambda: [sample(schema["items"], document)] * schema.get("minItems", 0),
        "integer": lambda: schema.get("minimum", 1),
        "number": lambda: schema.get("minimum", 1),
        "boolean": lambda: False,
    }
    return least.get(schema.get("type", ""), lambda: "a" * max(schema.get("minLength", 0), 1))()


@pytest.fixture
def place(api: Api, served: Served) -> Iterator[Place]:
    """A site with one of everything in it."""
    with furnished(api, served) as made:
        yield made


@contextmanager
def furnished(api: Api, served: Served) -> Iterator[Place]:
    """A site with one of everything in it."""
    office: Office = api.office
    store, now, shell = api.workspace.store, office.now, at_the_shell("tests")
    api.enrol(3, mode="review")
    office.apply(
        name="autumn",
        sequences=office.document()["sequences"] | {"other": {"steps": [{"name": "a", "subject": "b", "text": "c"}]}},
    )
    schedules.ensure(store, now)
    with store.transaction() as unit:
        suppression.suppress(unit, [("address", "bo@example.com", "asked")], "tests", now)
    ada, _ = people.add_user(store, api.workspace.hasher, shell, "ada@example.com", "Ada", "viewer", None, now)
    spare, _ = access.make_key(store, "spare", SCOPES, shell, now)
    upload = api.ask("POST", "/imports/uploads", files={"file": ("leads.csv", b"Email\nzoe@example.com\n")}).json()[
        "id"
    ]
    run = api.post("/runs", {"campaign": "spring"}, 202)["run"]
    api.post("/views", {"name": "mine", "query": {}}, 201)
    app: Any = application(api.workspace)
    headers: dict[str, dict[str, str]] = {role: {"Authorization": f"Bearer {key}"} for role, key in api.keys.items()}
    headers |= {"narrow": api.key(NARROW), "nobody": {}}
    here: dict[tuple[str, str], object] = {
        ("campaigns", "name"): "spring",
        ("campaigns", "sequence"): "short",
        ("schedules", "name"): "daily:spring",
        ("views", "name"): "mine",
        ("users", "number"): ada["id"],
        ("keys", "prefix"): spare["prefix"],
        ("imports", "upload"): upload,
        ("import", "upload"): upload,
        ("runs", "number"): run,
        ("mailboxes", "address"): office.mailbox()["address"],
    }
    yield Place(api, routes_of(app), app.openapi(), headers, here)


def test_every_route_that_is_not_public_needs_a_scope(place: Place) -> None:
    assert [str(route) for route in place.guarded if not route.scopes] == []
    assert {route.path for route in place.routes if not route.scopes} == PUBLIC
    assert all(route.scopes <= SCOPES for route in place.routes)


def test_every_change_needs_a_scope_that_writes(place: Place) -> None:
    loose = {str(r) for r in place.guarded if r.method != "GET" and not any(s.endswith(":write") for s in r.scopes)}
    assert {one for one in loose if not OWN.match(one)} == set()


def test_who_has_not_the_scope_is_refused_and_changes_nothing(place: Place) -> None:
    before, wrong = place.state(), []
    for route in place.guarded:
        address = route.at(**place.values(route))
        for who, headers in place.headers.items():
            if route.scopes <= place.may(who):
                continue
            answer = place.ask(route, address, headers)
            if not _refused(route, answer, known=who != "nobody"):
                wrong.append(f"{who}: {route}: {answer.status_code}")
    assert wrong == []
    assert place.state() == before


def _refused(route: Route, answer: httpx.Response, *, known: bool) -> bool:
    if known:
        return answer.status_code == 403
    if route.path.startswith("/api/"):
        return answer.status_code == 401
    return answer.status_code == 303 and answer.headers["location"].startswith("/login")


def test_who_has_the_scope_comes_in_and_nothing_breaks(place: Place) -> None:
    wrong = []
    for route in sorted(place.guarded, key=lambda one: (one.method == "DELETE", one.method != "GET")):
        for who, headers in place.headers.items():
            if route.scopes <= place.may(who):
                answer = place.ask(route, route.at(**place.values(route)), headers)
                if answer.status_code in (401, 403) or answer.status_code >= 500:
                    wrong.append(f"{who}: {route}: {answer.status_code} {answer.text[:200]}")
    assert wrong == []


def test_what_is_not_there_is_not_found_and_nothing_changes(place: Place) -> None:
    before, wrong = place.state("audit"), []
    for route in place.guarded:
        for name in route.names:
            values = place.values(route) | {name: ABSENT.get(name, NOT_THERE)}
            answer = place.ask(route, route.at(**values), place.headers["owner"])
            if answer.status_code != 404:
                wrong.append(f"{name}: {route}: {answer.status_code} {answer.text[:300]}")
    assert wrong == []
    assert place.state("audit") == before


def test_what_belongs_to_another_campaign_is_not_found(place: Place) -> None:
    foreign = [route for route in place.guarded if "sequence" in route.names and "name" in route.names]
    assert foreign
    for route in foreign:
        address = route.at(**place.values(route) | {"name": "spring", "sequence": "other"})
        assert place.ask(route, address, place.headers["owner"]).status_code == 404, route


def test_what_is_no_number_is_refused(place: Place) -> None:
    wrong = []
    for route in place.guarded:
        if "number" in route.names and route.path.startswith("/api/"):
            for number in (0, -1, 2**63, 10**30, "1.5", "x", "%00", "1%00", "..%2f..", "%F0%9F"):
                answer = place.ask(route, route.at(**place.values(route) | {"number": number}), place.headers["owner"])
                if answer.status_code not in (404, 422):
                    wrong.append(f"{number}: {route}: {answer.status_code}")
    assert wrong == []


def test_a_change_by_cookie_from_elsewhere_or_without_the_forms_token_is_refused(place: Place) -> None:
    token = place.api.session.token
    cookie = {"Cookie": f"touchline={token}"}
    own = {"X-CSRF-Token": access.csrf_of(token)}
    strangers = {
        "no token": cookie,
        "wrong token": cookie | {"X-CSRF-Token": access.csrf_of("another")},
        "another site": cookie | own | {"Origin": "https://evil.example"},
        "another port": cookie | own | {"Origin": "http://127.0.0.1:1"},
    }
    before, wrong = place.state(), []
    for route in place.guarded:
        if route.method == "GET":
            continue
        for what, headers in strangers.items():
            answer = place.ask(route, route.at(**place.values(route)), headers)
            if answer.status_code != 403:
                wrong.append(f"{what}: {route}: {answer.status_code}")
    assert wrong == []
    assert place.state() == before
