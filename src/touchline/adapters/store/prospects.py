"""Prospects in the store: membership, pages of those that have work to do, decisions, and what other campaigns know."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

import polars as pl
from sqlalchemy import Connection, bindparam, case, exists, func, select, update

from touchline.adapters.store.bulk import BulkWriter
from touchline.adapters.store.engine import is_reading
from touchline.adapters.store.query import among, frame, lead_columns
from touchline.adapters.store.tables import PENDING, RECHECKED, REPLIED, campaigns, events, leads, prospects, touches
from touchline.model.columns import DECISIONS

SAVED = ("state", "state_reason", "pending", "recheck_at", "campaign_version", *(c.name for c in DECISIONS))
"""What judging writes on a prospect."""

# Built once, since sending runs it for every message, and building a statement takes longer than running it.
STATE = select(prospects.c.state).where(prospects.c.id == bindparam("key"))


class Prospects:
    """Rows of `prospects`, inside the caller's transaction."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.bulk = BulkWriter(connection)

    def absent(self, campaign_id: int, lead_ids: Collection[int]) -> list[int]:
        """Those of the leads that are not in the campaign yet."""
        query = select(prospects.c.lead_id).where(
            prospects.c.campaign_id == campaign_id, among(self.connection, prospects.c.lead_id, lead_ids)
        )
        there = set(self.connection.execute(query).scalars())
        return [key for key in lead_ids if key not in there]

    def insert(self, batch: pl.DataFrame, campaign_id: int, now: datetime) -> pl.Series:
        """Add prospects (`lead_id` and the SAVED columns); gives their keys in the batch's order."""
        keys = self.bulk.reserve("prospects", batch.height)
        moment = pl.lit(now, pl.Datetime("us", "UTC"))
        rows = batch.select(
            keys,
            pl.lit(campaign_id).alias("campaign_id"),
            "lead_id",
            *SAVED,
            moment.alias("created_at"),
            moment.alias("updated_at"),
        )
        self.bulk.insert("prospects", rows)
        return keys.rename("prospect_id")

    def save(self, batch: pl.DataFrame, now: datetime) -> None:
        """Set the SAVED columns of the prospects named by `prospect_id`."""
        rows = batch.select(
            pl.col("prospect_id").alias("id"),
            *SAVED,
            pl.lit(now, pl.Datetime("us", "UTC")).alias("updated_at"),
        )
        self.bulk.update("prospects", rows)

    def page(self, campaign_id: int, *, after: int, limit: int, everyone: bool) -> pl.DataFrame:
        """The next prospects to judge, with their leads and what is stored of them (`was_*`), locked where the transaction writes.

        Args:
            everyone: All prospects (a new version of the campaign), else those with work to do.
        """
        stored = [prospects.c[name].label(f"was_{name}") for name in SAVED]
        begun = touches.c.state.in_(("claimed", "sending", "sent", "uncertain", "failed"))
        # One look-up a row. PostgreSQL answers EXISTS by reading all touches where it expects many rows.
        furthest = select(func.max(case((begun, 2), else_=1))).where(touches.c.prospect_id == prospects.c.id)
        query = (
            select(
                prospects.c.id.label("prospect_id"),
                prospects.c.decided_by,
                func.coalesce(furthest.scalar_subquery(), 0).label("furthest"),
                *stored,
                leads.c.id.label("lead_id"),
                leads.c.identity,
                *lead_columns(leads),
            )
            .join(leads, leads.c.id == prospects.c.lead_id)
            .where(prospects.c.campaign_id == campaign_id, prospects.c.id > after)
            .order_by(prospects.c.id)
            .limit(limit)
        )
        if not everyone:
            query = query.where(PENDING)
        found = frame(self.connection, query if is_reading(self.connection) else query.with_for_update(of=prospects))
        reached = pl.col("furthest")
        return found.with_columns(
            (reached >= 1).cast(pl.Int64).alias("touched"), (reached == 2).cast(pl.Int64).alias("started")
        ).drop("furthest")

    def pending_count(self, campaign_id: int, *, everyone: bool) -> int:
        """How many `page` would go through."""
        query = select(func.count()).select_from(prospects).where(prospects.c.campaign_id == campaign_id)
        return int(self.connection.execute(query if everyone else query.where(PENDING)).scalar_one())

    def wake(self, campaign_id: int, now: datetime) -> int:
        """Give those whose time to look again has come work to do; says how many."""
        query = (
            update(prospects)
            .where(prospects.c.campaign_id == campaign_id, RECHECKED, prospects.c.recheck_at <= now)
            .values(pending=1, recheck_at=None)
        )
        return self.connection.execute(query).rowcount

    def mark_pending(self, lead_ids: Collection[int]) -> None:
        """The facts of these leads changed: judge them again in every campaign."""
        query = update(prospects).where(among(self.connection, prospects.c.lead_id, lead_ids)).values(pending=1)
        self.connection.execute(query)

    def facts(self, campaign_id: int, batch: pl.DataFrame, now: datetime) -> pl.DataFrame:
        """What the rest of the store knows about leads of a batch.

        Args:
            batch: `lead_id`, `identity`, `account`; `lead_id` is null for a lead that is new, about whom nothing can be known.

        Returns:
            `identity`, `active_campaign`, `last_contact_days`, `account_replied`, one row for each lead about whom anything is known.
        """
        found: dict[str, dict[str, Any]] = {}
        ids = {row[0]: row[1] for row in batch.select("lead_id", "identity").drop_nulls("lead_id").iter_rows()}
        if ids:
            others = (
                select(prospects.c.lead_id, func.min(campaigns.c.name))
                .join(campaigns, campaigns.c.id == prospects.c.campaign_id)
                .where(
                    prospects.c.campaign_id != campaign_id,
                    prospects.c.state == "enrolled",
                    among(self.connection, prospects.c.lead_id, list(ids)),
                )
                .group_by(prospects.c.lead_id)
            )
            for lead_id, name in self.connection.execute(others):
                found.setdefault(ids[lead_id], {})["active_campaign"] = name
            contacts = (
                select(prospects.c.lead_id, func.max(touches.c.sent_at, type_=touches.c.sent_at.type))
                .join(touches, touches.c.prospect_id == prospects.c.id)
                .where(touches.c.sent_at.is_not(None), among(self.connection, prospects.c.lead_id, list(ids)))
                .group_by(prospects.c.lead_id)
            )
            for lead_id, at in self.connection.execute(contacts):
                found.setdefault(ids[lead_id], {})["last_contact_days"] = (now - at) // timedelta(days=1)
        replied = self._replied(batch["account"].drop_nulls().unique().to_list())
        if replied:
            for identity, account in (
                batch.select("identity", "account").filter(pl.col("account").is_in(replied)).iter_rows()
            ):
                found.setdefault(identity, {})["account_replied"] = account in replied
        schema = {
            "identity": pl.String,
            "active_campaign": pl.String,
            "last_contact_days": pl.Int64,
            "account_replied": pl.Boolean,
        }
        return pl.DataFrame(
            [{"identity": identity, **facts} for identity, facts in sorted(found.items())], schema=schema
        )

    def _replied(self, accounts: Collection[str]) -> list[str]:
        query = select(events.c.account).distinct().where(REPLIED, among(self.connection, events.c.account, accounts))
        return list(self.connection.execute(query).scalars())

    def of_lead(self, lead_id: int) -> list[dict[str, Any]]:
        """Every prospect of one lead, with its campaign's name."""
        query = (
            select(prospects, campaigns.c.name.label("campaign"))
            .join(campaigns, campaigns.c.id == prospects.c.campaign_id)
            .where(prospects.c.lead_id == lead_id)
            .order_by(prospects.c.id)
        )
        return [dict(row) for row in self.connection.execute(query).mappings()]

    def state(self, prospect_id: int) -> str | None:
        """The state of one prospect, or None where it is not there."""
        return self.connection.execute(STATE, {"key": prospect_id}).scalar_one_or_none()

    def lead_of(self, prospect_id: int) -> dict[str, Any] | None:
        """The lead of a prospect, as stored."""
        query = select(leads).join(prospects, prospects.c.lead_id == leads.c.id).where(prospects.c.id == prospect_id)
        row = self.connection.execute(query).mappings().one_or_none()
        return dict(row) if row else None

    def set(self, ids: Collection[int], now: datetime, **values: Any) -> None:
        """Set columns of these prospects."""
        self.connection.execute(
            update(prospects).where(among(self.connection, prospects.c.id, ids)).values(**values, updated_at=now)
        )

    def stop_leads(self, lead_ids: Collection[int], state: str, reason: str, now: datetime) -> list[int]:
        """End every prospect of these leads that is not at an end; gives their keys."""
        query = (
            update(prospects)
            .where(
                among(self.connection, prospects.c.lead_id, lead_ids), prospects.c.state.not_in(("stopped", "replied"))
            )
            .values(state=state, state_reason=reason, pending=0, recheck_at=None, updated_at=now)
            .returning(prospects.c.id)
        )
        return sorted(self.connection.execute(query).scalars())

    def funnel(self, campaign_id: int) -> list[dict[str, Any]]:
        """`state`, `verdict`, `verdict_reason`, `route_reason`, `tier`, `prospects`: counts of every distinct combination."""
        names = (
            "state",
            "state_reason",
            "verdict",
            "verdict_reason",
            "sequence",
            "route_reason",
            "tier",
            "address_status",
        )
        columns = [prospects.c[name] for name in names]
        query = (
            select(*columns, func.count().label("prospects"))
            .where(prospects.c.campaign_id == campaign_id)
            .group_by(*columns)
        )
        ordered = query.order_by(func.count().desc(), *columns)
        return [dict(row) for row in self.connection.execute(ordered).mappings()]

    def orphans(self) -> int:
        """Prospects without a lead and touches without a prospect: must be 0."""
        lost = select(func.count()).select_from(prospects).where(~exists().where(leads.c.id == prospects.c.lead_id))
        alone = (
            select(func.count()).select_from(touches).where(~exists().where(prospects.c.id == touches.c.prospect_id))
        )
        return sum(int(self.connection.execute(query).scalar_one()) for query in (lost, alone))
