"""Suppressions and kept DNS answers: two small tables that guard and speed up the batch."""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any

import polars as pl
from sqlalchemy import Connection, select

from touchline.adapters.store.bulk import BulkWriter
from touchline.adapters.store.query import among, domain_and_parents
from touchline.adapters.store.tables import mx_answers, suppressions


class Suppressions:
    """Rows of `suppressions`."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.bulk = BulkWriter(connection)

    def add(self, rows: pl.DataFrame) -> int:
        """Add `kind`, `value`, `reason`, `source`, `at`; what is there already stays as it was. Gives how many were new."""
        return self.bulk.insert_missing("suppressions", rows.select("kind", "value", "reason", "source", "at"))

    def count(self) -> int:
        """How many there are."""
        return int(self.connection.exec_driver_sql("SELECT count(*) FROM suppressions").scalar_one())

    def matching(self, batch: pl.DataFrame) -> pl.DataFrame:
        """Which rows of a batch must get nothing.

        Args:
            batch: `identity`, `base_address`, `email_domain`, `account`; any may be null.

        Returns:
            `identity` and `why`, one row for each suppressed identity.
        """
        addresses, domains, accounts = (
            batch[name].drop_nulls().unique().to_list() for name in ("base_address", "email_domain", "account")
        )
        parents = {domain: domain_and_parents(domain) for domain in domains}
        listed = self._reasons("domain", {p for many in parents.values() for p in many})
        nearest = {d: next((listed[p] for p in many if p in listed), None) for d, many in parents.items()}
        reasons = {
            "base_address": self._reasons("address", addresses),
            "email_domain": {domain: why for domain, why in nearest.items() if why},
            "account": self._reasons("account", accounts),
        }
        found = [
            batch.select(
                "identity", pl.col(name).replace_strict(why, default=None, return_dtype=pl.String).alias("why")
            )
            for name, why in reasons.items()
            if why
        ]
        empty = pl.DataFrame(schema={"identity": pl.String, "why": pl.String})
        # An identity may stand in many rows: one of them that is suppressed is enough.
        return pl.concat([empty, *found]).drop_nulls().unique("identity", keep="first", maintain_order=True)

    def _reasons(self, kind: str, values: Collection[str]) -> dict[str, str]:
        query = select(suppressions.c.value, suppressions.c.reason).where(
            suppressions.c.kind == kind, among(self.connection, suppressions.c.value, values)
        )
        return {row.value: f"{kind}: {row.reason}" for row in self.connection.execute(query)}

    def listed(self, after: int, limit: int) -> list[dict[str, Any]]:
        """In order of key after `after`."""
        query = select(suppressions).where(suppressions.c.id > after).order_by(suppressions.c.id).limit(limit)
        return [dict(row) for row in self.connection.execute(query).mappings()]


class MxAnswers:
    """Rows of `mx_answers`: what a domain answered, and when."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.bulk = BulkWriter(connection)

    def known(self, domains: Collection[str], since: datetime) -> dict[str, str]:
        """Answers not older than `since`. A time-out is no answer and is never kept."""
        query = select(mx_answers.c.domain, mx_answers.c.answer).where(
            among(self.connection, mx_answers.c.domain, domains), mx_answers.c.checked_at >= since
        )
        return {row.domain: row.answer for row in self.connection.execute(query)}

    def keep(self, answers: Mapping[str, str], now: datetime) -> None:
        """Keep these answers, except time-outs."""
        kept: Iterator[tuple[str, str]] = ((d, a) for d, a in sorted(answers.items()) if a != "timeout")
        rows = pl.DataFrame(list(kept), schema={"domain": pl.String, "answer": pl.String}, orient="row")
        self.bulk.upsert(
            "mx_answers",
            rows.with_columns(pl.lit(now, pl.Datetime("us", "UTC")).alias("checked_at")),
            ["domain"],
        )
