"""How many requests a submitter has in flight: as many as the log answers, found by trying.

As TCP does it (RFC 5681 section 3.1, additive increase, multiplicative decrease): each full round of answers admits
one more, each round in which the log said "busy" or did not answer halves the number. One is always admitted.
"""

import asyncio
import time
from types import TracebackType


class Pace:
    """A semaphore whose size follows what became of the requests. One event loop."""

    def __init__(self, most: int, start: int = 8) -> None:
        """`most` is the largest size, `start` the first."""
        self._most = most
        self._size = float(min(start, most))
        self._flying = 0
        self._free = asyncio.Condition()
        self._cut_at = 0.0

    @property
    def size(self) -> int:
        """How many requests may be in flight now."""
        return int(self._size)

    async def __aenter__(self) -> float:
        """Wait for a place; return the time at which it was had, for `busy`."""
        async with self._free:
            await self._free.wait_for(lambda: self._flying < self.size)
            self._flying += 1
        return time.monotonic()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        async with self._free:
            self._flying -= 1
            self._free.notify(2)  # the place that is free, and the one that may have been won

    def answered(self) -> None:
        """The log answered a request."""
        self._size = min(self._size + 1 / self._size, self._most)

    def busy(self, begun: float) -> None:
        """A request that began then found the log busy or away. What was in flight with it counts once."""
        if begun >= self._cut_at:
            self._size = max(self._size / 2, 1)
            self._cut_at = time.monotonic()
