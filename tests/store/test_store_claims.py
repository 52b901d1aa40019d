"""Two senders at once: what the store promises them."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import polars as pl
import pytest
from store_rows import MAILBOX, NOW, planned, states

EARLIER = NOW - timedelta(minutes=30)
LETTER = ("Hello", "Hello there", None)


def send_until_nothing_is_left(store, campaign_id, sender, cap, start, at_once=3):
    """Claims as `app.sending` does: the mailbox's row first, then the cap, then what is due."""
    taken = []
    start.wait()
    while True:
        with store.transaction() as unit:
            unit.mailboxes.know(MAILBOX, NOW)
            unit.mailboxes.state(MAILBOX, lock=True)
            room = min(at_once, cap - unit.touches.used(MAILBOX, NOW - timedelta(hours=24)))
            found = unit.touches.due(MAILBOX, campaign_id, NOW, room) if room > 0 else []
            ids = [row["touch_id"] for row in found]
            unit.touches.claim(ids, sender, NOW)
        if not ids:
            return taken
        for key in ids:
            with store.transaction() as unit:
                delivery = unit.touches.begin(key, sender, LETTER, NOW)
                assert delivery is not None
            with store.transaction() as unit:
                assert unit.touches.settle(key, ("sending",), "sent", NOW, sent_at=NOW)
                unit.touches.finish_delivery(delivery, "sent", 250, "Ok", NOW)
        taken += ids


def race(store, campaign_id, cap, senders=3):
    start = threading.Barrier(senders)
    with ThreadPoolExecutor(senders) as threads:
        jobs = [
            threads.submit(send_until_nothing_is_left, store, campaign_id, f"sender {n}", cap, start)
            for n in range(senders)
        ]
        return [job.result() for job in jobs]


def test_two_senders_never_take_the_same_touch(store):
    campaign_id, prospects, ids = planned(store, 30)
    taken = [key for many in race(store, campaign_id, cap=1_000) for key in many]
    assert sorted(taken) == ids
    assert states(store, prospects) == ["sent"] * 30


def test_senders_together_never_exceed_the_cap(store):
    campaign_id, prospects, _ = planned(store, 30)
    taken = [key for many in race(store, campaign_id, cap=17) for key in many]
    assert len(taken) == len(set(taken)) == 17
    assert sorted(states(store, prospects)) == ["planned"] * 13 + ["sent"] * 17


def test_what_one_sender_is_looking_at_is_not_due_for_another(store):
    campaign_id, _, ids = planned(store, 4)
    with store.transaction() as unit:
        mine = [row["touch_id"] for row in unit.touches.due(MAILBOX, campaign_id, NOW, 2)]
        unit.touches.claim(mine, "me", NOW)
        if store.engine.dialect.name == "postgresql":  # on SQLite the other one waits
            with store.transaction() as other:
                yours = [row["touch_id"] for row in other.touches.due(MAILBOX, campaign_id, NOW, 10)]
            assert (mine, yours) == (ids[:2], ids[2:])
    with store.transaction() as unit:
        assert [row["touch_id"] for row in unit.touches.due(MAILBOX, campaign_id, NOW, 10)] == ids[2:]


def test_what_is_being_judged_is_not_due_so_the_two_never_wait_for_each_other(postgresql_url, open_store):
    store = open_store(postgresql_url)
    campaign_id, prospects, ids = planned(store, 3)
    with store.transaction() as unit:
        unit.prospects.page(campaign_id, after=0, limit=2, everyone=True)
        with store.transaction() as sender:
            free = [row["touch_id"] for row in sender.touches.due(MAILBOX, campaign_id, NOW, 10)]
            sender.prospects.set(prospects[2:], NOW, state="stopped")
        assert free == ids[2:]
        assert unit.touches.cancel_open(prospects, "no longer routed", NOW) == 3


def test_a_page_that_is_only_read_keeps_nobody_waiting(store):
    campaign_id, _, ids = planned(store, 2)
    with store.reading() as unit:
        unit.prospects.page(campaign_id, after=0, limit=10, everyone=True)
        with store.transaction() as sender:
            assert [row["touch_id"] for row in sender.touches.due(MAILBOX, campaign_id, NOW, 10)] == ids


def waits(store, first, second):
    """Whether what a second transaction does waits until the first has ended."""
    entered = threading.Event()

    def other():
        with store.transaction() as unit:
            second(unit)
            entered.set()

    with ThreadPoolExecutor(1) as threads:
        with store.transaction() as unit:
            first(unit)
            job = threads.submit(other)
            waited = not entered.wait(0.2)
        job.result()
    assert entered.is_set()
    return waited


def test_prospects_of_one_campaign_are_added_by_one_transaction_after_the_other(postgresql_url, open_store):
    store = open_store(postgresql_url)
    assert waits(store, lambda unit: unit.campaigns.hold(1), lambda unit: unit.campaigns.hold(1))
    assert not waits(store, lambda unit: unit.campaigns.hold(1), lambda unit: unit.campaigns.hold(2))


def test_an_import_under_way_is_taken_on_by_one_at_a_time(postgresql_url, open_store):
    store = open_store(postgresql_url)
    with store.transaction() as unit:
        first, second = (
            unit.imports.open(1, source="csv", name=name, fingerprint=name, size=1, now=NOW) for name in ("a", "b")
        )
    assert waits(
        store, lambda unit: unit.imports.get(first, lock=True), lambda unit: unit.imports.get(first, lock=True)
    )
    assert not waits(
        store, lambda unit: unit.imports.get(first, lock=True), lambda unit: unit.imports.get(second, lock=True)
    )


@pytest.mark.parametrize(("ours", "theirs"), [(False, True), (True, False), (True, True)])
def test_who_adds_leads_alone_waits_for_the_others_and_they_for_it(postgresql_url, open_store, ours, theirs):
    store = open_store(postgresql_url)
    assert waits(
        store,
        lambda unit: unit.imports.join(1, EARLIER, alone=ours),
        lambda unit: unit.imports.join(1, EARLIER, alone=theirs),
    )


def test_who_adds_leads_beside_others_waits_for_them_only_to_commit(postgresql_url, open_store):
    store = open_store(postgresql_url)

    def join(unit):
        unit.imports.join(1, EARLIER, alone=False)

    def join_and_leave(unit):
        unit.imports.join(1, EARLIER, alone=False)
        unit.imports.leave(1)

    assert not waits(store, join, join_and_leave)
    assert waits(store, join_and_leave, join_and_leave)


def test_who_adds_leads_beside_others_is_told_whether_one_of_them_has_committed(postgresql_url, open_store):
    store = open_store(postgresql_url)

    def opened(name):
        with store.transaction() as unit:
            return unit.imports.open(1, source="csv", name=name, fingerprint=name, size=1, now=NOW)

    def moved(key):
        with store.transaction() as unit:
            unit.imports.advance(key, NOW, offset=9, rows=0, counts={}, set_aside=nothing)

    nothing = pl.DataFrame(schema=dict.fromkeys(("row", "outcome", "reason", "identity", "raw"), pl.String))
    nothing = nothing.cast({"row": pl.Int64})
    ours, other = opened("ours"), opened("other")
    for happens, told in (
        (lambda: None, False),
        (lambda: moved(other), True),
        (lambda: opened("a new one"), True),
    ):
        with store.transaction() as unit:
            assert unit.imports.join(ours, EARLIER, alone=False)
            unit.imports.advance(
                ours, NOW, offset=unit.imports.get(ours)["offset"] + 1, rows=0, counts={}, set_aside=nothing
            )
            happens()
            assert unit.imports.leave(ours) is told


def test_an_import_that_stands_still_is_not_under_way_until_it_goes_on(postgresql_url, open_store):
    store = open_store(postgresql_url)
    with store.transaction() as unit:
        ours = unit.imports.open(1, source="csv", name="ours", fingerprint="ours", size=1, now=NOW)
        killed = unit.imports.open(1, source="csv", name="b", fingerprint="b", size=1, now=EARLIER)
    for goes_on, under_way in ((False, False), (True, True)):
        with store.transaction() as unit:
            assert unit.imports.join(ours, EARLIER, alone=False) is under_way
            if not goes_on:
                with store.transaction() as other:
                    other.imports.finish(killed, "running", NOW)
                assert unit.imports.leave(ours)


def test_a_whole_import_between_is_noticed_too(postgresql_url, open_store):
    store = open_store(postgresql_url)
    with store.transaction() as unit:
        ours = unit.imports.open(1, source="csv", name="ours", fingerprint="ours", size=1, now=NOW)
    with store.transaction() as unit:
        assert not unit.imports.join(ours, EARLIER, alone=False)
        with store.transaction() as other:
            key = other.imports.open(1, source="csv", name="b", fingerprint="b", size=1, now=NOW)
            other.imports.finish(key, "done", NOW)
        assert unit.imports.leave(ours)
