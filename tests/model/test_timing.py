"""Timings: whatever zones and clocks do, each date has one opening, openings grow with dates, and a slot comes due once."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from touchline.model.calendar import WEEKDAYS
from touchline.model.errors import InvalidInput
from touchline.model.timing import Daily, Due, Every, document_of, due, is_ahead, parse, upcoming

DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)
ODD = [
    *("Africa/Cairo", "Asia/Beirut", "America/Sao_Paulo", "Australia/Lord_Howe", "America/St_Johns", "Pacific/Apia"),
    *("Antarctica/Troll", "Asia/Gaza", "America/Scoresbysund", "Africa/Casablanca", "America/Caracas"),
]
ZONES = st.one_of(st.sampled_from(ODD), st.sampled_from(sorted(available_timezones())))
WALLS = st.builds(time, st.integers(0, 23), st.sampled_from([0, 1, 30, 59])).map(lambda at: f"{at:%H:%M}")
DATES = st.dates(date(2005, 1, 1), date(2037, 12, 31))
INSTANTS = st.datetimes(datetime(2005, 1, 1), datetime(2037, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001


@st.composite
def windows(draw: st.DrawFn) -> Daily:
    opens, closes = draw(WALLS), draw(WALLS)
    assume(opens != closes)
    days = draw(st.one_of(st.just(WEEKDAYS), st.sets(st.sampled_from(WEEKDAYS), min_size=1)))
    return Daily(opens=opens, closes=closes, zone=draw(ZONES), days=tuple(days))


TIMINGS = st.one_of(windows(), st.integers(1, 7 * 86_400).map(lambda seconds: Every(every=seconds)))


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


def local(at: datetime, zone: str) -> datetime:
    """What a clock on the wall shows."""
    return at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


@given(windows(), DATES)
@example(Daily(opens="02:10", closes="02:50", zone="Europe/Berlin"), date(2027, 3, 28))
@example(Daily(opens="02:10", closes="02:50", zone="Europe/Berlin"), date(2027, 10, 31))
@example(Daily(opens="00:00", closes="01:00", zone="Africa/Cairo"), date(2024, 4, 26))
@example(Daily(opens="23:30", closes="00:30", zone="Africa/Cairo"), date(2024, 4, 25))
@example(Daily(opens="02:15", closes="06:00", zone="Australia/Lord_Howe"), date(2027, 10, 3))
@example(Daily(opens="00:00", closes="00:01", zone="America/St_Johns"), date(2010, 11, 7))
def test_a_window_opens_when_its_time_is_first_reached_and_closes_when_its_end_is(window: Daily, day: date) -> None:
    slot = window.slot_on(day)
    assume(slot is not None)
    assert slot is not None
    assert slot.closes_at is not None
    last = day if window.opens < window.closes else day + DAY
    for at, bound in (
        (slot.opens_at, datetime.combine(day, time.fromisoformat(window.opens))),
        (slot.closes_at, datetime.combine(last, time.fromisoformat(window.closes))),
    ):
        assert local(at, window.zone) >= bound
        for before in (TICK, timedelta(minutes=1), timedelta(minutes=29), timedelta(hours=1), timedelta(hours=2), DAY):
            assert local(at - before, window.zone) < bound
    assert slot.opens_at <= slot.closes_at


@given(windows(), DATES)
@example(Daily(zone="Pacific/Apia"), date(2011, 12, 29))
@example(Daily(opens="00:00", closes="01:00", zone="America/Sao_Paulo"), date(2018, 11, 3))
def test_openings_and_names_grow_with_the_date_and_only_a_date_that_never_came_has_none(
    window: Daily, first: date
) -> None:
    days = [first + DAY * number for number in range(9)]
    slots = [window.slot_on(day) for day in days]
    found = [slot for slot in slots if slot]
    for before, after in pairwise(found):
        assert before.opens_at < after.opens_at
        assert before.name < after.name
    for day, slot in zip(days, slots, strict=True):
        if slot is None and WEEKDAYS[day.weekday()] in window.days:
            start = datetime.combine(day - DAY, time(), UTC)
            seen = {local(start + timedelta(hours=number), window.zone).date() for number in range(72)}
            assert day not in seen


@given(TIMINGS, INSTANTS)
@example(Daily(opens="00:00", closes="01:00", zone="America/St_Johns"), utc(2010, 11, 7, 2, 45))
def test_no_slot_lies_between_the_newest_and_the_following(timing: Daily | Every, now: datetime) -> None:
    newest, following = timing.newest(now), timing.following(now)
    assert newest.opens_at <= now < following.opens_at
    assert newest.name < following.name
    assert timing.following(newest.opens_at) == following
    assert timing.newest(following.opens_at - TICK) == newest
    assert timing.newest(following.opens_at) == following


@given(TIMINGS, st.lists(INSTANTS, min_size=1, max_size=20), st.randoms())
def test_no_slot_is_due_twice_in_whatever_order_the_clock_shows_its_times(timing: Any, times: Any, random: Any) -> None:
    made, taken = min(times), list[str]()
    for now in random.choices(times, k=40):
        if found := due(timing, taken[-1] if taken else None, made, now):
            assert found.opens_at <= now
            taken.append(found.slot)
    assert taken == sorted(set(taken))


@given(windows(), INSTANTS, st.integers(20, 240))
def test_looking_often_enough_starts_every_slot_within_its_window_in_turn(
    window: Daily, begin: datetime, minutes: int
) -> None:
    last, found = None, list[Due]()
    for number in range(9 * 1440 // minutes):
        now = begin + timedelta(minutes=minutes) * number
        if slot := due(window, last, begin, now):
            found.append(slot)
            last = slot.slot
            assert now - slot.opens_at < timedelta(minutes=minutes) or now == begin
    for before, after in pairwise(found):
        assert window.following(before.opens_at).name == after.slot


@given(TIMINGS, INSTANTS)
def test_what_is_late_may_run_until_the_next_opening_and_what_is_not_until_its_window_ends(
    timing: Daily | Every, now: datetime
) -> None:
    found = due(timing, None, utc(1999, 1, 1), now)
    assert found is not None
    newest, following = timing.newest(now), timing.following(now)
    assert (found.slot, found.opens_at) == (newest.name, newest.opens_at)
    assert found.late == (newest.closes_at is not None and now >= newest.closes_at)
    assert found.stop_at == (following.opens_at if found.late else newest.closes_at)


NIGHT = Daily(zone="Europe/Berlin")


def looks(timing: Daily | Every, begin: datetime, end: datetime, last: str | None = None) -> list[tuple[datetime, Due]]:
    """What comes due when somebody looks every ten minutes, and when."""
    found, now = list[tuple[datetime, Due]](), begin
    while now < end:
        if slot := due(timing, last, begin, now):
            found.append((now, slot))
            last = slot.slot
        now += timedelta(minutes=10)
    return found


def test_a_new_window_begins_with_the_present_one_or_else_the_next() -> None:
    inside, after = utc(2027, 3, 9, 4, 30), utc(2027, 3, 9, 5)
    assert [slot.slot for _, slot in looks(NIGHT, inside, inside + DAY)] == ["2027-03-09", "2027-03-10"]
    assert [slot.slot for _, slot in looks(NIGHT, after, after + DAY)] == ["2027-03-10"]


def test_a_changed_window_makes_up_for_nothing_that_closed_before_the_change() -> None:
    changed = NIGHT.model_copy(update={"since": utc(2027, 3, 9, 12)})
    made = utc(2027, 3, 1)
    assert due(changed, "2027-03-08", made, utc(2027, 3, 9, 13)) is None
    assert due(changed, "2027-03-08", made, utc(2027, 3, 10, 2)) is not None


def test_of_several_missed_nights_the_last_one_is_made_up_for_and_marked_late() -> None:
    found = due(NIGHT, "2027-03-02", utc(2027, 3, 1), utc(2027, 3, 9, 14))
    assert found == Due("2027-03-09", utc(2027, 3, 9, 1), stop_at=utc(2027, 3, 10, 1), late=True)
    found = due(NIGHT, "2027-03-02", utc(2027, 3, 1), utc(2027, 3, 9, 3))
    assert found == Due("2027-03-09", utc(2027, 3, 9, 1), stop_at=utc(2027, 3, 9, 5), late=False)


def test_a_night_without_two_o_clock_opens_at_the_jump() -> None:
    ((at, slot),) = looks(NIGHT, utc(2027, 3, 27, 12), utc(2027, 3, 28, 12), "2027-03-27")
    assert at == slot.opens_at == utc(2027, 3, 28, 1)
    assert (slot.stop_at, slot.late) == (utc(2027, 3, 28, 4), False)


def test_a_night_with_two_o_clock_twice_runs_once_from_the_first() -> None:
    ((at, slot),) = looks(NIGHT, utc(2027, 10, 30, 12), utc(2027, 10, 31, 12), "2027-10-30")
    assert at == slot.opens_at == utc(2027, 10, 31, 0)
    assert (slot.stop_at, slot.late) == (utc(2027, 10, 31, 5), False)


def test_a_window_that_the_clock_jumps_over_runs_once_and_late() -> None:
    short = Daily(opens="02:10", closes="02:50", zone="Europe/Berlin")
    ((at, slot),) = looks(short, utc(2027, 3, 27, 12), utc(2027, 3, 28, 12), "2027-03-27")
    assert at == slot.opens_at == utc(2027, 3, 28, 1)
    assert (slot.stop_at, slot.late) == (utc(2027, 3, 29, 0, 10), True)
    ((_, new),) = looks(short, utc(2027, 3, 28, 1), utc(2027, 3, 28, 12))
    assert new == slot


def test_where_the_clock_goes_back_over_midnight_the_day_that_began_twice_runs_once() -> None:
    midnight = Daily(opens="00:00", closes="03:00", zone="America/St_Johns")
    found = looks(midnight, utc(2010, 11, 6, 12), utc(2010, 11, 9), "2010-11-06")
    assert [slot.slot for _, slot in found] == ["2010-11-07", "2010-11-08"]
    assert found[0][1].opens_at == utc(2010, 11, 7, 2, 30)
    # A minute later it was yesterday again, for an hour.
    found = looks(midnight, utc(2010, 11, 7, 2, 40), utc(2010, 11, 8), "2010-11-06")
    assert [(at, slot.slot) for at, slot in found] == [(utc(2010, 11, 7, 2, 40), "2010-11-07")]


def test_a_date_that_a_zone_never_had_is_no_slot() -> None:
    samoa = Daily(zone="Pacific/Apia")
    found = looks(samoa, utc(2011, 12, 28), utc(2012, 1, 2), "2011-12-27")
    assert [slot.slot for _, slot in found] == ["2011-12-28", "2011-12-29", "2011-12-31", "2012-01-01", "2012-01-02"]
    fridays = Daily(zone="Pacific/Apia", days=("fri",))
    assert [slot.slot for _, slot in looks(fridays, utc(2011, 12, 18), utc(2012, 1, 8))] == ["2011-12-23", "2012-01-06"]


def test_a_window_past_midnight_belongs_to_the_day_on_which_it_opens() -> None:
    late = Daily(opens="22:00", closes="04:00", days=("fri",))
    found = due(late, None, utc(2027, 3, 1), utc(2027, 3, 13, 3))
    assert found == Due("2027-03-12", utc(2027, 3, 12, 22), stop_at=utc(2027, 3, 13, 4), late=False)


@given(st.integers(1, 7 * 86_400), INSTANTS)
def test_intervals_are_the_same_for_everybody_and_have_names_of_one_width(seconds: int, now: datetime) -> None:
    slot = Every(every=seconds).newest(now)
    assert slot.opens_at.timestamp() % seconds == 0
    assert now - slot.opens_at < timedelta(seconds=seconds)
    assert slot.name == f"{slot.opens_at:%Y-%m-%dT%H:%M:%SZ}"


def test_an_interval_starts_at_once_and_makes_up_for_nothing() -> None:
    minute, now = Every(every=60), utc(2027, 3, 9, 5, 0, 30)
    assert due(minute, None, now, now) == Due("2027-03-09T05:00:00Z", utc(2027, 3, 9, 5), stop_at=None, late=False)
    assert due(minute, "2027-03-09T05:00:00Z", now, now) is None
    assert [slot.slot for _, slot in looks(minute, now, now + timedelta(minutes=20))] == [
        "2027-03-09T05:00:00Z",
        "2027-03-09T05:10:00Z",
    ]


@given(TIMINGS, INSTANTS)
def test_what_comes_next_is_after_now_and_new(timing: Daily | Every, now: datetime) -> None:
    following = timing.following(now)
    assert upcoming(timing, None, now) == upcoming(timing, timing.newest(now).name, now) == following
    assert upcoming(timing, following.name, now) == timing.following(following.opens_at)


@given(TIMINGS, INSTANTS)
def test_a_slot_beyond_the_next_opening_was_run_by_a_clock_that_ran_ahead(timing: Daily | Every, now: datetime) -> None:
    following = timing.following(now)
    after = timing.following(following.opens_at)
    assert [is_ahead(timing, name, now) for name in (None, following.name, after.name)] == [False, False, True]
    assert upcoming(timing, after.name, now) is None


@given(TIMINGS, st.one_of(st.none(), INSTANTS), st.sampled_from([None, "nurture"]))
def test_a_timing_comes_back_equal_from_json(timing: Daily | Every, since: datetime | None, until: str | None) -> None:
    if isinstance(timing, Daily):
        timing = timing.model_copy(update={"since": since, "until": until})
    assert parse(type(timing), document_of(timing), "x") == timing


def test_a_timing_in_words() -> None:
    said = {
        "daily 02:00-06:00 UTC": Daily(),
        "mon-fri 22:00-04:00 Europe/Berlin": Daily(
            opens="22:00", closes="04:00", zone="Europe/Berlin", days=tuple(WEEKDAYS[:5])
        ),
        "tue, sat 02:00-06:00 UTC, until score": Daily(days=("sat", "tue", "sat"), until="score"),
        "every minute": Every(every=60),
        "every 90 seconds": Every(every=90),
        "every 6 hours": Every(every=21_600),
        "every day": Every(every=86_400),
    }
    assert [str(timing) for timing in said.values()] == list(said)


@pytest.mark.parametrize(
    ("kind", "document", "told"),
    [
        (Daily, {"opens": "2:5"}, "opens: '2:5' is not a time of day"),
        (Daily, {"opens": "24:00"}, "'24:00' is not a time of day from 00:00 to 23:59"),
        (Daily, {"closes": "06:00\n"}, "is not a time of day"),
        (Daily, {"closes": "\u0660\u0662:00"}, "is not a time of day"),  # Arabic digits
        (Daily, {"opens": 2}, "opens: must be a time of day in quotes"),
        (Daily, {"closes": "02:00"}, "opens and closes at 02:00; for the whole day write 00:00 to 23:59"),
        (Daily, {"zone": "Europe/Berln"}, "did you mean 'Europe/Berlin'?"),
        (Daily, {"zone": "../../etc/passwd"}, "is not an IANA time zone"),
        (Daily, {"zone": None}, "zone: must be text"),
        (Daily, {"days": ["monday"]}, "is not one of mon, tue, wed, thu, fri, sat, sun, did you mean 'mon'?"),
        (Daily, {"days": ["WED"]}, "did you mean 'wed'?"),
        (Daily, {"days": []}, "days: needs at least one day"),
        (Daily, {"days": "mon"}, "days: must be a list"),
        (Daily, {"days": [1]}, "days[1]: must be text"),
        (Daily, {"opns": "02:00"}, "unknown key 'opns', did you mean 'opens'?"),
        (Daily, {"every": 60}, "unknown key 'every'"),
        (Daily, {"from": "2027-01-01T00:00:00"}, "from: Input should have timezone info"),
        (Every, {"every": 0}, "every: Input should be greater than or equal to 1"),
        (Every, {"every": 604_801}, "less than or equal to 604800"),
        (Every, {"every": True}, "every: Input should be a valid integer"),
        (Every, {"every": 1.5}, "every: Input should be a valid integer"),
        (Every, {"every": float("nan")}, "every: Input should be a valid integer"),
        (Every, {}, "'every' is missing"),
    ],
)
def test_a_wrong_timing_is_refused_with_its_place_and_the_likely_right_word(
    kind: Any, document: Any, told: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse(kind, document, "daily:spring")
    assert refused.value.message.startswith("daily:spring: ")
    assert told in refused.value.message
    assert refused.value.hint


def test_a_short_hour_and_days_in_any_order_are_understood() -> None:
    found = parse(Daily, {"opens": "2:30", "days": ["sun", "mon", "mon"]}, "x")
    assert (found.opens, found.days) == ("02:30", ("mon", "sun"))  # type: ignore[union-attr]
