"""`touchline schedule` from the outside: what a person sees, changes and starts, and what is refused."""

import sqlite3
from contextlib import closing

import pytest

from world import CAMPAIGN, TUESDAY, World

DAILY = "daily:spring"


@pytest.fixture
def ready(sqlite_world: World) -> World:
    sqlite_world.set_up()
    return sqlite_world


def refused(world: World, *argv: str, code: int) -> str:
    done = world.run("schedule", *argv, code=code)
    assert done.out == ""
    assert "Traceback" not in done.err
    return done.err


def test_what_a_run_by_hand_did_is_told(sqlite_world: World) -> None:
    sqlite_world.set_up()
    sqlite_world.leads(3)
    sqlite_world.apply(CAMPAIGN.replace("[sender]", '[[sources]]\npath = "leads.csv"\n\n[sender]', 1))
    sqlite_world.run("run", "-c", "spring", "--until", "nurture")
    said = sqlite_world.run("runs", "show", "1").out
    assert "did       3 new" in said
    assert "batch" not in said
    assert "3 new" in sqlite_world.run("runs", "list").out


def test_a_database_of_a_newer_version_is_left_alone(sqlite_world: World) -> None:
    sqlite_world.set_up()
    with closing(sqlite3.connect(sqlite_world.home / "touchline.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    for command in (("serve",), ("init", "--yes"), ("runs", "list")):
        done = sqlite_world.run(*command, code=78)
        assert "was set up by a newer Touchline: it is at 9999" in done.err
        assert "Install that version." in done.err


def test_the_list_shows_what_starts_by_itself_when_in_its_own_zone_and_in_utc(ready: World) -> None:
    rows = {row["name"]: row for row in ready.run("schedule", "list", "--json").json}
    assert list(rows) == [DAILY, "health", "retention", "send:spring"]
    wanted = {
        "job": "daily",
        "campaign": "spring",
        "state": "active",
        "campaign_state": "active",
        "queue": "batch",
        "when": "daily 02:00-06:00 Europe/Berlin",
        "zone": "Europe/Berlin",
        "last_slot": None,
        "due": None,
        "next_at": "2027-03-10T01:00:00+00:00",
        "next_local": "2027-03-10T02:00:00+01:00",
    }
    assert wanted.items() <= rows[DAILY].items()
    assert rows[DAILY]["timing"]["opens"] == "02:00"
    shown = ready.run("schedule", "list").out
    for word in ("daily:spring", "Europe/Berlin", "Wed 2027-03-10", "every minute", "paused"):
        assert (word in shown) == (word != "paused")
    assert "Due now" not in shown
    assert (
        "started as soon as a worker runs: daily:spring, retention"
        in ready.run("schedule", "list", now="2027-03-10T03:00:00Z").out
    )


def test_a_window_is_changed_by_what_is_given_and_the_rest_stays(ready: World) -> None:
    said = ready.run("schedule", "set", DAILY, "--opens", "22:00", "--closes", "4:00", "--days", "fri-mon").out
    assert said == (
        "daily:spring: mon, fri, sat, sun 22:00-04:00 Europe/Berlin; "
        "next Fri 2027-03-12 22:00 Europe/Berlin, 2027-03-12 21:00 UTC\n"
    )
    changed = ready.run("schedule", "set", DAILY, "--until", "score", "--days", "Mon, wed", "--json").json
    assert changed["when"] == "mon, wed 22:00-04:00 Europe/Berlin, until score"
    said = ready.run("schedule", "set", "send:spring", "--every", "300").out
    assert said == "send:spring: every 5 minutes; a worker starts it now\n"


def test_a_paused_schedule_starts_nothing_until_it_is_resumed(ready: World) -> None:
    assert ready.run("schedule", "pause", DAILY).out == "daily:spring: was active, starts nothing now\n"
    assert ready.run("schedule", "pause", "health", "--json").json == {
        "name": "health",
        "before": "active",
        "state": "paused",
    }
    assert ready.run("schedule", "set", DAILY, "--opens", "03:00").out.endswith("; starts nothing, paused\n")
    assert ready.run("schedule", "list").out.count("paused") == 2
    said = ready.run("schedule", "resume", DAILY).out
    assert (
        said == "daily:spring: was paused, active now; next Wed 2027-03-10 03:00 Europe/Berlin, 2027-03-10 02:00 UTC\n"
    )
    resumed = ready.run("schedule", "resume", "health", "--json").json
    assert (resumed["before"], resumed["state"], resumed["due"]) == ("paused", "active", "2027-03-09T05:00:00Z")


def test_a_run_that_is_started_now_waits_for_a_worker_and_says_so(ready: World) -> None:
    said = ready.run("schedule", "run-now", DAILY).out
    assert said.startswith("run 1 is queued: daily:spring\n")
    assert "touchline worker, or touchline serve" in said
    again = refused(ready, "run-now", DAILY, code=77)
    assert "daily:spring is queued already, as run 1." in again
    assert "touchline runs show 1" in again
    run = ready.run("schedule", "run-now", "retention", "--json").json
    assert (run["id"], run["job"], run["state"], run["slot"]) == (2, "retention", "queued", None)
    ready.run("campaign", "pause", "spring")
    assert "touchline campaign start spring" in refused(ready, "run-now", "send:spring", code=77)
    assert "active, campaign" in ready.run("schedule", "list").out


def test_a_schedule_that_a_clock_left_ahead_says_so_and_how_to_go_on(ready: World) -> None:
    ready.run("schedule", "list")
    with closing(sqlite3.connect(ready.home / "touchline.db")) as database, database:
        database.execute("UPDATE schedules SET last_slot = '2027-03-12' WHERE name = ?", [DAILY])
    assert f"a clock was set back: touchline schedule resume {DAILY}" in ready.run("schedule", "list").out
    assert ready.run("schedule", "resume", DAILY, "--json").json["next_at"] == "2027-03-10T01:00:00+00:00"
    assert "set back" not in ready.run("schedule", "list").out


def test_what_cannot_be_is_refused_in_one_message_and_changes_nothing(ready: World) -> None:
    before = ready.run("schedule", "list", "--json").json
    for options, told in (
        ((), "Say what shall change."),
        (("--zone", "Europe/Berln"), "did you mean 'Europe/Berlin'?"),
        (("--days", "monday"), "did you mean 'mon'?"),
        (("--days", "mon-friday"), "is not one of mon, tue"),
        (("--days", ""), "is not one of mon, tue"),
        (("--opens", "25:00"), "'25:00' is not a time of day"),
        (("--opens", "06:00"), "opens and closes at 06:00"),
        (("--opens", "\x1b[2J"), "U+001B cannot be printed"),
        (("--until", "nuture"), "did you mean 'nurture'?"),
        (("--every", "60"), "daily:spring has no every"),
    ):
        err = refused(ready, "set", DAILY, *options, code=65)
        assert told in err
        assert "\x1b" not in err
    assert "health has no zone: it starts every minute." in refused(ready, "set", "health", "--zone", "UTC", code=65)
    assert "less than or equal to 604800" in refused(ready, "set", "health", "--every", str(2**63), code=65)
    for command in ("pause", "resume", "run-now"):
        assert "did you mean 'daily:spring'?" in refused(ready, command, "dayly:spring", code=66)
    assert ready.run("schedule", "list", "--json", now=TUESDAY).json == before
