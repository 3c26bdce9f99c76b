"""The rounds of a monitor: who is looked at when, and what follows from it.

For each log there is one `Watch`, for each node one `Guard`, for each log and witness one `Feeder`. A watch

    surveys   asks every configured witness, and the log itself, for what was cosigned last
    looks     follows the log; a head that verified and that nothing contradicts is cosigned by us
    feeds     that head to each witness; after each answer the lines so far are handed back to the log

`once` does this in phases: every node is guarded before any is fed. `run` gives each part a loop of its own, so
that a silent peer delays nobody; only the first feeding waits until every node was offered a guard push.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from log.client import LogReader
from log.errors import BadSignature, LogError, Malformed, StorageError, Unreachable
from log.formats.note import Note, Signature, VKey
from monitor.feeder import SPLIT, Feeder, Prover, hand_back, keep_lines
from monitor.follower import Follower
from monitor.guard import Guard
from monitor.judge import Head
from monitor.ledger import Ledger
from monitor.limits import Limits
from monitor.logs import FollowedLog
from monitor.outcome import Finding, Outcome
from monitor.own_witness import OwnWitness
from monitor.peer import Peer
from monitor.shelf import Shelf
from monitor.store import Store

logger = logging.getLogger("monitor")

ALARMS = frozenset({SPLIT})  # not proven, and not to be slept over
GUARD_TRIES = 4  # pushes of `once` to a node that does not sign yet: it counts in whole seconds


@dataclass(slots=True)
class Vouch:
    """One head on its way around, with the cosignatures that it has got. Only its watch changes it."""

    head: Head
    old: int
    proof: tuple[bytes, ...]
    lines: dict[VKey, Signature] = field(default_factory=dict)


class Watch:
    """One log: looked at by one task at a time, fed to its witnesses by one task each."""

    def __init__(
        self,
        followed: FollowedLog,
        reader: LogReader,
        follower: Follower,
        feeders: Sequence[Feeder],
        own: OwnWitness,
        ledger: Ledger,
        store: Store,
        peer: Peer,
        poll_s: float,
        shelf: Shelf | None = None,
    ) -> None:
        self.log = followed
        self.poll_s = poll_s
        self.feeders = tuple(feeders)
        self.surveyed = False  # whether the log and its witnesses were asked since the start
        self.vouch: Vouch | None = None  # what is to be fed now
        self.changed = asyncio.Condition()
        self._reader = reader
        self._prover = Prover(reader)
        self._follower = follower
        self._own = own
        self._ledger = ledger
        self._store = store
        self._peer = peer
        self._shelf = shelf
        self._contested: dict[str, bool] = {}  # by source: whether its last word proved a lie

    async def survey(self) -> list[Finding]:
        """Ask all who may know of a larger or another head of this log."""
        results = await asyncio.gather(self._witnessed(), *(feeder.survey() for feeder in self.feeders))
        for source, findings in zip(["log", *(f.witness.vkey.name for f in self.feeders)], results, strict=True):
            self._contest(source, findings)
        self.surveyed = True
        return [finding for findings in results for finding in findings]

    async def _witnessed(self) -> list[Finding]:
        """Take the log's own witnessed head: it bears the witnesses' lines, and ours. Logs of others have none."""
        if not self.log.node:
            return []
        try:
            raw = await self._reader.witnessed()
            if raw is None:
                return []
            head, opened, findings = await self._ledger.take(self.log, raw, "log, witnessed")
            vkeys = [vkey for feeder in self.feeders for vkey in feeder.witness.vkeys]
            lines = await keep_lines(self._store, self.log, opened, [*vkeys, self._own.vkey], required=False)
        except Unreachable as e:
            return [Finding(Outcome.UNREACHED, self.log.origin, "silent", str(e))]
        except (Malformed, BadSignature) as e:
            return [Finding(Outcome.UNVERIFIED, self.log.origin, "witnessed", f"does not verify: {e}")]
        except StorageError:
            raise
        except LogError as e:
            return [Finding(Outcome.UNVERIFIED, self.log.origin, "witnessed", str(e))]
        held = await self._own.held(self.log.origin)
        if self._own.vkey in lines and (held is None or held.size < head.size):
            text = f"we cosigned size {head.size}, but our state says {0 if held is None else held.size}: restored?"
            findings.append(Finding(Outcome.OWN, self.log.origin, "restored", text))
        return findings

    async def look(self) -> list[Finding]:
        """Follow once; cosign what verified, unless somebody's last word about this log was a proven lie.

        Before the first signature of a process, and until a log was cosigned for the first time, everybody is asked
        whether they know better: our state may be an old copy, or the log may show us another tree than them.
        """
        findings = []
        if not self.surveyed or await self._own.held(self.log.origin) is None:
            findings = await self.survey()
        step = await self._follower.follow()
        findings += step.findings
        self._contest("look", step.findings)
        if step.head is None or any(self._contested.values()):
            self.vouch = None
            return findings
        return findings + await self._cosign(step.head, step.old, step.proof)

    async def _cosign(self, head: Head, old: int, proof: tuple[bytes, ...]) -> list[Finding]:
        if self.vouch is not None and self.vouch.head == head:
            return []
        held = await self._own.held(self.log.origin)
        size = 0 if held is None else held.size
        try:
            root = None if held is None else held.root
            path = proof if size == old else await self._prover.proof(size, root, head)
        except Unreachable as e:
            return [Finding(Outcome.UNREACHED, self.log.origin, "tiles", str(e))]
        except StorageError:
            raise
        except LogError as e:
            return [Finding(Outcome.UNVERIFIED, self.log.origin, "tiles", f"no proof to the new head: {e}")]
        if any(self._contested.values()):  # a witness has shown a lie while we waited
            self.vouch = None
            return []
        vouch = Vouch(head, old, proof)
        vouch.lines |= await self._own.advance(self.log, head, size, path)
        findings = await self._show(vouch)
        self.vouch = vouch
        async with self.changed:
            self.changed.notify_all()
        return findings

    async def _show(self, vouch: Vouch) -> list[Finding]:
        """Lay out what we cosigned, where the settings name a place for it."""
        if self._shelf is None:
            return []
        note = Note.parse(vouch.head.note)
        ours = note.with_signatures([*note.signatures, *vouch.lines.values()]).encode()
        try:
            await asyncio.to_thread(self._shelf.put, self.log.origin_hash, ours)
        except OSError as e:
            return [Finding(Outcome.OWN, self.log.origin, "publish", f"cannot write our cosigned head: {e.strerror}")]
        return []

    async def hand_back(self) -> list[Finding]:
        """Give the log what there is of cosignatures; our own line does not wait for any witness."""
        if self.vouch is None:
            return []
        return await hand_back(self._peer, self.log, self.vouch.head, list(self.vouch.lines.values()))

    async def feed(self, feeder: Feeder) -> list[Finding]:
        """Feed what is to be fed to one witness, and hand back what came. Nothing to feed is no finding."""
        vouch = self.vouch
        if vouch is None:
            return []
        fed = await feeder.feed(vouch.head, vouch.old, vouch.proof)
        self._contest(feeder.witness.vkey.name, fed.findings)
        if not fed.lines:
            return list(fed.findings)
        vouch.lines |= fed.lines
        return await hand_back(self._peer, self.log, vouch.head, list(vouch.lines.values()))

    def verdict(self) -> list[Finding]:
        """Say when the log's own policy is not met by what was collected in this round."""
        if self.vouch is None or self.log.policy.satisfied(self.vouch.lines.keys()):
            return []
        return [Finding(Outcome.UNREACHED, self.log.origin, "unvouched", "too few cosignatures for its policy")]

    def _contest(self, source: str, findings: Iterable[Finding]) -> None:
        self._contested[source] = any(finding.outcome is Outcome.PROVEN for finding in findings)


class Rounds:
    """All watches and guards of one monitor."""

    def __init__(self, watches: Sequence[Watch], guards: Sequence[Guard], limits: Limits) -> None:
        self.watches = tuple(watches)
        self.guards = tuple(guards)
        self._limits = limits
        self._asked: Mapping[str, Watch] = {watch.log.origin: watch for watch in watches}
        self._told: dict[str, tuple[Finding, ...]] = {}

    # --- one round -----------------------------------------------------------------------------------------

    async def once(self) -> list[Finding]:
        """Do one whole round and return everything that was found."""
        findings = await _all(watch.survey() for watch in self.watches)
        findings += await self._pass(guard=True)
        if any(finding.code in {"behind", "unreconciled"} for finding in findings):
            # A log that grew while we looked at it has done nothing wrong: look again.
            findings = [f for f in findings if f.code not in {"behind", "unreconciled"}]
            findings += await self._pass(guard=False)
        findings += [finding for watch in self.watches for finding in watch.verdict()]
        findings = list(dict.fromkeys(findings))
        for finding in findings:
            _tell(finding)
        return findings

    async def _pass(self, *, guard: bool) -> list[Finding]:
        findings = await _all(watch.look() for watch in self.watches)
        if guard:
            findings += await _all(self._guard(each) for each in self.guards)
        findings += await _all(watch.hand_back() for watch in self.watches)
        return findings + await _all(watch.feed(feeder) for watch in self.watches for feeder in watch.feeders)

    async def _guard(self, guard: Guard) -> list[Finding]:
        for tries in range(GUARD_TRIES):
            guarded = await guard.push(self._was_asked)
            if guarded.settled or tries == GUARD_TRIES - 1:
                break
            await asyncio.sleep(1)
        return list(guarded.findings)

    def _was_asked(self, origin: str) -> bool:
        return self._asked[origin].surveyed

    # --- for ever ------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Go round until cancelled. Raises only what ends a monitor: `StorageError`, `StateRefused`, our own bugs."""
        offered = [asyncio.Event() for _ in self.guards]
        async with asyncio.TaskGroup() as tasks:
            for watch in self.watches:
                tasks.create_task(self._look_loop(watch), name=f"look {watch.log.origin}")
                tasks.create_task(self._survey_loop(watch), name=f"survey {watch.log.origin}")
                for feeder in watch.feeders:
                    name = f"feed {watch.log.origin} to {feeder.witness.vkey.name}"
                    tasks.create_task(self._feed_loop(watch, feeder, offered), name=name)
            for guard, event in zip(self.guards, offered, strict=True):
                tasks.create_task(self._guard_loop(guard, event), name=f"guard {guard.node.name}")

    async def _look_loop(self, watch: Watch) -> None:
        async def look() -> list[Finding]:
            before = watch.vouch
            findings = await watch.look()
            return findings if watch.vouch is before else findings + await watch.hand_back()

        await _every(watch.poll_s, lambda: self._report(f"look {watch.log.origin}", look()))

    async def _survey_loop(self, watch: Watch) -> None:
        await asyncio.sleep(self._limits.survey_s)  # `look` does the first one
        await _every(self._limits.survey_s, lambda: self._report(f"survey {watch.log.origin}", watch.survey()))

    async def _guard_loop(self, guard: Guard, offered: asyncio.Event) -> None:
        async def push() -> list[Finding]:
            guarded = await guard.push(self._was_asked)
            offered.set()
            return list(guarded.findings)

        await _every(guard.node.poll_s, lambda: self._report(f"guard {guard.node.name}", push()))

    async def _feed_loop(self, watch: Watch, feeder: Feeder, offered: Sequence[asyncio.Event]) -> None:
        await asyncio.gather(*(event.wait() for event in offered))
        source = f"feed {watch.log.origin} to {feeder.witness.vkey.name}"
        fed: Vouch | None = None
        failures = 0
        while True:
            pause = self._limits.refresh_s
            if failures:
                longest = min(watch.poll_s * 2 ** min(failures, 8), self._limits.backoff_s)
                pause = watch.poll_s + random.uniform(0, longest)  # noqa: S311 - spreads load, guards nothing
            if feeder.retry_after_s:
                await asyncio.sleep(feeder.retry_after_s)  # also when there is another head to feed
            else:
                await self._wait(watch, fed if not failures else watch.vouch, pause)
            fed = watch.vouch
            findings = await self._report(source, watch.feed(feeder))
            failures = failures + 1 if findings else 0

    async def _wait(self, watch: Watch, fed: Vouch | None, pause_s: float) -> None:
        """Return when there is another head to feed than `fed`, or after a time."""
        try:
            async with asyncio.timeout(pause_s), watch.changed:
                await watch.changed.wait_for(lambda: watch.vouch is not None and watch.vouch is not fed)
        except TimeoutError:
            return

    async def _report(self, source: str, work: Awaitable[list[Finding]]) -> list[Finding]:
        """Tell what is new about a source, and when all is well again."""
        findings = tuple(dict.fromkeys(await work))
        before = self._told.get(source, ())
        codes = {(finding.subject, finding.code) for finding in before}
        for finding in findings:
            if (finding.subject, finding.code) not in codes:
                _tell(finding)
        if before and not findings:
            logger.info("well again", extra={"fields": {"event": "recovered", "source": source}})
        self._told[source] = findings
        return list(findings)


def _tell(finding: Finding) -> None:
    level = {Outcome.PROVEN: logging.CRITICAL, Outcome.OWN: logging.ERROR}.get(finding.outcome, logging.WARNING)
    if finding.code in ALARMS:
        level = max(level, logging.ERROR)
    fields = {
        "event": "finding",
        "class": finding.outcome.name.lower(),
        "code": finding.code,
        "subject": finding.subject,
    }
    logger.log(level, finding.text, extra={"fields": fields})


async def _all(works: Iterable[Awaitable[list[Finding]]]) -> list[Finding]:
    return [finding for findings in await asyncio.gather(*works) for finding in findings]


async def _every(interval_s: float, work: Callable[[], Awaitable[object]]) -> None:
    """Do a piece of work again and again, from start to start at least `interval_s` apart."""
    while True:
        begun = _now()
        await work()
        await asyncio.sleep(max(0.0, begun + interval_s - _now()))


def _now() -> float:
    return asyncio.get_running_loop().time()
