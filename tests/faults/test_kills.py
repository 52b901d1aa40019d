"""kill -9 between import and send, at named points and at random moments: nothing is lost, nothing is sent twice.

The mail server's log, on disk before the server says yes, is the witness.
"""

import os
import random
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import default
from typing import Any

import pytest
from books import Books, check_mail

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
UNKNOWN = ("sending-committed", "answered", "settle-before-commit")
"""Once `sending` is on disk nobody can know whether the message left: that one, and only that one, asks a person."""

LEADS = 30
BATCH = 10

KILLS = int(os.environ.get("TOUCHLINE_CHAOS_KILLS", "20"))
A_WORLD = 10
"""Kills that one installation suffers, so that many kills cost little more than the work between them."""
ON_EACH = -(-KILLS // 2)
"""Kills on each database."""

STEP = {"import": ("import", "leads.csv", "-c", "spring"), "judge": ("run", "-c", "spring", "--until", "nurture")}


@pytest.fixture
def ready(world: World) -> World:
    """An installation that works in many small batches."""
    world.extra["TOUCHLINE_BATCH_ROWS"] = str(BATCH)
    world.set_up()
    return world


def killed(world: World, *argv: str, point: str, nth: int = 2, now: str = TUESDAY) -> None:
    world.run(*argv, now=now, code=-9, TOUCHLINE_KILL_AT=f"{point}:{nth}")
    Books.of(world).check(BATCH, LEADS)


def uncertain(world: World) -> list[dict[str, Any]]:
    """What a person is asked about; those and only those are of unknown fate."""
    listed: list[dict[str, Any]] = world.run("outbox", "list", "--state", "uncertain", "--limit", "1000", "--json").json
    books = Books.of(world)
    assert {draft["message_id"] for draft in listed} == books.messages("uncertain")
    assert not books.messages("claimed", "sending"), "something is stuck"
    check_mail(world, books)
    return listed


def settle(world: World, drafts: list[dict[str, Any]]) -> None:
    """Settle what is uncertain as a person would who looks into the server's log."""
    delivered = world.delivered()
    for draft in drafts:
        fate = "sent" if draft["message_id"] in delivered else "resend"
        world.run("outbox", "resolve", str(draft["touch_id"]), "--as", fate, now=WEDNESDAY)


def check(world: World, leads: int, messages: int) -> None:
    """Every lead is there once, every message was taken once, and the ledger says so."""
    books = Books.of(world)
    books.check(BATCH, LEADS)
    assert sorted(row["email"] for row in books.leads) == sorted(f"ann{i}@firm{i % 7}.com" for i in range(leads))
    assert {row["state"] for row in books.imports} == {"done"}
    assert sum(row["rows"] for row in books.imports) == leads
    assert world.delivered() == dict.fromkeys(books.messages("sent"), 1)
    assert len(books.messages("sent")) == messages
    assert not books.messages("claimed", "sending", "uncertain")


def test_a_kill_at_each_named_point_loses_and_doubles_nothing(ready: World) -> None:
    ready.leads(LEADS)
    for work, points in (("import", IMPORT), ("judge", JUDGE)):
        for point in points:
            killed(ready, *STEP[work], point=point)
        ready.run(*STEP[work])
    for nth, point in enumerate(SEND):
        killed(ready, "run", "-c", "spring", point=point, nth=1 if point == "claimed" else 2, now=WEDNESDAY)
        asked = [before in UNKNOWN for before in SEND[:nth]].count(True)
        assert len(Books.of(ready).messages("uncertain")) == asked, point
    ready.run("run", "-c", "spring", now=WEDNESDAY)
    drafts = uncertain(ready)
    assert len(drafts) == len(UNKNOWN)
    # At the first of the three points the message had not left yet, at the others the server had it.
    assert [draft["message_id"] in ready.delivered() for draft in drafts].count(False) == 1
    settle(ready, drafts)
    ready.run("run", "-c", "spring", now=WEDNESDAY)
    check(ready, LEADS, LEADS)


def test_a_killed_import_leaves_a_whole_number_of_batches_and_goes_on_behind_them(ready: World) -> None:
    ready.leads(LEADS)
    killed(ready, *STEP["import"], point="import-before-commit", nth=3)
    row = ready.run("imports", "list", "--json").json[0]
    assert (row["state"], row["rows"], row["new"]) == ("running", 2 * BATCH, 2 * BATCH)
    done = ready.run(*STEP["import"], "--json").json
    assert (done["rows"], done["resumed_at"]) == (LEADS, 2 * BATCH)


def test_a_run_that_was_killed_is_told_to_have_failed_when_the_next_one_begins(ready: World) -> None:
    ready.leads(BATCH)
    ready.run(*STEP["import"])
    killed(ready, *STEP["judge"], point="judge-before-commit", nth=1)

    def told() -> list[tuple[str, str]]:
        return [(row["state"], row["error"] or "") for row in ready.run("runs", "list", "--json").json]

    assert told() == [("running", "")]
    ready.run(*STEP["judge"])
    assert told() == [("done", ""), ("failed", "its process was killed; what it did is kept, and the next run goes on")]


def test_follow_ups_after_a_kill_answer_the_first_message(ready: World) -> None:
    ready.leads(BATCH)
    for work in STEP.values():
        ready.run(*work)
    ready.run("run", "-c", "spring", now=WEDNESDAY, code=-9, TOUCHLINE_KILL_AT="settle-before-commit:3")
    ready.run("run", "-c", "spring", now=WEDNESDAY)
    settle(ready, uncertain(ready))
    ready.run("run", "-c", "spring", now="2027-03-16T15:00:00Z")
    check(ready, BATCH, 2 * BATCH)
    mails = [BytesParser(policy=default).parsebytes(message.data) for message in ready.smtp.messages]
    first = {mail["To"]: mail["Message-ID"] for mail in mails[:BATCH]}
    assert {mail["To"]: mail["In-Reply-To"] for mail in mails[BATCH:]} == first


@dataclass
class Siege:
    """One installation that is killed again and again while it works, at moments that the dice choose."""

    world: World
    dice: random.Random
    left: int
    """Kills to come."""
    leads: int = 0
    took: dict[str, float] = field(default_factory=lambda: dict.fromkeys(("import", "judge", "send"), 0.5))
    """Seconds that each kind of work takes when it is left alone."""

    def moment(self, work: str) -> dict[str, Any]:
        """A moment within this work: the n-th point that is passed, whichever it is, or some time after its start."""
        if self.dice.random() < 0.4:
            most = 4 * LEADS if work == "send" else 2 * LEADS // BATCH
            return {"TOUCHLINE_KILL_AT": f"any:{self.dice.randint(1, most)}"}
        return {"killed_after": self.dice.uniform(0, self.took[work])}

    def insist(self, work: str, *argv: str, now: str) -> None:
        """Run a command until it comes to its end."""
        while self.left and self.dice.random() < 0.8:
            moment = self.moment(work)
            done = self.world.run(*argv, now=now, code=None, **moment)
            assert done.code in (0, -9), (moment, done.err)
            books = Books.of(self.world)
            books.check(BATCH, LEADS)
            check_mail(self.world, books)
            self.left -= done.code != 0
            # Killed after its last commit an import has ended too; the same file again would be a new one, of duplicates.
            loaded = sum(row["new"] for row in books.imports if row["state"] == "done")
            if done.code == 0 or (work == "import" and loaded == self.leads):
                return
        self.took[work] = self.world.run(*argv, now=now).seconds

    def day(self) -> None:
        """A new file comes, is judged, and its messages leave."""
        self.world.leads(LEADS, start=self.leads)
        self.leads += LEADS
        self.insist("import", *STEP["import"], now=TUESDAY)
        self.insist("judge", *STEP["judge"], now=TUESDAY)
        self.insist("send", "run", "-c", "spring", now=WEDNESDAY)
        settle(self.world, uncertain(self.world))


@pytest.mark.parametrize("seed", range(-(-ON_EACH // A_WORLD)))
def test_kills_at_random_moments_lose_and_double_nothing(ready: World, seed: int) -> None:
    siege = Siege(ready, random.Random(seed), min(A_WORLD, ON_EACH - seed * A_WORLD))
    while siege.left:
        siege.day()
    ready.run("run", "-c", "spring", now=WEDNESDAY)
    check(ready, siege.leads, siege.leads)
