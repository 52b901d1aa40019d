import sqlite3
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone

import polars as pl
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from sqlalchemy import select
from store_rows import INSTANT, NOW

from touchline.adapters.store.bulk import BulkWriter
from touchline.adapters.store.query import frame
from touchline.adapters.store.tables import leads, mx_answers, suppressions
from touchline.model.errors import InvalidInput

CONFLICT = (sqlite3.IntegrityError, psycopg.IntegrityError)
NASTY = [
    "",
    " ",
    '"',
    "'",
    ",",
    "\n",
    "\r",
    "\r\n",
    "\\",
    "\\N",
    "\\.",
    "\\.\n",
    "\ufeff",
    "NULL",
    "é\u0301",
    "😀",
    "\x01",
    "\x7f",
]
text = (
    st.sampled_from(NASTY)
    | st.lists(st.sampled_from(NASTY), max_size=6).map("".join)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
)
whole = st.sampled_from([-(2**63), -1, 0, 2**53 + 1, 2**63 - 1]) | st.integers(-(2**63), 2**63 - 1)
real = st.sampled_from([-0.0, 5e-324, 0.1, 1e300, -1e300, 1e16]) | st.floats(allow_nan=False)
instant = st.integers(-30_000_000_000_000_000, 250_000_000_000_000_000).map(
    lambda us: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)
)
SCHEMA = {
    "identity": pl.String,
    "first_name": pl.String,
    "extra": pl.String,
    "employees": pl.Int64,
    "budget": pl.Float64,
    "created_at": INSTANT,
    "updated_at": INSTANT,
}
row = st.tuples(text, st.none() | text, st.none() | text, st.none() | whole, st.none() | real, instant, instant)
frames = st.lists(row, max_size=12, unique_by=lambda values: values[0]).map(
    lambda rows: pl.DataFrame(rows, schema=SCHEMA, orient="row").with_row_index("id", 1).cast({"id": pl.Int64})
)


class Undo(Exception):
    """Ends an example, so that the next one finds the database empty."""


@contextmanager
def example(store):
    try:
        with store.transaction() as unit:
            yield BulkWriter(unit.connection)
            raise Undo
    except Undo:
        pass


def stored(writer, table, names):
    return frame(
        writer.connection, select(*(table.c[name] for name in names)).order_by(table.primary_key.columns.values()[0])
    )


def lead_rows(people, **columns):
    return pl.DataFrame(
        {
            "id": people,
            "identity": [f"p{p}" for p in people],
            **{name: [value] * len(people) for name, value in columns.items()},
            "created_at": [NOW] * len(people),
            "updated_at": [NOW] * len(people),
        }
    ).cast({"id": pl.Int64})


fresh_each_time = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@fresh_each_time
@given(frames)
def test_what_is_inserted_comes_back_as_it_was(store, given_frame):
    with example(store) as writer:
        writer.insert("leads", given_frame)
        assert_frame_equal(stored(writer, leads, given_frame.columns), given_frame, check_exact=True)


@fresh_each_time
@given(frames, st.data())
def test_an_update_sets_the_rows_it_names_and_no_others(store, given_frame, data):
    values = data.draw(st.lists(st.none() | text, min_size=given_frame.height, max_size=given_frame.height))
    named = given_frame.select("id", pl.Series("extra", values, dtype=pl.String)).filter(pl.col("id") % 2 == 0)
    with example(store) as writer:
        writer.insert("leads", given_frame)
        writer.update("leads", named)
        wanted = given_frame.update(named, on="id", include_nulls=True)
        assert_frame_equal(stored(writer, leads, given_frame.columns), wanted, check_exact=True)


def test_a_column_of_nulls_and_a_very_long_text_are_kept(store):
    rows = lead_rows([1, 2], title=None, extra="x" * 2_000_000 + "é").cast({"title": pl.String})
    with example(store) as writer:
        writer.insert("leads", rows)
        assert_frame_equal(
            stored(writer, leads, rows.columns), rows.cast({"created_at": INSTANT, "updated_at": INSTANT})
        )


def test_an_instant_of_another_zone_is_kept_as_the_same_moment(store):
    there = datetime(2027, 1, 12, 1, 2, 3, 456789, tzinfo=timezone(timedelta(hours=-8)))
    rows = lead_rows([1]).with_columns(pl.Series("created_at", [there]).dt.convert_time_zone("America/Los_Angeles"))
    with example(store) as writer:
        writer.insert("leads", rows)
        assert stored(writer, leads, ["created_at"])["created_at"].to_list() == [there]


def test_a_frame_in_many_chunks_is_one_batch(store):
    rows = pl.concat([lead_rows([key]) for key in range(1, 200)], rechunk=False)
    with example(store) as writer:
        writer.insert("leads", rows)
        assert stored(writer, leads, ["id"]).height == 199


@pytest.mark.parametrize("verb", ["insert", "update"])
def test_a_nul_character_is_refused_by_name_on_both_databases(store, verb):
    with example(store) as writer, pytest.raises(InvalidInput, match=r"NUL character in leads\.title"):
        getattr(writer, verb)("leads", lead_rows([1, 2]).with_columns(title=pl.Series(["plain", "a\0b"])))


def test_empty_frames_are_no_work(store):
    none = lead_rows([1], title="x").clear()
    with example(store) as writer:
        writer.insert("leads", none)
        writer.update("leads", none)
        writer.upsert("leads", none, ["id"])
        assert writer.insert_missing("leads", none) == 0
        assert stored(writer, leads, ["id"]).is_empty()


def test_inserting_a_key_that_is_taken_raises_and_keeps_nothing_of_the_batch(store):
    with store.transaction() as unit:
        BulkWriter(unit.connection).insert("leads", lead_rows([1]))
    with pytest.raises(CONFLICT), store.transaction() as unit:
        BulkWriter(unit.connection).insert("leads", lead_rows([2, 3, 1]))
    with store.reading() as unit:
        assert stored(BulkWriter(unit.connection), leads, ["id"])["id"].to_list() == [1]


def test_an_upsert_adds_what_is_new_and_sets_what_is_there(store):
    def answers(**known):
        return pl.DataFrame({"domain": list(known), "answer": list(known.values()), "checked_at": [NOW] * len(known)})

    with example(store) as writer:
        writer.upsert("mx_answers", answers(one="mx", two="a"), ["domain"])
        writer.upsert("mx_answers", answers(two="none", three="mx"), ["domain"])
        assert stored(writer, mx_answers, ["domain", "answer"]).rows() == [
            ("one", "mx"),
            ("three", "mx"),
            ("two", "none"),
        ]


def test_what_is_missing_is_added_and_counted_and_the_rest_left_alone(store):
    def rows(reason, *values):
        same = {"kind": "domain", "reason": reason, "source": "test", "at": NOW}
        return pl.DataFrame([{**same, "value": value} for value in values])

    with example(store) as writer:
        assert writer.insert_missing("suppressions", rows("first", "a.example", "b.example")) == 2
        assert writer.insert_missing("suppressions", rows("second", "b.example", "c.example", "c.example")) == 1
        kept = stored(writer, suppressions, ["value", "reason"]).sort("value").rows()
        assert kept == [("a.example", "first"), ("b.example", "first"), ("c.example", "second")]


def test_reserved_keys_ascend_and_are_never_given_twice(store):
    with store.transaction() as unit:
        writer = BulkWriter(unit.connection)
        first = writer.reserve("leads", 3).to_list()
        writer.insert("leads", lead_rows(first))
        [second] = writer.reserve("leads", 1)
        assert first == [first[0], first[0] + 1, first[0] + 2]
        assert second == first[0] + 3
        writer.insert("leads", lead_rows([second]))
        assert writer.reserve("leads", 0).to_list() == []
    with store.transaction() as unit:
        assert BulkWriter(unit.connection).reserve("leads", 10).min() > second


def test_keys_of_a_transaction_that_was_rolled_back_do_no_harm(store):
    with example(store) as writer:
        writer.insert("leads", lead_rows(writer.reserve("leads", 5).to_list()))
    with store.transaction() as unit:
        writer = BulkWriter(unit.connection)
        again = writer.reserve("leads", 5).to_list()
        writer.insert("leads", lead_rows(again))
        assert stored(writer, leads, ["id"])["id"].to_list() == again


def test_transactions_that_reserve_keys_at_once_get_different_ones_and_wait_for_nobody(postgresql_url, open_store):
    store = open_store(postgresql_url)
    with store.transaction() as one, store.transaction() as other:
        ours, theirs = (BulkWriter(unit.connection).reserve("leads", 3).to_list() for unit in (one, other))
    assert len({*ours, *theirs}) == 6
