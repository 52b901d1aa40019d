"""Bulk actions: what was confirmed is done to exactly those leads, in batches that can go on where they were cut short."""

from typing import Any

import pytest
from office import Office

from touchline.adapters.store import tables
from touchline.app import bulk
from touchline.app.bulk import Order, Progress, Selection
from touchline.model.errors import InvalidInput, NotFound, Refused

SMALL = Selection("spring", "employees < 100")


@pytest.fixture
def filled(either: Office) -> Office:
    """12 leads of 120 people and 8 of 50 in `spring`; `other` is empty."""
    either.apply()
    either.apply(name="other")
    either.load(either.people(12), until="nurture")
    either.load(either.people(8, start=12, employees=50), until="nurture")
    return either


def done(office: Office, selection: Selection, order: Order, size: int = 3) -> dict[str, int]:
    confirmed = bulk.preview(office.store, selection)
    [*_, last] = bulk.carry_out(office.store, selection, order, confirmed, lambda: office.now, size)
    assert last.ended
    return last.counts


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
    assert not bulk.begin(filled.store, SMALL, Order("requeue"), fewer).ended


def test_who_comes_after_the_beginning_was_not_confirmed(filled: Office) -> None:
    order = Order("requeue")
    progress = bulk.begin(filled.store, SMALL, order, bulk.preview(filled.store, SMALL))
    filled.load(filled.people(2, start=20, employees=50), until="nurture")
    while not progress.ended:
        bulk.batch(filled.store, SMALL, order, progress, filled.now, size=3)
    assert progress.counts == {"matched": 8, "requeued": 8}


def test_a_bulk_action_cut_short_goes_on_behind_its_last_batch(filled: Office) -> None:
    order = Order("suppress", "asked")
    progress = bulk.begin(filled.store, SMALL, order, bulk.preview(filled.store, SMALL))
    bulk.batch(filled.store, SMALL, order, progress, filled.now, size=3)
    assert (progress.counts["suppressed"], progress.ended) == (3, False)
    kept = Progress(progress.after, progress.until, counts=dict(progress.counts))
    while not kept.ended:
        bulk.batch(filled.store, SMALL, order, kept, filled.now, size=3)
    assert kept.counts["suppressed"] == 8


def test_a_filter_that_an_action_itself_changes_is_done_to_its_end(filled: Office) -> None:
    assert done(filled, Selection("spring", "state = 'enrolled'"), Order("stop", "enough"), size=4)["stopped"] == 20


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
    assert bulk.begin(filled.store, nobody, Order("requeue"), bulk.preview(filled.store, nobody)).ended
