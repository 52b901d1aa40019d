"""The small tables: campaigns, switches, mailboxes, imports, runs, events, senders."""

from datetime import timedelta

import polars as pl
import pytest
from sqlalchemy.exc import StatementError
from store_rows import NOW, campaign, leads

from touchline.model.errors import NotFound

LATER = NOW + timedelta(hours=1)


def aside(*rows):
    names = ("row", "outcome", "reason", "identity", "raw")
    kinds = {name: pl.Int64 if name == "row" else pl.String for name in names}
    return pl.DataFrame(rows, schema=kinds, orient="row")


def opened(store, **changes):
    about = {"source": "csv", "name": "leads.csv", "fingerprint": "f1", "size": 5_000_000_000, "now": NOW}
    with store.transaction() as unit:
        return unit.imports.open(1, **{**about, **changes})


def test_a_campaign_comes_back_equal_at_its_present_version(store):
    first, second = campaign(), campaign(timezone="Europe/Rome")
    with store.transaction() as unit:
        key = unit.campaigns.create(first, "draft", NOW)
        unit.campaigns.set(key, NOW, judged_version=1, judge_cursor=77, state="active")
        found = unit.campaigns.get("spring")
        assert (found.id, found.state, found.version, found.judged_version, found.judge_cursor) == (
            key,
            "active",
            1,
            1,
            77,
        )
        assert (found.campaign, found.digest) == (first, first.digest())
        unit.campaigns.revise(key, 2, second, LATER)
        found = unit.campaigns.by_id(key)
        assert (found.version, found.judged_version, found.judge_cursor, found.campaign) == (2, 1, 0, second)
        assert unit.campaigns.body(key, 1) == first
        assert unit.campaigns.find("autumn") is None


def test_a_pass_of_judging_moves_only_the_place_of_its_own_version(store):
    with store.transaction() as unit:
        key = unit.campaigns.create(campaign(), "active", NOW)
        unit.campaigns.revise(key, 2, campaign(timezone="Europe/Rome"), NOW)
        said = [unit.campaigns.judged(key, version, LATER, upto=7) for version in (1, 2)]
        found = unit.campaigns.by_id(key)
        assert (said, found.judged_version, found.judge_cursor) == ([False, True], 1, 7)
        said = [unit.campaigns.judged(key, version, LATER, upto=None) for version in (1, 2)]
        found = unit.campaigns.by_id(key)
        assert (said, found.judged_version, found.judge_cursor) == ([False, True], 2, 0)


def test_a_campaign_that_is_not_there_is_said_with_those_that_are(store):
    with store.transaction() as unit:
        with pytest.raises(NotFound, match="none yet"):
            unit.campaigns.get("autumn")
        unit.campaigns.create(campaign("winter"), "draft", NOW)
        unit.campaigns.create(campaign("spring"), "draft", NOW)
        with pytest.raises(NotFound, match=r"no campaign 'autumn'.*spring, winter"):
            unit.campaigns.get("autumn")
        with pytest.raises(NotFound, match="key 99"):
            unit.campaigns.by_id(99)


def test_a_switch_is_set_and_lifted(store):
    with store.transaction() as unit:
        assert unit.controls.get("stopped") is None
        unit.controls.put("stopped", "fire", NOW)
        unit.controls.put("stopped", "flood", LATER)
        assert unit.controls.get("stopped") == "flood"
        assert unit.controls.drop("stopped")
        assert not unit.controls.drop("stopped")


def test_a_campaign_sends_while_it_is_active_and_the_switch_is_off(store):
    with store.transaction() as unit:
        key = unit.campaigns.create(campaign(), "draft", NOW)
        unit.campaigns.create(campaign("autumn"), "active", NOW)
        assert not unit.campaigns.sending(key, "stopped")
        unit.campaigns.set(key, NOW, state="active")
        unit.controls.put("secret", "x", NOW)
        assert unit.campaigns.sending(key, "stopped")
        unit.controls.put("stopped", "fire", NOW)
        assert not unit.campaigns.sending(key, "stopped")


def test_a_mailbox_is_known_once_and_rests_until_it_works_again(store):
    with store.transaction() as unit:
        assert unit.mailboxes.state("mara@example.com", lock=True) is None
        unit.mailboxes.know("mara@example.com", NOW)
        unit.mailboxes.failing("mara@example.com", "535 no", LATER, NOW)
        unit.mailboxes.know("mara@example.com", NOW)
        resting = unit.mailboxes.state("mara@example.com", lock=True)
        assert (resting["state"], resting["error"], resting["retry_at"]) == ("error", "535 no", LATER)
        unit.mailboxes.ready("mara@example.com", LATER)
        working = unit.mailboxes.state("mara@example.com")
        assert (working["state"], working["error"], working["retry_at"]) == ("ready", None, None)
        unit.mailboxes.ready("mara@example.com", NOW)
        assert unit.mailboxes.state("mara@example.com")["updated_at"] == LATER  # nothing to write


def test_an_import_moves_its_cursor_with_its_counts_and_the_rows_it_set_aside(store):
    key = opened(store)
    nasty = 'ada,"x\n\\.\r\n'
    with store.transaction() as unit:
        unit.imports.advance(
            key,
            NOW,
            offset=3_000_000_000,
            rows=4,
            counts={"new": 2, "rejected": 2},
            set_aside=aside((1, "rejected", "no_address", None, nasty), (3, "rejected", "no_address", "ada", None)),
        )
        unit.imports.advance(
            key,
            NOW,
            offset=4_000_000_000,
            rows=2,
            counts={"new": 1, "duplicate": 1},
            set_aside=aside((5, "duplicate", None, "ada", None)),
        )
        row = unit.imports.get(key, lock=True)
    wanted = {
        "offset": 4_000_000_000,
        "rows": 6,
        "new": 3,
        "updated": 0,
        "duplicate": 1,
        "suppressed": 0,
        "rejected": 2,
    }
    assert wanted.items() <= row.items()
    with store.reading() as unit:
        assert unit.imports.reasons(key) == [
            {"outcome": "rejected", "reason": "no_address", "rows": 2},
            {"outcome": "duplicate", "reason": None, "rows": 1},
        ]
        assert [(r["row"], r["raw"]) for r in unit.imports.set_aside(key, None, 0, 2)] == [(1, nasty), (3, None)]
        assert [r["row"] for r in unit.imports.set_aside(key, "rejected", 1, 9)] == [3]
        assert unit.imports.get(key + 1) is None


def test_the_same_content_is_found_again_by_campaign(store):
    first, second = opened(store), opened(store)
    opened(store, fingerprint="f2")
    with store.reading() as unit:
        assert unit.imports.latest(1, "f1")["id"] == second
        assert unit.imports.latest(2, "f1") is None
        assert [row["id"] for row in unit.imports.listed(2)] == [second + 1, second]
        assert unit.imports.get(first)["bytes"] == 5_000_000_000


def test_an_import_that_failed_is_open_again_when_it_goes_on(store):
    key = opened(store)
    with store.transaction() as unit:
        unit.imports.finish(key, "failed", NOW, "disk full")
        failed = unit.imports.get(key)
        unit.imports.finish(key, "running", LATER)
        running = unit.imports.get(key)
    assert (failed["state"], failed["finished_at"], failed["error"]) == ("failed", NOW, "disk full")
    assert (running["state"], running["finished_at"], running["error"]) == ("running", None, None)


def test_after_a_large_import_the_planner_knows_how_large_the_tables_are(postgresql_url, open_store):
    store = open_store(postgresql_url)
    key = opened(store)
    with store.transaction() as unit:
        unit.leads.insert(leads(range(7)), key, NOW)
        unit.imports.advance(key, NOW, offset=1, rows=20_000, counts={"new": 20_000}, set_aside=aside())
        unit.imports.finish(key, "done", LATER)
    with store.reading() as unit:
        query = "SELECT reltuples FROM pg_class WHERE relname = 'leads'"
        assert unit.connection.exec_driver_sql(query).scalar_one() == 7


def test_runs_are_listed_with_their_counts_the_newest_first(store):
    with store.transaction() as unit:
        first, second = (unit.runs.open("run", NOW, state="running") for _ in range(2))
        unit.runs.set(first, state="done", counts={"judged": 5, "sending": {"sent": 2}}, finished_at=LATER)
        rows = unit.runs.listed(5)
    assert [(row["id"], row["state"], row["counts"]) for row in rows] == [
        (second, "running", {}),
        (first, "done", {"judged": 5, "sending": {"sent": 2}}),
    ]
    assert rows[1]["finished_at"] == LATER


def test_a_leads_events_come_oldest_first_and_equal_instants_in_the_order_they_were_written(store):
    with store.transaction() as unit:
        for kind, at in (("replied", LATER), ("sent", NOW), ("deferred", NOW)):
            unit.journal.record(kind, at, lead_id=1, prospect_id=2, touch_id=3, account="acme", detail="250 Ok; é")
        unit.journal.record("sent", NOW, lead_id=2)
        events = unit.journal.of_lead(1)
        assert unit.journal.deliveries([]) == []
    assert [event["kind"] for event in events] == ["sent", "deferred", "replied"]
    assert (events[0]["at"], events[0]["detail"]) == (NOW, "250 Ok; é")


def test_an_instant_without_a_zone_is_a_defect(store):
    with pytest.raises(StatementError, match="instants carry a zone"), store.transaction() as unit:
        unit.controls.put("stopped", "x", NOW.replace(tzinfo=None))


def test_a_sender_beats_until_it_is_dropped(store):
    with store.transaction() as unit:
        unit.senders.beat("me", "host", 1, NOW)
        unit.senders.beat("me", "host", 1, LATER)
        found = unit.senders.get("me")
        assert (found["host"], found["pid"], found["beat_at"]) == ("host", 1, LATER)
        unit.senders.drop("me")
        assert unit.senders.get("me") is None
