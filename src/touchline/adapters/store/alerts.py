"""Alerts in the store: what is wrong now, since when, and who has been told."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select

from touchline.adapters.store.campaigns import upsert
from touchline.adapters.store.tables import alerts


class Alerts:
    """Rows of `alerts`."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def listed(self, *, state: str | None = None) -> list[dict[str, Any]]:
        """Alerts by key, of one state if it is given."""
        query = select(alerts).order_by(alerts.c.key)
        if state is not None:
            query = query.where(alerts.c.state == state)
        return [dict(row) for row in self.connection.execute(query).mappings()]

    def put(self, key: str, values: dict[str, Any]) -> None:
        """Add an alert with all its columns, or set these."""
        statement = upsert(self.connection, alerts).values(key=key, **values)
        self.connection.execute(statement.on_conflict_do_update(index_elements=["key"], set_=values))

    def remove_closed(self, before: datetime) -> int:
        """Forget alerts that were closed before an instant; says how many."""
        return self.connection.execute(
            delete(alerts).where(alerts.c.state == "closed", alerts.c.closed_at < before)
        ).rowcount
