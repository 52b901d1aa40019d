"""What a question costs in a large store: index look-ups instead of full scans, and the same work tomorrow as today."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import polars as pl
import pytest
from sqlalchemy import event
from store_rows import MAILBOX, NOW, Steps, add_campaign, address, decided, enrol, leads, touches

LETTER = ("Hello", "Hello there", None)
LARGE = "leads|prospects|touches|deliveries|events|suppressions|mx_answers|import_rows|batches"
FEW = " USING (COVERING )?INDEX (ix_events_(replied|bounced)|ix_batches_set_aside)"
"""A walk through all answers, all that came back, or all batches that wait for a retry is as long as those are many."""

ASKED: dict[str, Callable] = {
    "leads.known": lambda u: u.leads.known([address(3), "nobody"], ["in/7", "in/nobody"]),
    "leads.by_ids": lambda u: u.leads.by_ids([3, 4]),
    "leads.find": lambda u: u.leads.find(address(5)),
    "leads.page": lambda u: u.leads.page(campaign_id=None, where=None, after=2_990, limit=20),
    "leads.page of a campaign": lambda u: u.leads.page(campaign_id=1, where=None, after=2_990, limit=20),
    "leads.ids_of address": lambda u: u.leads.ids_of("address", [address(5)]),
    "prospects.absent": lambda u: u.prospects.absent(1, [3, 4]),
    "prospects.page": lambda u: u.prospects.page(1, after=5, limit=20, everyone=False),
    "prospects.page of everyone": lambda u: u.prospects.page(1, after=2_990, limit=20, everyone=True),
    "prospects.pending_count": lambda u: u.prospects.pending_count(1, everyone=False),
    "prospects.wake": lambda u: u.prospects.wake(1, NOW),
    "prospects.mark_pending": lambda u: u.prospects.mark_pending([3]),
    "prospects.facts": lambda u: u.prospects.facts(2, u.leads.by_ids([3, 4]), NOW),
    "prospects.of_lead": lambda u: u.prospects.of_lead(3),
    "prospects.lead_of": lambda u: u.prospects.lead_of(3),
    "prospects.set": lambda u: u.prospects.set([3], NOW, state="enrolled"),
    "prospects.stop_leads": lambda u: u.prospects.stop_leads([9], "stopped", "x", NOW),
    "touches.due": lambda u: u.touches.due(MAILBOX, 1, NOW, 20),
    "touches.next_due": lambda u: u.touches.next_due(1),
    "touches.due_in": lambda u: u.touches.due_in(1, [MAILBOX], NOW),
    "touches.used_by": lambda u: u.touches.used_by([MAILBOX], NOW - timedelta(hours=24)),
    "touches.letters": lambda u: u.touches.letters([3, 4]),
    "touches.listed": lambda u: u.touches.listed(states=("drafted",), campaign_id=1, after=5, limit=20),
    "touches.listed uncertain": lambda u: u.touches.listed(
        states=("uncertain", "sending"), campaign_id=None, after=0, limit=20
    ),
    "touches.earlier": lambda u: u.touches.earlier([3, 4]),
    "touches.of_prospects": lambda u: u.touches.of_prospects([3, 4]),
    "touches.used": lambda u: u.touches.used(MAILBOX, NOW - timedelta(hours=24)),
    "touches.claim": lambda u: u.touches.claim([3], "me", NOW),
    "touches.begin": lambda u: u.touches.begin(3, "me", LETTER, NOW),
    "touches.settle": lambda u: u.touches.settle(3, ("sending",), "planned", NOW),
    "touches.close_deliveries": lambda u: u.touches.close_deliveries([3], "deferred", NOW),
    "touches.of_sender": lambda u: u.touches.of_sender("me"),
    "touches.holders": lambda u: u.touches.holders(),
    "touches.forsaken": lambda u: u.touches.forsaken(1, NOW),
    "touches.cancel_open": lambda u: u.touches.cancel_open([9], "x", NOW),
    "touches.replace": lambda u: u.touches.replace(touches(pl.Series([5, 6]), 1), NOW),
    "journal.of_lead": lambda u: u.journal.of_lead(3),
    "journal.deliveries": lambda u: u.journal.deliveries([3, 4]),
    "suppressions.matching": lambda u: u.suppressions.matching(leads([3, 4], account="acme")),
    "suppressions.listed": lambda u: u.suppressions.listed(5, 20),
    "mx.known": lambda u: u.mx.known(["x1.example"], NOW),
    "gauges.aside": lambda u: u.gauges.aside(50),
    "imports.latest": lambda u: u.imports.latest(1, "f"),
    "imports.set_aside": lambda u: u.imports.set_aside(1, "rejected", 5, 20),
    "imports.reasons": lambda u: u.imports.reasons(1),
    "desk.last_sent": lambda u: u.desk.last_sent(MAILBOX),
    "desk.gone_at": lambda u: u.desk.gone_at(MAILBOX, NOW - timedelta(hours=24), 3),
    "desk.happened": lambda u: u.desk.happened(("sent", "replied"), [NOW - timedelta(days=1), NOW]),
    "desk.failed_runs": lambda u: u.desk.failed_runs(NOW, 20),
    "desk.is_mended": lambda u: u.desk.is_mended(("daily",), 1, NOW),
    "desk.drafts": lambda u: u.desk.drafts(None, 100),
    "desk.drafts of a campaign": lambda u: u.desk.drafts(1, 100),
    "desk.oldest_draft": lambda u: u.desk.oldest_draft(),
    "desk.drafts_due": lambda u: u.desk.drafts_due(1, 100),
    "desk.uncertain": lambda u: u.desk.uncertain(100),
    "desk.next_due": lambda u: u.desk.next_due(1, MAILBOX),
    "desk.coming": lambda u: u.desk.coming(1, MAILBOX, [NOW, NOW + timedelta(days=1), NOW + timedelta(days=2)], 100),
    "desk.newest_touch": lambda u: u.desk.newest_touch(),
    "desk.by_step": lambda u: u.desk.by_step(1, 20, 40),
    "desk.replies": lambda u: u.desk.replies(1),
    "desk.bounces": lambda u: u.desk.bounces(1),
    "desk.newest_prospect": lambda u: u.desk.newest_prospect(),
    "desk.leads_of": lambda u: u.desk.leads_of(1, ["first_name"], 20, 40, 20),
}
"""Every question and change that the pipeline, the senders and the pages put to the store again and again."""


def fill(store, people):
    """So many leads, prospects and touches, a fifth of each kind in a rare state; suppressions, answers and events."""
    with store.transaction() as unit:
        campaign_id = add_campaign(unit)
        keys = enrol(
            unit,
            campaign_id,
            range(people),
            profile_url=[f"in/{n}" if n % 2 else None for n in range(people)],
            account=[f"x{n % 50}.example" for n in range(people)],
            pending=[int(n % 5 == 0) for n in range(people)],
            recheck_at=[NOW if n % 50 == 0 else None for n in range(people)],
        )
        kinds = ["drafted", "sent", "sent", "planned", "sent"]
        many = [kinds[n % 5] for n in range(people)]
        unit.touches.insert(touches(keys, campaign_id, state=many), NOW)
        unit.suppressions.add(
            pl.DataFrame(
                {"kind": "address", "value": [f"s{n}" for n in range(people)], "reason": "r", "source": "s", "at": NOW}
            )
        )
        unit.mx.keep({f"x{n}.example": "mx" for n in range(people)}, NOW)
        events = pl.DataFrame({"kind": "sent", "at": NOW, "lead_id": range(1, people + 1)})
        unit.leads.bulk.insert("events", events)


@contextmanager
def planned_as(unit) -> Iterator[list[str]]:
    """How the database means to answer every statement that passes, line by line."""
    word = "EXPLAIN QUERY PLAN" if unit.connection.dialect.name == "sqlite" else "EXPLAIN"
    lines: list[str] = []

    def look(connection, _cursor, statement, parameters, *_):
        if re.match(r"\s*(SELECT|UPDATE|DELETE|WITH)", statement):
            found = connection.connection.driver_connection.execute(f"{word} {statement}", parameters)
            lines.extend(str(row[-1]) for row in found)

    event.listen(unit.connection, "before_cursor_execute", look)
    yield lines


def test_no_question_of_the_pipeline_a_sender_or_a_page_scans_a_large_table(store):
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
            if found := [line for line in lines if re.search(rf"(SCAN|Seq Scan on) ({LARGE})(?!{FEW})", line)]:
                scans[name] = found
    assert scans == {}


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("gauges.aside", "ix_batches_set_aside"),
        ("touches.used", "ix_touches_unsettled"),
        ("touches.due_in", "ix_touches_first"),
        ("touches.due_in", "ix_touches_follow_up"),
        ("touches.used_by", "ix_deliveries_mailbox"),
        ("touches.holders", "ix_touches_unsettled"),
        ("touches.forsaken", "ix_touches_unsettled"),
        ("touches.listed", "ix_touches_drafted"),
        ("touches.listed uncertain", "ix_touches_unsettled"),
        ("desk.drafts", "ix_touches_unsettled"),
        ("desk.drafts of a campaign", "ix_touches_drafted"),
        ("desk.happened", "COVERING INDEX ix_events_at_kind"),
        ("desk.failed_runs", "ix_runs_failed"),
        ("desk.coming", "ix_touches_follow_up"),
        ("desk.replies", "ix_events_replied"),
        ("desk.bounces", "ix_events_bounced"),
        ("touches.due", "ix_touches_first"),
        ("touches.due", "ix_touches_follow_up"),
        ("touches.next_due", "ix_touches_first"),
        ("prospects.page", "ix_prospects_pending"),
        ("prospects.wake", "ix_prospects_recheck"),
        ("prospects.facts", "ix_events_replied"),
        ("leads.known", "ix_leads_profile_url"),
    ],
)
def test_what_is_rare_is_found_by_an_index_of_its_own(sqlite_url, open_store, name, index):
    store = open_store(sqlite_url)
    fill(store, 300)
    with store.transaction() as unit, planned_as(unit) as lines:
        ASKED[name](unit)
    assert index in " ".join(lines)


def work(store, people):
    """Steps of SQLite's machine, in hundreds, that a batch of the pipeline takes."""
    with store.transaction() as unit, Steps(unit.connection.connection.driver_connection) as steps:
        batch = leads(people)
        assert unit.leads.known(batch["identity"].to_list(), []).is_empty()
        unit.suppressions.matching(batch)
        batch = batch.with_columns(unit.leads.insert(batch, 1, NOW))
        assert len(unit.prospects.absent(1, batch["lead_id"].to_list())) == batch.height
        unit.prospects.facts(1, batch, NOW)
        keys = unit.prospects.insert(decided(batch), 1, NOW)
        unit.touches.insert(touches(keys, 1), NOW)
        unit.touches.claim([row["touch_id"] for row in unit.touches.due(MAILBOX, 1, NOW, 20)], "me", NOW)
        unit.touches.used(MAILBOX, NOW)
    return steps.count


def test_a_batch_costs_the_same_in_a_store_ten_times_as_large(sqlite_url, open_store):
    store = open_store(sqlite_url)
    fill(store, 2_000)
    small = work(store, range(1_000_000, 1_001_000))
    with store.transaction() as unit:
        keys = enrol(unit, 1, range(2_000, 20_000))
        unit.touches.insert(touches(keys, 1, state="sent"), NOW)
    large = work(store, range(2_000_000, 2_001_000))
    assert large < small * 1.3


def test_a_flow_through_the_whole_store_leaves_no_orphans(store):
    fill(store, 200)
    for ask in ASKED.values():
        with store.transaction() as unit:
            ask(unit)
    with store.reading() as unit:
        assert unit.prospects.orphans() == 0
