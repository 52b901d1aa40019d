"""Small pieces that queries share: column lists, sets as one parameter, frames from rows, keyset pages."""

import json
from collections.abc import Iterable
from typing import Any

import polars as pl
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Select,
    Table,
    TableValuedAlias,
    Text,
    bindparam,
    column,
    func,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from touchline.adapters.store.tables import Instant
from touchline.model.columns import FOLDED, LEAD, Kind
from touchline.model.columns import Column as Declared
from touchline.model.rules import Condition


def among(connection: Connection, where: Column[Any], values: Iterable[Any]) -> ColumnElement[bool]:
    """`where IN values` with the whole set as one parameter, so that a batch of any size is one statement."""
    dialect = connection.dialect.name
    return among_given(dialect, where, None, given(dialect, values))


def among_given(dialect: str, where: Column[Any], name: str | None, value: Any = None) -> ColumnElement[bool]:
    """`among` for a statement that is built once: the set comes at each execution, as `given` makes it, by this name."""
    if dialect == "postgresql":
        return where == func.any(bindparam(name, value, type_=ARRAY(where.type)))
    members = func.json_each(bindparam(name, value, type_=Text())).table_valued(column("value"))
    return where.in_(select(members.c.value))


def given(dialect: str, values: Iterable[Any]) -> Any:
    """A set as the parameter that `among_given` reads."""
    return list(values) if dialect == "postgresql" else json.dumps(list(values))


def members(connection: Connection, values: Iterable[str]) -> TableValuedAlias:
    """A set of texts as a table with the column `value`, the whole of it as one parameter."""
    dialect = connection.dialect.name
    if dialect == "postgresql":
        asked = func.unnest(bindparam(None, given(dialect, values), type_=ARRAY(Text())))
        return asked.table_valued(column("value", Text()), name="asked").render_derived()
    return func.json_each(bindparam(None, given(dialect, values), type_=Text())).table_valued(
        column("value", Text()), name="asked"
    )


def domain_and_parents(domain: str) -> list[str]:
    """`a.b.c` -> `a.b.c`, `b.c`: what is said of a domain covers what stands below it."""
    labels = domain.split(".")
    return [".".join(labels[i:]) for i in range(max(1, len(labels) - 1))]


def lead_columns(leads: Table) -> list[Column[Any]]:
    """Every LEAD column with its shadow, in declared order."""
    return [leads.c[name] for name in lead_names()]


def lead_names() -> list[str]:
    """Names of the LEAD columns, each TEXT column followed by its shadow."""
    return [name for c in LEAD for name in ((c.name, c.name + FOLDED) if c.kind is Kind.TEXT else (c.name,))]


def frame(connection: Connection, statement: Select[Any]) -> pl.DataFrame:
    """Rows of a query as a frame whose types are those of the selected columns."""
    rows = connection.execute(statement).fetchall()
    schema: dict[str, pl.DataType] = {c.name: _dtype(c.type) for c in statement.selected_columns}
    return pl.DataFrame([tuple(row) for row in rows], schema=schema, orient="row")


def _dtype(kind: Any) -> pl.DataType:
    if isinstance(kind, Instant):
        return pl.Datetime("us", "UTC")
    return {int: pl.Int64(), float: pl.Float64(), bool: pl.Boolean()}.get(kind.python_type, pl.String())


def rule(connection: Connection, condition: Condition, tables: dict[str, Table]) -> Any:
    """A condition of the rule language as SQL: printed by us, with the user's literals as parameters only.

    Args:
        tables: Which table holds a declared column, by the column's name.
    """

    def quoted(declared: Declared) -> str:
        return f'{tables[declared.name].name}."{declared.compared}"'

    sql, parameters = condition.sql("postgresql" if connection.dialect.name == "postgresql" else "sqlite", quoted)
    return text(sql).bindparams(**parameters)
