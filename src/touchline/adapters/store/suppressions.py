"""Suppressions and kept DNS answers: two small tables that guard and speed up the batch."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import polars as pl
from sqlalchemy import Connection, Row, select

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
            batch[name].drop_nulls().unique() for name in ("base_address", "email_domain", "account")
        )
        reasons = {
            "base_address": self._reasons("address", addresses.to_list()),
            "email_domain": self._of_domains(domains.to_list()),
            "account": self._reasons("account", accounts.to_list()),
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

    def why(self, base_address: str | None, email_domain: str | None, account: str | None) -> str | None:
        """Why one lead must get nothing, as `matching` says it of many; None where it may."""
        return (
            self._among("address", [base_address] if base_address else []).get(base_address or "")
            or (self._of_domains([email_domain]).get(email_domain) if email_domain else None)
            or self._among("account", [account] if account else []).get(account or "")
        )

    def _of_domains(self, domains: list[str]) -> dict[str, str]:
        """Why each of these domains must get nothing: what is said of itself, else of its nearest parent."""
        few = self._if_few("domain", len(domains))
        if few == {}:
            return {}
        parents = {domain: domain_and_parents(domain) for domain in domains}
        listed = self._among("domain", {p for many in parents.values() for p in many}) if few is None else few
        nearest = {d: next((listed[p] for p in many if p in listed), None) for d, many in parents.items()}
        return {domain: why for domain, why in nearest.items() if why}

    def _reasons(self, kind: str, values: list[str]) -> dict[str, str]:
        few = self._if_few(kind, len(values))
        return self._among(kind, values) if few is None else few

    def _if_few(self, kind: str, values: int) -> dict[str, str] | None:
        """Every suppression of a kind; None if there are more than the values that somebody asks about."""
        query = select(suppressions.c.value, suppressions.c.reason).where(suppressions.c.kind == kind)
        rows = self.connection.execute(query.limit(values + 1)).all()
        return None if len(rows) > values else _told(kind, rows)

    def _among(self, kind: str, values: Collection[str]) -> dict[str, str]:
        query = select(suppressions.c.value, suppressions.c.reason).where(
            suppressions.c.kind == kind, among(self.connection, suppressions.c.value, values)
        )
        return _told(kind, self.connection.execute(query))

    def listed(self, after: int, limit: int) -> list[dict[str, Any]]:
        """In order of key after `after`."""
        query = select(suppressions).where(suppressions.c.id > after).order_by(suppressions.c.id).limit(limit)
        return [dict(row) for row in self.connection.execute(query).mappings().all()]


def _told(kind: str, rows: Iterable[Row[Any, Any]]) -> dict[str, str]:
    return {row.value: f"{kind}: {row.reason}" for row in rows}


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
