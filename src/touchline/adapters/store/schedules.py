"""Schedules in the store: when which job starts by itself."""

import json
from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, select, update

from touchline.adapters.store.campaigns import upsert
from touchline.adapters.store.engine import hold
from touchline.adapters.store.query import among
from touchline.adapters.store.tables import campaigns, schedules


class Schedules:
    """Rows of `schedules`."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def listed(self) -> list[dict[str, Any]]:
        """Every schedule with its campaign's name and state, by name; `timing` parsed."""
        query = (
            select(schedules, campaigns.c.name.label("campaign"), campaigns.c.state.label("campaign_state"))
            .outerjoin(campaigns, campaigns.c.id == schedules.c.campaign_id)
            .order_by(schedules.c.name)
        )
        rows = self.connection.execute(query).mappings()
        return [{**row, "timing": json.loads(row["timing"])} for row in rows]

    def known(self, names: Collection[str]) -> set[str]:
        """Those of these names that a schedule has."""
        query = select(schedules.c.name).where(among(self.connection, schedules.c.name, names))
        return set(self.connection.execute(query).scalars())

    def add(
        self, name: str, job: str, campaign_id: int | None, timing: dict[str, Any], now: datetime, priority: int
    ) -> int:
        """Add an active schedule, unless one has this name already; gives the key of the one that has it."""
        statement = upsert(self.connection, schedules).values(
            name=name,
            job=job,
            campaign_id=campaign_id,
            state="active",
            timing=json.dumps(timing, sort_keys=True),
            priority=priority,
            created_at=now,
            updated_at=now,
        )
        # Two processes may add it at once. A change of nothing lets the second one have the key too.
        unchanged = statement.on_conflict_do_update(index_elements=["name"], set_={"name": name})
        return int(self.connection.execute(unchanged.returning(schedules.c.id)).scalar_one())

    def remove(self, key: int) -> None:
        """Remove one schedule; runs that it started stay."""
        self.connection.execute(delete(schedules).where(schedules.c.id == key))

    def set(self, key: int, now: datetime, **values: Any) -> None:
        """Set columns of one schedule; `timing` is a mapping."""
        if "timing" in values:
            values["timing"] = json.dumps(values["timing"], sort_keys=True)
        self.connection.execute(update(schedules).where(schedules.c.id == key).values(**values, updated_at=now))

    def take(self, key: int, slot: str, now: datetime) -> bool:
        """Make this the newest slot of an active schedule; False where another process has done so, or it is paused."""
        return self._take(schedules.c.id == key, slot, now) == 1

    def pass_by(self, keys: Collection[int], slot: str, now: datetime) -> None:
        """The same for many at once; those that another process has taken, or that are paused, stay as they are."""
        # Two that write the same rows in different orders would wait for each other.
        hold(self.connection, "schedules pass by")
        self._take(among(self.connection, schedules.c.id, keys), slot, now)

    def _take(self, which: ColumnElement[bool], slot: str, now: datetime) -> int:
        free = schedules.c.last_slot.is_(None) | (schedules.c.last_slot < slot)
        query = update(schedules).where(which, schedules.c.state == "active", free)
        return self.connection.execute(query.values(last_slot=slot, updated_at=now)).rowcount
