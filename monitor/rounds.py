"""The rounds of a monitor: who is looked at when.

For each log there is one `Watch`, for each log and witness one `Feeder`, for each node one `Guard`, for each
governance log one `Carrier`. Whom there is to follow may change at any time, by governance: what is new is begun, what
is gone ends between two steps, and everything else goes on as it was.

`once` does all in phases: first what governance says, then every node is guarded before any is fed, and last the
actions are brought across. `run` gives each part a loop of its own, so that a silent peer delays nobody; only the
first feeding waits until every node was offered a guard push.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Protocol

from log.formats.family import GOVERNANCE
from monitor.carrier import Carrier
from monitor.coda import Coda
from monitor.desk import Desk
from monitor.egress import Egress
from monitor.feeder import Feeder
from monitor.gossip import Gossip
from monitor.guard import Guard
from monitor.limits import Limits
from monitor.logs import FollowedLog, WatchedNode
from monitor.loops import Key, Loops, Stop, Work, every, pause
from monitor.outbox import Outbox
from monitor.outcome import Finding
from monitor.promises import Promises
from monitor.roster import Roster
from monitor.timekeeper import TICK_S, Timekeeper
from monitor.watch import Vouch, Watch

logger = logging.getLogger("monitor")

GUARD_TRIES = 4  # pushes of `once` to a node that does not sign yet: it counts in whole seconds
LEARN_TRIES = 4  # times that `once` asks what governance says, while each answer leads to more governance logs
ROSTER_S = 1.0  # how often `run` looks whether governance has changed whom there is to follow
FRESH_S = 1.0  # how often `run` asks how old heads and cosignatures are
OUTBOX_S = 0.5  # how often `run` asks what is to be told
ROSTER = "governance"  # the source of findings about whom to follow
OWN = "own"  # the source of findings about ourselves

Found = list[tuple[str, Finding]]  # by source


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


class Rounds:
    """All watches, guards and carriers of one monitor."""

    def __init__(
        self,
        workshop: Workshop,
        look: Callable[[], Roster],
        limits: Limits,
        desk: Desk,
        keeper: Timekeeper,
        outbox: Outbox,
        gossips: Sequence[Gossip] = (),
        egresses: Sequence[Egress] = (),
        promises: Promises | None = None,
    ) -> None:
        """Begin with whom `look` names; it is asked again and again, in a thread, and must not change anything."""
        self._workshop = workshop
        self._look = look
        self._limits = limits
        self._desk = desk
        self._keeper = keeper
        self._outbox = outbox
        self._gossips = tuple(gossips)
        self._egresses = tuple(egresses)
        self._promises = promises
        self._nodes: tuple[WatchedNode, ...] = ()
        self._watches: dict[str, Watch] = {}  # by origin
        self._codas: dict[str, Coda] = {}  # by origin
        self._guards: dict[str, Guard] = {}  # by name of the node
        self._carriers: dict[str, tuple[Carrier, float]] = {}  # by origin, and how often each is asked
        self._offered: dict[str, asyncio.Event] = {}  # by name of the node: whether it was offered a guard push
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
        return tuple(carrier for carrier, _ in self._carriers.values())

    # --- whom there is to follow ---------------------------------------------------------------------------

    async def _call_roster(self) -> tuple[list[Finding], bool]:
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
        self._codas = {each.origin: self._coda(each) for each in ended}
        self._guards = {node.name: self._guard_of(node) for node in nodes if node.guarded}
        for name in self._offered.keys() - self._guards.keys():
            self._offered.pop(name).set()  # nobody need wait for it
        self._offered |= {name: asyncio.Event() for name in self._guards.keys() - self._offered.keys()}
        carriers = {
            origin: (self._carrier(followed), node.poll_s)
            for origin, (followed, node) in there.items()
            if followed.family is GOVERNANCE and node.name
        }
        self._carriers = {origin: (held, poll_s) for origin, (held, poll_s) in carriers.items() if held is not None}

    def _watch(self, followed: FollowedLog, poll_s: float) -> Watch:
        held = self._watches.get(followed.origin)
        return held if held is not None and held.go_on_as(followed, poll_s) else self._workshop.watch(followed, poll_s)

    def _coda(self, followed: FollowedLog) -> Coda:
        held = self._codas.get(followed.origin)
        return held if held is not None and held.log == followed else self._workshop.coda(followed)

    def _guard_of(self, node: WatchedNode) -> Guard:
        foreign = [followed for other in self._nodes if other is not node for followed in other.logs]
        held = self._guards.get(node.name)
        return held if held is not None and held.is_of(node, foreign) else self._workshop.guard(node, foreign)

    def _carrier(self, followed: FollowedLog) -> Carrier | None:
        held = self._carriers.get(followed.origin)
        return held[0] if held is not None and held[0].go_on_as(followed) else self._workshop.carrier(followed)

    # --- one round -----------------------------------------------------------------------------------------

    async def once(self) -> list[Finding]:
        """Do one whole round and return everything that was found."""
        found = await _all((OWN, self._keeper.check()))
        found += await _all(*((gossip_of(gossip), gossip.look()) for gossip in self._gossips))
        found += await self._learn()
        found += await _all(*((survey_of(watch), watch.survey()) for watch in self.watches))
        found += await _all(*((coda_of(coda), coda.look()) for coda in self._codas.values()))
        found += await self._pass(guard=True)
        if any(finding.code in {"behind", "unreconciled"} for _, finding in found):
            # A log that grew while we looked at it has done nothing wrong: look again.
            found = [(source, f) for source, f in found if f.code not in {"behind", "unreconciled"}]
            found += await self._pass(guard=False)
        found += await _all(*((promises_of(watch), self._audit_promises(watch)) for watch in self.watches))
        found += await _all(*((egress_of(egress), egress.look(self.logs)) for egress in self._egresses))
        found += [(look_of(watch), finding) for watch in self.watches for finding in watch.verdict()]
        found += await _all(*((audit_of(watch), watch.audit_again()) for watch in self.watches))
        found += await _all(*((fresh_of(watch), watch.fresh()) for watch in self.watches))
        found += await _all(*((carry_of(carrier), carrier.push()) for carrier in self.carriers))
        found += await _all((OWN, self._keeper.check()))  # by now others have told us what time it is
        channels = set(map(channel_of, self._outbox.names))  # they report when they were told, below
        for source in dict.fromkeys([*(source for source, _ in found), *(self._sources() - channels)]):
            await self._desk.report(source, [finding for each, finding in found if each == source])
        await self._desk.keep_only(self._sources())
        told = await _all(*((channel_of(name), self._outbox.deliver(name)) for name in self._outbox.names))
        for name in self._outbox.names:  # not one of the findings: it says nothing of what was looked at
            await self._desk.report(channel_of(name), [finding for each, finding in told if each == channel_of(name)])
        return list(dict.fromkeys(finding for _, finding in found))

    async def _learn(self) -> Found:
        """Take over what the nodes hold of governance, until no more logs of it come to light."""
        found: Found = []
        for _ in range(LEARN_TRIES):
            found = await _all(*((carry_of(carrier), carrier.pull()) for carrier in self.carriers))
            before = self.carriers
            told, _ = await self._call_roster()
            if self.carriers == before:
                break
        return found + [(ROSTER, finding) for finding in told]

    async def _pass(self, *, guard: bool) -> Found:
        found = await _all(*((look_of(watch), watch.look()) for watch in self.watches))
        if guard:
            found += await _all(*((guard_of(each), self._guard(each)) for each in self.guards))
        found += await _all(*((look_of(watch), watch.hand_back()) for watch in self.watches))
        feeds = [(watch, feeder) for watch in self.watches for feeder in watch.feeders]
        return found + await _all(*((feed_of(watch, feeder), watch.feed(feeder)) for watch, feeder in feeds))

    async def _guard(self, guard: Guard) -> list[Finding]:
        for tries in range(GUARD_TRIES):
            guarded = await guard.push(self._was_asked)
            if guarded.settled or tries == GUARD_TRIES - 1:
                break
            await asyncio.sleep(1)
        return list(guarded.findings)

    def _was_asked(self, origin: str) -> bool:
        """Say whether what there is to know of a log was asked for; of one that is closed there is nothing more."""
        watch = self._watches.get(origin)
        return watch is None or watch.surveyed

    # --- for ever ------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Go round until cancelled. Raises only what ends a monitor: `StorageError`, `StateRefused`, our own bugs."""
        await self._desk.keep_only(self._sources())
        async with asyncio.TaskGroup() as group:
            loops = Loops(group)
            loops.want(self._loops())

            async def look() -> list[Finding]:
                findings, changed = await self._call_roster()
                if changed:
                    loops.want(self._loops())
                    await self._desk.keep_only(self._sources())
                return findings

            group.create_task(every(ROSTER_S, lambda: self._report(ROSTER, look()), Stop()), name=ROSTER)
            for name in self._outbox.names:
                group.create_task(self._channel_loop(name), name=channel_of(name))
            for egress in self._egresses:
                group.create_task(self._egress_loop(egress), name=egress_of(egress))
            for gossip in self._gossips:
                group.create_task(self._gossip_loop(gossip), name=gossip_of(gossip))
            group.create_task(every(TICK_S, lambda: self._report(OWN, self._own()), Stop()), name=OWN)

    async def _channel_loop(self, name: str) -> None:
        await every(OUTBOX_S, lambda: self._report(channel_of(name), self._outbox.deliver(name)), Stop())

    async def _audit_promises(self, watch: Watch) -> list[Finding]:
        return [] if self._promises is None else await self._promises.audit(watch.log, watch.reader)

    async def _promises_loop(self, watch: Watch, stop: Stop) -> None:
        work = partial(self._audit_promises, watch)
        await every(self._limits.promises_s, lambda: self._report(promises_of(watch), work()), stop)

    async def _egress_loop(self, egress: Egress) -> None:
        while True:
            await self._report(egress_of(egress), egress.look(self.logs))
            await asyncio.sleep(self._limits.egress_s * random.uniform(0.8, 1.2))  # noqa: S311 - spreads load

    async def _gossip_loop(self, gossip: Gossip) -> None:
        await every(self._limits.gossip_s, lambda: self._report(gossip_of(gossip), gossip.look()), Stop())

    async def _own(self) -> list[Finding]:
        findings = await self._keeper.check()
        if self._keeper.jumped:
            self._desk.settle()
        return findings

    def _sources(self) -> set[str]:
        """Return everyone who reports."""
        sources = {ROSTER, OWN, *map(channel_of, self._outbox.names), *map(gossip_of, self._gossips)}
        sources |= set(map(egress_of, self._egresses))
        sources |= {*map(guard_of, self.guards), *map(carry_of, self.carriers), *map(coda_of, self._codas.values())}
        for watch in self.watches:
            sources |= {look_of(watch), survey_of(watch), audit_of(watch), fresh_of(watch), promises_of(watch)}
            sources |= {feed_of(watch, feeder) for feeder in watch.feeders}
        return sources

    def _loops(self) -> dict[Key, Work]:
        """Return everything that is to go on now."""
        wanted: dict[Key, Work] = {}
        for watch in self.watches:
            wanted[look_of(watch), watch] = partial(self._look_loop, watch)
            wanted[survey_of(watch), watch] = partial(self._survey_loop, watch)
            wanted[audit_of(watch), watch] = partial(self._audit_loop, watch)
            wanted[fresh_of(watch), watch] = partial(self._fresh_loop, watch)
            wanted[promises_of(watch), watch] = partial(self._promises_loop, watch)
            for feeder in watch.feeders:
                wanted[feed_of(watch, feeder), feeder] = partial(
                    self._feed_loop, watch, feeder, list(self._offered.values())
                )
        for name, guard in self._guards.items():
            wanted[guard_of(guard), guard] = partial(self._guard_loop, guard, self._offered[name])
        for coda in self._codas.values():
            wanted[coda_of(coda), coda] = partial(self._coda_loop, coda)
        for carrier, poll_s in self._carriers.values():
            wanted[carry_of(carrier), carrier] = partial(self._carry_loop, carrier, poll_s)
        return wanted

    async def _look_loop(self, watch: Watch, stop: Stop) -> None:
        async def look() -> list[Finding]:
            before = watch.vouch
            findings = await watch.look()
            return findings if watch.vouch is before else findings + await watch.hand_back()

        await every(watch.poll_s, lambda: self._report(look_of(watch), look()), stop)

    async def _survey_loop(self, watch: Watch, stop: Stop) -> None:
        await pause(self._limits.survey_s, stop)  # `look` does the first one
        await every(self._limits.survey_s, lambda: self._report(survey_of(watch), watch.survey()), stop)

    async def _audit_loop(self, watch: Watch, stop: Stop) -> None:
        await every(self._limits.survey_s, lambda: self._report(audit_of(watch), watch.audit_again()), stop)

    async def _coda_loop(self, coda: Coda, stop: Stop) -> None:
        await every(self._limits.survey_s, lambda: self._report(coda_of(coda), coda.look()), stop)

    async def _fresh_loop(self, watch: Watch, stop: Stop) -> None:
        await every(FRESH_S, lambda: self._report(fresh_of(watch), watch.fresh()), stop)

    async def _guard_loop(self, guard: Guard, offered: asyncio.Event, stop: Stop) -> None:
        async def push() -> list[Finding]:
            guarded = await guard.push(self._was_asked)
            offered.set()
            return list(guarded.findings)

        await every(guard.node.poll_s, lambda: self._report(guard_of(guard), push()), stop)

    async def _carry_loop(self, carrier: Carrier, poll_s: float, stop: Stop) -> None:
        async def carry() -> list[Finding]:
            return await carrier.pull() + await carrier.push()

        await every(poll_s, lambda: self._report(carry_of(carrier), carry()), stop)

    async def _feed_loop(self, watch: Watch, feeder: Feeder, offered: Sequence[asyncio.Event], stop: Stop) -> None:
        await asyncio.gather(*(event.wait() for event in offered))
        source = feed_of(watch, feeder)
        fed: Vouch | None = None
        failures = 0
        while not stop.is_set():
            seconds = self._limits.refresh_s
            if failures:
                longest = min(2.0 ** min(failures, 20), self._limits.backoff_s)
                seconds = watch.poll_s + random.uniform(0, longest)  # noqa: S311 - spreads load, guards nothing
            if feeder.retry_after_s:
                await pause(feeder.retry_after_s, stop)  # also when there is another head to feed
            elif failures:
                await pause(seconds, stop, feeder.heard)
            else:
                await self._wait(watch, fed, seconds)
            if stop.is_set():
                return
            fed = watch.vouch
            findings = await self._report(source, watch.feed(feeder))
            failures = failures + 1 if findings else 0
            feeder.heard.clear()  # what it answered to the feeding itself is no news

    async def _wait(self, watch: Watch, fed: Vouch | None, pause_s: float) -> None:
        """Return when there is another head to feed than `fed`, or after a time."""
        try:
            async with asyncio.timeout(pause_s), watch.changed:
                await watch.changed.wait_for(lambda: watch.vouch is not None and watch.vouch is not fed)
        except TimeoutError:
            return

    async def _report(self, source: str, work: Awaitable[list[Finding]]) -> list[Finding]:
        """Do a piece of work of a source, and report what it found."""
        findings = await work
        await self._desk.report(source, findings)
        return findings


# --- sources of findings, and names of loops -------------------------------------------------------------------


def channel_of(name: str) -> str:
    """Return the name of telling a channel."""
    return f"channel {name}"


def promises_of(watch: Watch) -> str:
    """Return the name of looking what became of a log's SCTs."""
    return f"promises {watch.log.origin}"


def egress_of(egress: Egress) -> str:
    """Return the name of asking through an egress."""
    return f"egress {egress.way.name}"


def gossip_of(gossip: Gossip) -> str:
    """Return the name of exchanging with another monitor."""
    return f"monitor {gossip.other.name}"


def look_of(watch: Watch) -> str:
    """Return the name of looking at a log."""
    return f"look {watch.log.origin}"


def survey_of(watch: Watch) -> str:
    """Return the name of asking the witnesses of a log."""
    return f"survey {watch.log.origin}"


def audit_of(watch: Watch) -> str:
    """Return the name of auditing again what a witness of a log missed."""
    return f"audit {watch.log.origin}"


def coda_of(coda: Coda) -> str:
    """Return the name of asking a closed log whether it signs on."""
    return f"coda {coda.log.origin}"


def fresh_of(watch: Watch) -> str:
    """Return the name of asking how old a log's head and cosignatures are."""
    return f"fresh {watch.log.origin}"


def feed_of(watch: Watch, feeder: Feeder) -> str:
    """Return the name of feeding a log to a witness."""
    return f"feed {watch.log.origin} to {feeder.witness.vkey.name}"


def guard_of(guard: Guard) -> str:
    """Return the name of guarding a node."""
    return f"guard {guard.node.name}"


def carry_of(carrier: Carrier) -> str:
    """Return the name of carrying actions from and to a log."""
    return f"carry {carrier.log.origin}"


async def _all(*works: tuple[str, Awaitable[list[Finding]]]) -> Found:
    results = await asyncio.gather(*(work for _, work in works))
    return [(source, finding) for (source, _), findings in zip(works, results, strict=True) for finding in findings]
