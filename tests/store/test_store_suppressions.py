from datetime import timedelta

import polars as pl
import pytest
from store_rows import NOW, leads

WIDE = {"identity": pl.String, "base_address": pl.String, "email_domain": pl.String, "account": pl.String}


def entries(*rows, reason="asked"):
    return pl.DataFrame(
        [{"kind": kind, "value": value, "reason": reason, "source": "test", "at": NOW} for kind, value in rows]
    )


def suppressed(store, *people):
    """Why each of these people (identity, base address, mail domain, account) gets nothing."""
    with store.reading() as unit:
        return dict(unit.suppressions.matching(pl.DataFrame(people, schema=WIDE, orient="row")).iter_rows())


@pytest.fixture
def listed(store):
    with store.transaction() as unit:
        rows = entries(
            ("address", "ada@x.example"),
            ("domain", "acme.example"),
            ("account", "beta"),
            ("domain", "deep.low.example"),
        )
        assert unit.suppressions.add(rows) == 4
    return store


@pytest.mark.parametrize(
    ("person", "why"),
    [
        (("ada@x.example", "ada@x.example", "x.example", None), "address: asked"),
        (("bob", "bob@acme.example", "acme.example", None), "domain: asked"),
        (("bob", "bob@mail.eu.acme.example", "mail.eu.acme.example", None), "domain: asked"),
        (("bob", "bob@deep.low.example", "deep.low.example", None), "domain: asked"),
        (("profile:bob", None, None, "beta"), "account: asked"),
        (("ada", "ada@x.example", "acme.example", "beta"), "address: asked"),
        (("bob", "bob@notacme.example", "notacme.example", None), None),
        (("bob", "bob@acme.example.org", "acme.example.org", None), None),
        (("bob", "bob@low.example", "low.example", "acme.example"), None),
        (("bob", "bob@localhost", "localhost", None), None),
        (("ada@x.example", "eve@x.example", "x.example", "ada@x.example"), None),
    ],
)
def test_who_is_suppressed_and_why(listed, person, why):
    assert suppressed(listed, person).get(person[0]) == why
    # A batch longer than the list is answered in another way.
    crowd = [(f"p{n}@crowd{n}.example", f"p{n}@crowd{n}.example", f"crowd{n}.example", f"crowd{n}") for n in range(9)]
    assert suppressed(listed, *crowd, person) == ({person[0]: why} if why else {})


def test_what_is_unknown_of_a_person_matches_nothing(listed):
    assert suppressed(listed, ("bob", None, None, None), ("eve", None, None, None)) == {}


def test_a_null_in_the_list_cannot_be(store):
    with pytest.raises(Exception, match=r"(?i)null"), store.transaction() as unit:
        unit.suppressions.add(entries(("address", None)).cast({"value": pl.String}))


def test_one_row_of_an_identity_that_is_suppressed_is_enough(listed):
    rows = [("bob", "bob@y.example", "y.example", account) for account in ("gamma", None, "beta", "delta")]
    assert suppressed(listed, *rows) == {"bob": "account: asked"}


def test_an_empty_batch_and_an_empty_list_match_nothing(store, listed):
    assert suppressed(listed) == {}
    with store.reading() as unit:
        assert unit.suppressions.matching(leads([])).schema == {"identity": pl.String, "why": pl.String}
        assert unit.suppressions.matching(leads([1])).is_empty()


def test_the_nearest_domain_gives_the_reason(store):
    with store.transaction() as unit:
        unit.suppressions.add(entries(("domain", "acme.example"), reason="far"))
        unit.suppressions.add(entries(("domain", "mail.acme.example"), reason="near"))
    assert suppressed(store, ("a", None, "x.mail.acme.example", None)) == {"a": "domain: near"}


def test_adding_counts_what_is_new_and_the_first_reason_stays(listed):
    with listed.transaction() as unit:
        again = entries(
            ("address", "ada@x.example"), ("address", "new@x.example"), ("address", "new@x.example"), reason="again"
        )
        assert unit.suppressions.add(again) == 1
        assert unit.suppressions.count() == 5
    assert suppressed(listed, ("ada", "ada@x.example", None, None)) == {"ada": "address: asked"}


def test_the_list_comes_in_pages(listed):
    with listed.reading() as unit:
        first = unit.suppressions.listed(0, 3)
        rest = unit.suppressions.listed(first[-1]["id"], 3)
    assert [(row["kind"], row["value"]) for row in first + rest] == [
        ("address", "ada@x.example"),
        ("domain", "acme.example"),
        ("account", "beta"),
        ("domain", "deep.low.example"),
    ]
    assert {(row["reason"], row["source"], row["at"]) for row in first + rest} == {("asked", "test", NOW)}


def test_an_answer_is_known_while_it_is_young_enough(store):
    with store.transaction() as unit:
        unit.mx.keep({"a.example": "mx", "b.example": "none"}, NOW)
    with store.reading() as unit:
        assert unit.mx.known(["a.example", "b.example", "c.example"], NOW) == {"a.example": "mx", "b.example": "none"}
        assert unit.mx.known(["a.example"], NOW + timedelta(microseconds=1)) == {}
        assert unit.mx.known([], NOW) == {}


def test_a_new_answer_replaces_the_old_one(store):
    later = NOW + timedelta(days=3)
    with store.transaction() as unit:
        unit.mx.keep({"a.example": "none"}, NOW)
        unit.mx.keep({"a.example": "mx"}, later)
        assert unit.mx.known({"a.example"}, later) == {"a.example": "mx"}


def test_a_time_out_is_no_answer_and_leaves_the_one_before(store):
    with store.transaction() as unit:
        unit.mx.keep({"a.example": "mx"}, NOW)
        unit.mx.keep({"a.example": "timeout", "b.example": "timeout"}, NOW + timedelta(days=1))
        unit.mx.keep({}, NOW)
        assert unit.mx.known(["a.example", "b.example"], NOW) == {"a.example": "mx"}
