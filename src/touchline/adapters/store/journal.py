"""Events, deliveries as a lead's journey shows them, and the senders that are alive."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, or_, select

from touchline.adapters.store.campaigns import upsert
from touchline.adapters.store.query import among
from touchline.adapters.store.tables import deliveries, events, senders


class Journal:
    """Rows of `events`: only what happened."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def record(
        self,
        kind: str,
        at: datetime,
        *,
        lead_id: int,
        prospect_id: int | None = None,
        touch_id: int | None = None,
        account: str | None = None,
        detail: str | None = None,
    ) -> None:
        """Add one event."""
        values = {
            "kind": kind,
            "at": at,
            "lead_id": lead_id,
            "prospect_id": prospect_id,
            "touch_id": touch_id,
            "account": account,
            "detail": detail,
        }
        self.connection.execute(insert(events), values)

    def of_lead(self, lead_id: int) -> list[dict[str, Any]]:
        """Every event of one lead, oldest first."""
        query = select(events).where(events.c.lead_id == lead_id).order_by(events.c.at, events.c.id)
        return [dict(row) for row in self.connection.execute(query).mappings()]

    def listed(
        self,
        kinds: Collection[str],
        *,
        lead_id: int | None,
        since: datetime | None,
        before: tuple[datetime, int] | None,
        limit: int,
    ) -> list[dict[str, Any]]:
        """Events of these kinds, the newest first.

        Args:
            since: The earliest instant.
            before: Only those that come after the event of this instant and key in the list.
        """
        query = select(events).where(events.c.kind.in_(kinds)).order_by(events.c.at.desc(), events.c.id.desc())
        if lead_id is not None:
            query = query.where(events.c.lead_id == lead_id)
        if since is not None:
            query = query.where(events.c.at >= since)
        if before is not None:
            at, key = before
            # The first part alone is what an index answers.
            query = query.where(events.c.at <= at, or_(events.c.at < at, events.c.id < key))
        return [dict(row) for row in self.connection.execute(query.limit(limit)).mappings()]

    def deliveries(self, touch_ids: Collection[int]) -> list[dict[str, Any]]:
        """Every attempt to send these touches, oldest first."""
        query = (
            select(deliveries).where(among(self.connection, deliveries.c.touch_id, touch_ids)).order_by(deliveries.c.id)
        )
        return [dict(row) for row in self.connection.execute(query).mappings()]


class Senders:
    """Rows of `senders`: who may hold a claim, and when it was last heard of."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def beat(self, name: str, host: str, pid: int, now: datetime) -> None:
        """This sender is alive."""
        statement = upsert(self.connection, senders).values(name=name, host=host, pid=pid, beat_at=now)
        self.connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"beat_at": now}))

    def get(self, name: str) -> dict[str, Any] | None:
        """`host`, `pid`, `beat_at`, or None."""
        row = self.connection.execute(select(senders).where(senders.c.name == name)).mappings().one_or_none()
        return dict(row) if row else None

    def drop(self, name: str) -> None:
        """This sender holds nothing any more."""
        self.connection.execute(delete(senders).where(senders.c.name == name))
