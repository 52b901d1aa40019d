"""Years of nights in 20 zones, with restarts, workers side by side, days without power and clocks that are wrong: one run a day.

What a zone's clocks show is worked out here from its offsets alone, so that the code under test is not its own witness.
"""

import os
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import event

from touchline.adapters.store.store import Store
from touchline.app import schedules
from touchline.model.timing import Daily, Due, due

DAYS = int(os.environ.get("TOUCHLINE_VIRTUAL_DAYS", "10000"))
ROUND = 500
"""Days that one zone is followed for; more of them are further rounds with other chances."""
HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)

PLACES = {
    "Europe/Berlin": (date(2026, 9, 1), "02:00", "06:00"),
    "Europe/Dublin": (date(2026, 9, 1), "01:00", "02:00"),  # the whole window is jumped over, and shown twice
    "America/New_York": (date(2026, 9, 1), "02:30", "05:00"),
    "America/Havana": (date(2026, 9, 1), "00:00", "01:00"),  # jumps at midnight over the whole window
    "America/Sao_Paulo": (date(2017, 8, 1), "00:00", "04:00"),  # had no midnight in spring, and two in autumn
    "America/St_Johns": (date(2010, 9, 1), "00:00", "04:00"),  # went back at one minute past midnight
    "America/Caracas": (date(2015, 9, 1), "02:30", "06:00"),  # jumped by half an hour, for good
    "America/Scoresbysund": (date(2023, 9, 1), "23:00", "01:00"),  # changed its zone on a clock change
    "Africa/Cairo": (date(2023, 3, 1), "23:30", "00:30"),
    "Africa/Casablanca": (date(2026, 1, 1), "02:30", "02:45"),  # goes back for Ramadan
    "Asia/Beirut": (date(2026, 1, 1), "00:15", "03:00"),
    "Asia/Gaza": (date(2022, 9, 1), "22:00", "04:00"),
    "Asia/Kathmandu": (date(2026, 9, 1), "22:00", "04:00"),
    "Asia/Pyongyang": (date(2017, 9, 1), "23:30", "23:59"),  # jumped over the whole window to midnight
    "Asia/Tehran": (date(2021, 1, 1), "00:00", "02:00"),
    "Australia/Lord_Howe": (date(2026, 9, 1), "01:45", "02:15"),  # half an hour
    "Antarctica/Troll": (date(2026, 9, 1), "01:30", "02:30"),  # two hours
    "Pacific/Apia": (date(2011, 6, 1), "02:00", "06:00"),  # had no 30 December 2011
    "Pacific/Chatham": (date(2026, 9, 1), "02:45", "03:45"),
    "Pacific/Kiritimati": (date(2026, 9, 1), "02:00", "06:00"),
}
"""When each zone is followed from, and the window."""


class Almanac:
    """Which date's window was the last to open by an instant, from the offsets of a zone alone."""

    def __init__(self, zone: str, opens: str, begin: datetime, end: datetime) -> None:
        self.opens = time.fromisoformat(opens)
        self.spans: list[tuple[datetime, timedelta]] = []
        """Since when which offset holds."""
        self.dates: set[date] = set()
        """Dates that came: an hour of 30 December 2011 was never seen in Samoa."""
        at, local = begin - timedelta(days=3), ZoneInfo(zone)
        while at < end + timedelta(days=3):
            offset = local.utcoffset(at.astimezone(local))
            assert offset is not None
            if not self.spans or offset != self.spans[-1][1]:
                self.spans.append((self._change(at, local, offset) if self.spans else at, offset))
            self.dates.add((at + offset).date())
            at += HOUR

    def _change(self, at: datetime, local: ZoneInfo, new: timedelta) -> datetime:
        """The second in the hour before `at` from which the new offset holds."""
        return next(
            moment
            for moment in (at - HOUR + SECOND * number for number in range(1, 3601))
            if local.utcoffset(moment.astimezone(local)) == new
        )

    def newest(self, at: datetime) -> date:
        """The date whose opening was reached last; a clock that goes back does not take it back."""
        found = [
            self._reached(since + before, itself=False)
            for (_, before), (since, _) in zip(self.spans, self.spans[1:], strict=False)
            if since <= at
        ]
        offset = next(offset for since, offset in reversed(self.spans) if since <= at)
        return max(*found, self._reached(at + offset, itself=True), date.min)

    def _reached(self, wall: datetime, *, itself: bool) -> date:
        """The newest date whose opening a clock has shown that has come up to a wall time."""
        day = wall.date()
        if wall.time() < self.opens or (wall.time() == self.opens and not itself):
            day -= timedelta(days=1)
        while day not in self.dates:
            day -= timedelta(days=1)
        return day


class Book(Protocol):
    """What keeps a schedule's slots and runs."""

    def look(self, now: datetime) -> str | None:
        """Look for what is due; gives the slot of the run that this opens."""

    def finish(self) -> None:
        """The open run ends."""

    def restart(self) -> None:
        """The machine is on again."""


@dataclass
class Memory:
    """A schedule and its runs in memory: the pure timing, and slots that only grow."""

    timing: Daily
    made: datetime
    last: str | None = None
    is_open: bool = False

    def peek(self, now: datetime) -> Due | None:
        slot = due(self.timing, self.last, self.made, now)
        assert slot is None or (slot.opens_at <= now < (slot.stop_at or now))
        return slot

    def take(self, slot: Due | None) -> str | None:
        """As one transaction: no run is open, and the slot is newer than the newest."""
        if slot is None or self.is_open or (self.last is not None and self.last >= slot.slot):
            return None
        self.last, self.is_open = slot.slot, True
        return slot.slot

    def look(self, now: datetime) -> str | None:
        return self.take(self.peek(now))

    def finish(self) -> None:
        self.is_open = False

    def restart(self) -> None:
        """Memory stands for the disk here."""


@dataclass
class OnDisk:
    """The real store with the real tick, opened by two processes in turn."""

    home: Path
    timing: Daily
    made: datetime
    stores: list[Store] = field(default_factory=list)
    run: int | None = None

    def __post_init__(self) -> None:
        self.stores += [self._opened(), self._opened()]
        self.stores[0].migrate()
        schedules.ensure(self.stores[0], self.made)
        schedules.pause(self.stores[0], "health", self.made)
        changes = {"opens": self.timing.opens, "closes": self.timing.closes, "zone": self.timing.zone}
        schedules.set_timing(self.stores[0], "retention", changes, self.made)

    def look(self, now: datetime) -> str | None:
        self.stores.reverse()
        opened = schedules.start_due(self.stores[0], now)
        for run in opened:
            self.run = run["id"]
        return str(opened[0]["slot"]) if opened else None

    def finish(self) -> None:
        with self.stores[1].transaction() as unit:
            unit.runs.set(self.run, state="done", finished_at=self.made)

    def restart(self) -> None:
        self.stores[0].close()
        self.stores[0] = self._opened()

    def _opened(self) -> Store:
        store = Store("sqlite:///touchline.db", self.home)
        # Processes come and go here, the power stays: waiting for the disk a thousand times would prove nothing.
        event.listen(store.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = OFF"))
        return store

    def close(self) -> None:
        for store in self.stores:
            store.close()


@dataclass
class Machine:
    """A machine that is on and off, with a clock that is now and then set back and later put right."""

    rng: random.Random
    at: datetime
    end: datetime
    behind: timedelta = timedelta()
    wrong_until: datetime | None = None

    def uptimes(self) -> Iterator[datetime]:
        """Each time that it is on: until when."""
        while self.at < self.end:
            yield min(self.end, self.at + HOUR * self.rng.choice([0.2, 2, 9, 30, 100, 400]) * self.rng.random())
            off = self.rng.choices([MINUTE * 20, HOUR * 5, HOUR * 26, HOUR * 80], [60, 20, 10, 5])[0]
            self.at += off * self.rng.random()

    def clock(self) -> datetime:
        """What its clock shows."""
        if self.wrong_until is not None and self.at >= self.wrong_until:
            self.behind, self.wrong_until = timedelta(), None
        elif self.wrong_until is None and self.rng.random() < 0.01:
            self.behind = self.rng.choice([MINUTE * 3, HOUR * 3, HOUR * 60]) * self.rng.random()
            self.wrong_until = self.at + HOUR * 24 * self.rng.random()
        return self.at - self.behind


@dataclass
class Diary:
    """What happened."""

    runs: Counter[str] = field(default_factory=Counter)
    up: set[str] = field(default_factory=set)
    """Days on which a machine with a right clock looked after the opening while nothing was running."""
    seen: set[str] = field(default_factory=set)
    """Days on which anybody looked."""
    looks: int = 0


def live(book: Book, almanac: Almanac, machine: Machine) -> Diary:
    """Follow the machine to the end of its days."""
    diary, rng = Diary(), machine.rng
    busy_until: datetime | None = None
    for off_at in machine.uptimes():
        book.restart()
        if busy_until is not None:
            # Whoever takes a run over goes on with it for a while.
            busy_until = max(busy_until, machine.at + MINUTE * 20 * rng.random())
        while (at := machine.at + _pause(rng, almanac, machine.at)) < off_at:
            machine.at = at
            if busy_until is not None and at >= busy_until:
                book.finish()
                busy_until = None
            now, was_busy = machine.clock(), busy_until is not None
            day = almanac.newest(now).isoformat()
            diary.seen.add(day)
            for slot in _looks(book, now, rng):
                assert slot == day, "the run of another day"
                assert not was_busy, "two runs at once"
                diary.runs[slot] += 1
                busy_until = at + HOUR * rng.choice([0.1, 1, 5, 20]) * rng.random()
            if not was_busy and not machine.behind:
                # The first night may have closed before the schedule was made.
                assert day in diary.runs or day == min(diary.seen), "not yet, although the window has opened"
                diary.up.add(day)
            diary.looks += 1
        machine.at = max(machine.at, off_at)
    return diary


def _pause(rng: random.Random, almanac: Almanac, at: datetime) -> timedelta:
    """Until somebody looks again: mostly hours, now and then seconds, and minutes about a clock change."""
    near = any(abs(at - change) < HOUR * 20 for change, _ in almanac.spans)
    return SECOND if rng.random() < 0.1 else rng.random() * (MINUTE * 30 if near else HOUR * 11)


def _looks(book: Book, now: datetime, rng: random.Random) -> list[str]:
    """Slots that are opened by the workers who look now: one, or in memory two that overlap."""
    if isinstance(book, Memory) and rng.random() < 0.3:
        held = book.peek(now)
        found = [book.look(now), book.take(held)]
    else:
        found = [book.look(now)]
    return [slot for slot in found if slot]


def begun(zone: str) -> tuple[Daily, datetime]:
    first, opens, closes = PLACES[zone]
    return Daily(opens=opens, closes=closes, zone=zone), datetime.combine(first, time(), UTC)


def followed(zone: str, book: Any, begin: datetime, days: int, number: int) -> Diary:
    end = begin + timedelta(days=days)
    almanac = Almanac(zone, PLACES[zone][1], begin - HOUR * 80, end)
    return live(book, almanac, Machine(random.Random(f"{zone} {number}"), begin, end))


def check(diary: Diary) -> None:
    """Exactly one run for each day on which the machine was up after the opening, and no slot twice."""
    assert set(diary.runs.values()) <= {1}
    assert diary.up - set(diary.runs) <= {min(diary.seen)}
    assert set(diary.runs) <= diary.seen


@pytest.mark.parametrize("zone", PLACES)
def test_every_day_on_which_the_machine_was_up_runs_exactly_once(zone: str) -> None:
    days = min(ROUND, -(-DAYS // len(PLACES)))
    for number in range(-(-DAYS // (days * len(PLACES)))):
        timing, begin = begun(zone)
        diary = followed(zone, Memory(timing, begin), begin, days, number)
        check(diary)
        assert len(diary.runs) > days * 0.7


def test_every_day_in_the_real_store_runs_exactly_once(tmp_path: Path) -> None:
    timing, begin = begun("Africa/Cairo")
    days = min(ROUND, -(-DAYS // len(PLACES)))
    book = OnDisk(tmp_path, timing, begin)
    try:
        diary = followed("Africa/Cairo", book, begin, days, 0)
        check(diary)
        with book.stores[0].reading() as unit:
            kept = [run["slot"] for run in unit.runs.listed(10 * days)]
    finally:
        book.close()
    assert Counter(kept) == diary.runs
    assert len(diary.runs) > days * 0.7
