"""The pipeline from file to delivered mail, through the command line, on both databases."""

from email.parser import BytesParser
from email.policy import default

from world import MONDAY, TUESDAY, WEDNESDAY, World


def mails(world: World) -> list:
    return [BytesParser(policy=default).parsebytes(m.data) for m in world.smtp.messages]


def enrolled(world: World, count: int = 5, **values: object) -> None:
    world.set_up(**values)
    world.leads(count)
    world.run("import", "leads.csv", "-c", "spring")
    world.run("run", "-c", "spring", "--until", "nurture")


def test_a_file_becomes_delivered_mail_and_follow_ups_thread(world: World) -> None:
    enrolled(world)
    assert not world.smtp.messages
    sent = world.run("run", "-c", "spring", "--json", now=WEDNESDAY).json
    assert sent["sending"] == {"sent": 5}
    world.run("run", "-c", "spring", now=MONDAY)
    first, last = mails(world)[:5], mails(world)[5:]
    assert sorted(m["Subject"] for m in first) == sorted(f"Hello Ann{c}" for c in "abcde")
    by_id = {m["Message-ID"]: m for m in first}
    for mail in last:
        answered = by_id[mail["In-Reply-To"]]
        assert mail["Subject"] == f"Re: {answered['Subject']}"
        assert (mail["To"], mail["From"]) == (answered["To"], answered["From"])
        assert mail["References"] == answered["Message-ID"]
    shown = world.run("campaign", "show", "spring", "--json").json
    assert [(line["stage"], line["count"]) for line in shown["lines"]] == [("finished", 5)]


def test_every_message_shows_the_way_out_and_the_postal_address(world: World) -> None:
    enrolled(world, 1)
    world.run("run", "-c", "spring", now=WEDNESDAY)
    mail = mails(world)[0]
    for kind in ("plain", "html"):
        text = mail.get_body((kind,)).get_content()
        assert "1 Example Row, Dublin" in text
        assert "I will not write again" in text
    assert mail["List-Unsubscribe"].startswith("<mailto:mara@quillmast.example?subject=unsubscribe%20")
    assert mail["List-Unsubscribe-Post"] is None


def test_in_review_mode_nothing_leaves_without_a_yes(world: World) -> None:
    enrolled(world, 3, mode="review")
    assert world.run("run", "-c", "spring", "--json", now=WEDNESDAY).json["sending"] == {}
    drafts = world.run("outbox", "list", "--json").json
    assert len(drafts) == 3
    yes, no, _ = (str(draft["touch_id"]) for draft in drafts)
    world.run("outbox", "approve", yes)
    world.run("outbox", "reject", no, "--reason", "a customer")
    assert world.run("run", "-c", "spring", "--json", now=WEDNESDAY).json["sending"] == {"sent": 1}
    assert mails(world)[0].get_body(("plain",)).get_content().split() == drafts[0]["text"].split()
    world.run("run", "-c", "spring", now=MONDAY)
    assert len(world.smtp.messages) == 1, "the follow-up waits for its own yes"


def test_a_suppressed_address_is_never_sent_to_however_late_it_is_suppressed(world: World) -> None:
    world.set_up()
    world.leads(4)
    world.run("suppress", "add", "ANN0+spring@firm0.com")
    done = world.run("import", "leads.csv", "-c", "spring", "--json").json
    assert done["counts"] == {"new": 3, "updated": 0, "duplicate": 0, "suppressed": 1, "rejected": 0}
    world.run("run", "-c", "spring", "--until", "nurture")
    world.run("suppress", "add", "firm1.com")
    world.run("run", "-c", "spring", now=WEDNESDAY)
    assert sorted(m.rcpt_to[0] for m in world.smtp.messages) == ["ann2@firm2.com", "ann3@firm3.com"]


def test_stop_holds_everything_until_start(world: World) -> None:
    enrolled(world, 2)
    world.run("stop", "--all", "--reason", "fire drill")
    assert world.run("run", "-c", "spring", "--json", now=WEDNESDAY).json["sending"] == {"stopped": 1}
    assert not world.smtp.messages
    world.run("start")
    assert world.run("run", "-c", "spring", "--json", now=WEDNESDAY).json["sending"] == {"sent": 2}


def test_a_mailbox_sends_no_more_than_its_cap_in_any_24_hours(world: World) -> None:
    enrolled(world, 7, cap=3)
    sent = [
        world.run("run", "-c", "spring", "--json", now=now).json["sending"].get("sent", 0)
        for now in (WEDNESDAY, "2027-03-10T15:30:00Z", "2027-03-11T14:59:00Z", "2027-03-11T15:00:01Z")
    ]
    assert sent == [3, 0, 0, 3]


def test_nothing_is_sent_outside_the_recipients_window(world: World) -> None:
    enrolled(world, 3)
    for now in ("2027-03-10T03:00:00Z", "2027-03-13T12:00:00Z", "2027-03-26T12:00:00Z"):  # night, Saturday, Good Friday
        assert world.run("run", "-c", "spring", "--json", now=now).json["sending"].get("sent", 0) == 0
    assert not world.smtp.messages
    assert world.run("run", "-c", "spring", "--json", now="2027-03-31T14:30:00Z").json["sending"].get("sent", 0) > 0


def test_who_answered_gets_no_follow_up(world: World) -> None:
    enrolled(world, 2)
    world.run("run", "-c", "spring", now=WEDNESDAY)
    world.run("leads", "replied", "ann0@firm0.com", now=WEDNESDAY)
    world.run("run", "-c", "spring", now=MONDAY)
    assert sorted(m.rcpt_to[0] for m in world.smtp.messages) == ["ann0@firm0.com", "ann1@firm1.com", "ann1@firm1.com"]


def test_importing_the_same_file_again_changes_nothing(world: World) -> None:
    enrolled(world, 5)
    before = world.run("leads", "list", "--json").json
    done = world.run("import", "leads.csv", "-c", "spring", "--json").json
    assert done["counts"] == {"new": 0, "updated": 0, "duplicate": 5, "suppressed": 0, "rejected": 0}
    assert world.run("leads", "list", "--json").json == before


def test_a_dry_run_says_what_would_happen_and_keeps_nothing(world: World) -> None:
    world.set_up()
    world.leads(90)
    done = world.run("import", "leads.csv", "-c", "spring", "--dry-run", "--json").json
    assert (done["rows"], done["counts"]["new"]) == (90, 90)
    assert world.run("leads", "list", "--json").json == []
    assert world.run("imports", "list", "--json").json == []


def test_a_new_version_judges_everyone_again_and_moves_who_has_not_been_written_to(world: World) -> None:
    enrolled(world, 3)
    text = (world.home / "test.toml").read_text().replace("employees < 10", "employees < 500")
    (world.home / "v2.toml").write_text(text)
    assert "version 2" in world.run("campaign", "apply", "v2.toml").out
    world.run("run", "-c", "spring", now=WEDNESDAY)
    assert not world.smtp.messages
    shown = world.run("campaign", "show", "spring", "--json").json
    assert [(x["stage"], x["reason"], x["count"]) for x in shown["lines"]] == [("rejected", "too small", 3)]
    assert shown["touches"] == {"cancelled": 3}


def test_an_exported_campaign_applies_as_the_same_campaign(world: World) -> None:
    world.set_up()
    text = world.run("campaign", "export", "spring").out
    (world.home / "again.toml").write_text(text)
    assert "unchanged" in world.run("campaign", "apply", "again.toml").out
    assert world.run("campaign", "export", "spring").out == text


def test_explain_tells_the_journey(world: World) -> None:
    enrolled(world, 1)
    world.run("run", "-c", "spring", now=WEDNESDAY)
    told = world.run("explain", "Ann0@firm0.com", "--json").json
    campaign = told["campaigns"][0]
    assert sum(part["points"] for part in campaign["score"] if part["axis"] == "fit") == campaign["fit"] == 60
    assert campaign["verdict"] == "qualified"
    assert campaign["next_touch"]["step"] == 2
    assert [event["what"] for event in told["happened"]][-1] == "sent step 1"
    text = world.run("explain", "ann0@firm0.com").out
    assert "50 to 500" in text
    assert "next     step 2" in text


def test_leads_added_by_hand_go_the_same_way(world: World) -> None:
    world.set_up()
    world.run(
        "leads", "add", "-c", "spring", "--email", "Bo@firm1.com", "--set", "first_name=Bo", "--set", "employees=80"
    )
    world.run(
        "leads", "add", "-c", "spring", "--set", "profile_url=https://linkedin.com/in/cy", "--set", "first_name=Cy"
    )
    world.run("run", "-c", "spring", "--until", "nurture", now=TUESDAY)
    shown = world.run("campaign", "show", "spring", "--json").json
    assert {line["stage"]: line["count"] for line in shown["lines"]} == {"enrolled": 1, "waiting": 1}


def test_a_rejected_row_keeps_its_cells_so_that_a_person_can_mend_it(sqlite_world: World) -> None:
    sqlite_world.set_up()
    (sqlite_world.home / "bad.csv").write_text("Email,First Name\njane(at)firm1.com,Jane\n")
    sqlite_world.run("import", "bad.csv", "-c", "spring")
    aside = sqlite_world.run("imports", "show", "1", "--json").json["set_aside"]
    assert [(row["reason"], row["raw"]) for row in aside] == [
        ("bad_address", '{"email": "jane(at)firm1.com", "first_name": "Jane"}')
    ]
