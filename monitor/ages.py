"""How old the head is that a log serves, and since when each of its witnesses is silent about it.

Nothing new is said while our own clock is not trusted.
"""

import asyncio
from collections.abc import Sequence

from monitor import freshness
from monitor.clock import Clock
from monitor.feeder import Feeder
from monitor.limits import Limits
from monitor.logs import FollowedLog, Witness
from monitor.outcome import WITNESS_LAGS, Finding
from monitor.store import Store, Vouched


class Ages:
    """Those of one log."""

    def __init__(self, store: Store, limits: Limits, clock: Clock) -> None:
        self._store = store
        self._limits = limits
        self._clock = clock
        self._begun_ms = clock.now_ms()
        self._said: list[Finding] = []  # when our clock was trusted last

    async def say(
        self, followed: FollowedLog, served_ms: int | None, why: str | None, fed: Sequence[Feeder]
    ) -> list[Finding]:
        """Say what is too old.

        `served_ms` is the signed time of the head that the last look found in order, `why` what kept it from verifying
        one; `fed` are those to whose witness there is something to feed.
        """
        if not self._clock.trusted():
            return self._said  # nothing new, and nothing is over
        origin, findings = followed.origin, list[Finding | None]()
        if served_ms is not None:
            findings.append(freshness.head(origin, served_ms, self._clock.now_ms(), self._limits))
        if why is not None:
            findings.append(await asyncio.to_thread(self._not_followed, origin, why))
        for feeder in fed:
            name = feeder.witness.vkey.name
            cosigned_ms = await asyncio.to_thread(self._cosigned_ms, origin, feeder.witness)
            found = freshness.witness(origin, name, cosigned_ms, self._clock.now_ms(), self._limits)
            if found is not None and (feeder.well or found.code != WITNESS_LAGS):  # else its feeding says what is wrong
                findings.append(found)
        self._said = [finding for finding in findings if finding is not None]
        return self._said

    def last_cosigned(self, origin: str, witness: Witness) -> Vouched | None:
        """Return what a witness cosigned last of a log by a key that counts, or None. Blocks."""
        counting = witness.counting(self._clock.now_ms())
        kept = [self._store.cosigned(origin, vkey.encode()) for vkey in counting]
        return max((each for each in kept if each is not None), key=lambda each: each.time_s, default=None)

    def _not_followed(self, origin: str, why: str) -> Finding | None:
        verified = self._store.verified(origin)
        since_ms = self._begun_ms if verified is None else verified.verified_ms
        return freshness.followed(origin, since_ms, why, self._clock.now_ms(), self._limits)

    def _cosigned_ms(self, origin: str, witness: Witness) -> int:
        """Return when a witness cosigned this log last; when we met the log first, where it never did."""
        last = self.last_cosigned(origin, witness)
        met_ms = self._store.met_ms(origin)
        return last.time_s * 1000 if last is not None else met_ms or self._clock.now_ms()
