"""Keeps watch over our own clock, also across restarts (monitoring.md §5.5, §5.3).

How wall and monotonic clock stand to each other is on record per boot. A process that starts and finds them parted,
or a wall clock behind the one it had in an earlier boot, distrusts its clock as after any other jump.
"""

import asyncio
import logging
from pathlib import Path
from uuid import uuid4

from monitor.clock import Clock
from monitor.limits import Limits
from monitor.outcome import CLOCK, Finding, Outcome
from monitor.store import Store

TICK_S = 0.5  # how often the clocks are compared
RECORD_S = 60.0  # how often their reading is put on record

logger = logging.getLogger("monitor")


class Timekeeper:
    """Watches one clock. One task at a time calls `check`."""

    def __init__(self, clock: Clock, store: Store, limits: Limits, boot_id: str) -> None:
        """`boot_id` tells one run of this machine from another."""
        self.jumped = False  # whether the last check found a jump
        self._clock = clock
        self._store = store
        self._limits = limits
        self._boot_id = boot_id
        self._recorded_s: float | None = None  # None before the first check

    async def check(self) -> list[Finding]:
        """Look at the clocks; say when ours is off. That it has jumped is told as a line, and is no finding."""
        parted = self._clock.tick()
        if self._recorded_s is None:
            parted = parted or await asyncio.to_thread(self._since_last_time)
            if parted is not None:
                self._clock.distrust()
        self.jumped = parted is not None
        if parted is not None:
            fields = {"event": "clock-jump", "parted_ms": parted, "settles_s": self._limits.clock_settle_s}
            logger.warning("our clock has jumped: nothing rests on it for a while", extra={"fields": fields})
        await self._record()
        off = self._clock.offset_ms()
        if off is None:
            return []
        text = f"our clock is {abs(off) / 1000:.0f} s {'behind' if off > 0 else 'ahead of'} most others'"
        return [Finding(Outcome.OWN, CLOCK, CLOCK, f"{text}: no verdict rests on time until it is set")]

    def _since_last_time(self) -> int | None:
        """Return by how much the clocks have parted since they were last on record, if it is a jump."""
        wall_ms, monotonic_s = self._clock.both()
        limit_ms = self._limits.clock_jump_s * 1000
        held = self._store.clock(self._boot_id)
        if held is not None:
            parted = (wall_ms - held[0]) - (round(monotonic_s * 1000) - held[1])
            return parted if abs(parted) > limit_ms else None
        latest = self._store.latest_clock()
        return wall_ms - latest if latest is not None and latest - wall_ms > limit_ms else None

    async def _record(self) -> None:
        wall_ms, now_s = self._clock.both()
        if self._recorded_s is not None and not self.jumped and now_s - self._recorded_s < RECORD_S:
            return
        self._recorded_s = now_s
        await asyncio.to_thread(self._store.keep_clock, self._boot_id, wall_ms, round(now_s * 1000))


def boot_id() -> str:
    """Return what tells this run of the machine from others; where the kernel does not say, none is like another."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return uuid4().hex
