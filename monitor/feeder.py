"""Bringing a log's verified heads to a witness at another place, and its cosignatures back (C2SP tlog-witness §9.1).

    survey      what did the witness cosign last? Kept, compared; the split-view test (monitoring.md §5.2, F5)
    feed        add-checkpoint: the witness's old size, a consistency proof that we have verified, the head
    hand back   POST /<log>/add-cosignatures: the log's head under our line and the witness's

A 409 that names another size is answered with the proof from there, at most `feed_tries` requests in all. What a
witness holds against a head is never taken on its word: its own note is fetched and judged as any other head. Where it
shows none, its refusal is an alarm and no more: it may be the witness that errs.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from log.client import LogReader, prover
from log.client.exchange import Answer
from log.crypto.notes import verify_line
from log.errors import BadProof, BadSignature, LogError, Malformed, StorageError, Unreachable
from log.evidence.heads import Head
from log.formats.dates import date
from log.formats.note import Note, Signature, VKey, parse_signature_lines
from log.formats.text import decimal
from log.formats.witness_request import SIZE_CONTENT_TYPE, AddCheckpoint
from log.merkle.proof import verify_consistency
from monitor.clock import DATE_MS, Clock
from monitor.ledger import Ledger
from monitor.limits import Limits
from monitor.logs import FollowedLog, Witness
from monitor.outcome import BEHIND, RETIRED_KEY, SPLIT, WITNESS, Finding, Outcome
from monitor.peer import Peer, severity
from monitor.store import REFUTED, Store, Vouched
from monitor.vouched import keep_lines

SILENT, REFUSES = "witness-silent", "witness-refuses"  # codes: no answer at all, or one that is a no
_SHOWS_NONE = frozenset({404, 405, 501})  # never cosigned, or a witness without this route, as many are


@dataclass(frozen=True, slots=True)
class Fed:
    """What feeding one witness came to."""

    findings: tuple[Finding, ...] = ()
    lines: Mapping[VKey, Signature] = field(default_factory=dict)  # the witness's cosignatures on the head, verified


class Prover:
    """Consistency proofs to one log's verified heads, none of which leaves unverified."""

    def __init__(self, reader: LogReader) -> None:
        self._reader = reader

    async def proof(self, old: int, old_root: bytes | None, head: Head) -> tuple[bytes, ...]:
        """Return the proof from size `old` to `head`; `BadProof` when the log's tiles do not give it.

        Without `old_root` the tiles say what it was; the proof then shows that they do not contradict the head.
        """
        if old in (0, head.size):
            return ()
        root = await prover.root(self._reader, old) if old_root is None else old_root
        path = await prover.consistency(self._reader, old, head.size)
        verify_consistency(old, head.size, root, head.root, path)
        return tuple(path)


class Feeder:
    """One witness and one log. One task at a time calls `feed`."""

    def __init__(
        self,
        followed: FollowedLog,
        witness: Witness,
        reader: LogReader,
        peer: Peer,
        store: Store,
        ledger: Ledger,
        limits: Limits,
        clock: Clock,
        own: VKey,
    ) -> None:
        """`own` is our key: a head under it that a witness shows may be news to a state that is an old copy."""
        self.log = followed
        self.witness = witness
        self.well = True  # whether the last feeding, if there was one, brought a cosignature
        self.retry_after_s = 0.0  # how long the last answer asked us to stay away
        self._limits = limits
        self._reader = reader
        self._prover = Prover(reader)
        self._peer = peer
        self._store = store
        self._ledger = ledger
        self._clock = clock
        self._own = own
        self.heard = asyncio.Event()  # set when the witness has answered, whatever it was

    # --- survey --------------------------------------------------------------------------------------------

    async def survey(self) -> list[Finding]:
        """Ask the witness for the head that it cosigned last, keep it, compare it."""
        _, findings = await self._latest()
        return findings

    async def _latest(self) -> tuple[Head | None, list[Finding]]:
        """Return the witness's last head of this log (None when it has none, or nothing of use) and findings."""
        try:
            reply = await self._peer.get(f"{self.witness.url}/{self.log.origin_hash}/checkpoint")
        except Unreachable as e:
            return None, [self._finding(Outcome.UNREACHED, SILENT, str(e))]
        self.heard.set()
        if reply.status in _SHOWS_NONE:
            return None, []
        if reply.status != 200:
            return None, [self._finding(severity(reply), REFUSES, f"shows no last head: {reply.reason}")]
        try:
            head, opened, findings = await self._ledger.take(self.log, reply.body, f"witness {self.witness.vkey.name}")
            await keep_lines(self._store, self.log, opened, self.witness.every, required=True)
            await keep_lines(self._store, self.log, opened, [self._own], required=False)
        except (Malformed, BadSignature) as e:
            return None, [self._finding(Outcome.UNVERIFIED, WITNESS, f"shows a head that does not verify: {e}")]
        return head, findings

    # --- feed ----------------------------------------------------------------------------------------------

    async def feed(self, head: Head, old: int, proof: tuple[bytes, ...]) -> Fed:
        """Feed a verified head; `proof` leads to it from size `old`, where the witness most likely stands.

        `retry_after_s` says afterwards how long the witness wants to be left alone.
        """
        self.retry_after_s = 0.0
        try:
            return await self._feed(head, old, proof)
        except Unreachable as e:
            return self._fed(Outcome.UNREACHED, SILENT, str(e))
        except BadProof as e:
            return await self._unproven(head, WITNESS, f"hash tiles give no consistency proof: {e}")
        except StorageError:
            raise
        except LogError as e:
            return self._fed(Outcome.UNVERIFIED, WITNESS, str(e))

    async def _feed(self, head: Head, old: int, proof: tuple[bytes, ...]) -> Fed:
        known = await self._known()
        size, root = (0, None) if known is None else (known.size, known.root)
        if size > head.size:
            return await self._behind(head, size)
        for _ in range(self._limits.feed_tries):
            path = proof if size == old and old < head.size else await self._prover.proof(size, root, head)
            reply = await self._ask(size, path, head)
            if reply.status != 409 or reply.content_type != SIZE_CONTENT_TYPE:
                return await self._answer(head, size, reply)
            size = _named_size(reply)  # it stands elsewhere than we thought: see what it holds there
            shown, findings = await self._latest()
            if findings:
                return Fed(tuple(findings))
            if size > head.size:
                signed = shown is not None and shown.size > head.size
                return self._ahead(head, size) if signed else self._claims(head, size)
            if shown is not None and (contrary := await self._contrary(head, shown)):
                return Fed((contrary,))
            root = shown.root if shown is not None and shown.size == size else None
        text = f"names another size each time, now {size}, after {self._limits.feed_tries} tries"
        return self._fed(Outcome.UNREACHED, WITNESS, text)

    async def _known(self) -> Vouched | None:
        """Return the largest head known to bear a cosignature of this witness, by whichever of its keys.

        One on another branch than ours is left out: no proof leads from there, and the witness says where it stands.
        """
        keys = [vkey.encode() for vkey in self.witness.every]
        found = [await asyncio.to_thread(self._store.cosigned, self.log.origin, key) for key in keys]
        kept = [each for each in found if each is not None]
        states = [await asyncio.to_thread(self._store.state, self.log.origin, each.size, each.root) for each in kept]
        ours = [each for each, state in zip(kept, states, strict=True) if state != REFUTED]
        return max(ours, key=lambda each: each.size, default=None)

    async def _ask(self, old: int, proof: tuple[bytes, ...], head: Head) -> Answer:
        body = AddCheckpoint(old, proof, head.note).encode()
        return await self._peer.post(f"{self.witness.url}/add-checkpoint", body)

    async def _answer(self, head: Head, old: int, reply: Answer) -> Fed:
        match reply.status:
            case 200:
                return await self._cosigned(head, reply.body)
            case 409 | 422:  # 409 without a size: tlog-witness v1.0.0 and those who still follow it
                said = f"{reply.reason}; the proof from size {old} verified here"
                if old == head.size:
                    said = f"{reply.reason}; it cosigned a head of this very size"
                return await self._unproven(head, SPLIT, f"holds another tree than size {head.size} shows us: {said}")
            case 429 | 503:
                self.retry_after_s = min(float(reply.retry_after_s), self._limits.retry_after_s)
                return self._fed(Outcome.UNREACHED, REFUSES, f"is busy: {reply.reason}")
            case 404:
                return self._fed(Outcome.UNREACHED, REFUSES, f"does not know this log: {reply.reason}")
        return self._fed(severity(reply), REFUSES, f"will not cosign size {head.size}: {reply.reason}")

    async def _cosigned(self, head: Head, body: bytes) -> Fed:
        """Verify and keep the lines of an answer. Every line by a key of this witness must verify and tell a time."""
        note, lines = Note.parse(head.note), {}
        for line in parse_signature_lines(body):
            for vkey in self.witness.counting(self._clock.now_ms()):
                if not vkey.owns(line) or vkey in lines:
                    continue
                time_s = (verify_line(note.text, line, vkey) or 0) // 1000
                if time_s == 0:
                    return self._fed(Outcome.UNVERIFIED, WITNESS, "cosigned without a time")
                signed = note.with_signatures([*note.signatures, line]).encode()
                vouched = Vouched(head.size, head.root, time_s, signed)
                await asyncio.to_thread(self._store.keep_cosigned, self.log.origin, vkey.encode(), vouched)
                lines[vkey] = line
                self._clock.heard(self.witness.url, time_s * 1000 + DATE_MS / 2)
        if not lines and any(vkey.owns(line) for vkey in self.witness.every for line in parse_signature_lines(body)):
            until = date(self.witness.until_ms)
            return self._fed(Outcome.UNREACHED, RETIRED_KEY, f"cosigns with no key but the one retired since {until}")
        if not lines:
            return self._fed(Outcome.UNVERIFIED, WITNESS, "answered without its own cosignature")
        return Fed(lines=lines)

    async def _behind(self, head: Head, size: int) -> Fed:
        """The witness has cosigned more than the log shows us: fetch what, so that the log has to bear it out."""
        _, findings = await self._latest()
        return Fed(tuple(findings)) if findings else self._ahead(head, size)

    def _ahead(self, head: Head, size: int) -> Fed:
        """It has a larger head that the log has signed."""
        return self._fed(Outcome.UNVERIFIED, BEHIND, f"has cosigned size {size}; the log shows us {head.size}")

    def _claims(self, head: Head, size: int) -> Fed:
        """It names a larger size and shows no head that the log has signed: its word, of which it is the subject."""
        name, origin = self.witness.vkey.name, self.log.origin
        text = f"witness {name} says that it has cosigned size {size} of {origin}, and shows no head of it"
        return Fed((Finding(Outcome.UNVERIFIED, name, BEHIND, f"{text}; the log shows us {head.size}", origin),))

    async def _unproven(self, head: Head, code: str, why: str) -> Fed:
        """A proof failed, here or at the witness: see whether the witness's own last head contradicts ours."""
        shown, findings = await self._latest()
        if findings:
            return Fed(tuple(findings))
        if shown is not None and (contrary := await self._contrary(head, shown)):
            return Fed((contrary,))
        return self._fed(Outcome.UNVERIFIED, code, why)

    async def _contrary(self, head: Head, shown: Head) -> Finding | None:
        """Return what is wrong when the witness's last head is not a prefix of our verified one."""
        if shown.size > head.size:
            return None
        finding, _ = await self._ledger.reconcile(self.log, self._reader, shown, head)
        return finding

    def _finding(self, outcome: Outcome, code: str, text: str) -> Finding:
        name = self.witness.vkey.name
        return Finding(outcome, self.log.origin, code, f"witness {name}: {text}", name)

    def _fed(self, outcome: Outcome, code: str, text: str) -> Fed:
        return Fed((self._finding(outcome, code, text),))


# --- cosignature lines ----------------------------------------------------------------------------------------


async def hand_back(peer: Peer, followed: FollowedLog, head: Head, lines: Sequence[Signature]) -> list[Finding]:
    """Give the log its head back under cosignature lines; a log of others has no place for them."""
    if not followed.node:
        return []
    note = Note.parse(head.note)
    body = note.with_signatures([*note.signatures, *lines]).encode()
    try:
        reply = await peer.post(f"{followed.url}/add-cosignatures", body)
    except Unreachable as e:
        return [Finding(Outcome.UNREACHED, followed.origin, "hand-back", str(e))]
    if reply.status == 200:
        return []
    if reply.status == 409:
        text = f"denies its own signed head of size {head.size}: {reply.reason}"
        return [Finding(Outcome.UNVERIFIED, followed.origin, "hand-back", text)]
    if reply.status == 403 and not any(each.vkey.owns(line) for each in followed.policy.witnesses for line in lines):
        return []  # nobody waits for these lines: so it is for a monitor that is in no policy
    return [Finding(severity(reply), followed.origin, "hand-back", f"takes no cosignatures: {reply.reason}")]


def _named_size(reply: Answer) -> int:
    text = reply.body.decode("ascii", "replace")
    if not text.endswith("\n"):
        raise Malformed("a 409 without the size that the witness holds")
    return decimal(text[:-1])
