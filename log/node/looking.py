"""Tasks that look at the clock and at their surroundings again and again, and are never cut off in a look."""

import asyncio
import contextlib
from abc import ABC, abstractmethod

LOOK_S = 1.0  # between two looks


class Looking(ABC):
    """Looks every second until it is told to stop. A look that has begun may be writing, so it ends by itself."""

    def __init__(self) -> None:
        self._stopping = asyncio.Event()

    @abstractmethod
    async def look(self) -> None:
        """Do what is due."""

    async def run(self) -> None:
        """Look until `stop`."""
        while not self._stopping.is_set():
            await self.look()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), LOOK_S)

    def stop(self) -> None:
        """Let `run` end after the look under way."""
        self._stopping.set()
