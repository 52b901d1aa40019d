"""Merging: the same answer as taking the rows one by one, whatever the batches."""

from itertools import pairwise
from typing import Any

import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from touchline.model.columns import LEAD, fold_text, lead_schema, shadows
from touchline.stages.harvest import Harvested, identity, keys, merge, normalise

NAMES = [column.name for column in LEAD]
KNOWN = {"lead_id": pl.Int64, "identity": pl.String, **lead_schema()}
NOBODY = pl.DataFrame(schema={"identity": pl.String, "why": pl.String})
ROWS = {"row": pl.Int64, "raw": pl.String, "reason": pl.String, **lead_schema()}

EXAMPLES = 40

Row = dict[str, Any]


def frame(rows: list[Row]) -> pl.DataFrame:
    return pl.DataFrame([{"row": n, **row} for n, row in enumerate(rows, 1)], schema=ROWS)


class Store:
    """What a database does for harvest: answers by key, appends the new, replaces the changed."""

    def __init__(self) -> None:
        self.leads = pl.DataFrame(schema=KNOWN)

    def known(self, rows: pl.DataFrame) -> pl.DataFrame:
        identities, profiles = keys(rows)
        return self.leads.filter(pl.col("identity").is_in(identities) | pl.col("profile_url").is_in(profiles))

    def take(self, rows: pl.DataFrame, suppressed: pl.DataFrame = NOBODY) -> Harvested:
        result = merge(rows, self.known(rows), suppressed)
        kept = self.leads.join(result.updates, on="lead_id", how="anti")
        start = self.leads.height + 1
        new = result.inserts.with_columns(lead_id=pl.int_range(start, start + result.inserts.height))
        self.leads = pl.concat([part.select(list(KNOWN)) for part in (kept, result.updates, new)]).sort("lead_id")
        return result


def slow(rows: list[Row], leads: list[Row], suppressed: dict[str, str]) -> list[tuple[str, str | None]]:
    """The rules as one would tell them to a clerk with a box of cards; changes `leads`, gives outcome and reason."""
    outcomes: list[tuple[str, str | None]] = []
    for row in rows:
        if row.get("reason"):
            outcomes.append(("rejected", row["reason"]))
        elif (own := name_of(row)) in suppressed:
            outcomes.append(("suppressed", suppressed[own]))
        elif (lead := card_of(row, leads)) is None:
            leads.append({name: row.get(name) for name in NAMES})
            outcomes.append(("new", None))
        else:
            outcomes.append(("updated" if note(row, lead) else "duplicate", None))
    return outcomes


def name_of(lead: Row) -> str:
    if lead.get("base_address"):
        return str(lead["base_address"])
    if lead.get("profile_url"):
        return f"profile:{lead['profile_url']}"
    return f"source:{lead['source']}:{lead['source_key']}"


def card_of(row: Row, leads: list[Row]) -> Row | None:
    address, page = row.get("base_address"), row.get("profile_url")
    for lead in leads:
        if address and lead["base_address"] == address:
            return lead
    for lead in leads:
        if page and lead["profile_url"] == page and not (address and lead["base_address"]):
            return lead
    for lead in leads:
        if (
            not address
            and not page
            and not lead["base_address"]
            and not lead["profile_url"]
            and name_of(lead) == name_of(row)
        ):
            return lead
    return None


def note(row: Row, lead: Row) -> bool:
    changed = False
    for name in NAMES:
        value = row.get(name)
        if value is None or name in ("source", "source_key", "account") or value == lead[name]:
            continue
        if name in ("email", "base_address", "email_domain", "profile_url") and lead[name] is not None:
            continue
        lead[name], changed = value, True
    lead["account"] = lead["domain"] or (fold_text(lead["company"]) if lead["company"] else lead["account"])
    return changed


def maybe(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from([None, *values])


@st.composite
def row(draw: st.DrawFn, same: bool = False) -> Row:
    """One row of few possible people; with `same`, no two rows of a person say different things."""
    host = "x.com"
    found: Row = {"source": draw(st.sampled_from(["csv", "manual"])), "profile_url": draw(maybe("x/1", "x/2", "x/3"))}
    found["source_key"] = draw(maybe("k1", "k2"))
    address = draw(maybe("a", "b", "c"))
    if address:
        spelling = address if same else draw(st.sampled_from([address, f"{address}+tag"]))
        found |= {"email": f"{spelling}@{host}", "base_address": f"{address}@{host}", "email_domain": host}
    elif not found["profile_url"] and not found["source_key"]:
        found["source_key"] = "k3"
    found |= {
        "title": draw(maybe("Boss") if same else maybe("Boss", "Clerk")),
        "company": draw(maybe("Ä&B") if same else maybe("Ä&B", "C")),
    }
    found |= {"domain": draw(maybe("x.com") if same else maybe("x.com", "y.com")), "budget": draw(maybe(1.5))}
    found["account"] = found["domain"] or (fold_text(found["company"]) if found["company"] else None)
    found["reason"] = None if same else draw(st.sampled_from([None] * 9 + ["ragged"]))
    return found


PEOPLE = [
    *(f"{name}@x.com" for name in "abc"),
    *(f"profile:x/{number}" for number in "123"),
    *(f"source:{source}:k{number}" for source in ("csv", "manual") for number in "123"),
]
SOME = st.dictionaries(st.sampled_from(PEOPLE), st.sampled_from(["asked", "domain"]), max_size=2)


def refused(suppressed: dict[str, str]) -> pl.DataFrame:
    return pl.DataFrame(list(suppressed.items()), schema=NOBODY.schema, orient="row")


@settings(max_examples=EXAMPLES)
@given(st.lists(row(), max_size=14), st.lists(row(), max_size=8), SOME)
def test_a_batch_is_decided_as_if_its_rows_came_one_by_one(
    rows: list[Row], before: list[Row], suppressed: dict[str, str]
) -> None:
    store, cards = Store(), []
    store.take(frame(before))
    slow(before, cards, {})
    expected = slow(rows, cards, suppressed)
    result = store.take(frame(rows), refused(suppressed))
    assert list(result.outcomes.select("outcome", "reason").iter_rows()) == expected
    assert store.leads.select(NAMES).to_dicts() == cards
    assert result.outcomes["row"].to_list() == list(range(1, len(rows) + 1))


@settings(max_examples=EXAMPLES)
@given(st.lists(row(), max_size=14), st.lists(st.integers(0, 14), max_size=3), SOME)
def test_a_batch_equals_its_pieces_in_order(rows: list[Row], cuts: list[int], suppressed: dict[str, str]) -> None:
    whole, pieces, given_ = Store(), Store(), frame(rows)
    outcomes = whole.take(given_, refused(suppressed)).outcomes
    edges = sorted({0, len(rows), *(min(cut, len(rows)) for cut in cuts)})
    parts = [pieces.take(given_[low:high], refused(suppressed)).outcomes for low, high in pairwise(edges)]
    assert pieces.leads.equals(whole.leads)
    assert not parts or pl.concat(parts).drop("identity").equals(outcomes.drop("identity"))


@settings(max_examples=EXAMPLES)
@given(st.lists(row(), max_size=14))
def test_a_batch_given_again_makes_no_lead_and_leaves_all_as_they_were(rows: list[Row]) -> None:
    store = Store()
    store.take(frame(rows))
    leads = store.leads
    again = store.take(frame(rows))
    assert "new" not in again.outcomes["outcome"]
    assert again.inserts.is_empty()
    assert store.leads.select("lead_id", "identity").equals(leads.select("lead_id", "identity"))


@settings(max_examples=EXAMPLES)
@given(st.lists(row(same=True), max_size=14))
def test_a_batch_that_does_not_contradict_itself_is_all_duplicates_the_second_time(rows: list[Row]) -> None:
    store = Store()
    store.take(frame(rows))
    # A row may tie two leads that are there already by one profile. They are not merged, so the first of the two
    # gets the page's rows from then on.
    assume(store.leads["profile_url"].drop_nulls().is_unique().all())
    again = store.take(frame(rows))
    assert set(again.outcomes["outcome"]) <= {"duplicate"}
    assert again.updates.is_empty()


@settings(max_examples=EXAMPLES)
@given(st.lists(row(), max_size=14), SOME)
def test_every_row_has_one_outcome_and_every_lead_one_identity(rows: list[Row], suppressed: dict[str, str]) -> None:
    store = Store()
    result = store.take(frame(rows), refused(suppressed))
    assert result.outcomes.height == len(rows)
    assert set(result.outcomes["outcome"]) <= {"new", "updated", "duplicate", "suppressed", "rejected"}
    assert store.leads["identity"].is_unique().all()
    assert store.leads["identity"].equals(store.leads.select(identity()).to_series())
    went = result.outcomes.filter(~pl.col("outcome").is_in(["suppressed", "rejected"]))
    assert set(went["identity"]) == set(result.inserts["identity"])
    assert (result.outcomes["outcome"] == "new").sum() == result.inserts.height


PERSON = {"source": "csv", "email": "a@x.com", "base_address": "a@x.com", "email_domain": "x.com"}
PAGE = {"source": "csv", "profile_url": "x/1"}


def outcomes(result: Harvested) -> list[str]:
    return result.outcomes["outcome"].to_list()


def test_a_lead_that_waits_for_an_address_gets_it_and_keeps_its_id() -> None:
    store = Store()
    store.take(frame([PAGE]))
    result = store.take(frame([{**PERSON, **PAGE}]))
    assert outcomes(result) == ["updated"]
    assert store.leads.select("lead_id", "identity").rows() == [(1, "a@x.com")]
    assert result.outcomes["identity"].to_list() == ["a@x.com"]


def test_an_address_found_later_in_the_file_names_the_lead_of_both_rows() -> None:
    result = Store().take(frame([PAGE, {**PERSON, **PAGE}]))
    assert outcomes(result) == ["new", "updated"]
    assert result.outcomes["identity"].to_list() == ["a@x.com", "a@x.com"]
    assert result.inserts["first_row"].to_list() == [1]


def test_two_people_with_addresses_are_two_though_their_profile_is_the_same() -> None:
    other = {**PERSON, "email": "b@x.com", "base_address": "b@x.com"}
    assert outcomes(Store().take(frame([{**PERSON, **PAGE}, {**other, **PAGE}]))) == ["new", "new"]


def test_a_profile_gives_its_waiting_lead_to_one_address_only() -> None:
    other = {**PERSON, "email": "b@x.com", "base_address": "b@x.com"}
    result = Store().take(frame([PAGE, {**PERSON, **PAGE}, {**other, **PAGE}, {**other, "title": "Boss"}]))
    assert outcomes(result) == ["new", "updated", "new", "updated"]
    assert result.inserts["base_address"].to_list() == ["a@x.com", "b@x.com"]


def test_a_row_without_address_goes_to_the_first_lead_with_its_profile() -> None:
    other = {**PERSON, "email": "b@x.com", "base_address": "b@x.com"}
    result = Store().take(frame([{**other, **PAGE}, {**PERSON, **PAGE}, {**PAGE, "title": "Boss"}]))
    assert outcomes(result) == ["new", "new", "updated"]
    assert result.inserts.select("base_address", "title").rows() == [("b@x.com", "Boss"), ("a@x.com", None)]


def test_keys_of_different_sources_are_different_people() -> None:
    rows = [
        {"source": "csv", "source_key": "1"},
        {"source": "manual", "source_key": "1"},
        {"source": "csv", "source_key": "1"},
    ]
    assert outcomes(Store().take(frame(rows))) == ["new", "new", "duplicate"]


def test_where_a_lead_came_from_and_how_its_address_was_first_written_stays() -> None:
    store = Store()
    store.take(frame([{**PERSON, "source_key": "1"}]))
    store.take(frame([{**PERSON, "source": "manual", "source_key": "2", "email": "a+x@x.com", "title": "Boss"}]))
    assert store.leads.select("source", "source_key", "email", "title").rows() == [("csv", "1", "a@x.com", "Boss")]


def test_an_empty_cell_does_not_wipe_what_is_known() -> None:
    store = Store()
    store.take(frame([{**PERSON, "title": "Boss", "budget": 5.0}]))
    assert outcomes(store.take(frame([PERSON]))) == ["duplicate"]
    assert store.leads.select("title", "budget").rows() == [("Boss", 5.0)]


def test_the_account_follows_the_domain_that_is_learnt_later() -> None:
    store = Store()
    store.take(frame([{**PERSON, "company": "Acme", "account": "acme"}]))
    store.take(
        frame(
            [{**PERSON, "domain": "acme.com", "account": "acme.com"}, {**PERSON, "company": "Acme", "account": "acme"}]
        )
    )
    assert store.leads["account"].to_list() == ["acme.com"]


def test_a_change_that_a_later_row_takes_back_is_written_nowhere() -> None:
    store = Store()
    store.take(frame([{**PERSON, "title": "Boss"}]))
    result = store.take(frame([{**PERSON, "title": "Clerk"}, {**PERSON, "title": "Boss"}]))
    assert outcomes(result) == ["updated", "updated"]
    assert result.updates.is_empty()


@pytest.mark.parametrize("turn", [1, -1])
def test_a_suppressed_row_changes_nothing_wherever_it_stands(turn: int) -> None:
    store = Store()
    rows = [{**PERSON, **PAGE, "title": "Boss"}, PAGE][::turn]
    result = store.take(frame(rows), refused({"a@x.com": "asked"}))
    assert outcomes(result) == ["suppressed", "new"][::turn]
    assert result.inserts.select("base_address", "profile_url", "title").rows() == [(None, "x/1", None)]
    assert result.outcomes["reason"].to_list() == ["asked", None][::turn]


def test_a_rejected_row_keeps_its_raw_text_and_reason_and_has_no_identity() -> None:
    result = Store().take(frame([{**PERSON, "reason": "ragged", "raw": "a;b"}]))
    assert result.outcomes.rows() == [(1, "rejected", "ragged", None, "a;b")]


def test_new_leads_stand_in_the_order_of_the_file_with_folded_shadows() -> None:
    other = {**PERSON, "email": "b@x.com", "base_address": "b@x.com", "company": "ÄPFEL & ﬁ"}
    inserts = Store().take(frame([{**PERSON, "title": "Boss"}, other, PERSON])).inserts
    assert inserts["first_row"].to_list() == [1, 2]
    assert inserts.equals(inserts.with_columns(shadows()))
    assert list(inserts.schema)[: len(NAMES)] == NAMES
    assert {name: inserts.schema[name] for name in NAMES} == lead_schema()


def test_no_rows_are_no_work() -> None:
    result = merge(frame([]), pl.DataFrame(schema=KNOWN), NOBODY)
    assert (result.inserts.height, result.updates.height, result.outcomes.height) == (0, 0, 0)


def test_from_cells_to_leads() -> None:
    cells = pl.DataFrame(
        {
            "email": ["Ada@X.com", "ada+news@x.com", "nobody", None],
            "profile_url": [None, None, None, "https://x.com/ada/"],
        }
    )
    result = Store().take(normalise(cells, "csv"))
    assert outcomes(result) == ["new", "duplicate", "rejected", "new"]
    assert result.outcomes["reason"].to_list() == [None, None, "bad_address", None]
    assert result.inserts["identity"].to_list() == ["ada@x.com", "profile:x.com/ada"]
