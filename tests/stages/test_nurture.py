from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from touchline.model.calendar import in_window, place_of, send_window
from touchline.model.campaign import Window
from touchline.stages.nurture import INSTANT, due

OFFICE = Window()
SCHEMA = {
    "identity": pl.String,
    "timezone": pl.String,
    "country": pl.String,
    "region": pl.String,
    "after": INSTANT,
}
INSTANTS = st.datetimes(datetime(2020, 1, 1), datetime(2035, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
ROWS = st.lists(
    st.tuples(
        st.text(max_size=8),
        st.sampled_from([None, "not a zone", *sorted(available_timezones())]),
        st.sampled_from([None, "us", "de", "eg", "il", "br", "au", "zz"]),
        st.sampled_from([None, "CA", "Texas", "Bayern", "Acre", "?"]),
        st.one_of(st.none(), INSTANTS),
    ),
    max_size=12,
)


@st.composite
def some_windows(draw):
    start = draw(st.times(max_value=time(23)))
    end = draw(st.times(min_value=time(23, 0, 0, 1)))
    days = draw(st.sets(st.sampled_from(["mon", "tue", "wed", "thu", "fri"]), min_size=1))
    return Window(start=start, end=end, days=tuple(days), holidays=draw(st.booleans()))


def batch(rows):
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def people(count, country="de"):
    return batch([(f"p{n}@example.com", None, country, None, None) for n in range(count)])


@given(ROWS, some_windows())
def test_a_due_instant_lies_in_the_first_window_with_time_left_and_never_before_after(rows, window):
    for row in due(batch(rows), window, "Europe/Rome", pl.col("after"), 2).iter_rows(named=True):
        place = place_of(row["timezone"], row["country"], row["region"], "Europe/Rome")
        assert row["zone"] == place.zone
        found = row["after"] and send_window(row["zone"], row["country"], window, row["after"], row["region"])
        if found is None:
            assert row["due_at"] is None
            continue
        opens, closes = found
        assert max(opens, row["after"]) <= row["due_at"] < closes
        assert in_window(row["zone"], row["country"], window, row["due_at"], row["region"])
        local = row["due_at"].astimezone(ZoneInfo(row["zone"]))
        assert window.start <= local.time() < window.end
        assert local.weekday() < 5


@given(ROWS, some_windows(), st.randoms(use_true_random=False))
@settings(max_examples=50)
def test_splitting_and_reordering_a_batch_changes_no_due_instant(rows, window, random):
    whole = due(batch(rows), window, "UTC", pl.col("after"), 0).rows()
    order = list(range(len(rows)))
    random.shuffle(order)
    middle = len(rows) // 2
    parts = [
        due(batch([rows[n] for n in part]), window, "UTC", pl.col("after"), 0)
        for part in (order[:middle], order[middle:])
    ]
    assert pl.concat(parts).rows() == [whole[n] for n in order]


@given(ROWS, some_windows(), INSTANTS)
@settings(max_examples=50)
def test_one_instant_for_all_equals_a_column_of_it(rows, window, after):
    frame = batch(rows).with_columns(after=pl.lit(after, INSTANT))
    assert_frame_equal(due(frame, window, "UTC", after, 0), due(frame, window, "UTC", pl.col("after"), 0))


def test_an_instant_with_another_offset_is_the_same_instant():
    frame = people(3)
    after = datetime(2027, 1, 14, 12, tzinfo=UTC)
    there = after.astimezone(ZoneInfo("Asia/Kathmandu"))
    assert_frame_equal(due(frame, OFFICE, "UTC", after, 0), due(frame, OFFICE, "UTC", there, 0))


def test_a_follow_up_waits_its_days_and_then_for_the_window():
    frame = people(1).with_columns(sent_at=pl.lit(datetime(2027, 1, 14, 10, tzinfo=UTC), INSTANT))
    found = due(frame, OFFICE, "UTC", pl.col("sent_at") + pl.duration(days=3), 1)["due_at"].item()
    assert found.astimezone(ZoneInfo("Europe/Berlin")).date().isoformat() == "2027-01-18"


def test_due_instants_spread_over_the_whole_window():
    found = due(people(10_000), OFFICE, "UTC", datetime(2027, 1, 14, tzinfo=UTC), 0)["due_at"]
    hours = found.dt.convert_time_zone("Europe/Berlin").dt.hour().value_counts().sort("due_at")
    assert hours["due_at"].to_list() == list(range(9, 17))
    assert hours["count"].min() > 1_100
    assert found.dt.truncate("1s").value_counts()["count"].max() < 10


def test_late_in_the_window_due_instants_spread_over_what_is_left():
    after = datetime(2027, 1, 14, 15, 50, tzinfo=UTC)
    found = due(people(1_000), OFFICE, "UTC", after, 0)["due_at"]
    assert found.min() >= after
    assert found.max() < after + timedelta(minutes=10)


def test_each_step_draws_its_own_moment():
    after = datetime(2027, 1, 14, tzinfo=UTC)
    first, second = (due(people(1_000), OFFICE, "UTC", after, step)["due_at"] for step in (0, 1))
    assert (first == second).sum() == 0
    assert abs(pl.select(pl.corr(first.dt.epoch(), second.dt.epoch())).item()) < 0.1


def test_the_due_instant_of_a_person_never_changes_between_versions():
    found = due(people(1), OFFICE, "UTC", datetime(2027, 1, 14, tzinfo=UTC), 0)["due_at"].item()
    assert found == datetime(2027, 1, 14, 12, 7, 37, 551_383, tzinfo=UTC)


def test_where_the_window_never_opens_nothing_is_due():
    found = due(people(1, "il"), Window(days=("fri",)), "UTC", datetime(2027, 1, 14, tzinfo=UTC), 0)
    assert found.select("due_at", "zone").row(0) == (None, "Asia/Jerusalem")


def test_nobody_is_due_in_an_empty_batch():
    found = due(people(0), OFFICE, "UTC", datetime(2027, 1, 14, tzinfo=UTC), 0)
    assert found.height == 0
    assert found.schema["due_at"] == INSTANT


@pytest.mark.parametrize(
    "after",
    [
        datetime(2027, 1, 14),  # noqa: DTZ001
        pl.col("country"),
        pl.col("after").dt.replace_time_zone(None),
    ],
)
def test_an_after_that_is_no_instant_in_utc_is_refused(after):
    with pytest.raises(ValueError, match="instant in UTC"):
        due(people(1), OFFICE, "UTC", after, 0)
