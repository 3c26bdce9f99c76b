"""One other monitor: what it has seen, what it is to know, what it remembers of us (monitoring.md §5.2, F9 and F10).

    remembered  before we sign anything: how much of our chain did it read? More than we have, or other: our state was
                restored from an old copy
    read        its observations from where we stood, each taken in as any other head; a chain that is no longer the one
                that we have read is told of. For a log that we did not follow then it is read again from its beginning
    relay       each evidence object is given to it once
    collect     and what it has is taken over, once it proves something under our own pins

Nothing that it says is believed: heads and evidence are verified, the rest is what it was.
"""

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from log.client.exchange import Answer
from log.errors import BadProof, BadSignature, LogError, Malformed, Unreachable
from log.evidence.check import Pinned, Verdict, check, is_whole
from log.evidence.objects import identify
from log.formats.note import VKey
from monitor import observation
from monitor.ledger import Ledger
from monitor.limits import Limits
from monitor.logs import FollowedLog, OtherMonitor
from monitor.outcome import Finding, Outcome, alert_of
from monitor.peer import Peer, severity
from monitor.store import Evidence, Store

RESTORED = "restored"
_ID = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Known:
    """Whom we follow now, by which keys."""

    logs: Mapping[str, FollowedLog]  # by origin
    pinned: Pinned


class Archive:
    """Evidence, from wherever it comes: kept when it proves something under our own pins."""

    def __init__(self, store: Store, known: Callable[[], Known], limits: Limits, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._known = known
        self._limits = limits
        self._now_ms = now_ms

    async def take(self, data: bytes, source: str) -> tuple[bytes, Verdict, bool]:
        """Keep evidence; return (its id, what it proves, whether it is new).

        Raises what `check` raises, `BadProof` for what is only suspected (that is the word of whoever saw it), and
        `Malformed` for a lie that is written in another way than we write it.
        """
        pinned = self._known().pinned
        verdict = check(data, pinned)
        if not verdict.proven:
            raise BadProof("what no signature proves is not taken from others")
        if not is_whole(data, pinned):
            raise Malformed("evidence with other lines or keys than those that prove it")
        kept = Evidence(identify(data), verdict.kind, verdict.subject, data, self._now_ms())
        text = f"{verdict.text} ({verdict.kind.value}, evidence {kept.id.hex()[:16]}, from {source})"
        finding = Finding(Outcome.PROVEN, verdict.subject, "evidence", text, kept.id.hex()[:16], kept.id.hex())
        limit = self._limits.evidence_per_log
        new = await asyncio.to_thread(self._store.keep_evidence, kept, limit, [alert_of(finding)])
        return kept.id, verdict, new

    def ids(self) -> list[str]:
        """Return the ids of all that is kept and proven, oldest first, hex."""
        return [id_.hex() for id_ in self._store.proven_ids()]

    def get(self, id_: str) -> bytes | None:
        """Return one object by its id, hex, proven or not."""
        found = self._store.evidence_by_id(bytes.fromhex(id_))
        return None if found is None else found.object


class Gossip:
    """What is exchanged with one other monitor. One task at a time calls `look`."""

    def __init__(
        self,
        other: OtherMonitor,
        own: VKey,
        peer: Peer,
        pages: Peer,
        store: Store,
        ledger: Ledger,
        archive: Archive,
        known: Callable[[], Known],
        limits: Limits,
    ) -> None:
        """`pages` takes answers as large as a page of observations may be."""
        self.other = other
        self.asked = False  # whether it was asked since the start what it remembers of us, answered or not
        self.knows_more = False  # whether it has read what our state does not hold
        self._own = own
        self._peer = peer
        self._pages = pages
        self._store = store
        self._ledger = ledger
        self._archive = archive
        self._known = known
        self._limits = limits

    async def look(self) -> list[Finding]:
        """Do all of it once. Raises `StorageError` only."""
        findings: list[Finding] = []
        for step in (self.remembered, self._read, self._relay, self._collect):
            try:
                findings += await step()
            except Unreachable as e:
                return [*findings, self._found(Outcome.UNREACHED, "peer-silent", str(e))]
            except Malformed as e:
                findings.append(self._found(Outcome.UNVERIFIED, "peer", f"answers what cannot be read: {e}"))
        return findings

    async def remembered(self) -> list[Finding]:
        """Ask how much of our own chain it has read."""
        try:
            return await self._remembered()
        finally:
            self.asked = True

    async def _remembered(self) -> list[Finding]:
        answer = await self._peer.get(f"{self.other.url}/gossip/v1/read/{peer_id(self._own)}")
        if answer.status == 404:
            self.knows_more = False
            return []
        if answer.status != 200:
            return [self._refused(answer)]
        seq, link = read_place(answer.body)
        held = await asyncio.to_thread(self._store.link, seq)
        self.knows_more = held is None or held[1] != link
        if not self.knows_more:
            return []
        text = (
            f"monitor {self.other.name} has read our observation {seq}, which our state does not hold: was it restored"
            " from a copy? We sign nothing until the newest state is back"
        )
        return [Finding(Outcome.OWN, "state", RESTORED, text, self.other.name)]

    async def _read(self) -> list[Finding]:
        vkey, logs = self.other.vkey.encode(), self._known().logs
        missed, place = await asyncio.to_thread(self._store.heed, vkey, logs.keys())
        findings: list[Finding] = []
        for _ in range(self._limits.gossip_pages):
            stood = await asyncio.to_thread(self._store.read_of, vkey)
            told, page = await self._page(stood)
            findings += told
            for each in page:
                findings += await self._take(each, logs)
                await asyncio.to_thread(self._store.keep_read, vkey, each.seq, each.hash)
            if not page:
                break
        if missed:
            findings += await self._reread(vkey, {origin: logs[origin] for origin in missed}, place)
        return findings

    async def _reread(
        self, vkey: str, logs: Mapping[str, FollowedLog], place: tuple[int, bytes] | None
    ) -> list[Finding]:
        """Read again from `place` on, for logs that we did not follow when their heads stood there."""
        findings: list[Finding] = []
        end = await asyncio.to_thread(self._store.read_of, vkey)
        for _ in range(self._limits.gossip_pages):
            if end is None or (place is not None and place[0] >= end[0]):
                await asyncio.to_thread(self._store.have_reread, vkey)
                break
            told, page = await self._page(place)
            findings += told
            for each in page:
                findings += await self._take(each, logs)
                place = each.seq, each.hash
                if each.seq == end[0]:
                    break
            if not page or place is None:
                break
            await asyncio.to_thread(self._store.keep_reread, vkey, *place)
        return findings

    async def _page(self, stood: tuple[int, bytes] | None) -> tuple[list[Finding], list[observation.Observation]]:
        """Ask for what follows the observation (seq, hash) that was read last, or for the beginning."""
        after = 0 if stood is None else stood[0] - 1
        answer = await self._pages.get(f"{self.other.url}/gossip/v1/observations?after={after}")
        if answer.status != 200:
            return [self._refused(answer)], []
        page = observation.parse(answer.body)
        if stood is not None and (not page or (page[0].seq, page[0].hash) != stood):
            text = f"no longer serves the observation {stood[0]} that we have read from it"
            return [self._found(Outcome.UNVERIFIED, "peer-rewound", text)], []
        if stood is None and page and (page[0].seq, page[0].previous) != (1, observation.GENESIS):
            raise Malformed("a chain that does not begin at its beginning")
        return [], page[0 if stood is None else 1 :]

    async def _take(self, each: observation.Observation, logs: Mapping[str, FollowedLog]) -> list[Finding]:
        followed = logs.get(each.origin)
        if followed is None:
            return []  # once it is followed, the chain is read again for it
        try:
            _, _, findings = await self._ledger.take(followed, each.raw, f"monitor {self.other.name}")
        except (Malformed, BadSignature) as e:
            return [self._found(Outcome.UNVERIFIED, "peer", f"observation {each.seq} is no head of {each.origin}: {e}")]
        return findings

    async def _relay(self) -> list[Finding]:
        vkey = self.other.vkey.encode()
        for each in await asyncio.to_thread(self._store.unrelayed, vkey, self._limits.gossip_evidence):
            answer = await self._peer.post(f"{self.other.url}/gossip/v1/evidence", each.object)
            if answer.status not in {200, 400, 403}:  # 400, 403: it has other pins than we, and has been told
                return [self._refused(answer)]
            await asyncio.to_thread(self._store.keep_relayed, vkey, each.id)
        return []

    async def _collect(self) -> list[Finding]:
        answer = await self._peer.get(f"{self.other.url}/gossip/v1/evidence")
        if answer.status != 200:
            return [self._refused(answer)]
        held = set(await asyncio.to_thread(self._archive.ids))
        findings = []
        for id_ in [each for each in read_ids(answer.body) if each not in held][: self._limits.gossip_evidence]:
            found = await self._peer.get(f"{self.other.url}/gossip/v1/evidence/{id_}")
            if found.status != 200:
                return [self._refused(found)]
            try:
                taken, _, _ = await self._archive.take(found.body, f"monitor {self.other.name}")
            except LogError as e:
                findings.append(self._found(Outcome.UNVERIFIED, "peer", f"evidence {id_[:16]} proves nothing: {e}"))
                continue
            await asyncio.to_thread(self._store.keep_relayed, self.other.vkey.encode(), taken)
        return findings

    def _refused(self, answer: Answer) -> Finding:
        return self._found(severity(answer), "peer", f"will not exchange: {answer.reason}")

    def _found(self, outcome: Outcome, code: str, text: str) -> Finding:
        return Finding(outcome, f"monitor {self.other.name}", code, text)


# --- what monitors tell each other besides observations --------------------------------------------------------


def peer_id(vkey: VKey) -> str:
    """Return the path segment by which a monitor is known to another: SHA-256 of its vkey, hex."""
    return sha256(vkey.encode().encode()).hexdigest()


def place(seq: int, link: bytes) -> bytes:
    """Write how far a chain was read."""
    return json.dumps({"seq": seq, "hash": link.hex()}).encode()


def read_place(data: bytes) -> tuple[int, bytes]:
    """Read what `place` writes, or raise `Malformed`."""
    try:
        match json.loads(data):
            case {"seq": int(seq), "hash": str(link)} if 0 < seq < 1 << 63:
                return seq, bytes.fromhex(link)
    except (ValueError, RecursionError) as e:
        raise Malformed("not a place in a chain") from e
    raise Malformed("not a place in a chain")


def read_ids(data: bytes) -> list[str]:
    """Read a list of ids of evidence, or raise `Malformed`."""
    try:
        match json.loads(data):
            case {"evidence": [*ids]} if all(isinstance(each, str) and _ID.fullmatch(each) for each in ids):
                return ids
    except (ValueError, RecursionError) as e:
        raise Malformed("not a list of evidence") from e
    raise Malformed("not a list of evidence")
