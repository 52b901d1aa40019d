"""The audit: no change without a row that says who, what, before and after; and answers that are given again."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from threading import Barrier
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from office import Office, PowerCut

from touchline.adapters.store import tables
from touchline.app.audit import CHARS, MASK, changing, listed, plain
from touchline.app.ports import Row
from touchline.model.access import Caller
from touchline.model.errors import InvalidInput, NotFound

ADA = Caller("user:ada@example.com", frozenset())


def control(office: Office, value: str) -> None:
    with office.store.transaction() as unit:
        unit.controls.put("switch", value, office.now)


def seen(office: Office) -> Row | None:
    with office.store.reading() as unit:
        value = unit.controls.get("switch")
    return None if value is None else {"value": value}


def changes(office: Office, **filters: Any) -> list[Row]:
    return listed(office.store, before=None, limit=100, **filters)


def test_a_change_says_who_what_before_and_after(either: Office) -> None:
    control(either, "off")
    with changing(
        either.store, ADA, "switch.set", "switch:1", either.clock, request_id="r1", look=lambda: seen(either)
    ):
        control(either, "on")
    [row] = changes(either)
    assert row == {
        "id": row["id"],
        "at": either.now,
        "actor": "user:ada@example.com",
        "action": "switch.set",
        "object": "switch:1",
        "result": "done",
        "before": {"value": "off"},
        "after": {"value": "on"},
        "error": None,
        "request_id": "r1",
    }


def test_what_the_block_says_of_the_outcome_goes_before_a_look(either: Office) -> None:
    with changing(either.store, ADA, "switch.set", "switch:1", either.clock, look=lambda: seen(either)) as change:
        change.after = {"count": 3}
    assert (changes(either)[0]["before"], changes(either)[0]["after"]) == (None, {"count": 3})


def test_what_is_not_there_before_or_after_is_nothing(office: Office) -> None:
    def look() -> Row | None:
        raise NotFound("gone")

    with changing(office.store, ADA, "switch.drop", "switch:1", office.clock, look=look):
        pass
    [row] = changes(office)
    assert (row["result"], row["before"], row["after"]) == ("done", None, None)


def test_a_change_that_fails_says_why_and_the_error_goes_on(either: Office) -> None:
    with (
        pytest.raises(InvalidInput),
        changing(either.store, ADA, "switch.set", "switch:1", either.clock, look=lambda: seen(either)),
    ):
        raise InvalidInput("No such\0 switch.", hint="Look again.")
    [row] = changes(either)
    assert (row["result"], row["error"]) == ("failed", "InvalidInput: No such  switch. Look again.")
    assert row["after"] is None


def test_a_change_is_written_down_before_it_begins(either: Office) -> None:
    with changing(either.store, ADA, "switch.set", "switch:1", either.clock):
        [row] = changes(either)
        assert row["result"] == "begun"
    with pytest.raises(PowerCut), changing(either.store, ADA, "switch.set", "switch:1", either.clock):
        raise PowerCut
    assert changes(either)[0]["result"] == "failed"


def test_where_the_audit_cannot_be_written_nothing_is_changed(office: Office) -> None:
    with office.store.transaction() as unit:
        unit.connection.exec_driver_sql("ALTER TABLE audit RENAME TO elsewhere")
    with pytest.raises(Exception, match="no such table"), changing(office.store, ADA, "a", "b", office.clock):
        control(office, "on")
    assert seen(office) is None


def test_changes_are_listed_newest_first_in_pages_and_by_who_what_and_which(either: Office) -> None:
    bob = Caller("key:bob", frozenset())
    for number, (caller, action) in enumerate([(ADA, "a.add"), (bob, "a.add"), (ADA, "a.set"), (ADA, "a.add")]):
        with changing(either.store, caller, action, f"a:{number % 2}", either.clock):
            pass
    ids = [row["id"] for row in changes(either)]
    assert ids == sorted(ids, reverse=True)
    first = listed(either.store, before=None, limit=3)
    assert [row["id"] for row in first + listed(either.store, before=first[-1]["id"], limit=3)] == ids
    assert len(changes(either, actor=ADA.name)) == 3
    assert len(changes(either, object_="a:1")) == 2
    assert len(changes(either, action="a.add")) == 3
    assert len(changes(either, actor=ADA.name, object_="a:0", action="a.set")) == 1
    assert changes(either, actor="nobody") == []


def test_secrets_are_masked_however_deep(either: Office) -> None:
    with changing(either.store, ADA, "a.set", "a:1", either.clock) as change:
        change.after = {
            "password": "hunter2",
            "new_password": "hunter2",
            "password_env": "SMTP_PASSWORD",
            "list": [{"Token": "hunter2", "digest": None}],
        }
    assert changes(either)[0]["after"] == {
        "password": MASK,
        "new_password": MASK,
        "password_env": "SMTP_PASSWORD",
        "list": [{"Token": MASK, "digest": None}],
    }
    assert "hunter2" not in str(either.rows(tables.audit))


def test_what_is_too_long_is_cut_and_says_so(either: Office) -> None:
    with changing(either.store, ADA, "a.set", "a:1", either.clock) as change:
        change.after = {"text": "x" * 50_000}
    after = changes(either)[0]["after"]
    assert after["cut"] == "Only the first 20000 of 50012 characters were kept."
    assert len(after["text"]) == CHARS


def test_hostile_words_are_kept_harmless(either: Office) -> None:
    eve = Caller("user:\x1b[2J\0", frozenset())
    with changing(either.store, eve, "a\n", "import:\ud800\u202e.csv", either.clock, request_id="\0") as change:
        change.after = {"name\0": "\0\ud800<script>"}
    [row] = changes(either)
    assert (row["actor"], row["action"], row["object"]) == ("user: [2J ", "a ", "import:  .csv")
    assert row["after"] == {"name\0": "\0?<script>"}


def test_values_become_plain_json(office: Office) -> None:
    assert plain(
        {
            "at": office.now,
            "day": date(2027, 3, 9),
            "set": frozenset({"b", "a"}),
            "pair": (1, None),
            "bytes": b"abc",
            "flag": True,
            "half": 0.5,
            "endless": float("inf"),
            "none": float("nan"),
            "other": InvalidInput("what"),
            7: "number",
        }
    ) == {
        "at": "2027-03-09T05:00:00+00:00",
        "day": "2027-03-09",
        "set": ["a", "b"],
        "pair": [1, None],
        "bytes": "3 bytes",
        "flag": True,
        "half": 0.5,
        "endless": "inf",
        "none": "nan",
        "other": "what",
        "7": "number",
    }


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_value_becomes_json_that_every_reader_takes_and_stays_so(value: Any) -> None:
    made = plain(value)
    text = json.dumps(made, allow_nan=False, ensure_ascii=False)
    assert json.loads(text.encode()) == made
    assert plain(made) == made


# answers


def test_a_request_that_comes_again_gets_what_the_first_one_got(either: Office) -> None:
    with either.store.transaction() as unit:
        assert unit.answers.begin("key", "one", either.now) is None
    with either.store.transaction() as unit:
        present = unit.answers.begin("key", "two", either.now)
        assert present is not None
        assert (present["request"], present["status"], present["headers"]) == ("one", None, None)
        unit.answers.finish("key", 201, {"etag": '"1"'}, b"\0body")
    with either.store.transaction() as unit:
        present = unit.answers.begin("key", "one", either.now)
        assert present is not None
        assert (present["status"], present["headers"], bytes(present["body"])) == (201, {"etag": '"1"'}, b"\0body")
        unit.answers.drop("key")
        assert unit.answers.begin("key", "one", either.now) is None


def test_of_two_requests_at_once_with_one_key_one_is_the_first(either: Office) -> None:
    together = Barrier(2)

    def act(request: str) -> bool:
        together.wait(10)
        with either.store.transaction(lasting=False) as unit:
            return unit.answers.begin("key", request, either.now) is None

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(act, ("one", "two"))) == [False, True]
    assert len(either.rows(tables.answers)) == 1


def test_answers_are_forgotten_by_age(either: Office) -> None:
    with either.store.transaction() as unit:
        unit.answers.begin("old", "request", either.now)
    either.later(hours=1)
    with either.store.transaction() as unit:
        unit.answers.begin("new", "request", either.now)
        assert unit.answers.forget(either.now) == 1
    assert [row["key"] for row in either.rows(tables.answers)] == ["new"]
