"""Qualify: the first rule that matches decides, and says so; no address waits, an invalid one is rejected."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchline.model.campaign import Rule
from touchline.model.columns import COLUMNS, LEAD, Kind, lead_schema, shadows
from touchline.stages.qualify import qualify

ADDED = ("fit", "opportunity", "tier", "address_status", "address_reasons")
SCHEMA = lead_schema() | {name: COLUMNS[name].dtype for name in ADDED}

RULES = (
    Rule(name="too small", when="employees < 10", then="rejected"),
    Rule(name="role mailbox", when="has(address_reasons, 'role')", then="held"),
    Rule(name="engineers", when="title LIKE '%engineer%' AND fit >= 50", then="qualified"),
    Rule(name="tier a", when="tier = 'a'", then="qualified"),
)


def prospects(*rows: dict[str, object]) -> pl.DataFrame:
    known = {"email": "anna@acme.de", "address_status": "safe"}
    return pl.DataFrame([{**known, **row} for row in rows], schema=SCHEMA).with_columns(shadows())


def decided(batch: pl.DataFrame, rules=RULES, otherwise="held"):
    return qualify(batch, rules, otherwise).select("verdict", "verdict_reason").rows()


@pytest.mark.parametrize(
    ("row", "verdict", "reason"),
    [
        ({"employees": 5, "tier": "a"}, "rejected", "too small"),
        ({"employees": 10, "tier": "a"}, "qualified", "tier a"),
        ({"employees": None, "tier": "a"}, "qualified", "tier a"),
        ({"title": "Software ENGINEER", "fit": 50}, "qualified", "engineers"),
        ({"title": "Software Engineer", "fit": None}, "held", "no rule matched"),
        ({"address_status": "risky", "address_reasons": "|free|role|", "tier": "a"}, "held", "role mailbox"),
        ({"address_status": "unknown", "address_reasons": "|dns_timeout|", "tier": "a"}, "qualified", "tier a"),
        ({}, "held", "no rule matched"),
        ({"email": None, "address_status": None, "tier": "a"}, "waiting", "no address yet"),
        ({"email": None, "employees": 5}, "waiting", "no address yet"),
        (
            {"address_status": "invalid", "address_reasons": "|bad_syntax|", "tier": "a"},
            "rejected",
            "address invalid: bad_syntax",
        ),
        (
            {"address_status": "invalid", "address_reasons": "|disposable|free|no_mx|role|"},
            "rejected",
            "address invalid: no_mx",
        ),
    ],
)
def test_the_first_that_applies_decides_and_names_itself(row, verdict, reason):
    assert decided(prospects(row)) == [(verdict, reason)]


@pytest.mark.parametrize("otherwise", ["qualified", "rejected", "held"])
def test_without_a_matching_rule_the_campaign_says_what_happens(otherwise):
    assert decided(prospects({}), rules=(), otherwise=otherwise) == [(otherwise, "no rule matched")]


def test_the_order_of_rules_matters():
    batch = prospects({"employees": 5, "tier": "a"})
    assert decided(batch, RULES[::-1]) == [("qualified", "tier a")]


def test_a_batch_without_rows_gets_the_columns():
    found = qualify(prospects(), RULES, "held")
    assert found.schema["verdict"] == found.schema["verdict_reason"] == pl.String
    assert found.height == 0


def test_a_second_decision_replaces_the_first():
    batch = prospects({"tier": "a"}, {"employees": 5})
    once = qualify(batch, RULES, "held")
    assert qualify(once, RULES, "held").equals(once)


def test_all_other_columns_stay_as_they_are():
    batch = prospects({"tier": "a"}, {"employees": 5})
    assert qualify(batch, RULES, "held").drop("verdict", "verdict_reason").equals(batch)


ROWS = st.fixed_dictionaries(
    {
        "email": st.sampled_from([None, "anna@acme.de"]),
        "employees": st.none() | st.integers(0, 20),
        "title": st.sampled_from([None, "Engineer", "CEO"]),
        "fit": st.none() | st.integers(40, 60),
        "tier": st.sampled_from([None, "a", "b"]),
        "address_status": st.sampled_from([None, "safe", "risky", "unknown"]),
        "address_reasons": st.sampled_from([None, "|role|", "|free|"]),
    }
)


@given(st.lists(ROWS, max_size=12), st.integers(0, 12), st.permutations(range(12)))
def test_splitting_or_reordering_batches_changes_no_decision(rows, cut, order):
    whole = decided(prospects(*rows))
    assert decided(prospects(*rows[:cut])) + decided(prospects(*rows[cut:])) == whole
    turned = [place for place in order if place < len(rows)]
    assert decided(prospects(*(rows[place] for place in turned))) == [whole[place] for place in turned]


@given(ROWS)
def test_every_prospect_gets_a_verdict_and_a_reason(row):
    assert all(decided(prospects(row))[0])


COMPARED = [column.name for column in (*LEAD, *(COLUMNS[name] for name in ADDED)) if column.kind is not Kind.OPAQUE]


@pytest.mark.parametrize("name", COMPARED)
def test_a_rule_may_look_at_every_column_that_the_stages_before_gave(name):
    rules = (Rule(name="unknown", when=f"{name} IS NULL", then="rejected"),)
    known = prospects({})[COLUMNS[name].compared].is_not_null().item()
    assert decided(prospects({}), rules) == [("held", "no rule matched") if known else ("rejected", "unknown")]
