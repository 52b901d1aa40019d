"""The rule language: SQL conditions over declared columns, parsed once and printed for Polars, SQLite and PostgreSQL."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import polars as pl

from touchline.model.columns import COLUMNS, Column
from touchline.model.rules import printers
from touchline.model.rules.fault import RuleError
from touchline.model.rules.printers import Dialect
from touchline.model.rules.tree import Node, looks_at

__all__ = ["Condition", "Dialect", "RuleError", "parse"]


@dataclass(frozen=True, slots=True)
class Condition:
    """A checked rule. Null means unknown, and a row whose answer is unknown is not matched.

    Args:
        text: The rule as written.
        columns: Names of the columns it looks at, as rules write them.
        tree: The checked tree. Rules that differ only in spaces, case of keywords and needless parentheses have equal trees.
    """

    text: str
    columns: frozenset[str]
    tree: Node = field(repr=False)

    def polars(self) -> pl.Expr:
        """The condition over a batch: Boolean, null where unknown. Reads columns named as `Column.compared`."""
        return printers.polars(self.tree)

    def sql(
        self, dialect: Dialect, column: Callable[[Column], str], prefix: str = "r"
    ) -> tuple[str, dict[str, object]]:
        """The condition for a WHERE clause. The rule's own text is not part of it: only our words, names and binds.

        Args:
            dialect: The engine.
            column: Gives the quoted and, where needed, qualified SQL name of the stored column `Column.compared`.
            prefix: Start of the names of the bind parameters, which differs among conditions of one statement.

        Returns:
            SQL in parentheses for `sqlalchemy.text`, with parameters `:r0`, `:r1`, ..., and their values. Instants are
            bound as text `YYYY-MM-DDTHH:MM:SS.ffffffZ` on SQLite and as aware datetimes on PostgreSQL.
        """
        return printers.sql(self.tree, dialect, column, prefix)

    def unknown(self) -> pl.Expr:
        """True where every column that the condition looks at is null, else false; never null."""
        return pl.all_horizontal([pl.col(name).is_null() for name in sorted(c.compared for c in looks_at(self.tree))])


def parse(text: str, known: Mapping[str, Column] = COLUMNS) -> Condition:
    """Check a rule and give its condition; the same rule is parsed once.

    Args:
        text: Such as `employees BETWEEN 50 AND 500 AND title LIKE '%engineer%'`.
        known: The columns that a rule may look at in this place, by name.

    Raises:
        RuleError: Not in the language, or an unknown column; names the character and what to write instead.
    """
    return _parse(text, tuple(known.items()))


@lru_cache(maxsize=4096)
def _parse(text: str, known: tuple[tuple[str, Column], ...]) -> Condition:
    # sqlglot takes longer to import than most commands to run.
    from touchline.model.rules.grammar import read  # noqa: PLC0415

    tree = read(text, dict(known))
    return Condition(text, frozenset(column.name for column in looks_at(tree)), tree)
