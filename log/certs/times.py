"""The times in a certificate (RFC 5280 section 4.1.2.5, X.680), as milliseconds since 1970."""

import datetime as dt
from functools import lru_cache

from log.certs import der
from log.errors import Malformed

CACHED_TIMES = 4096  # CAs issue in bulk, with round times

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MILLISECOND = dt.timedelta(milliseconds=1)


@lru_cache(CACHED_TIMES)
def time_ms(tag: int, text: bytes) -> int:
    """Return a UTCTime or GeneralizedTime as milliseconds since 1970.

    Besides RFC 5280's YYMMDDHHMMSSZ and YYYYMMDDHHMMSSZ the older forms of X.680 are read: without seconds,
    with a fraction of a second (GeneralizedTime only, cut to milliseconds), with an offset instead of Z.
    """
    if tag == der.UTC_TIME:
        digits = 10
    elif tag == der.GENERALIZED_TIME:
        digits = 12
    else:
        raise Malformed("certificate: a time of no known type")
    if not text.isascii():
        raise Malformed("certificate: a time that is not text")
    fields, rest = text[:digits], text[digits:]
    second, millisecond = b"00", 0
    if rest[:1].isdigit():
        second, rest = rest[:2], rest[2:]
        if digits == 12 and rest[:1] in (b".", b","):
            fraction = rest[1 : len(rest) - len(rest[1:].lstrip(b"0123456789"))]
            if not fraction:
                raise Malformed("certificate: a time with an empty fraction")
            millisecond, rest = int(fraction[:3].ljust(3, b"0")), rest[1 + len(fraction) :]
    if len(fields) != digits or not fields.isdigit() or len(second) != 2 or not second.isdigit():
        raise Malformed("certificate: a time that is not a date and a time of day")
    year = int(fields[:-8])
    if digits == 10:
        year += 1900 if year >= 50 else 2000  # RFC 5280 section 4.1.2.5.1
    month, day, hour, minute = (int(fields[-n:][:2]) for n in (8, 6, 4, 2))
    try:
        local = dt.datetime(year, month, day, hour, minute, int(second), tzinfo=dt.UTC)
        return (local - _east_of_utc(rest) - _EPOCH) // _MILLISECOND + millisecond
    except (ValueError, OverflowError) as e:
        raise Malformed(f"certificate: no such time: {e}") from e


def _east_of_utc(zone: bytes) -> dt.timedelta:
    """Return how far a zone is ahead of UTC: Z, or a sign with hours and minutes."""
    if zone == b"Z":
        return dt.timedelta()
    sign, hours, minutes = zone[:1], zone[1:3], zone[3:]
    if sign not in (b"+", b"-") or len(zone) != 5 or not (hours + minutes).isdigit():
        raise Malformed("certificate: a time without its zone")
    if int(hours) > 23 or int(minutes) > 59:
        raise Malformed("certificate: no such zone")
    ahead = dt.timedelta(hours=int(hours), minutes=int(minutes))
    return ahead if sign == b"+" else -ahead
