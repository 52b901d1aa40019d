"""The checked tree of a condition: all that the printers know, with literals folded and typed already."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from touchline.model.columns import Column

Value: TypeAlias = str | int | float | bool | datetime
"""A literal in the type of its column: folded text, 64-bit int, finite float, bool, or an instant in UTC."""

Operator: TypeAlias = Literal["=", "<>", "<", "<=", ">", ">="]


@dataclass(frozen=True, slots=True)
class Operand:
    """A column, or `COALESCE(column, default)`."""

    column: Column
    default: Value | None = None


@dataclass(frozen=True, slots=True)
class Compare:
    """`left operator value`."""

    left: Operand
    operator: Operator
    value: Value


@dataclass(frozen=True, slots=True)
class OneOf:
    """`left IN (values)`; at least one value."""

    left: Operand
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Like:
    """`left LIKE pattern`: % is any text, _ any one code point, all else itself; the pattern has no backslash."""

    left: Operand
    pattern: str


@dataclass(frozen=True, slots=True)
class Has:
    """`has(column, word)`: the word is one of the tags."""

    column: Column
    word: str


@dataclass(frozen=True, slots=True)
class Flag:
    """A FLAG column as a condition by itself."""

    left: Operand


@dataclass(frozen=True, slots=True)
class Missing:
    """`column IS NULL`: never unknown itself."""

    column: Column


@dataclass(frozen=True, slots=True)
class Not:
    """`NOT part`: unknown stays unknown."""

    part: "Node"


@dataclass(frozen=True, slots=True)
class Joined:
    """Two or more parts under one AND or OR, in Kleene's logic."""

    word: Literal["AND", "OR"]
    parts: tuple["Node", ...]


Node: TypeAlias = Compare | OneOf | Like | Has | Flag | Missing | Not | Joined


def looks_at(node: Node) -> frozenset[Column]:
    """The columns that a condition reads."""
    match node:
        case Compare(left=left) | OneOf(left=left) | Like(left=left) | Flag(left=left):
            found = frozenset({left.column})
        case Has(column=column) | Missing(column=column):
            found = frozenset({column})
        case Not(part=part):
            found = looks_at(part)
        case _:
            found = frozenset().union(*map(looks_at, node.parts))
    return found
