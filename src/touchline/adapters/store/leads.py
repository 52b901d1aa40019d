"""Leads in the store: look-up by identity, bulk insert and update, keyset pages."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import polars as pl
import psycopg
from sqlalchemy import Connection, select, union

from touchline.adapters.store.bulk import BulkWriter
from touchline.adapters.store.engine import is_reading
from touchline.adapters.store.query import among, domain_and_parents, frame, lead_columns, lead_names, rule
from touchline.adapters.store.tables import HAS_PROFILE, leads, prospects
from touchline.model.columns import DECISIONS, LEAD
from touchline.model.errors import Crossed
from touchline.model.rules import Condition


class Leads:
    """Rows of `leads`, inside the caller's transaction."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.bulk = BulkWriter(connection)

    def known(self, identities: Collection[str], profiles: Collection[str]) -> pl.DataFrame:
        """Leads with one of these identities or profile URLs: `lead_id`, `identity` and the LEAD columns.

        A transaction that writes locks them: what it makes of them is not made of an older state.
        """
        wanted = []
        if identities:
            wanted.append(select(leads.c.id).where(among(self.connection, leads.c.identity, identities)))
        if profiles:
            wanted.append(select(leads.c.id).where(HAS_PROFILE, among(self.connection, leads.c.profile_url, profiles)))
        # Two statements: a planner that cannot know how few are found would read every lead to join them.
        ids = self.connection.execute(union(*wanted)).scalars().all() if wanted else []
        columns = [leads.c.id.label("lead_id"), leads.c.identity, *(leads.c[c.name] for c in LEAD)]
        query = select(*columns).where(among(self.connection, leads.c.id, ids)).order_by(leads.c.id)
        return frame(self.connection, query if is_reading(self.connection) else query.with_for_update())

    def with_profiles(self, profiles: Collection[str]) -> list[int]:
        """Keys of the leads with one of these profile URLs."""
        query = select(leads.c.id).where(HAS_PROFILE, among(self.connection, leads.c.profile_url, profiles))
        return list(self.connection.execute(query).scalars())

    def by_ids(self, ids: Collection[int]) -> pl.DataFrame:
        """These leads with shadows, as the stages want them, ordered by key."""
        columns = [leads.c.id.label("lead_id"), leads.c.identity, *lead_columns(leads)]
        return frame(
            self.connection,
            select(*columns).where(among(self.connection, leads.c.id, ids)).order_by(leads.c.id),
        )

    def insert(self, batch: pl.DataFrame, import_id: int | None, now: datetime, *, beside: bool = False) -> pl.Series:
        """Add new leads (`identity`, LEAD columns and shadows); gives their keys in the batch's order.

        Args:
            beside: Others may add some of them at the same time. Who has been added by them has no key here.

        Raises:
            Crossed: Others have, unexpectedly.
        """
        keys = self.bulk.reserve("leads", batch.height)
        rows = batch.select(
            keys,
            "identity",
            *lead_names(),
            pl.lit(import_id, pl.Int64).alias("import_id"),
            pl.lit(now, pl.Datetime("us", "UTC")).alias("created_at"),
            pl.lit(now, pl.Datetime("us", "UTC")).alias("updated_at"),
        )
        if not self.bulk.postgresql:
            self.bulk.insert("leads", rows)
            return keys.rename("lead_id")
        # Whoever adds the same people at once waits for the first of them: in one order, nobody waits in a ring.
        rows = rows.sort("identity")
        if beside:
            if self.bulk.insert_missing("leads", rows) == rows.height:
                return keys.rename("lead_id")
            there = self.connection.execute(
                select(leads.c.id).where(among(self.connection, leads.c.id, keys))
            ).scalars()
            return keys.set(~keys.is_in(list(there)), None).rename("lead_id")
        try:
            self.bulk.insert("leads", rows)
        except psycopg.errors.UniqueViolation as error:
            raise Crossed("Another import has added the same people.", hint="Try again.") from error
        return keys.rename("lead_id")

    def update(self, batch: pl.DataFrame, now: datetime) -> None:
        """Set identity and LEAD columns of the leads named by `lead_id`."""
        rows = batch.select(
            pl.col("lead_id").alias("id"),
            "identity",
            *lead_names(),
            pl.lit(now, pl.Datetime("us", "UTC")).alias("updated_at"),
        )
        self.bulk.update("leads", rows)

    def find(self, identity: str) -> dict[str, Any] | None:
        """One lead by identity, as stored."""
        row = self.connection.execute(select(leads).where(leads.c.identity == identity)).mappings().one_or_none()
        return dict(row) if row else None

    def page(self, *, campaign_id: int | None, where: Condition | None, after: int, limit: int) -> list[dict[str, Any]]:
        """Leads in order of key after `after`; with a campaign, those in it with their decisions."""
        columns: list[Any] = [
            leads.c.id,
            leads.c.identity,
            *(leads.c[c.name] for c in LEAD),
            leads.c.created_at,
            leads.c.updated_at,
        ]
        query = select(*columns).where(leads.c.id > after).order_by(leads.c.id).limit(limit)
        tables = {c.name: leads for c in LEAD}
        if campaign_id is not None:
            query = query.add_columns(
                prospects.c.state, prospects.c.state_reason, *(prospects.c[c.name] for c in DECISIONS)
            )
            query = query.join(
                prospects, (prospects.c.lead_id == leads.c.id) & (prospects.c.campaign_id == campaign_id)
            )
            tables |= {c.name: prospects for c in DECISIONS}
        if where is not None:
            query = query.where(rule(self.connection, where, tables))
        return [dict(row) for row in self.connection.execute(query).mappings()]

    def ids_of(self, kind: str, values: Sequence[str]) -> list[int]:
        """Keys of the leads with these base addresses, in these domains or below them, or of these accounts."""
        column = {"address": leads.c.identity, "domain": leads.c.email_domain, "account": leads.c.account}[kind]
        if kind == "domain":
            there = self.connection.execute(select(column).where(column.is_not(None)).distinct()).scalars()
            values = [domain for domain in there if not set(values).isdisjoint(domain_and_parents(domain))]
        query = select(leads.c.id).where(among(self.connection, column, values)).order_by(leads.c.id)
        return list(self.connection.execute(query).scalars())
