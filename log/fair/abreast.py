"""Abreast: so many of one source are under way at once, as long as it is not alone; the others wait.

Shares bound what somebody holds, turns say who is next at one place. Neither keeps a machine from being busy with
what it let in: everything of a storm that is under way makes everything else slower. Who is alone disturbs nobody,
and is not held up; who else is there callers say, so that nobody is held up by what comes to nothing. Who has little
under way while a storm is held back need not wait for company either: `prompt`.
"""

from collections import Counter, deque
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Source = TypeVar("Source", bound=Hashable)
Item = TypeVar("Item")


class Abreast(Generic[Source, Item]):
    """What is under way of each source, and what waits. `now_ms` never goes back."""

    def __init__(self, limit: int, alone_ms: int, now_ms: Callable[[], int]) -> None:
        """At most `limit` are under way of a source, unless it is alone: for `alone_ms` no other was there."""
        self._limit = limit
        self._alone_ms = alone_ms
        self._now_ms = now_ms
        self._under_way: Counter[Source] = Counter()
        self._waiting: dict[Source, deque[Item]] = {}
        self._there: list[tuple[Source, int]] = []  # the newest source and the newest other one, each with its time

    @property
    def held(self) -> int:
        """How many wait."""
        return sum(map(len, self._waiting.values()))

    def enter(self, source: Source) -> bool:
        """Count one as under way and return True, or return False: then it has to `wait`."""
        if source in self._waiting or not self._has_room(source):
            return False
        self._under_way[source] += 1
        return True

    def there(self, source: Source) -> None:
        """From now on, and for `alone_ms`, no other source is alone."""
        self._there = [(source, self._now_ms()), *(each for each in self._there if each[0] != source)][:2]

    def wait(self, source: Source, item: Item) -> None:
        """Keep an item until `following` gives it back."""
        self._waiting.setdefault(source, deque()).append(item)

    def leave(self, source: Source) -> None:
        """One is no longer under way. Then ask for those that are `following`."""
        self._under_way[source] -= 1
        if not self._under_way[source]:
            del self._under_way[source]

    def following(self, source: Source) -> Item | None:
        """Count the item that waits longest as under way and return it; None when none waits, or none may pass."""
        waiting = self._waiting.get(source)
        if waiting is None or not self._has_room(source):
            return None
        item = waiting.popleft()
        if not waiting:
            del self._waiting[source]
        self._under_way[source] += 1
        return item

    def prompt(self, source: Source) -> bool:
        """Say whether what is under way of a source shall not wait for more to share its costs with.

        Somebody is held back, and it is not this source, of which half of what may be under way is there at most.
        """
        return bool(self._waiting) and source not in self._waiting and 2 * self._under_way[source] <= self._limit

    def _has_room(self, source: Source) -> bool:
        if self._under_way[source] < self._limit:
            return True
        now_ms = self._now_ms()
        return all(other == source or now_ms - there_ms >= self._alone_ms for other, there_ms in self._there)
