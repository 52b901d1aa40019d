"""When scheduled work comes due: a daily window in local time or a fixed interval, and which of its times is next to run.

A slot is one such time, named so that later ones sort after earlier ones: the local date on which a window opens, or
the UTC instant at which an interval begins. Whoever runs slots in growing order, each at most once, runs nothing twice,
whatever clocks do.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from itertools import count
from typing import Annotated, Any, ClassVar, NamedTuple, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, ValidationError, model_validator

from touchline.model.calendar import WEEKDAYS, instant_of
from touchline.model.campaign import Frozen, Zone
from touchline.model.errors import InvalidInput
from touchline.model.faults import faults, meant

LONGEST = 7 * 24 * 3600
"""Most seconds between two times of an interval."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
UNITS = ((86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


class Slot(NamedTuple):
    """One of a schedule's times."""

    name: str
    opens_at: datetime
    closes_at: datetime | None
    """End of its window, excluded; None for intervals. Equal to `opens_at` where the clock jumps over all of the window."""


class Due(NamedTuple):
    """A slot that is to run now."""

    slot: str
    opens_at: datetime
    stop_at: datetime | None
    """When its run has to stop between batches: the window's end, or the next opening for one that is late."""
    late: bool
    """Its window has closed."""


def _wall(text: Any) -> Any:
    if not isinstance(text, str):
        raise ValueError("must be a time of day in quotes, such as '02:00'")
    found = re.fullmatch(r"([0-9]{1,2}):([0-9]{2})", text)
    if found is None or int(found[1]) > 23 or int(found[2]) > 59:
        raise ValueError(f"{text[:20]!r} is not a time of day from 00:00 to 23:59, such as 02:00")
    return f"{int(found[1]):02}:{found[2]}"


def _days(given: tuple[str, ...]) -> tuple[str, ...]:
    for word in given:
        if word not in WEEKDAYS:
            raise ValueError(f"{word[:20]!r} is not one of {', '.join(WEEKDAYS)}{meant(word.lower(), WEEKDAYS, 0.5)}")
    if not given:
        raise ValueError("needs at least one day")
    return tuple(day for day in WEEKDAYS if day in given)


Wall = Annotated[str, BeforeValidator(_wall)]
"""Local time of day, HH:MM."""
Days = Annotated[tuple[str, ...], AfterValidator(_days)]


class Daily(Frozen):
    """A window of local time that opens once a day; one that closes at an earlier time than it opens goes past midnight."""

    opens: Wall = "02:00"
    closes: Wall = "06:00"
    zone: Zone = "UTC"
    days: Days = WEEKDAYS
    """Days on which it opens."""
    first: str | None = None
    """First stage of what it starts; None: the first of all."""
    until: str | None = None
    """Last stage of what it starts."""
    since: AwareDatetime | None = Field(default=None, alias="from")
    """Windows that closed before are not made up for."""

    @model_validator(mode="after")
    def _open(self) -> Self:
        if self.opens == self.closes:
            raise ValueError(f"the window opens and closes at {self.opens}; for the whole day write 00:00 to 23:59")
        return self

    def slot_on(self, day: date) -> Slot | None:
        """The slot of one local date; None on weekdays that it leaves out, and for a date that the zone never had.

        A bound that the clock skips is the moment of the jump, one that it shows twice the first showing. So openings
        grow with the date, and each date has one.
        """
        if WEEKDAYS[day.weekday()] not in self.days:
            return None
        zone, opens, closes = ZoneInfo(self.zone), time.fromisoformat(self.opens), time.fromisoformat(self.closes)
        opens_at = instant_of(datetime.combine(day, opens, zone))
        if opens_at.astimezone(zone).date() != day and not _came(day, zone):
            return None
        last = day if opens < closes else day + DAY
        return Slot(day.isoformat(), opens_at, instant_of(datetime.combine(last, closes, zone)))

    def newest(self, now: datetime) -> Slot:
        """The last slot that has opened by now."""
        # Where a clock goes back over midnight, tomorrow has begun once already.
        return next(slot for slot in self._slots(now, 1, -1) if slot.opens_at <= now)

    def following(self, now: datetime) -> Slot:
        """The first slot that opens after now."""
        return next(slot for slot in self._slots(now, 0, 1) if slot.opens_at > now)

    def _slots(self, now: datetime, first: int, step: int) -> Iterator[Slot]:
        today = now.astimezone(ZoneInfo(self.zone)).date()
        for offset in count(first, step):
            if slot := self.slot_on(today + timedelta(days=offset)):
                yield slot

    def __str__(self) -> str:
        stages = (f", from {self.first}" if self.first else "") + (f", until {self.until}" if self.until else "")
        return f"{_days_in_words(self.days)} {self.opens}-{self.closes} {self.zone}{stages}"


class Every(Frozen):
    """Times at a fixed distance, counted from 1970-01-01 00:00 UTC, so that every process has the same ones."""

    zone: ClassVar[str] = "UTC"
    first: ClassVar[str | None] = None
    until: ClassVar[str | None] = None
    since: ClassVar[datetime | None] = None

    every: int = Field(strict=True, ge=1, le=LONGEST)
    """Seconds."""

    def newest(self, now: datetime) -> Slot:
        """The interval that holds now."""
        return self._slot((now - EPOCH) // timedelta(seconds=self.every))

    def following(self, now: datetime) -> Slot:
        """The first interval that begins after now."""
        return self._slot((now - EPOCH) // timedelta(seconds=self.every) + 1)

    def _slot(self, number: int) -> Slot:
        at = EPOCH + number * timedelta(seconds=self.every)
        return Slot(at.replace(tzinfo=None).isoformat(timespec="seconds") + "Z", at, None)

    def __str__(self) -> str:
        size, unit = next((size, unit) for size, unit in UNITS if self.every % size == 0)
        number = self.every // size
        return f"every {unit}" if number == 1 else f"every {number} {unit}s"


Timing = Daily | Every


def parse(kind: type[Timing], document: Mapping[str, Any], where: str) -> Timing:
    """Check a timing that a person gave.

    Args:
        kind: What it is to be.
        document: `opens`, `closes`, `zone`, `days`, `first`, `until`, `from`; or `every`.
        where: Name of its schedule, for messages.

    Raises:
        InvalidInput: One line a fault, with the likely right word.
    """
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        told = "\n".join(faults(kind, document, error))
        raise InvalidInput(f"{where}: {told}", hint="See: touchline schedule set --help") from None


def document_of(timing: Timing) -> dict[str, Any]:
    """The timing as JSON values; `parse` gives an equal one."""
    found: dict[str, Any] = timing.model_dump(mode="json", by_alias=True, exclude_none=True)
    return found


def due(timing: Timing, last_slot: str | None, since: datetime, now: datetime) -> Due | None:
    """What is to run now, or None.

    The newest slot only: of several that were missed one is made up for. A window counts that was still open at
    `since` or opened later, so that new work begins with the present window or else the next.

    Args:
        last_slot: Newest slot that has been run or found to need nothing.
        since: When the schedule was made; a later `timing.since` takes its place.
    """
    slot = timing.newest(now)
    if last_slot is not None and slot.name <= last_slot:
        return None
    since = max(since, timing.since) if timing.since else since
    if slot.closes_at is not None and slot.closes_at <= since and slot.opens_at < since:
        return None
    late = slot.closes_at is not None and now >= slot.closes_at
    return Due(slot.name, slot.opens_at, timing.following(now).opens_at if late else slot.closes_at, late)


def is_ahead(timing: Timing, last_slot: str | None, now: datetime) -> bool:
    """Whether the newest slot lies beyond the next opening: a clock has been set back since it was run."""
    return last_slot is not None and last_slot > timing.following(now).name


def upcoming(timing: Timing, last_slot: str | None, now: datetime) -> Slot | None:
    """The next slot to open after now that has not been run; None where the newest one is ahead."""
    if is_ahead(timing, last_slot, now):
        return None
    slot = timing.following(now)
    return slot if slot.name != last_slot else timing.following(slot.opens_at)


def _came(day: date, zone: ZoneInfo) -> bool:
    """Whether a local date had any moment: Samoa's clocks jumped over all of 30 December 2011."""
    first, next_ = (instant_of(datetime.combine(one, time(), zone)) for one in (day, day + DAY))
    return first < next_


def _days_in_words(days: tuple[str, ...]) -> str:
    first, last = WEEKDAYS.index(days[0]), WEEKDAYS.index(days[-1])
    if len(days) == 7:
        return "daily"
    if len(days) > 2 and len(days) == last - first + 1:
        return f"{days[0]}-{days[-1]}"
    return ", ".join(days)
