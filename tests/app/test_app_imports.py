"""Imports: every row accounted for, whatever happens between two batches."""

from collections import Counter

import pytest
from office import ANN, TUESDAY, Office, PowerCut

from touchline.adapters.store import tables
from touchline.app.imports import Imported, listed, shown
from touchline.app.loading import OUTCOMES, begun
from touchline.model.errors import InvalidInput, NotFound, Refused

MIXED = (
    "ann0@firm0.com,Ann,CTO,Firm 0,120,Germany",
    "ANN0+news@firm0.com,Ann,CTO,Firm 0,120,Germany",
    "bad row@@,Bo,CTO,Firm 1,120,Germany",
    "cy@firm2.com,Cy,CTO,Firm 2,120,Germany",
    "cy@firm2.com,Cy,CEO,Firm 2,130,Germany",
    "dee@firm3.com,Dee,CTO,Firm 3,120,Germany",
    "eve@firm4.com,Eve,CTO,Firm 4,120,Germany,one,too,many",
)


def outcomes(done: Imported) -> dict[str, int]:
    assert sum(done.counts.values()) == done.rows
    assert list(done.counts) == list(OUTCOMES)
    return {name: count for name, count in done.counts.items() if count}


def test_every_row_has_one_outcome_and_each_one_set_aside_its_reason(either: Office) -> None:
    either.apply()
    either.suppress("dee@firm3.com")
    done = either.load(either.csv(*MIXED))
    assert outcomes(done) == {"new": 2, "updated": 1, "duplicate": 1, "suppressed": 1, "rejected": 2}
    aside = Counter({(row["outcome"]): 0 for row in done.reasons})
    for row in done.reasons:
        aside[row["outcome"]] += row["rows"]
    assert aside == {"duplicate": 1, "suppressed": 1, "rejected": 2}
    assert all(row["reason"] for row in done.reasons if row["outcome"] != "duplicate")
    assert [p["state"] for p in either.rows(tables.prospects)] == ["harvested"] * 2
    row, reasons = shown(either.outside, done.import_id)
    assert (row["state"], row["finished_at"], reasons) == ("done", TUESDAY, done.reasons)


def test_an_import_that_is_not_there_is_not_found(office: Office) -> None:
    with pytest.raises(NotFound, match="no import 7"):
        shown(office.outside, 7)


def test_a_campaign_that_is_not_there_is_not_found_and_nothing_is_kept(office: Office) -> None:
    with pytest.raises(NotFound, match="no campaign 'spring'"):
        office.load(office.people(1))
    assert office.rows(tables.imports) == []


@pytest.mark.parametrize(("point", "kept"), [("import-before-commit", 40), ("import-after-commit", 80)])
def test_an_import_cut_short_between_batches_goes_on_where_it_stopped(either: Office, point: str, kept: int) -> None:
    either.apply()
    source = either.people(100)
    either.points.fail(point, nth=2)
    with pytest.raises(PowerCut):
        either.load(source, until="nurture")
    assert [len(either.rows(t)) for t in (tables.leads, tables.prospects, tables.touches)] == [kept] * 3
    row = either.rows(tables.imports)[0]
    assert (row["state"], row["rows"], row["new"]) == ("running", kept, kept)
    done = either.load(source, until="nurture")
    assert (done.rows, outcomes(done), done.resumed_at, done.already) == (100, {"new": 100}, kept, False)
    assert len(either.rows(tables.imports)) == 1
    assert len(either.rows(tables.leads)) == 100


def test_an_import_that_stands_still_for_half_an_hour_does_not_look_as_if_it_went_on(office: Office) -> None:
    office.apply()
    source = office.people(100)
    office.later(hours=1)
    office.points.fail("import-after-commit")
    with pytest.raises(PowerCut):
        office.load(source)

    def said() -> list[str]:
        return [listed(office.outside, 9)[0]["state"], shown(office.outside, 1)[0]["state"]]

    office.later(minutes=29)
    assert said() == ["running"] * 2
    office.later(minutes=1)
    assert said() == ["unfinished"] * 2
    office.load(source, limit=1)
    assert said() == ["running"] * 2
    office.load(source)
    office.later(hours=1)
    assert said() == ["done"] * 2


def test_the_second_of_two_processes_on_one_import_is_refused_and_harms_nothing(either: Office) -> None:
    either.apply()
    source = either.people(100)

    def other() -> None:
        assert outcomes(either.load(source)) == {"new": 100}

    either.points.at("import-after-commit", other)
    with pytest.raises(Refused, match=r"Another process is importing 0\.csv"):
        either.load(source)
    assert [row["state"] for row in either.rows(tables.imports)] == ["done"]
    assert len(either.rows(tables.leads)) == 100


def test_who_stood_still_before_it_began_does_not_load_again_what_another_has_loaded(either: Office) -> None:
    either.apply()
    source = either.people(100)
    either.load(source)
    with pytest.raises(Refused, match=r"Another process is importing 0\.csv"):
        begun(either.outside, either.stored(), source, "csv", "nurture", None)
    assert [(row["state"], row["rows"]) for row in either.rows(tables.imports)] == [("done", 100)]


def test_what_was_loaded_before_is_skipped_where_that_is_asked_and_loaded_again_where_not(office: Office) -> None:
    office.apply()
    source = office.people(3)
    first = office.load(source)
    again = office.load(source, skip_known=True)
    assert (again.already, again.import_id, again.counts) == (True, first.import_id, first.counts)
    anew = office.load(source)
    assert (anew.already, outcomes(anew)) == (False, {"duplicate": 3})
    assert anew.import_id != first.import_id


def test_an_unfinished_load_is_not_skipped(office: Office) -> None:
    office.apply()
    source = office.people(100)
    assert office.load(source, limit=1).rows == 40
    assert office.load(source, skip_known=True).rows == 100


def test_a_limit_stops_at_the_end_of_a_batch_and_the_next_load_goes_on(office: Office) -> None:
    office.apply()
    source = office.people(100)
    seen = [(d.rows, d.resumed_at) for d in (office.load(source, limit=n) for n in (41, 10, 10))]
    assert seen == [(80, 0), (100, 80), (100, 100)]
    assert [row["state"] for row in office.rows(tables.imports)] == ["done"]


def test_a_dry_run_tells_what_would_happen_and_keeps_nothing(either: Office) -> None:
    either.apply()
    either.suppress("dee@firm3.com")
    source = either.csv(*MIXED)
    told = either.load(source, dry_run=True, until="nurture")
    kept = (tables.imports, tables.import_rows, tables.leads, tables.prospects, tables.touches, tables.mx_answers)
    assert [either.rows(table) for table in kept] == [[]] * len(kept)
    done = either.load(source, until="nurture")
    assert told.dry_run
    assert not done.dry_run
    assert (told.rows, told.counts, told.reasons) == (done.rows, done.counts, done.reasons)


def test_a_file_that_cannot_be_read_keeps_nothing(office: Office) -> None:
    office.apply()
    with pytest.raises(InvalidInput):
        office.load(office.csv(header="No,Such,Columns"))
    assert office.rows(tables.imports) == []


def test_a_lead_of_another_campaign_becomes_a_prospect_here_too(either: Office) -> None:
    either.apply()
    either.apply(name="autumn", compatibility={"one_sequence_at_a_time": False})
    either.load(either.people(3), until="nurture")
    done = either.load(either.people(4), "autumn", until="nurture")
    assert outcomes(done) == {"new": 1, "duplicate": 3}
    assert len(either.rows(tables.leads)) == 4
    states = {p["lead_id"]: p["state"] for p in either.rows(tables.prospects) if p["campaign_id"] == 2}
    assert states == dict.fromkeys((1, 2, 3, 4), "enrolled")
    assert len(either.touches("autumn")) == 4


def test_a_lead_that_another_campaign_writes_to_waits_here(office: Office) -> None:
    office.apply()
    office.apply(name="autumn")
    office.load(office.people(1), until="nurture")
    office.load(office.people(1), "autumn", until="nurture")
    there = office.prospect(ANN, "autumn")
    assert (there["state"], there["route_reason"]) == ("unrouted", "in active sequence of campaign spring")
    assert office.touches("autumn") == []


def test_a_changed_lead_is_judged_again_in_every_campaign(either: Office) -> None:
    either.apply()
    either.apply(name="autumn", compatibility={"one_sequence_at_a_time": False})
    for name in ("spring", "autumn"):
        either.load(either.people(2), name, until="nurture")
    done = either.load(either.csv(f"{ANN},Ann,CTO,Firm 0,5,Germany"))
    assert outcomes(done) == {"updated": 1}
    pending = {(p["campaign_id"], p["lead_id"]): p["pending"] for p in either.rows(tables.prospects)}
    assert pending == {(1, 1): 1, (2, 1): 1, (1, 2): 0, (2, 2): 0}
    for name in ("spring", "autumn"):
        either.judge(campaign=name)
        assert either.prospect(ANN, name)["verdict_reason"] == "too small"
        assert either.touch(ANN, campaign=name)["state"] == "cancelled"


def test_a_profile_that_gets_its_address_keeps_its_key_and_is_enrolled(office: Office) -> None:
    office.apply()
    header = "Email,First Name,Profile URL,Employees"
    office.load(office.csv(",Cy,https://linkedin.com/in/cy,120", header=header), until="nurture")
    waiting = office.rows(tables.prospects)[0]
    assert (waiting["state"], waiting["verdict_reason"]) == ("waiting", "no address yet")
    office.load(office.csv("cy@firm1.com,Cy,https://linkedin.com/in/cy,120", header=header), until="nurture")
    office.judge()
    assert office.prospect("cy@firm1.com")["id"] == waiting["id"]
    assert office.touch("cy@firm1.com")["state"] == "planned"


def test_a_version_that_comes_while_a_file_is_loaded_decides_the_rest_of_it_and_judging_the_beginning(
    either: Office,
) -> None:
    either.apply()
    source = either.people(60)
    either.points.at("import-after-commit", lambda: either.apply(rules=[]))
    either.load(source, until="nurture")
    assert [p["campaign_version"] for p in either.rows(tables.prospects)] == [1] * 40 + [2] * 20
    either.judge()
    stored = either.stored()
    assert (stored.judged_version, stored.version) == (2, 2)
