"""Whether this monitor does what it is there for: looks at every log, can write, knows what time it is.

What a log or a witness does is no matter of health: that is told as alerts. So whoever restarts sick processes never
restarts one because of somebody else's lie.
"""

from collections.abc import Callable, Iterable
from typing import Any

from monitor.clock import Clock
from monitor.limits import Limits
from monitor.store import Store
from monitor.watch import Watch


class Health:
    """Reads it. `report` blocks."""

    def __init__(
        self, name: str, watches: Callable[[], Iterable[Watch]], store: Store, clock: Clock, limits: Limits
    ) -> None:
        """`watches` gives those that go on now."""
        self._name = name
        self._watches = watches
        self._store = store
        self._clock = clock
        self._limits = limits

    def report(self) -> tuple[bool, dict[str, Any]]:
        """Return (whether all is well, the same as plain values with why not in `problems`)."""
        logs, problems = [], []
        for watch in self._watches():
            logs.append(self._row(watch))
            waited_s = self._clock.monotonic_s() - watch.stirred_s
            if waited_s > self._limits.look_s:
                problems.append(f"{watch.log.origin}: no look has ended or gone on for {waited_s:.0f} s")
        if self._store.failure:
            problems.append(f"our state is not written any more: {self._store.failure}")
        trusted = self._clock.trusted()
        if not trusted:
            problems.append("our clock is not trusted: no verdict rests on time")
        report = {
            "monitor": self._name,
            "ok": not problems,
            "problems": problems,
            "clock_trusted": trusted,
            "state_writable": not self._store.failure,
            "logs": logs,
        }
        return not problems, report

    def _row(self, watch: Watch) -> dict[str, Any]:
        origin = watch.log.origin
        verified = self._store.verified(origin)
        time_ms = None if verified is None else verified.head.time_ms
        ended_s = watch.looked_s
        return {
            "origin": origin,
            "announced": self._store.counts(origin).announced,
            "verified": None if verified is None else verified.head.size,
            "head_age_s": None if time_ms is None else (self._clock.now_ms() - time_ms) // 1000,
            "looked_s": None if ended_s is None else round(self._clock.monotonic_s() - ended_s, 1),
            "open": self._store.counts(origin).open,
        }
