"""One log, followed from outside (formats.md §14.2, monitoring.md §5.3).

    1. fetch the newest checkpoint, verify it under the pinned keys, keep it, compare it with all others (`ledger`)
    2. where it stands against our verified head decides: nothing, refused, or
    3. rebuild its root from the entries, from the frontier that was verified last; each chunk goes into the copy
    4. one transaction: verified head, frontier, and every waiting head that the way there settles
    5. the copy counts up to there

Nothing but step 4 moves the verified position, and it moves only forward. A copy that fails stops nothing.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from log.client import LogReader
from log.errors import BadProof, BadSignature, LogError, Malformed, StorageError, Unreachable
from log.evidence.heads import Head
from log.evidence.promises import is_later
from log.merkle.frontier import Frontier
from log.merkle.hashing import EMPTY_ROOT
from monitor.charges import Charges, Path
from monitor.clock import Clock
from monitor.copy.mirror import Mirror
from monitor.fetching import Fetcher
from monitor.freshness import is_future
from monitor.halfway import Stages
from monitor.judge import Place, place
from monitor.ledger import Ledger
from monitor.limits import Limits
from monitor.logs import FollowedLog
from monitor.outcome import COPY, COPY_BEHIND, DISK, GARBLED, STALE, Finding, Outcome
from monitor.owed import Owed
from monitor.patience import Patience
from monitor.rebuild import Grown, Latest, Stage
from monitor.sources import UNREAD, Further, nobody
from monitor.store import AGREED, Store, Verified

_SIGNED = "\n\n— ".encode()  # stands in every signed note


@dataclass(frozen=True, slots=True)
class Step:
    """What one look at a log came to."""

    findings: tuple[Finding, ...]
    head: Head | None = None  # verified, served just now, nothing unsettled; None when not so
    old: int = 0  # `proof` leads from this size to the head's
    proof: tuple[bytes, ...] = ()
    more: bool = False  # whether it stopped on the way to a head that is further than one look goes


def unfit(raw: bytes, code: str) -> str:
    """Return the code of what is no head: `code` for a note, another for what nobody can have signed."""
    return code if _SIGNED in raw else GARBLED


class Follower:
    """Follows one log. One task at a time calls `follow`."""

    def __init__(
        self,
        followed: FollowedLog,
        reader: LogReader,
        store: Store,
        ledger: Ledger,
        charges: Charges,
        limits: Limits,
        clock: Clock,
        copy: Mirror | None = None,
        further: Further = nobody,
    ) -> None:
        """`further` are others who may have the entries: asked when the log does not give what leads to its root."""
        self.log = followed
        self._reader = reader
        self._store = store
        self._ledger = ledger
        self._charges = charges
        self._limits = limits
        self._clock = clock
        self._copy = copy
        self._fetcher = Fetcher(followed, limits, clock)
        self._further = further
        self._stages = Stages(followed, store, limits, clock.now_ms, further)
        self._patience = Patience(followed.origin, limits, clock)
        self._owed = Owed(followed, reader, self._fetcher, charges, limits, clock)

    async def follow(self) -> Step:
        """Look once. Never raises for what a log does; `StorageError` for our own state."""
        step = await self._copied()
        owed = await self._owed.still(may_ask=self.resting() is None)
        return step if owed is None else replace(step, findings=(*step.findings, owed))

    async def _copied(self) -> Step:
        if self._copy is None:
            return await self._follow()
        verified = None if self._copy.complete else await asyncio.to_thread(self._store.verified, self.log.origin)
        if verified is not None:
            await self._copy.catch_up(self._reader, verified.head, await self._stages.stop(verified.head))
        step = await self._follow()
        if not self._copy.trouble:
            return step
        outcome, code = (Outcome.OWN, COPY) if self._copy.failed else (Outcome.VOUCHED, COPY_BEHIND)
        if self._copy.full and not self._copy.failed:
            outcome, code = Outcome.OWN, DISK
        return replace(step, findings=(*step.findings, self._found(outcome, code, self._copy.trouble)))

    async def _follow(self) -> Step:
        if (busy := self.resting()) is not None:
            return Step((busy,))
        try:
            raw = await self._reader.checkpoint()
        except LogError as e:
            return Step((self.refused(e),))
        try:
            head, _, findings = await self._ledger.take(self.log, raw, "log")
        except (Malformed, BadSignature) as e:
            return self._stop(Outcome.UNVERIFIED, unfit(raw, "checkpoint"), f"not a head of this log: {e}")
        if findings:
            return Step(tuple(findings))
        if not head.complete:
            return self._stop(Outcome.UNVERIFIED, "signature", "a signature line that this family owes is missing")
        return await self._step(head)

    async def _step(self, head: Head) -> Step:
        verified = await asyncio.to_thread(self._store.verified, self.log.origin)
        held = None if verified is None else verified.head
        match place(head, held):
            case Place.FIRST | Place.LARGER:
                frontier = (
                    Frontier.empty() if verified is None else Frontier.decode(verified.head.size, verified.frontier)
                )
                return await self._grow(head, held, frontier)
            case Place.SAME if verified is not None:
                await self._still(verified, head)
                return await self._settled(Step((), head, head.size))
            case Place.OLDER if verified is not None and is_future(
                verified.head.time_ms or 0, self._clock.now_ms(), self._limits
            ):  # signed before a head of the future, as every true one is
                await self._still(verified, verified.head)
                return await self._settled(Step((), head, head.size))
            case Place.OLDER if held is not None:
                return self._stop(
                    Outcome.UNVERIFIED, STALE, f"serves an older signing of size {head.size} than the one we hold"
                )
            case Place.SMALLER if held is not None:
                finding, _ = await self._ledger.reconcile(self.log, self._reader, head, held)
                stale = f"serves size {head.size}; we hold its head of size {held.size}"
                return Step(
                    (Finding(Outcome.UNVERIFIED, self.log.origin, STALE, stale), *([finding] if finding else []))
                )
            case Place.OTHER if held is not None:  # the ledger found it before, unless evidence was cut off
                finding, _ = await self._ledger.reconcile(self.log, self._reader, head, held)
                return Step((finding,) if finding else ())
            case _:
                raise AssertionError("a place without a verdict")

    async def _still(self, verified: Verified, head: Head) -> None:
        """Record that the verified tree is served still: under a new signing `head`, or now and then under the same."""
        now_ms = self._clock.now_ms()
        if head.note == verified.head.note and now_ms - verified.verified_ms < self._limits.stale_s * 1000:
            return
        await asyncio.to_thread(self._store.advance, head, verified.frontier, (), now_ms)
        if self._copy is not None:
            self._copy.settle(head)

    async def _grow(self, head: Head, held: Head | None, frontier: Frontier) -> Step:
        waiting = await asyncio.to_thread(self._store.open_heads, self.log.origin, self._limits.open_heads)
        sizes = [each.size for each in waiting]
        begin = await self._stages.begin(frontier, head)
        said: LogError | None = None  # by the log itself, when it does not give what leads to its root
        astray = False  # whether somebody gave entries that do not lead there
        for reader in [self._reader, *self._further(self.log.origin)]:
            if self._copy is not None:
                await self._copy.begin(begin.frontier.size, begin.frontier.root())
            try:
                grown = await self._fetcher.stretch(reader, head, begin, sizes, self._copy)
                if isinstance(grown, Stage):
                    step = Step((await self._stages.keep(self._reader, frontier, grown, head),), more=True)
            except StorageError:
                raise
            except LogError as e:
                said, astray = said or e, astray or isinstance(e, BadProof)
                continue
            if isinstance(grown, Grown):
                step = await self._rebuilt(reader, head, grown, waiting, frontier, begin.frontier)
            if said is not None:
                await self._owed.add(frontier, begin.frontier.size, head, said)
            return step
        if said is None:
            raise AssertionError("the log itself is among those who are asked")
        if astray and await self._stages.doubt(self._reader, begin, frontier, head):
            return await self._grow(head, held, frontier)  # from the verified tree, which is in no doubt
        if isinstance(said, Unreachable):
            return Step((self.refused(said, "entries"),))
        why = str(said) if isinstance(said, BadProof) else f"entries: {said}"
        return await self._refuse(head, held, why, begin.frontier.size)

    async def _rebuilt(
        self,
        reader: LogReader,
        head: Head,
        grown: Grown,
        waiting: Sequence[Head],
        verified: Frontier,
        begun: Frontier,
    ) -> Step:
        """Record what the entries have led to. A head over a later leaf is told as a lie before anything moves.

        Whoever withholds the hash tiles that prove it gains nothing: the entries behind the `verified` tree prove it
        too. `begun` is where this look began.
        """

        def path(of: Head, late: Latest) -> Path:
            async def rebuilt() -> Sequence[bytes]:
                start = begun if begun.size <= min(late.index, of.size) else verified
                return (await self._fetcher.lead(reader, of, start, (), sought=late.index)).inclusion

            return rebuilt

        agreed = [
            (each, AGREED)
            for each in waiting
            if grown.roots.get(each.size, EMPTY_ROOT if not each.size else None) == each.root
        ]
        try:
            lies = [
                await self._charges.time_lie(self.log, self._reader, each, late, path(each, late))
                for each in [head, *(other for other, _ in agreed)]
                if (late := grown.latest.get(each.size)) is not None and is_later(late.time_ms, each)
            ]
        except Unreachable as e:
            return self._stop(Outcome.UNREACHED, "tiles", str(e))
        except UNREAD as e:
            return self._stop(Outcome.UNVERIFIED, "data", f"a leaf is later than its head, but hash tiles say not: {e}")
        edge, now_ms = grown.frontier.encode(), self._clock.now_ms()
        await asyncio.to_thread(self._store.advance, head, edge, agreed, now_ms, grown.times)
        if self._copy is not None:
            self._copy.settle(head)
        if lies:
            return Step(tuple(lies))
        return await self._settled(Step((), head, begun.size, grown.proof))

    async def _refuse(self, head: Head, held: Head | None, why: str, begin: int) -> Step:
        """Nothing moves. Whether this is a fork or bad data, the hash tiles may tell; bad data are kept as E8."""
        if held is not None:
            finding = await self._ledger.relate_larger(self.log, self._reader, head, held)
            if finding.outcome is Outcome.PROVEN:
                return Step((finding,))
        kept = await self._charges.unreproducible(self.log, self._reader, head, begin)
        if kept is not None:
            why = f"{why} (E8, evidence {kept.hex()[:16]})"
        found = Finding(Outcome.UNVERIFIED, self.log.origin, "data", why, evidence="" if kept is None else kept.hex())
        return Step((found,))

    async def _settled(self, step: Step) -> Step:
        """Look again at the heads that no data have settled; while one is left, nothing is cosigned."""
        if step.head is None:
            return step
        findings = list(step.findings)
        waiting = await asyncio.to_thread(self._store.open_heads, self.log.origin, self._limits.open_heads)
        blocked = len(waiting) == self._limits.open_heads  # there may be more: the next look goes on with them
        for each in waiting:
            if each.size > step.head.size:
                text = f"serves size {step.head.size}, but has signed size {each.size}, whose entries nobody serves"
                findings.append(self._found(Outcome.UNVERIFIED, "unreconciled", text))
                blocked = True
                continue
            finding, settled = await self._ledger.reconcile(self.log, self._reader, each, step.head)
            blocked |= not settled
            findings += [finding] if finding else []
        return Step(tuple(findings), None if blocked else step.head, step.old, step.proof)

    @property
    def went_on_s(self) -> float | None:
        """When entries were taken in last (monotonic)."""
        return self._fetcher.went_on_s

    def resting(self) -> Finding | None:
        """Say that the log is left alone for a while, as it has asked; None when it may be asked."""
        return self._patience.resting()

    def refused(self, error: LogError, code: str = "silent") -> Finding:
        """Say why nothing of use came from the log; `code` is that of no answer at all."""
        return self._patience.refused(error, code)

    def _stop(self, outcome: Outcome, code: str, text: str) -> Step:
        return Step((self._found(outcome, code, text),))

    def _found(self, outcome: Outcome, code: str, text: str) -> Finding:
        return Finding(outcome, self.log.origin, code, text)
