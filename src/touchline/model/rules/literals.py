"""Literals of rules as values: one reader for each kind of column, so that no engine is left to convert anything."""

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime

from sqlglot import exp

from touchline.model.columns import Kind, fold_text
from touchline.model.rules.tree import Value

INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2}))?"
)
"""The forms of RFC 3339 that a rule may use: a date, which is midnight UTC, or an instant with its zone."""

WANTED = {
    Kind.TEXT: "text in single quotes",
    Kind.CODE: "text in single quotes",
    Kind.NUMBER: "a whole number within 64 bits",
    Kind.AMOUNT: "a finite number",
    Kind.FLAG: "TRUE or FALSE",
    Kind.TAGS: "text in single quotes",
    Kind.NAME: "text in single quotes",
    Kind.INSTANT: "a date or instant such as '2026-01-31' or '2026-01-31T10:00:00Z'",
}
"""What each kind of column is compared with."""


def is_literal(node: exp.Expr) -> bool:
    """Whether a parsed expression is a value by itself."""
    return isinstance(node.this if isinstance(node, exp.Neg) else node, exp.Literal | exp.Boolean | exp.Null)


def value_of(node: exp.Expr, kind: Kind) -> Value | None:
    """The value of a literal for a column of this kind, or None where it is not one (see `WANTED`).

    Raises:
        ValueError: Text with a backslash, which engines read differently in patterns.
    """
    return READERS[kind](node)


def _text(node: exp.Expr) -> str | None:
    """Text, folded as its column is."""
    if not (isinstance(node, exp.Literal) and node.is_string):
        return None
    # Folding makes a plain backslash of a full-width one, so it comes first.
    return _plain(fold_text(node.this))


def _name(node: exp.Expr) -> str | None:
    """Text as it stands."""
    return _plain(node.this) if isinstance(node, exp.Literal) and node.is_string else None


def _plain(text: str) -> str:
    if "\\" in text:
        raise ValueError("text in a rule has no backslash")
    return text


def _whole(node: exp.Expr) -> int | None:
    sign, digits = _signed(node)
    if not digits.isdecimal():
        return None
    number = sign * int(digits)
    return number if -(2**63) <= number < 2**63 else None


def _amount(node: exp.Expr) -> float | None:
    sign, digits = _signed(node)
    number = sign * float(digits) if digits else math.inf
    return number if math.isfinite(number) else None


def _signed(node: exp.Expr) -> tuple[int, str]:
    """Sign and digits of a number; no digits where it is none."""
    sign, inner = (-1, node.this) if isinstance(node, exp.Neg) else (1, node)
    return (sign, inner.this) if isinstance(inner, exp.Literal) and not inner.is_string else (sign, "")


def _truth(node: exp.Expr) -> bool | None:
    return bool(node.this) if isinstance(node, exp.Boolean) else None


def _instant(node: exp.Expr) -> datetime | None:
    text = node.this if isinstance(node, exp.Literal) and node.is_string else ""
    if not INSTANT.fullmatch(text):
        return None
    try:
        instant = datetime.fromisoformat(text)
        return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


READERS: dict[Kind, Callable[[exp.Expr], Value | None]] = {
    Kind.TEXT: _text,
    Kind.CODE: _text,
    Kind.NUMBER: _whole,
    Kind.AMOUNT: _amount,
    Kind.FLAG: _truth,
    Kind.TAGS: _text,
    Kind.NAME: _name,
    Kind.INSTANT: _instant,
}
