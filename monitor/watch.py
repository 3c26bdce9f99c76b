"""One log under watch: surveyed, looked at, fed.

surveys   asks every witness of it, and the log itself, for what was cosigned last
looks     follows the log; a head that verified and that nothing contradicts is cosigned by us
feeds     that head to each witness; after each answer the lines so far are handed back to the log
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from log.client import LogReader
from log.errors import BadSignature, LogError, Malformed, StorageError, Unavailable, Unreachable
from log.evidence.heads import Head
from log.formats.note import Note, Signature, VKey
from monitor import freshness
from monitor.belated import Belated
from monitor.charges import Charges
from monitor.clock import Clock
from monitor.feeder import Feeder, Prover, hand_back
from monitor.follower import Follower, unfit
from monitor.hash_tiles import HashTiles
from monitor.ledger import Ledger
from monitor.limits import Limits
from monitor.logs import FollowedLog, Witness
from monitor.outcome import CLOCK, WITNESS_LAGS, Finding, Outcome
from monitor.own_witness import HELD_BACK, OwnWitness
from monitor.peer import Peer
from monitor.shelf import Shelf
from monitor.store import Store, Vouched
from monitor.vouched import keep_lines

logger = logging.getLogger("monitor")


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
        self._store = store
        self._peer = peer
        self._shelf = shelf
        self._belated = belated
        self._limits = limits
        self._clock = clock
        self._begun_s, self._begun_ms = clock.monotonic_s(), clock.now_ms()
        self._resumed = False  # whether heads were compared again that a crash may have left uncompared
        self._said: list[Finding] = []  # what was said of time when our clock was trusted last
        self._served_ms: int | None = None  # signed time of the head that the last look found in order
        self._why: str | None = None  # what kept the last look from verifying a head
        self._hash_tiles = hash_tiles
        self._said_of_tiles: list[Finding] = []  # when they could be held against a head that verified
        self._window: tuple[Vouched, Head] | None = None  # what a witness missed, and is to be audited again
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
        results = await asyncio.gather(self._witnessed(), *(feeder.survey() for feeder in feeders))
        for source, findings in zip(["log", *(f.witness.vkey.name for f in feeders)], results, strict=True):
            self._contest(source, findings)
        self.surveyed = set(feeders) >= set(self.feeders)
        return [finding for findings in results for finding in findings] + await self._restored()

    async def _witnessed(self) -> list[Finding]:
        """Take the log's own witnessed head: it bears the witnesses' lines, and ours. Logs of others have none."""
        if not self.log.node:
            return []
        if (busy := self._follower.resting()) is not None:
            return [busy]
        try:
            raw = await self._reader.witnessed()
        except StorageError:
            raise
        except LogError as e:
            return [self._follower.refused(e)]
        if raw is None:
            return []
        try:
            _, opened, findings = await self._ledger.take(self.log, raw, "log, witnessed")
            vkeys = [vkey for feeder in self.feeders for vkey in feeder.witness.counting(self._clock.now_ms())]
            await keep_lines(self._store, self.log, opened, [*vkeys, self._own.vkey], required=False)
        except (Malformed, BadSignature) as e:
            code = unfit(raw, "witnessed")
            return [Finding(Outcome.UNVERIFIED, self.log.origin, code, f"its witnessed head does not verify: {e}")]
        return findings

    async def _restored(self) -> list[Finding]:
        """Say when somebody has shown us a head under our own line that our state does not know: it is an old copy.

        That head is kept like any other, and as long as no data lead from our verified tree to it, or show that it is
        a prefix of it, nothing of this log is signed; once they do, it is what we go on from.
        """
        shown = await asyncio.to_thread(self._store.cosigned, self.log.origin, self._own.vkey.encode())
        held = await self._own.held(self.log.origin)
        size = 0 if held is None else held.size
        if shown is None or (shown.size, shown.root) == (size, held and held.root) or shown.size < size:
            return []
        text = f"we cosigned size {shown.size}, but our state says {size}: restored from a copy?"
        return [Finding(Outcome.OWN, self.log.origin, "restored", text)]

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
        before = await asyncio.to_thread(self._last_cosigned, feeder.witness)
        fed = await feeder.feed(vouch.head, vouch.old, vouch.proof)
        self._contest(feeder.witness.vkey.name, fed.findings)
        feeder.well = bool(fed.lines)
        if not fed.lines:
            return list(fed.findings)
        vouch.lines |= fed.lines
        self._heal(before, vouch.head)
        return await hand_back(self._peer, self.log, vouch.head, list(vouch.lines.values()))

    async def fresh(self) -> list[Finding]:
        """Say how old the head is that the log serves, and since when a witness is silent about it.

        Nothing new while our own clock is not trusted; nothing about the head where the last look found something else.
        """
        if not self._clock.trusted():
            return self._said  # nothing new, and nothing is over
        findings = []
        if self._served_ms is not None:
            findings.append(freshness.head(self.log.origin, self._served_ms, self._clock.now_ms(), self._limits))
        if self._why is not None:
            findings.append(await asyncio.to_thread(self._not_followed, self._why))
        for feeder in self.feeders if self.vouch is not None else ():
            name = feeder.witness.vkey.name
            cosigned_ms = await asyncio.to_thread(self._cosigned_ms, feeder.witness)
            found = freshness.witness(self.log.origin, name, cosigned_ms, self._clock.now_ms(), self._limits)
            if found is not None and (feeder.well or found.code != WITNESS_LAGS):  # else its feeding says what is wrong
                findings.append(found)
        self._said = [finding for finding in findings if finding is not None]
        return self._said

    def _not_followed(self, why: str) -> Finding | None:
        verified = self._store.verified(self.log.origin)
        since_ms = self._begun_ms if verified is None else verified.verified_ms
        return freshness.followed(self.log.origin, since_ms, why, self._clock.now_ms(), self._limits)

    def _last_cosigned(self, witness: Witness) -> Vouched | None:
        counting = witness.counting(self._clock.now_ms())
        kept = [self._store.cosigned(self.log.origin, vkey.encode()) for vkey in counting]
        return max((each for each in kept if each is not None), key=lambda each: each.time_s, default=None)

    def _cosigned_ms(self, witness: Witness) -> int:
        """Return when a witness cosigned this log last; when we met the log first, where it never did."""
        last = self._last_cosigned(witness)
        met_ms = self._store.met_ms(self.log.origin)
        return last.time_s * 1000 if last is not None else met_ms or self._clock.now_ms()

    def _heal(self, before: Vouched | None, head: Head) -> None:
        """Note a window to be audited again, when a witness is back that has not vouched for long."""
        if before is None or not self._clock.trusted():
            return
        if self._clock.now_ms() - before.time_s * 1000 <= self._limits.degraded_s * 1000 or before.size > head.size:
            return
        if self._window is None or before.size < self._window[0].size:
            self._window = before, head

    async def audit_again(self) -> list[Finding]:
        """Hold hash tiles against our tree, and what a witness missed against what we verified.

        Nothing new of tiles while the log serves no head that verifies: they may be another tree's.
        """
        if self._served_ms is not None:
            self._said_of_tiles = await self._hash_tiles.check()
        return self._said_of_tiles + await self._audit_window()

    async def _audit_window(self) -> list[Finding]:
        """Audit the window that a witness missed from its entries, if there is one: is it still what we verified?

        It is asked for again until it could be read.
        """
        if self._window is None:
            return []
        before, head = self._window
        findings = await self._follower.audit(before.size, before.root, head)
        if not findings:
            self._window = None
            fields = {"event": "audited-again", "subject": self.log.origin, "from": before.size, "to": head.size}
            logger.info("the window that a witness missed was audited again", extra={"fields": fields})
        return findings

    def verdict(self) -> list[Finding]:
        """Say when the log's own policy is not met by what was collected in this round."""
        if self.vouch is None or self.log.policy.satisfied(self.vouch.lines.keys()):
            return []
        return [Finding(Outcome.UNREACHED, self.log.origin, "unvouched", "too few cosignatures for its policy")]

    def _contest(self, source: str, findings: Iterable[Finding]) -> None:
        self._contested[source] = any(finding.outcome is Outcome.PROVEN for finding in findings)
