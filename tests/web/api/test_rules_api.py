"""Rules over the API: checked with their place and columns, and counted."""

import pytest


def test_a_rule_says_what_it_looks_at_and_how_many_it_means(either):
    either.enrol(3)
    params = {"rule": "employees >= 100 AND country = 'de'"}
    either.get("/rules/check", params=params)
    either.app_counts.settle(10)
    told = either.get("/rules/check", params=params)
    assert (told["valid"], told["columns"], told["error"]) == (True, ["country", "employees"], None)
    assert told["matching"]["value"] == 3


def test_a_wrong_rule_is_told_with_its_place_and_the_likely_right_word(api):
    told = api.get("/rules/check", params={"rule": "country = 'de' AND employes > 5"})
    assert (told["valid"], told["columns"], told["matching"]) == (False, [], None)
    assert told["error"]["position"] == 19
    assert "employees" in told["error"]["fault"] + told["error"]["hint"]


def test_each_place_has_its_own_columns(api):
    api.office.apply()
    for place, campaign, rule, valid in (
        ("search", None, "tier = 'a'", False),
        ("search", "spring", "tier = 'a' AND state = 'held'", True),
        ("campaign", None, "tier = 'a'", True),
        ("campaign", None, "state = 'held'", False),
        ("lead", None, "employees > 5", True),
        ("lead", None, "tier = 'a'", False),
    ):
        params = {"rule": rule, "place": place} | ({"campaign": campaign} if campaign else {})
        assert api.get("/rules/check", params=params)["valid"] is valid, (place, campaign, rule)
    assert api.get("/rules/check", 404, params={"rule": "fit > 1", "campaign": "none"})["code"] == "not_found"


@pytest.mark.parametrize("rule", ["", "a\0b", "x" * 4_001])
def test_what_cannot_be_a_rule_is_refused(api, rule):
    assert api.get("/rules/check", 422, params={"rule": rule})["code"] == "invalid_request"


@pytest.mark.parametrize(
    "rule", ["(" * 3_000, "NOT " * 900 + "fit > 1", "'", "employees = 1e999", "employees IN ()", "🙂 = 1"]
)
def test_any_rule_at_all_gets_an_answer(api, rule):
    assert api.get("/rules/check", params={"rule": rule})["valid"] is False


def test_columns_are_listed_with_their_meaning(api):
    columns = {column["name"]: column for column in api.get("/rules/columns")}
    assert columns["employees"] == {"name": "employees", "kind": "number", "doc": "Head count."}
    assert "tier" not in columns
    assert "tier" in {column["name"] for column in api.get("/rules/columns?campaign=spring")}
