"""The page Settings: the workspace's keys, people, API keys, saved views and one's own account."""

from collections.abc import Mapping
from functools import partial
from itertools import groupby
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Form
from starlette.responses import RedirectResponse, Response

from touchline.app import access, people, views
from touchline.app.ports import Row
from touchline.model.access import AREAS, PASSWORD_CHARS, ROLES, scopes_of
from touchline.model.errors import InvalidInput, Refused
from touchline.settings import shown
from touchline.web import frame
from touchline.web.api.texts import Name, Number
from touchline.web.pages.settings_tabs import Word, line, page, zones
from touchline.web.visit import COOKIE, Visit, needs

routes = APIRouter(include_in_schema=False)
frame.entry("/settings", "Settings", "settings", "health:read", 90)

Anybody = Annotated[Visit, needs("health:read")]
Said = Annotated[str, Form(max_length=1_000)]
"""Checked where it is used: a name or a password may be refused with what was typed still there."""

MEANT = {
    "viewer": "sees campaigns, leads and runs",
    "reviewer": "approves and rejects messages too",
    "operator": "runs campaigns, imports and schedules too",
    "owner": "may do everything",
}
LIVES = (("30", "30 days"), ("90", "90 days"), ("365", "a year"), ("", "until it is revoked"))


# the workspace


@routes.get("/settings")
def workspace(visit: Anybody) -> Response:
    """Every setting with its meaning; those who may not see them get to their account."""
    if not visit.caller.may("settings:read"):
        return RedirectResponse("/settings/account", 303)
    settings = visit.workspace.settings
    found = groupby(shown(settings), lambda one: str(one["key"]).rpartition(".")[0])
    tables = [
        (table, [one | {"text": _text(one["value"]), "usual": _text(one["default"])} for one in many])
        for table, many in found
    ]
    return page(visit, "settings.html", {"tables": tables, "file": settings.file, "there": settings.file.exists()})


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(str(one) for one in value)
    return str(value)


# people


@routes.get("/settings/people")
@routes.get("/settings/users")
def everybody(visit: Annotated[Visit, needs("users:read")]) -> Response:
    """Who may come in."""
    return _people(visit)


@routes.post("/settings/people")
def add_person(
    visit: Annotated[Visit, needs("users:write")], email: Said = "", name: Said = "", role: Word = "viewer"
) -> Response:
    """Add somebody, with a password that is shown once."""
    try:
        with visit.changing("user.add", f"user:{line(email)}") as change:
            row, password = people.add_user(
                visit.store, visit.workspace.hasher, visit.caller, email, name, role, None, visit.now
            )
            change.after = _of_user(row)
    except (InvalidInput, Refused) as error:
        return _people(visit, {"typed": {"email": email, "name": name, "role": role}, "error": error})
    return _people(visit, {"made": {"email": row["email"], "password": password}})


@routes.post("/settings/people/{number}/role")
def set_role(visit: Annotated[Visit, needs("users:write")], number: Number, role: Word = "") -> Response:
    """From their next request on."""
    with visit.changing("user.role", f"user:{number}", partial(_user, visit, number)):
        row = people.set_role(visit.store, visit.caller, number, role, visit.now)
    return frame.done(visit.request, "/settings/people", f"{row['email']} is {role}.")


@routes.post("/settings/people/{number}/disable")
def disable(visit: Annotated[Visit, needs("users:write")], number: Number) -> Response:
    """Let them in no more."""
    with visit.changing("user.disable", f"user:{number}", partial(_user, visit, number)):
        row = people.disable(visit.store, visit.caller, number, visit.now)
    return frame.done(visit.request, "/settings/people", f"{row['email']} is disabled and logged out everywhere.")


@routes.post("/settings/people/{number}/enable")
def enable(visit: Annotated[Visit, needs("users:write")], number: Number) -> Response:
    """Let them in again."""
    with visit.changing("user.enable", f"user:{number}", partial(_user, visit, number)):
        row = people.enable(visit.store, visit.caller, number, visit.now)
    return frame.done(visit.request, "/settings/people", f"{row['email']} may log in again.")


@routes.post("/settings/people/{number}/password")
def reset(visit: Annotated[Visit, needs("users:write")], number: Number) -> Response:
    """Another password, shown once."""
    with visit.changing("user.password", f"user:{number}"):
        password = people.set_password(visit.store, visit.workspace.hasher, visit.caller, number, None, visit.now)
    return _people(visit, {"made": {"email": people.user(visit.store, number)["email"], "password": password}})


def _people(visit: Visit, more: Mapping[str, Any] | None = None) -> Response:
    values = {
        "rows": people.users(visit.store),
        "roles": [(role, f"{role}: {MEANT[role]}") for role in ROLES],
        "names": list(ROLES),
        "typed": {"email": "", "name": "", "role": "viewer"},
        "made": None,
    }
    return page(visit, "settings_people.html", values | dict(more or {}))


def _user(visit: Visit, number: int) -> dict[str, Any]:
    return _of_user(people.user(visit.store, number))


def _of_user(row: Row) -> dict[str, Any]:
    return {name: row[name] for name in ("email", "name", "role", "state")}


# keys


@routes.get("/settings/keys")
def keys(visit: Annotated[Visit, needs("keys:read")]) -> Response:
    """Keys of programs."""
    return _keys(visit)


@routes.post("/settings/keys")
def make_key(
    visit: Annotated[Visit, needs("keys:write")],
    name: Said = "",
    scope: Annotated[list[str] | None, Form(max_length=100)] = None,
    days: Word = "",
) -> Response:
    """A new key, shown once."""
    try:
        scopes = scopes_of(scope or [])
        if days and not (days.isascii() and days.isdecimal() and len(days) <= 4):
            raise InvalidInput(f"{days[:20]!r} is no number of days.", hint="Choose one of those in the list.")
        with visit.changing("key.make", f"key:{line(name)}") as change:
            life = int(days) if days else None
            row, text = access.make_key(visit.store, name, scopes, visit.caller, visit.now, life)
            change.after = _of_key(row)
    except (InvalidInput, Refused) as error:
        return _keys(visit, {"typed": {"name": name, "scope": scope or [], "days": days}, "error": error})
    return _keys(visit, {"made": {"name": row["name"], "text": text}})


@routes.post("/settings/keys/{prefix}/revoke")
def revoke(visit: Annotated[Visit, needs("keys:write")], prefix: Name) -> Response:
    """At once and for good."""
    with visit.changing("key.revoke", f"key:{prefix}", lambda: _of_key(access.key(visit.store, prefix))):
        row = access.revoke_key(visit.store, prefix, visit.now)
    return frame.done(visit.request, "/settings/keys", f"The key {row['name']} is revoked.")


def _keys(visit: Visit, more: Mapping[str, Any] | None = None) -> Response:
    values = {
        "rows": access.keys(visit.store),
        "areas": AREAS,
        "lives": LIVES,
        "typed": {"name": "", "scope": [], "days": "90"},
        "made": None,
    }
    return page(visit, "settings_keys.html", values | dict(more or {}))


def _of_key(row: Row) -> dict[str, Any]:
    return {name: row[name] for name in ("name", "prefix", "scopes", "expires_at", "revoked_at")}


# saved views


@routes.get("/settings/views")
def all_views(visit: Annotated[Visit, needs("views:read")]) -> Response:
    """Searches that people keep."""
    rows = [row | {"href": "/leads?" + urlencode(_asked(row["query"]))} for row in views.listed(visit.store)]
    return page(visit, "settings_views.html", {"rows": rows})


@routes.post("/settings/views/remove")
def remove_view(visit: Annotated[Visit, needs("views:write")], name: Word = "") -> Response:
    """Take it away for everybody."""
    with visit.changing("view.remove", f"view:{name}", partial(_view, visit, name)):
        views.remove(visit.store, name)
    return frame.done(visit.request, "/settings/views", f"The view {name} is gone; its leads stay.")


def _view(visit: Visit, name: str) -> dict[str, Any]:
    return next((row["query"] for row in views.listed(visit.store) if row["name"] == name), {})


def _asked(query: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(query[name]) for name in ("campaign", "where", "text", "sort") if query.get(name)}


# one's own account


@routes.get("/settings/account")
def account(visit: Anybody) -> Response:
    """One's own password and time zone."""
    return _account(visit)


@routes.post("/settings/account/password")
def change_password(visit: Anybody, old: Said = "", new: Said = "", again: Said = "") -> Response:
    """Another password for oneself; it ends every session, this one too."""
    try:
        if new != again:
            raise InvalidInput("The new password was typed in two ways.", hint="Type the same one twice.")
        with visit.changing("user.password", visit.caller.name):
            access.change_password(visit.store, visit.workspace.hasher, _own(visit), old, new, visit.now)
    except (InvalidInput, access.WrongLogin) as error:
        return _account(visit, {"wrong": "password", "error": error})
    response = frame.done(visit.request, "/login", "Your password is changed. Log in with the new one.")
    response.delete_cookie(COOKIE)
    return response


@routes.post("/settings/account/zone")
def change_zone(visit: Anybody, zone: Word = "") -> Response:
    """In which zone days begin."""
    user = _own(visit)
    try:
        with visit.changing("user.timezone", visit.caller.name, lambda: _zone(visit, user)):
            row = people.set_timezone(visit.store, user, zone.strip() or None, visit.now)
    except InvalidInput as error:
        return _account(visit, {"wrong": "zone", "error": error, "zone": zone})
    return frame.done(visit.request, "/settings/account", f"Your days begin in {row['timezone'] or 'UTC'}.")


@routes.post("/settings/account/leave")
def leave(visit: Anybody) -> Response:
    """End every session of one's own, on every machine."""
    with visit.changing("session.end-all", visit.caller.name):
        access.log_out_everywhere(visit.store, _own(visit))
    response = frame.done(visit.request, "/login", "You are logged out everywhere.")
    response.delete_cookie(COOKIE)
    return response


def _zone(visit: Visit, user: int) -> dict[str, Any]:
    return {"timezone": people.user(visit.store, user)["timezone"]}


def _own(visit: Visit) -> int:
    if visit.caller.user_id is None:
        raise Refused("A key has no account.", hint="Log in as a person.")
    return visit.caller.user_id


def _account(visit: Visit, more: Mapping[str, Any] | None = None) -> Response:
    values = {
        "row": people.user(visit.store, _own(visit)),
        "meant": MEANT,
        "zones": zones(),
        "zone": visit.caller.timezone or "",
        "least": PASSWORD_CHARS[0],
        "wrong": "",
    }
    return page(visit, "settings_account.html", values | dict(more or {}))
