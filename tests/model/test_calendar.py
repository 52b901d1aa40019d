from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

import holidays
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from touchline.model import calendar
from touchline.model.calendar import (
    Place,
    in_window,
    is_working_day,
    place_of,
    send_window,
    subdivision_of,
    window_on,
    windows_of_day,
    zone_of,
)
from touchline.model.campaign import Window

OFFICE = Window()
TICK = timedelta(microseconds=1)
ZONES = st.one_of(
    # Zones whose clocks jump by odd amounts, at midnight, or on working days.
    st.sampled_from(
        ["Africa/Cairo", "Asia/Tehran", "Asia/Gaza", "Australia/Lord_Howe", "Antarctica/Troll", "Pacific/Apia"]
    ),
    st.sampled_from(sorted(available_timezones())),
)
COUNTRIES = st.sampled_from([None, "us", "de", "eg", "il", "ae", "bn", "jp", "th", "xk", "zz"])
DAYS = st.dates(date(2010, 1, 1), date(2037, 12, 31))
INSTANTS = st.datetimes(datetime(2010, 1, 1), datetime(2037, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
MOMENTS = st.one_of(st.times(), st.builds(time, st.integers(0, 23), st.sampled_from([0, 30])))


@st.composite
def some_windows(draw):
    start, end = sorted((draw(MOMENTS), draw(MOMENTS)))
    assume(start < end)
    days = draw(st.sets(st.sampled_from(["mon", "tue", "wed", "thu", "fri"]), min_size=1))
    return Window(start=start, end=end, days=tuple(days), holidays=draw(st.booleans()))


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


def within(window, zone, at):
    return window.start <= at.astimezone(ZoneInfo(zone)).time() < window.end


@given(ZONES, COUNTRIES, some_windows(), INSTANTS)
def test_a_send_window_lies_in_the_local_window_on_an_allowed_day_and_closes_after_the_instant(
    zone, country, window, after
):
    found = send_window(zone, country, window, after)
    if found is None:
        assert window.days == ("fri",)
        return
    opens, closes = found
    assert opens < closes
    assert closes > after
    for at in (max(opens, after), opens + (closes - opens) / 2, closes - TICK):
        assert within(window, zone, at)
        if at >= after:
            assert in_window(zone, country, window, at)
    assert not in_window(zone, country, window, closes)
    day = opens.astimezone(ZoneInfo(zone)).date()
    assert day.weekday() < 5
    assert calendar.WEEKDAYS[day.weekday()] in window.days
    if country in holidays.list_supported_countries(include_aliases=False) and not window.holidays:
        assert day not in holidays.country_holidays(country, years=day.year)


@given(ZONES, COUNTRIES, some_windows(), INSTANTS, st.floats(0, 1))
def test_no_moment_before_the_next_window_is_in_a_window(zone, country, window, after, share):
    found = send_window(zone, country, window, after)
    assume(found is not None)
    opens, _ = found
    assume(opens > after)
    assert not in_window(zone, country, window, after + (opens - TICK - after) * share)


@given(ZONES, COUNTRIES, some_windows(), INSTANTS)
def test_a_moment_is_in_a_window_exactly_when_the_next_window_has_opened(zone, country, window, at):
    found = send_window(zone, country, window, at)
    assert in_window(zone, country, window, at) == (found is not None and found[0] <= at)


@given(ZONES, some_windows(), DAYS)
@example("America/New_York", Window(start=time(2, 30), end=time(5)), date(2027, 3, 14))
@example("America/New_York", Window(start=time(1), end=time(2, 30, 0, 7)), date(2027, 3, 14))
@example("America/New_York", Window(start=time(2, 10), end=time(2, 50)), date(2027, 3, 14))
@example("America/New_York", Window(start=time(1, 10), end=time(1, 50)), date(2027, 11, 7))
@example("America/New_York", Window(start=time(1, 30), end=time(5)), date(2027, 11, 7))
@example("Pacific/Apia", Window(), date(2011, 12, 30))
def test_both_ends_of_a_window_show_a_local_time_within_it_whatever_the_clock_does(zone, window, day):
    found = window_on(zone, window, day)
    if found:
        opens, closes = found
        assert within(window, zone, opens)
        assert within(window, zone, closes - TICK)
        assert opens.astimezone(ZoneInfo(zone)).date() == day


def test_a_window_that_starts_in_the_skipped_hour_starts_at_the_jump():
    assert window_on("America/New_York", Window(start=time(2, 30), end=time(5)), date(2027, 3, 14)) == (
        utc(2027, 3, 14, 7),
        utc(2027, 3, 14, 9),
    )


def test_a_window_that_ends_in_the_skipped_hour_ends_at_the_jump():
    window = Window(start=time(1), end=time(2, 30, 0, 500_000))
    assert window_on("America/New_York", window, date(2027, 3, 14)) == (utc(2027, 3, 14, 6), utc(2027, 3, 14, 7))


def test_a_window_inside_the_skipped_hour_does_not_open_that_day():
    assert window_on("America/New_York", Window(start=time(2, 10), end=time(2, 50)), date(2027, 3, 14)) is None


def test_a_day_that_the_calendar_skipped_has_no_window():
    assert window_on("Pacific/Apia", OFFICE, date(2011, 12, 30)) is None


def test_a_window_that_starts_in_the_repeated_hour_starts_at_its_second_showing():
    found = window_on("America/New_York", Window(start=time(1, 30), end=time(5)), date(2027, 11, 7))
    assert found == (utc(2027, 11, 7, 6, 30), utc(2027, 11, 7, 10))


def test_a_window_inside_the_repeated_hour_opens_once_at_its_first_showing():
    found = window_on("America/New_York", Window(start=time(1, 10), end=time(1, 50)), date(2027, 11, 7))
    assert found == (utc(2027, 11, 7, 5, 10), utc(2027, 11, 7, 5, 50))


def test_a_window_under_way_is_given_and_one_that_has_just_closed_is_not():
    # A Thursday in Berlin, UTC+1.
    assert send_window("Europe/Berlin", "de", OFFICE, utc(2027, 1, 14, 12))[0] == utc(2027, 1, 14, 8)
    assert send_window("Europe/Berlin", "de", OFFICE, utc(2027, 1, 14, 16))[0] == utc(2027, 1, 15, 8)


@pytest.mark.parametrize(
    ("country", "region", "day", "why"),
    [
        ("us", None, date(2027, 11, 25), "Thanksgiving"),
        ("us", None, date(2027, 12, 31), "New Year's Day of a year that starts on a Saturday, observed"),
        ("de", None, date(2027, 10, 4), None),
        ("fr", None, date(2027, 7, 14), "Bastille Day"),
        ("de", "Bayern", date(2027, 1, 6), "Epiphany in Bavaria"),
        ("de", "BE", date(2027, 1, 6), None),
        ("de", None, date(2027, 1, 6), None),
        ("de", "nowhere", date(2027, 1, 6), None),
        ("il", None, date(2027, 1, 15), "Friday is a weekend in Israel"),
        ("eg", None, date(2027, 1, 15), "Friday is a weekend in Egypt"),
        ("us", None, date(2027, 1, 15), None),
        ("us", None, date(2027, 1, 16), "Saturday"),
        ("us", None, date(2027, 1, 17), "Sunday"),
        ("il", None, date(2027, 1, 17), "Sunday, though a working day there"),
        ("xk", None, date(2027, 2, 17), "Independence Day"),
        ("zz", None, date(2027, 2, 17), None),
        (None, None, date(2027, 12, 25), "Saturday"),
        (None, None, date(2029, 12, 25), None),
    ],
)
def test_holidays_and_weekends_of_the_country_are_no_working_days(country, region, day, why):
    place = Place("UTC", country, subdivision_of(country, region))
    assert is_working_day(place, OFFICE, day) == (why is None)


def test_a_window_that_includes_holidays_still_leaves_out_the_weekend_of_the_country():
    window = Window(holidays=True)
    assert is_working_day(Place("America/New_York", "us"), window, date(2027, 11, 25))
    assert not is_working_day(Place("Asia/Jerusalem", "il"), window, date(2027, 1, 15))


def test_a_window_on_fridays_never_opens_where_friday_is_a_weekend():
    fridays = Window(days=("fri",))
    assert send_window("Asia/Jerusalem", "il", fridays, utc(2027, 1, 1)) is None
    assert windows_of_day(Place("Asia/Jerusalem", "il"), fridays, date(2027, 1, 1)) == []
    assert send_window("Asia/Dubai", "ae", fridays, utc(2027, 1, 2))[0] == utc(2027, 1, 8, 5)


def test_an_instant_without_an_offset_is_refused():
    with pytest.raises(ValueError, match="needs an offset"):
        send_window("UTC", None, OFFICE, datetime(2027, 1, 1))  # noqa: DTZ001


@given(ZONES, some_windows(), INSTANTS)
def test_the_windows_of_a_utc_day_hold_the_next_window_of_each_of_its_instants(zone, window, at):
    spans = windows_of_day(Place(zone, None), window, at.date())
    assert next(span for span in spans if span[1] > at) == send_window(zone, None, window, at)


@pytest.mark.parametrize(
    ("country", "region", "zone"),
    [
        ("us", "California", "America/Los_Angeles"),
        ("us", "CA", "America/Los_Angeles"),
        ("us", "US-TX", "America/Chicago"),
        ("us", "Washington State", "America/Los_Angeles"),
        ("us", "District of Columbia", "America/New_York"),
        ("us", "Middle-earth", "America/New_York"),
        ("us", " ", "America/New_York"),
        ("us", "", "America/New_York"),
        ("ca", "Québec", "America/Toronto"),
        ("ca", "british columbia", "America/Vancouver"),
        ("au", "New South Wales", "Australia/Sydney"),
        ("au", "wa", "Australia/Perth"),
        ("br", "Amazonas", "America/Manaus"),
        ("mx", "Quintana Roo", "America/Cancun"),
        ("mx", "Jalisco", "America/Mexico_City"),
        ("ru", "Sverdlovsk Oblast", "Asia/Yekaterinburg"),
        ("ru", "Omsk", "Asia/Omsk"),
        ("ru", None, "Europe/Moscow"),
        ("es", "Canarias", "Atlantic/Canary"),
        ("pt", "Açores", "Atlantic/Azores"),
        ("fr", "La Réunion", "Indian/Reunion"),
        ("fr", "Bretagne", "Europe/Paris"),
        ("de", "Bayern", "Europe/Berlin"),
        ("xk", None, "Europe/Belgrade"),
        ("zz", "somewhere", None),
        (None, "California", None),
    ],
)
def test_a_region_gives_the_zone_else_its_country_does(country, region, zone):
    assert zone_of(country, region) == zone


def test_every_country_has_a_zone_and_every_zone_of_the_tables_exists():
    known = available_timezones()
    for code in holidays.list_supported_countries(include_aliases=False):
        assert code in ("BV", "HM", "XK") or zone_of(code.lower(), None) in known, code
    for table in calendar.REGION_ZONES.values():
        assert set(table) <= known


def test_the_zone_of_the_lead_precedes_region_country_and_campaign():
    assert place_of("Asia/Tokyo", "US", "CA", "Europe/Rome") == Place("Asia/Tokyo", "us", "CA")
    assert place_of("PST-ish", "us", "CA", "Europe/Rome") == Place("America/Los_Angeles", "us", "CA")
    assert place_of(None, "us", None, "Europe/Rome") == Place("America/New_York", "us")
    assert place_of(None, None, "CA", "Europe/Rome") == Place("Europe/Rome", None)
    assert place_of("../../etc/passwd", "zz", "CA", "Europe/Rome") == Place("Europe/Rome", "zz")
