"""From a rule's text to its checked tree: sqlglot parses, and only shapes listed here pass."""

from collections.abc import Callable, Iterator, Mapping
from typing import Literal

from sqlglot import exp
from sqlglot.errors import ParseError
from sqlglot.parser import Parser

from touchline.model.columns import Column, Kind
from touchline.model.rules.fault import RuleError
from touchline.model.rules.literals import WANTED, is_literal, value_of
from touchline.model.rules.tree import (
    Compare,
    Flag,
    Has,
    Joined,
    Like,
    Missing,
    Node,
    Not,
    OneOf,
    Operand,
    Operator,
    Value,
)
from touchline.model.rules.words import SUMMARY, column_of, words

OPERATORS: dict[type[exp.Expr], Operator] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
}

TURNED: dict[Operator, Operator] = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
"""The operator when its sides change places."""

EQUAL = frozenset({"=", "<>"})
ORDERED = EQUAL | {"<", "<=", ">", ">=", "IN", "BETWEEN"}
TEXTUAL = EQUAL | {"IN", "LIKE"}
ALLOWED: dict[Kind, frozenset[str]] = {
    Kind.TEXT: TEXTUAL,
    Kind.CODE: TEXTUAL,
    Kind.NUMBER: ORDERED,
    Kind.AMOUNT: ORDERED,
    Kind.FLAG: EQUAL | {"by itself"},
    Kind.INSTANT: ORDERED,
    Kind.TAGS: frozenset({"has"}),
    Kind.OPAQUE: frozenset(),
    Kind.NAME: TEXTUAL,
}
"""What may be asked of each kind of column, besides IS NULL."""

ASK: dict[Kind, str] = {
    Kind.TEXT: "is text: compare it with = <> IN or LIKE (engines order text differently)",
    Kind.CODE: "is text: compare it with = <> IN or LIKE (engines order text differently)",
    Kind.NUMBER: "is a number: compare it with = <> < <= > >= BETWEEN or IN",
    Kind.AMOUNT: "is a number: compare it with = <> < <= > >= BETWEEN or IN",
    Kind.FLAG: "is true or false: let it stand by itself, or compare it with = TRUE",
    Kind.INSTANT: "is an instant: compare it with = <> < <= > >= BETWEEN or IN",
    Kind.TAGS: "is a list: write has({name}, 'word')",
    Kind.NAME: "is text: compare it with = <> IN or LIKE (engines order text differently)",
    Kind.OPAQUE: "is kept but not compared: only {name} IS NULL and {name} IS NOT NULL can be asked",
}


def read(text: str, known: Mapping[str, Column]) -> Node:
    """The checked tree of a rule.

    Raises:
        RuleError: See `touchline.model.rules.parse`.
    """
    found = words(text, known)
    try:
        [parsed] = Parser().parse(found, text)
    except ParseError as error:
        place = {(word.line, word.col): word for word in found}.get(
            (error.errors[0]["line"], error.errors[0]["col"]), found[-1]
        )
        fault = f"the rule breaks off or is out of order at {text[place.start : place.end + 1]!r}"
        raise RuleError(text, place.start, fault, hint=SUMMARY) from None
    if parsed is None:
        raise RuleError(text, 0, "the rule is empty", hint=SUMMARY)
    return _Reader(text, known).condition(parsed)


def _bare(node: exp.Expr) -> exp.Expr:
    while isinstance(node, exp.Paren):
        node = node.this
    return node


class _Reader:
    """Turns sqlglot's expressions into ours. Depth is bounded by the check of parentheses; chains of AND and OR are walked."""

    def __init__(self, text: str, known: Mapping[str, Column]) -> None:
        self.text = text
        self.known = known
        self.readers: dict[type[exp.Expr], Callable[[exp.Expr], Node]] = {
            **dict.fromkeys(OPERATORS, self.comparison),
            exp.And: self.joined,
            exp.Or: self.joined,
            exp.Not: self.negation,
            exp.Between: self.between,
            exp.In: self.one_of,
            exp.Like: self.like,
            exp.Is: self.missing,
            exp.Anonymous: self.has,
            exp.Column: self.flag,
            exp.Coalesce: self.flag,
        }

    def fault(self, node: exp.Expr, fault: str) -> RuleError:
        places = [part.meta["start"] for part in node.walk() if "start" in part.meta]
        return RuleError(self.text, min(places, default=0), fault, hint=SUMMARY)

    def condition(self, node: exp.Expr) -> Node:
        node = _bare(node)
        reader = self.readers.get(type(node))
        if reader is None:
            raise self.fault(node, "this is not one condition: a comparison is missing, or AND or OR between two")
        found = reader(node)
        # Releases of sqlglot differ in where they keep the NOT of NOT LIKE.
        return Not(found) if node.args.get("negate") else found

    def joined(self, node: exp.Expr) -> Node:
        word: Literal["AND", "OR"] = "AND" if isinstance(node, exp.And) else "OR"
        parts: list[Node] = []
        for part in map(self.condition, reversed([*_chain(node)])):
            parts += part.parts if isinstance(part, Joined) and part.word == word else (part,)
        return Joined(word, tuple(parts))

    def negation(self, node: exp.Expr) -> Node:
        return Not(self.condition(node.this))

    def comparison(self, node: exp.Expr) -> Node:
        operator = OPERATORS[type(node)]
        left, right = _bare(node.this), _bare(node.expression)
        if is_literal(left) and not is_literal(right):
            left, right, operator = right, left, TURNED[operator]
        operand = self.operand(left, operator)
        value = self.value(right, operand.column)
        if isinstance(value, bool):
            flag = Flag(operand)
            return flag if value == (operator == "=") else Not(flag)
        return Compare(operand, operator, value)

    def between(self, node: exp.Expr) -> Node:
        left = self.operand(node.this, "BETWEEN")
        low, high = (self.value(node.args[end], left.column) for end in ("low", "high"))
        return Joined("AND", (Compare(left, ">=", low), Compare(left, "<=", high)))

    def one_of(self, node: exp.Expr) -> Node:
        left = self.operand(node.this, "IN")
        values = tuple(self.value(value, left.column) for value in node.expressions)
        if not values:
            raise self.fault(node, "IN needs a list of values in parentheses: IN ('a', 'b')")
        return OneOf(left, values)

    def like(self, node: exp.Expr) -> Node:
        left = self.operand(node.this, "LIKE")
        return Like(left, str(self.value(node.expression, left.column)))

    def missing(self, node: exp.Expr) -> Node:
        column, right = _bare(node.this), _bare(node.expression)
        if not isinstance(right, exp.Null):
            raise self.fault(node, "IS goes with NULL and NOT NULL only; a flag stands by itself, or write = TRUE")
        if not isinstance(column, exp.Column):
            raise self.fault(node, "only a column can be asked IS NULL")
        return Missing(self.column(column))

    def has(self, node: exp.Expr) -> Node:
        match [_bare(argument) for argument in node.expressions]:
            case [exp.Column() as name, exp.Expr() as literal]:
                column = self.operand(name, "has").column
                word = str(self.value(literal, column))
            case _:
                raise self.fault(node, "has() takes a column and a word: has(tech, 'python')")
        if not word or "|" in word:
            raise self.fault(literal, "a word of a list is not empty and has no bar '|'")
        return Has(column, word)

    def flag(self, node: exp.Expr) -> Node:
        return Flag(self.operand(node, "by itself"))

    def operand(self, node: exp.Expr, operator: str) -> Operand:
        """A column or COALESCE(column, literal) of a kind that knows the operator."""
        node = _bare(node)
        inner, default = node, None
        if isinstance(node, exp.Coalesce):
            inner = _bare(node.this)
            if len(node.expressions) != 1:
                raise self.fault(node, "COALESCE takes a column and a literal: COALESCE(employees, 0)")
        if not isinstance(inner, exp.Column):
            raise self.fault(node, "a comparison needs a column on one side, or COALESCE(column, literal)")
        column = self.column(inner)
        if operator not in ALLOWED[column.kind]:
            raise self.fault(node, f"{column.name} {ASK[column.kind].format(name=column.name)}")
        if inner is not node:
            default = self.value(node.expressions[0], column)
        return Operand(column, default)

    def column(self, node: exp.Column) -> Column:
        found = column_of(node.name, self.known)
        if found is None:  # sqlglot takes some words of SQL for names
            raise self.fault(node, f"{node.name!r} stands where a column is expected")
        return found

    def value(self, node: exp.Expr, column: Column) -> Value:
        node = _bare(node)
        if isinstance(node, exp.Null):
            raise self.fault(node.parent or node, f"NULL is not a value: write {column.name} IS NULL")
        if not is_literal(node):
            raise self.fault(node, f"{column.name} is compared with a literal only: {WANTED[column.kind]}")
        try:
            found = value_of(node, column.kind)
        except ValueError as error:
            raise self.fault(node, str(error)) from None
        if found is None:
            raise self.fault(node, f"{column.name} is compared with {WANTED[column.kind]}")
        return found


def _chain(node: exp.Expr) -> Iterator[exp.Expr]:
    """The parts of a chain of one joining word, last first. sqlglot nests them to the left, hundreds deep."""
    kind = type(node)
    while type(node) is kind:
        yield node.expression
        node = node.this
    yield node
