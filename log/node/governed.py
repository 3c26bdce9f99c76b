"""What a node makes of governance while it runs: guards, foreign logs, policies, freezes and closings, without restart.

`look` folds the chains for the moment and brings the node in line with them. It is called when an action was taken in,
before that is answered, so a restriction holds from then on; and every second, for what takes effect at a time.

    1. who guards this node        4. under whom its logs of certificates admit
    2. whom its witness cosigns    5. what is frozen
    3. each log's policy           6. what is closed: written down before anybody is told

What cannot be done is a problem that `/healthz` shows.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from log.client.witness import check_witnessable
from log.errors import Malformed
from log.governance.draft import Closing
from log.governance.fold import State
from log.governance.logs import ALL_LOGS
from log.node import closing
from log.node.guard import Guard, GuardKey
from log.node.looking import Looking
from log.node.witness import NodeWitness
from log.sequencer.clock import Clock
from log.service.log import Log
from log.storage import HeadStore

logger = logging.getLogger("twinlog.governance")


@dataclass(frozen=True, slots=True)
class Pinned:
    """What the settings of a node say."""

    node: str
    side: str  # whose freezes of issuers count for its logs; "" for a node of no side
    guards: tuple[GuardKey, ...]  # beside which governance can only add


class Governed(Looking):
    """Brings one node in line with its governance, look after look."""

    def __init__(
        self,
        pinned: Pinned,
        state: Callable[[int], State],
        logs: Callable[[], Iterable[Log]],
        guard: Guard,
        witness: NodeWitness,
        heads: HeadStore,
        clock: Clock,
        admit: Callable[[], None],
        on_closed: Callable[[], None],
    ) -> None:
        """`state` tells what holds at a time; `admit` says anew under whom logs admit."""
        super().__init__()
        self._pinned = pinned
        self._state = state
        self._logs = logs
        self._guard = guard
        self._witness = witness
        self._heads = heads
        self._clock = clock
        self._admit = admit
        self._on_closed = on_closed
        self._seen: State | None = None
        self._looking = asyncio.Lock()
        self.frozen_logs: frozenset[str] = frozenset()  # origins
        self.frozen_issuers: frozenset[bytes] = frozenset()  # SHA-256 of certificates
        self._unwitnessed: list[str] = []  # logs of governance that no witness can take, and why
        self._judged: dict[str, Closing] = {}  # closings that were carried out, by origin
        self._ends: dict[str, str] = {}  # what is wrong with a closing

    @property
    def problems(self) -> list[str]:
        """What an operator or an authority has to look at."""
        return [*self._unwitnessed, *(f"{origin}: {why}" for origin, why in self._ends.items())]

    @property
    def state(self) -> State:
        """What held at the last look."""
        if self._seen is None:
            raise AssertionError("asked before the first look")
        return self._seen

    async def look(self) -> None:
        """Bring the node in line. `StateRefused` and `StoreFailed` end it."""
        async with self._looking:
            state = self._state(self._clock.wall_ms())
            before, self._seen = self._seen, state
            hosted = list(self._logs())
            if before is None or replace(before, date_ms=state.date_ms) != state:
                self._unwitnessed = []
                self._guards(state)  # 1
                await self._peers(state, {each.origin for each in hosted})  # 2
                if before is None or before.trust_lists != state.trust_lists:
                    self._admit()  # 4
                self.frozen_logs = state.frozen_logs  # 5
                self.frozen_issuers = _frozen(state, self._pinned.side)
            for each in hosted:
                self._policy(state, each)  # 3: also of a shard that has come up since
                await self._close(each, state.closed.get(each.origin))  # 6

    def _guards(self, state: State) -> None:
        pinned = {key.name for key in self._pinned.guards}
        added = [
            GuardKey(entry.name, entry.cosigner, entry.push)
            for entry in state.guards.values()
            if entry.node == self._pinned.node and entry.name not in pinned
        ]
        self._guard.appoint((*self._pinned.guards, *added))

    async def _peers(self, state: State, own: set[str]) -> None:
        for origin, entry in state.logs.items():
            if entry.node == self._pinned.node or origin in own:
                continue
            try:
                check_witnessable(origin, entry.vkeys)
            except Malformed as error:
                self._unwitnessed.append(f"{origin} cannot be witnessed: {error}")
                continue
            await self._witness.know(origin, entry.vkeys)

    @staticmethod
    def _policy(state: State, hosted: Log) -> None:
        policy = state.policies.get(hosted.origin, state.policies.get(ALL_LOGS))
        if policy is not None:
            hosted.follow(policy)

    async def _close(self, hosted: Log, final: Closing | None) -> None:
        if final is None or self._judged.get(hosted.origin) == final:
            return
        if not hosted.closed:
            await closing.close(self._heads, hosted.origin, f"closed by governance at size {final.size}")
            hosted.closed = await closing.reason(self._heads, hosted.origin)
            logger.warning("closed by governance", extra={"fields": {"log": hosted.name, "size": final.size}})
            self._on_closed()
        if hosted.size < final.size or await hosted.root_at(final.size) != final.root:
            self._ends[hosted.origin] = "governance closed it with a head that this tree does not bear out"
        elif hosted.size > final.size:
            beyond = hosted.size - final.size
            self._ends[hosted.origin] = f"{beyond} entries lie beyond the head with which governance closed it"
        self._judged[hosted.origin] = final


def _frozen(state: State, side: str) -> frozenset[bytes]:
    """Return the SHA-256 of each certificate from under which a side's logs, or all logs, take nothing more."""
    sides = (side,) if side else tuple(state.trust_lists)
    every = {fingerprint for frozen in state.frozen_issuers.values() for fingerprint in frozen}
    return frozenset(bytes.fromhex(each) for each in every if any(state.freezes(side, each) for side in sides))
