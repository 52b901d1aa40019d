"""Users over the API: who may come in, in which role."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Request, Response
from pydantic import Field, SecretStr

from touchline.app import access, people
from touchline.app.ports import Row
from touchline.model.errors import Refused
from touchline.web.api.etags import tagged, unchanged
from touchline.web.api.route import router
from touchline.web.api.shapes import Body, Page, Shape
from touchline.web.api.texts import Line, Number
from touchline.web.visit import Visit, needs

routes = router("users", "/users")
Role = Literal["viewer", "reviewer", "operator", "owner"]
Password = Annotated[SecretStr, Field(max_length=1_000)]


class User(Shape):
    """Somebody who logs in."""

    id: int
    email: str = Field(examples=["ada@example.com"])
    name: str
    role: Role
    state: Literal["active", "disabled"]
    timezone: str | None
    created_at: datetime
    updated_at: datetime
    seen_at: datetime | None = Field(description="When they last logged in.")


class Made(User):
    """A new user."""

    password: str | None = Field(description="The generated one, shown this once; null where one was given.")


class New(Body):
    """A user to add."""

    email: Line = Field(examples=["ada@example.com"])
    name: Line = Field(examples=["Ada Lovelace"])
    role: Role
    password: Password | None = Field(None, description="Generated where it is not given.")


class Change(Body):
    """What to change of a user."""

    role: Role


class Generated(Shape):
    """A new password."""

    password: str | None = Field(description="The generated one, shown this once; null where one was given.")


class Reset(Body):
    """Another password for somebody."""

    password: Password | None = Field(None, description="Generated where it is not given.")


class Own(Body):
    """Another password for oneself."""

    old: Password
    new: Password


@routes.get("", summary="List users")
def list_(visit: Annotated[Visit, needs("users:read")]) -> Page[User]:
    """All of them, by address."""
    return Page(items=[User.model_validate(row) for row in people.users(visit.store)], next=None)


@routes.post("", status_code=201, summary="Add a user")
def add(response: Response, visit: Annotated[Visit, needs("users:write")], body: New) -> Made:
    """Nobody makes somebody who may do more than they may."""
    _shown_once(response)
    with visit.changing("user.add", f"user:{body.email}") as change:
        row, password = people.add_user(
            visit.store,
            visit.workspace.hasher,
            visit.caller,
            body.email,
            body.name,
            body.role,
            body.password.get_secret_value() if body.password else None,
            visit.now,
        )
        change.after = _glance(row)
    return Made.model_validate(row | {"password": password})


# Before those that have a number at this place.
@routes.post("/me/password", status_code=204, summary="Change one's own password")
def change_own(visit: Annotated[Visit, needs("health:read")], body: Own) -> None:
    """Ends every session of the one who asks."""
    user = visit.caller.user_id
    if user is None:
        raise Refused("A key has no password.", hint="Make a new key, and revoke this one.")
    with visit.changing("user.password", visit.caller.name):
        access.change_password(
            visit.store,
            visit.workspace.hasher,
            user,
            body.old.get_secret_value(),
            body.new.get_secret_value(),
            visit.now,
        )


@routes.get("/{number}", summary="Read one user")
def get(request: Request, response: Response, visit: Annotated[Visit, needs("users:read")], number: Number) -> User:
    """One by their number."""
    row = people.user(visit.store, number)
    tagged(request, response, _glance(row))
    return User.model_validate(row)


@routes.patch("/{number}", summary="Give a user another role")
def set_role(request: Request, visit: Annotated[Visit, needs("users:write")], number: Number, body: Change) -> User:
    """From their next request on. The last owner stays one."""
    unchanged(request, _glance(people.user(visit.store, number)))
    with visit.changing("user.role", f"user:{number}", lambda: _glance(people.user(visit.store, number))):
        row = people.set_role(visit.store, visit.caller, number, body.role, visit.now)
    return User.model_validate(row)


@routes.post("/{number}/disable", summary="Let a user in no more")
def disable(visit: Annotated[Visit, needs("users:write")], number: Number) -> User:
    """Ends their sessions. Keys that they made go on."""
    with visit.changing("user.disable", f"user:{number}", lambda: _glance(people.user(visit.store, number))):
        row = people.disable(visit.store, visit.caller, number, visit.now)
    return User.model_validate(row)


@routes.post("/{number}/enable", summary="Let a user in again")
def enable(visit: Annotated[Visit, needs("users:write")], number: Number) -> User:
    """They log in anew."""
    with visit.changing("user.enable", f"user:{number}", lambda: _glance(people.user(visit.store, number))):
        row = people.enable(visit.store, visit.caller, number, visit.now)
    return User.model_validate(row)


@routes.post("/{number}/password", summary="Give a user another password")
def set_password(
    response: Response, visit: Annotated[Visit, needs("users:write")], number: Number, body: Reset
) -> Generated:
    """Ends their sessions."""
    _shown_once(response)
    given = body.password.get_secret_value() if body.password else None
    with visit.changing("user.password", f"user:{number}"):
        made = people.set_password(visit.store, visit.workspace.hasher, visit.caller, number, given, visit.now)
    return Generated(password=made)


def _glance(row: Row) -> dict[str, Any]:
    """What others decide about a user."""
    return {name: row[name] for name in ("email", "name", "role", "state")}


def _shown_once(response: Response) -> None:
    response.headers["Cache-Control"] = "no-store"
