"""Runs: the whole pipeline of one campaign as far as asked, and what is kept of it."""

from collections.abc import Callable, Iterable

import pytest
from office import MONDAY, TUESDAY, WEDNESDAY, Office

from touchline.adapters.sources.csv import CsvSource
from touchline.adapters.store import tables
from touchline.app.ports import StoredCampaign
from touchline.app.runs import LONGEST, RunResult, bury, cancel, history, run
from touchline.model.errors import InvalidInput, Misconfigured, NotFound, Refused
from touchline.stages import STAGES


def go(
    office: Office, *sources: CsvSource, until: str = "send", limit: int | None = None, **points: object
) -> RunResult:
    def own(_: StoredCampaign) -> Iterable[CsvSource]:
        return sources

    return run(office.outside, "spring", until=until, limit=limit, sources=own, post=lambda _: office.post())


def test_a_run_goes_from_file_to_mail_and_its_counts_are_kept(either: Office) -> None:
    either.apply()
    source = either.people(3)
    either.now = TUESDAY.replace(hour=23)
    first = go(either, source, until="nurture")
    assert (first.version, first.until, first.judged, first.sending) == (1, "nurture", 0, {})
    assert [(i["rows"], i["counts"]["new"]) for i in first.imports] == [(3, 3)]
    either.now = MONDAY
    second = go(either, source)
    assert (second.imports, second.sending, second.notes) == ([], {"sent": 3}, [])
    newest, oldest = history(either.outside, 10)
    assert (newest["id"], newest["state"], newest["counts"]["sending"]) == (second.run_id, "done", {"sent": 3})
    assert (oldest["until"], oldest["counts"]["imports"][0]["rows"], oldest["error"]) == ("nurture", 3, None)
    assert (newest["started_at"], newest["finished_at"]) == (MONDAY, MONDAY)
    assert history(either.outside, 1) == [newest]


@pytest.mark.parametrize("until", STAGES)
def test_a_run_ends_with_the_stage_asked_for(office: Office, until: str) -> None:
    office.apply()
    office.add("bo@firm1.com", until="harvest")
    done = go(office, office.people(1), until=until)
    assert (done.judged > 0) is (until != "harvest")
    (row,) = (p for p in office.rows(tables.prospects) if p["lead_id"] == office.lead()["id"])
    reached = {"harvest": [], "score": ["fit"], "qualify": ["fit", "verdict"]}.get(
        until, ["fit", "verdict", "sequence"]
    )
    assert [name for name in ("fit", "verdict", "sequence") if row[name] is not None] == reached
    assert row["state"] == ("enrolled" if until in ("nurture", "send") else "harvested")
    assert office.smtp.messages == []


def test_a_limit_holds_for_each_stage_and_the_next_run_goes_on(office: Office) -> None:
    office.apply()
    office.batch_rows = 5
    source = office.people(12)
    assert go(office, source, until="harvest", limit=6).imports[0]["rows"] == 10
    assert go(office, source, until="nurture", limit=2).judged == 2
    office.now = WEDNESDAY
    done = go(office, limit=1)
    assert (done.judged, done.sending) == (1, {"sent": 1})


def test_files_are_harvested_once_each_and_new_ones_when_they_come(office: Office) -> None:
    office.apply()
    first, second = office.people(2), office.people(2, start=2)
    go(office, first, until="nurture")
    assert [i["name"] for i in go(office, first, second, until="nurture").imports] == ["1.csv"]
    assert go(office, first, second, until="nurture").imports == []


def test_a_run_whose_process_was_killed_is_told_to_have_failed(either: Office) -> None:
    either.apply()

    def begin(process: str) -> None:
        with either.store.transaction() as unit:
            stored = unit.campaigns.get("spring")
            about = {"campaign_id": stored.id, "campaign_version": 1, "until": "send", "started_at": either.now}
            unit.runs.open("run", either.now, **about, state="running", worker=process)

    begin("here:7")
    begin("there:7")
    assert bury(either.store, lambda process: process == "here:7", either.now) == 1
    assert [(row["worker"], row["state"]) for row in history(either.outside, 9)] == [
        ("there:7", "running"),
        ("here:7", "failed"),
    ]
    assert bury(either.store, lambda _: False, either.now + LONGEST) == 1
    newest = history(either.outside, 1)[0]
    assert (newest["state"], newest["finished_at"]) == ("failed", either.now + LONGEST)
    assert "its process was killed" in newest["error"]
    assert bury(either.store, lambda _: True, either.now) == 0


def test_a_run_by_hand_is_ended_where_it_is_and_cannot_be_cancelled_from_elsewhere(office: Office) -> None:
    office.apply()
    said = list[str]()

    def cancelled() -> None:
        with pytest.raises(Refused) as refused:
            cancel(office.outside, 1, "mara")
        said.append(str(refused.value))

    office.points.at("import-after-commit", cancelled)
    go(office, office.people(3), until="nurture")
    assert len(said) == 1
    assert "Ctrl-C" in said[0]
    assert history(office.outside, 1)[0]["state"] == "done"


def test_a_file_that_cannot_be_read_keeps_nobody_else_waiting(office: Office) -> None:
    office.apply()
    with pytest.raises(InvalidInput):
        go(office, office.csv(header="No,Such,Columns"), office.people(2), until="nurture")
    (row,) = history(office.outside, 10)
    assert (row["state"], len(row["counts"]["imports"])) == ("failed", 1)
    assert {prospect["state"] for prospect in office.rows(tables.prospects)} == {"enrolled"}


def test_notes_say_each_thing_once(office: Office) -> None:
    office.apply(mailboxes=[office.mailbox(daily_cap=1)])
    office.load(office.people(3), until="nurture")
    office.now = WEDNESDAY
    assert go(office).sending == {"sent": 1}
    (note,) = go(office).notes
    assert note == "mara@quillmast.example has reached its cap of 1 messages in 24 hours"


def test_a_campaign_that_may_not_send_is_judged_and_then_says_what_is_missing(either: Office) -> None:
    either.apply(mailboxes=[])
    with pytest.raises(Misconfigured, match="may not send yet: No mailbox"):
        go(either, either.people(2))
    (row,) = history(either.outside, 10)
    assert (row["state"], row["counts"]["imports"][0]["rows"]) == ("failed", 2)
    assert "No mailbox" in row["error"]
    assert len(either.rows(tables.prospects)) == 2


def test_a_file_that_cannot_be_read_fails_the_run_and_keeps_what_came_before(office: Office) -> None:
    office.apply()
    with pytest.raises(InvalidInput):
        go(office, office.people(2), office.csv(header="No,Such,Columns"), until="nurture")
    (row,) = history(office.outside, 10)
    assert (row["state"], len(row["counts"]["imports"])) == ("failed", 1)
    assert len(office.rows(tables.leads)) == 2


@pytest.mark.parametrize("point", ["import-after-commit", "judge-before-commit", "recipient-accepted"])
def test_a_run_that_a_person_interrupts_is_kept_as_failed_and_the_next_one_goes_on(office: Office, point: str) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    office.apply()
    source = office.people(2)
    office.load(source)
    office.judge()
    office.load(office.people(3, employees=130))
    office.now = WEDNESDAY
    office.points.at(point, interrupt)
    with pytest.raises(KeyboardInterrupt):
        go(office, office.people(1, start=8))
    row = history(office.outside, 1)[0]
    assert (row["state"], row["error"]) == ("failed", "KeyboardInterrupt")
    go(office, office.people(1, start=8))
    assert {p["pending"] for p in office.rows(tables.prospects)} == {0}
    assert not {t["state"] for t in office.touches()} & {"claimed", "sending", "uncertain"}


def test_a_run_of_no_campaign_leaves_no_trace(office: Office) -> None:
    with pytest.raises(NotFound):
        go(office)
    assert history(office.outside, 10) == []


def test_parts_are_opened_for_the_campaign_at_its_present_version(office: Office) -> None:
    office.apply()
    office.apply(otherwise="held")
    seen: list[int] = []

    def noted(value: Callable[[], object]) -> Callable[[StoredCampaign], object]:
        def inner(stored: StoredCampaign) -> object:
            seen.append(stored.version)
            return value()

        return inner

    run(
        office.outside, "spring", until="send", limit=None,
        sources=noted(tuple), post=noted(office.post),  # type: ignore[arg-type]
    )  # fmt: skip
    assert seen == [2, 2]
