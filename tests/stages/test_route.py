from collections import Counter
from zlib import crc32

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from touchline.model.campaign import Campaign
from touchline.model.columns import COLUMNS, shadows
from touchline.stages.route import FACTS, choose_snippets, choose_variants, draw, facts_to_ask, route

STEP = {"name": "one", "subject": "Hello", "text": "Hello there"}
POINTS = {"parts": [{"name": "any", "when": "employees > 1", "points": 5}]}


def campaign(**changes):
    return Campaign.parse(
        {
            "name": "spring",
            "icp": {"fit": {"size": POINTS}, "opportunity": {"size": POINTS}},
            "routes": [
                {"name": "best first", "when": "tier = 'a'", "sequence": "direct"},
                {
                    "name": "engineers",
                    "when": "tier IN ('a', 'b') AND title LIKE '%engineer%'",
                    "sequence": "technical",
                },
                {"name": "the German way", "when": "tier = 'c' AND address_status = 'safe'", "sequence": "deutsch"},
            ],
            "sequences": {
                "direct": {"steps": [STEP]},
                "technical": {"language": "en-gb", "steps": [STEP]},
                "deutsch": {"language": "de", "steps": [STEP]},
            },
            **changes,
        },
        "test",
    )


PERSON = {
    "identity": "p@x.com",
    "account": "x.com",
    "verdict": "qualified",
    "tier": "a",
    "country": "de",
    "language": "en",
}


def batch(*people):
    columns = {"identity": pl.String(), **{name: column.dtype for name, column in COLUMNS.items()}}
    return pl.DataFrame([{**PERSON, **person} for person in people], schema=columns, orient="row").with_columns(
        shadows()
    )


def facts(*rows):
    return pl.DataFrame([{"identity": "p@x.com", **row} for row in rows], schema=FACTS)


def decision(person, *rows, **changes):
    return route(batch(person), campaign(**changes), facts(*rows)).select("sequence", "route_reason").row(0)


def test_the_first_route_that_matches_chooses_the_sequence():
    assert decision({"title": "Engineer"}) == ("direct", "best first")
    assert decision({"tier": "b", "title": "Lead ENGINEER"}) == ("technical", "engineers")


def test_a_route_may_look_at_the_address_status():
    german = {"tier": "c", "language": "de"}
    assert decision({**german, "address_status": "safe"}) == ("deutsch", "the German way")
    assert decision({**german, "address_status": "risky"}) == (None, "no route for tier c")


@pytest.mark.parametrize(
    ("tier", "reason"), [("d", "no route for tier d"), ("b", "no route for tier b"), (None, "no route matches")]
)
def test_without_a_route_there_is_no_sequence_and_the_reason_says_so(tier, reason):
    assert decision({"tier": tier}) == (None, reason)


@pytest.mark.parametrize("verdict", ["rejected", "held", "waiting", None])
def test_who_is_not_qualified_is_not_routed(verdict):
    assert decision({"verdict": verdict}, {"account_replied": True}) == (None, None)


@pytest.mark.parametrize(
    ("person", "fact", "reason"),
    [
        ({}, {"active_campaign": "autumn"}, "in active sequence of campaign autumn"),
        ({}, {"last_contact_days": 0}, "contacted 0 days ago"),
        ({}, {"last_contact_days": 1}, "contacted 1 day ago"),
        ({}, {"last_contact_days": 29}, "contacted 29 days ago"),
        ({}, {"account_replied": True}, "company has replied"),
        ({"country": "ru"}, {}, "country blocked: ru"),
        ({"language": "de"}, {}, "language: sequence is en, lead reads de"),
    ],
)
def test_a_compatibility_check_stops_a_sequence_and_says_why(person, fact, reason):
    assert decision(person, fact, compatibility={"blocked_countries": ["RU", "by"]}) == (None, reason)


@pytest.mark.parametrize(
    ("person", "fact"),
    [
        ({}, {"last_contact_days": 30}),
        ({}, {"account_replied": False}),
        ({"country": None}, {}),
        ({"country": "fr"}, {}),
        ({"language": None}, {}),
        ({"identity": "other@x.com"}, {"active_campaign": "autumn", "account_replied": True}),
    ],
)
def test_what_is_unknown_or_long_ago_or_of_somebody_else_stops_nothing(person, fact):
    assert decision(person, fact, compatibility={"blocked_countries": ["ru"]}) == ("direct", "best first")


def test_checks_that_the_campaign_turns_off_stop_nothing():
    off = {"one_sequence_at_a_time": False, "respect_account_replies": False, "quiet_days": 0}
    fact = {"active_campaign": "autumn", "account_replied": True, "last_contact_days": 0}
    assert decision({}, fact, compatibility=off) == ("direct", "best first")


def test_the_first_check_that_stops_gives_the_reason():
    fact = {"active_campaign": "autumn", "account_replied": True, "last_contact_days": 3}
    person = {"country": "ru", "language": "de"}
    checks = {"blocked_countries": ["ru"]}
    reasons = []
    for known in ("active_campaign", "last_contact_days", "account_replied", None):
        reasons.append(decision(person, fact, compatibility=checks)[1])
        fact.pop(known, None)
    assert reasons == [
        "in active sequence of campaign autumn",
        "contacted 3 days ago",
        "company has replied",
        "country blocked: ru",
    ]


def test_a_sequence_in_a_variety_suits_who_reads_the_language():
    assert decision({"tier": "b", "title": "engineer"})[0] == "technical"


def test_facts_that_name_a_person_twice_are_a_broken_call():
    with pytest.raises(pl.exceptions.ComputeError):
        decision({}, {"last_contact_days": 3}, {"last_contact_days": 4})


def test_facts_are_asked_for_qualified_people_once_each():
    people = batch(
        {},
        {},
        {"identity": "q@x.com"},
        {"identity": "r@x.com", "verdict": "held"},
        {"identity": "s@x.com", "verdict": None},
    )
    assert facts_to_ask(people).rows() == [("p@x.com", "x.com"), ("q@x.com", "x.com")]


PEOPLE = st.lists(
    st.fixed_dictionaries(
        {
            "identity": st.sampled_from(["p@x.com", "q@x.com", "r@y.com", "s@y.com"]),
            "verdict": st.sampled_from(["qualified", "qualified", "held", None]),
            "tier": st.sampled_from(["a", "b", "c", "d"]),
            "title": st.sampled_from(["Engineer", "CEO", None]),
            "country": st.sampled_from(["ru", "de", None]),
            "language": st.sampled_from(["en", "de", None]),
            "address_status": st.sampled_from(["safe", None]),
        }
    ),
    min_size=1,
    max_size=10,
)
KNOWN = st.lists(
    st.fixed_dictionaries(
        {
            "identity": st.sampled_from(["p@x.com", "q@x.com", "r@y.com"]),
            "active_campaign": st.sampled_from([None, "autumn"]),
            "last_contact_days": st.sampled_from([None, 3, 40]),
            "account_replied": st.sampled_from([None, True, False]),
        }
    ),
    max_size=3,
    unique_by=lambda fact: fact["identity"],
)


@given(PEOPLE, KNOWN, st.randoms(use_true_random=False))
@settings(max_examples=40)
def test_splitting_and_reordering_a_batch_changes_no_route(people, known, random):
    plan = campaign(compatibility={"blocked_countries": ["ru"]})
    whole = route(batch(*people), plan, facts(*known))
    order = list(range(len(people)))
    random.shuffle(order)
    parts = [route(batch(people[n]), plan, facts(*known)) for n in order]
    assert_frame_equal(pl.concat(parts), whole[order])
    assert_frame_equal(route(whole, plan, facts(*known)), whole)
    for row in whole.iter_rows(named=True):
        qualified = row["verdict"] == "qualified"
        assert (row["route_reason"] is not None) == qualified
        assert row["sequence"] is None or qualified


def sequence(*variants):
    steps = [STEP, {**STEP, "name": "two", "variants": list(variants)}]
    return campaign(sequences={name: {"steps": steps} for name in ("direct", "technical", "deutsch")}).sequences[
        "direct"
    ]


def variant(name, when=None):
    return {"name": name, "text": name} | ({"when": when} if when else {})


def crowd(count=4_000, **person):
    return batch(*({"identity": f"p{n}@x.com", **person} for n in range(count)))


def test_a_step_without_variants_has_its_own_text_for_all():
    assert choose_variants(crowd(10), sequence(), 0).to_list() == [None] * 10


def test_the_first_variant_whose_condition_matches_is_chosen_before_any_share():
    plan = sequence(
        variant("any"), variant("french", "country = 'fr'"), variant("engineers", "title LIKE '%engineer%'")
    )
    assert choose_variants(batch({"country": "fr", "title": "Engineer"}), plan, 1).to_list() == ["french"]
    assert choose_variants(batch({"country": "de", "title": "Engineer"}), plan, 1).to_list() == ["engineers"]


def test_a_variant_whose_condition_does_not_match_or_is_unknown_is_never_chosen():
    plan = sequence(variant("french", "country = 'fr'"))
    for country in ("de", None):
        assert set(choose_variants(crowd(100, country=country), plan, 1)) == {None}


def test_variants_without_condition_and_the_own_text_get_equal_shares():
    counts = Counter(choose_variants(crowd(), sequence(variant("b"), variant("c"), variant("fr", "country = 'fr'")), 1))
    assert set(counts) == {None, "b", "c"}
    assert min(counts.values()) > 1_200


def test_the_choice_at_one_step_says_nothing_about_the_choice_at_another():
    plan = campaign(
        sequences={
            name: {
                "steps": [STEP | {"name": str(n), "variants": [{**variant("b"), "subject": "Hi"}]} for n in range(2)]
            }
            for name in ("direct", "technical", "deutsch")
        }
    ).sequences["direct"]
    both = Counter(zip(*(choose_variants(crowd(), plan, step) for step in (0, 1)), strict=True))
    assert min(both.values()) > 800
    assert len(both) == 4


@given(st.lists(st.text()), st.text())
def test_a_draw_follows_its_definition_and_never_changes_between_versions(identities, salt):
    def by_definition(text):
        x = crc32(text.encode()) ^ crc32(salt.encode())
        x = (x ^ (x >> 16)) * 0x7FEB352D & 0xFFFFFFFF
        x = (x ^ (x >> 15)) * 0x846CA68B & 0xFFFFFFFF
        return x ^ (x >> 16)

    assert draw(pl.Series(identities, dtype=pl.String), salt).to_list() == [by_definition(text) for text in identities]


def test_an_unknown_identity_draws_like_an_empty_one():
    first, second = draw(pl.Series([None, ""], dtype=pl.String), "salt")
    assert first == second


def test_the_first_snippet_that_matches_is_used_and_none_where_none_matches():
    snippets = campaign(
        snippets={
            "opening": [{"when": "country = 'fr'", "text": "Bonjour"}, {"text": "Hello {{ first_name }}"}],
            "proof": [{"when": "industry = 'software'", "text": "Software!"}],
        }
    ).snippets
    people = batch({"country": "fr", "industry": "software"}, {"country": None})
    found = choose_snippets(people, snippets).select("snippet_opening", "snippet_proof")
    assert found.rows() == [("Bonjour", "Software!"), ("Hello {{ first_name }}", None)]
    assert choose_snippets(people, {}).equals(people)
