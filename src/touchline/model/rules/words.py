"""The words of a rule, checked one by one before any parser sees them: what is outside the language is named at its place."""

import difflib
from collections.abc import Mapping

from sqlglot import Token, Tokenizer, TokenType
from sqlglot.errors import TokenError

from touchline.model.columns import COLUMNS, Column
from touchline.model.rules.fault import RuleError

LONGEST = 4_000
"""Characters of a rule."""
MOST = 1_500
"""Words, signs and literals of a rule: about 370 comparisons, or 740 values in one list."""
DEEPEST = 16
"""Parentheses within each other. The parser takes twenty Python frames a level, and SQLite's has room for fewer than a hundred."""

FUNCTIONS = ("has", "coalesce")

LANGUAGE = frozenset(
    {
        TokenType.AND, TokenType.OR, TokenType.NOT, TokenType.IS, TokenType.NULL, TokenType.IN, TokenType.LIKE,
        TokenType.BETWEEN, TokenType.TRUE, TokenType.FALSE, TokenType.EQ, TokenType.NEQ, TokenType.LT, TokenType.LTE,
        TokenType.GT, TokenType.GTE, TokenType.DASH, TokenType.COMMA, TokenType.L_PAREN, TokenType.R_PAREN,
        TokenType.STRING, TokenType.NUMBER,
    }
)  # fmt: skip

OPERANDS = frozenset({TokenType.VAR, TokenType.IDENTIFIER, TokenType.NUMBER, TokenType.STRING, TokenType.R_PAREN})
"""What makes a minus after it arithmetic."""

SUMMARY = (
    "A rule compares columns with literals: = <> < <= > >= BETWEEN IN LIKE IS NULL, has(list, 'word'), "
    "COALESCE(column, literal), joined by AND, OR, NOT and parentheses."
)

_NO_CASE = "text is compared without case already"
_PATTERN = "write LIKE with % (any text) and _ (any character)"
_ARITHMETIC = "there is no arithmetic; a minus stands only before a number"
_TYPED = "a literal takes the type of its column"
_INSTANT = "write the date or instant itself, such as '2026-01-31'"
_ONE_LEAD = "a rule looks at one lead only"

INSTEAD = {
    **dict.fromkeys(("LOWER", "UPPER", "ILIKE", "COLLATE"), _NO_CASE),
    **dict.fromkeys(("REGEXP", "RLIKE", "REGEXP_LIKE", "SIMILAR", "GLOB", "~"), _PATTERN),
    **dict.fromkeys(("+", "-", "*", "/", "%", "||"), _ARITHMETIC),
    **dict.fromkeys(("CAST", "::"), _TYPED),
    **dict.fromkeys(("INTERVAL", "DATE", "TIMESTAMP", "NOW", "CURRENT_DATE", "CURRENT_TIMESTAMP"), _INSTANT),
    **dict.fromkeys(("SELECT", "EXISTS", "COUNT", "SUM", "MIN", "MAX", "AVG"), _ONE_LEAD),
    **dict.fromkeys(("NAN", "INF", "INFINITY"), "numbers are finite"),
    "ESCAPE": "% and _ in LIKE always stand for other text",
    "CASE": "use AND, OR and NOT",
    "IFNULL": "write COALESCE(column, literal)",
    "CONTAINS": "write LIKE '%word%' for text, has(list, 'word') for a list",
    ".": "a number starts with a digit, 0.5, and a column has no prefix",
    ";": "one rule is one condition",
}
"""What to write instead of the usual words of SQL that are left out, because engines differ in them."""


def words(text: str, known: Mapping[str, Column]) -> list[Token]:
    """The words of a rule, within bounds and all of the language, their columns known; none for an empty rule.

    Raises:
        RuleError: Anything else.
    """
    _check_characters(text)
    try:
        found = Tokenizer().tokenize(text)
    except TokenError:
        # The tokenizer reads on to the end after a quote that nothing closes.
        raise RuleError(text, max(text.rfind("'"), text.rfind('"'), 0), "a quote or comment is not closed",
                        hint="Double a quote that is part of text: 'it''s'.") from None  # fmt: skip
    if len(found) > MOST:
        raise RuleError(text, found[MOST].start, f"more than {MOST:,} words", hint="Split the rule in two.")
    depth = 0
    for before, word, after in zip([None, *found], found, [*found[1:], None], strict=False):
        depth += (word.token_type is TokenType.L_PAREN) - (word.token_type is TokenType.R_PAREN)
        if depth > DEEPEST:
            raise RuleError(text, word.start, f"more than {DEEPEST} levels of parentheses", hint="Write it flatter.")
        _check_word(text, before, word, after, known)
    return found


def _check_characters(text: str) -> None:
    if len(text) > LONGEST:
        raise RuleError(
            text, LONGEST, f"{len(text):,} characters, where {LONGEST:,} is the most", hint="Split the rule in two."
        )
    for place, char in enumerate(text):
        if char == "\0" or "\ud800" <= char <= "\udfff":
            raise RuleError(text, place, f"U+{ord(char):04X} is not a character of text", hint="Remove it.")


def _check_word(text: str, before: Token | None, word: Token, after: Token | None, known: Mapping[str, Column]) -> None:
    kind = word.token_type
    leader, follower = (neighbour and neighbour.token_type for neighbour in (before, after))
    if before and leader is TokenType.NUMBER and before.end + 1 == word.start and word.text[:1].isidentifier():
        number = before.text + word.text
        raise RuleError(text, before.start, f"{number!r} is not a number", hint="Write digits only: 50000.")
    if kind is TokenType.DASH and (follower is not TokenType.NUMBER or leader in OPERANDS):
        raise _left_out(text, word)
    if kind is TokenType.NOT and follower is TokenType.NOT:
        raise RuleError(text, word.start, "NOT NOT says nothing", hint="Leave both out.")
    if kind in LANGUAGE:
        return
    name = word.text.lower()
    if follower is TokenType.L_PAREN and word.text.isidentifier():
        if name not in FUNCTIONS:
            raise _left_out(text, word, call=True)
    elif column_of(word.text, known) is None:
        if word.text.upper() in INSTEAD or kind not in (TokenType.VAR, TokenType.IDENTIFIER):
            raise _left_out(text, word)
        raise _unknown(text, word, known)


def column_of(name: str, known: Mapping[str, Column]) -> Column | None:
    """The column of that name, whatever its case; None where there is none."""
    return known.get(name) or known.get(name.lower())


def _left_out(text: str, word: Token, *, call: bool = False) -> RuleError:
    name = word.text.upper()
    instead = f"; {INSTEAD[name]}" if name in INSTEAD else ""
    fault = f"{name + '()' if call else repr(word.text)} is not part of the rule language{instead}"
    return RuleError(text, word.start, fault, hint=SUMMARY)


def _unknown(text: str, word: Token, known: Mapping[str, Column]) -> RuleError:
    name = word.text.lower()
    if name in COLUMNS:
        fault = f"column {name!r} is not known yet where this rule is asked"
    else:
        close = difflib.get_close_matches(name, known, 1)
        fault = f"no column {word.text!r}" + (f", did you mean {close[0]!r}?" if close else "")
    columns = ", ".join(known)
    return RuleError(
        text, word.start, fault, hint=f"Text stands in single quotes: '{word.text}'. Columns here: {columns}."
    )
