"""Time as it is passed in: a wall clock that may jump and a monotonic one that may not."""

import time
from typing import Protocol


class Clock(Protocol):
    """Milliseconds. Nothing below `main` reads a clock of its own."""

    def wall_ms(self) -> int:
        """Return POSIX time in milliseconds."""
        ...

    def mono_ms(self) -> int:
        """Return milliseconds since an arbitrary moment; never goes back within a process."""
        ...


class SystemClock:
    """The machine's clocks."""

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def mono_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000
