"""Canonical JSON read into values, strictly: which members an object has, of which type, in which spelling.

Shared by the formats that are JSON (`log.formats.jcs`): trust lists, genesis, the payloads of governance
actions, events. Everything raises `Malformed`; what is read here is compared with what would be written by whoever
reads the whole.
"""

import datetime as dt
import re
from typing import Any, TypeVar

from log.errors import Malformed

_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_MINUTE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\dZ", re.ASCII)
_IDENTIFIER = re.compile(r"[a-z0-9][a-z0-9.-]{0,99}")
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MILLISECOND = dt.timedelta(milliseconds=1)

_T = TypeVar("_T")


def members(value: Any, *names: str, optional: str | None = None) -> dict[str, Any]:
    """Return an object that has exactly these members, and perhaps the optional one."""
    if not isinstance(value, dict) or value.keys() - {optional} != set(names):
        raise Malformed(f"an object with the members {', '.join(names)} expected")
    return value


def typed(value: Any, kind: type[_T]) -> _T:
    """Return a value that is exactly of this type: to `isinstance`, True is an int."""
    if type(value) is not kind:
        raise Malformed(f"{kind.__name__} expected")
    return value


def identifier(value: Any) -> str:
    """Return a short name: lower-case letters, digits, dots and hyphens, 1 to 100 characters."""
    text = typed(value, str)
    if not _IDENTIFIER.fullmatch(text):
        raise Malformed(f"not an identifier: {text[:80]!r}")
    return text


def member_id(value: Any) -> str:
    """Return the name of a member, <side>/<id>, two identifiers."""
    text = typed(value, str)
    side, _, name = text.partition("/")
    return f"{identifier(side)}/{identifier(name)}"


def parse_date(value: Any) -> int:
    """Read a date as it is always spelled, 2015-07-10T16:00:00Z, to milliseconds since 1970."""
    return _parse_time(value, _DATE)


def parse_minute(value: Any) -> int:
    """Read a time to the minute, 2026-11-28T08:15Z, to milliseconds since 1970."""
    return _parse_time(value, _MINUTE)


def _parse_time(value: Any, pattern: re.Pattern[str]) -> int:
    text = typed(value, str)
    if not pattern.fullmatch(text):
        raise Malformed(f"not a date: {text[:40]!r}")
    try:
        return (dt.datetime.fromisoformat(text) - _EPOCH) // _MILLISECOND
    except ValueError as e:
        raise Malformed(f"no such date: {text}") from e


def parse_date_or_none(value: Any) -> int | None:
    """Read a date, or null."""
    return None if value is None else parse_date(value)


def encode_date(timestamp_ms: int) -> str:
    """Write a date; `Malformed` for one that is not a whole second."""
    moment = _EPOCH + timestamp_ms * _MILLISECOND
    if moment.microsecond:
        raise Malformed("dates are whole seconds")
    return moment.isoformat().replace("+00:00", "Z")


def encode_minute(timestamp_ms: int) -> str:
    """Write a time to the minute; `Malformed` for one that is not a whole minute."""
    moment = _EPOCH + timestamp_ms * _MILLISECOND
    if moment.second or moment.microsecond:
        raise Malformed("times of events are whole minutes")
    return moment.isoformat(timespec="minutes").replace("+00:00", "Z")


def encode_date_or_none(timestamp_ms: int | None) -> str | None:
    """Write a date, or null."""
    return None if timestamp_ms is None else encode_date(timestamp_ms)
