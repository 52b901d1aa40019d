"""`touchline user`, `key` and `audit`: who may come in, which programs may, and who has changed what."""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from touchline.cli.context import LARGEST, Json, Limit, person, print_json, print_table, workspace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from touchline.app.audit import Change, Look
    from touchline.app.ports import Row
    from touchline.model.access import Caller
    from touchline.wiring import Workspace

user = typer.Typer(help="People who may log in.", no_args_is_help=True)
key = typer.Typer(help="Keys by which programs use the API.", no_args_is_help=True)
audit = typer.Typer(help="Who changed what, and when.", no_args_is_help=True)

Email = Annotated[str, typer.Argument(help="The user's address.")]
Generate = Annotated[bool, typer.Option("--generate", help="Make a password and print it, instead of asking for one.")]
USER = ("email", "name", "role", "state", "timezone", "seen_at")
KEY = ("prefix", "name", "state", "scopes", "created_by", "created_at", "expires_at", "used_at")
CHANGE = ("id", "at", "actor", "action", "object", "result", "error")


@user.command(name="add")
def add_user(
    context: typer.Context,
    email: Email,
    name: Annotated[str, typer.Option(help="The person's name.")],
    role: Annotated[str, typer.Option(help="viewer, reviewer, operator or owner.")] = "viewer",
    generate: Generate = False,
    json: Json = False,
) -> None:
    """Add a user, with a password that is asked for or made."""
    from touchline.app import people
    from touchline.model.access import email_of

    ws, email = workspace(context), email_of(email)
    password = _password(generate)
    with _changing(ws, "user.add", f"user:{email}") as change:
        row, made = people.add_user(ws.store, ws.hasher, _caller(), email, name, role, password, ws.clock.now())
        change.after = row
    _tell(row, json, f"{row['email']} may log in as {row['role']}", made)


@user.command(name="list")
def list_users(context: typer.Context, json: Json = False) -> None:
    """List users."""
    from touchline.app import people

    rows = people.users(workspace(context).store)
    if json:
        print_json(rows)
        return
    print_table(USER, [[row[name] for name in USER] for row in rows])


@user.command(name="set")
def set_user(
    context: typer.Context,
    email: Email,
    role: Annotated[str | None, typer.Option(help="viewer, reviewer, operator or owner.")] = None,
    timezone: Annotated[
        str | None, typer.Option(help="IANA zone in which they read times; browser: whatever theirs says.")
    ] = None,
    json: Json = False,
) -> None:
    """Change a user's role or time zone. What is not given stays."""
    from touchline.app import people
    from touchline.model.access import zone_of
    from touchline.model.errors import InvalidInput

    if role is None and timezone is None:
        raise InvalidInput("Say what shall change.", hint="Give --role or --timezone.")
    zone = None if timezone in (None, "browser") else zone_of(timezone)
    ws = workspace(context)
    row = people.user(ws.store, email)
    with _changing(ws, "user.set", f"user:{row['email']}", lambda: people.user(ws.store, row["id"])):
        if role is not None:
            row = people.set_role(ws.store, _caller(), row["id"], role, ws.clock.now())
        if timezone is not None:
            row = people.set_timezone(ws.store, row["id"], zone, ws.clock.now())
    _tell(row, json, f"{row['email']}: {row['role']}, reads times in {row['timezone'] or 'the zone of the browser'}")


@user.command()
def disable(context: typer.Context, email: Email, json: Json = False) -> None:
    """Let a user in no more, and end their sessions. Keys that they made go on until they are revoked."""
    from touchline.app import access, people

    ws = workspace(context)
    row = people.user(ws.store, email)
    with _changing(ws, "user.disable", f"user:{row['email']}", lambda: people.user(ws.store, row["id"])):
        row = people.disable(ws.store, _caller(), row["id"], ws.clock.now())
    _tell(row, json, f"{row['email']} is disabled and logged out everywhere")
    theirs = [one for one in access.keys(ws.store) if one["created_by"] == f"user:{row['email']}"]
    if not json and (alive := [one["prefix"] for one in theirs if _state(one, ws) == "active"]):
        print(f"Keys that they made go on: {', '.join(alive)}. End one with: touchline key revoke PREFIX")


@user.command()
def enable(context: typer.Context, email: Email, json: Json = False) -> None:
    """Let a disabled user in again."""
    from touchline.app import people

    ws = workspace(context)
    row = people.user(ws.store, email)
    with _changing(ws, "user.enable", f"user:{row['email']}", lambda: people.user(ws.store, row["id"])):
        row = people.enable(ws.store, _caller(), row["id"], ws.clock.now())
    _tell(row, json, f"{row['email']} may log in as {row['role']}")


@user.command()
def password(context: typer.Context, email: Email, generate: Generate = False, json: Json = False) -> None:
    """Give a user another password, which ends their sessions everywhere."""
    from touchline.app import people

    ws = workspace(context)
    row = people.user(ws.store, email)
    given = _password(generate)
    with _changing(ws, "user.password", f"user:{row['email']}"):
        made = people.set_password(ws.store, ws.hasher, _caller(), row["id"], given, ws.clock.now())
    _tell(row, json, f"{row['email']} has a new password and is logged out everywhere", made)


@key.command(name="add")
def add_key(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    scope: Annotated[list[str], typer.Option(help="What it may do: AREA:read, AREA:write, *:read or *:write. Repeat.")],
    days: Annotated[int | None, typer.Option(help="Days that it lives; else until it is revoked.")] = None,
    json: Json = False,
) -> None:
    """Make a key and print it, this once."""
    from touchline.app import access
    from touchline.model.access import scopes_of

    ws, scopes = workspace(context), scopes_of(scope)
    with _changing(ws, "key.add", f"key:{name}") as change:
        row, text = access.make_key(ws.store, name, scopes, _caller(), ws.clock.now(), days)
        change.after = row
    if json:
        print_json({**row, "key": text})
        return
    print(text)
    print("Keep it now: it is not shown again. Send it as: Authorization: Bearer KEY")


@key.command(name="list")
def list_keys(context: typer.Context, json: Json = False) -> None:
    """List keys, the newest first. Their secrets are kept nowhere."""
    from touchline.app import access

    ws = workspace(context)
    rows = [{**row, "state": _state(row, ws)} for row in access.keys(ws.store)]
    if json:
        print_json(rows)
        return
    print_table(KEY, [[*map({**row, "scopes": " ".join(row["scopes"])}.get, KEY)] for row in rows])


@key.command()
def revoke(
    context: typer.Context,
    prefix: Annotated[str, typer.Argument(help="The eight characters after tl_.")],
    json: Json = False,
) -> None:
    """End a key at once and for good."""
    from touchline.app import access

    ws = workspace(context)
    access.key(ws.store, prefix)
    with _changing(ws, "key.revoke", f"key:{prefix}", lambda: access.key(ws.store, prefix)):
        row = access.revoke_key(ws.store, prefix, ws.clock.now())
    _tell(row, json, f"the key {prefix} ({row['name']}) is revoked")


@audit.command(name="list")
def list_changes(
    context: typer.Context,
    limit: Limit = 50,
    before: Annotated[int | None, typer.Option(min=1, max=LARGEST, help="Go on after this number.")] = None,
    actor: Annotated[str | None, typer.Option(help="Only by user:ADDRESS, key:PREFIX or shell:NAME.")] = None,
    of: Annotated[str | None, typer.Option(help="Only of this object, such as user:ada@example.com.")] = None,
    action: Annotated[str | None, typer.Option(help="Only this, such as user.add.")] = None,
    json: Json = False,
) -> None:
    """List changes, the newest first. What was before and after stands in the JSON. `begun`: it never came to its end."""
    from touchline.app.audit import listed

    rows = listed(workspace(context).store, before=before, limit=limit, actor=actor, object_=of, action=action)
    if json:
        print_json(rows)
        return
    print_table(CHANGE, [[row[name] for name in CHANGE] for row in rows])
    if len(rows) == limit:
        print(f"More: --before {rows[-1]['id']}")


def _caller() -> "Caller":
    from touchline.model.access import at_the_shell

    return at_the_shell(person())


def _changing(ws: "Workspace", action: str, of: str, look: "Look | None" = None) -> AbstractContextManager["Change"]:
    from touchline.app.audit import changing

    return changing(ws.store, _caller(), action, of, ws.clock, look=look)


def _password(generate: bool) -> str | None:
    """What is typed twice without being shown; None where one shall be made."""
    import sys

    from touchline.model.errors import InvalidInput

    if generate:
        return None
    if not sys.stdin.isatty():
        raise InvalidInput("There is no terminal to ask for a password.", hint="Give --generate.")
    typed: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return typed


def _state(row: "Row", ws: "Workspace") -> str:
    if row["revoked_at"] is not None:
        return "revoked"
    return "expired" if row["expires_at"] is not None and row["expires_at"] <= ws.clock.now() else "active"


def _tell(row: "Mapping[str, Any]", json: bool, said: str, made: str | None = None) -> None:
    if json:
        print_json({**row, "password": made} if made is not None else row)
        return
    print(said)
    if made is not None:
        print(f"password: {made}")
        print("Keep it now: it is not shown again.")
