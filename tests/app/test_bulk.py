"""Bulk actions: what was confirmed is done to exactly those leads, in batches that can go on where they were cut short."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from office import Office

from touchline.adapters.store import tables
from touchline.app import bulk, runs
from touchline.app.bulk import Bulk, Order, Selection
from touchline.app.tasks import Change
from touchline.app.work import Work
from touchline.model.errors import InvalidInput, NotFound, Refused

SMALL = Selection("spring", "employees < 100")


@pytest.fixture
def filled(either: Office, monkeypatch: pytest.MonkeyPatch) -> Office:
    """12 leads of 120 people and 8 of 50 in `spring`; `other` is empty. Three leads are a batch."""
    monkeypatch.setattr(bulk, "BATCH", 3)
    either.apply()
    either.apply(name="other")
    either.load(either.people(12), until="nurture")
    either.load(either.people(8, start=12, employees=50), until="nurture")
    return either


def begun(office: Office, selection: Selection, order: Order) -> Bulk:
    return bulk.begin(office.store, selection, order, bulk.preview(office.store, selection))


def ended(office: Office, work: Bulk) -> Mapping[str, int]:
    while not work.progress.ended:
        work = bulk.batch(office.store, work, office.now)
    return work.progress.counts


def done(office: Office, selection: Selection, order: Order) -> Mapping[str, int]:
    return ended(office, begun(office, selection, order))


def states(office: Office) -> dict[str, str]:
    emails = {row["id"]: row["email"] for row in office.rows(tables.leads)}
    return {emails[row["lead_id"]]: row["state"] for row in office.rows(tables.prospects)}


def test_a_preview_counts_and_names_the_filter(filled: Office) -> None:
    seen = bulk.preview(filled.store, SMALL)
    assert seen.count == 8
    assert seen.digest == Selection("spring", " employees < 100 ", " ").digest()
    assert seen.digest != Selection(None, "employees < 100").digest()


def test_suppressing_a_filter_stops_exactly_its_leads(filled: Office) -> None:
    counts = done(filled, SMALL, Order("suppress", "asked by phone", by="mara"))
    assert counts == {"matched": 8, "suppressed": 8, "already": 0, "stopped": 0, "touches_cancelled": 8}
    stopped = {email for email, state in states(filled).items() if state == "stopped"}
    assert stopped == {f"ann{i}@firm{i % 7}.com" for i in range(12, 20)}
    assert {row["source"] for row in filled.rows(tables.suppressions)} == {"mara"}
    again = done(filled, SMALL, Order("suppress", "asked by phone"))
    assert (again["suppressed"], again["already"]) == (0, 8)


def test_who_has_no_address_yet_is_stopped_instead(office: Office) -> None:
    office.apply()
    row = ",linkedin.com/in/ann,Ann,120"
    office.load(office.csv(row, header="Email,LinkedIn,First Name,Employees"), until="nurture")
    counts = done(office, Selection("spring", None), Order("suppress", "asked"))
    assert (counts["suppressed"], counts["stopped"]) == (0, 1)
    assert [row["state"] for row in office.rows(tables.prospects)] == ["stopped"]


def test_stopping_in_a_campaign_leaves_other_campaigns_alone(filled: Office) -> None:
    done(filled, SMALL, Order("enrol", into="other"))
    counts = done(filled, SMALL, Order("stop", "fair is over", by="mara"))
    assert counts == {"matched": 8, "stopped": 8, "touches_cancelled": 8}
    assert filled.prospect("ann12@firm5.com")["state_reason"] == "mara: fair is over"
    assert filled.prospect("ann12@firm5.com", "other")["state"] == "harvested"
    assert done(filled, SMALL, Order("stop", "again"))["stopped"] == 0


def test_stopping_without_a_campaign_ends_every_one(filled: Office) -> None:
    everywhere = Selection(None, "employees < 100")
    done(filled, everywhere, Order("enrol", into="other"))
    assert done(filled, everywhere, Order("stop", "fair is over"))["stopped"] == 16
    assert {row["state"] for row in filled.rows(tables.prospects) if row["lead_id"] > 12} == {"stopped"}


@pytest.mark.parametrize("selection", [SMALL, Selection(None, "employees < 100")])
def test_requeued_leads_are_judged_again(filled: Office, selection: Selection) -> None:
    assert done(filled, selection, Order("requeue")) == {"matched": 8, "requeued": 8}
    assert sum(row["pending"] for row in filled.rows(tables.prospects)) == 8
    assert filled.judge() == 8


def test_enrolled_leads_are_judged_by_the_other_campaign_except_those_suppressed(filled: Office) -> None:
    filled.suppress("ann12@firm5.com")
    counts = done(filled, SMALL, Order("enrol", into="other"))
    assert counts == {"matched": 8, "enrolled": 7, "already": 0, "suppressed": 1}
    assert filled.judge(campaign="other") == 7
    again = done(filled, SMALL, Order("enrol", into="other"))
    assert (again["enrolled"], again["already"]) == (0, 7)


def test_more_leads_than_were_confirmed_are_refused_with_the_new_count(filled: Office) -> None:
    confirmed = bulk.preview(filled.store, SMALL)
    filled.load(filled.people(2, start=20, employees=50), until="nurture")
    with pytest.raises(Refused, match="10 leads now; 8 were confirmed"):
        bulk.begin(filled.store, SMALL, Order("requeue"), confirmed)
    with pytest.raises(Refused, match="not the one"):
        bulk.begin(filled.store, Selection("spring", None), Order("requeue"), confirmed)
    fewer = bulk.Preview(11, SMALL.digest())
    assert not bulk.begin(filled.store, SMALL, Order("requeue"), fewer).progress.ended


def test_who_comes_after_the_beginning_was_not_confirmed(filled: Office) -> None:
    work = begun(filled, SMALL, Order("requeue"))
    filled.load(filled.people(2, start=20, employees=50), until="nurture")
    assert ended(filled, work) == {"matched": 8, "requeued": 8}


def test_whoever_comes_to_meet_the_filter_meanwhile_no_more_are_done_than_were_confirmed(filled: Office) -> None:
    work = begun(filled, SMALL, Order("stop", "enough"))
    filled.load(filled.people(12, employees=50), until="nurture")
    assert bulk.preview(filled.store, SMALL).count == 20
    assert ended(filled, work) == {"matched": 8, "stopped": 8, "touches_cancelled": 8}


def test_a_bulk_action_cut_short_goes_on_behind_its_last_batch(filled: Office) -> None:
    work = bulk.batch(filled.store, begun(filled, SMALL, Order("suppress", "asked")), filled.now)
    assert (work.progress.counts["suppressed"], work.progress.ended) == (3, False)
    kept = Bulk.of(json.loads(json.dumps(work.document())))
    assert kept == work
    assert ended(filled, kept)["suppressed"] == 8


def test_few_that_are_named_are_done_if_they_still_meet_the_filter(filled: Office) -> None:
    work = bulk.act_on(filled.store, SMALL, Order("stop", "enough"), [1, 13, 14, 99], filled.now)
    assert (work.progress.counts["stopped"], work.progress.ended) == (2, True)
    assert list(states(filled).values()).count("stopped") == 2


@pytest.fixture
def many(filled: Office, monkeypatch: pytest.MonkeyPatch) -> Office:
    """Where eight leads are too many to wait for, and three are a batch."""
    monkeypatch.setattr(bulk, "AT_ONCE", 7)
    return filled


def queued(office: Office, order: Order, selection: Selection = SMALL) -> int:
    seen = bulk.preview(office.store, selection)
    work, run = bulk.act(office.store, selection, order, seen, office.now)
    assert run is not None
    assert work.progress.counts == {"matched": 0}
    return run


def work_on(office: Office, run: int, worker: Work, steps: int = 50) -> None:
    for _ in range(steps):
        if not worker.advance(run).more:
            return


def test_many_leads_are_the_work_of_a_run_that_says_what_it_did(many: Office) -> None:
    run = queued(many, Order("suppress", "asked", by="mara"))
    assert many.rows(tables.suppressions) == []
    work_on(many, run, many.worker())
    row, batches = runs.shown(many.outside, run)
    assert (row["state"], row["campaign"], row["job"], row["priority"]) == ("done", "spring", "bulk", 1)
    assert row["counts"]["bulk"] == {
        "matched": 8, "suppressed": 8, "already": 0, "stopped": 0, "touches_cancelled": 8,
    }  # fmt: skip
    assert [batch["counts"]["matched"] for batch in batches] == [3, 3, 2]
    assert {row["source"] for row in many.rows(tables.suppressions)} == {"mara"}


def test_few_leads_are_done_while_one_waits(many: Office) -> None:
    few = Selection("spring", "email IN ('ann12@firm5.com', 'ann13@firm6.com', 'ann14@firm0.com')")
    work, run = bulk.act(many.store, few, Order("requeue"), bulk.preview(many.store, few), many.now)
    assert (run, work.progress.counts["requeued"]) == (None, 3)


@pytest.mark.parametrize("told", [False, True])
def test_a_worker_that_takes_a_bulk_action_over_counts_nothing_twice_and_leaves_nothing_out(
    many: Office, told: bool
) -> None:
    run = queued(many, Order("stop", "enough"))
    first = many.worker("one")
    if told:
        work_on(many, run, first, 2)
    else:
        # It dies between a batch and the note of it.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Work, "_write", lambda *_args, **_kw: None)
            work_on(many, run, first, 2)
        assert runs.shown(many.outside, run)[0]["counts"] == {}
    work_on(many, run, many.worker("two"))
    row, _ = runs.shown(many.outside, run)
    assert (row["state"], row["counts"]["bulk"]["matched"], row["counts"]["bulk"]["stopped"]) == ("done", 8, 8)


def test_a_worker_that_stood_still_does_not_bring_a_bulk_action_back_to_where_it_was(many: Office) -> None:
    run = queued(many, Order("stop", "enough"))
    row = runs.shown(many.outside, run)[0]
    late = Change(many.outside, run, Bulk.of(row["payload"]), {})
    work_on(many, run, many.worker(), 2)
    with pytest.raises(Refused, match="another worker"):
        late.batch()
    assert runs.shown(many.outside, run)[0]["payload"]["progress"]["counts"]["stopped"] == 6


def test_leads_at_which_a_bulk_action_fails_are_set_aside_and_a_retry_does_them(many: Office) -> None:
    run = queued(many, Order("requeue"))
    worker = many.worker()
    real = bulk._done
    with pytest.MonkeyPatch.context() as patch:

        def broken(unit: Any, order: Any, campaign_id: Any, chosen: Any, now: Any) -> Any:
            if chosen[0][0] == 16:
                raise ZeroDivisionError("seventeen")
            return real(unit, order, campaign_id, chosen, now)

        patch.setattr(bulk, "_done", broken)
        work_on(many, run, worker)
    row, batches = runs.shown(many.outside, run)
    assert (row["counts"]["bulk"]["requeued"], row["counts"]["bulk"]["set_aside"], row["state"]) == (5, 3, "done")
    assert [batch["state"] for batch in batches] == ["done", "set_aside", "done"]
    assert sum(row["pending"] for row in many.rows(tables.prospects)) == 5
    made, aside = runs.retry(many.outside, run)
    assert aside == 1
    work_on(many, made["id"], worker)
    assert sum(row["pending"] for row in many.rows(tables.prospects)) == 8
    assert runs.shown(many.outside, run)[1][1]["state"] == "retried"


def test_a_bulk_action_that_has_come_to_its_end_is_not_tried_again_and_one_that_was_cancelled_goes_on(
    many: Office,
) -> None:
    run = queued(many, Order("stop", "enough"))
    worker = many.worker()
    work_on(many, run, worker, 1)
    assert runs.cancel(many.outside, run, "mara")["cancel"] == "mara"
    work_on(many, run, worker)
    assert runs.shown(many.outside, run)[0]["state"] == "cancelled"
    made, _ = runs.retry(many.outside, run)
    with pytest.raises(Refused, match="the same work"):
        runs.retry(many.outside, run)
    work_on(many, made["id"], worker)
    assert runs.shown(many.outside, made["id"])[0]["counts"]["bulk"]["stopped"] == 5
    with pytest.raises(Refused, match="come to its end"):
        runs.retry(many.outside, made["id"])


def test_a_filter_that_an_action_itself_changes_is_done_to_its_end(filled: Office) -> None:
    assert done(filled, Selection("spring", "state = 'enrolled'"), Order("stop", "enough"))["stopped"] == 20


@pytest.mark.parametrize(
    ("order", "error"),
    [
        (Order("suppress"), InvalidInput),
        (Order("stop", "  "), InvalidInput),
        (Order("enrol"), InvalidInput),
        (Order("enrol", into="nobody's"), NotFound),
    ],
)
def test_an_order_that_lacks_something_is_not_begun(filled: Office, order: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        bulk.begin(filled.store, SMALL, order, bulk.preview(filled.store, SMALL))


def test_nobody_is_done_at_once(filled: Office) -> None:
    nobody = Selection("spring", "employees > 100000")
    assert begun(filled, nobody, Order("requeue")).progress.ended
