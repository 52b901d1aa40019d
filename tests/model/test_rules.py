"""What a rule may say, what it says then, and what a person reads when it may not."""

import subprocess
import sys
from datetime import UTC, datetime
from typing import Annotated, Any

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import AfterValidator, TypeAdapter, ValidationError

from touchline.model import rules
from touchline.model.columns import COLUMNS, Column, Kind
from touchline.model.errors import InvalidInput
from touchline.model.rules import RuleError
from touchline.model.rules.words import DEEPEST, LONGEST, MOST

KNOWN = {**COLUMNS, "is_open": Column("is_open", Kind.FLAG, ""), "seen": Column("seen", Kind.INSTANT, "")}


def asked(rule: str, **cells: Any) -> bool | None:
    """What the rule says of one lead; text is given folded."""
    frame = pl.DataFrame(
        {KNOWN[name].compared: pl.Series([cell], dtype=KNOWN[name].dtype) for name, cell in cells.items()}
    )
    answer: bool | None = frame.select(rules.parse(rule, KNOWN).polars()).item()
    return answer


def refused(rule: str) -> RuleError:
    with pytest.raises(RuleError) as caught:
        rules.parse(rule, KNOWN)
    return caught.value


@pytest.mark.parametrize(
    ("rule", "cells", "answer"),
    [
        ("employees BETWEEN 50 AND 500", {"employees": 500}, True),
        ("employees NOT BETWEEN 50 AND 500", {"employees": 500}, False),
        ("50 < employees", {"employees": 50}, False),
        ("50 <= employees", {"employees": 50}, True),
        ("employees > -1", {"employees": 0}, True),
        ("employees = -9223372036854775808", {"employees": -(2**63)}, True),
        ("budget < -1.5", {"budget": -1.6}, True),
        ("budget > 1e3", {"budget": 1000.5}, True),
        ("budget IN (1, 2.5)", {"budget": 2.5}, True),
        ("title = 'CTO'", {"title": "cto"}, True),
        ("title LIKE '%Engineer%'", {"title": "chief engineer\nemea"}, True),
        ("title LIKE 'C_O'", {"title": "c\no"}, True),
        ("title LIKE 'C_O%'", {"title": "ccto"}, False),
        ("title LIKE '%chief%of%'", {"title": "the chief\nof staff"}, True),
        ("title LIKE '%officer'", {"title": "officers"}, False),
        ("title LIKE 'chief%'", {"title": "a chief"}, False),
        ("title LIKE 'a.c'", {"title": "abc"}, False),
        ("title LIKE '%'", {"title": ""}, True),
        ("title LIKE '%'", {"title": None}, None),
        ("title NOT LIKE 'a%'", {"title": "b"}, True),
        ("title = 'it''s -- not a comment'", {"title": "it's -- not a comment"}, True),
        ("country IN ('DE', 'AT')", {"country": "at"}, True),
        ("country NOT IN ('DE', 'AT')", {"country": None}, None),
        ("has(tech, 'Python')", {"tech": "|go|python|"}, True),
        ("has(tech, 'pyth')", {"tech": "|go|python|"}, False),
        ("NOT has(tech, 'python')", {"tech": None}, None),
        ("is_open", {"is_open": True}, True),
        ("is_open = FALSE", {"is_open": False}, True),
        ("is_open <> FALSE", {"is_open": False}, False),
        ("COALESCE(is_open, TRUE)", {"is_open": None}, True),
        ("seen >= '2026-01-31'", {"seen": datetime(2026, 1, 31, tzinfo=UTC)}, True),
        ("seen < '2026-01-31T02:00:00+02:00'", {"seen": datetime(2026, 1, 31, tzinfo=UTC)}, False),
        ("seen = '2026-01-31T00:00Z'", {"seen": datetime(2026, 1, 31, tzinfo=UTC)}, True),
        ("NOT (employees = 1)", {"employees": None}, None),
        ("employees = 1 OR budget > 1", {"employees": None, "budget": 2.0}, True),
        ("employees = 1 AND budget > 1", {"employees": None, "budget": 0.0}, False),
        ("employees = 1 OR is_open AND is_open = FALSE", {"employees": 1, "is_open": True}, True),
        ("employees IS NULL", {"employees": None}, True),
        ("timezone IS NOT NULL", {"timezone": "Europe/Berlin"}, True),
        ("COALESCE(employees, 0) < 10", {"employees": None}, True),
        ("((EMPLOYEES)) = (5) -- five", {"employees": 5}, True),
        ('"employees" = 5', {"employees": 5}, True),
    ],
)
def test_a_rule_says_what_sql_says(rule: str, cells: dict[str, Any], answer: bool | None) -> None:
    assert asked(rule, **cells) is answer


@pytest.mark.parametrize(
    ("rule", "character", "fault"),
    [
        ("emplyees > 5", 1, "no column 'emplyees', did you mean 'employees'?"),
        ("title = ceo", 9, "no column 'ceo'"),
        ('title = "ceo"', 9, "no column 'ceo'"),
        ("lower(title) = 'x'", 1, "LOWER() is not part of the rule language; text is compared without case already"),
        ("title ILIKE 'x'", 7, "'ILIKE' is not part of the rule language; text is compared without case already"),
        ("title ~ 'x'", 7, "'~' is not part of the rule language; write LIKE with % (any text) and _ (any character)"),
        (
            "title LIKE 'x' ESCAPE '!'",
            16,
            "'ESCAPE' is not part of the rule language; % and _ in LIKE always stand for",
        ),
        ("cast(employees AS TEXT) = '5'", 1, "CAST() is not part of the rule language; a literal takes the type"),
        ("employees::int = 5", 10, "'::' is not part of the rule language; a literal takes the type of its column"),
        ("employees + 1 > 5", 11, "'+' is not part of the rule language; there is no arithmetic"),
        ("employees - 1 > 5", 11, "'-' is not part of the rule language; there is no arithmetic"),
        ("employees > - -1", 13, "'-' is not part of the rule language; there is no arithmetic"),
        ("(employees) -1 > 0", 13, "'-' is not part of the rule language; there is no arithmetic"),
        ("seen > now()", 8, "NOW() is not part of the rule language; write the date or instant itself"),
        ("seen > date '2026-01-31'", 8, "'date' is not part of the rule language; write the date or instant itself"),
        ("CASE WHEN is_open THEN 1 END = 1", 1, "'CASE' is not part of the rule language; use AND, OR and NOT"),
        ("title IN (SELECT 1)", 11, "'SELECT' is not part of the rule language; a rule looks at one lead only"),
        ("title IS NOT DISTINCT FROM 'x'", 14, "'DISTINCT' is not part of the rule language"),
        ("employees > 5; employees < 3", 14, "';' is not part of the rule language; one rule is one condition"),
        ("employees > ?", 13, "'?' is not part of the rule language"),
        ("lead.title = 'x'", 1, "no column 'lead'"),
        ("title = 'a' 'b'", 9, "title is compared with a literal only: text in single quotes"),
        ("employees > nan", 13, "'nan' is not part of the rule language; numbers are finite"),
        ("budget > 1e999", 10, "budget is compared with a finite number"),
        ("budget > .5", 10, "'.' is not part of the rule language; a number starts with a digit"),
        ("employees > 10k", 13, "'10k' is not a number"),
        ("employees > 5.0", 13, "employees is compared with a whole number within 64 bits"),
        ("employees > 9223372036854775808", 13, "employees is compared with a whole number within 64 bits"),
        ("employees > 'x'", 13, "employees is compared with a whole number within 64 bits"),
        ("employees BETWEEN 1 AND 'x'", 25, "employees is compared with a whole number within 64 bits"),
        ("COALESCE(employees, 'x') = 1", 21, "employees is compared with a whole number within 64 bits"),
        ("title = 5", 9, "title is compared with text in single quotes"),
        ("title LIKE 5", 12, "title is compared with text in single quotes"),
        ("title < 'x'", 1, "title is text: compare it with = <> IN or LIKE (engines order text differently)"),
        ("employees LIKE '5%'", 1, "employees is a number: compare it with"),
        ("employees", 1, "employees is a number: compare it with"),
        ("tech = 'python'", 1, "tech is a list: write has(tech, 'word')"),
        ("has(title, 'x')", 5, "title is text: compare it with"),
        ("has(tech)", 1, "has() takes a column and a word"),
        ("has('python', tech)", 1, "has() takes a column and a word"),
        ("has(tech, 'a|b')", 11, "a word of a list is not empty and has no bar '|'"),
        ("has(tech, '')", 11, "a word of a list is not empty and has no bar '|'"),
        ("has(tech, 5)", 11, "tech is compared with text in single quotes"),
        ("has(tech, 'x') = TRUE", 1, "a comparison needs a column on one side"),
        (
            "timezone = 'UTC'",
            1,
            "timezone is kept but not compared: only timezone IS NULL and timezone IS NOT NULL can be",
        ),
        ("is_open = 1", 11, "is_open is compared with TRUE or FALSE"),
        ("is_open < TRUE", 1, "is_open is true or false: let it stand by itself, or compare it with = TRUE"),
        ("is_open IS TRUE", 1, "IS goes with NULL and NOT NULL only"),
        ("COALESCE(title, 'x') IS NULL", 1, "only a column can be asked IS NULL"),
        ("COALESCE(title, 'x', 'y') = 'z'", 1, "COALESCE takes a column and a literal"),
        ("seen > '31.1.2026'", 8, "seen is compared with a date or instant such as '2026-01-31'"),
        ("seen > '2026-02-30'", 8, "seen is compared with a date or instant such as '2026-01-31'"),
        ("seen > '2026-01-31T10:00:00'", 8, "seen is compared with a date or instant such as '2026-01-31'"),
        ("seen > '0001-01-01T00:00+01:00'", 8, "seen is compared with a date or instant such as '2026-01-31'"),
        ("seen > 5", 8, "seen is compared with a date or instant such as '2026-01-31'"),
        ("title = NULL", 1, "NULL is not a value: write title IS NULL"),
        ("title IN ('a', NULL)", 1, "NULL is not a value: write title IS NULL"),
        ("title IN ()", 1, "IN needs a list of values in parentheses"),
        ("title IN city", 1, "IN needs a list of values in parentheses"),
        ("title = city", 9, "title is compared with a literal only: text in single quotes"),
        ("(title, city) = ('a', 'b')", 2, "a comparison needs a column on one side"),
        ("1 = 1", 1, "a comparison needs a column on one side"),
        ("IS", 1, "'IS' stands where a column is expected"),
        ("TRUE", 1, "this is not one condition"),
        ("title = 'x' is_open", 1, "this is not one condition"),
        ("title 'x'", 7, "the rule breaks off or is out of order at \"'x'\""),
        ("employees > 5 AND", 15, "the rule breaks off or is out of order at 'AND'"),
        ("NOT NOT is_open", 1, "NOT NOT says nothing"),
        ("title = 'it's'", 14, "a quote or comment is not closed"),
        ("title = 'a\\b'", 9, "text in a rule has no backslash"),
        ("title = 'a\uff3cb'", 9, "text in a rule has no backslash"),
        ("title = 'a\0b'", 11, "U+0000 is not a character of text"),
        ("title = 'a\ud800b'", 11, "U+D800 is not a character of text"),
        (" ", 1, "the rule is empty"),
        ("-- nothing", 1, "the rule is empty"),
        (
            "(" * (DEEPEST + 1) + "is_open" + ")" * (DEEPEST + 1),
            DEEPEST + 1,
            f"more than {DEEPEST} levels of parentheses",
        ),
        ("x" * (LONGEST + 1), LONGEST + 1, "4,001 characters, where 4,000 is the most"),
        ("(" * (MOST + 1), MOST + 1, "more than 1,500 words"),
    ],
)
def test_what_is_outside_the_language_is_named_at_its_place(rule: str, character: int, fault: str) -> None:
    error = refused(rule)
    assert error.fault.startswith(fault)
    assert error.position == character - 1
    assert error.text == rule
    assert f"character {character}: {fault}" in error.message
    assert error.hint


def test_a_column_that_is_decided_later_is_not_called_unknown() -> None:
    with pytest.raises(RuleError, match="column 'tier' is not known yet where this rule is asked"):
        rules.parse("tier = 'a'", {"employees": COLUMNS["employees"]})


def test_the_hint_for_an_unknown_column_lists_the_columns_and_mentions_quotes() -> None:
    with pytest.raises(RuleError) as caught:
        rules.parse("title = ceo", {name: COLUMNS[name] for name in ("title", "city")})
    assert caught.value.hint == "Text stands in single quotes: 'ceo'. Columns here: title, city."


@pytest.mark.parametrize(
    ("rule", "shown"),
    [
        ("x = 5 OR " + "is_open OR " * 20 + "is_open", "rule 'x = 5 OR is_open"),
        ("is_open OR " * 20 + "x = 5", "OR x = 5', character 221"),
        ("is_open OR " * 20 + "x = 5" + " OR is_open" * 20, "'…pen OR is_open"),
    ],
)
def test_of_a_long_rule_the_message_shows_the_surroundings_of_the_fault(rule: str, shown: str) -> None:
    message = refused(rule).message
    assert shown in message
    assert "x = 5" in message
    assert len(message) < 160


def test_a_rule_error_is_invalid_input_and_pydantic_collects_it() -> None:
    def check(text: str) -> str:
        rules.parse(text)
        return text

    with pytest.raises(ValidationError) as caught:
        TypeAdapter(list[Annotated[str, AfterValidator(check)]]).validate_python(["x = 1", "employees = 1", "y = 1"])
    causes = [item["ctx"]["error"] for item in caught.value.errors()]
    assert [type(cause) for cause in causes] == [RuleError, RuleError]
    assert all(isinstance(cause, InvalidInput) for cause in causes)


def test_every_declared_column_can_stand_in_a_rule() -> None:
    for name in COLUMNS:
        condition = rules.parse(f"{name} IS NOT NULL OR NOT {name} IS NULL")
        assert condition.columns == {name}


def test_spaces_case_and_needless_parentheses_do_not_change_a_rule() -> None:
    plain = rules.parse("employees NOT IN (1, 2) AND NOT title LIKE 'a%' AND (is_open OR has(tech, 'x'))", KNOWN)
    other = rules.parse(
        "((employees) not\nin ((1),2) and (not (Title like ('A%'))) and (IS_OPEN or (HAS(tech,'X'))))", KNOWN
    )
    assert plain.tree == other.tree


def test_a_rule_is_parsed_once() -> None:
    assert rules.parse("employees = 1") is rules.parse("employees = 1")
    assert rules.parse("employees = 1") is not rules.parse("employees = 1", KNOWN)


def test_a_condition_names_its_columns_as_rules_write_them() -> None:
    condition = rules.parse(
        "title = 'x' OR COALESCE(Employees, 0) > 1 AND has(tech, 'x') AND NOT city IS NULL AND is_open", KNOWN
    )
    assert condition.columns == {"title", "employees", "tech", "city", "is_open"}
    assert condition.text.startswith("title = 'x' OR")


def test_unknown_is_true_only_where_every_column_is_null() -> None:
    condition = rules.parse("title = 'x' OR employees IS NULL")
    leads = pl.DataFrame({"title_folded": [None, "x", None], "employees": [None, None, 1]})
    assert leads.select(condition.unknown()).to_series().to_list() == [True, False, False]


def test_sql_is_parenthesised_and_carries_values_as_parameters_only() -> None:
    condition = rules.parse(
        "NOT title LIKE '100%_*?[x]' AND (COALESCE(budget, 5) >= 1 OR seen < '2026-01-31' OR COALESCE(is_open, FALSE))",
        KNOWN,
    )

    def stored(column: Column) -> str:
        return f'l."{column.compared}"'

    printed, binds = condition.sql("sqlite", stored)
    assert printed == (
        '((NOT (l."title_folded" GLOB :r0)) AND ((COALESCE(l."budget", :r1) >= :r2)'
        ' OR (l."seen" < :r3) OR (COALESCE(l."is_open", FALSE))))'
    )
    assert binds == {"r0": "100*?[*][?][[]x]", "r1": 5.0, "r2": 1.0, "r3": "2026-01-31T00:00:00.000000Z"}
    printed, binds = condition.sql("postgresql", stored, prefix="p")
    assert printed == (
        '((NOT (l."title_folded" LIKE CAST(:p0 AS TEXT)))'
        ' AND ((COALESCE(l."budget", CAST(:p1 AS DOUBLE PRECISION)) >= CAST(:p2 AS DOUBLE PRECISION))'
        ' OR (l."seen" < CAST(:p3 AS TIMESTAMPTZ)) OR (COALESCE(l."is_open", FALSE))))'
    )
    assert binds == {"p0": "100%_*?[x]", "p1": 5.0, "p2": 1.0, "p3": datetime(2026, 1, 31, tzinfo=UTC)}


WORDS = [
    *("title", "employees", "budget", "is_open", "tech", "seen", "timezone", "language", '"city"', "has", "coalesce"),
    *("NOT", "AND", "OR", "IS", "NULL", "IN", "LIKE", "BETWEEN", "TRUE", "ANY", "escape"),
    *("(", ")", ",", "=", "<>", "<", "-", ";", ".", "'", "/*", "--", "5", "1.5", "'x'", "'2026-01-31'"),
]


@given(st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join) | st.text(max_size=30))
@example("title LIKE ANY ('x')")
@example("language is_open")
@example("employees BETWEEN 1 AND 2 BETWEEN 3 AND 4")
@example("title LIKE 'x' LIKE 'y'")
@example("\"title\"(tech, 'x')")
@example("=\n5 'x")
def test_any_text_is_a_condition_or_a_rule_error(rule: str) -> None:
    try:
        condition = rules.parse(rule, KNOWN)
    except RuleError as error:
        condition, place = None, error.position
    if condition is None:
        assert 0 <= place <= len(rule)
    else:
        assert condition.columns <= KNOWN.keys()
        assert condition.sql("sqlite", lambda column: column.compared)[0].startswith("(")


def test_the_parser_is_not_imported_before_a_rule_is_parsed() -> None:
    code = "import sys, touchline.model.rules; sys.exit('sqlglot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
