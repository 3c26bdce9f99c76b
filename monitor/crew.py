"""Whom there is to follow now, and everyone who sees to that: for each log one `Watch`, for each log and witness one
`Feeder`, for each node one `Guard`, for each governance log one `Carrier`, for each closed log one `Coda`.

Whom there is to follow may change at any time, by governance: what is new is begun, what is gone ends between two
steps, and everything else goes on as it was.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from log.formats.family import GOVERNANCE
from monitor.branches import Branches
from monitor.carrier import Carrier
from monitor.coda import Coda
from monitor.egress import Egress
from monitor.errands import ENDED, OWN, ROSTER, WATCHING, Errand, exchanging, feeding, guarding, seeing, telling
from monitor.gossip import Gossip
from monitor.guard import Guard
from monitor.logs import FollowedLog, WatchedNode
from monitor.outcome import Finding
from monitor.promises import Promises
from monitor.roster import Roster
from monitor.watch import Watch

logger = logging.getLogger("monitor")


class Workshop(Protocol):
    """Makes the parts of a monitor."""

    def watch(self, followed: FollowedLog, poll_s: float) -> Watch:
        """Return what follows and feeds one log."""

    def coda(self, followed: FollowedLog) -> Coda:
        """Return what asks a closed log whether it signs on."""

    def guard(self, node: WatchedNode, foreign: Sequence[FollowedLog]) -> Guard:
        """Return what guards one node, which witnesses these logs of others."""

    def carrier(self, followed: FollowedLog) -> Carrier | None:
        """Return what carries actions from and to one governance log; None where the settings pin no genesis."""


class Crew:
    """All watches, guards and carriers of one monitor, and those who exchange with others."""

    def __init__(
        self,
        workshop: Workshop,
        look: Callable[[], Roster],
        gossips: Sequence[Gossip] = (),
        egresses: Sequence[Egress] = (),
        promises: Promises | None = None,
        branches: Branches | None = None,
    ) -> None:
        """Begin with whom `look` names; it is asked again and again, in a thread, and must not change anything."""
        self.gossips = tuple(gossips)
        self.egresses = tuple(egresses)
        self.codas: dict[str, Coda] = {}  # by origin
        self.asked: dict[str, tuple[Carrier, float]] = {}  # carriers by origin, and how often each is asked
        self.offered: dict[str, asyncio.Event] = {}  # by name of the node: whether it was offered a guard push
        self._workshop = workshop
        self._look = look
        self._promises = promises
        self._branches = branches
        self._nodes: tuple[WatchedNode, ...] = ()
        self._watches: dict[str, Watch] = {}  # by origin
        self._guards: dict[str, Guard] = {}  # by name of the node
        self._call(look().nodes)

    @property
    def watches(self) -> tuple[Watch, ...]:
        """One for each log that is followed."""
        return tuple(self._watches.values())

    @property
    def logs(self) -> tuple[FollowedLog, ...]:
        """Every log that we know now, closed ones too."""
        return tuple(followed for node in self._nodes for followed in node.logs)

    @property
    def guards(self) -> tuple[Guard, ...]:
        """One for each node that we guard."""
        return tuple(self._guards.values())

    @property
    def carriers(self) -> tuple[Carrier, ...]:
        """One for each governance log."""
        return tuple(carrier for carrier, _ in self.asked.values())

    def sources(self, channels: Iterable[str]) -> set[str]:
        """Return the name of everything that goes on, with what is told to `channels`."""
        sources = {
            ROSTER,
            OWN,
            *map(telling, channels),
            *map(exchanging, self.gossips),
            *map(seeing, self.egresses),
            *map(guarding, self.guards),
        }
        sources |= {Errand.CARRY.of(carrier) for carrier in self.carriers}
        sources |= {errand.of(coda) for coda in self.codas.values() for errand in ENDED}
        for watch in self.watches:
            sources |= {errand.of(watch) for errand in WATCHING}
            sources |= {feeding(watch, feeder) for feeder in watch.feeders}
        return sources

    def was_asked(self, origin: str) -> bool:
        """Say whether what there is to know of a log was asked for; of one that is closed there is nothing more."""
        watch = self._watches.get(origin)
        return watch is None or watch.surveyed

    async def audit_promises(self, watch: Watch) -> list[Finding]:
        """Look what became of a log's SCTs."""
        return [] if self._promises is None else await self._promises.audit(watch.log, watch.reader)

    async def read_branches(self, part: Watch | Coda) -> list[Finding]:
        """Read on in the branches of a log that we do not follow."""
        return [] if self._branches is None else await self._branches.look(part.log)

    # --- whom there is to follow ---------------------------------------------------------------------------

    async def call_roster(self) -> tuple[list[Finding], bool]:
        """Ask whom to follow; return what could not be, and whether anything has changed."""
        found = await asyncio.to_thread(self._look)
        changed = found.nodes != self._nodes
        if changed:
            self._call(found.nodes)
            fields = {"event": "roster", "nodes": [n.name for n in found.nodes if n.name], "logs": len(self._watches)}
            logger.info("governance has changed whom we follow", extra={"fields": fields})
        return list(found.findings), changed

    def _call(self, nodes: tuple[WatchedNode, ...]) -> None:
        """Follow these, and nobody else. What stays keeps what it knows."""
        self._nodes = nodes
        at = {followed.origin: (followed, node) for node in nodes for followed in node.logs}
        there = {origin: pair for origin, pair in at.items() if not pair[0].closed}
        self._watches = {origin: self._watch(followed, node.poll_s) for origin, (followed, node) in there.items()}
        ended = [followed for followed, _ in at.values() if followed.closed]
        self.codas = {each.origin: self._coda(each) for each in ended}
        self._guards = {node.name: self._guard(node) for node in nodes if node.guarded}
        for name in self.offered.keys() - self._guards.keys():
            self.offered.pop(name).set()  # nobody need wait for it
        self.offered |= {name: asyncio.Event() for name in self._guards.keys() - self.offered.keys()}
        carriers = {
            origin: (self._carrier(followed), node.poll_s)
            for origin, (followed, node) in there.items()
            if followed.family is GOVERNANCE and node.name
        }
        self.asked = {origin: (held, poll_s) for origin, (held, poll_s) in carriers.items() if held is not None}

    def _watch(self, followed: FollowedLog, poll_s: float) -> Watch:
        held = self._watches.get(followed.origin)
        return held if held is not None and held.go_on_as(followed, poll_s) else self._workshop.watch(followed, poll_s)

    def _coda(self, followed: FollowedLog) -> Coda:
        held = self.codas.get(followed.origin)
        return held if held is not None and held.log == followed else self._workshop.coda(followed)

    def _guard(self, node: WatchedNode) -> Guard:
        foreign = [followed for other in self._nodes if other is not node for followed in other.logs]
        held = self._guards.get(node.name)
        return held if held is not None and held.is_of(node, foreign) else self._workshop.guard(node, foreign)

    def _carrier(self, followed: FollowedLog) -> Carrier | None:
        held = self.asked.get(followed.origin)
        return held[0] if held is not None and held[0].go_on_as(followed) else self._workshop.carrier(followed)
