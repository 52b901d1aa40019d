"""The three printers of a condition: a Polars expression, and SQL text with bind parameters for SQLite and PostgreSQL."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Literal, TypeAlias

import polars as pl

from touchline.model.columns import Column, Kind
from touchline.model.rules.tree import (
    Compare,
    Flag,
    Has,
    Like,
    Missing,
    Node,
    Not,
    OneOf,
    Operand,
    Operator,
    Value,
)

Dialect: TypeAlias = Literal["sqlite", "postgresql"]

COMPARED: dict[Operator, Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
    "=": pl.Expr.eq,
    "<>": pl.Expr.ne,
    "<": pl.Expr.lt,
    "<=": pl.Expr.le,
    ">": pl.Expr.gt,
    ">=": pl.Expr.ge,
}

POSTGRES: dict[Kind, str] = {
    Kind.TEXT: "TEXT",
    Kind.CODE: "TEXT",
    Kind.NUMBER: "BIGINT",
    Kind.AMOUNT: "DOUBLE PRECISION",
    Kind.TAGS: "TEXT",
    Kind.INSTANT: "TIMESTAMPTZ",
    Kind.NAME: "TEXT",
}
"""Types of bind parameters. PostgreSQL would infer some of them otherwise from their place, and not always as we mean."""


def polars(node: Node) -> pl.Expr:
    """The condition over columns named as `Column.compared`: Boolean, null where unknown."""
    match node:
        case Compare():
            found = COMPARED[node.operator](_operand(node.left), _literal(node.value, node.left.column))
        case OneOf():
            values = pl.Series(node.values, dtype=node.left.column.dtype)
            found = _operand(node.left).is_in(values.implode())
        case Like():
            found = _like(_operand(node.left), node.pattern)
        case Has():
            found = pl.col(node.column.compared).str.contains(f"|{node.word}|", literal=True)
        case Flag():
            found = _operand(node.left)
        case Missing():
            found = pl.col(node.column.compared).is_null()
        case Not():
            found = polars(node.part).not_()
        case _:
            join = pl.all_horizontal if node.word == "AND" else pl.any_horizontal
            found = join([polars(part) for part in node.parts])
    return found


def _operand(left: Operand) -> pl.Expr:
    column = pl.col(left.column.compared)
    return column if left.default is None else pl.coalesce(column, _literal(left.default, left.column))


def _literal(value: Value, column: Column) -> pl.Expr:
    return pl.lit(value, dtype=column.dtype)


def _like(text: pl.Expr, pattern: str) -> pl.Expr:
    """LIKE as the cheapest search that means the same: literal where wildcards stand at the ends only, else a regex."""
    inner = pattern.strip("%")
    opens, closes = pattern.startswith("%"), pattern.endswith("%")
    if "%" in inner or "_" in inner:
        # Without (?s) a dot stops at line ends, as LIKE does not.
        body = "".join({"%": ".*", "_": "."}.get(part) or pl.escape_regex(part) for part in re.split("([%_])", inner))
        found = text.str.contains("(?s)" + ("" if opens else r"\A") + body + ("" if closes else r"\z"))
    elif opens and closes:
        found = text.str.contains(inner, literal=True)
    elif opens:
        found = text.str.ends_with(inner)
    elif closes:
        found = text.str.starts_with(inner)
    else:
        found = text == pl.lit(inner)
    return found


def sql(node: Node, dialect: Dialect, column: Callable[[Column], str], prefix: str) -> tuple[str, dict[str, object]]:
    """The condition as fully parenthesised SQL and its bind parameters (see `Condition.sql`)."""
    printer = _Sql(dialect, column, prefix)
    return printer.text(node), printer.binds


class _Sql:
    def __init__(self, dialect: Dialect, column: Callable[[Column], str], prefix: str) -> None:
        self.sqlite = dialect == "sqlite"
        self.column = column
        self.prefix = prefix
        self.binds: dict[str, object] = {}

    def text(self, node: Node) -> str:
        match node:
            case Compare():
                found = f"{self.operand(node.left)} {node.operator} {self.bind(node.value, node.left.column)}"
            case OneOf():
                values = ", ".join(self.bind(value, node.left.column) for value in node.values)
                found = f"{self.operand(node.left)} IN ({values})"
            case Like():
                found = self.like(node)
            case Has():
                search = "instr" if self.sqlite else "strpos"
                found = f"{search}({self.column(node.column)}, {self.bind(f'|{node.word}|', node.column)}) > 0"
            case Flag():
                found = self.operand(node.left)
            case Missing():
                found = f"{self.column(node.column)} IS NULL"
            case Not():
                found = f"NOT {self.text(node.part)}"
            case _:
                found = f" {node.word} ".join(self.text(part) for part in node.parts)
        return f"({found})"

    def operand(self, left: Operand) -> str:
        column = self.column(left.column)
        return column if left.default is None else f"COALESCE({column}, {self.bind(left.default, left.column)})"

    def like(self, node: Like) -> str:
        if not self.sqlite:
            return f"{self.operand(node.left)} LIKE {self.bind(node.pattern, node.left.column)}"
        # SQLite's LIKE ignores case as its build pleases (ASCII, or all of Unicode with ICU); GLOB is exact in every build.
        marks = {"%": "*", "_": "?", "*": "[*]", "?": "[?]", "[": "[[]"}
        pattern = "".join(marks.get(char, char) for char in node.pattern)
        return f"{self.operand(node.left)} GLOB {self.bind(pattern, node.left.column)}"

    def bind(self, value: Value, column: Column) -> str:
        if isinstance(value, bool):
            return "TRUE" if value else "FALSE"
        name = f"{self.prefix}{len(self.binds)}"
        if self.sqlite:
            self.binds[name] = instant_text(value) if isinstance(value, datetime) else value
            return f":{name}"
        self.binds[name] = value
        return f"CAST(:{name} AS {POSTGRES[column.kind]})"


def instant_text(instant: datetime) -> str:
    """An instant in UTC as SQLite keeps it: `YYYY-MM-DDTHH:MM:SS.ffffffZ`, fixed in width, so that text order is time order."""
    return instant.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
