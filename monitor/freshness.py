"""PURE: how old heads and cosignatures are, and what follows from that (monitoring.md §5.5, §5.6).

Time is a reason to look, never a proof: nothing here is more than suspected. Nobody asks while our own clock is not
trusted.
"""

from log.formats.dates import date
from monitor.limits import Limits
from monitor.outcome import (
    FUTURE_HEAD,
    HEAD_OLD,
    HEAD_SLOW,
    NOT_CROSS_WITNESSED,
    NOT_FOLLOWED,
    WITNESS_LAGS,
    Finding,
    Outcome,
)


def is_future(signed_ms: int, now_ms: int, limits: Limits) -> bool:
    """Say whether a head was signed too far ahead of us: it counts for consistency, and is not fresh."""
    return signed_ms - now_ms > limits.future_s * 1000


def head(origin: str, signed_ms: int, now_ms: int, limits: Limits) -> Finding | None:
    """Judge the signed time of the head that a log serves; None when it is fresh."""
    if is_future(signed_ms, now_ms, limits):
        text = f"serves a head that was signed {span((signed_ms - now_ms) / 1000)} in the future, at {date(signed_ms)}"
        return Finding(Outcome.UNVERIFIED, origin, FUTURE_HEAD, text)
    age_s = (now_ms - signed_ms) / 1000
    text = f"serves a head that was signed {span(age_s)} ago, at {date(signed_ms)}"
    if age_s > limits.head_alarm_s:
        return Finding(Outcome.UNREACHED, origin, HEAD_OLD, text)
    if age_s > limits.head_warn_s:
        return Finding(Outcome.UNREACHED, origin, HEAD_SLOW, text)
    return None


def witness(origin: str, name: str, cosigned_ms: int, now_ms: int, limits: Limits) -> Finding | None:
    """Judge since when a witness has cosigned nothing of a log that is fed to it; None when it was just now."""
    silent_s = (now_ms - cosigned_ms) / 1000
    if silent_s > limits.degraded_s:
        text = f"not cross-witnessed by {name} since {date(cosigned_ms)}"
        return Finding(Outcome.UNREACHED, origin, NOT_CROSS_WITNESSED, text, name)
    if silent_s > limits.lag_s:
        text = f"witness {name} lags: its last cosignature is {span(silent_s)} old"
        return Finding(Outcome.UNREACHED, origin, WITNESS_LAGS, text, name)
    return None


def followed(origin: str, since_ms: int, why: str, now_ms: int, limits: Limits) -> Finding | None:
    """Judge since when nothing of a log could be verified, and `why` not; None while that is not for long."""
    if now_ms - since_ms <= limits.degraded_s * 1000:
        return None
    return Finding(Outcome.UNREACHED, origin, NOT_FOLLOWED, f"not followed since {date(since_ms)}: {why}")


def span(seconds: float) -> str:
    """Return a length of time for people: seconds up to two minutes, else in the largest unit of which it has two."""
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
