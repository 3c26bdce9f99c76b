"""What guards push (contract.md, `POST /guard`): read, held against our logs, and told to whoever may open them.

Each push carries, per origin of ours, the largest head that the guard holds, cosigned just now, and of each foreign log
what this node's witness cosigned last as far as the guard knows. `log.node.guard` decides what that opens.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from log.crypto.notes import Verified, open_note, verify_note
from log.errors import (
    BadSignature,
    Conflict,
    Denied,
    LogError,
    StateRefused,
    StorageError,
    Unavailable,
    VerificationError,
)
from log.formats.guard_push import GuardPush
from log.formats.note import Note
from log.node.guard import Guard, GuardKey
from log.node.halts import Halts
from log.node.witness import NodeWitness
from log.service.log import Log


class Pushes:
    """Hears the guards of one node."""

    def __init__(
        self,
        node: str,
        logs: Mapping[str, Log],
        witness: NodeWitness,
        guard: Guard,
        halts: Halts,
        fail: Callable[[LogError], None],
    ) -> None:
        """`logs` are those that the node hosts now, by origin."""
        self._node = node
        self._logs = logs
        self._witness = witness
        self._guard = guard
        self._halts = halts
        self._fail = fail

    async def hear(self, raw: bytes) -> dict[str, Any]:
        """Take a push and say what it opened.

        `Malformed`; `Denied` when no configured guard signed it, or a note in it does not verify; `Conflict`
        when it is meant for another node or was signed before this start.
        """
        note = Note.parse(raw)
        guard = self._sender(note)
        push = GuardPush.parse(note.text)
        if push.node != self._node:
            raise Conflict(f"this is {self._node}, not {push.node}")
        self._guard.check_fresh(push.time_s)
        try:
            for own in push.own:
                await self._hear_own(guard, own)
            for origin, shown in push.peers:
                if origin in self._witness.origins and not await self._witness.compare(origin, shown):
                    self._guard.open_peer(origin, push.time_s)
            self._guard.end_push(push.time_s)
        except VerificationError as error:
            raise Denied(str(error)) from error
        except (StorageError, StateRefused) as error:
            self._fail(error)
            raise Unavailable("a store of this node failed; it restarts", reason="store-failed") from error
        origins = {origin: self._word(origin) for origin in self._logs}
        peers = {origin: self._word(origin) for origin in self._witness.origins}
        guarded = all(word == "ok" for word in [*origins.values(), *peers.values()])
        return {"guarded": guarded, "origins": origins, "peers": peers}

    def _sender(self, note: Note) -> GuardKey:
        for key in self._guard.keys:
            if any(key.push.owns(signature) for signature in note.signatures):
                try:
                    verify_note(note, [key.push])
                except BadSignature as error:
                    raise Denied(str(error)) from error
                return key
        raise Denied("not signed by a configured guard")

    async def _hear_own(self, guard: GuardKey, raw: bytes) -> None:
        """Compare a guard's largest head of one of our logs with that log."""
        own = [vkey for hosted in self._logs.values() for vkey in hosted.identity.vkeys]
        opened = open_note(raw, [guard.cosigner, *own])
        hosted = self._logs.get(opened.checkpoint.origin)
        cosigned = opened.signed_by(guard.cosigner)
        if hosted is None and cosigned is not None:
            raise Denied(f"a guard holds a head of {opened.checkpoint.origin}, which is not here: set back, or no log?")
        if hosted is None or cosigned is None or not _signed_by_log(hosted, opened.verified):
            raise Denied("a guard's note needs the log's own signature and the guard's")
        time_s = (cosigned.timestamp_ms or 0) // 1000
        if await hosted.bears_out(opened.checkpoint):
            self._guard.open(hosted.origin, time_s)
            self._guard.hear(guard, time_s)
        else:
            why = f"guard {guard.name} holds a head with our signature that our tree does not bear out"
            await self._halts.halt(hosted.origin, why, hosted.published.head.note, raw)

    def _word(self, origin: str) -> str:
        if why := self._halts.why(origin):
            return f"halted: {why}"
        return "ok" if self._guard.guarded(origin) else "unguarded"


def _signed_by_log(hosted: Log, verified: Sequence[Verified]) -> bool:
    return any(line.vkey in hosted.identity.vkeys for line in verified)
