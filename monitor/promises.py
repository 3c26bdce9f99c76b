"""SCTs that were handed to us, and whether the log kept what they promise (F8, E4 and E5 of monitoring.md §5.4).

    1. an SCT is verified under the pinned key of its log, with the certificate that it was given for: kept as a promise
    2. once our verified tree covers its index, the leaf hash there says whether it was kept; if another is there: E4
    3. a verified head that was signed after the merge delay and does not reach the index: E5

Time that passes here is never a reason to convict: only what the log has signed is.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256

from log.certs.certificate import parse as parse_certificate
from log.client import LogReader, prover
from log.client.verifier import certificate_leaf
from log.crypto.tree_heads import verify_sct
from log.errors import BadProof, BadSignature, Malformed, NotFound, Unreachable
from log.evidence import promises
from log.evidence.heads import Head, Kind
from log.evidence.objects import identify
from log.formats.note import VKey
from log.formats.sct import SCT
from log.formats.tile_leaf import PRECERT_ENTRY, X509_ENTRY
from log.formats.tlog_proof import X509Extra
from log.merkle.hashing import HASH_SIZE, leaf_hash
from log.merkle.proof import Span, verify_inclusion
from monitor.limits import Limits
from monitor.logs import FollowedLog, read_head
from monitor.outcome import Finding, Outcome, alert_of
from monitor.store import Evidence, Promise, Store

BROKEN, LATE = "broken-promise", "late"  # codes of findings


class Promises:
    """Takes SCTs in, and looks what became of them."""

    def __init__(
        self, store: Store, logs: Callable[[], Mapping[str, FollowedLog]], limits: Limits, now_ms: Callable[[], int]
    ) -> None:
        """`logs` are those that are followed, by origin."""
        self._store = store
        self._logs = logs
        self._limits = limits
        self._now_ms = now_ms

    async def take(self, brought: Sequence[tuple[Sequence[bytes], Sequence[bytes]]]) -> int:
        """Keep SCTs, each for the first certificate of its chain; return how many are of logs that we follow.

        All or none: `Malformed` for what is no certificate or SCT, `BadSignature` when one does not verify.
        """
        found = [self._read(chain, raw) for chain, scts in brought for raw in scts]
        kept = [promise for promise in found if promise is not None]
        await asyncio.to_thread(self._store.keep_promises, kept, self._now_ms())
        return len(kept)

    def _read(self, chain: Sequence[bytes], raw: bytes) -> Promise | None:
        sct = SCT.parse(raw)
        for followed in self._logs().values():
            key = followed.tree_head_key
            if key is not None and sha256(key.key).digest() == sct.log_id:
                return Promise(followed.origin, sct.index, raw, _leaf(chain, sct, key))
        return None

    async def audit(self, followed: FollowedLog, reader: LogReader) -> list[Finding]:
        """Look what became of the promises of one log that are open."""
        verified = await asyncio.to_thread(self._store.verified, followed.origin)
        if verified is None or followed.tree_head_key is None:
            return []
        head = verified.head
        findings: list[Finding] = []
        for promise in await asyncio.to_thread(
            self._store.open_promises, followed.origin, head.size, head.time_ms or 0, self._limits.promises
        ):
            try:
                found = await self._look(followed, reader, promise, head)
            except Unreachable as e:
                return [*findings, Finding(Outcome.UNREACHED, followed.origin, "tiles", str(e))]
            except (BadProof, Malformed, NotFound) as e:
                text = f"no hash tiles show what stands at {promise.index}, which an SCT names: {e}"
                return [*findings, Finding(Outcome.UNVERIFIED, followed.origin, "data", text)]
            findings += [found] if found else []
        return findings

    async def _look(self, followed: FollowedLog, reader: LogReader, promise: Promise, head: Head) -> Finding | None:
        sct = SCT.parse(promise.sct)
        if head.size <= promise.index:
            if not promises.is_late(sct, head):
                return None
            data = promises.late(followed.origin, followed.vkeys, promise.sct, promise.leaf, head)
            text = f"promised an entry {promise.index}, and long after had signed size {head.size} only"
            return await self._convict(followed, promise, Kind.LATE, data, LATE, text)
        [there] = await prover.read_spans(reader, [Span(promise.index, promise.index + 1)], head.size)
        path = await prover.inclusion(reader, promise.index, head.size)
        verify_inclusion(promise.index, head.size, there[:HASH_SIZE], path, head.root)
        if there == leaf_hash(promise.leaf):
            await asyncio.to_thread(self._store.settle_promise, promise, "kept")
            return None
        data = promises.broken_promise(followed.origin, followed.vkeys, promise.sct, promise.leaf, head, there, path)
        text = f"promised an entry {promise.index}, and has another one there"
        return await self._convict(followed, promise, Kind.BROKEN_PROMISE, data, BROKEN, text)

    async def _convict(
        self, followed: FollowedLog, promise: Promise, kind: Kind, data: bytes, code: str, text: str
    ) -> Finding:
        """See for ourselves that the evidence proves what it says; keep it, and what became of the promise."""
        promises.check(data, lambda raw: read_head(raw, followed)[0], followed.vkeys)
        kept = Evidence(identify(data), kind, followed.origin, data, self._now_ms())
        text = f"{text} ({kind.value}, evidence {kept.id.hex()[:16]})"
        finding = Finding(Outcome.PROVEN, followed.origin, code, text, evidence=kept.id.hex())
        limit, alerts = self._limits.evidence_per_log, [alert_of(finding)]
        await asyncio.to_thread(self._store.convict_promise, promise, kept, limit, alerts)
        return finding


def _leaf(chain: Sequence[bytes], sct: SCT, key: VKey) -> bytes:
    """Return the MerkleTreeLeaf that an SCT signs, of the certificate or of its precertificate."""
    if not chain:
        raise Malformed("feedback without a certificate")
    leaves = [certificate_leaf(chain[0], X509Extra(X509_ENTRY, b"", sct.encode()), sct)]
    if len(chain) > 1:
        issuer = sha256(parse_certificate(chain[1]).spki).digest()
        leaves.append(certificate_leaf(chain[0], X509Extra(PRECERT_ENTRY, issuer, sct.encode()), sct))
    for leaf in leaves:
        try:
            verify_sct(sct.encode(), leaf, key)
        except BadSignature:
            continue
        return leaf
    raise BadSignature("the SCT is not for this certificate, or does not verify")
