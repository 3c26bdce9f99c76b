"""Bringing governance actions across: between this monitor and one node's governance log (design.md §5).

    pull   GET <gov>/actions: what does it hold? What we lack is fetched, `<gov>/action/<hash>`, each with the proof
           that it stands in that log, and taken where it counts from the pinned genesis on (`governed`)
    push   POST <gov>/add-action what it lacks, each under the proof of the log that took it in first, by which the
           node sees that the notice was kept; `joint` first, for it may give the keys of the rest, and by seq

A 409 names the seq that the node expects, and we go on from there. Any other refusal is told once and stops nothing:
it is tried again when something has changed, or after `survey_s`. Where two sides hold different actions of one seq
both are carried, to both: who speaks with two tongues is to be seen by all.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from log.client.entries import carried_entry
from log.client.exchange import Answer
from log.errors import BadProof, BadSignature, LogError, Malformed, StorageError, Unreachable
from log.formats.action import JOINT, SEQ_CONTENT_TYPE
from log.formats.action_list import ActionSummary, parse_next_seq, parse_rows
from log.formats.names import EntryType
from log.formats.tlog_proof import TlogProof
from log.governance.chains import Signed
from log.merkle.hashing import leaf_hash
from log.merkle.proof import verify_inclusion
from monitor.governed import Brought, Governed, everything
from monitor.ledger import Ledger
from monitor.limits import Limits
from monitor.logs import FollowedLog
from monitor.outcome import Finding, Outcome
from monitor.peer import Peer, severity
from monitor.store import Store

logger = logging.getLogger("monitor")


@dataclass(slots=True)
class _Look:
    """One look: what was found, and how much may still be asked for in it."""

    left: int  # actions that may still be fetched, or posted
    findings: list[Finding] = field(default_factory=list)
    cut: bool = False  # whether something is left to do for the next one


@dataclass(frozen=True, slots=True)
class _LeftOut:
    """An action that a log holds, and why it was not taken over."""

    finding: Finding
    ours: bytes  # our digest at that time
    at_ms: int


class Carrier:
    """One governance log. One task at a time calls `pull`, then `push`."""

    def __init__(
        self,
        followed: FollowedLog,
        governed: Governed,
        peer: Peer,
        ledger: Ledger,
        store: Store,
        limits: Limits,
        now_ms: Callable[[], int],
    ) -> None:
        self.log = followed
        self._governed = governed
        self._peer = peer
        self._ledger = ledger
        self._store = store
        self._limits = limits
        self._now_ms = now_ms
        self._theirs = b""  # the digest that the log named last
        self._there: frozenset[bytes] | None = (
            None  # what it holds; None when it was not reached, or has nothing to say
        )
        self._whole = False  # whether `pull` left nothing for the next time
        self._done: tuple[bytes, bytes, int] | None = None  # both digests when all was done that could be, and when
        self._last: list[Finding] = []  # what that came to
        self._pulled: list[Finding] = []
        self._left_out: dict[bytes, _LeftOut] = {}  # what it holds, and we have not taken
        self._told: tuple[int, int] | None = None  # how many actions the log holds, and when that was kept

    def go_on_as(self, followed: FollowedLog) -> bool:
        """Take over another policy and other witnesses, which are nothing to us; False when this is another log."""
        if not followed.is_same(self.log):
            return False
        self.log = followed
        return True

    # --- from there ----------------------------------------------------------------------------------------

    async def pull(self) -> list[Finding]:
        """Take over what the log holds and we lack. Never raises for what a node does."""
        self._there, self._whole = None, False
        look = _Look(self._limits.actions_per_round)
        try:
            await self._pull(look)
        except Unreachable as e:
            look.findings.append(self._finding(Outcome.UNREACHED, "silent", f"its actions: {e}"))
        except StorageError:
            raise
        except LogError as e:
            look.findings.append(self._finding(Outcome.UNVERIFIED, "actions", str(e)))
        self._pulled = look.findings
        return look.findings

    async def _pull(self, look: _Look) -> None:
        summary = ActionSummary.parse((await self._get("actions")).body)
        self._theirs = summary.digest
        if summary.genesis != self._governed.genesis.hash:
            raise Malformed("its governance has another genesis than ours")
        if self._theirs == self._governed.digest:
            self._there, self._whole = self._governed.hashes, True
            await self._hold(len(self._there))
            return
        if self._rests():
            look.findings += self._last
            return
        rows = [row for chain in self._order() for row in parse_rows((await self._get(f"actions/{chain}")).body)]
        unknown = [action for _, action in rows if not self._governed.holds(action)]
        self._left_out = {action: held for action in unknown if (held := self._left_out.get(action))}
        lacking = [action for action in unknown if not self._still_out(action)]
        brought = []
        for action in lacking[: look.left]:
            try:
                brought.append(await self._fetch(action, look))
            except (Malformed, BadSignature, BadProof) as e:
                self._leave_out(action, self._about(action.hex()[:16], "action", str(e)))
        new, others = await self._governed.take(brought)
        for signed, why in others:
            self._leave_out(signed.hash, self._about(_place(signed), "action", why))
        look.findings += [held.finding for held in self._left_out.values()][: self._limits.actions_per_round]
        if new:
            fields = {"event": "actions", "subject": self.log.origin, "taken": new, "known": self._governed.count}
            logger.info("actions taken over", extra={"fields": fields})
        self._there = frozenset(action for _, action in rows)
        self._whole = len(lacking) <= look.left
        await self._hold(len(self._there))

    def _leave_out(self, action: bytes, finding: Finding) -> None:
        self._left_out[action] = _LeftOut(finding, self._governed.digest, self._now_ms())

    def _still_out(self, action: bytes) -> bool:
        """Say whether an action was looked at a short while ago, and nothing has come since by which it might count."""
        held = self._left_out.get(action)
        return held is not None and held.ours == self._governed.digest and not self._is_old(held.at_ms)

    def _is_old(self, at_ms: int) -> bool:
        return self._now_ms() - at_ms >= self._limits.survey_s * 1000

    def _rests(self) -> bool:
        """Say whether all was done that could be, and nothing has changed since."""
        if self._done is None or self._done[:2] != (self._theirs, self._governed.digest):
            return False
        return not self._is_old(self._done[2])

    async def _fetch(self, action: bytes, look: _Look) -> Brought:
        """Return an action with its proof; `Malformed`, `BadSignature` or `BadProof` when it does not verify."""
        raw = (await self._get(f"action/{action.hex()}", self._limits.action_bytes)).body
        signed = await self._open(raw, look)
        if signed.hash != action:
            raise Malformed("another action than the one that was asked for")
        return signed, raw, self.log.origin

    async def _open(self, raw: bytes, look: _Look) -> Signed:
        """Read the proof that an action stands in this log; the head in it is taken in as any other."""
        proof = TlogProof.parse(raw)
        entry = carried_entry(proof)
        if entry.entry_type is not EntryType.GOVERNANCE_ACTION:
            raise Malformed("an entry that is no action")
        signed = Signed.parse(entry.content)
        head, _, found = await self._ledger.take(self.log, proof.checkpoint, "action")
        look.findings += found
        if not head.complete:
            raise BadSignature("a head without a line that its log owes")
        verify_inclusion(proof.index, head.size, leaf_hash(entry.encode()), proof.hashes, head.root)
        return signed

    async def _get(self, path: str, max_bytes: int | None = None) -> Answer:
        """Return the answer of 200; `Unreachable` or `Malformed` for any other."""
        reply = await self._peer.get(f"{self.log.url}/{path}", max_bytes)
        if reply.status == 200:
            return reply
        if severity(reply) is Outcome.UNREACHED:
            raise Unreachable(f"{path}: {reply.reason}")
        raise Malformed(f"{path}: {reply.reason}")

    # --- to there ------------------------------------------------------------------------------------------

    async def push(self) -> list[Finding]:
        """Bring the log what it lacks, as `pull` saw it just before. Never raises for what a node does."""
        if self._there is None:
            return []
        look = _Look(self._limits.actions_per_round)
        there = set(self._there)
        try:
            for chain in self._order():
                await self._push(chain, there, look)
        except Unreachable as e:
            look.findings.append(self._finding(Outcome.UNREACHED, "carry", str(e)))
            look.cut = True
        moved = there != self._there
        self._there = frozenset(there)
        await self._hold(len(there))
        if self._whole and not look.cut and not moved:
            self._done, self._last = (
                (self._theirs, self._governed.digest, self._now_ms()),
                [*self._pulled, *look.findings],
            )
        else:
            self._done = None
        return look.findings

    async def _push(self, chain: str, there: set[bytes], look: _Look) -> None:
        """Post what one chain lacks there, by seq; `Unreachable` when the node takes nothing now."""
        ours = everything(self._governed.chains.chains[chain])
        at, named = 0, set[int]()
        while at < len(ours):
            signed = ours[at]
            at += 1
            if signed.hash in there:
                continue
            if not look.left:
                look.cut = True
                return
            look.left -= 1
            reply = await self._peer.post(f"{self.log.url}/add-action", self._governed.kept(signed.hash).proof)
            if reply.status == 200:
                await self._received(signed, reply, there, look)
                continue
            if reply.status == 429 or reply.status >= 500:
                raise Unreachable(f"takes no actions now: {reply.reason}")
            if reply.status != 409 or reply.content_type != SEQ_CONTENT_TYPE:
                look.findings.append(self._refused(signed, reply))
                continue
            try:
                seq = parse_next_seq(reply.body)
            except Malformed as e:
                look.findings.append(self._about(_place(signed), "action", str(e)))
                return
            if seq >= signed.action.seq or seq in named:
                look.findings.append(self._refused(signed, reply))
            if seq == signed.action.seq or seq in named:
                return
            named.add(seq)
            there -= {each.hash for each in ours if each.action.seq >= seq}
            at = next((n for n, each in enumerate(ours) if each.action.seq == seq), len(ours))

    async def _received(self, signed: Signed, reply: Answer, there: set[bytes], look: _Look) -> None:
        """Check the receipt, which proves that the action stands there now, and keep that we brought it."""
        try:
            shown = await self._open(reply.body, look)
        except (Malformed, BadSignature, BadProof) as e:
            look.findings.append(self._about(_place(signed), "receipt", f"a receipt that does not verify: {e}"))
            return
        if shown.hash != signed.hash:
            look.findings.append(self._about(_place(signed), "receipt", "the receipt is of another action"))
            return
        there.add(signed.hash)
        await asyncio.to_thread(self._store.keep_carried, self.log.origin, signed.hash, self._now_ms())
        fields = {"event": "carried", "subject": self.log.origin, "action": _place(signed), "hash": signed.hash.hex()}
        logger.info("an action was carried across", extra={"fields": fields})

    # --- both ----------------------------------------------------------------------------------------------

    def _order(self) -> Sequence[str]:
        """Return the chains, `joint` first: it gives the keys of the others."""
        return (JOINT, *self._governed.genesis.sides)

    async def _hold(self, count: int) -> None:
        """Keep how many actions the log holds, and say so when that has changed."""
        now_ms = self._now_ms()
        if self._told is not None and self._told[0] == count and not self._is_old(self._told[1]):
            return
        await asyncio.to_thread(self._store.keep_holding, self.log.origin, count, now_ms)
        if self._told is None or self._told[0] != count:
            known = self._governed.count
            fields = {"event": "actions", "subject": self.log.origin, "holds": count, "known": known}
            logger.info("holds %d of %d actions", count, known, extra={"fields": fields})
        self._told = count, now_ms

    def _finding(self, outcome: Outcome, code: str, text: str) -> Finding:
        return Finding(outcome, self.log.origin, code, text)

    def _about(self, what: str, code: str, text: str) -> Finding:
        return Finding(Outcome.UNVERIFIED, f"{self.log.origin} {what}", code, text)

    def _refused(self, signed: Signed, reply: Answer) -> Finding:
        text = f"does not take the action: {reply.reason}"
        return Finding(severity(reply), f"{self.log.origin} {_place(signed)}", "refused", text)


def _place(signed: Signed) -> str:
    return f"{signed.action.chain}/{signed.action.seq}"
