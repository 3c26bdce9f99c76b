"""One round of a monitor in phases, as `run --once` does it, and the same for ever (`Standing`).

First what governance says, then every node is guarded before any is fed, and last the actions are brought across.
"""

import asyncio
from collections.abc import Awaitable

from monitor.coda import Coda
from monitor.crew import Crew
from monitor.desk import Desk
from monitor.errands import OWN, ROSTER, Errand, exchanging, feeding, guarding, seeing, telling
from monitor.guard import Guard
from monitor.limits import Limits
from monitor.outbox import Outbox
from monitor.outcome import BEHIND, Finding
from monitor.timekeeper import Timekeeper
from monitor.watch import Watch

GUARD_TRIES = 4  # pushes of one round to a node that does not sign yet: it counts in whole seconds
LEARN_TRIES = 4  # times that it asks what governance says, while each answer leads to more governance logs

Found = list[tuple[str, Finding]]  # by source


class Rounds:
    """The rounds of one monitor, one at a time."""

    def __init__(self, crew: Crew, limits: Limits, desk: Desk, keeper: Timekeeper, outbox: Outbox) -> None:
        self._crew = crew
        self._limits = limits
        self._desk = desk
        self._keeper = keeper
        self._outbox = outbox

    async def once(self) -> list[Finding]:
        """Do one whole round and return everything that was found."""
        crew = self._crew
        found = await _all((OWN, self._keeper.check()))
        found += await _all(*((exchanging(gossip), gossip.look()) for gossip in crew.gossips))
        found += await self._learn()
        found += await _all(*((Errand.SURVEY.of(watch), watch.survey()) for watch in crew.watches))
        found += await _all(*((Errand.CODA.of(coda), coda.look()) for coda in crew.codas.values()))
        found += await self._pass(guard=True)
        if any(finding.code in {"behind", "unreconciled"} for _, finding in found):
            # A log that grew while we looked at it has done nothing wrong: look again.
            found = [(source, f) for source, f in found if f.code not in {"behind", "unreconciled"}]
            found += await self._pass(guard=False)
        found += await _all(*((Errand.PROMISES.of(watch), crew.audit_promises(watch)) for watch in crew.watches))
        found += await _all(*((seeing(egress), egress.look(crew.logs)) for egress in crew.egresses))
        found += [(Errand.LOOK.of(watch), finding) for watch in crew.watches for finding in watch.verdict()]
        found += await _all(*((Errand.AUDIT.of(watch), self._audit(watch)) for watch in crew.watches))
        forkable: list[Watch | Coda] = [*crew.watches, *crew.codas.values()]
        found += await _all(*((Errand.BRANCHES.of(part), crew.read_branches(part)) for part in forkable))
        found += await _all(*((Errand.FRESH.of(watch), watch.fresh()) for watch in crew.watches))
        found += await _all(*((Errand.CARRY.of(carrier), carrier.push()) for carrier in crew.carriers))
        found += await _all((OWN, self._keeper.check()))  # by now others have told us what time it is
        channels = set(map(telling, self._outbox.names))  # they report when they were told, below
        for source in dict.fromkeys([*(source for source, _ in found), *(crew.sources(self._outbox.names) - channels)]):
            await self._desk.report(source, [finding for each, finding in found if each == source])
        await self._desk.keep_only(crew.sources(self._outbox.names))
        await self.tell()
        return list(dict.fromkeys(finding for _, finding in found))

    async def tell(self) -> None:
        """Tell every channel what is due, and how that went: which says nothing of what was looked at."""
        told = await asyncio.gather(*(self._outbox.deliver(name) for name in self._outbox.names))
        for name, findings in zip(self._outbox.names, told, strict=True):
            await self._desk.report(telling(name), findings)

    async def _learn(self) -> Found:
        """Take over what the nodes hold of governance, until no more logs of it come to light."""
        found: Found = []
        for _ in range(LEARN_TRIES):
            found = await _all(*((Errand.CARRY.of(carrier), carrier.pull()) for carrier in self._crew.carriers))
            before = self._crew.carriers
            told, _ = await self._crew.call_roster()
            if self._crew.carriers == before:
                break
        return found + [(ROSTER, finding) for finding in told]

    async def _pass(self, *, guard: bool) -> Found:
        found = await _all(*((Errand.LOOK.of(watch), self._look(watch)) for watch in self._crew.watches))
        if guard:
            found += await _all(*((guarding(each), self._guard(each)) for each in self._crew.guards))
        found += await _all(*((Errand.LOOK.of(watch), watch.hand_back()) for watch in self._crew.watches))
        feeds = [(watch, feeder) for watch in self._crew.watches for feeder in watch.feeders]
        return found + await _all(*((feeding(watch, feeder), watch.feed(feeder)) for watch, feeder in feeds))

    async def _look(self, watch: Watch) -> list[Finding]:
        """Look at a log, and again while it is further to its head than one look goes."""
        findings: list[Finding] = []
        for _ in range(self._limits.round_looks):
            # That it went on is over; what was proven on the way is said once, and stays.
            findings = [found for found in findings if found.code != BEHIND] + await watch.look()
            if not watch.more:
                break
        return findings

    async def _audit(self, watch: Watch) -> list[Finding]:
        """Audit again what is to be, as far as so many stretches go; the next round goes on."""
        findings = await watch.audit_again()
        for _ in range(self._limits.round_looks - 1):
            if not watch.auditing:
                break
            findings = await watch.audit_on()
        return findings

    async def _guard(self, guard: Guard) -> list[Finding]:
        for tries in range(GUARD_TRIES):
            guarded = await guard.push(self._crew.was_asked)
            if guarded.settled or tries == GUARD_TRIES - 1:
                break
            await asyncio.sleep(1)
        return list(guarded.findings)


async def _all(*works: tuple[str, Awaitable[list[Finding]]]) -> Found:
    results = await asyncio.gather(*(work for _, work in works))
    return [(source, finding) for (source, _), findings in zip(works, results, strict=True) for finding in findings]
