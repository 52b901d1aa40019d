"""The bulk writer: one interface, `executemany` on SQLite and COPY on PostgreSQL."""

import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import polars as pl
from sqlalchemy import Connection, text

from touchline.model.errors import InvalidInput

INSTANT_TEXT = "%Y-%m-%dT%H:%M:%S%.6fZ"


def portable(table: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Instants as fixed-width ISO text, which both databases read; one chunk a column, since chunks cost more than rows.

    Raises:
        InvalidInput: A text holds NUL, which PostgreSQL cannot keep and SQLite cannot search. Harvest takes it out.
    """
    holes = frame.select(pl.col(pl.String).str.contains("\0", literal=True).any())
    if bad := [name for name in holes.columns if holes[name][0]]:
        raise InvalidInput(
            f"A NUL character in {table}.{', '.join(bad)}: no text in the store may hold one.",
            hint="Take it out at its source; nothing of this step was kept.",
        )
    instants = pl.col(pl.Datetime).dt.convert_time_zone("UTC").dt.strftime(INSTANT_TEXT)
    return frame.with_columns(instants).rechunk()


class BulkWriter:
    """Writes frames inside the caller's transaction. A conflict raises the driver's IntegrityError.

    Args:
        connection: An open Core connection; this writer never commits.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.postgresql = connection.dialect.name == "postgresql"

    def reserve(self, table: str, count: int) -> pl.Series:
        """Set `count` keys of a table aside, in ascending order. Those of a rolled back transaction may be lost.

        On PostgreSQL they may have gaps, and a transaction with larger ones may commit sooner.
        """
        if not self.postgresql:
            # BEGIN IMMEDIATE has made this connection the only writer.
            first = self.connection.execute(text(f"SELECT coalesce(max(id), 0) + 1 FROM {table}")).scalar_one()
            return pl.Series("id", range(first, first + count), dtype=pl.Int64)
        # One row however many keys: whoever takes keys at the same time gets some of those between.
        taken = f"SELECT array_agg(nextval('{table}_id_seq')) FROM generate_series(1, :count)"
        keys = self.connection.execute(text(taken), {"count": count}).scalar_one()
        return pl.Series("id", keys or [], dtype=pl.Int64)

    def survey(self, *tables: str) -> None:
        """Tell PostgreSQL's planner how large the tables have become; its own survey comes up to a minute later.

        A table that somebody else surveys is left to them.
        """
        if self.postgresql:
            self.connection.execute(text(f"ANALYZE (SKIP_LOCKED) {', '.join(tables)}"))

    def insert(self, table: str, frame: pl.DataFrame) -> None:
        """Add rows that are known to be new."""
        if frame.is_empty():
            return
        if self.postgresql:
            self._copy(table, portable(table, frame))
        else:
            self._each(table, frame, f"INSERT INTO {table} ({_names(frame.columns)}) VALUES ({_marks(frame)})")

    def update(self, table: str, frame: pl.DataFrame, key: str = "id") -> None:
        """Set the frame's columns on the rows with these keys."""
        if frame.is_empty():
            return
        others = [name for name in frame.columns if name != key]
        if self.postgresql:
            staging = self._staged(table, frame)
            sets = ", ".join(f'"{name}" = s."{name}"' for name in others)
            self.connection.execute(text(f'UPDATE {table} t SET {sets} FROM {staging} s WHERE t."{key}" = s."{key}"'))
            self.connection.execute(text(f"DROP TABLE {staging}"))
        else:
            sets = ", ".join(f'"{name}" = ?' for name in others)
            self._each(table, frame.select(*others, key), f'UPDATE {table} SET {sets} WHERE "{key}" = ?')

    def upsert(self, table: str, frame: pl.DataFrame, key: Sequence[str]) -> None:
        """Add rows; where the key is taken, set the other columns. No two rows of the frame may share a key."""
        sets = ", ".join(f'"{name}" = excluded."{name}"' for name in frame.columns if name not in key)
        self._insert_or(table, frame, f"ON CONFLICT ({_names(key)}) DO UPDATE SET {sets}")

    def insert_missing(self, table: str, frame: pl.DataFrame) -> int:
        """Add the rows whose keys are free and leave the others as they are; says how many were added."""
        return self._insert_or(table, frame, "ON CONFLICT DO NOTHING")

    def _insert_or(self, table: str, frame: pl.DataFrame, conflict: str) -> int:
        if frame.is_empty():
            return 0
        names = _names(frame.columns)
        if not self.postgresql:
            return self._each(table, frame, f"INSERT INTO {table} ({names}) VALUES ({_marks(frame)}) {conflict}")
        staging = self._staged(table, frame)
        added = self.connection.execute(text(f"INSERT INTO {table} ({names}) SELECT {names} FROM {staging} {conflict}"))
        self.connection.execute(text(f"DROP TABLE {staging}"))
        return added.rowcount

    def _each(self, table: str, frame: pl.DataFrame, statement: str) -> int:
        cursor = self._driver().executemany(statement, _rows(portable(table, frame)))
        return int(cursor.rowcount)

    def _staged(self, table: str, frame: pl.DataFrame) -> str:
        """A temporary table (unlogged by nature) with the frame in it, typed like its target."""
        staging = f"staging_{table}"
        columns = _names(frame.columns)
        self.connection.execute(
            text(f"CREATE TEMP TABLE {staging} ON COMMIT DROP AS SELECT {columns} FROM {table} LIMIT 0")
        )
        self._copy(staging, portable(table, frame))
        return staging

    def _copy(self, table: str, frame: pl.DataFrame) -> None:
        buffer = io.BytesIO()
        # In CSV as COPY reads it an empty field is NULL and a quoted empty field is the empty string.
        frame.write_csv(buffer, include_header=False, quote_style="necessary")
        with (
            self._driver().cursor() as cursor,
            cursor.copy(f"COPY {table} ({_names(frame.columns)}) FROM STDIN (FORMAT csv)") as copy,
        ):
            copy.write(buffer.getbuffer())

    def _driver(self) -> Any:
        """The driver's own connection: a million rows must not pass through SQLAlchemy one by one."""
        return self.connection.connection.driver_connection


def _rows(frame: pl.DataFrame) -> Iterator[tuple[Any, ...]]:
    """The rows as Python values: column by column, which takes two thirds of the time of `iter_rows`, in slices that stay small."""
    for part in frame.iter_slices(10_000):
        yield from zip(*(column.to_list() for column in part.get_columns()), strict=True)


def _names(columns: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in columns)


def _marks(frame: pl.DataFrame) -> str:
    return ", ".join("?" * frame.width)
