"""What a witness missed while it was away: audited again from its entries, once it is back (monitoring.md §5.5)."""

import logging

from log.evidence.heads import Head
from monitor.clock import Clock
from monitor.follower import Follower
from monitor.limits import Limits
from monitor.outcome import Finding
from monitor.store import Vouched

logger = logging.getLogger("monitor")


class Missed:
    """The window of one log that is to be audited again, if there is one."""

    def __init__(self, follower: Follower, limits: Limits, clock: Clock) -> None:
        self._follower = follower
        self._limits = limits
        self._clock = clock
        self._window: tuple[Vouched, Head] | None = None

    def heal(self, before: Vouched | None, head: Head) -> None:
        """Note a window to be audited again, when a witness is back that has not vouched for long."""
        if before is None or not self._clock.trusted():
            return
        if self._clock.now_ms() - before.time_s * 1000 <= self._limits.degraded_s * 1000 or before.size > head.size:
            return
        if self._window is None or before.size < self._window[0].size:
            self._window = before, head

    async def audit(self) -> list[Finding]:
        """Audit the window that a witness missed from its entries, if there is one: is it still what we verified?

        It is asked for again until it could be read.
        """
        if self._window is None:
            return []
        before, head = self._window
        findings = await self._follower.audit(before.size, before.root, head)
        if not findings:
            self._window = None
            fields = {"event": "audited-again", "subject": head.origin, "from": before.size, "to": head.size}
            logger.info("the window that a witness missed was audited again", extra={"fields": fields})
        return findings
