"""Judging: how far a run goes, what a new version changes, and what it leaves as it was."""

from collections import Counter

import pytest
from office import AGAIN, ANN, EVERYONE, HELLO, SENIOR, SIZE, TOO_SMALL, TUESDAY, WEDNESDAY, Office, PowerCut

from touchline.adapters.store import tables
from touchline.app import outbox
from touchline.app.judging import judge_pending, judging
from touchline.app.leads import decide, replied
from touchline.app.pipeline import RECHECK

SMALLER = {**TOO_SMALL, "when": "employees < 500"}
OTHER = {"short": {"steps": [HELLO, AGAIN]}, "long": {"steps": [{**HELLO, "subject": "Long"}, AGAIN]}}
ROUTED = ("state", "state_reason", "sequence", "route_reason", "recheck_at")


def enrolled(office: Office, count: int = 1, **changes: object) -> None:
    """Leads with a planned first touch."""
    office.enrol(count, **changes)


def begun(office: Office, count: int = 1, **changes: object) -> None:
    """Leads that have got their first message."""
    enrolled(office, count, **changes)
    office.now = WEDNESDAY
    assert office.send() == {"sent": count}


# how far


@pytest.mark.parametrize(
    ("until", "decided", "state", "pending"),
    [
        ("harvest", [], "harvested", 1),
        ("score", ["fit"], "harvested", 1),
        ("qualify", ["fit", "address_status", "verdict"], "harvested", 1),
        ("route", ["fit", "address_status", "verdict", "sequence"], "harvested", 1),
        ("nurture", ["fit", "address_status", "verdict", "sequence"], "enrolled", 0),
    ],
)
@pytest.mark.parametrize("way", ["in the import", "in a run"])
def test_stages_run_as_far_as_asked(
    office: Office, way: str, until: str, decided: list, state: str, pending: int
) -> None:
    office.apply()
    office.load(office.people(1), until=until if way == "in the import" else "harvest")
    if way == "in a run" and until != "harvest":
        assert office.judge(until) == 1
    row = office.prospect()
    found = [name for name in ("fit", "address_status", "verdict", "sequence") if row[name] is not None]
    assert (found, row["state"], row["pending"]) == (decided, state, pending)
    assert row["campaign_version"] == (None if until == "harvest" else 1)
    assert len(office.touches()) == (until == "nurture")


def test_a_run_in_parts_ends_where_a_run_in_one_ends(office: Office) -> None:
    enrolled(office, 5)
    whole = office.decisions()
    office.apply(name="autumn", compatibility={"one_sequence_at_a_time": False})
    office.load(office.people(5), "autumn")
    for until in ("score", "qualify", "route", "nurture"):
        office.judge(until, campaign="autumn")
    parts = [row for row in office.decisions() if row["campaign_id"] == 2]
    same = {"campaign_id": 1, "message_id": None}
    assert [row | same for row in parts] == [row | same for row in whole]


@pytest.mark.parametrize("until", ["score", "qualify", "route"])
@pytest.mark.parametrize("written_to", [False, True])
def test_a_partial_run_leaves_the_route_of_who_is_enrolled(office: Office, until: str, written_to: bool) -> None:
    (begun if written_to else enrolled)(office)
    before, touches = office.prospect(), office.touches()
    office.apply(rules=[SMALLER], routes=[{**EVERYONE, "name": "other", "sequence": "long"}], sequences=OTHER)
    judged_version = office.stored().judged_version
    assert office.judge(until) == 1
    after = office.prospect()
    kept = ROUTED if until != "route" or written_to else ("state", "state_reason", "recheck_at")
    assert [after[name] for name in kept] == [before[name] for name in kept]
    assert office.touches() == touches
    assert after["pending"] == 1, "the rest of the work waits for a whole run"
    assert office.stored().judged_version == judged_version
    office.judge()
    assert office.prospect()["state"] == ("stopped" if written_to else "rejected")


# new versions


def test_a_new_version_judges_everyone_and_goes_on_behind_its_last_batch(either: Office) -> None:
    either.batch_rows = 10
    enrolled(either, 45)
    either.judge()
    either.apply(rules=[SMALLER])
    either.points.fail("judge-before-commit", nth=3)
    with pytest.raises(PowerCut):
        either.judge()
    stored = either.stored()
    assert (stored.judged_version, stored.version) == (1, 2)
    rejected = [p["id"] for p in either.rows(tables.prospects) if p["state"] == "rejected"]
    assert rejected == list(range(1, 21))
    assert stored.judge_cursor == 20
    assert either.judge() == 25
    assert {p["state"] for p in either.rows(tables.prospects)} == {"rejected"}
    stored = either.stored()
    assert (stored.judged_version, stored.judge_cursor) == (2, 0)
    assert either.judge() == 0


def test_a_limit_moves_the_cursor_by_as_much(office: Office) -> None:
    office.batch_rows = 10
    enrolled(office, 30)
    office.apply(tiers={"fit": (70, 40)})
    assert [office.judge(limit=25), office.stored().judge_cursor] == [25, 25]
    assert [office.judge(limit=25), office.stored().judge_cursor] == [5, 0]
    assert office.stored().judged_version == 2
    assert office.judge(limit=0) == 0


def test_a_version_that_comes_in_the_middle_of_a_pass_starts_from_the_first(office: Office) -> None:
    office.batch_rows = 10
    enrolled(office, 30)
    office.apply(tiers={"fit": (70, 40)})
    office.judge(limit=10)
    assert office.stored().judge_cursor == 10
    office.apply(rules=[SMALLER])
    assert office.judge() == 30


def test_a_version_that_comes_while_a_pass_is_under_way_is_the_one_everyone_is_judged_by(either: Office) -> None:
    either.batch_rows = 10
    enrolled(either, 30)
    either.apply(tiers={"fit": (70, 40)})
    either.points.at("judge-after-commit", lambda: either.apply(rules=[SMALLER]))
    assert either.judge() == 10 + 30
    assert Counter(p["state"] for p in either.rows(tables.prospects)) == {"rejected": 30}
    assert (either.stored().judged_version, either.stored().judge_cursor) == (3, 0)


def test_a_pass_that_is_overtaken_and_then_cut_short_goes_on_where_the_new_version_has_come(either: Office) -> None:
    either.batch_rows = 10
    enrolled(either, 30)
    either.apply(tiers={"fit": (70, 40)})
    either.points.at("judge-after-commit", lambda: either.apply(rules=[SMALLER]))
    either.points.fail("judge-after-commit", nth=2)
    with pytest.raises(PowerCut):
        either.judge()
    assert (either.stored().judged_version, either.stored().judge_cursor) == (1, 10)
    assert either.judge() == 20
    assert Counter(p["state"] for p in either.rows(tables.prospects)) == {"rejected": 30}


def test_prospects_set_aside_by_an_overtaken_pass_are_those_of_the_new_one(office: Office) -> None:
    office.batch_rows = 10
    enrolled(office, 30)
    work = judging(office.outside, office.apply(tiers={"fit": (70, 40)}), "nurture")
    work.batch(10)
    office.apply(rules=[SMALLER])
    assert work.set_aside(10) == {"after": 0, "prospects": 10}
    assert (office.stored().judged_version, office.stored().judge_cursor) == (1, 10)
    work.batch(100)
    assert (work.ended, office.stored().judged_version) == (True, 3)
    assert Counter(p["state"] for p in office.rows(tables.prospects)) == {"rejected": 20, "enrolled": 10}


def test_rows_that_stay_as_they_were_are_not_written(either: Office) -> None:
    enrolled(either, 3)
    before = either.rows(tables.prospects), either.rows(tables.touches)
    either.later(hours=1)
    either.apply(tiers={"fit": (70, 40)})
    assert either.judge() == 3
    assert (either.rows(tables.prospects), either.rows(tables.touches)) == before
    assert before[0][0]["campaign_version"] == 1, "this version made the parts"


def test_a_score_that_changes_carries_the_version_that_made_it(office: Office) -> None:
    enrolled(office)
    office.later(hours=1)
    icp = {"fit": {"size": {**SIZE, "cap": 50}}, "opportunity": {"seniority": SENIOR}}
    office.apply(icp=icp)
    office.judge()
    row = office.prospect()
    assert (row["fit"], row["campaign_version"], row["updated_at"]) == (50, 2, office.now)
    assert row["state"] == "enrolled"


def test_a_verdict_that_changes_beside_an_equal_score_keeps_the_scores_version(office: Office) -> None:
    enrolled(office)
    office.apply(rules=[SMALLER])
    office.judge()
    row = office.prospect()
    assert (row["verdict_reason"], row["campaign_version"]) == ("too small", 1)


def test_who_is_rejected_before_the_first_message_leaves_the_sequence(office: Office) -> None:
    enrolled(office)
    office.apply(rules=[SMALLER])
    office.judge()
    row, touch = office.prospect(), office.touch()
    assert (row["state"], row["sequence"]) == ("rejected", None)
    assert (touch["state"], touch["reason"]) == ("cancelled", "no longer routed to this sequence")
    office.apply()
    office.judge()
    row, touch = office.prospect(), office.touch()
    assert (row["state"], touch["state"], touch["reason"]) == ("enrolled", "planned", None)


def test_who_is_rejected_in_the_middle_of_a_sequence_is_stopped(either: Office) -> None:
    begun(either)
    either.apply(rules=[SMALLER])
    either.judge()
    row = either.prospect()
    assert (row["state"], row["state_reason"]) == ("stopped", "no longer qualified: too small")
    assert row["sequence"] == "short"
    assert either.touch(step=1)["state"] == "sent"
    assert either.touch(step=2)["state"] == "cancelled"
    either.apply()
    either.judge()
    assert either.prospect()["state"] == "stopped", "what was stopped stays so"


def test_who_is_held_in_the_middle_of_a_sequence_goes_on(office: Office) -> None:
    begun(office)
    office.apply(rules=[{**SMALLER, "then": "held"}])
    office.judge()
    assert office.prospect()["state"] == "enrolled"
    assert office.touch(step=2)["state"] == "planned"


def test_another_route_replaces_a_touch_that_has_not_gone_and_drops_its_approval(either: Office) -> None:
    enrolled(either, mode="review", sequences=OTHER)
    first = either.touch()
    done = outbox.approve(either.store, [first["id"]], by="mo", opt_out=either.opt_out, now=either.now)
    assert done.approved == 1
    assert either.touch()["approved_by"] == "mo"
    either.apply(mode="review", sequences=OTHER, routes=[{**EVERYONE, "sequence": "long"}])
    either.judge()
    again = either.touch()
    assert (again["id"], again["message_id"]) == (first["id"], first["message_id"])
    assert (again["sequence"], again["state"]) == ("long", "drafted")
    assert (again["approved_by"], again["subject"], again["text"]) == (None, None, None)


def test_another_route_does_not_touch_who_has_been_written_to(office: Office) -> None:
    begun(office, sequences=OTHER)
    office.apply(sequences=OTHER, routes=[{**EVERYONE, "sequence": "long"}])
    office.judge()
    assert office.prospect()["sequence"] == "short"
    assert office.touch(step=2)["sequence"] == "short"


def test_who_answered_is_not_judged_back_into_a_sequence(office: Office) -> None:
    begun(office)
    replied(office.store, ANN, office.now)
    office.apply(sequences=OTHER, routes=[{**EVERYONE, "sequence": "long"}])
    office.judge()
    row = office.prospect()
    assert (row["state"], row["state_reason"], row["pending"]) == ("replied", "replied", 0)


def test_who_was_enrolled_before_there_was_a_mailbox_gets_a_touch_when_there_is_one(office: Office) -> None:
    enrolled(office, mailboxes=[])
    assert (office.prospect()["state"], office.touches()) == ("enrolled", [])
    office.apply()
    office.judge()
    assert [touch["state"] for touch in office.touches()] == ["planned"]


def test_a_person_always_hears_from_the_same_mailbox_and_people_are_spread_over_them(office: Office) -> None:
    mailboxes = [office.mailbox(f"m{i}@quillmast.example") for i in range(3)]
    enrolled(office, 60, mailboxes=mailboxes)
    drawn = {t["prospect_id"]: t["mailbox"] for t in office.touches()}
    assert set(drawn.values()) == {m["address"] for m in mailboxes}
    office.now = WEDNESDAY
    assert office.send() == {"sent": 60}
    assert {t["prospect_id"]: t["mailbox"] for t in office.touches() if t["step"] == 2} == drawn


# persons


def test_a_persons_verdict_outlives_every_version(office: Office) -> None:
    office.apply(rules=[{**SMALLER, "then": "held"}])
    office.load(office.people(1), until="nurture")
    assert office.prospect()["state"] == "held"
    decide(office.store, ANN, "spring", "qualified", by="mo", reason="met at the fair", now=office.now)
    office.judge()
    assert office.touch()["state"] == "planned"
    office.apply(rules=[SMALLER])
    office.judge()
    row = office.prospect()
    assert (row["state"], row["verdict"], row["verdict_reason"]) == ("enrolled", "qualified", "mo: met at the fair")


def test_a_persons_no_outlives_every_version(office: Office) -> None:
    office.apply(otherwise="held")
    office.load(office.people(1), until="nurture")
    decide(office.store, ANN, "spring", "rejected", by="mo", reason="a customer", now=office.now)
    office.apply(otherwise="qualified")
    office.judge()
    row = office.prospect()
    assert (row["state"], row["verdict_reason"]) == ("rejected", "mo: a customer")


def test_a_persons_yes_cannot_make_an_address_take_mail(office: Office) -> None:
    office.zone["firm0.com"] = "null_mx"
    office.apply(otherwise="held")
    office.load(office.people(1), until="nurture")
    decide(office.store, ANN, "spring", "qualified", by="mo", reason="sure", now=office.now)
    office.judge()
    row = office.prospect()
    assert (row["state"], row["verdict_reason"]) == ("rejected", "address invalid: null_mx")


def test_a_persons_yes_cannot_make_up_for_a_missing_address(office: Office) -> None:
    office.apply()
    header = "Email,First Name,Profile URL"
    office.load(office.csv(",Cy,linkedin.com/in/cy", header=header), until="nurture")
    decide(office.store, "linkedin.com/in/cy", "spring", "qualified", by="mo", reason="sure", now=office.now)
    office.judge()
    assert office.rows(tables.prospects)[0]["state"] == "waiting"


def test_an_address_that_takes_mail_again_is_not_called_invalid_for_a_persons_sake(office: Office) -> None:
    office.zone["firm0.com"] = "nxdomain"
    office.apply(otherwise="held")
    office.load(office.people(1), until="nurture")
    decide(office.store, ANN, "spring", "qualified", by="mo", reason="sure", now=office.now)
    office.judge()
    assert office.prospect()["verdict_reason"] == "address invalid: no_domain"
    office.zone["firm0.com"] = "mx"
    office.later(days=30)
    office.apply(otherwise="held", rules=[])
    office.judge()
    row = office.prospect()
    assert row["address_status"] == "safe"
    assert not row["verdict_reason"].startswith("address invalid")


# looking again


def test_a_silent_name_server_makes_nobody_invalid_and_is_asked_again_after_a_day(either: Office) -> None:
    either.zone["firm0.com"] = "timeout"
    hold = {"name": "unknown address", "when": "address_status = 'unknown'", "then": "held"}
    enrolled(either, rules=[hold])
    row = either.prospect()
    assert (row["state"], row["address_reasons"]) == ("held", "|dns_timeout|")
    assert row["recheck_at"] == TUESDAY + RECHECK
    either.judge()  # the pass of the first version
    either.zone["firm0.com"] = "mx"
    either.later(hours=19)
    assert either.judge() == 0
    either.later(hours=1)
    assert either.judge() == 1
    row = either.prospect()
    assert (row["state"], row["recheck_at"], row["pending"]) == ("enrolled", None, 0)


def test_answers_of_the_dns_are_kept_for_days_and_silence_is_not(office: Office) -> None:
    office.zone["firm1.com"] = "timeout"
    enrolled(office, 2)
    asked = dict(office.dns.asked)
    office.apply(rules=[])
    office.judge()
    assert office.dns.asked["firm0.com"] == asked["firm0.com"]
    assert office.dns.asked["firm1.com"] > asked["firm1.com"]
    office.later(days=8)
    office.apply()
    office.judge()
    assert office.dns.asked["firm0.com"] > asked["firm0.com"]


def test_one_process_waits_once_for_a_domain_that_is_silent(office: Office) -> None:
    office.zone["firm0.com"] = "timeout"
    office.apply()
    outside = office.outside
    office.load(office.people(1))
    judge_pending(outside, office.stored(), "qualify", None)
    asked = office.dns.asked["firm0.com"]
    judge_pending(outside, office.stored(), "qualify", None)
    assert office.dns.asked["firm0.com"] == asked > 0
    assert office.prospect()["address_reasons"] == "|dns_timeout|"


def test_who_waits_for_another_sequence_is_looked_at_again_after_a_day(office: Office) -> None:
    begun(office)
    office.apply(name="autumn")
    office.load(office.people(1), "autumn", until="nurture")
    office.judge(campaign="autumn")
    row = office.prospect(campaign="autumn")
    assert (row["state"], row["route_reason"]) == ("unrouted", "in active sequence of campaign spring")
    replied(office.store, ANN, office.now)
    row = office.prospect(campaign="autumn")
    assert row["state"] == "replied", "an answer ends every sequence of this person"


def test_who_was_written_to_lately_is_looked_at_again_until_it_is_long_ago(office: Office) -> None:
    office.apply(sequences={"short": {"steps": [HELLO]}})
    office.load(office.people(1), until="nurture")
    office.now = WEDNESDAY
    office.send()
    assert office.prospect()["state"] == "finished"
    office.apply(name="autumn", compatibility={"quiet_days": 2})
    office.load(office.people(1), "autumn", until="nurture")
    office.judge(campaign="autumn")
    assert office.prospect(campaign="autumn")["route_reason"] == "contacted 0 days ago"
    office.later(days=1)
    assert office.judge(campaign="autumn") == 1
    assert office.prospect(campaign="autumn")["route_reason"] == "contacted 1 day ago"
    office.later(days=1)
    office.judge(campaign="autumn")
    assert office.prospect(campaign="autumn")["state"] == "enrolled"


def test_what_time_does_not_change_is_not_looked_at_again(office: Office) -> None:
    office.apply(compatibility={"blocked_countries": ["de"]})
    office.load(office.people(1), until="nurture")
    row = office.prospect()
    assert (row["state"], row["route_reason"], row["recheck_at"]) == ("unrouted", "country blocked: de", None)


# laws


def _dirty(office: Office) -> list[str]:
    office.zone |= {"firm1.com": "nxdomain", "firm2.com": "a", "firm3.com": "null_mx"}
    kinds = ("Germany", "Japan", "", "USA")
    return [
        f"ann{i % 13}@firm{i % 6}.com,Ann{i},{'CTO' if i % 3 else 'Intern'},Firm {i % 6},{(i * 37) % 300},{kinds[i % 4]}"
        for i in range(20)
    ]


def test_splitting_the_batches_changes_no_decision_and_no_message_id(office: Office) -> None:
    rows = _dirty(office)
    found = []
    for size in (1, 7, 50):
        office.batch_rows = size
        with office.store.transaction() as unit:
            for table in (tables.campaigns, tables.leads, tables.prospects, tables.touches, tables.imports,
                          tables.import_rows, tables.campaign_versions):  # fmt: skip
                unit.connection.execute(table.delete())
        office.apply()
        office.load(office.csv(*rows))
        office.judge()
        leads = {row["id"]: row["identity"] for row in office.rows(tables.leads)}
        prospects = {
            leads[row.pop("lead_id")]: {k: v for k, v in row.items() if k not in ("id", "campaign_id", "updated_at")}
            for row in office.rows(tables.prospects)
        }
        touches = sorted(
            tuple(row[k] for k in ("message_id", "due_at", "mailbox", "step", "state")) for row in office.touches()
        )
        found.append((prospects, touches))
    assert {row["state"] for row in found[0][0].values()} == {"rejected", "enrolled"}
    assert found[0] == found[1] == found[2]


def test_judging_twice_changes_nothing(office: Office) -> None:
    office.apply()
    office.load(office.csv(*_dirty(office)))
    office.judge()
    before = office.rows(tables.prospects), office.rows(tables.touches)
    with office.store.transaction() as unit:
        unit.connection.execute(tables.prospects.update().values(pending=1))
    office.later(hours=1)
    assert office.judge() == len(before[0])
    again = [{**row, "updated_at": None} for row in office.rows(tables.prospects)]
    assert again == [{**row, "updated_at": None} for row in before[0]]
    assert office.rows(tables.touches) == before[1]
    office.later(hours=1)
    office.apply(tiers={"fit": (66, 40)})
    office.judge()
    assert office.rows(tables.touches) == before[1]
