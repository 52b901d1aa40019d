"""Imports with their cursor and counts."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import polars as pl
from sqlalchemy import Connection, delete, func, insert, select, update

from touchline.adapters.store.bulk import BulkWriter
from touchline.adapters.store.engine import hold
from touchline.adapters.store.tables import campaigns, import_rows, imports

MANY = 20_000
"""Rows of an import that may change what the best plan is."""

COUNTED = ("new", "updated", "duplicate", "suppressed", "rejected")


class Imports:
    """Rows of `imports` and `import_rows`."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.bulk = BulkWriter(connection)
        self._beside: tuple[int, dict[int, int]] | None = None
        self._since: datetime | None = None

    def open(self, campaign_id: int, *, source: str, name: str, fingerprint: str, size: int, now: datetime) -> int:
        """Start an import; gives its key."""
        values = {
            "campaign_id": campaign_id,
            "source": source,
            "name": name,
            "fingerprint": fingerprint,
            "bytes": size,
            "state": "running",
            "offset": 0,
            "rows": 0,
            **dict.fromkeys(COUNTED, 0),
            "started_at": now,
            "moved_at": now,
        }
        return int(self.connection.execute(insert(imports).values(values).returning(imports.c.id)).scalar_one())

    def latest(self, campaign_id: int, fingerprint: str) -> dict[str, Any] | None:
        """The last import of exactly this content into this campaign."""
        query = (
            select(imports)
            .where(imports.c.campaign_id == campaign_id, imports.c.fingerprint == fingerprint)
            .order_by(imports.c.id.desc())
            .limit(1)
        )
        row = self.connection.execute(query).mappings().one_or_none()
        return dict(row) if row else None

    def join(self, key: int, since: datetime, *, alone: bool) -> bool:
        """Add leads from now on: beside other imports that do, or alone until this transaction ends.

        On SQLite a transaction that writes is alone anyway.

        Args:
            since: An import that has not moved since then is not under way.

        Returns:
            Whether other imports are under way.
        """
        if not self.bulk.postgresql:
            return False
        hold(self.connection, "add leads", shared=not alone)
        self._since = since
        there, under_way = self._others(key)
        self._beside = None if alone else (there, under_way)
        return bool(under_way) and not alone

    def leave(self, key: int) -> bool:
        """Let no other that has joined commit before this transaction ends; says whether one has since this one joined."""
        if self._beside is None:
            return False
        hold(self.connection, "leads were added")
        return self._others(key) != self._beside

    def _others(self, key: int) -> tuple[int, dict[int, int]]:
        """How many other imports there are, and where those under way stand: a batch that is committed changes one of the two."""
        count = select(func.count()).select_from(imports).where(imports.c.id != key)
        stand = select(imports.c.id, imports.c.offset).where(
            imports.c.state == "running", imports.c.moved_at > self._since, imports.c.id != key
        )
        there = int(self.connection.execute(count).scalar_one())
        return there, {row.id: row.offset for row in self.connection.execute(stand)}

    def get(self, key: int, *, lock: bool = False) -> dict[str, Any] | None:
        """One import; with `lock`, its cursor is ours until the transaction ends."""
        query = select(imports).where(imports.c.id == key)
        row = self.connection.execute(query.with_for_update() if lock else query).mappings().one_or_none()
        return dict(row) if row else None

    def advance(
        self, key: int, now: datetime, *, offset: int, rows: int, counts: Mapping[str, int], set_aside: pl.DataFrame
    ) -> None:
        """Move the cursor behind a batch, add its counts, and keep the rows that became no lead.

        Args:
            set_aside: `row`, `outcome`, `reason`, `identity`, `raw`.
        """
        values: dict[str, Any] = {name: imports.c[name] + counts.get(name, 0) for name in COUNTED}
        values |= {"offset": offset, "rows": imports.c.rows + rows, "moved_at": now}
        self.connection.execute(update(imports).where(imports.c.id == key).values(values))
        self.bulk.insert(
            "import_rows",
            set_aside.select(pl.lit(key).alias("import_id"), "row", "outcome", "reason", "identity", "raw"),
        )

    def take_back(self, key: int, first: int, last: int, reason: str) -> int:
        """Forget that rows were rejected for one reason, as if they had never been read; says how many there were."""
        gone = delete(import_rows).where(
            import_rows.c.import_id == key, import_rows.c.row.between(first, last), import_rows.c.reason == reason
        )
        count = self.connection.execute(gone).rowcount
        less = {"rows": imports.c.rows - count, "rejected": imports.c.rejected - count}
        self.connection.execute(update(imports).where(imports.c.id == key).values(less))
        return count

    def finish(self, key: int, state: str, now: datetime, error: str | None = None) -> None:
        """Close an import as done or failed, or open it again as running; it goes on at its cursor."""
        finished_at = None if state == "running" else now
        values = {"state": state, "moved_at": now, "finished_at": finished_at, "error": error}
        closed = update(imports).where(imports.c.id == key).values(values)
        rows = self.connection.execute(closed.returning(imports.c.rows)).scalar_one()
        if state == "done" and rows >= MANY:
            self.bulk.survey("leads", "prospects", "touches")

    def listed(self, limit: int, before: int | None = None) -> list[dict[str, Any]]:
        """The newest first, those before a key."""
        query = select(imports, campaigns.c.name.label("campaign")).outerjoin(
            campaigns, campaigns.c.id == imports.c.campaign_id
        )
        if before is not None:
            query = query.where(imports.c.id < before)
        return [dict(r) for r in self.connection.execute(query.order_by(imports.c.id.desc()).limit(limit)).mappings()]

    def reasons(self, key: int) -> list[dict[str, Any]]:
        """`outcome`, `reason`, `rows`: how often each reason set a row aside."""
        query = (
            select(import_rows.c.outcome, import_rows.c.reason, func.count().label("rows"))
            .where(import_rows.c.import_id == key)
            .group_by(import_rows.c.outcome, import_rows.c.reason)
            .order_by(func.count().desc(), import_rows.c.outcome, import_rows.c.reason)
        )
        return [dict(r) for r in self.connection.execute(query).mappings()]

    def set_aside(self, key: int, outcome: str | None, after: int, limit: int) -> list[dict[str, Any]]:
        """Rows that became no lead, in order of their number in the file."""
        query = (
            select(import_rows)
            .where(import_rows.c.import_id == key, import_rows.c.row > after)
            .order_by(import_rows.c.row)
            .limit(limit)
        )
        if outcome:
            query = query.where(import_rows.c.outcome == outcome)
        return [dict(r) for r in self.connection.execute(query).mappings()]
