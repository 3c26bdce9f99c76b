"""Abreast: so many of one source are under way at once, as long as it is not alone; the others wait.

Shares bound what somebody holds, turns say who is next at one place. Neither keeps a machine from being busy with
what it let in: everything of a storm that is under way makes everything else slower. Who is alone disturbs nobody,
and is not held up; who else is there callers say, so that nobody is held up by what comes to nothing.

Few under way are enough for a storm, but not for everybody's work on a machine that is slow or busy with other things.
So whoever waits and gets less than `floor_per_s` gets more room, step by step, and gives it back once it gets more.
"""

from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

LOOK_MS = 100  # what a source gets is looked at so often,
STEP = 2  # and its room changes by so many

Source = TypeVar("Source", bound=Hashable)
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Room:
    """How much of a source may be under way while it is not alone."""

    least: int
    most: int  # while it gets less than
    floor_per_s: int
    alone_ms: int  # no other was there for so long: it is alone


@dataclass(slots=True)
class _Line(Generic[Item]):
    """What is there of one source."""

    room: int
    looked_ms: int
    under_way: int = 0
    left: int = 0  # since the last look
    waiting: deque[Item] = field(default_factory=deque)


class Abreast(Generic[Source, Item]):
    """What is under way of each source, and what waits. `now_ms` never goes back."""

    def __init__(self, room: Room, now_ms: Callable[[], int]) -> None:
        self._room = room
        self._now_ms = now_ms
        self._lines: dict[Source, _Line[Item]] = {}
        self._there: list[tuple[Source, int]] = []  # the newest source and the newest other one, each with its time
        self.held = 0  # how many wait

    def enter(self, source: Source) -> bool:
        """Count one as under way and return True, or return False: then it has to `wait`."""
        line = self._lines.get(source)
        if line is None:
            line = self._lines[source] = _Line(self._room.least, self._now_ms())
        if line.waiting or not self._has_room(source, line):
            return False
        line.under_way += 1
        return True

    def there(self, source: Source) -> None:
        """From now on, and for `alone_ms`, no other source is alone."""
        self._there = [(source, self._now_ms()), *(each for each in self._there if each[0] != source)][:2]

    def wait(self, source: Source, item: Item) -> None:
        """Keep an item that could not enter until `following` gives it back."""
        self._lines[source].waiting.append(item)
        self.held += 1

    def leave(self, source: Source) -> None:
        """One is no longer under way. Then ask for those that are `following`."""
        line = self._lines[source]
        line.under_way -= 1
        line.left += 1
        self._look(line)
        if not line.under_way and not line.waiting:
            del self._lines[source]

    def following(self, source: Source) -> Item | None:
        """Count the item that waits longest as under way and return it; None when none waits, or none may pass."""
        line = self._lines.get(source)
        if line is None or not line.waiting or not self._has_room(source, line):
            return None
        line.under_way += 1
        self.held -= 1
        return line.waiting.popleft()

    def _look(self, line: _Line[Item]) -> None:
        """Give a source more room that gets too little for what waits, and take back what it does not need."""
        now_ms = self._now_ms()
        if (past_ms := now_ms - line.looked_ms) < LOOK_MS:
            return
        lacking = line.waiting and line.left * 1000 < self._room.floor_per_s * past_ms
        line.room = min(line.room + STEP, self._room.most) if lacking else max(line.room - STEP, self._room.least)
        line.left, line.looked_ms = 0, now_ms

    def _has_room(self, source: Source, line: _Line[Item]) -> bool:
        if line.under_way < line.room:
            return True
        now_ms = self._now_ms()
        return all(other == source or now_ms - there_ms >= self._room.alone_ms for other, there_ms in self._there)
