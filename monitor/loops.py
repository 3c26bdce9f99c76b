"""Pieces of work that go on side by side until they are no longer wanted.

A loop ends by itself between two steps, never in the middle of one: what it began it finishes. Another one of the
same name begins only when it has.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

Stop = asyncio.Event  # set when the loop is to end
Work = Callable[[Stop], Awaitable[None]]
Key = tuple[str, object]  # a name for people, and what the loop is about: another object is another loop


class Loops:
    """The loops of one monitor, in a task group: an error in one ends all."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._running: dict[Key, tuple[Stop, asyncio.Task[None]]] = {}
        self._ending: dict[str, asyncio.Task[None]] = {}

    def want(self, wanted: Mapping[Key, Work]) -> None:
        """Begin those that do not run yet, and tell those that are no longer wanted to end."""
        self._ending = {name: task for name, task in self._ending.items() if not task.done()}
        for key in [key for key in self._running if key not in wanted]:
            stop, task = self._running.pop(key)
            stop.set()
            self._ending[key[0]] = task
        for key, work in wanted.items():
            if key not in self._running:
                stop, name = Stop(), key[0]
                task = self._group.create_task(_life(work, stop, self._ending.get(name)), name=name)
                self._running[key] = stop, task


async def _life(work: Work, stop: Stop, before: asyncio.Task[None] | None) -> None:
    if before is not None:
        await asyncio.wait([before])
    if not stop.is_set():
        await work(stop)


async def every(interval_s: float, work: Callable[[], Awaitable[object]], stop: Stop) -> None:
    """Do a piece of work again and again until told to stop, from start to start at least `interval_s` apart."""
    now = asyncio.get_running_loop().time
    while not stop.is_set():
        begun = now()
        await work()
        await pause(begun + interval_s - now(), stop)


async def pause(seconds: float, *events: asyncio.Event) -> None:
    """Wait for a time, or until one of these is set. At the least, let others have their turn."""
    if seconds <= 0 or any(event.is_set() for event in events):
        await asyncio.sleep(0)
        return
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
