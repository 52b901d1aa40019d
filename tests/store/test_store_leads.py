import sqlite3
from datetime import timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from store_rows import NOW, add_campaign, address, decided, enrol, leads

from touchline.model import rules
from touchline.model.columns import LEAD
from touchline.model.errors import Crossed

NAMES = ["identity", *(c.name for c in LEAD)]


def insert(store, batch, import_id=None):
    with store.transaction() as unit:
        return unit.leads.insert(batch, import_id, NOW)


def pages(store, limit, **where):
    """Every page until one is not full."""
    found, after = [], 0
    while True:
        with store.reading() as unit:
            page = unit.leads.page(after=after, limit=limit, **{"campaign_id": None, "where": None, **where})
        yield page
        found += page
        if len(page) < limit:
            return
        after = page[-1]["id"]


def test_leads_come_back_as_harvest_gave_them_with_their_keys_in_the_batchs_order(store):
    batch = leads(
        [3, 1, 2],
        first_name=["Zoë", "O'Hara", None],
        title="VP, Sales\n& more",
        employees=[1, None, 10_000_000_000],
        budget=[0.1, None, 1e300],
        tech="|aws|c++|",
        extra='{"note": "a\\\\b"}',
    )
    keys = insert(store, batch)
    assert keys.name == "lead_id"
    assert keys.to_list() == sorted(keys.to_list())
    with store.reading() as unit:
        found = unit.leads.by_ids(keys.to_list())
    assert_frame_equal(found.drop("lead_id"), batch.select(found.columns[1:]), check_exact=True)
    assert found["lead_id"].to_list() == keys.to_list()


def test_a_lead_is_known_by_its_identity_or_its_profile(store):
    keys = insert(store, leads([1, 2, 3, 4], profile_url=["in/one", "in/two", None, "in/four"]))
    with store.reading() as unit:
        found = unit.leads.known([address(1), address(3), "nobody"], ["in/one", "in/two", "in/nobody"])
    assert found["lead_id"].to_list() == keys.to_list()[:3]
    assert found.columns == ["lead_id", *NAMES]


@pytest.mark.parametrize(
    ("identities", "profiles"),
    [([], []), (["nobody"], []), ([], ["in/nobody"]), (["it's", 'a "b"', "\\", "😀"], ["%"])],
)
def test_of_nobody_nothing_is_known_and_the_types_stay(store, identities, profiles):
    insert(store, leads([1]))
    with store.reading() as unit:
        found = unit.leads.known(identities, profiles)
        assert found.is_empty()
        assert found.schema == unit.leads.known([address(1)], []).schema
        assert unit.leads.by_ids([]).is_empty()
        assert unit.leads.find("nobody") is None


def test_an_update_sets_every_fact_and_keeps_where_the_lead_came_from(store):
    key = insert(store, leads([1], title="Head of IT", profile_url="in/one"), import_id=7).item()
    later = NOW + timedelta(days=1)
    with store.transaction() as unit:
        fresh = leads([1], identity=["new@x.example"], title=None, company="Acme")
        unit.leads.update(fresh.with_columns(pl.lit(key, pl.Int64).alias("lead_id")), later)
    with store.reading() as unit:
        lead = unit.leads.find("new@x.example")
        assert unit.leads.find(address(1)) is None
    assert (lead["id"], lead["title"], lead["title_folded"], lead["company_folded"]) == (key, None, None, "acme")
    assert (lead["import_id"], lead["created_at"], lead["updated_at"]) == (7, NOW, later)


def test_one_person_is_never_two_leads(store):
    insert(store, leads([1]))
    with pytest.raises((Crossed, sqlite3.IntegrityError), match=r"same people|UNIQUE"):
        insert(store, leads([2, 1]))
    with store.reading() as unit:
        assert unit.leads.find(address(2)) is None


def test_pages_have_no_gaps_and_no_doubles_while_leads_are_added(store):
    first = insert(store, leads(range(10))).to_list()
    seen, added = [], []
    for number, page in enumerate(pages(store, 3)):
        seen += [row["id"] for row in page]
        if number < 2:
            added += insert(store, leads([100 + number])).to_list()
    assert seen == first + added


def test_a_page_of_a_campaign_shows_its_leads_with_their_decisions(store):
    with store.transaction() as unit:
        spring, autumn = add_campaign(unit), add_campaign(unit, "autumn")
        enrol(unit, spring, [1, 2], tier=["a", "b"], fit=[90, 50])
        enrol(unit, autumn, [3])
    (page,) = pages(store, 10, campaign_id=spring)
    assert [(row["identity"], row["tier"], row["fit"], row["state"]) for row in page] == [
        (address(1), "a", 90, "enrolled"),
        (address(2), "b", 50, "enrolled"),
    ]


@pytest.mark.parametrize(
    ("where", "people"),
    [
        ("title LIKE '%ENGINEER%'", [1, 3]),
        ("employees BETWEEN 50 AND 500", [1, 2]),
        ("has(tech, 'aws') AND employees IS NOT NULL", [2]),
        ("NOT title LIKE '%engineer%'", [2]),
        ("tier = 'a' OR fit < 20", [1, 3]),
        ("COALESCE(opportunity, 0) = 0 AND country = 'de'", [2]),
        ("company = 'o''hara; DROP TABLE leads --'", [3]),
        ("title LIKE '50:one %'", []),
    ],
)
def test_a_rule_selects_over_leads_and_decisions_and_its_text_reaches_no_engine(store, where, people):
    with store.transaction() as unit:
        campaign_id = add_campaign(unit)
        enrol(
            unit,
            campaign_id,
            [1, 2, 3],
            title=["Lead Engineer", "CEO", "engineering manager"],
            company=["x", None, "O'Hara; DROP TABLE leads --"],
            employees=[50, 500, None],
            tech=[None, "|aws|", "|aws|"],
            country=["fr", "de", None],
            tier=["a", "b", None],
            fit=[90, 30, 10],
        )
    (page,) = pages(store, 10, campaign_id=campaign_id, where=rules.parse(where))
    assert [row["identity"] for row in page] == [address(person) for person in people]


def test_a_rule_pages_like_no_rule(store):
    insert(store, leads(range(20), employees=[n % 2 for n in range(20)]))
    found = [row["identity"] for page in pages(store, 3, where=rules.parse("employees = 1")) for row in page]
    assert found == [address(n) for n in range(1, 20, 2)]


def test_leads_are_found_by_address_domain_or_account(store):
    domains = ["acme.example", "mail.acme.example", "notacme.example", None, "acme.example.org"]
    keys = insert(
        store, leads(range(5), email_domain=domains, account=["acme", "acme", "beta", None, "acme.example"])
    ).to_list()
    with store.reading() as unit:
        assert unit.leads.ids_of("domain", ["acme.example"]) == keys[:2]
        assert unit.leads.ids_of("domain", ["mail.acme.example", "x.example"]) == [keys[1]]
        assert unit.leads.ids_of("account", ["acme"]) == keys[:2]
        assert unit.leads.ids_of("address", [address(3), address(0), "nobody@x.example"]) == [keys[0], keys[3]]
        assert unit.leads.ids_of("domain", ["%", "_cme.example", "example"]) == []


def test_thousands_of_domains_are_one_question(store):
    insert(store, leads([1], email_domain="x1.example"))
    with store.reading() as unit:
        assert len(unit.leads.ids_of("domain", [f"x{n}.example" for n in range(5_000)])) == 1


def test_a_batch_of_nobody_is_no_work(store):
    with store.transaction() as unit:
        assert unit.leads.insert(leads([]), None, NOW).to_list() == []
        unit.leads.update(leads([]).with_columns(pl.lit(1, pl.Int64).alias("lead_id")), NOW)
        assert unit.prospects.insert(
            decided(leads([]).with_columns(pl.lit(1, pl.Int64).alias("lead_id"))), 1, NOW
        ).is_empty()
