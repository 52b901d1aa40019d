"""One rule selects the same rows in Polars, in a SQLite file and in PostgreSQL, over random rows with nulls."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, text

from touchline.model import rules
from touchline.model.columns import Column, Kind, fold, fold_text
from touchline.model.rules.printers import Dialect, instant_text

COLUMNS = {
    c.name: c
    for c in (
        Column("title", Kind.TEXT, ""),
        Column("city", Kind.CODE, ""),
        Column("employees", Kind.NUMBER, ""),
        Column("budget", Kind.AMOUNT, ""),
        Column("is_open", Kind.FLAG, ""),
        Column("tech", Kind.TAGS, ""),
        Column("seen", Kind.INSTANT, ""),
        Column("extra", Kind.OPAQUE, ""),
        Column("reason", Kind.NAME, ""),
    )
}
STORED = {
    "sqlite": dict(
        zip(Kind, ("TEXT", "TEXT", "INTEGER", "REAL", "BOOLEAN", "TEXT", "TEXT", "TEXT", "TEXT"), strict=True)
    ),
    "postgresql": dict(
        zip(
            Kind,
            ("TEXT", "TEXT", "BIGINT", "DOUBLE PRECISION", "BOOLEAN", "TEXT", "TIMESTAMPTZ", "TEXT", "TEXT"),
            strict=True,
        )
    ),
}

# Words that are short and few, so that rows and rules meet: wildcards and escapes of all three engines, ends of lines,
# case that folds oddly, two ways to write é, characters outside the basic plane.
WORDS = (
    "", "a", "ab", "bab", "aB", "a%b", "a_b", "a*b", "a?b", "[ab]", "a^$|.b", "a\\b", "it's", "a\nb", "ab\n", " a ",
    "ß", "SS", "\u017f", "İx", "\u0131", "ΣΑΣ", "é", "e\u0301", "\u212a", "\uff05\uff3cb", "a😀b", "\U0001f468\u200d\U0001f469",
)  # fmt: skip
written = (
    st.sampled_from(WORDS)
    | st.sampled_from(WORDS)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=4)
)
whole = st.sampled_from([-(2**63), -1, 0, 1, 2, 50, 2**53, 2**53 + 1, 2**63 - 1]) | st.integers(-3, 3)
amount = st.sampled_from([-0.0, 0.0, 0.1, 0.5, 1.0, 5e-324, 1.5e300, float(2**53)]) | st.floats(
    allow_nan=False, allow_infinity=False
)
instant = st.builds(
    lambda base, micros: base + timedelta(microseconds=micros),
    st.sampled_from(
        [datetime(1001, 1, 1, tzinfo=UTC), datetime(2026, 1, 31, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)]
    ),
    st.sampled_from([-1, 0, 1, 500_000, 1_000_000, 3_600_000_000]),
)
tag = written.map(fold_text).map(lambda word: word.replace("|", "") or "x")

CELLS: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.TEXT: written,
    Kind.CODE: written.map(fold_text),
    Kind.NUMBER: whole,
    Kind.AMOUNT: amount,
    Kind.FLAG: st.booleans(),
    Kind.TAGS: st.lists(tag, min_size=1, max_size=3).map(lambda words: f"|{'|'.join(words)}|"),
    Kind.INSTANT: instant,
    Kind.OPAQUE: written,
    Kind.NAME: written,
}
rows = st.fixed_dictionaries({name: st.none() | CELLS[column.kind] for name, column in COLUMNS.items()})


def quoted(value: str) -> list[str]:
    return ["'" + value.replace("'", "''") + "'"]


def number(value: float) -> list[str]:
    return ["-", repr(-value)] if str(value).startswith("-") else [repr(value)]


def moment(value: datetime, hours: int, whole_day: bool) -> list[str]:
    if whole_day:
        return quoted(value.date().isoformat())
    return quoted(value.astimezone(timezone(timedelta(hours=hours))).isoformat())


def pattern(word: str, marks: list[str]) -> str:
    """The word with wildcards in place of characters (_) and between them (%)."""
    kept = (char if mark != "_" else "_" for char, mark in zip(word, marks, strict=False))
    return "".join(("%" if mark == "%" else "") + char for char, mark in zip([*kept, ""], marks, strict=False))


plain = written.map(lambda word: word if "\\" not in fold_text(word) else "a_b")
patterns = st.builds(pattern, plain, st.lists(st.sampled_from(["", "", "_", "%"]), min_size=5, max_size=5)) | st.builds(
    str.format, st.sampled_from(["{}", "{}%", "%{}", "%{}%"]), plain
)
LITERALS: dict[Kind, st.SearchStrategy[list[str]]] = {
    Kind.TEXT: plain.map(quoted),
    Kind.CODE: plain.map(quoted),
    Kind.NUMBER: whole.map(number),
    Kind.AMOUNT: (amount | whole).map(number),
    Kind.FLAG: st.sampled_from([["TRUE"], ["FALSE"]]),
    Kind.INSTANT: st.builds(moment, instant, st.integers(-12, 14), st.booleans()),
    Kind.NAME: written.map(lambda word: word if "\\" not in word else "a_b").map(quoted),
}
ORDERED = (Kind.NUMBER, Kind.AMOUNT, Kind.INSTANT)
TEXTUAL = (Kind.TEXT, Kind.CODE, Kind.NAME)


@st.composite
def comparisons(draw: st.DrawFn) -> list[str]:
    """One comparison, as the words of a rule."""
    column = COLUMNS[draw(st.sampled_from([*COLUMNS, "title", "title", "city"]))]
    name, kind, no = [column.name], column.kind, draw(st.sampled_from([[], ["NOT"]]))
    form = draw(st.sampled_from(["compare", "turned", "in", "range", "range", "null"]))
    if form == "null" or kind is Kind.OPAQUE:
        return [*name, "IS", *no, "NULL"]
    if kind is Kind.TAGS:
        return [*no, "has", "(", *name, ",", *quoted(draw(tag.filter(lambda word: "\\" not in word))), ")"]
    literal = LITERALS[kind]
    if draw(st.integers(0, 3)) == 0:
        name = ["COALESCE", "(", *name, ",", *draw(literal), ")"]
    if kind is Kind.FLAG:
        words = draw(st.sampled_from([[*no, *name], [*name, "=", *draw(literal)], [*name, "<>", *draw(literal)]]))
    elif form == "range" and kind in TEXTUAL:
        words = [*name, *no, "LIKE", *quoted(draw(patterns))]
    elif form == "range":
        words = [*name, *no, "BETWEEN", *draw(literal), "AND", *draw(literal)]
    elif form == "in":
        first, *more = draw(st.lists(literal, min_size=1, max_size=3))
        words = [*name, *no, "IN", "(", *first, *(word for value in more for word in (",", *value)), ")"]
    else:
        operator = draw(st.sampled_from(["=", "<>", "<", "<=", ">", ">="] if kind in ORDERED else ["=", "<>"]))
        words = [*draw(literal), operator, *name] if form == "turned" else [*name, operator, *draw(literal)]
    return words


def joined(parts: st.SearchStrategy[list[str]]) -> st.SearchStrategy[list[str]]:
    within = parts.map(lambda part: ["(", *part, ")"])
    return (
        st.builds(lambda a, word, b: [*a, word, *b], parts, st.sampled_from(["AND", "OR"]), parts)
        | st.builds(lambda a, word, b: [*a, word, *b], within, st.sampled_from(["AND", "OR"]), within)
        | within.map(lambda part: ["NOT", *part])
    )


conditions = st.recursive(comparisons(), joined, max_leaves=5)


def stored(column: Column) -> str:
    return f'"{column.compared}"'


def batch(found: list[dict[str, Any]]) -> pl.DataFrame:
    leads = pl.DataFrame(found, schema={name: column.dtype for name, column in COLUMNS.items()}).with_row_index("id")
    return leads.with_columns(fold(pl.col("title")).alias("title_folded"))


def fill(connection: Connection, leads: pl.DataFrame) -> None:
    dialect = connection.dialect.name
    columns = [("id", "INTEGER"), *((c.compared, STORED[dialect][c.kind]) for c in COLUMNS.values())]
    connection.execute(text("DROP TABLE IF EXISTS leads"))
    connection.execute(text(f"CREATE TABLE leads ({', '.join(f'{name} {kind}' for name, kind in columns)})"))
    values = leads.select([name for name, _ in columns]).to_dicts()
    if dialect == "sqlite":
        values = [row | {"seen": row["seen"] and instant_text(row["seen"])} for row in values]
    connection.execute(text(f"INSERT INTO leads VALUES ({', '.join(f':{name}' for name, _ in columns)})"), values)


def answers(connection: Connection, asked: list[rules.Condition]) -> list[list[bool | None]]:
    """For each row what each condition says: true, false or unknown."""
    dialect: Dialect = "sqlite" if connection.dialect.name == "sqlite" else "postgresql"
    texts, binds = [], {}
    for place, condition in enumerate(asked):
        printed, values = condition.sql(dialect, stored, prefix=f"c{place}_")
        texts.append(printed)
        binds |= values
    found = connection.execute(text(f"SELECT {', '.join(texts)} FROM leads ORDER BY id"), binds)
    return [[None if answer is None else bool(answer) for answer in row] for row in found]


def selected(connection: Connection, condition: rules.Condition) -> list[int]:
    dialect: Dialect = "sqlite" if connection.dialect.name == "sqlite" else "postgresql"
    printed, binds = condition.sql(dialect, stored)
    return list(connection.execute(text(f"SELECT id FROM leads WHERE {printed} ORDER BY id"), binds).scalars())


@pytest.fixture
def connections(postgres_url: str, tmp_path: Path) -> Iterator[list[Connection]]:
    urls = (f"sqlite:///{tmp_path / 'leads.db'}", postgres_url.replace("postgresql://", "postgresql+psycopg://"))
    with ExitStack() as stack:
        engines = [create_engine(url) for url in urls]
        for engine in engines:
            stack.callback(engine.dispose)
        yield [stack.enter_context(engine.connect()) for engine in engines]


def test_polars_sqlite_and_postgresql_give_the_same_answer_to_every_rule(connections: list[Connection]) -> None:
    # A failure names its rule, so there is nothing to shrink.
    @settings(max_examples=60, phases=(Phase.explicit, Phase.reuse, Phase.generate))
    @given(st.lists(rows, min_size=8, max_size=12), st.lists(conditions, min_size=16, max_size=24))
    def agree(found: list[dict[str, Any]], asked: list[list[str]]) -> None:
        leads = batch(found)
        parsed = {" ".join(words): rules.parse(" ".join(words), COLUMNS) for words in asked}
        wanted = {rule: leads.select(condition.polars()).to_series().to_list() for rule, condition in parsed.items()}
        some, condition = next(iter(parsed.items()))
        for connection in connections:
            fill(connection, leads)
            told = answers(connection, list(parsed.values()))
            for rule, *answered in zip(parsed, *told, strict=True):
                assert answered == wanted[rule], (connection.dialect.name, rule, leads.to_dicts())
            assert selected(connection, condition) == leads.filter(condition.polars())["id"].to_list(), some
            connection.rollback()

    agree()


def test_every_pattern_matches_the_same_words_on_every_engine(connections: list[Connection]) -> None:
    leads = batch([dict.fromkeys(COLUMNS) | {"title": word} for word in (*WORDS, None)])
    words = [word for word in WORDS if "\\" not in fold_text(word)]
    patterns = [form.format(word) for word in words for form in ("{}", "{}%", "%{}", "%{}%", "_{}", "{}_%")]
    patterns += [
        word[:place] + mark + word[place + 1 :] for word in words for place in range(len(word)) for mark in "_%"
    ]
    parsed = [rules.parse(f"title LIKE {quoted(pattern)[0]}", COLUMNS) for pattern in patterns]
    wanted = leads.select(**{str(place): condition.polars() for place, condition in enumerate(parsed)}).rows()
    for connection in connections:
        fill(connection, leads)
        assert answers(connection, parsed) == [list(row) for row in wanted]


@given(conditions)
def test_spaces_small_letters_and_outer_parentheses_do_not_change_a_rule(words: list[str]) -> None:
    other = "(\n " + "\t".join(word.lower() if word.isalpha() else word for word in words) + ")"
    assert rules.parse(other, COLUMNS).tree == rules.parse(" ".join(words), COLUMNS).tree


@pytest.mark.parametrize(
    "rule",
    [
        " AND ".join(["employees<>7"] * 235),
        " OR ".join(["is_open"] * 350),
        f"employees IN ({', '.join(['7'] * 700)})",
        "NOT (" * 16 + "is_open OR employees = 1" + ")" * 16,
        "(is_open AND " * 16 + "employees = 1" + ")" * 16,
        f"title LIKE '{'_' * 3900}'",
        f"title LIKE '{'a%b_' * 900}'",
        f"title LIKE '{'%[' * 1900}'",
    ],
    ids=lambda rule: rule[:20],
)
def test_the_longest_and_deepest_rules_run_on_every_engine(rule: str, connections: list[Connection]) -> None:
    found = [{"title": "ab" * 2000, "employees": 1, "is_open": True}, {"title": "[" * 2000, "employees": 7}, {}]
    leads = batch([dict.fromkeys(COLUMNS) | row for row in found])
    condition = rules.parse(rule, COLUMNS)
    kept = leads.filter(condition.polars())["id"].to_list()
    for connection in connections:
        fill(connection, leads)
        assert selected(connection, condition) == kept


def test_text_of_sqlite_instants_sorts_as_time_does() -> None:
    moments = [
        datetime(987, 1, 1, tzinfo=UTC),
        datetime(2026, 1, 31, tzinfo=UTC),
        datetime(2026, 1, 31, 0, 0, 0, 1, UTC),
    ]
    texts = [instant_text(moment) for moment in moments]
    assert texts == ["0987-01-01T00:00:00.000000Z", "2026-01-31T00:00:00.000000Z", "2026-01-31T00:00:00.000001Z"]
    assert sorted(texts) == texts
