import sqlite3
from datetime import timedelta

import polars as pl
import psycopg
import pytest
from store_rows import MAILBOX, NOW, add_campaign, address, enrol, planned, states, touches

from touchline.model.columns import LEAD

STATES = ["drafted", "planned", "claimed", "sending", "sent", "uncertain", "failed", "cancelled"]
SOON = NOW + timedelta(minutes=5)
DAY = timedelta(hours=24)
LETTER = ("Hello", "Hello there", "<p>Hello there</p>")


def due(store, campaign_id, now=NOW, mailbox=MAILBOX, limit=100):
    with store.transaction() as unit:
        return [row["touch_id"] for row in unit.touches.due(mailbox, campaign_id, now, limit)]


def row_of(store, prospect):
    with store.reading() as unit:
        return unit.touches.of_prospects([prospect])[0]


def test_a_prospect_has_one_touch_a_step(store):
    campaign_id, prospects, _ = planned(store, 2)
    with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError)), store.transaction() as unit:
        unit.touches.insert(touches(pl.Series(prospects), campaign_id, message_id="<other@example.com>"), NOW)
    with store.transaction() as unit:
        unit.touches.insert(touches(pl.Series(prospects), campaign_id, step=2), NOW)
        unit.touches.insert(touches(pl.Series([], dtype=pl.Int64), campaign_id), NOW)
        assert unit.touches.counts(campaign_id) == {"planned": 4}
        assert unit.prospects.orphans() == 0


def test_a_touch_comes_with_its_lead(store):
    with store.transaction() as unit:
        campaign_id = add_campaign(unit)
        keys = enrol(unit, campaign_id, [1], title="CEO", timezone="Europe/Rome")
        unit.touches.insert(touches(keys, campaign_id, variant="short"), NOW)
        (row,) = unit.touches.due(MAILBOX, campaign_id, NOW, 10)
        assert unit.touches.letters([row["touch_id"]]) == [row]
        assert unit.touches.letters([]) == []
    wanted = {
        "campaign": "spring",
        "campaign_id": campaign_id,
        "step": 1,
        "variant": "short",
        "attempts": 0,
        "due_at": NOW,
    }
    assert wanted.items() <= row.items()
    assert {"identity": address(1), "title": "CEO", "timezone": "Europe/Rome"}.items() <= row.items()
    assert {column.name for column in LEAD} <= row.keys()


def test_only_planned_touches_are_due(store):
    campaign_id, _, ids = planned(store, 8, state=STATES)
    assert due(store, campaign_id) == [ids[STATES.index("planned")]]


def test_a_touch_is_due_from_its_time_on_the_oldest_first(store):
    times = [NOW + timedelta(microseconds=1), NOW, NOW - DAY, NOW - DAY]
    campaign_id, _, ids = planned(store, 4, due_at=times)
    assert due(store, campaign_id) == [ids[2], ids[3], ids[1]]
    assert due(store, campaign_id, limit=2) == [ids[2], ids[3]]
    assert due(store, campaign_id, now=NOW - 2 * DAY) == []
    with store.reading() as unit:
        assert unit.touches.next_due(campaign_id) == NOW - DAY
        assert unit.touches.next_due(campaign_id + 1) is None


def test_follow_ups_are_due_before_first_messages(store):
    campaign_id, prospects, ids = planned(store, 3, due_at=NOW - DAY)
    with store.transaction() as unit:
        unit.touches.insert(touches(pl.Series(prospects[1:]), campaign_id, step=2), NOW)
        second = [row["id"] for row in unit.touches.of_prospects(prospects) if row["step"] == 2]
    assert due(store, campaign_id) == second + ids
    assert due(store, campaign_id, limit=1) == second[:1]
    assert due(store, campaign_id, limit=3) == [*second, ids[0]]
    with store.reading() as unit:
        assert unit.touches.next_due(campaign_id) == NOW - DAY


def test_a_touch_is_due_for_its_own_mailbox_and_campaign(store):
    campaign_id, _, ids = planned(store, 2, mailbox=[MAILBOX, "other@example.com"])
    assert due(store, campaign_id) == [ids[0]]
    assert due(store, campaign_id, mailbox="other@example.com") == [ids[1]]
    assert due(store, campaign_id + 1) == []


@pytest.mark.parametrize("state", ["paused", "draft"])
def test_nothing_of_a_campaign_that_is_not_active_is_due(store, state):
    campaign_id, _, ids = planned(store, 1)
    assert due(store, campaign_id) == ids
    with store.transaction() as unit:
        unit.campaigns.set(campaign_id, NOW, state=state)
    assert due(store, campaign_id) == []


def test_nothing_of_a_prospect_that_is_not_enrolled_is_due(store):
    others = ["waiting", "held", "rejected", "unrouted", "stopped", "replied", "finished"]
    campaign_id, prospects, ids = planned(store, len(others) + 1)
    with store.transaction() as unit:
        for key, state in zip(prospects, others, strict=False):
            unit.prospects.set([key], NOW, state=state)
    assert due(store, campaign_id) == [ids[-1]]


def test_a_claim_takes_planned_touches_only(store):
    _, prospects, ids = planned(store, 8, state=STATES)
    with store.transaction() as unit:
        unit.touches.claim([], "me", NOW)
        unit.touches.claim(ids, "me", SOON)
        assert unit.touches.of_sender("me") == [{"id": ids[1], "state": "claimed"}]
        assert unit.touches.of_sender("you") == []
        assert unit.touches.holders() == ["me"]
    assert states(store, prospects) == [state if state != "planned" else "claimed" for state in STATES]


def test_the_mailboxes_are_told_in_which_something_is_due(store):
    boxes = [f"m{n}@example.com" for n in range(5)]
    campaign_id, prospects, ids = planned(store, 3, mailbox=boxes[:3], due_at=[NOW, NOW + DAY, NOW])
    with store.transaction() as unit:
        unit.touches.insert(touches(pl.Series(prospects[:1]), campaign_id, step=2, mailbox=boxes[3]), NOW)
        unit.touches.claim(ids[2:], "me", NOW)
        assert sorted(unit.touches.due_in(campaign_id, boxes, NOW)) == [boxes[0], boxes[3]]
        assert unit.touches.due_in(campaign_id, boxes, NOW - DAY) == []
        assert unit.touches.due_in(campaign_id, boxes[1:3], NOW) == []
        assert unit.touches.due_in(campaign_id, [], NOW) == []
        assert unit.touches.due_in(campaign_id + 1, boxes, NOW) == []


def test_many_mailboxes_have_used_together_what_each_has_used(store):
    boxes = [f"m{n}@example.com" for n in range(4)]
    _, _, ids = planned(store, 6, mailbox=[boxes[0], boxes[0], boxes[0], boxes[1], boxes[2], boxes[2]])
    with store.transaction() as unit:
        unit.touches.claim(ids[:5], "me", NOW)
        left = {n: unit.touches.begin(ids[n], "me", ("s", "t", None), NOW) for n in (0, 1, 4)}
        unit.touches.finish_delivery(left[0], "sent", 250, "ok", NOW)
        unit.touches.finish_delivery(left[4], "failed", 550, "no", NOW)
        for since in (NOW - DAY, NOW):
            each = {box: unit.touches.used(box, since) for box in boxes}
            assert unit.touches.used_by(boxes, since) == {box: used for box, used in each.items() if used}
        assert unit.touches.used_by(boxes, NOW - DAY) == {boxes[0]: 3, boxes[1]: 1}
        assert unit.touches.used_by(boxes[1:], NOW - DAY) == {boxes[1]: 1}


def test_a_touch_is_forsaken_once_who_holds_it_has_not_been_heard_of(store):
    campaign_id, _, ids = planned(store, 1)
    with store.transaction() as unit:
        assert not unit.touches.forsaken(campaign_id, NOW - DAY)
        unit.touches.claim(ids, "me", NOW)
        assert unit.touches.forsaken(campaign_id, NOW - DAY), "nobody knows who that is"
        unit.senders.beat("me", "host", 1, NOW)
        assert not unit.touches.forsaken(campaign_id, NOW - DAY)
        assert unit.touches.forsaken(campaign_id, NOW)
        assert not unit.touches.forsaken(campaign_id + 1, NOW)
        unit.touches.begin(ids[0], "me", ("s", "t", None), NOW)
        assert unit.touches.forsaken(campaign_id, NOW)
        unit.touches.settle(ids[0], ("sending",), "uncertain", NOW)
        assert not unit.touches.forsaken(campaign_id, NOW)


def test_a_release_frees_claimed_touches_only_and_may_put_them_off(store):
    campaign_id, prospects, ids = planned(store, 8, state=STATES)
    with store.transaction() as unit:
        unit.touches.release(ids, NOW, due_at=SOON, reason="not now")
        assert unit.touches.holders() == []
    assert states(store, prospects) == [state if state != "claimed" else "planned" for state in STATES]
    released = row_of(store, prospects[2])
    assert (released["due_at"], released["reason"], released["claimed_by"]) == (SOON, "not now", None)
    assert due(store, campaign_id) == [ids[1]]


def test_a_planned_touch_may_be_put_off_and_no_other(store):
    campaign_id, prospects, ids = planned(store, 8, state=STATES)
    with store.transaction() as unit:
        for key in ids:
            unit.touches.postpone(key, SOON, NOW)
    assert states(store, prospects) == STATES
    with store.reading() as unit:
        assert [row["due_at"] for row in unit.touches.of_prospects(prospects)].count(SOON) == 1
    assert due(store, campaign_id) == []


def test_the_claimer_alone_may_begin_and_the_text_that_leaves_is_kept(store):
    _, prospects, (key,) = planned(store, 1)
    with store.transaction() as unit:
        assert unit.touches.begin(key, "me", LETTER, NOW) is None
        unit.touches.claim([key], "me", NOW)
        assert unit.touches.begin(key, "you", LETTER, NOW) is None
        delivery = unit.touches.begin(key, "me", LETTER, SOON)
        assert delivery is not None
        assert unit.touches.begin(key, "me", LETTER, SOON) is None
        (attempt,) = unit.journal.deliveries([key])
    assert (attempt["id"], attempt["attempt"], attempt["result"], attempt["started_at"]) == (delivery, 1, "open", SOON)
    row = row_of(store, prospects[0])
    assert (row["state"], row["attempts"], row["subject"], row["text"], row["html"]) == ("sending", 1, *LETTER)


def test_a_claim_that_was_cancelled_meanwhile_cannot_begin(store):
    _, prospects, ids = planned(store, 1)
    with store.transaction() as unit:
        unit.touches.claim(ids, "me", NOW)
        assert unit.touches.cancel_open(prospects, "replied", NOW) == 1
        assert unit.touches.begin(ids[0], "me", LETTER, NOW) is None
        assert unit.journal.deliveries(ids) == []


def test_a_touch_is_settled_only_from_the_states_that_are_named(store):
    _, prospects, ids = planned(store, 8, state=STATES)
    with store.transaction() as unit:
        done = [unit.touches.settle(key, ("sending", "uncertain"), "sent", SOON, sent_at=SOON) for key in ids]
    assert done == [state in ("sending", "uncertain") for state in STATES]
    assert states(store, prospects).count("sent") == 3


def test_attempts_are_closed_with_the_servers_answer(store):
    _, _, ids = planned(store, 3)
    with store.transaction() as unit:
        unit.touches.claim(ids, "me", NOW)
        attempts = [unit.touches.begin(key, "me", LETTER, NOW) for key in ids]
        unit.touches.finish_delivery(attempts[0], "sent", 250, "2.0.0 Ok: queued", SOON)
        unit.touches.close_deliveries(ids[:2], "uncertain", SOON)
        unit.touches.close_deliveries(ids[1:2], "failed", SOON, frm=("uncertain",))
        unit.touches.close_deliveries([], "failed", SOON)
        found = unit.journal.deliveries(ids)
    assert [(row["result"], row["code"], row["answer"]) for row in found] == [
        ("sent", 250, "2.0.0 Ok: queued"),
        ("failed", None, None),
        ("open", None, None),
    ]
    assert [row["finished_at"] for row in found] == [SOON, SOON, None]


def test_the_cap_counts_what_left_or_may_have_left_or_is_about_to(store):
    _, _, ids = planned(store, 9)
    results = ["open", "sent", "uncertain", "deferred", "failed"]
    with store.transaction() as unit:
        unit.touches.claim(ids[:5], "me", NOW)
        for key, result in zip(ids, results, strict=False):
            attempt = unit.touches.begin(key, "me", LETTER, NOW)
            if result != "open":
                unit.touches.finish_delivery(attempt, result, None, "", NOW)
        unit.touches.claim(ids[5:7], "you", NOW)
    with store.reading() as unit:
        assert unit.touches.used(MAILBOX, NOW - DAY) == 3 + 2
        # Exactly 24 hours later the window has moved on; what is claimed has no hour yet.
        assert unit.touches.used(MAILBOX, NOW) == 2
        assert unit.touches.used("other@example.com", NOW - DAY) == 0


def test_a_draft_leaves_with_the_very_text_that_was_approved(store):
    _, prospects, ids = planned(store, 8, state=STATES)
    with store.transaction() as unit:
        assert [unit.touches.approve(key, LETTER, "ada", SOON) for key in ids] == [s == "drafted" for s in STATES]
    row = row_of(store, prospects[0])
    assert (row["state"], row["approved_by"], row["subject"], row["text"], row["html"]) == ("planned", "ada", *LETTER)


def test_cancelling_never_touches_what_has_begun_to_leave(store):
    _, prospects, _ = planned(store, 8, state=STATES)
    with store.transaction() as unit:
        assert unit.touches.cancel_open([], "replied", SOON) == 0
        assert unit.touches.cancel_open(prospects, "replied", SOON) == 3
        assert unit.touches.cancel_open(prospects, "again", SOON) == 0
    assert states(store, prospects) == ["cancelled"] * 3 + STATES[3:]
    assert row_of(store, prospects[2])["reason"] == "replied"
    assert row_of(store, prospects[7])["reason"] is None


def test_planning_anew_replaces_what_has_not_gone_out_and_wants_its_approval_anew(store):
    campaign_id, prospects, ids = planned(store, 8, state=STATES)
    with store.transaction() as unit:
        unit.touches.approve(ids[0], LETTER, "ada", NOW)
        before = unit.touches.of_prospects(prospects)
        fresh = touches(
            pl.Series([*prospects, 999]),
            campaign_id,
            sequence="technical",
            due_at=SOON,
            state="drafted",
            message_id="<new@x>",
        )
        unit.touches.replace(fresh, SOON)
        after = unit.touches.of_prospects([*prospects, 999])
    for was, now in zip(before, after, strict=False):
        if was["state"] in ("planned", "cancelled"):
            assert (now["id"], now["sequence"], now["state"]) == (was["id"], "technical", "drafted")
            assert (now["message_id"], now["due_at"], now["updated_at"]) == ("<new@x>", SOON, SOON)
            assert [now[name] for name in ("subject", "text", "html", "approved_by", "reason")] == [None] * 5
        else:
            assert now == was
    added = after[-1]
    assert (added["prospect_id"], added["state"], added["sequence"], added["attempts"]) == (
        999,
        "drafted",
        "technical",
        0,
    )


def test_planning_anew_leaves_other_steps_alone(store):
    campaign_id, prospects, ids = planned(store, 2)
    with store.transaction() as unit:
        unit.touches.replace(touches(pl.Series(prospects), campaign_id, step=2, sequence="technical"), SOON)
        found = unit.touches.of_prospects(prospects)
        unit.touches.replace(touches(pl.Series([], dtype=pl.Int64), campaign_id), SOON)
    assert [(row["prospect_id"], row["step"], row["sequence"]) for row in found] == [
        (key, step, sequence) for key in prospects for step, sequence in ((1, "direct"), (2, "technical"))
    ]
    assert {row["id"] for row in found} > set(ids)


def test_a_follow_up_sees_what_was_sent_before_it(store):
    campaign_id, prospects, _ = planned(store, 2, state=["sent", "cancelled"])
    with store.transaction() as unit:
        unit.touches.insert(touches(pl.Series(prospects), campaign_id, step=2, state=["sent", "planned"]), NOW)
        found = unit.touches.earlier(prospects)
        assert unit.touches.earlier([]) == {}
    assert {key: [row["step"] for row in rows] for key, rows in found.items()} == {prospects[0]: [1, 2]}
    assert found[prospects[0]][0]["message_id"] == f"<{prospects[0]}.1@example.com>"


def test_the_list_pages_by_state_and_campaign(store):
    campaign_id, _, ids = planned(store, 16, state=STATES * 2)
    with store.transaction() as unit:
        other = add_campaign(unit, "autumn")
        unit.touches.insert(touches(enrol(unit, other, [50]), other, state="drafted"), NOW)

    def listed(*wanted, campaign=campaign_id, after=0, limit=100):
        with store.reading() as unit:
            rows = unit.touches.listed(states=wanted, campaign_id=campaign, after=after, limit=limit)
            return [row["touch_id"] for row in rows]

    assert listed("drafted") == [ids[0], ids[8]]
    assert listed("drafted", after=ids[0]) == [ids[8]]
    assert listed("drafted", "planned", "sent", limit=4) == [ids[0], ids[1], ids[4], ids[8]]
    assert listed("uncertain", "sending") == [ids[3], ids[5], ids[11], ids[13]]
    assert len(listed("drafted", campaign=None)) == 3
    with store.reading() as unit:
        assert unit.touches.counts(campaign_id) == dict.fromkeys(STATES, 2)
        assert unit.touches.counts(None)["drafted"] == 3
