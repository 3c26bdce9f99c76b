"""This monitor as a guard: it tells a node what that node has signed, so that a restored image cannot fork it.

A push (contract.md, `POST /guard`) carries, freshly signed each time:

- per log of the node the largest head that *we cosigned*, under a cosignature of now: never a smaller one, and none
  at all while we know of a larger one. A log that we meet for the first time has none until its whole tree was rebuilt
  and its witnesses were asked (`rounds`);
- per log of other nodes the largest head that we know this node's witness cosigned, or `none`. `none` is only said
  once that log and its witnesses were asked, or could not be.

The node does not believe us either: it verifies each note.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from log.client.exchange import Answer, printable
from log.crypto.notes import NoteSigner, sign_note
from log.errors import Malformed, Unavailable, Unreachable
from log.formats.checkpoint import parse_signed
from log.formats.guard_push import GuardPush
from monitor.logs import FollowedLog, WatchedNode
from monitor.outcome import CLOCK, Finding, Outcome
from monitor.own_witness import HELD_BACK, OwnWitness
from monitor.peer import Peer
from monitor.store import Store


@dataclass(frozen=True, slots=True)
class Guarded:
    """What one push came to."""

    findings: tuple[Finding, ...] = ()
    settled: bool = False  # whether pushing again within a second would change nothing


class Guard:
    """Guards one node. One task at a time calls `push`."""

    def __init__(
        self,
        node: WatchedNode,
        foreign: Sequence[FollowedLog],
        signer: NoteSigner,
        witness: OwnWitness,
        store: Store,
        peer: Peer,
        now_ms: Callable[[], int],
    ) -> None:
        self.node = node
        self._foreign = tuple(foreign)
        self._signer = signer
        self._witness = witness
        self._store = store
        self._peer = peer
        self._now_ms = now_ms

    def is_of(self, node: WatchedNode, foreign: Sequence[FollowedLog]) -> bool:
        """Say whether this guards just this, and knows of just these logs of others."""
        return (self.node, self._foreign) == (node, tuple(foreign))

    async def push(self, asked: Callable[[str], bool]) -> Guarded:
        """Push once. `asked` says of a foreign origin whether what there is to know of it was asked for."""
        try:
            push = await self._push(asked)
        except Unavailable as e:
            findings = () if e.reason == HELD_BACK else (Finding(Outcome.OWN, CLOCK, CLOCK, str(e)),)
            return Guarded(findings, settled=True)
        return await self._offer(push)

    async def _offer(self, push: GuardPush) -> Guarded:
        try:
            raw = (await sign_note(push.encode(), push.time_s * 1000, [self._signer])).encode()
            reply = await self._peer.post(f"{self.node.url}/guard", raw)
        except Unreachable as e:
            return self._found(Outcome.UNREACHED, "guard", str(e), settled=True)
        match reply.status:
            case 200:
                return self._heard(reply, push)
            case 403:
                return self._found(Outcome.OWN, "guard", f"does not take us for a guard: {reply.reason}", settled=True)
            case 409:
                return self._found(Outcome.UNREACHED, "guard", f"not yet: {reply.reason}", settled=False)
            case status if status == 429 or status >= 500:
                return self._found(Outcome.UNREACHED, "guard", f"cannot hear us: {reply.reason}", settled=False)
            case _:
                return self._found(Outcome.UNVERIFIED, "guard", f"refuses the push: {reply.reason}", settled=True)

    async def _push(self, asked: Callable[[str], bool]) -> GuardPush:
        own = [await self._own(followed.origin) for followed in self.node.logs]
        peers: list[tuple[str, bytes | None]] = []
        for followed in self._foreign if self.node.witness is not None else ():
            vkey = self.node.witness.vkey.encode() if self.node.witness else ""
            known = await asyncio.to_thread(self._store.cosigned, followed.origin, vkey)
            if known is not None or asked(followed.origin):
                peers.append((followed.origin, None if known is None else known.note))
        shown = tuple(note for note in own if note)
        return GuardPush(self.node.name, self._now_ms() // 1000, shown, tuple(peers))

    async def _own(self, origin: str) -> bytes | None:
        """Return the largest head that we cosigned, cosigned anew; None when we have cosigned none.

        None too while a larger one is known that nothing has refuted: a node that was set back to between the two
        would bear the smaller one out, sign, and so part from the larger.
        """
        held = await self._witness.held(origin)
        if held is None or await asyncio.to_thread(self._store.beyond, origin, held.size):
            return None
        return await self._witness.refresh(origin)

    def _heard(self, reply: Answer, push: GuardPush) -> Guarded:
        try:
            origins, peers = _states(reply)
        except Malformed as e:
            return self._found(Outcome.UNVERIFIED, "guard", f"answers in no known form: {e}", settled=True)
        ours = {followed.origin for followed in self.node.logs} | {followed.origin for followed in self._foreign}
        findings = [
            Finding(Outcome.UNVERIFIED, origin, "halted", f"node {self.node.name} has stopped: {printable(state)}")
            for origin, state in (origins | peers).items()
            if origin in ours and state.startswith(("halted", "blocked"))
        ]
        waiting = {o for o, state in (origins | peers).items() if o in ours and state == "unguarded"}
        findings += [
            Finding(Outcome.UNREACHED, origin, "unguarded", f"node {self.node.name} does not sign yet")
            for origin in sorted(waiting)
        ]
        named = {parse_signed(note)[1].origin for note in push.own} | {origin for origin, _ in push.peers}
        return Guarded(tuple(findings), settled=not waiting & named)

    def _found(self, outcome: Outcome, code: str, text: str, *, settled: bool) -> Guarded:
        return Guarded((Finding(outcome, self.node.name, code, f"guard push: {text}"),), settled)


def _states(reply: Answer) -> tuple[dict[str, str], dict[str, str]]:
    """Return what a node says of its own origins and of those it witnesses; `Malformed`."""
    try:
        value = json.loads(reply.body)
    except (ValueError, RecursionError) as e:
        raise Malformed("not JSON") from e
    match value:
        case {"guarded": bool(), "origins": dict(origins), "peers": dict(peers)}:
            states = [*origins.values(), *peers.values()]
            if all(isinstance(state, str) for state in states):
                return origins, peers
    raise Malformed("not the answer to a guard push")
