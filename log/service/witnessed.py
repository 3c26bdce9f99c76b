"""The two published heads of a log, and the cosignatures that make the second out of the first.

*Newest* is what the sequencer signed last. *Witnessed* is the largest own head whose cosignatures meet the
log's policy (design.md section 3). Cosignatures come on a whole note, so nothing needs to be remembered of
old heads: the note names its size, and the root at that size is recomputed from the tree.

A note with our own valid signature that our tree does not bear out is the worst news there is: this node, or
another one with its keys, signed another history. It is kept, and signing stops (`Halt`).
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from log.crypto.notes import open_note
from log.errors import BadSignature, Conflict, Denied, Malformed, StateRefused, StoreFailed
from log.formats.checkpoint import Checkpoint
from log.formats.note import Note, Signature, VKey, signature_line
from log.formats.policy import Policy
from log.sequencer.head import Head
from log.storage import HeadStore, Swap

PENDING_TEXTS = 8  # checkpoint texts whose cosignatures are still being gathered

Halt = Callable[[str, str, bytes, bytes], Awaitable[None]]  # (origin, why, our note, their note)


def store_name(origin: str) -> str:
    """Return the head store's name for the witnessed head of `origin`."""
    return f"witnessed/{origin}"


@dataclass(frozen=True, slots=True)
class Line:
    """A verified signature line: whose, the line itself, and its signed time if it has one."""

    vkey: VKey
    signature: Signature
    timestamp_ms: int  # 0 when the line carries no time


Lines = dict[str, Line]  # by vkey text: one line a key, the newest


class WitnessedHead:
    """Gathers cosignatures for one log. Only the event loop touches it."""

    def __init__(
        self,
        origin: str,
        vkeys: Sequence[VKey],
        policy: Policy,
        heads: HeadStore,
        root_at: Callable[[int], Awaitable[bytes]],
        current: Callable[[], Head],
        halt: Halt,
    ) -> None:
        self._origin = origin
        self._own = {vkey.encode(): vkey for vkey in vkeys}
        self._witnesses = {witness.vkey.encode(): witness.vkey for witness in policy.witnesses}
        self._policy = policy
        self._heads = heads
        self._root_at = root_at
        self._current = current
        self._halt = halt
        self._gathered: OrderedDict[bytes, Lines] = OrderedDict()
        self._text = b""  # of the witnessed head
        self._lines: Lines = {}  # on the witnessed head
        self._storing = asyncio.Lock()  # two notes may come at once; the stored one is the last taken
        self.note: bytes | None = None
        self.size = -1  # of the witnessed head; -1 before the first
        self.timestamp_ms = 0  # when the witnessed head was signed by the log
        self.vouchers: tuple[str, ...] = ()  # names of the witnesses on it
        self.cosignatures = {witness.name: 0 for witness in policy.witnesses}  # taken since the process began
        self.cosigned_ms: dict[str, int] = {}  # time of the newest cosignature, by the witness's name in the policy

    async def load(self) -> None:
        """Take up the witnessed head of an earlier run, if it still meets the policy.

        It bears our signature, so a tree that does not bear it out is halted here as in `add`. `StateRefused`
        when what is stored does not verify.
        """
        raw = await self._heads.load(store_name(self._origin))
        if raw is None:
            return
        try:
            checkpoint, lines = self._read(raw)
        except (Malformed, BadSignature) as error:
            raise StateRefused(f"head store: the witnessed head of {self._origin} does not verify") from error
        if await self._borne_out(checkpoint, raw) and self._meets(lines):
            self._gathered[checkpoint.encode()] = dict(lines)
            self._take(checkpoint, lines)
            self._count(lines, came=0)

    def follow(self, policy: Policy) -> None:
        """Go by another policy from now on. A witnessed head that does not meet it is witnessed no more."""
        self._policy = policy
        self._witnesses = {witness.vkey.encode(): witness.vkey for witness in policy.witnesses}
        self.cosignatures = {witness.name: self.cosignatures.get(witness.name, 0) for witness in policy.witnesses}
        if self.note is not None and not self._meets(self._lines):
            self.note, self.size, self.timestamp_ms, self.vouchers = None, -1, 0, ()

    def settle(self) -> None:
        """Under a policy that asks for nobody's cosignature, the newest head is the witnessed one."""
        if self._policy.satisfied(()):
            head = self._current()
            self.note, self.size, self.timestamp_ms = self.newest(head), head.size, head.timestamp_ms

    def newest(self, head: Head) -> bytes:
        """Return the newest head's note with the cosignatures gathered for its text."""
        if not self._gathered:
            return head.note
        text = head.note[: head.note.rindex(b"\n\n") + 1]
        lines = self._gathered.get(text)
        if not lines:
            return head.note
        extra = [line.signature for key, line in lines.items() if key in self._witnesses]
        return head.note + b"".join(signature_line(signature) for signature in extra)

    async def add(self, raw: bytes) -> None:
        """Take a note of this log with cosignature lines.

        `Malformed`; `Denied` when our signature or a configured witness's is missing or wrong; `Conflict`
        when the root is not ours at that size: then signing stops for good.
        """
        try:
            checkpoint, lines = self._read(raw)
        except BadSignature as error:
            raise Denied(str(error)) from error
        if checkpoint.origin != self._origin or not any(key in self._own for key in lines):
            raise Denied(f"not signed by {self._origin}")
        if not await self._borne_out(checkpoint, raw):
            raise Conflict(f"this log has another tree at size {checkpoint.size}")
        if not any(key in self._witnesses for key in lines):
            raise Denied("no line of a configured witness verifies")
        self._count(lines)
        if checkpoint.size < self.size:
            return  # overtaken: gathering for it would only push out what is still needed
        merged = self._merge(checkpoint.encode(), lines)
        if self._own.keys() <= merged.keys() and self._meets(merged):
            before = self.note
            self._take(checkpoint, merged)
            if self.note != before:  # whoever brings again what is published costs no write
                await self._store()

    async def _borne_out(self, checkpoint: Checkpoint, raw: bytes) -> bool:
        """Hold a head with our signature against our tree; halt when it contradicts."""
        head = self._current()
        if checkpoint.size <= head.size and await self._root_at(checkpoint.size) == checkpoint.root:
            return True
        why = "a head with our signature that our tree does not bear out"
        await self._halt(self._origin, why, head.note, raw)
        return False

    def _read(self, raw: bytes) -> tuple[Checkpoint, Lines]:
        opened = open_note(raw, [*self._own.values(), *self._witnesses.values()])
        lines: Lines = {}
        for verified in opened.verified:
            if verified.vkey.encode() in self._witnesses and not verified.witnesses:
                continue  # without a time it says nothing about this head being the newest
            line = Line(verified.vkey, verified.line, verified.timestamp_ms or 0)
            lines[verified.vkey.encode()] = line
        return opened.checkpoint, lines

    def _merge(self, text: bytes, lines: Lines) -> Lines:
        held_lines = dict(self._lines) if text == self._text else {}
        gathered = self._gathered.setdefault(text, held_lines)
        self._gathered.move_to_end(text)
        while len(self._gathered) > PENDING_TEXTS:
            self._gathered.popitem(last=False)
        for key, line in lines.items():
            held = gathered.get(key)
            if held is None or held.timestamp_ms <= line.timestamp_ms:
                gathered[key] = line
        return gathered

    def _count(self, lines: Lines, came: int = 1) -> None:
        for witness in self._policy.witnesses:
            line = lines.get(witness.vkey.encode())
            if line is not None:
                self.cosignatures[witness.name] += came
                self.cosigned_ms[witness.name] = max(self.cosigned_ms.get(witness.name, 0), line.timestamp_ms)

    def _meets(self, lines: Lines) -> bool:
        return self._policy.satisfied([line.vkey for line in lines.values()])

    def _take(self, checkpoint: Checkpoint, lines: Lines) -> None:
        own = [lines[key] for key in self._own if key in lines]
        theirs = [line for key, line in lines.items() if key in self._witnesses]
        signatures = tuple(line.signature for line in [*own, *theirs])
        self.note = Note(checkpoint.encode(), signatures).encode()
        self._text, self._lines = checkpoint.encode(), dict(lines)
        self.size = checkpoint.size
        self.timestamp_ms = max((line.timestamp_ms for line in own), default=0)
        self.vouchers = tuple(sorted({line.vkey.name for line in theirs}))

    async def _store(self) -> None:
        """Keep the witnessed head over restarts. Anyone may bring it again, so only failure matters here."""
        name = store_name(self._origin)
        async with self._storing:
            held = await self._heads.load(name)
            if self.note is None:
                return  # a policy came meanwhile that it does not meet; `load` will see that of what is held as well
            swap = await self._heads.replace(name, held, self.note)
        if swap is Swap.STALE:
            raise StateRefused(f"head store: another process writes for {self._origin}")
        if swap is Swap.UNKNOWN:
            raise StoreFailed(f"head store: outcome of a write for {self._origin} is unknown")
