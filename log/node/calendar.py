"""PURE: which shards of a certificate log there must be at a time, what each takes, and when it closes.

A shard takes the certificates whose notAfter lies in one calendar year, UTC. It comes into being `ahead_days` before
that year begins, and closes `close_after_days` after it has ended; its reads go on for ever.
"""

import datetime as dt

DAY_MS = 86_400_000
LAST_YEAR = dt.MAXYEAR - 1  # the last whose end, the beginning of the next, is a date
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def due_years(first_year: int, now_ms: int, ahead_days: int) -> range:
    """Return the years whose shards must exist at a time; none when the first is further ahead."""
    return range(first_year, _year(now_ms + ahead_days * DAY_MS) + 1)


def window(year: int) -> tuple[int, int]:
    """Return the notAfter dates that the shard of a year takes: from (inclusive), to (exclusive)."""
    return _begin_ms(year), _begin_ms(year + 1)


def begins_ms(year: int, ahead_days: int) -> int:
    """Return when the shard of a year comes into being."""
    return _begin_ms(year) - ahead_days * DAY_MS


def closes_ms(window_end_ms: int, close_after_days: int) -> int:
    """Return when a shard closes."""
    return window_end_ms + close_after_days * DAY_MS


def date(time_ms: int) -> str:
    """Return a time as its date, UTC."""
    return f"{_EPOCH + dt.timedelta(milliseconds=time_ms):%Y-%m-%d}"


def _begin_ms(year: int) -> int:
    return (dt.datetime(year, 1, 1, tzinfo=dt.UTC) - _EPOCH) // dt.timedelta(milliseconds=1)


def _year(time_ms: int) -> int:
    return (_EPOCH + dt.timedelta(milliseconds=time_ms)).year
