"""Alerts: told once, again after a while, once more when it is over; held in quiet hours; never lost, never told into the void."""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from office import TUESDAY, Office
from structlog.testing import capture_logs

from touchline.adapters.store.store import Store
from touchline.app import schedules
from touchline.app.alerts import CALM, PATIENCE, Answer, Etiquette, Notice, Watch, settle, tell
from touchline.app.health import Finding
from touchline.app.ports import Row
from touchline.model.errors import StoreUnavailable

NOON = TUESDAY + timedelta(hours=7)
QUIET = Etiquette(quiet=(time(22), time(7)), zone="Europe/Berlin")
NIGHT = datetime.fromisoformat("2027-03-10T02:30:00+01:00")
MORNING = datetime.fromisoformat("2027-03-10T07:00:00+01:00")


@dataclass
class Pager:
    """Somebody who is told, unless the line is down."""

    up: bool = True
    told: list[Notice] = field(default_factory=list)

    def tell(self, notice: Notice) -> bool:
        if self.up:
            self.told.append(notice)
        return self.up

    def each(self, notice: Notice) -> list[Answer]:
        return [Answer(1, "pager", self.tell(notice))]

    @property
    def titles(self) -> list[str]:
        return [notice.title for notice in self.told]


def trouble(name: str = "disk", level: str = "degraded") -> Finding:
    return Finding(f"{name}: matter", name, level, f"{name} is not well", f"touchline mend {name}")  # type: ignore[arg-type]


class Desk:
    """A store, its alerts, and who is told."""

    def __init__(self, store: Store, etiquette: Etiquette = QUIET, now: datetime = NOON) -> None:
        self.store, self.etiquette, self.now, self.pager = store, etiquette, now, Pager()

    def tick(self, *findings: Finding, **later: float) -> int:
        self.now += timedelta(**later)
        with self.store.transaction() as unit:
            settle(unit, findings, self.now)
        return tell(self.store, self.pager, self.etiquette, self.now)

    def row(self, key: str = "disk: matter") -> Row:
        with self.store.reading() as unit:
            return next(row for row in unit.alerts.listed() if row["key"] == key)


@pytest.fixture
def desk(either: Office) -> Desk:
    return Desk(either.store)


@pytest.fixture
def small(office: Office) -> Desk:
    return Desk(office.store)


def test_a_trouble_is_told_once_with_reason_time_and_command(desk: Desk) -> None:
    assert desk.tick(trouble()) == 1
    for _ in range(5):
        assert desk.tick(trouble(), minutes=1) == 0
    (notice,) = desk.pager.told
    assert (notice.title, notice.level) == ("Touchline degraded: disk: matter", "degraded")
    said = "DEGRADED  disk: disk is not well\n    since 2027-03-09 12:00 UTC\n    -> touchline mend disk"
    assert notice.body == said


def test_what_stays_wrong_is_told_again_after_the_time_that_the_settings_say(desk: Desk) -> None:
    desk.tick(trouble())
    assert desk.tick(trouble(), hours=23.9) == 0
    assert desk.tick(trouble(), hours=0.1) == 1
    assert desk.tick(trouble(), minutes=1) == 0


def test_several_troubles_are_one_message_with_the_worst_first(desk: Desk) -> None:
    assert desk.tick(trouble("disk"), trouble("workers", "failed"), trouble("touches")) == 3
    (notice,) = desk.pager.told
    assert notice.title == "Touchline failed: workers: matter and 2 more"
    heads = [line.split("  ")[1] for line in notice.body.splitlines() if not line.startswith(" ")]
    assert [head.split(":")[0] for head in heads] == ["workers", "disk", "touches"]


def mailbox(number: int, error: str = "421 no route") -> Finding:
    rests = f"it rests until 2027-03-09 12:{number:02} UTC"
    key, reason = f"mailboxes: m{number:02}@x.example", f"m{number:02}@x.example: {error}; {rests}"
    return Finding(key, "mailboxes", "degraded", reason, "touchline doctor")


def test_mailboxes_with_one_trouble_are_told_together_and_five_of_them_named(desk: Desk) -> None:
    assert desk.tick(*(mailbox(n) for n in range(40)), mailbox(41, "535 no")) == 41
    desk.tick(minutes=6)
    wrong, over = desk.pager.told
    named = ", ".join(f"m0{n}@x.example" for n in range(5)) + " and 35 more"
    assert wrong.body.splitlines() == [
        f"DEGRADED  mailboxes: {named}: 421 no route; it rests until 2027-03-09 12:39 UTC",
        "    since 2027-03-09 12:00 UTC",
        "    -> touchline doctor",
        "DEGRADED  mailboxes: m41@x.example: 535 no; it rests until 2027-03-09 12:41 UTC",
        "    since 2027-03-09 12:00 UTC",
        "    -> touchline doctor",
    ]
    assert wrong.title == "Touchline degraded: mailboxes: m00@x.example and 40 more"
    assert over.body.splitlines()[:3] == [
        f"OVER  mailboxes: {named}",
        "    it was: 421 no route; it rests until 2027-03-09 12:39 UTC",
        "    from 2027-03-09 12:00 UTC to 2027-03-09 12:06 UTC",
    ]


def test_the_log_names_the_mailbox_that_an_alert_is_about(desk: Desk) -> None:
    with capture_logs() as logs:
        desk.tick(mailbox(1))
        desk.tick(minutes=6)
    assert [(each["event"], each["key"], each["mailbox"]) for each in logs] == [
        ("alert.opened", "mailboxes", "m01@x.example"),
        ("alert.closed", "mailboxes", "m01@x.example"),
    ]


def test_schedules_with_one_trouble_are_told_together(desk: Desk) -> None:
    names = ("daily:a", "daily:b")
    desk.tick(*(Finding(f"{one}: time", one, "failed", "nothing has been started", "touchline serve") for one in names))
    assert desk.pager.told[0].body.startswith("FAILED  daily:a, daily:b: nothing has been started\n")


def test_a_hundred_troubles_are_a_message_that_can_be_read(desk: Desk) -> None:
    assert desk.tick(*(trouble(f"s{n}") for n in range(100))) == 100
    assert desk.pager.told[0].body.count("DEGRADED") == 20
    assert desk.pager.told[0].body.endswith("and 80 more\n    -> touchline health")
    assert desk.tick(minutes=6) == 100
    assert desk.pager.told[1].body.count("OVER") == 20


def test_what_is_over_is_told_once_after_a_while_of_calm(desk: Desk) -> None:
    desk.tick(trouble())
    assert desk.tick(minutes=4) == 0
    assert desk.tick(minutes=2) == 1
    assert desk.tick(minutes=2) == 0
    assert desk.pager.titles[-1] == "Touchline over: disk: matter"
    assert desk.pager.told[-1].level == "healthy"
    assert "from 2027-03-09 12:00 UTC to 2027-03-09 12:06 UTC" in desk.pager.told[-1].body
    assert desk.row()["state"] == "closed"


def test_a_trouble_that_comes_and_goes_is_one_alert(desk: Desk) -> None:
    for _ in range(10):
        desk.tick(trouble(), minutes=1)
        desk.tick(minutes=1)
    assert len(desk.pager.told) == 1


def test_after_it_was_over_the_same_trouble_opens_anew(desk: Desk) -> None:
    desk.tick(trouble())
    desk.tick(minutes=6)
    assert desk.tick(trouble(), minutes=30) == 1
    assert desk.row()["opened_at"] == desk.now
    assert desk.pager.titles == [
        "Touchline degraded: disk: matter",
        "Touchline over: disk: matter",
        "Touchline degraded: disk: matter",
    ]


def test_what_becomes_worse_is_told_anew_and_what_becomes_better_is_not(desk: Desk) -> None:
    desk.tick(trouble())
    assert desk.tick(trouble(level="failed"), minutes=1) == 1
    assert desk.tick(trouble(level="degraded"), minutes=1) == 0
    assert desk.row()["opened_at"] == NOON


def test_what_no_channel_took_is_tried_again_at_the_next_look(desk: Desk) -> None:
    desk.pager.up = False
    assert desk.tick(trouble()) == 0
    assert desk.row()["told_at"] is None
    desk.pager.up = True
    assert desk.tick(trouble(), minutes=1) == 1
    desk.pager.up = False
    assert desk.tick(minutes=6) == 0
    desk.pager.up = True
    assert desk.tick(minutes=1) == 1
    assert desk.pager.titles[-1] == "Touchline over: disk: matter"


def test_what_opens_anew_while_its_end_is_told_is_told_as_well(desk: Desk) -> None:
    desk.tick(trouble())

    class Slow(Pager):
        def tell(self, notice: Notice) -> bool:
            with desk.store.transaction() as unit:
                settle(unit, [trouble()], desk.now)
            return super().tell(notice)

    desk.pager = Slow()
    assert desk.tick(minutes=6) == 1
    desk.pager = Pager()
    assert desk.tick(trouble()) == 1
    assert desk.pager.titles == ["Touchline degraded: disk: matter"]


def test_what_was_never_told_is_not_told_to_be_over(desk: Desk) -> None:
    desk.now = NIGHT
    desk.tick(trouble())
    desk.tick(minutes=6)
    desk.now = MORNING
    assert desk.tick() == 0
    assert desk.pager.told == []


def test_quiet_hours_hold_what_is_degraded_until_they_end(desk: Desk) -> None:
    desk.now = NIGHT
    assert desk.tick(trouble()) == 0
    desk.now = MORNING - timedelta(seconds=1)
    assert desk.tick(trouble()) == 0
    assert desk.tick(trouble(), seconds=1) == 1


def test_what_has_failed_breaks_quiet_hours_unless_nobody_wants_that(desk: Desk) -> None:
    desk.now = NIGHT
    assert desk.tick(trouble("workers", "failed"), trouble("disk")) == 1
    assert desk.pager.titles == ["Touchline failed: workers: matter"]
    desk.etiquette = Etiquette(quiet=QUIET.quiet, zone=QUIET.zone, urgent=False)
    assert desk.tick(trouble("suppression", "failed"), trouble("workers", "failed")) == 0


def test_good_news_says_what_was_wrong(desk: Desk) -> None:
    desk.tick(trouble())
    desk.tick(minutes=6)
    assert desk.pager.told[-1].body == (
        "OVER  disk\n    it was: disk is not well\n    from 2027-03-09 12:00 UTC to 2027-03-09 12:06 UTC"
    )


def test_nobody_is_woken_by_good_news_unless_the_bad_news_has_woken_them(desk: Desk) -> None:
    desk.now = NIGHT.replace(hour=21) - timedelta(days=1)
    desk.tick(trouble("disk", "failed"))
    desk.now = NIGHT
    desk.tick(trouble("workers", "failed"))
    assert desk.tick(minutes=6) == 1
    assert desk.pager.titles[-1] == "Touchline over: workers: matter"
    desk.now = MORNING
    assert desk.tick() == 1
    assert desk.pager.titles[-1] == "Touchline over: disk: matter"


@pytest.mark.parametrize(
    ("quiet", "zone", "instant", "inside"),
    [
        ("22:00-07:00", "UTC", "2027-03-09T22:00:00Z", True),
        ("22:00-07:00", "UTC", "2027-03-09T06:59:59Z", True),
        ("22:00-07:00", "UTC", "2027-03-09T07:00:00Z", False),
        ("22:00-07:00", "America/New_York", "2027-03-09T07:00:00Z", True),
        ("12:00-13:00", "UTC", "2027-03-09T12:30:00Z", True),
        ("12:00-13:00", "UTC", "2027-03-09T13:00:00Z", False),
        ("12:00-12:00", "UTC", "2027-03-09T12:00:00Z", False),
        ("", "UTC", "2027-03-09T00:00:00Z", False),
    ],
)
def test_quiet_hours_are_local_and_may_go_past_midnight(quiet: str, zone: str, instant: str, inside: bool) -> None:
    etiquette = Etiquette.of(repeat_hours=24, quiet=quiet, zone=zone, urgent=True)
    assert etiquette.allows("degraded", datetime.fromisoformat(instant)) is not inside
    assert etiquette.allows("failed", datetime.fromisoformat(instant))


MOMENTS = st.lists(
    st.tuples(st.sets(st.sampled_from(["a", "b", "c"])), st.integers(1, 600), st.booleans()), min_size=1, max_size=25
)


@settings(max_examples=40)
@given(MOMENTS, st.booleans())
def test_between_two_messages_about_a_trouble_it_was_over_or_the_time_to_repeat_had_come(
    migrated_sqlite: Path, moments: list[tuple[set[str], int, bool]], quiet: bool
) -> None:
    with tempfile.TemporaryDirectory() as home:
        shutil.copy(migrated_sqlite, Path(home) / "touchline.db")
        store = Store("sqlite:///touchline.db", Path(home))
        try:
            desk = Desk(store, QUIET if quiet else Etiquette())
            last: dict[str, tuple[str, datetime]] = {}
            for present, minutes, up in moments:
                desk.pager.up = up
                before = len(desk.pager.told)
                desk.tick(*(trouble(name) for name in sorted(present)), minutes=minutes)
                assert len(desk.pager.told) <= before + 1
                for word, name in (head for notice in desk.pager.told[before:] for head in heads(notice)):
                    check(desk, word, name, last.get(name))
                    last[name] = word, desk.now
                if up and desk.etiquette.allows("degraded", desk.now):
                    with store.reading() as unit:
                        assert all(row["told_at"] for row in unit.alerts.listed(state="open"))
        finally:
            store.close()


def check(desk: Desk, word: str, name: str, before: tuple[str, datetime] | None) -> None:
    """A message about a trouble against the one before."""
    was, at = before or ("OVER", NOON)
    if word == "OVER":
        assert was == "DEGRADED"
    elif was == "DEGRADED":
        reopened = desk.row(f"{name}: matter")["opened_at"] > at
        assert reopened or desk.now - at >= desk.etiquette.repeat


def heads(notice: Notice) -> Iterator[tuple[str, str]]:
    for line in notice.body.splitlines():
        if not line.startswith(" "):
            word, message = line.split("  ")
            yield word, message.split(":")[0]


# the watch


@contextmanager
def away(store: Store) -> Iterator[None]:
    """A database that is locked by somebody else for good."""
    other = Store(f"sqlite:///{store.place}", Path("/"))
    try:
        with other.transaction():
            yield
    finally:
        other.close()


def hurried(office: Office, heartbeat: Callable[[], None] = lambda: None) -> Watch:
    """A watch whose store waits for nobody."""
    store = Store("sqlite:///touchline.db", office.home, busy_seconds=0.05)
    return Watch(store, Pager(), Etiquette(), heartbeat)


def told(watch: Watch) -> Sequence[str]:
    assert isinstance(watch.notifier, Pager)
    return watch.notifier.titles


def test_one_look_reads_health_opens_alerts_and_tells(either: Office) -> None:
    schedules.ensure(either.store, either.now)
    watch = Watch(either.store, Pager(), Etiquette())
    assert watch.look(either.now) == {"findings": 1, "told": 1}
    assert told(watch) == ["Touchline failed: workers: alive"]
    with either.store.transaction() as unit:
        unit.workers.beat("one", "here", 1, ["batch", "send", "health"], either.now + CALM)
    assert watch.look(either.now + CALM) == {"findings": 0, "told": 1}
    assert told(watch)[-1] == "Touchline over: workers: alive"


def test_a_watchdog_hears_of_us_unless_something_has_failed(office: Office) -> None:
    beats: list[str] = []
    free = {"healthy": 10**12, "degraded": 5 * 10**8, "failed": 10**7}
    for level, bytes_ in free.items():
        watch = Watch(office.store, Pager(), Etiquette(), lambda level=level: beats.append(level))  # type: ignore[misc]
        watch.look(office.now, bytes_)
    assert beats == ["healthy", "degraded"]
    with away(office.store):
        hurried(office, lambda: beats.append("away")).look(office.now)
    assert beats == ["healthy", "degraded"]


def test_a_database_that_stays_away_is_told_once_and_so_is_its_return(office: Office) -> None:
    watch = hurried(office)
    now = office.now
    with away(office.store):
        assert watch.look(now) == {"findings": 1, "told": 0}
        assert watch.look(now + PATIENCE) == {"findings": 1, "told": 1}
        assert watch.look(now + 2 * PATIENCE) == {"findings": 1, "told": 0}
        assert watch.look(now + timedelta(hours=25)) == {"findings": 1, "told": 1}
    assert watch.look(now + timedelta(hours=26)) == {"findings": 0, "told": 1}
    assert watch.look(now + timedelta(hours=27)) == {"findings": 0, "told": 0}
    assert told(watch) == ["Touchline failed: database"] * 2 + ["Touchline over: database"]
    watch.store.engine.dispose()  # type: ignore[attr-defined]


def test_a_look_that_no_other_follows_tells_at_once_that_the_database_is_away(office: Office) -> None:
    watch = hurried(office)
    with away(office.store):
        assert watch.look(office.now, patience=timedelta(0)) == {"findings": 1, "told": 1}
    assert told(watch) == ["Touchline failed: database"]
    watch.store.engine.dispose()  # type: ignore[attr-defined]


def test_a_database_that_restarts_is_told_to_nobody(office: Office) -> None:
    watch = hurried(office)
    with away(office.store):
        watch.look(office.now)
    assert watch.look(office.now + timedelta(seconds=30)) == {"findings": 0, "told": 0}
    assert told(watch) == []
    watch.store.engine.dispose()  # type: ignore[attr-defined]


def test_who_only_knew_of_the_database_by_its_heart_forgets_it_when_it_beats_again(office: Office) -> None:
    watch = Watch(office.store, Pager(), Etiquette())
    gone = StoreUnavailable("The database is away.", hint="")
    watch.away(gone, NOON)
    assert watch.back(NOON) == 0
    watch.away(gone, NOON + timedelta(days=3))
    assert watch.away(gone, NOON + timedelta(days=3) + PATIENCE) == 1
    assert "since 2027-03-12" in watch.notifier.told[0].body
    assert watch.back(NOON + timedelta(days=3) + 2 * PATIENCE) == 1
    assert told(watch)[-1] == "Touchline over: database"


def test_where_no_channel_takes_the_news_of_the_database_it_is_tried_again(office: Office) -> None:
    pager = Pager(up=False)
    watch = Watch(office.store, pager, Etiquette())
    gone = StoreUnavailable("The database is away.", hint="")
    assert [watch.away(gone, NOON), watch.away(gone, NOON + PATIENCE)] == [0, 0]
    pager.up = True
    assert watch.away(gone, NOON + 2 * PATIENCE) == 1
    assert pager.told[0].body.endswith("-> touchline doctor")


def test_news_of_the_database_respect_quiet_hours_where_failures_do(office: Office) -> None:
    watch = Watch(office.store, Pager(), Etiquette(quiet=QUIET.quiet, zone=QUIET.zone, urgent=False))
    gone = StoreUnavailable("The database is away.", hint="")
    watch.away(gone, NIGHT)
    assert watch.away(gone, NIGHT + PATIENCE) == 0
    assert watch.away(gone, MORNING) == 1
