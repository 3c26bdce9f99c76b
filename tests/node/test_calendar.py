"""Which shards there must be, and when they close: one pure function of the clock."""

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from log.node import calendar


def ms(year: int, month: int = 1, day: int = 1, hour: int = 0) -> int:
    return int(dt.datetime(year, month, day, hour, tzinfo=dt.UTC).timestamp() * 1000)


def test_next_years_shard_is_there_three_months_ahead() -> None:
    assert list(calendar.due_years(2025, ms(2026, 9, 30, 23), 92)) == [2025, 2026]
    assert list(calendar.due_years(2025, ms(2026, 10, 1), 92)) == [2025, 2026, 2027]
    assert list(calendar.due_years(2025, ms(2026, 12, 31), 92)) == [2025, 2026, 2027]
    assert list(calendar.due_years(2026, ms(2026, 1, 1), 365 * 3 + 1)) == [2026, 2027, 2028, 2029]


def test_before_the_first_year_comes_near_there_is_none() -> None:
    assert not calendar.due_years(2030, ms(2026, 10, 1), 92)
    assert list(calendar.due_years(2030, ms(2029, 10, 1), 92)) == [2030]


def test_windows_are_years_without_gap() -> None:
    assert calendar.window(2028) == (ms(2028), ms(2029))
    for year in range(1970, 2100):
        assert calendar.window(year)[1] == calendar.window(year + 1)[0]


def test_a_shard_closes_days_after_its_window() -> None:
    assert calendar.closes_ms(calendar.window(2026)[1], 7) == ms(2027, 1, 8)
    assert calendar.closes_ms(calendar.window(2026)[1], 0) == ms(2027)
    assert calendar.date(ms(2027, 1, 8)) == "2027-01-08"


@given(st.integers(1970, 2200), st.integers(0, 7_000_000_000_000), st.integers(0, 10_000_000_000), st.integers(1, 2000))
def test_time_only_adds_shards_and_each_comes_at_its_moment(first: int, now_ms: int, later_ms: int, ahead: int) -> None:
    before = list(calendar.due_years(first, now_ms, ahead))
    after = list(calendar.due_years(first, now_ms + later_ms, ahead))
    assert after[: len(before)] == before
    for year in range(first, first + 300):
        assert (year in before) == (now_ms >= calendar.begins_ms(year, ahead))
