"""This monitor as a witness: what it cosigns, and that it never cosigns anything smaller (C2SP tlog-witness).

The order is: decide, replace the state by compare-and-swap, and only then sign. A state that lags behind a
cosignature cannot exist; one that is ahead of it is harmless, for the head may be signed again.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from log.client.witness import Answer, decide
from log.crypto.notes import NoteSigner, cosign, cosign_all
from log.errors import StateRefused, Unavailable
from log.evidence.heads import Head
from log.formats.checkpoint import Checkpoint, parse_signed
from log.formats.note import Note, Signature, VKey
from log.formats.witness_request import AddCheckpoint
from monitor.logs import FollowedLog
from monitor.store import Store

HELD_BACK = "held-back"  # the reason of `Unavailable` that is said elsewhere
SHOWN_MS = 10_000
CLOCK_BACK_S = 1  # a clock that fell back by no more is bridged with the last time


@dataclass(frozen=True, slots=True)
class _Shown:
    """What was shown last of a log."""

    of: bytes  # the note that we hold
    signed: bytes  # that note under our line
    at_ms: int


class OwnWitness:
    """Our witness keys, 0x04 first. One head at a time is decided and signed for each origin."""

    def __init__(
        self,
        signers: Sequence[NoteSigner],
        store: Store,
        now_ms: Callable[[], int],
        fit: Callable[[], bool] = lambda: True,
        held_back: Callable[[], str] = lambda: "",
    ) -> None:
        """`fit` says whether our clock may be signed with, `held_back` why nothing is signed at all, if so."""
        self._signers = tuple(signers)
        self._store = store
        self._now_ms = now_ms
        self._fit = fit
        self._held_back = held_back
        self._shown: dict[str, _Shown] = {}  # by origin
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    @property
    def vkey(self) -> VKey:
        """The 0x04 key: under it nodes know us as a guard."""
        return self._signers[0].vkey

    async def held(self, origin: str) -> Checkpoint | None:
        """Return what we cosigned last of a log, or None before the first."""
        row = await asyncio.to_thread(self._store.witness, origin)
        return None if row is None else Checkpoint(origin, row[0], row[1])

    async def advance(
        self, followed: FollowedLog, head: Head, old: int, proof: tuple[bytes, ...]
    ) -> dict[VKey, Signature]:
        """Cosign a verified head that extends the one of size `old`, which is the one we cosigned last.

        Return our line by each of our keys.

        `StateRefused` when our own state does not bear that out: somebody else changed it. `Unavailable` by our clock.
        """
        async with self._locks[followed.origin]:
            row = await asyncio.to_thread(self._store.witness, followed.origin)
            state = None if row is None else Checkpoint(followed.origin, row[0], row[1])
            request = AddCheckpoint(old, proof, head.note)
            decision = decide(request, {followed.origin: followed.vkeys}, state)
            if isinstance(decision, Answer):
                raise StateRefused(f"our own witness state of {followed.origin} does not fit: {decision.body!r}")
            if row is None or row[2] != head.note:
                before = None if row is None else (row[0], row[1])
                if not await asyncio.to_thread(self._store.swap_witness, before, head):
                    raise StateRefused(f"our own witness state of {followed.origin} was changed by somebody else")
            time_s = await self._time_s(followed.origin)
            lines = await cosign_all(parse_signed(head.note)[0].text, time_s, self._signers)
            return {signer.vkey: line for signer, line in zip(self._signers, lines, strict=True)}

    async def refresh(self, origin: str) -> bytes | None:
        """Return the note that we cosigned last under a 0x04 line of now, or None before the first."""
        async with self._locks[origin]:
            row = await asyncio.to_thread(self._store.witness, origin)
            if row is None:
                return None
            note = Note.parse(row[2])
            line = await cosign(note.text, await self._time_s(origin), self._signers[0])
            return note.with_signatures([*note.signatures, line]).encode()

    async def shown(self, origin: str) -> bytes | None:
        """Return what `refresh` does, signed anew every `SHOWN_MS` at most: anybody may ask, and signing is a write."""
        row = await asyncio.to_thread(self._store.witness, origin)
        if row is None:
            return None
        note, now_ms, held = row[2], self._now_ms(), self._shown.get(origin)
        if held is None or held.of != note or now_ms - held.at_ms > SHOWN_MS:
            signed = await self.refresh(origin)
            if signed is None:
                return None
            held = self._shown[origin] = _Shown(note, signed, now_ms)
        return held.signed

    async def _time_s(self, origin: str) -> int:
        """Return the time to cosign with: a larger head cosigned before a smaller one would speak against us.

        `Unavailable` while our clock is more than a second behind our last cosignature, or not fit to sign with, and
        while we are held back.
        """
        if why := self._held_back():
            raise Unavailable(why, reason=HELD_BACK)
        if not self._fit():
            raise Unavailable("our clock has jumped, or is off: nothing is signed with it", reason="clock")
        now_s = self._now_ms() // 1000
        time_s = await asyncio.to_thread(self._store.own_time, origin, now_s)
        if time_s - now_s > CLOCK_BACK_S:
            raise Unavailable(f"our clock is {time_s - now_s} s behind our last cosignature", reason="clock")
        return time_s
