"""PURE: the state of any date, folded once between two dates on which something changes."""

from bisect import bisect_right
from dataclasses import replace
from itertools import pairwise

from log.governance.chains import Chains
from log.governance.fold import State, at

FOREVER_MS = 2**62
MAX_KEPT = 64  # states that are remembered; whoever asks of many dates has them folded again


class Timeline:
    """What some chains say of every date. Chains never change: whoever has new ones makes a new timeline."""

    def __init__(self, chains: Chains) -> None:
        brought = [each for chain in chains.chains.values() for each in (*chain.actions, *chain.disputed)]
        self.chains = chains
        self._changes_ms = sorted({chains.genesis.created_ms, *(each.action.effective_ms for each in brought)})
        self._kept: dict[int, State] = {}

    def at(self, date_ms: int) -> State:
        """Return what holds on a date, POSIX milliseconds."""
        era = bisect_right(self._changes_ms, date_ms)
        state = self._kept.get(era)
        if state is None:
            if len(self._kept) >= MAX_KEPT:
                self._kept.clear()
            state = self._kept[era] = at(self.chains, date_ms)
        return replace(state, date_ms=date_ms)

    def eras(self) -> list[tuple[int, int]]:
        """Return the times, from and to (exclusive), between which nothing changes; the last one never ends."""
        return [*pairwise([*self._changes_ms, FOREVER_MS])]
