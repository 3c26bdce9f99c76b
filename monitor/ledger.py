"""Taking in a signed head, whoever brings it: steps 1 and 2 of monitoring.md §5.3.

    1. its raw note is appended to the observations;
    2. it is compared with every head of that log that is known.

A contradiction between signatures becomes evidence at once. A tree that no data have settled stays `open`, and
`reconcile` settles it by hash tiles once our own verified tree is at least as large: a prefix of it, or proof (E2)
that the log has signed both. Time alone never closes it.
"""

import asyncio
from collections.abc import Callable, Sequence

from log.client import LogReader, prover
from log.crypto.notes import Opened
from log.errors import BadProof, Malformed, NotFound, Unreachable
from log.evidence import objects as evidence
from log.evidence import prefix
from log.evidence.heads import Head, Kind, contradiction
from monitor.limits import Limits
from monitor.logs import FollowedLog, read_head
from monitor.outcome import AFTER_FINAL, Finding, Outcome, alert_of
from monitor.store import AGREED, CONVICTED, REFUTED, Evidence, Store


class Ledger:
    """The one way for a signed head into the store. Shared by all who meet heads."""

    def __init__(self, store: Store, limits: Limits, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._limits = limits
        self._now_ms = now_ms

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
        return [finding for head in heads for finding in self._compare(followed, head, "our state")]

    def _take(self, followed: FollowedLog, head: Head, source: str) -> list[Finding]:
        self._store.observe(head, source, self._now_ms())
        return self._compare(followed, head, source)

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
        self, followed: FollowedLog, reader: LogReader, small: Head, large: Head, suspect: Head
    ) -> tuple[Finding | None, bool]:
        """Compare two signed sizes; `suspect` is the one of the two that is not on our branch if they part.

        Return (what is wrong, whether that settles it).
        """
        left, right = prefix.spans(small.size, large.size)
        hashes: list[bytes] = []
        try:
            if small.size == large.size:
                same = small.root == large.root
            else:
                read = await prover.read_spans(reader, [*left, *right], large.size)
                hashes = prefix.gather(small.size, large.size, read)
                verdict = prefix.compare(small.size, large.size, small.root, large.root, hashes)
                same = verdict is prefix.Prefix.SAME
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
        finding = await asyncio.to_thread(self._convict, followed, kind, (small, large), suspect, REFUTED, hashes)
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
