"""Taking in a signed head, whoever brings it: steps 1 and 2 of monitoring.md §5.3.

    1. its raw note is appended to the observations;
    2. it is compared with every head of that log that is known.

A contradiction between signatures becomes evidence at once. A tree that no data have settled stays `open`, and
`reconcile` settles it by hash tiles once our own verified tree is at least as large: a prefix of it, or proof (E2)
that the log has signed both; `compare_open` looks for that proof where one is larger. The tiles may come from anybody.
Time alone never closes it.
"""

import asyncio
from collections.abc import Callable, Sequence

from log.client import LogReader, prover
from log.crypto.notes import Opened
from log.errors import BadProof, BadSignature, Malformed, NotFound, Unreachable
from log.evidence import objects as evidence
from log.evidence import prefix
from log.evidence.heads import Head, Kind, contradiction
from monitor.charges import TIME_LIE, note_digest
from monitor.limits import Limits
from monitor.logs import FollowedLog, read_head
from monitor.outcome import AFTER_FINAL, Finding, Outcome, alert_of
from monitor.sources import Further, first, nobody
from monitor.store import AGREED, CONVICTED, REFUTED, Evidence, Store
from monitor.store.spare import POLLINATION


class Ledger:
    """The one way for a signed head into the store. Shared by all who meet heads."""

    def __init__(self, store: Store, limits: Limits, now_ms: Callable[[], int], further: Further = nobody) -> None:
        """`further` are others than a log itself that may have its hash tiles."""
        self._store = store
        self._limits = limits
        self._now_ms = now_ms
        self._further = further
        self._fit: dict[str, set[tuple[int, bytes, int, bytes]]] = {}  # by origin: open pairs that were compared

    async def take(self, followed: FollowedLog, raw: bytes, source: str) -> tuple[Head, Opened, list[Finding]]:
        """Keep a note and compare it. `Malformed` or `BadSignature` when it is no head of this log.

        The findings are contradictions only, with another head or with the closing of the log: whether the head is
        large enough or old is for others to say.
        """
        head, opened = read_head(raw, followed)
        return head, opened, await asyncio.to_thread(self._take, followed, head, source)

    async def resume(self, followed: FollowedLog) -> list[Finding]:
        """Compare the newest heads again: a crash may have come between keeping one and comparing it."""
        return await asyncio.to_thread(self._resume, followed)

    def _resume(self, followed: FollowedLog) -> list[Finding]:
        newest = self._store.newest(followed.origin, self._limits.recompared)
        known = {CONVICTED, REFUTED}  # those were compared
        heads = [each for each in newest if self._store.state(each.origin, each.size, each.root) not in known]
        compared = [finding for head in heads for finding in self._compare(followed, head, "our state")]
        return compared + self._resume_spares(followed)

    def _resume_spares(self, followed: FollowedLog) -> list[Finding]:
        """Look again for what the heads contradict that were let go last, as was to be done when they were."""
        findings = []
        for note in self._store.newest_spares(followed.origin, self._limits.recompared):
            try:
                spare = read_head(note, followed)[0]
            except (Malformed, BadSignature):
                continue  # by a key that was pinned before
            against = any(contradiction(spare, rival) for rival in self._store.rivals(spare, self._limits.rivals))
            timed = followed.leaf_time_ms is not None
            if against and self._store.observe(spare, POLLINATION, self._now_ms(), timed=timed):
                findings += self._compare(followed, spare, "our state")
        return findings

    def _take(self, followed: FollowedLog, head: Head, source: str) -> list[Finding]:
        self._recall(followed, head)
        new = self._store.observe(head, source, self._now_ms(), timed=followed.leaf_time_ms is not None)
        findings = self._compare(followed, head, source)
        if new:  # as `pollination` does with what it lets go: of two that come at once the last look meets the other
            recalled = self._recall(followed, head)
            findings += [found for spare in recalled for found in self._compare(followed, spare, POLLINATION)]
        if self._store.charged(followed.origin, Kind.TIME_LIE, note_digest(head)):
            text = f"serves again a head of size {head.size} over a leaf that is later (from {source})"
            findings.append(Finding(Outcome.PROVEN, followed.origin, TIME_LIE, text))
        return findings

    def _recall(self, followed: FollowedLog, head: Head) -> list[Head]:
        """Keep among the observations what contradicts a head and others stood for so far; return what is new there."""
        found, timed = [], followed.leaf_time_ms is not None
        for note in self._store.spares_against(head, self._limits.rivals):
            spare = read_head(note, followed)[0]
            if contradiction(head, spare) and self._store.observe(spare, POLLINATION, self._now_ms(), timed=timed):
                found.append(spare)
        return found

    def contradicts_nothing(self, followed: FollowedLog, head: Head) -> bool:
        """Say whether a head, kept or not, contradicts no head that is kept, nor the closing of its log. Blocks."""
        if followed.final is not None and followed.final.excludes(head):
            return False
        rivals = self._store.rivals(head, self._limits.rivals)
        spares = [read_head(note, followed)[0] for note in self._store.spares_against(head, self._limits.rivals)]
        return not any(contradiction(head, rival) for rival in [*rivals, *spares])

    def _compare(self, followed: FollowedLog, head: Head, source: str) -> list[Finding]:
        state = self._store.state(head.origin, head.size, head.root)
        if state == REFUTED:
            text = f"serves again a head of size {head.size} that its own signatures refute (from {source})"
            return [Finding(Outcome.PROVEN, followed.origin, "fork", text)]
        findings = []
        if followed.final is not None and followed.final.excludes(head):
            text = f"signed size {head.size} after governance had closed it with size {followed.final.size}"
            findings.append(Finding(Outcome.UNVERIFIED, followed.origin, AFTER_FINAL, text))
        for rival in self._store.rivals(head, self._limits.rivals):
            kind = contradiction(head, rival)
            rival_state = self._store.state(rival.origin, rival.size, rival.root)
            if kind is None or rival_state in {CONVICTED, REFUTED}:
                continue  # what such a head contradicts is on record already
            if kind is Kind.SAME_SIZE and AGREED in {state, rival_state}:
                refuted = rival if state == AGREED else head
                findings.append(self._convict(followed, kind, (head, rival), refuted, REFUTED))
            else:
                findings.append(self._convict(followed, kind, (head, rival), head, CONVICTED))
        return findings

    async def reconcile(
        self, followed: FollowedLog, reader: LogReader, head: Head, held: Head
    ) -> tuple[Finding | None, bool]:
        """Hold an open head against our verified one, which is no smaller; (finding, whether it is settled).

        That the tree of a head convicted before is refuted too is kept as evidence, but it is no news.
        """
        if head.size > held.size:
            raise AssertionError("a head is reconciled with a tree that is no smaller")
        before = await asyncio.to_thread(self._store.state, head.origin, head.size, head.root)
        finding, settled = await self._relate(followed, reader, head, held, suspect=head)
        return (None if settled and before == CONVICTED else finding), settled

    async def compare_open(self, followed: FollowedLog, reader: LogReader) -> list[Finding]:
        """Hold all open heads and our verified one against each other, as far as anybody has the larger one's tiles.

        Of two that exclude each other and are both beyond our own tree neither is refuted: they stay open.
        """
        waiting = await asyncio.to_thread(self._store.open_heads, followed.origin, self._limits.open_heads)
        if not waiting:
            self._fit.pop(followed.origin, None)
            return []
        verified = await asyncio.to_thread(self._store.verified, followed.origin)
        held = None if verified is None else verified.head
        heads = sorted([*waiting, *([held] if held else [])], key=lambda head: head.size)
        findings, fit = [], set()
        for large in heads:
            for small in reversed([each for each in heads if each.size < large.size]):
                pair = (small.size, small.root, large.size, large.root)
                if pair not in self._fit.get(followed.origin, ()):
                    finding, had = await self._compare_pair(followed, reader, small, large, held)
                    if not had:
                        break  # nobody has the larger one's tiles now
                    findings += [finding] if finding else []
                fit.add(pair)
        self._fit[followed.origin] = fit
        return findings

    async def _compare_pair(
        self, followed: FollowedLog, reader: LogReader, small: Head, large: Head, held: Head | None
    ) -> tuple[Finding | None, bool]:
        suspect = small if large is held else large
        before = await asyncio.to_thread(self._store.state, suspect.origin, suspect.size, suspect.root)
        verdict = REFUTED if held in (small, large) else CONVICTED
        finding, had = await self._relate(followed, reader, small, large, suspect, verdict)
        return (None if before == CONVICTED else finding), had

    async def relate_larger(self, followed: FollowedLog, reader: LogReader, head: Head, held: Head) -> Finding:
        """Say why the entries of a larger head do not lead to its root: a fork, or bad data."""
        finding, agreed = await self._relate(followed, reader, held, head, suspect=head)
        if finding is None and agreed:
            text = f"entries do not lead to the signed root of size {head.size}, though its hash tiles do"
            return Finding(Outcome.UNVERIFIED, followed.origin, "data", text)
        if finding is None:
            raise AssertionError("two heads are related one way or the other")
        return finding

    async def _relate(
        self,
        followed: FollowedLog,
        reader: LogReader,
        small: Head,
        large: Head,
        suspect: Head,
        verdict: str = REFUTED,
    ) -> tuple[Finding | None, bool]:
        """Compare two signed sizes; `suspect` is the one of the two that gets `verdict` if they part.

        Return (what is wrong, whether that settles it).
        """
        left, right = prefix.spans(small.size, large.size)

        async def compare(source: LogReader) -> tuple[bool, list[bytes]]:
            read = await prover.read_spans(source, [*left, *right], large.size)
            found = prefix.gather(small.size, large.size, read)
            shown = prefix.compare(small.size, large.size, small.root, large.root, found)
            return shown is prefix.Prefix.SAME, found

        hashes: list[bytes] = []
        try:
            if small.size == large.size:
                same = small.root == large.root
            else:
                same, hashes = await first([reader, *self._further(followed.origin)], compare)
        except Unreachable as e:
            return Finding(Outcome.UNREACHED, followed.origin, "tiles", str(e)), False
        except (BadProof, Malformed, NotFound) as e:
            text = f"no data lead to the signed root of size {large.size}: {e}"
            return Finding(Outcome.UNVERIFIED, followed.origin, "data", text), False
        if same:
            if suspect is small:
                await asyncio.to_thread(self._store.settle, suspect, AGREED)
            return None, True
        kind = Kind.SAME_SIZE if small.size == large.size else Kind.CROSS_SIZE
        finding = await asyncio.to_thread(self._convict, followed, kind, (small, large), suspect, verdict, hashes)
        return finding, True

    def _convict(
        self,
        followed: FollowedLog,
        kind: Kind,
        heads: tuple[Head, Head],
        head: Head,
        verdict: str,
        hashes: Sequence[bytes] = (),
    ) -> Finding:
        """Make evidence, see for ourselves that it proves what it says, keep it."""
        data = evidence.encode(kind, followed.origin, followed.vkeys, heads, hashes)
        evidence.check(data, lambda raw: read_head(raw, followed)[0])
        kept = Evidence(evidence.identify(data), kind, followed.origin, data, self._now_ms())
        one, two = heads
        text = f"signed two heads that exclude each other, sizes {one.size} and {two.size}"
        text = f"{text} ({kind.value}, evidence {kept.id.hex()[:16]})"
        finding = Finding(Outcome.PROVEN, followed.origin, "fork", text, evidence=kept.id.hex())
        self._store.convict(kept, head, verdict, self._limits.evidence_per_log, [alert_of(finding)])
        return finding
