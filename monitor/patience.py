"""A log that gives no answer of use: what that is told as, and how long one that is busy is left alone."""

from log.errors import LogError, Redirected, Unreachable
from monitor.clock import Clock
from monitor.limits import Limits
from monitor.outcome import BUSY, GARBLED, REDIRECT, Finding, Outcome


class Patience:
    """With one log."""

    def __init__(self, origin: str, limits: Limits, clock: Clock) -> None:
        self._origin = origin
        self._limits = limits
        self._clock = clock
        self._busy: Finding | None = None  # what a log is told of that asked to be left alone
        self._rest_until_s = 0.0  # on the monotonic clock

    def resting(self) -> Finding | None:
        """Say that the log is left alone for a while, as it has asked; None when it may be asked."""
        return self._busy if self._clock.monotonic_s() < self._rest_until_s else None

    def refused(self, error: LogError, code: str) -> Finding:
        """Say why nothing of use came from the log; `code` is that of no answer at all.

        One that says it is busy is left alone as long as it asks for and `retry_after_s` allows.
        """
        if isinstance(error, Redirected):
            return Finding(Outcome.UNVERIFIED, self._origin, REDIRECT, str(error))
        if not isinstance(error, Unreachable):
            return Finding(Outcome.UNVERIFIED, self._origin, GARBLED, f"no checkpoint: {error}")
        if not error.retry_after_s:
            return Finding(Outcome.UNREACHED, self._origin, code, str(error))
        rest_s = min(float(error.retry_after_s), self._limits.retry_after_s)
        self._rest_until_s = self._clock.monotonic_s() + rest_s
        self._busy = Finding(Outcome.UNREACHED, self._origin, BUSY, f"{error}; it is left alone for {rest_s:.0f} s")
        return self._busy
