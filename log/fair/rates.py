"""Rates: so many submissions a second of each source, with a bounded memory of sources.

A bucket is one number: the moment at which it will be full again. A source whose bucket was forgotten starts with
the emptiest bucket that was ever forgotten, as that would be by now. So driving one's own bucket out of the table
wins nothing, and whoever is new waits `burst_s` at most for what others did.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from log.errors import RateLimited

_SECOND_NS = 1_000_000_000
_MS_NS = 1_000_000

Source = TypeVar("Source", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Rate:
    """A named limit."""

    name: str  # of the setting
    per_second: int
    what: str  # of what there may be so many a second, and whose: words for the refusal
    burst_s: int = 1  # seconds' worth that a source may use at once

    def __str__(self) -> str:
        return f"{self.name} = {self.per_second} {self.what}"


class Rates(Generic[Source]):
    """One bucket for each source; `now_ms` never goes back."""

    def __init__(self, rate: Rate, now_ms: Callable[[], int], max_sources: int) -> None:
        self._rate = rate
        self._now_ms = now_ms
        self._max_sources = max_sources
        self._step_ns = _SECOND_NS // rate.per_second  # that one token takes to come back
        self._burst_ns = rate.burst_s * _SECOND_NS
        self._full_ns: OrderedDict[Source, int] = OrderedDict()  # least recently used first
        self._floor_ns = 0  # what the emptiest forgotten bucket said

    def __len__(self) -> int:
        return len(self._full_ns)

    def over(self, source: Source) -> bool:
        """Say whether a source has no token now; nothing is used."""
        now_ns = self._now_ms() * _MS_NS
        return self._filled(source, now_ns) + self._step_ns > now_ns + self._burst_ns

    def take(self, source: Source, count: int = 1) -> None:
        """Use tokens of a source; `RateLimited` when there are not so many."""
        now_ns = self._now_ms() * _MS_NS
        full_ns = self._filled(source, now_ns) + count * self._step_ns
        known = source in self._full_ns
        if known:
            self._full_ns.move_to_end(source)  # who keeps coming is not forgotten
        if full_ns > now_ns + self._burst_ns:
            raise self.refusal()
        self._full_ns[source] = full_ns
        if not known and len(self._full_ns) > self._max_sources:
            _, forgotten_ns = self._full_ns.popitem(last=False)
            self._floor_ns = max(self._floor_ns, forgotten_ns)

    def give_back(self, source: Source, count: int = 1) -> None:
        """Undo one `take`: what it was for did not happen."""
        if source in self._full_ns:
            self._full_ns[source] -= count * self._step_ns

    def refusal(self) -> RateLimited:
        """Return the error that says which rate it was."""
        return RateLimited(f"over {self._rate}")

    def _filled(self, source: Source, now_ns: int) -> int:
        return max(self._full_ns.get(source, self._floor_ns), now_ns)
