"""People, their sessions and failed log-ins, and API keys in the store."""

import json
from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, bindparam, case, delete, exists, insert, or_, select, update

from touchline.adapters.store.campaigns import upsert
from touchline.adapters.store.tables import api_keys, login_failures, sessions, users

SHOWN = [column for column in users.columns if column.name != "password"]
KEYS_SHOWN = [column for column in api_keys.columns if column.name != "digest"]

# Built once, since every request asks one of these two.
OF_SESSION = (
    select(users.c.id, users.c.email, users.c.role, users.c.timezone)
    .join(sessions, sessions.c.user_id == users.c.id)
    .where(
        sessions.c.digest == bindparam("digest"), sessions.c.expires_at > bindparam("now"), users.c.state == "active"
    )
)
OF_PREFIX = select(api_keys).where(
    api_keys.c.prefix == bindparam("prefix"),
    api_keys.c.revoked_at.is_(None),
    or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > bindparam("now")),
)


class People:
    """Rows of `users`, `sessions` and `login_failures`."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def any(self) -> bool:
        """Whether there is any user."""
        return bool(self.connection.execute(select(exists(select(users.c.id)))).scalar_one())

    def add(self, email: str, name: str, role: str, password: str, now: datetime) -> int | None:
        """Add an active user; gives the key, or None where the address is taken."""
        values = {"email": email, "name": name, "role": role, "password": password, "state": "active"}
        statement = upsert(self.connection, users).values(**values, created_at=now, updated_at=now)
        return self.connection.execute(statement.on_conflict_do_nothing().returning(users.c.id)).scalar_one_or_none()

    def listed(self) -> list[dict[str, Any]]:
        """Every user by address, without password hashes."""
        return [dict(row) for row in self.connection.execute(select(*SHOWN).order_by(users.c.email)).mappings()]

    def find(self, who: int | str, *, lock: bool = False) -> dict[str, Any] | None:
        """The user of this key or address, with the password's hash; with `lock`, nobody changes it until the transaction ends."""
        query = select(users).where(users.c.id == who if isinstance(who, int) else users.c.email == who)
        row = self.connection.execute(query.with_for_update() if lock else query).mappings().one_or_none()
        return dict(row) if row else None

    def set(self, key: int, now: datetime, **values: Any) -> None:
        """Set columns of one user."""
        self.connection.execute(update(users).where(users.c.id == key).values(**values, updated_at=now))

    def seen(self, key: int, now: datetime) -> None:
        """The user has logged in."""
        self.connection.execute(update(users).where(users.c.id == key).values(seen_at=now))

    def owners(self) -> list[int]:
        """Keys of the active owners, of whom nobody is lowered or disabled elsewhere until the transaction ends."""
        query = select(users.c.id).where(users.c.role == "owner", users.c.state == "active").order_by(users.c.id)
        return list(self.connection.execute(query.with_for_update()).scalars())

    # sessions

    def add_session(self, digest: str, user_id: int, now: datetime, expires_at: datetime, agent: str) -> None:
        """Add a session."""
        values = {"digest": digest, "user_id": user_id, "created_at": now, "expires_at": expires_at, "agent": agent}
        self.connection.execute(insert(sessions).values(values))

    def of_session(self, digest: str, now: datetime) -> dict[str, Any] | None:
        """`id`, `email`, `role`, `timezone` of the active user whose live session this is."""
        row = self.connection.execute(OF_SESSION, {"digest": digest, "now": now}).mappings().one_or_none()
        return dict(row) if row else None

    def end_session(self, digest: str) -> bool:
        """End one session; False where there is none."""
        return bool(self.connection.execute(delete(sessions).where(sessions.c.digest == digest)).rowcount)

    def end_sessions(self, user_id: int) -> int:
        """End every session of a user; says how many."""
        return self.connection.execute(delete(sessions).where(sessions.c.user_id == user_id)).rowcount

    def end_expired(self, now: datetime) -> int:
        """Remove sessions that have expired; says how many."""
        return self.connection.execute(delete(sessions).where(sessions.c.expires_at <= now)).rowcount

    # failed log-ins

    def failed(self, subject: str, fresh: datetime, now: datetime) -> tuple[int, datetime]:
        """Count one more failure; gives how many there are, and since when.

        Args:
            fresh: A count that began before this instant begins anew.
        """
        old = login_failures.c.since < fresh
        statement = upsert(self.connection, login_failures).values(subject=subject, count=1, since=now)
        counted = statement.on_conflict_do_update(
            index_elements=["subject"],
            set_={
                "count": case((old, 1), else_=login_failures.c.count + 1),
                "since": case((old, statement.excluded.since), else_=login_failures.c.since),
            },
        ).returning(login_failures.c.count, login_failures.c.since)
        row = self.connection.execute(counted).one()
        return row[0], row[1]

    def forgive(self, subjects: Collection[str]) -> None:
        """Forget the failures of these."""
        self.connection.execute(delete(login_failures).where(login_failures.c.subject.in_(subjects)))

    def forgive_before(self, since: datetime) -> int:
        """Forget counts that began before an instant; says how many."""
        return self.connection.execute(delete(login_failures).where(login_failures.c.since < since)).rowcount


class Keys:
    """Rows of `api_keys`."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def add(self, name: str, prefix: str, digest: str, scopes: Collection[str], **values: Any) -> dict[str, Any]:
        """Add a key with its other columns; gives the row as `listed` does."""
        row = {"name": name, "prefix": prefix, "digest": digest, "scopes": json.dumps(sorted(scopes)), **values}
        return _key(self.connection.execute(insert(api_keys).values(row).returning(*KEYS_SHOWN)).mappings().one())

    def listed(self) -> list[dict[str, Any]]:
        """Every key, the newest first, without digests; `scopes` as a list."""
        query = select(*KEYS_SHOWN).order_by(api_keys.c.id.desc())
        return [_key(row) for row in self.connection.execute(query).mappings()]

    def of_prefix(self, prefix: str, now: datetime) -> dict[str, Any] | None:
        """The live key of this prefix, with its digest; `scopes` as a list."""
        row = self.connection.execute(OF_PREFIX, {"prefix": prefix, "now": now}).mappings().one_or_none()
        return _key(row) if row else None

    def used(self, key: int, now: datetime) -> None:
        """The key has been used; another process may have said so of a later instant."""
        older = or_(api_keys.c.used_at.is_(None), api_keys.c.used_at < now)
        self.connection.execute(update(api_keys).where(and_(api_keys.c.id == key, older)).values(used_at=now))

    def revoke(self, prefix: str, now: datetime) -> bool:
        """End a key for good; False where there is none that is not revoked."""
        which = and_(api_keys.c.prefix == prefix, api_keys.c.revoked_at.is_(None))
        return bool(self.connection.execute(update(api_keys).where(which).values(revoked_at=now)).rowcount)


def _key(row: Any) -> dict[str, Any]:
    return {**row, "scopes": json.loads(row["scopes"])}
