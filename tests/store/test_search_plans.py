"""What a search costs in a large store: indexes lead to a page, and a store ten times as large takes no more work."""

import re
from collections.abc import Callable

import pytest
from store_rows import NOW, Steps, add_campaign, decided, enrol, leads, touches
from test_store_plans import planned_as

from touchline.app import search
from touchline.model import rules
from touchline.model.columns import SEARCH

LARGE = "leads|prospects|touches"
RARE = search.Filter(rules.parse("verdict_reason = 'nobody has this'", SEARCH))
SENIOR = search.Filter(rules.parse("seniority = 'nobody'", SEARCH))
ONE = search.Filter(None, ("p7@x0.example",))
ANY = search.Filter()

ASKED: dict[str, Callable] = {
    "span": lambda u: u.search.span(None),
    "span of a campaign": lambda u: u.search.span(1),
    "between, all leads": lambda u: u.search.between(None, ANY, low=1, high=2_990, newest=True, limit=20),
    "between, in a campaign": lambda u: u.search.between(1, ANY, low=1, high=2_990, newest=False, limit=20),
    "between, by decision": lambda u: u.search.between(1, RARE, low=500, high=700, newest=True, limit=20),
    "between, by lead": lambda u: u.search.between(1, SENIOR, low=500, high=700, newest=True, limit=20),
    "between, one lead": lambda u: u.search.between(None, ONE, low=1, high=3_000, newest=True, limit=20),
    "end": lambda u: u.search.end(1, "b", (40, 1_000), 20),
    "passed": lambda u: u.search.passed(1, "b", (40, 1_000), (40, 900)),
    "ranked": lambda u: u.search.ranked(1, ANY, "b", (40, 1_000), None, 20),
    "ranked, by lead": lambda u: u.search.ranked(1, SENIOR, "b", (40, 1_000), (40, 900), 20),
    "ranked, not scored": lambda u: u.search.ranked(1, ANY, None, None, None, 20),
    "still": lambda u: u.search.still(1, SENIOR, [3, 4]),
    "rows": lambda u: u.search.rows(None, [3, 4]),
    "rows of a campaign": lambda u: u.search.rows(1, [3, 4]),
}


def fill(store, people, start=0):
    with store.transaction() as unit:
        found = unit.campaigns.find("spring")
        campaign_id = found.id if found else add_campaign(unit)
        made = range(start, start + people)
        keys = enrol(
            unit,
            campaign_id,
            made,
            tier=["abcd"[n % 4] if n % 5 else None for n in made],
            fit=[n % 90 if n % 5 else None for n in made],
            opportunity=[n % 70 if n % 5 else None for n in made],
        )
        unit.touches.insert(touches(keys, campaign_id), NOW)


def test_no_part_of_a_search_scans_a_large_table(store):
    fill(store, 3_000)
    scans = {}
    for name, ask in ASKED.items():
        with store.transaction() as unit:
            if unit.connection.dialect.name == "postgresql":
                # A few thousand rows are read faster than an index: what counts is that there is another way.
                unit.connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            with planned_as(unit) as lines:
                ask(unit)
            assert lines, name
            # A scan of an index in its own order that stops at the limit reads no more than the page.
            pattern = rf"(SCAN|Seq Scan on) ({LARGE})(?! USING)"
            if found := [line for line in lines if re.search(pattern, line)]:
                scans[name] = found
    assert scans == {}


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("span of a campaign", "ix_prospects_campaign_id"),
        ("end", "ix_prospects_score"),
        ("passed", "ix_prospects_score"),
        ("ranked", "ix_prospects_score"),
        ("ranked, by lead", "ix_prospects_score"),
    ],
)
def test_ranks_are_read_from_their_index_without_sorting(sqlite_url, open_store, name, index):
    store = open_store(sqlite_url)
    fill(store, 300)
    with store.transaction() as unit, planned_as(unit) as lines:
        ASKED[name](unit)
    assert index in " ".join(lines)
    assert "TEMP B-TREE" not in " ".join(lines)


def steps(store, **asked):
    """Steps of SQLite's machine, in hundreds, that one look takes."""
    given = {"campaign": "spring", "where": None, "text": None, "sort": "newest", "cursor": None, **asked}
    hours = iter(range(0, 10**9, 3_600))
    with store.reading() as unit:
        driver = unit.connection.connection.driver_connection
    with Steps(driver) as counted:
        page = search.page(store, **given, seconds=lambda: float(next(hours)), stretch=200)
    return counted.count, page


LOOKS = [
    {"campaign": None},
    {"campaign": None, "sort": "oldest"},
    {"sort": "newest"},
    {"sort": "score"},
    {"sort": "score", "cursor": ["score", 0, 10**6, 1, [40, 900]]},
    {"where": "verdict_reason = 'nobody has this'"},
    {"where": "verdict_reason = 'nobody has this'", "sort": "score"},
    {"text": "p7@x0.example"},
    {"text": "somebody"},
    {"where": "email = 'p7@x0.example'"},
    {"where": "email = 'p7@x0.example'", "sort": "score"},
]


def test_a_look_costs_the_same_in_a_store_ten_times_as_large(sqlite_url, open_store):
    store = open_store(sqlite_url)
    fill(store, 2_000)
    small = [steps(store, **asked)[0] for asked in LOOKS]
    fill(store, 18_000, start=2_000)
    large = [steps(store, **asked)[0] for asked in LOOKS]
    pairs = enumerate(zip(small, large, strict=True))
    grown = {n: (less, more) for n, (less, more) in pairs if more > less * 1.3 + 20}
    assert grown == {}


def test_time_that_is_up_ends_a_look_after_its_first_stretch(sqlite_url, open_store):
    store = open_store(sqlite_url)
    fill(store, 2_000)
    _, page = steps(store, where="verdict_reason = 'nobody has this'")
    assert (page.rows, page.scanned, page.total) == ([], 200, 2_000)


def test_a_small_campaign_among_many_leads_costs_what_it_holds(sqlite_url, open_store):
    store = open_store(sqlite_url)
    with store.transaction() as unit:
        small = add_campaign(unit, "small")
        batch = leads(range(50_000, 50_060))
        batch = batch.with_columns(unit.leads.insert(batch, None, NOW))
        unit.prospects.insert(decided(batch), small, NOW)
    before = steps(store, campaign="small")[0]
    fill(store, 20_000)
    after, page = steps(store, campaign="small")
    assert len(page.rows) == 50
    assert after <= before * 1.3 + 20
