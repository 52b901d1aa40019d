"""kill -9 at each named point between import and send: nothing is lost, nothing is sent twice, the mail server's log is the witness."""

import os
import random

import pytest

from world import TUESDAY, WEDNESDAY, World

IMPORT = ("import-before-commit", "import-after-commit")
JUDGE = ("judge-before-commit", "judge-after-commit")
SEND = (
    "claimed",
    "recipient-accepted",
    "sending-before-commit",
    "sending-committed",
    "answered",
    "settle-before-commit",
    "settle-committed",
)
POINTS = (*IMPORT, *JUDGE, *SEND)
LEADS = 100


def again(world: World, *argv: str, point: str, nth: int, now: str) -> None:
    """Run a command that is killed at the n-th passing of a point, then run it again to its end."""
    killed = world.run(*argv, now=now, code=None, TOUCHLINE_KILL_AT=f"{point}:{nth}")
    assert killed.code in (-9, 0), killed.err
    if killed.code:
        world.run(*argv, now=now)


def settle_uncertain(world: World) -> int:
    """Settle what is uncertain as a person would who looks into the server's log; gives how many there were."""
    delivered = world.delivered()
    drafts = world.run("outbox", "list", "--state", "uncertain", "--limit", "1000", "--json").json
    for draft in drafts:
        fate = "sent" if draft["message_id"] in delivered else "resend"
        world.run("outbox", "resolve", str(draft["touch_id"]), "--as", fate, now=WEDNESDAY)
    return len(drafts)


def through(world: World, point: str, nth: int) -> int:
    """The whole way with one kill; gives how many touches were uncertain."""
    world.set_up()
    world.leads(LEADS)
    argv = ("import", "leads.csv", "-c", "spring")
    if point in IMPORT:
        again(world, *argv, point=point, nth=nth, now=TUESDAY)
    else:
        world.run(*argv)
    argv = ("run", "-c", "spring", "--until", "nurture")
    if point in JUDGE:
        again(world, *argv, point=point, nth=nth, now=TUESDAY)
    else:
        world.run(*argv)
    if point in SEND:
        again(world, "run", "-c", "spring", point=point, nth=nth, now=WEDNESDAY)
    uncertain = settle_uncertain(world)
    world.run("run", "-c", "spring", now=WEDNESDAY)
    return uncertain


def check(world: World, messages: int) -> None:
    """Every lead is there once, every message was taken once, and the ledger says so."""
    shown = world.run("campaign", "show", "spring", "--json").json
    assert shown["prospects"] == LEADS
    delivered = world.delivered()
    assert len(delivered) == messages
    assert set(delivered.values()) == {1}, "a message was taken twice"
    assert shown["touches"].get("sent") == messages
    assert not set(shown["touches"]) & {"claimed", "sending", "uncertain"}
    listed = world.run("imports", "list", "--json").json
    assert [row["state"] for row in listed] == ["done"]
    assert listed[0]["rows"] == LEADS == listed[0]["new"]


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_any_point_loses_and_doubles_nothing(world: World, point: str) -> None:
    uncertain = through(world, point, nth=2)
    # Once `sending` is on disk nobody can know whether the message left: that one, and only that one, asks a person.
    assert uncertain == (1 if point in ("sending-committed", "answered", "settle-before-commit") else 0)
    check(world, LEADS)


def test_a_killed_import_leaves_a_whole_number_of_batches(world: World) -> None:
    world.set_up()
    world.leads(LEADS)
    world.run("import", "leads.csv", "-c", "spring", code=-9, TOUCHLINE_KILL_AT="import-before-commit:2")
    assert world.run("campaign", "show", "spring", "--json").json["prospects"] == 40
    row = world.run("imports", "list", "--json").json[0]
    assert (row["state"], row["rows"], row["new"]) == ("running", 40, 40)
    done = world.run("import", "leads.csv", "-c", "spring", "--json").json
    assert (done["rows"], done["resumed_at"]) == (LEADS, 40)


def test_follow_ups_after_a_kill_answer_the_first_message(world: World) -> None:
    through(world, "settle-before-commit", nth=3)
    world.run("run", "-c", "spring", now="2027-03-16T15:00:00Z")
    check(world, 2 * LEADS)


@pytest.mark.parametrize("seed", range(int(os.environ.get("TOUCHLINE_CHAOS_KILLS", "6")) // 2))
def test_random_kills_lose_and_double_nothing(world: World, seed: int) -> None:
    dice = random.Random(seed)
    through(world, dice.choice(POINTS), nth=dice.randint(1, LEADS))
    check(world, LEADS)
