"""One log under watch: surveyed, looked at, fed.

surveys   asks every witness of it, and the log itself, for what was cosigned last (`survey`)
looks     follows the log; a head that verified and that nothing contradicts is cosigned by us
feeds     that head to each witness; after each answer the lines so far are handed back to the log

How old all that is, `ages` says; what a witness missed, `missed` audits again.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from log.client import LogReader
from log.errors import LogError, StorageError, Unavailable, Unreachable
from log.evidence.heads import Head
from log.formats.note import Note, Signature, VKey
from monitor.ages import Ages
from monitor.belated import Belated
from monitor.charges import Charges
from monitor.clock import Clock
from monitor.feeder import Feeder, Prover, hand_back
from monitor.follower import Follower
from monitor.hash_tiles import HashTiles
from monitor.ledger import Ledger
from monitor.limits import Limits
from monitor.logs import FollowedLog, Witness
from monitor.missed import Missed
from monitor.outcome import CLOCK, Finding, Outcome
from monitor.own_witness import HELD_BACK, OwnWitness
from monitor.peer import Peer
from monitor.shelf import Shelf
from monitor.store import Store
from monitor.survey import Survey


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
        hash_tiles: HashTiles,
        feeder_of: Callable[[Witness], Feeder],
        own: OwnWitness,
        ledger: Ledger,
        charges: Charges,
        store: Store,
        peer: Peer,
        poll_s: float,
        limits: Limits,
        clock: Clock,
        shelf: Shelf | None = None,
        belated: Belated | None = None,
    ) -> None:
        self.log = followed
        self.poll_s = poll_s
        self.feeders = tuple(feeder_of(witness) for witness in followed.witnesses)
        self.surveyed = False  # whether the log and its witnesses were asked since the start
        self.vouch: Vouch | None = None  # what is to be fed now
        self.more = False  # whether the last look stopped on the way to a head that is further than one look goes
        self.looked_s: float | None = None  # when a look ended last, whatever it found (monotonic); None: none has
        self.changed = asyncio.Condition()
        self._feeder_of = feeder_of
        self._reader = reader
        self._prover = Prover(reader)
        self._follower = follower
        self._own = own
        self._ledger = ledger
        self._charges = charges
        self._survey = Survey(reader, follower, own, ledger, store)
        self._ages = Ages(store, limits, clock)
        self._missed = Missed(followed, reader, store, limits, clock)
        self._peer = peer
        self._shelf = shelf
        self._belated = belated
        self._clock = clock
        self._begun_s = clock.monotonic_s()
        self._resumed = False  # whether heads were compared again that a crash may have left uncompared
        self._served_ms: int | None = None  # signed time of the head that the last look found in order
        self._why: str | None = None  # what kept the last look from verifying a head
        self._hash_tiles = hash_tiles
        self._said_of_tiles: list[Finding] = []  # when they could be held against a head that verified
        self._contested: dict[str, bool] = {}  # by source: whether its last word proved a lie

    def go_on_as(self, followed: FollowedLog, poll_s: float) -> bool:
        """Take over another policy and other witnesses; False when this is a log with other keys, or elsewhere.

        A witness that is new may know better than all others: before anything else is signed everybody is asked.
        """
        if not followed.is_same(self.log):
            return False
        held = {feeder.witness: feeder for feeder in self.feeders}
        self.surveyed = self.surveyed and held.keys() >= set(followed.witnesses)
        self.feeders = tuple(held.get(witness) or self._feeder_of(witness) for witness in followed.witnesses)
        self.log, self.poll_s = followed, poll_s
        known = {"log", "look", "our state", *(feeder.witness.vkey.name for feeder in self.feeders)}
        self._contested = {source: lied for source, lied in self._contested.items() if source in known}
        return True

    @property
    def stirred_s(self) -> float:
        """When it began, or a look ended or went on last (monotonic): one that has much to read is not stuck."""
        return max(at for at in (self._begun_s, self.looked_s, self._follower.went_on_s) if at is not None)

    @property
    def reader(self) -> LogReader:
        """What the log itself serves."""
        return self._reader

    async def survey(self) -> list[Finding]:
        """Ask all who may know of a larger or another head of this log."""
        feeders = self.feeders
        counting = [vkey for feeder in feeders for vkey in feeder.witness.counting(self._clock.now_ms())]
        results = await asyncio.gather(
            self._survey.witnessed(self.log, counting), *(feeder.survey() for feeder in feeders)
        )
        for source, findings in zip(["log", *(f.witness.vkey.name for f in feeders)], results, strict=True):
            self._contest(source, findings)
        self.surveyed = set(feeders) >= set(self.feeders)
        return [finding for findings in results for finding in findings] + await self._survey.restored(self.log.origin)

    async def look(self) -> list[Finding]:
        """Follow once; cosign what verified, unless somebody's last word about this log was a proven lie.

        Before the first signature of a process, and until a log was cosigned for the first time, everybody is asked
        whether they know better: our state may be an old copy, or the log may show us another tree than them.
        What they have shown may prove that the log has signed two histories, or that one of them vouched for both.
        """
        findings = await self._look()
        findings += await self._ledger.compare_open(self.log, self._reader)
        findings += await self._charges.witnesses(self.log, self._reader)
        self.looked_s = self._clock.monotonic_s()
        return findings

    async def _look(self) -> list[Finding]:
        findings = []
        if not self._resumed:
            findings = await self._ledger.resume(self.log)
            self._contest("our state", findings)
            self._resumed = True
        if not self.surveyed or await self._own.held(self.log.origin) is None:
            findings += await self.survey()
        if self._belated is not None:
            await self._belated.settle(self.log)
        step = await self._follower.follow()
        self.more = step.more
        findings += step.findings
        if self._belated is not None:
            findings += await self._belated.look(self.log)
        self._contest("look", step.findings)
        self._served_ms = None if step.head is None else step.head.time_ms
        self._why = step.findings[0].text if step.head is None and step.findings else None
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
        try:
            vouch.lines |= await self._own.advance(self.log, head, size, path)
        except Unavailable as e:
            self.vouch = None
            return [] if e.reason == HELD_BACK else [Finding(Outcome.OWN, CLOCK, CLOCK, str(e))]
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
        name = feeder.witness.vkey.name
        await self._missed.note(
            name, await asyncio.to_thread(self._ages.last_cosigned, self.log.origin, feeder.witness)
        )
        fed = await feeder.feed(vouch.head, vouch.old, vouch.proof)
        self._contest(name, fed.findings)
        feeder.well = bool(fed.lines)
        if not fed.lines:
            return list(fed.findings)
        vouch.lines |= fed.lines
        await self._missed.returned(name, vouch.head)
        return await hand_back(self._peer, self.log, vouch.head, list(vouch.lines.values()))

    async def fresh(self) -> list[Finding]:
        """Say how old the head is that the log serves, and since when a witness is silent about it (`ages`).

        Nothing about the head where the last look found something else.
        """
        return await self._ages.say(self.log, self._served_ms, self._why, self.feeders if self.vouch else ())

    async def audit_again(self) -> list[Finding]:
        """Hold hash tiles against our tree, and what a witness missed against what we verified.

        Nothing new of tiles while the log serves no head that verifies: they may be another tree's.
        """
        if self._served_ms is not None:
            self._said_of_tiles = await self._hash_tiles.check()
        return await self.audit_on()

    async def audit_on(self) -> list[Finding]:
        """Go on with what a witness missed, where the last audit stopped on the way (`auditing`)."""
        return self._said_of_tiles + await self._missed.audit()

    @property
    def auditing(self) -> bool:
        """Whether there is more to be audited again than was read at once."""
        return self._missed.more

    def verdict(self) -> list[Finding]:
        """Say when the log's own policy is not met by what was collected in this round."""
        if self.vouch is None or self.log.policy.satisfied(self.vouch.lines.keys()):
            return []
        names = ", ".join(sorted({vkey.name for vkey in self.vouch.lines})) or "nobody"
        text = f"too few cosignatures for its policy: size {self.vouch.head.size:,} has those of {names}"
        return [Finding(Outcome.UNREACHED, self.log.origin, "unvouched", text)]

    def _contest(self, source: str, findings: Iterable[Finding]) -> None:
        self._contested[source] = any(finding.outcome is Outcome.PROVEN for finding in findings)
