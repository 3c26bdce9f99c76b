"""This node's witness: it cosigns the other side's heads (c2sp.org/tlog-witness).

`log.client.witness` decides, purely; here are the state and the order of writes, per origin one at a time:

    1. decide against the state;  2. ask the guard;  3. cosign;  4. replace the state by compare-and-swap;
    5. only then let the cosignature leave.

The state of an origin is the note it cosigned last, with its own lines, in the head store. An origin without
one has size 0; a head store without the marker that `init` wrote is a lost state, never size 0.

A witness has a 0x04 key and may have a 0x06 key beside it: then both lines are made together and leave together. What
it cosigned is known by the 0x04 line alone, so that a state is read whether or not the other key is there.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256

from log.client.witness import Answer, Cosign, decide
from log.crypto.notes import NoteSigner, cosign_all, open_note
from log.errors import LogError, Malformed, StateRefused, StoreFailed, Unavailable, VerificationError
from log.formats.checkpoint import Checkpoint
from log.formats.note import KeyType, Note, VKey, signature_line
from log.formats.witness_request import AddCheckpoint
from log.node.guard import Guard
from log.node.halts import FORK, Halted, Halts
from log.node.reading import WitnessReading
from log.sequencer.clock import Clock
from log.storage import HeadStore, Swap

logger = logging.getLogger("twinlog.witness")

MARKER = "witness"
MARKER_VALUE = b"created\n"
UNKNOWN = "none"  # counts for every origin that is not configured
CLOCK_BACK_S = 1  # a clock that fell back by no more is bridged by the time of the last cosignature


def store_name(origin: str) -> str:
    """Return the head store's name for what was cosigned last of `origin`."""
    return f"witness/{origin}"


async def create(heads: HeadStore) -> None:
    """Write the marker that tells an empty witness state from a lost one; `init` does it once."""
    if await heads.replace(MARKER, None, MARKER_VALUE) is not Swap.OK:
        raise StateRefused(
            "head store: this node exists already: `twinlog serve` runs it, `twinlog init --add NAME` makes a log "
            "that is new in its settings"
        )


class NodeWitness:
    """One witness, by its keys, and the origins it knows."""

    def __init__(
        self,
        signers: Sequence[NoteSigner],
        known: Mapping[str, Sequence[VKey]],
        heads: HeadStore,
        guard: Guard,
        halts: Halts,
        clock: Clock,
        on_failure: Callable[[LogError], None],
    ) -> None:
        types = [signer.vkey.type for signer in signers]
        if types not in ([KeyType.COSIGNATURE], [KeyType.COSIGNATURE, KeyType.MLDSA]):
            raise AssertionError("a witness has a 0x04 key, and perhaps a 0x06 key after it")
        self._signers = tuple(signers)
        self._known = dict(known)
        self._heads = heads
        self._guard = guard
        self._halts = halts
        self._clock = clock
        self._on_failure = on_failure
        self._locks = {origin: asyncio.Lock() for origin in known}
        self._answers: Counter[tuple[str, int]] = Counter()  # by origin and status
        self._cosigned_ms: dict[str, int] = {}
        self._forked: set[str] = set()  # origins of which a pair of heads is kept
        self._by_hash = {sha256(origin.encode()).hexdigest(): origin for origin in known}

    @property
    def name(self) -> str:
        return self.vkey.name

    @property
    def vkey(self) -> VKey:
        """The 0x04 key, by which the state is known."""
        return self._signers[0].vkey

    @property
    def vkeys(self) -> tuple[VKey, ...]:
        """All keys, 0x04 first."""
        return tuple(signer.vkey for signer in self._signers)

    @property
    def origins(self) -> tuple[str, ...]:
        """The foreign origins this witness cosigns."""
        return tuple(self._known)

    async def know(self, origin: str, vkeys: Sequence[VKey]) -> None:
        """Cosign the heads of this origin from now on, or by these keys from now on. Its state is what is stored."""
        stored = await self._heads.load(store_name(origin))
        self._state(origin, stored)
        if stored is not None:
            self._cosigned_ms[origin] = self._time_ms(stored)
        self._locks.setdefault(origin, asyncio.Lock())
        self._by_hash[sha256(origin.encode()).hexdigest()] = origin
        self._known[origin] = tuple(vkeys)

    async def load(self) -> None:
        """Check that the state is there. `StateRefused` when it was lost."""
        if await self._heads.load(MARKER) != MARKER_VALUE:
            raise StateRefused("head store: the witness state is missing; it is never taken to be empty")
        for origin in self._known:
            stored = await self._heads.load(store_name(origin))
            if self._state(origin, stored) is not None and stored is not None:
                self._cosigned_ms[origin] = self._time_ms(stored)
        self._forked = {name.removeprefix(FORK) for name in await self._heads.names(FORK)}

    async def add_checkpoint(self, raw: bytes) -> Answer:
        """Answer POST add-checkpoint: the cosignatures, or the status that says why not."""
        try:
            request = AddCheckpoint.parse(raw)
            origin = Checkpoint.parse(Note.parse(request.note).text).origin
        except Malformed as error:
            return self._said(UNKNOWN, Answer(400, f"Bad Request\n{error}\n".encode(), "text/plain; charset=utf-8"))
        if origin not in self._known:
            text = b"Not Found\nthis witness does not know that origin\n"
            return self._said(UNKNOWN, Answer(404, text, "text/plain; charset=utf-8"))
        try:
            return self._said(origin, await self._answer(origin, request))
        except Unavailable:
            self._answers[origin, 503] += 1
            raise

    def _said(self, origin: str, answer: Answer) -> Answer:
        self._answers[origin, answer.status] += 1
        return answer

    async def _answer(self, origin: str, request: AddCheckpoint) -> Answer:
        async with self._locks[origin]:
            stored = await self._heads.load(store_name(origin))
            decision = decide(request, self._known, self._state(origin, stored))  # 1
            if isinstance(decision, Answer):
                if decision.fork:
                    await self._keep_fork(origin, stored or b"", request.note)
                return decision
            self._guard.permit_witness(origin)  # 2
            return await self._cosign(origin, stored, decision)

    async def _cosign(self, origin: str, stored: bytes | None, decision: Cosign) -> Answer:
        note = Note.parse(decision.note)
        lines = await cosign_all(note.text, self._time_s(stored), self._signers)  # 3
        signed = Note(note.text, (*note.signatures, *lines)).encode()
        await self._replace(origin, stored, signed)  # 4
        return Answer(200, b"".join(map(signature_line, lines)), "text/plain; charset=utf-8")  # 5

    def _time_s(self, stored: bytes | None) -> int:
        """Return the time to cosign with: a larger head cosigned before a smaller one would speak against us."""
        now_s = self._clock.wall_ms() // 1000
        last_s = 0 if stored is None else self._time_ms(stored) // 1000
        if last_s - now_s > CLOCK_BACK_S:
            raise Unavailable(f"the clock is {last_s - now_s} s behind the last cosignature", reason="clock")
        return max(now_s, last_s)

    def _time_ms(self, stored: bytes) -> int:
        """Return the time of our own line on what was cosigned last."""
        return open_note(stored, [self.vkey]).verified[0].timestamp_ms or 0

    def reading(self) -> WitnessReading:
        """Return what the metrics show of the witness."""
        now_ms = self._clock.wall_ms()
        ages_ms = {origin: now_ms - time_ms for origin, time_ms in self._cosigned_ms.items()}
        guarded = {origin: self._guard.guarded(origin) for origin in self._known}
        forked = {origin: origin in self._forked for origin in (*self._known, *self._forked)}
        return WitnessReading(dict(self._answers), ages_ms, guarded, forked)

    async def _keep_fork(self, origin: str, ours: bytes, theirs: bytes) -> None:
        """Keep the first pair of heads by which a peer's log contradicts itself: evidence, whoever asks for it."""
        pair = Halted(origin, "two roots of one size", ours, theirs)
        if await self._swap(FORK + origin, None, pair.encode()) is Swap.OK:  # STALE: the first pair is there and stays
            self._forked.add(origin)
            logger.error("a log has signed two roots of one size: both are kept", extra={"fields": {"origin": origin}})

    async def cosigned(self, origin: str) -> bytes | None:
        """Return the note of `origin` that was cosigned last, or None."""
        return await self._heads.load(store_name(origin))

    async def latest(self, origin_hash: str) -> bytes | None:
        """Return what was cosigned last of the origin with this lowercase hex SHA-256, or None."""
        origin = self._by_hash.get(origin_hash)
        return None if origin is None else await self.cosigned(origin)

    async def compare(self, origin: str, shown: bytes | None) -> str:
        """Hold what a guard shows as our last cosigned head of `origin` against the state; return "" if it fits.

        A larger one with our own valid line is taken over: the state was restored from an old copy. Another
        root at the same size halts the origin until an operator clears it. The note must verify, else raises.
        """
        if shown is None:
            return self._halts.why(origin)
        opened = open_note(shown, [*self._known[origin], *self.vkeys])
        verified = {line.vkey for line in opened.verified}
        if opened.checkpoint.origin != origin or self.vkey not in verified or verified <= set(self.vkeys):
            raise VerificationError(f"not a head of {origin} that this witness cosigned")
        async with self._locks[origin]:
            stored = await self._heads.load(store_name(origin))
            state = self._state(origin, stored)
            held = (0, None) if state is None else (state.size, state.root)
            if opened.checkpoint.size == held[0] and held[1] not in (None, opened.checkpoint.root):
                why = "our witness signed two roots of one size"
                await self._halts.halt(origin, why, stored or b"", shown)
            elif opened.checkpoint.size > held[0]:
                fields = {"origin": origin, "size": opened.checkpoint.size}
                logger.warning("took over the head that a guard showed", extra={"fields": fields})
                await self._replace(origin, stored, opened.reduced().encode())
        return self._halts.why(origin)

    def _state(self, origin: str, stored: bytes | None) -> Checkpoint | None:
        if stored is None:
            return None
        try:
            checkpoint = open_note(stored, [self.vkey]).checkpoint
        except (Malformed, VerificationError) as error:
            raise StateRefused(f"head store: witness state of {origin} does not verify") from error
        if checkpoint.origin != origin:
            raise StateRefused(f"head store: witness state of {origin} belongs to {checkpoint.origin}")
        return checkpoint

    async def _replace(self, origin: str, old: bytes | None, new: bytes) -> None:
        if await self._swap(store_name(origin), old, new) is Swap.STALE:
            self._on_failure(StateRefused(f"head store: another process witnesses {origin}"))
            raise Unavailable("the head store failed; the node restarts", reason="store-failed")
        self._cosigned_ms[origin] = self._time_ms(new)

    async def _swap(self, name: str, old: bytes | None, new: bytes) -> Swap:
        """Swap, and end the process unless the outcome is known."""
        try:
            swap = await self._heads.replace(name, old, new)
        except StoreFailed as error:
            self._on_failure(error)
            raise Unavailable("the head store failed; the node restarts", reason="store-failed") from error
        if swap is Swap.UNKNOWN:
            self._on_failure(StoreFailed(f"head store: outcome of a write of {name} is unknown"))
            raise Unavailable("the head store failed; the node restarts", reason="store-failed")
        return swap
