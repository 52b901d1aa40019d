import json
import unicodedata

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from touchline.model.campaign import Icp, Tiers
from touchline.model.columns import COLUMNS, LEAD, shadows
from touchline.model.errors import InvalidInput
from touchline.stages.score import SLICE, PartLine, explain_parts, score

ADDED = ("fit", "opportunity", "tier", "score_parts")


def batch(*leads):
    columns = {column.name: column.dtype for column in LEAD}
    return pl.DataFrame(list(leads), schema=columns, orient="row").with_columns(shadows())


def folded(text):
    return unicodedata.normalize("NFKC", text).lower()


def both(first, second):
    """AND of Kleene's logic."""
    return False if False in (first, second) else None if None in (first, second) else True


RULES = {
    "employees BETWEEN 50 AND 500": (("employees",), lambda x: None if x is None else 50 <= x <= 500),
    "employees > 100": (("employees",), lambda x: None if x is None else x > 100),
    "employees IS NULL": (("employees",), lambda x: x is None),
    "NOT (employees > 100)": (("employees",), lambda x: None if x is None else x <= 100),
    "COALESCE(employees, 0) < 10": (("employees",), lambda x: (x or 0) < 10),
    "title LIKE '%Engineer%'": (("title",), lambda x: None if x is None else "engineer" in folded(x)),
    "country = 'de' AND title = 'CEO'": (
        ("country", "title"),
        lambda c, t: both(None if c is None else c == "de", None if t is None else folded(t) == "ceo"),
    ),
    "country IN ('de', 'us')": (("country",), lambda x: None if x is None else x in ("de", "us")),
    "has(tech, 'python')": (("tech",), lambda x: None if x is None else "|python|" in x),
    "budget >= 1000.5": (("budget",), lambda x: None if x is None else x >= 1000.5),
    "timezone IS NOT NULL": (("timezone",), lambda x: x is not None),
}
"""Rule -> the columns it looks at, in order of their names, and its answer in plain Python."""

POINTS = st.integers(-100, 100)
GROUPS = st.fixed_dictionaries(
    {
        "cap": st.one_of(st.just(100), st.integers(1, 100)),
        "unknown": POINTS,
        "parts": st.lists(
            st.fixed_dictionaries(
                {"name": st.just("some part"), "when": st.sampled_from(sorted(RULES)), "points": POINTS}
            ),
            min_size=1,
            max_size=4,
        ),
    }
)
AXES = st.dictionaries(st.sampled_from(["size", "role", "tech"]), GROUPS, min_size=1)
ICPS = st.builds(lambda fit, opportunity: Icp.model_validate({"fit": fit, "opportunity": opportunity}), AXES, AXES)
NASTY = st.one_of(
    st.sampled_from(['Engineer "Ned" \\ Co', "CEO", 'a\n\t\x00"],[', "\\u0022", "\u2028{é}🙂"]), st.text(max_size=6)
)
LEADS = st.lists(
    st.fixed_dictionaries(
        {
            "employees": st.one_of(st.none(), st.sampled_from([5, 60, 120, 900]), st.integers(-(2**63), 2**63 - 1)),
            "title": st.one_of(st.none(), NASTY),
            "country": st.sampled_from([None, "de", "us", "fr"]),
            "tech": st.one_of(st.none(), st.sampled_from(["|python|", "|go|python|", '|c"|']), NASTY),
            "budget": st.one_of(
                st.none(), st.sampled_from([0.0, 1000.5]), st.floats(allow_nan=False, allow_infinity=False)
            ),
            "timezone": st.sampled_from([None, "Europe/Berlin"]),
        }
    ),
    max_size=8,
)


def by_hand(lead, axis, groups):
    """The slow reference: parts and score of one axis."""
    parts = []
    for name, group in groups.items():
        columns = {column for part in group.parts for column in RULES[part.when][0]}
        if all(lead[column] is None for column in columns):
            found = [[axis, name, "unknown", group.unknown, None]]
        else:
            found = []
            for position, part in enumerate(group.parts):
                looked_at, answer = RULES[part.when]
                values = [lead[column] for column in looked_at]
                if answer(*values):
                    found.append([axis, name, position, part.points, values if len(values) > 1 else values[0]])
        total = sum(entry[3] for entry in found)
        if total > group.cap:
            found.append([axis, name, "cap", group.cap - total, None])
        parts += found
    total = sum(entry[3] for entry in parts)
    bounded = min(max(total, 0), 100)
    if bounded != total:
        parts.append([axis, None, "bounds", bounded - total, None])
    return parts, bounded


@given(LEADS, ICPS)
def test_scores_and_parts_agree_with_a_scorecard_worked_out_by_hand(leads, icp):
    scored = score(batch(*leads), icp, Tiers())
    for lead, row in zip(leads, scored.iter_rows(named=True), strict=True):
        fit_parts, fit = by_hand(lead, "fit", icp.fit)
        opportunity_parts, opportunity = by_hand(lead, "opportunity", icp.opportunity)
        assert (row["fit"], row["opportunity"]) == (fit, opportunity)
        assert json.loads(row["score_parts"]) == fit_parts + opportunity_parts


@given(LEADS, ICPS)
def test_parts_sum_to_the_scores_exactly_and_scores_stay_within_0_and_100(leads, icp):
    for row in score(batch(*leads), icp, Tiers()).iter_rows(named=True):
        sums = {"fit": 0, "opportunity": 0}
        for axis, _, _, points, _ in json.loads(row["score_parts"]):
            sums[axis] += points
        assert sums == {"fit": row["fit"], "opportunity": row["opportunity"]}
        assert all(0 <= points <= 100 for points in sums.values())


@given(LEADS, ICPS, st.randoms(use_true_random=False))
@settings(max_examples=40)
def test_splitting_reordering_and_rescoring_change_nothing(leads, icp, random):
    whole = score(batch(*leads), icp, Tiers())
    order = list(range(len(leads)))
    random.shuffle(order)
    middle = len(leads) // 2
    parts = [score(batch(*(leads[n] for n in part)), icp, Tiers()) for part in (order[:middle], order[middle:])]
    assert_frame_equal(pl.concat(parts), whole[order])
    assert_frame_equal(score(whole, icp, Tiers()), whole)


def group(*parts, **more):
    return {"parts": [{"name": name, "when": when, "points": points} for name, when, points in parts], **more}


def icp(fit, **opportunity):
    return Icp.model_validate(
        {"fit": fit, "opportunity": opportunity or {"role": group(("sells", "role = 'sales'", 10))}}
    )


SIZE = group(("small", "employees < 50", 10), ("middle", "employees BETWEEN 50 AND 500", 30), unknown=7)


def parts_of(lead, card):
    row = score(batch(lead), card, Tiers()).row(0, named=True)
    return [entry for entry in json.loads(row["score_parts"]) if entry[0] == "fit"], row["fit"]


def test_an_unknown_size_is_its_own_part_even_when_it_gives_nothing():
    assert parts_of({}, icp({"size": SIZE})) == ([["fit", "size", "unknown", 7, None]], 7)
    assert parts_of({}, icp({"size": {**SIZE, "unknown": 0}})) == ([["fit", "size", "unknown", 0, None]], 0)


def test_a_part_that_asks_for_missing_values_does_not_match_a_group_that_is_unknown():
    card = icp(
        {"size": group(("not told", "employees IS NULL", 50), ("tiny", "COALESCE(employees, 0) < 5", 50), unknown=-3)}
    )
    assert parts_of({}, card) == ([["fit", "size", "unknown", -3, None], ["fit", None, "bounds", 3, None]], 0)


def test_one_known_column_makes_a_group_known():
    card = icp(
        {"role": group(("boss", "title = 'ceo'", 9), ("sells", "role = 'sales' AND country = 'de'", 5), unknown=3)}
    )
    assert parts_of({"country": "de"}, card) == ([], 0)


def test_evidence_is_the_value_or_the_values_in_order_of_the_columns_names():
    card = icp({"role": group(("boss", "title LIKE '%ceo%' OR employees < 5", 9), ("ceo", "title = 'CEO'", 1))})
    assert parts_of({"title": "CEO"}, card)[0] == [
        ["fit", "role", 0, 9, [None, "CEO"]],
        ["fit", "role", 1, 1, "CEO"],
    ]


def test_what_exceeds_the_cap_of_a_group_is_taken_off_as_a_part_of_its_own():
    card = icp({"tech": group(("python", "has(tech, 'python')", 20), ("go", "has(tech, 'go')", 15), cap=25)})
    assert parts_of({"tech": "|go|python|"}, card) == (
        [
            ["fit", "tech", 0, 20, "|go|python|"],
            ["fit", "tech", 1, 15, "|go|python|"],
            ["fit", "tech", "cap", -10, None],
        ],
        25,
    )


def test_what_exceeds_100_is_taken_off_the_axis_as_a_part_of_its_own():
    card = icp({"size": group(("any", "employees > 0", 90)), "place": group(("home", "country = 'de'", 60))})
    parts, fit = parts_of({"employees": 5, "country": "de"}, card)
    assert fit == 100
    assert parts[-1] == ["fit", None, "bounds", -50, None]


def test_numbers_that_are_not_finite_leave_valid_json():
    card = icp({"money": group(("rich", "budget > 5", 10))})
    assert parts_of({"budget": float("inf")}, card)[0] == [["fit", "money", 0, 10, None]]


TIERS = Tiers(fit=(65, 40), opportunity=(50, 25), table=(("a", "b", "b"), ("b", "c", "c"), ("c", "d", "d")))


@pytest.mark.parametrize(
    ("fit", "opportunity", "tier"),
    [
        (65, 50, "a"),
        (64, 50, "b"),
        (65, 49, "b"),
        (100, 24, "b"),
        (40, 25, "c"),
        (40, 0, "c"),
        (39, 50, "c"),
        (39, 25, "d"),
        (0, 0, "d"),
    ],
)
def test_the_tier_comes_from_both_scores(fit, opportunity, tier):
    card = icp({"all": group(("any", "employees = 1", fit))}, all=group(("any", "employees = 1", opportunity)))
    assert score(batch({"employees": 1}), card, TIERS).select("fit", "opportunity", "tier").row(0) == (
        fit,
        opportunity,
        tier,
    )


def test_an_empty_batch_gets_the_columns():
    scored = score(batch(), icp({"size": SIZE}), Tiers())
    assert scored.height == 0
    assert {name: scored.schema[name] for name in ADDED} == {name: COLUMNS[name].dtype for name in ADDED}


def test_a_batch_of_many_chunks_and_slices_comes_back_as_one_chunk_and_scores_as_its_rows_do():
    piece = batch(*[{"employees": 5, "title": "CEO"}, {"employees": 120}, {}] * 1_000)
    card = icp({"size": SIZE}, role=group(("boss", "title = 'CEO'", 10)))
    times = SLICE // piece.height + 2
    many = pl.concat([piece] * times, rechunk=False)
    assert many.n_chunks() > 1
    scored = score(many, card, Tiers())
    assert scored.n_chunks() == 1
    assert_frame_equal(scored, pl.concat([score(piece, card, Tiers())] * times))


CARD = icp(
    {
        "size": SIZE,
        "tech": group(("python", "has(tech, 'python')", 60), ("go", "has(tech, 'go')", 50), cap=90),
        "place": group(("home", "country = 'de' OR region = 'tirol'", 20)),
    },
    budget=group(("rich", "budget >= 1000", 30), ("some", "budget > 0", 5)),
    role=group(("sells", "role = 'sales'", 10), unknown=4),
)


def explained(lead, *more):
    return explain_parts(score(batch(lead), CARD, Tiers())["score_parts"].item(), CARD, *more)


def test_an_explanation_names_every_part_with_its_points_and_evidence():
    lead = {"employees": 60, "tech": "|go|python|", "country": "de", "budget": 2000.0}
    assert explained(lead) == [
        PartLine("fit", "size", "middle", 30, "employees=60"),
        PartLine("fit", "tech", "python", 60, "tech=go|python"),
        PartLine("fit", "tech", "go", 50, "tech=go|python"),
        PartLine("fit", "tech", "cap", -20, "at most 90"),
        PartLine("fit", "place", "home", 20, "country=de, region unknown"),
        PartLine("fit", None, "bounds", -40, "from 0 to 100"),
        PartLine("opportunity", "budget", "rich", 30, "budget=2000"),
        PartLine("opportunity", "budget", "some", 5, "budget=2000"),
        PartLine("opportunity", "role", "unknown", 4, "role unknown"),
    ]


def test_an_explanation_says_which_groups_matched_nothing_and_what_the_lead_has():
    lead = {"employees": 3000, "country": "fr", "budget": -0.5, "role": "hr"}
    nothing = "no part matched"
    assert explained(lead, lead) == [
        PartLine("fit", "size", nothing, 0, "employees=3000"),
        PartLine("fit", "tech", "unknown", 0, "tech unknown"),
        PartLine("fit", "place", nothing, 0, "country=fr, region unknown"),
        PartLine("opportunity", "budget", nothing, 0, "budget=-0.5"),
        PartLine("opportunity", "role", nothing, 0, "role=hr"),
    ]
    assert explained(lead)[0] == PartLine("fit", "size", nothing, 0, "")


@pytest.mark.parametrize(
    ("parts", "named"),
    [
        ('[["fit","colour",0,5,"red"]]', "fit.colour"),
        ('[["fit","size",9,5,1]]', "part 9 of fit.size"),
        ('[["fit","size","luck",5,1]]', "part luck of fit.size"),
    ],
)
def test_parts_of_another_scorecard_are_refused_with_what_is_foreign(parts, named):
    with pytest.raises(InvalidInput, match=named):
        explain_parts(parts, CARD)
