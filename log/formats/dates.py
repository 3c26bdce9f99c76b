"""Times as people read them. A signed time is any number of milliseconds; the calendar ends with the year 9999."""

from datetime import UTC, datetime

PLAIN = "%Y-%m-%d %H:%M:%S UTC"
RFC3339 = "%Y-%m-%dT%H:%M:%S+00:00"


def date(time_ms: int, form: str = PLAIN) -> str:
    """Return a time in ms since 1970 to the second, in UTC; as the number that it is where no calendar has it."""
    try:
        return datetime.fromtimestamp(time_ms / 1000, UTC).strftime(form)
    except (ValueError, OverflowError, OSError):
        return f"{time_ms} ms"
