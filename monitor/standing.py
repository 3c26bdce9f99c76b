"""The work of a monitor that goes on for ever: each part in a loop of its own, so that a silent peer delays nobody.

Only the first feeding waits until every node was offered a guard push.
"""

import asyncio
import random
from collections.abc import Awaitable, Sequence
from functools import partial

from monitor.carrier import Carrier
from monitor.coda import Coda
from monitor.crew import Crew
from monitor.desk import Desk
from monitor.egress import Egress
from monitor.errands import OWN, ROSTER, Errand, exchanging, feeding, guarding, seeing, telling
from monitor.feeder import Feeder
from monitor.gossip import Gossip
from monitor.guard import Guard
from monitor.limits import Limits
from monitor.loops import Key, Loops, Stop, Work, every, pause
from monitor.outbox import Outbox
from monitor.outcome import Finding
from monitor.timekeeper import TICK_S, Timekeeper
from monitor.watch import Vouch, Watch

ROSTER_S = 1.0  # how often we look whether governance has changed whom there is to follow
FRESH_S = 1.0  # how often we ask how old heads and cosignatures are
OUTBOX_S = 0.5  # how often we ask what is to be told


class Standing:
    """All loops of one monitor."""

    def __init__(self, crew: Crew, limits: Limits, desk: Desk, keeper: Timekeeper, outbox: Outbox) -> None:
        self._crew = crew
        self._limits = limits
        self._desk = desk
        self._keeper = keeper
        self._outbox = outbox

    async def run(self) -> None:
        """Go round until cancelled. Raises only what ends a monitor: `StorageError`, `StateRefused`, our own bugs."""
        await self._desk.keep_only(self._crew.sources(self._outbox.names))
        async with asyncio.TaskGroup() as group:
            loops = Loops(group)
            loops.want(self._loops())

            async def look() -> list[Finding]:
                findings, changed = await self._crew.call_roster()
                if changed:
                    loops.want(self._loops())
                    await self._desk.keep_only(self._crew.sources(self._outbox.names))
                return findings

            group.create_task(every(ROSTER_S, lambda: self._report(ROSTER, look()), Stop()), name=ROSTER)
            for name in self._outbox.names:
                group.create_task(self._channel_loop(name), name=telling(name))
            for egress in self._crew.egresses:
                group.create_task(self._egress_loop(egress), name=seeing(egress))
            for gossip in self._crew.gossips:
                group.create_task(self._gossip_loop(gossip), name=exchanging(gossip))
            group.create_task(every(TICK_S, lambda: self._report(OWN, self._own()), Stop()), name=OWN)

    async def _channel_loop(self, name: str) -> None:
        await every(OUTBOX_S, lambda: self._report(telling(name), self._outbox.deliver(name)), Stop())

    async def _promises_loop(self, watch: Watch, stop: Stop) -> None:
        work = partial(self._crew.audit_promises, watch)
        await every(self._limits.promises_s, lambda: self._report(Errand.PROMISES.of(watch), work()), stop)

    async def _branches_loop(self, part: Watch | Coda, stop: Stop) -> None:
        work = partial(self._crew.read_branches, part)
        await every(self._limits.branch_s, lambda: self._report(Errand.BRANCHES.of(part), work()), stop)

    async def _egress_loop(self, egress: Egress) -> None:
        while True:
            await self._report(seeing(egress), egress.look(self._crew.logs))
            await asyncio.sleep(self._limits.egress_s * random.uniform(0.8, 1.2))  # noqa: S311 - spreads load

    async def _gossip_loop(self, gossip: Gossip) -> None:
        await every(self._limits.gossip_s, lambda: self._report(exchanging(gossip), gossip.look()), Stop())

    async def _own(self) -> list[Finding]:
        findings = await self._keeper.check()
        if self._keeper.jumped:
            self._desk.settle()
        return findings

    def _loops(self) -> dict[Key, Work]:
        """Return everything that is to go on now."""
        wanted: dict[Key, Work] = {}
        for watch in self._crew.watches:
            wanted[Errand.LOOK.of(watch), watch] = partial(self._look_loop, watch)
            wanted[Errand.SURVEY.of(watch), watch] = partial(self._survey_loop, watch)
            wanted[Errand.AUDIT.of(watch), watch] = partial(self._audit_loop, watch)
            wanted[Errand.FRESH.of(watch), watch] = partial(self._fresh_loop, watch)
            wanted[Errand.BRANCHES.of(watch), watch] = partial(self._branches_loop, watch)
            wanted[Errand.PROMISES.of(watch), watch] = partial(self._promises_loop, watch)
            for feeder in watch.feeders:
                wanted[feeding(watch, feeder), feeder] = partial(
                    self._feed_loop, watch, feeder, list(self._crew.offered.values())
                )
        for guard in self._crew.guards:
            wanted[guarding(guard), guard] = partial(self._guard_loop, guard, self._crew.offered[guard.node.name])
        for coda in self._crew.codas.values():
            wanted[Errand.CODA.of(coda), coda] = partial(self._coda_loop, coda)
            wanted[Errand.BRANCHES.of(coda), coda] = partial(self._branches_loop, coda)
        for carrier, poll_s in self._crew.asked.values():
            wanted[Errand.CARRY.of(carrier), carrier] = partial(self._carry_loop, carrier, poll_s)
        return wanted

    async def _look_loop(self, watch: Watch, stop: Stop) -> None:
        async def look() -> list[Finding]:
            before = watch.vouch
            findings = await watch.look()
            return findings if watch.vouch is before else findings + await watch.hand_back()

        async def look_on() -> None:
            await self._report(Errand.LOOK.of(watch), look())
            while watch.more and not stop.is_set():
                await self._report(Errand.LOOK.of(watch), look())

        await every(watch.poll_s, look_on, stop)

    async def _survey_loop(self, watch: Watch, stop: Stop) -> None:
        await pause(self._limits.survey_s, stop)  # `look` does the first one
        await every(self._limits.survey_s, lambda: self._report(Errand.SURVEY.of(watch), watch.survey()), stop)

    async def _audit_loop(self, watch: Watch, stop: Stop) -> None:
        async def audit() -> None:
            await self._report(Errand.AUDIT.of(watch), watch.audit_again())
            while watch.auditing and not stop.is_set():
                await self._report(Errand.AUDIT.of(watch), watch.audit_on())

        await every(self._limits.survey_s, audit, stop)

    async def _coda_loop(self, coda: Coda, stop: Stop) -> None:
        await every(self._limits.survey_s, lambda: self._report(Errand.CODA.of(coda), coda.look()), stop)

    async def _fresh_loop(self, watch: Watch, stop: Stop) -> None:
        await every(FRESH_S, lambda: self._report(Errand.FRESH.of(watch), watch.fresh()), stop)

    async def _guard_loop(self, guard: Guard, offered: asyncio.Event, stop: Stop) -> None:
        async def push() -> list[Finding]:
            guarded = await guard.push(self._crew.was_asked)
            offered.set()
            return list(guarded.findings)

        await every(guard.node.poll_s, lambda: self._report(guarding(guard), push()), stop)

    async def _carry_loop(self, carrier: Carrier, poll_s: float, stop: Stop) -> None:
        async def carry() -> list[Finding]:
            return await carrier.pull() + await carrier.push()

        await every(poll_s, lambda: self._report(Errand.CARRY.of(carrier), carry()), stop)

    async def _feed_loop(self, watch: Watch, feeder: Feeder, offered: Sequence[asyncio.Event], stop: Stop) -> None:
        await asyncio.gather(*(event.wait() for event in offered))
        source = feeding(watch, feeder)
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
