from datetime import timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from store_rows import INSTANT, NOW, add_campaign, address, decided, enrol, leads, planned, touches

from touchline.adapters.store.prospects import SAVED

DAY = timedelta(days=1)


def lead_keys(store, prospects):
    with store.reading() as unit:
        return [unit.prospects.lead_of(key)["id"] for key in prospects]


def page(store, campaign_id, *, after=0, limit=100, everyone=False):
    with store.reading() as unit:
        return unit.prospects.page(campaign_id, after=after, limit=limit, everyone=everyone)


def about(store, campaign_id, prospects, now=NOW, **account):
    with store.reading() as unit:
        batch = pl.DataFrame(
            [
                {"lead_id": lead["id"], "identity": lead["identity"], "account": lead["account"]}
                for lead in map(unit.prospects.lead_of, prospects)
            ],
            schema={"lead_id": pl.Int64, "identity": pl.String, "account": pl.String},
        )
        return unit.prospects.facts(campaign_id, batch, now)


def test_who_is_not_in_the_campaign_is_absent(store):
    with store.transaction() as unit:
        spring, autumn = add_campaign(unit), add_campaign(unit, "autumn")
        here = lead_keys(store, []) + unit.leads.insert(leads([1, 2, 3]), None, NOW).to_list()
        inside = decided(unit.leads.by_ids([here[1]]))
        unit.prospects.insert(inside, spring, NOW)
        assert unit.prospects.absent(spring, here) == [here[0], here[2]]
        assert unit.prospects.absent(autumn, here) == here
        assert unit.prospects.absent(spring, []) == []


def test_a_lead_is_in_a_campaign_once(store):
    with store.transaction() as unit:
        spring = add_campaign(unit)
        enrol(unit, spring, [1])
    with pytest.raises(Exception, match=r"(?i)unique"), store.transaction() as unit:
        unit.prospects.insert(decided(unit.leads.by_ids([1])), spring, NOW)


def test_a_page_gives_leads_with_shadows_and_what_is_stored_of_them(store):
    with store.transaction() as unit:
        spring = add_campaign(unit)
        given = {
            "state_reason": "why",
            "recheck_at": NOW + DAY,
            "fit": 70,
            "opportunity": 20,
            "tier": "b",
            "score_parts": "[]",
            "address_status": "safe",
            "address_reasons": "|free|",
            "verdict": "qualified",
            "verdict_reason": "good",
            "route_reason": "all",
        }
        keys = enrol(unit, spring, [1, 2], title="CEO", **given)
    found = page(store, spring, everyone=True)
    assert found["prospect_id"].to_list() == keys.to_list()
    wanted = {"state": "enrolled", "pending": 0, "sequence": "direct", "campaign_version": 1, **given}
    assert found.select(f"was_{name}" for name in SAVED).rows(named=True)[0] == {
        f"was_{name}": wanted[name] for name in SAVED
    }
    assert found.schema["was_recheck_at"] == INSTANT
    assert_frame_equal(found.select(leads([]).columns), leads([1, 2], title="CEO"))


def test_pages_of_pending_prospects_go_through_each_once(store):
    with store.transaction() as unit:
        spring, autumn = add_campaign(unit), add_campaign(unit, "autumn")
        keys = enrol(unit, spring, range(10), pending=[n % 2 for n in range(10)]).to_list()
        enrol(unit, autumn, range(100, 103), pending=1)
        assert unit.prospects.pending_count(spring, everyone=False) == 5
        assert unit.prospects.pending_count(spring, everyone=True) == 10
    first = page(store, spring, limit=3)
    second = page(store, spring, after=first["prospect_id"][-1], limit=3)
    assert [*first["prospect_id"], *second["prospect_id"]] == keys[1::2]
    everyone = page(store, spring, limit=8, everyone=True)
    assert [*everyone["prospect_id"], *page(store, spring, after=keys[7], everyone=True)["prospect_id"]] == keys


@pytest.mark.parametrize(
    ("state", "started"),
    [
        ("drafted", 0),
        ("planned", 0),
        ("cancelled", 0),
        ("claimed", 1),
        ("sending", 1),
        ("sent", 1),
        ("uncertain", 1),
        ("failed", 1),
    ],
)
def test_a_page_says_who_has_a_touch_and_whose_sequence_has_begun(store, state, started):
    with store.transaction() as unit:
        spring = add_campaign(unit)
        keys = enrol(unit, spring, [1, 2])
        unit.touches.insert(touches(keys[:1], spring, state=state), NOW)
    assert page(store, spring, everyone=True).select("touched", "started").rows() == [(1, started), (0, 0)]


def test_saving_sets_the_decision_and_nothing_else(store):
    with store.transaction() as unit:
        spring = add_campaign(unit)
        key = enrol(unit, spring, [1, 2])[0]
        unit.prospects.set([key], NOW, decided_by="ada")
        batch = decided(leads([1]), state="held", verdict="held", pending=1, sequence=None)
        unit.prospects.save(batch.with_columns(pl.lit(key, pl.Int64).alias("prospect_id")), NOW + DAY)
        lead = unit.prospects.lead_of(key)
        assert unit.prospects.state(key) == "held"
        (row,) = unit.prospects.of_lead(lead["id"])
    assert (row["state"], row["pending"], row["sequence"], row["decided_by"]) == ("held", 1, None, "ada")
    assert (row["campaign"], row["created_at"], row["updated_at"]) == ("spring", NOW, NOW + DAY)
    assert page(store, spring, everyone=True)["was_state"].to_list() == ["held", "enrolled"]


def test_who_is_to_be_looked_at_again_wakes_when_the_time_has_come(store):
    with store.transaction() as unit:
        spring, autumn = add_campaign(unit), add_campaign(unit, "autumn")
        keys = enrol(unit, spring, [1, 2, 3], recheck_at=[NOW - DAY, NOW, NOW + DAY])
        enrol(unit, autumn, [4], recheck_at=NOW)
        assert unit.prospects.wake(spring, NOW) == 2
        assert unit.prospects.wake(spring, NOW) == 0
    assert page(store, spring)["prospect_id"].to_list() == keys.to_list()[:2]
    assert page(store, autumn).is_empty()


def test_changed_facts_are_judged_again_in_every_campaign(store):
    with store.transaction() as unit:
        spring, autumn = add_campaign(unit), add_campaign(unit, "autumn")
        enrol(unit, spring, [1, 2])
        unit.prospects.insert(decided(unit.leads.by_ids([1])), autumn, NOW)
        unit.prospects.mark_pending([1])
        unit.prospects.mark_pending([])
    assert [page(store, key)["identity"].to_list() for key in (spring, autumn)] == [[address(1)], [address(1)]]


def test_facts_name_the_other_campaign_in_which_a_lead_is_active(store):
    with store.transaction() as unit:
        spring, autumn, winter = (add_campaign(unit, name) for name in ("spring", "autumn", "winter"))
        keys = enrol(unit, spring, [1, 2, 3])
        unit.prospects.insert(decided(unit.leads.by_ids([1, 2]), state=["enrolled", "finished"]), winter, NOW)
        unit.prospects.insert(decided(unit.leads.by_ids([1])), autumn, NOW)
    assert about(store, spring, keys).rows() == [(address(1), "autumn", None, None)]
    assert about(store, winter, keys).select("identity", "active_campaign").rows() == [
        (address(1), "autumn"),
        (address(2), "spring"),
        (address(3), "spring"),
    ]


def test_facts_say_how_many_whole_days_ago_the_last_message_left(store):
    campaign_id, prospects, ids = planned(store, 3)
    with store.transaction() as unit:
        unit.touches.settle(ids[0], ("planned",), "sent", NOW, sent_at=NOW)
        unit.touches.insert(touches(pl.Series(prospects[:1]), campaign_id, step=2), NOW)
        (second,) = [row["id"] for row in unit.touches.of_prospects(prospects[:1]) if row["step"] == 2]
        unit.touches.settle(second, ("planned",), "sent", NOW, sent_at=NOW + 2 * DAY)
        unit.touches.settle(ids[1], ("planned",), "sent", NOW, sent_at=NOW + DAY)
    found = about(store, campaign_id, prospects, NOW + 5 * DAY - timedelta(seconds=1))
    assert found.select("identity", "last_contact_days").rows() == [(address(0), 2), (address(1), 3)]


def test_facts_tell_of_a_reply_from_the_account_even_to_a_lead_that_is_new(store):
    with store.transaction() as unit:
        spring = add_campaign(unit)
        enrol(unit, spring, [1], account="acme")
        unit.journal.record("replied", NOW, lead_id=1, account="acme")
        unit.journal.record("sent", NOW, lead_id=1, account="beta")
        unit.journal.record("replied", NOW, lead_id=1, account=None)
        batch = pl.DataFrame(
            {"lead_id": [None] * 3, "identity": ["a", "b", "c"], "account": ["acme", "beta", None]},
            schema_overrides={"lead_id": pl.Int64},
        )
        found = unit.prospects.facts(spring, batch, NOW)
    assert found.rows() == [("a", None, None, True)]


def test_of_nobody_there_are_no_facts_and_the_types_stay(store):
    with store.reading() as unit:
        found = unit.prospects.facts(
            1, pl.DataFrame(schema={"lead_id": pl.Int64, "identity": pl.String, "account": pl.String}), NOW
        )
    assert found.schema == {
        "identity": pl.String,
        "active_campaign": pl.String,
        "last_contact_days": pl.Int64,
        "account_replied": pl.Boolean,
    }


def test_stopping_leads_ends_what_is_not_at_an_end_in_every_campaign(store):
    with store.transaction() as unit:
        spring, autumn = add_campaign(unit), add_campaign(unit, "autumn")
        states = ["enrolled", "held", "stopped", "replied", "finished"]
        keys = enrol(unit, spring, range(5), state=states, pending=1, recheck_at=NOW).to_list()
        keys += unit.prospects.insert(decided(unit.leads.by_ids([1])), autumn, NOW).to_list()
        assert unit.prospects.stop_leads(range(1, 6), "replied", "said no", NOW) == [keys[0], keys[1], keys[4], keys[5]]
        assert unit.prospects.stop_leads([], "replied", "said no", NOW) == []
    found = (
        page(store, spring, everyone=True)
        .select("was_state", "was_state_reason", "was_pending", "was_recheck_at")
        .rows()
    )
    ended, left = ("replied", "said no", 0, None), (None, 1, NOW)
    assert found == [ended, ended, ("stopped", *left), ("replied", *left), ended]


def test_the_funnel_adds_up_to_the_prospects_of_the_campaign(store):
    with store.transaction() as unit:
        spring, autumn = add_campaign(unit), add_campaign(unit, "autumn")
        enrol(
            unit,
            spring,
            range(7),
            state=["held", "held", "enrolled", "held", "rejected", "enrolled", "held"],
            tier=["a", "b"] * 3 + [None],
        )
        enrol(unit, autumn, [50])
    with store.reading() as unit:
        rows = unit.prospects.funnel(spring)
    assert sum(row["prospects"] for row in rows) == 7
    assert {(row["state"], row["tier"]): row["prospects"] for row in rows} == {
        ("held", "a"): 1,
        ("held", "b"): 2,
        ("enrolled", "a"): 1,
        ("enrolled", "b"): 1,
        ("rejected", "a"): 1,
        ("held", None): 1,
    }


def test_a_prospect_that_is_not_there_has_no_lead(store):
    with store.reading() as unit:
        assert unit.prospects.lead_of(1) is None
        assert unit.prospects.state(1) is None
        assert unit.prospects.of_lead(1) == []


def test_orphans_are_counted(store):
    planned(store, 3)
    with store.transaction() as unit:
        assert unit.prospects.orphans() == 0
        unit.touches.insert(touches(pl.Series([999, 1000]), 1), NOW)
        unit.prospects.insert(decided(leads([1]).with_columns(pl.lit(99, pl.Int64).alias("lead_id"))), 1, NOW)
        assert unit.prospects.orphans() == 3
