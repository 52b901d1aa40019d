"""Users: who there is, who may give whom which role, and the owner that always remains."""

import secrets
from datetime import datetime

from touchline.app.access import Hasher, put_password
from touchline.app.ports import Row, Store, Unit
from touchline.model.access import ROLES, Caller, email_of, name_of, password_for, role_of, zone_of
from touchline.model.errors import NotFound, Refused
from touchline.model.faults import meant


def users(store: Store) -> list[Row]:
    """Every user by address: `id`, `email`, `name`, `role`, `state`, `timezone`, `created_at`, `updated_at`, `seen_at`."""
    with store.reading() as unit:
        return unit.people.listed()


def user(store: Store, who: int | str) -> Row:
    """One user, by key or address, as in `users`.

    Raises:
        NotFound: There is none.
    """
    with store.reading() as unit:
        return _shown(_found(unit, who))


def _found(unit: Unit, who: int | str, *, lock: bool = False) -> Row:
    row = unit.people.find(who if isinstance(who, int) else email_of(who), lock=lock)
    if row is None:
        known = meant(who, [row["email"] for row in unit.people.listed()]) if isinstance(who, str) else ""
        raise NotFound(f"There is no user {who!r}{known or '.'}", hint="See them with: touchline user list")
    return row


def _shown(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != "password"}


def add_user(
    store: Store,
    hasher: Hasher,
    caller: Caller,
    email: str,
    name: str,
    role: str,
    password: str | None,
    now: datetime,
) -> tuple[Row, str | None]:
    """Add a user; gives the row, and the generated password where None was given, which is told once.

    Raises:
        Refused: The role may do more than the caller, or the address is taken.
        InvalidInput: Something cannot be used.
    """
    email, name, role = email_of(email), name_of(name), role_of(role)
    _check_reach(caller, role)
    given = password if password is not None else _generated()
    hashed = hasher.hash(password_for(email, name, given))
    with store.transaction() as unit:
        key = unit.people.add(email, name, role, hashed, now)
        if key is None:
            raise Refused(f"There is a user {email} already.", hint="Change them with: touchline user set")
        return _shown(_found(unit, key)), None if password is not None else given


def _check_reach(caller: Caller, role: str) -> None:
    """Nobody gives or takes what they do not have: a key that may write users makes itself no owner."""
    if lacking := sorted(ROLES[role] - caller.scopes):
        raise Refused(
            f"{caller.name} may not act on a user who is {role}, since they lack {', '.join(lacking[:3])}"
            + (" and more." if len(lacking) > 3 else "."),
            hint="Ask an owner.",
        )


def _generated() -> str:
    return secrets.token_urlsafe(15)


def set_role(store: Store, caller: Caller, who: int | str, role: str, now: datetime) -> Row:
    """Give a user another role, from their next request on.

    Raises:
        Refused: The last active owner would be lowered, or either role may do more than the caller.
    """
    role_of(role)
    with store.transaction() as unit:
        return _changed(unit, caller, who, now, role=role)


def disable(store: Store, caller: Caller, who: int | str, now: datetime) -> Row:
    """Let a user in no more, and end their sessions. Keys that they made go on: they belong to programs.

    Raises:
        Refused: It is the last active owner, or somebody who may do more than the caller.
    """
    with store.transaction() as unit:
        row = _changed(unit, caller, who, now, state="disabled")
        unit.people.end_sessions(row["id"])
    return row


def enable(store: Store, caller: Caller, who: int | str, now: datetime) -> Row:
    """Let a user in again.

    Raises:
        Refused: The user may do more than the caller.
    """
    with store.transaction() as unit:
        return _changed(unit, caller, who, now, state="active")


def _changed(unit: Unit, caller: Caller, who: int | str, now: datetime, **values: str) -> Row:
    owners = unit.people.owners()
    row = _found(unit, who, lock=True)
    _check_reach(caller, row["role"])
    after = {**row, **values}
    _check_reach(caller, after["role"])
    if owners == [row["id"]] and (after["role"], after["state"]) != ("owner", "active"):
        raise Refused(f"{row['email']} is the last owner.", hint="Make somebody else an owner first.")
    if after != row:
        unit.people.set(row["id"], now, **values)
    return _shown({**after, "updated_at": now if after != row else row["updated_at"]})


def set_timezone(store: Store, user_id: int, zone: str | None, now: datetime) -> Row:
    """Choose the IANA zone in which a user reads times; None: the browser's.

    Raises:
        InvalidInput: There is no such zone.
    """
    if zone is not None:
        zone_of(zone)
    with store.transaction() as unit:
        _found(unit, user_id)
        unit.people.set(user_id, now, timezone=zone)
        return _shown(_found(unit, user_id))


def set_password(
    store: Store, hasher: Hasher, caller: Caller, who: int | str, password: str | None, now: datetime
) -> str | None:
    """Give a user another password, which ends every session of theirs; the generated one where None was given.

    Raises:
        Refused: The user may do more than the caller.
    """
    row = user(store, who)
    _check_reach(caller, row["role"])
    given = password if password is not None else _generated()
    put_password(store, hasher, row, given, now)
    return None if password is not None else given
