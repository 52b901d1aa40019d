"""The audit of changes in the store, and answers that are given again to a repeated request."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from touchline.adapters.store.campaigns import upsert
from touchline.adapters.store.tables import answers, audit


class Audit:
    """Rows of `audit`."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def begin(
        self, at: datetime, actor: str, action: str, object_: str, before: str | None, request_id: str | None
    ) -> int:
        """Note that a change begins; `before` is JSON. Gives its key."""
        values = {"at": at, "actor": actor, "action": action, "object": object_, "before": before}
        statement = insert(audit).values(**values, result="begun", request_id=request_id).returning(audit.c.id)
        return int(self.connection.execute(statement).scalar_one())

    def end(self, key: int, result: str, after: str | None, error: str | None) -> None:
        """Note how it ended: done or failed; `after` is JSON."""
        values = {"result": result, "after": after, "error": error}
        self.connection.execute(update(audit).where(audit.c.id == key).values(values))

    def listed(self, *, before: int | None, limit: int, **equal: str | None) -> list[dict[str, Any]]:
        """Changes, the newest first, with `before` and `after` parsed.

        Args:
            before: Only those with a smaller key.
            equal: Columns with the value that they must have; None: any.
        """
        query = select(audit).order_by(audit.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(audit.c.id < before)
        for name, value in equal.items():
            if value is not None:
                query = query.where(audit.c[name] == value)
        return [
            {**row, "before": _parsed(row["before"]), "after": _parsed(row["after"])}
            for row in self.connection.execute(query).mappings()
        ]

    def forget(self, before: datetime, most: int) -> int:
        """Remove at most so many changes that began before an instant, the oldest first; says how many."""
        old = select(audit.c.id).where(audit.c.at < before).order_by(audit.c.id).limit(most)
        return self.connection.execute(delete(audit).where(audit.c.id.in_(old))).rowcount


class Answers:
    """Rows of `answers`: what a request with an Idempotency-Key was answered."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def begin(self, key: str, request: str, now: datetime) -> dict[str, Any] | None:
        """Take the key for a request, and give None; or give the row of the request that has taken it.

        Of two at once, one waits and gets the other's row. Its `status` is None while it is worked on; `headers` is parsed.
        """
        taken = upsert(self.connection, answers).values(key=key, request=request, created_at=now)
        statement = taken.on_conflict_do_nothing().returning(answers.c.key)
        while self.connection.execute(statement).first() is None:
            row = self.connection.execute(select(answers).where(answers.c.key == key)).mappings().one_or_none()
            if row is not None:  # else it was dropped just now, and is free
                return {**row, "headers": _parsed(row["headers"])}
        return None

    def finish(self, key: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Keep the answer."""
        values = {"status": status, "headers": json.dumps(dict(headers)), "body": body}
        self.connection.execute(update(answers).where(answers.c.key == key).values(values))

    def drop(self, key: str) -> None:
        """Free a key, so that the request may be made again."""
        self.connection.execute(delete(answers).where(answers.c.key == key))

    def forget(self, before: datetime) -> int:
        """Remove answers from before an instant; says how many."""
        return self.connection.execute(delete(answers).where(answers.c.created_at < before)).rowcount


def _parsed(text: str | None) -> Any:
    return None if text is None else json.loads(text)
