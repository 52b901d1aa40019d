"""Runs with their batches and totals, and the workers that are alive."""

import json
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from touchline.adapters.store.campaigns import upsert
from touchline.adapters.store.engine import hold
from touchline.adapters.store.query import among
from touchline.adapters.store.tables import OPEN_RUNS, batches, campaigns, run_totals, runs, schedules, workers

MAPPINGS = ("counts", "place", "payload")
"""Columns that hold JSON."""


class Runs:
    """Rows of `runs`, `batches` and `run_totals`."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def open(self, job: str, now: datetime, **values: Any) -> int | None:
        """Queue a run, or begin it where `state` says so; gives its key, or None where its schedule's slot has one already."""
        given = {"job": job, "state": "queued", "late": 0, "takeovers": 0, "counts": {}, "queued_at": now} | values
        query = (
            upsert(self.connection, runs)
            .values(_written(given))
            .on_conflict_do_nothing(index_elements=["schedule_id", "slot"])
        )
        return self.connection.execute(query.returning(runs.c.id)).scalar_one_or_none()

    def hold(self, job: str, campaign_id: int | None) -> None:
        """Let no other transaction open a run of this job and campaign until this one ends.

        Taken before the look at what is unfinished, it makes that look hold: whoever comes second sees what the first opened.
        """
        hold(self.connection, f"runs of {job} of campaign {campaign_id or 0}")

    def get(self, key: int, *, lock: bool = False) -> dict[str, Any] | None:
        """One run with its campaign's and its schedule's name; with `lock` no other transaction changes it before this one ends."""
        query = self._named().where(runs.c.id == key)
        rows = self.connection.execute(query.with_for_update(of=runs) if lock else query).mappings()
        row = rows.one_or_none()
        return _parsed(row) if row else None

    def set(self, key: int, **values: Any) -> None:
        """Set columns of one run; `counts` and `payload` are mappings."""
        self.connection.execute(update(runs).where(runs.c.id == key).values(_written(values)))

    def listed(
        self,
        limit: int,
        *,
        before: int | None = None,
        job: str | None = None,
        campaign_id: int | None = None,
        of_campaigns: bool = False,
        states: Collection[str] = (),
    ) -> list[dict[str, Any]]:
        """The newest first, those before a key; with `of_campaigns` only those of a campaign or of leads of any."""
        query = self._named().order_by(runs.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(runs.c.id < before)
        if job is not None:
            query = query.where(runs.c.job == job)
        if campaign_id is not None:
            query = query.where(runs.c.campaign_id == campaign_id)
        if of_campaigns:
            query = query.where(runs.c.campaign_id.is_not(None) | runs.c.payload.is_not(None))
        if states:
            query = query.where(runs.c.state.in_(states))
        return [_parsed(row) for row in self.connection.execute(query).mappings()]

    def unfinished(self, campaign_id: int | None = None) -> list[dict[str, Any]]:
        """Runs that are queued or running, the oldest first."""
        query = self._named().where(OPEN_RUNS)
        if campaign_id is not None:
            query = query.where(runs.c.campaign_id == campaign_id)
        # Sorted here: asked for an order, SQLite reads every run in that order rather than the few in their index.
        found = [_parsed(row) for row in self.connection.execute(query).mappings()]
        return sorted(found, key=lambda row: row["id"])

    def _named(self) -> Any:
        return (
            select(runs, campaigns.c.name.label("campaign"), schedules.c.name.label("schedule"))
            .outerjoin(campaigns, campaigns.c.id == runs.c.campaign_id)
            .outerjoin(schedules, schedules.c.id == runs.c.schedule_id)
        )

    def add_batch(self, run_id: int, stage: str, state: str, now: datetime, **values: Any) -> int:
        """Write one batch down; gives its number. `counts` and `place` are mappings."""
        last = select(func.coalesce(func.max(batches.c.number), 0) + 1).where(batches.c.run_id == run_id)
        given = _written({"attempts": 1, "seconds": 0.0, "counts": {}} | values)
        query = insert(batches).values(
            run_id=run_id, number=last.scalar_subquery(), stage=stage, state=state, finished_at=now, **given
        )
        return int(self.connection.execute(query.returning(batches.c.number)).scalar_one())

    def batches(self, run_id: int, states: Collection[str] = ()) -> list[dict[str, Any]]:
        """Batches of a run in order."""
        query = select(batches).where(batches.c.run_id == run_id).order_by(batches.c.number)
        if states:
            query = query.where(batches.c.state.in_(states))
        return [_parsed(row) for row in self.connection.execute(query).mappings()]

    def released(self, campaign_id: int) -> list[dict[str, Any]]:
        """Batches of a campaign's runs that were set aside and are to be tried again, the oldest first."""
        query = (
            select(batches)
            .join(runs, runs.c.id == batches.c.run_id)
            .where(runs.c.campaign_id == campaign_id, batches.c.state == "released")
            .order_by(batches.c.run_id, batches.c.number)
        )
        return [_parsed(row) for row in self.connection.execute(query).mappings()]

    def set_batch(self, run_id: int, number: int, **values: Any) -> None:
        """Set columns of one batch."""
        query = update(batches).where(batches.c.run_id == run_id, batches.c.number == number)
        self.connection.execute(query.values(values))

    def remove(self, ids: Collection[int]) -> None:
        """Remove runs and their batches."""
        self.connection.execute(delete(batches).where(among(self.connection, batches.c.run_id, ids)))
        self.connection.execute(delete(runs).where(among(self.connection, runs.c.id, ids)))

    def total(self, day: str, job: str, campaign_id: int, state: str) -> dict[str, Any] | None:
        """`runs`, `seconds`, `counts` of removed runs, or None."""
        query = select(run_totals).where(*_of_total(day, job, campaign_id, state))
        row = self.connection.execute(query).mappings().one_or_none()
        return _parsed(row) if row else None

    def put_total(
        self, day: str, job: str, campaign_id: int, state: str, *, count: int, seconds: float, counts: Mapping[str, Any]
    ) -> None:
        """Set the totals of one day, job, campaign and state."""
        values = {"runs": count, "seconds": seconds, "counts": json.dumps(counts, sort_keys=True)}
        key = {"day": day, "job": job, "campaign_id": campaign_id, "state": state}
        statement = upsert(self.connection, run_totals).values(**key, **values)
        self.connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=values))

    def totals(self) -> list[dict[str, Any]]:
        """Every total, by day."""
        query = select(run_totals).order_by(run_totals.c.day, run_totals.c.job, run_totals.c.campaign_id)
        return [_parsed(row) for row in self.connection.execute(query).mappings()]


def _of_total(day: str, job: str, campaign_id: int, state: str) -> tuple[Any, ...]:
    c = run_totals.c
    return (c.day == day, c.job == job, c.campaign_id == campaign_id, c.state == state)


def _parsed(row: Any) -> dict[str, Any]:
    found = dict(row)
    return found | {name: json.loads(found[name]) for name in MAPPINGS if found.get(name) is not None}


def _written(values: Mapping[str, Any]) -> dict[str, Any]:
    texts = {name: json.dumps(values[name], sort_keys=True) for name in MAPPINGS if values.get(name) is not None}
    return {**values, **texts}


class Workers:
    """Rows of `workers`: who runs queued work, and when each was last heard of."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def beat(self, name: str, host: str, pid: int, queues: Collection[str], now: datetime) -> None:
        """This worker is alive."""
        statement = upsert(self.connection, workers).values(
            name=name, host=host, pid=pid, queues=",".join(queues), started_at=now, beat_at=now
        )
        self.connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"beat_at": now}))

    def alone(self) -> bool:
        """Whether no other worker is in a transaction that asked the same; until this one ends nobody else is."""
        if self.connection.dialect.name != "postgresql":
            return True  # BEGIN IMMEDIATE has made this connection the only writer
        lock = "SELECT pg_try_advisory_xact_lock(hashtext('touchline workers'))"
        return bool(self.connection.exec_driver_sql(lock).scalar_one())

    def listed(self) -> list[dict[str, Any]]:
        """Every worker, by name."""
        return [dict(row) for row in self.connection.execute(select(workers).order_by(workers.c.name)).mappings()]

    def drop(self, name: str) -> None:
        """This worker is gone."""
        self.connection.execute(delete(workers).where(workers.c.name == name))
