"""A whole node in a test's hand, with the guard that speaks to it and a peer whose heads its witness cosigns.

A `Side` is what outlives the node's process: its disks, its clock, and what the outside world holds of it.
"""

import asyncio
import copy
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from log.checking.pool import Pool, PoolLimits
from log.client.audit import audit
from log.client.witness import Answer
from log.crypto.notes import NoteSigner, cosign, sign_note
from log.errors import LogError
from log.formats.checkpoint import Checkpoint
from log.formats.family import GOVERNANCE, X509
from log.formats.guard_push import GuardPush
from log.formats.note import KeyType, Note, VKey, parse_signature_lines
from log.formats.policy import Policy
from log.formats.witness_request import AddCheckpoint
from log.merkle import proof
from log.merkle.hashing import leaf_hash
from log.merkle.tiles import Edge
from log.node import disk as node_disk
from log.node import witness as witness_state
from log.node.governance import Governance
from log.node.guard import Guard, GuardKey, GuardLimits
from log.node.halts import Halts
from log.node.node import Node, NodeConfig
from log.node.witness import NodeWitness
from log.sequencer.commit import Committer
from log.sequencer.commit import Identity as SigningIdentity
from log.service.admission import Admission, AdmissionLimits
from log.service.log import Log
from log.storage import HeadStore
from log.storage.memory import Disk, MemoryData, MemoryHeads, MemoryIndex
from tests.support.engine import (
    BLOBS,
    ORIGIN,
    FakeClock,
    GateInHand,
    Record,
    RecordedHeads,
    certificate,
    ed25519,
    kill,
    log_signers,
    mldsa_signer,
    open_log,
    policy_of,
    witness_signer,
)

GOVERNANCE_ORIGIN = "hk.example/governance"
PEER = "gd.example/x509"
NODE = "hk"
WITNESS = witness_signer("hk.example/witness", 30)
WITNESS_MLDSA = mldsa_signer("hk.example/witness", 30)
GUARD = witness_signer("hk.example/monitor", 31)
PUSH = NoteSigner.make("hk.example/monitor", KeyType.ED25519, ed25519(32))
PEER_WITNESS = witness_signer("gd.example/witness", 40)
SIGNERS = {ORIGIN: log_signers(), GOVERNANCE_ORIGIN: log_signers(GOVERNANCE_ORIGIN, 2)[:2]}
PEER_SIGNERS = log_signers(PEER, 3)


def _disks() -> dict[str, Disk]:
    return {origin: Disk() for origin in SIGNERS}


@dataclass(slots=True)
class Side:
    """One node over its processes. `heads` lies on a disk of its own, as it must."""

    clock: FakeClock = field(default_factory=FakeClock)
    record: Record = field(default_factory=Record)
    disks: dict[str, Disk] = field(default_factory=_disks)
    heads: Disk = field(default_factory=Disk)
    guards: tuple[GuardKey, ...] = (GuardKey("monitor", GUARD.vkey, PUSH.vkey),)
    room: bool = True  # whether the disk has some
    governed: bool = False  # whether the node writes its governance log
    witness_keys: tuple[NoteSigner, ...] = (WITNESS,)
    known: dict[str, tuple[VKey, ...]] = field(  # whom the witness cosigns
        default_factory=lambda: {PEER: tuple(signer.vkey for signer in PEER_SIGNERS)}
    )
    policy: Policy = field(default_factory=lambda: policy_of(PEER_WITNESS))  # of every log
    node: Node | None = None
    halts: Halts | None = None
    admission: Admission | None = None
    failures: list[LogError] = field(default_factory=list)

    async def create(self) -> None:
        """What `twinlog init` does."""
        heads = RecordedHeads(MemoryHeads(self.heads), self.record)
        await witness_state.create(heads)
        for origin, signers in SIGNERS.items():
            family = X509 if origin == ORIGIN else GOVERNANCE
            data = MemoryData(self.disks[origin])
            identity = SigningIdentity(origin, signers)
            await Committer(family, identity, data, heads, GateInHand(), self.clock).create()

    async def start(self, heads: HeadStore | None = None) -> Node:
        """Begin a process; a second later on the clock, so that nothing said before counts as fresh."""
        self.clock.advance(1_000)
        store = RecordedHeads(heads or MemoryHeads(self.heads), self.record)
        disk = DiskInHand(self)
        self.halts = halts = Halts(store)
        guard = Guard(self.clock, self.guards, halts, lambda _: disk.check(), GuardLimits())
        logs = [
            await open_log(
                origin,
                X509 if origin == ORIGIN else GOVERNANCE,
                (MemoryData(self.disks[origin]), store, MemoryIndex(self.disks[origin])),
                guard,
                self.clock,
                self.policy,
                signers=signers,
                on_failure=self._fail,
                halt=halts.halt,
                guarded=guard.guarded,
            )
            for origin, signers in SIGNERS.items()
        ]
        witness = NodeWitness(self.witness_keys, self.known, store, guard, halts, self.clock, self._fail)
        governance = [Governance(logs[1], b"hk", {"node": "hk"}, self.anchors, 0)] if self.governed else []
        config = NodeConfig(NODE, "http://hk.example", 10_000)
        self.admission = Admission(AdmissionLimits(), self.clock.mono_ms)
        self.node = Node(
            config,
            logs,
            {},
            {},
            witness,
            guard,
            halts,
            store,
            governance,
            disk,
            Pool(PoolLimits()),
            self.admission,
            node_disk.Footprint(lambda _: {}),
        )
        await self.node.start()
        return self.node

    async def anchors(self) -> list[bytes]:
        """The heads that the governance log anchors."""
        await asyncio.sleep(0)
        return [self.x509.published.head.note]

    def _fail(self, error: LogError) -> None:
        self.failures.append(error)
        if self.node is not None:
            self.node.fail(error)

    @property
    def running(self) -> Node:
        assert self.node is not None
        return self.node

    @property
    def x509(self) -> Log:
        return self.running.logs["x509"]

    async def crash(self) -> None:
        """Drop the process."""
        await kill("sequencer ", "governance ")
        self.node = None

    async def restart(self) -> Node:
        await self.crash()
        return await self.start()

    def image(self) -> tuple[dict[str, Disk], Disk]:
        """A copy of all disks as they are now."""
        return copy.deepcopy((self.disks, self.heads))

    async def submit(self, number: int) -> int:
        """Submit one certificate and return its index."""
        return (await self.x509.submit(certificate(number), BLOBS)).index

    # --- the guard ------------------------------------------------------------------------------------------

    async def cosigned(self, note: bytes, by: NoteSigner = GUARD) -> bytes:
        """Return a head as a guard, or another witness, cosigns it now."""
        parsed = Note.parse(note)
        line = await cosign(parsed.text, self.clock.wall_ms() // 1000, by)
        return parsed.with_signatures([*parsed.signatures, line]).encode()

    async def push(
        self,
        *own: bytes,
        peer: bytes | None = None,
        peers: bool = True,
        time_s: int | None = None,
        node: str = NODE,
        signer: NoteSigner = PUSH,
    ) -> dict[str, Any]:
        """Push these notes of the node's own logs, and what its witness cosigned for the peer."""
        shown = ((PEER, peer),) if peers else ()
        text = GuardPush(node, time_s or self.clock.wall_ms() // 1000, own, shown).encode()
        return await self.running.hear_guard((await sign_note(text, 0, [signer])).encode())

    async def own_notes(self) -> list[bytes]:
        """The heads that the node serves now, freshly cosigned."""
        return [await self.cosigned(await hosted.checkpoint()) for hosted in self.running.logs.values()]

    async def open(self, peer: bytes | None = None) -> dict[str, Any]:
        """Let time pass and let the guard say that all is as it should be."""
        self.clock.advance(1_000)
        return await self.push(*await self.own_notes(), peer=peer)

    # --- the peer -------------------------------------------------------------------------------------------

    async def peer_head(self, size: int, *, fork: bool = False) -> bytes:
        """A head of the peer's log; `fork` gives its newest leaf another hash."""
        root = Edge().grow(_peer_leaves(size, fork=fork))[0].root()
        text = Checkpoint(PEER, size, root).encode()
        return (await sign_note(text, self.clock.wall_ms(), PEER_SIGNERS)).encode()

    async def ask(self, old: int, note: bytes) -> Answer:
        """Ask the node's witness to cosign a head of the peer."""
        size = Checkpoint.parse(Note.parse(note).text).size
        hashes: list[bytes] = []
        if 0 < old < size:
            leaves = _peer_leaves(size, fork=False)
            spans = proof.consistency_spans(old, size)
            found = [Edge().grow(leaves[span.start : span.end])[0].root() for span in spans]
            hashes = proof.fold_consistency(old, size, found)
        return await self.running.witness.add_checkpoint(AddCheckpoint(old, tuple(hashes), note).encode())

    async def witnessed(self, size: int) -> bytes:
        """A head of the peer with the node's witness line on it, made outside of the node."""
        return await self.cosigned(await self.peer_head(size), by=WITNESS)

    async def audited(self) -> None:
        """See its newest head, and audit the log of certificates."""
        self.record.see(await self.x509.checkpoint())
        report = await audit(self.x509, self.x509.family, self.x509.identity.vkeys)
        assert report.size == self.x509.size


class DiskInHand(node_disk.Disk):
    """A disk that is as full as the test says."""

    def __init__(self, side: Side) -> None:
        super().__init__(Path(), 1, side.clock)
        self._side = side

    def free_bytes(self) -> int:
        return 1 if self._side.room else 0


def _peer_leaves(size: int, *, fork: bool) -> list[bytes]:
    leaves = [leaf_hash(sha256(b"peer %d" % i).digest()) for i in range(size)]
    return [*leaves[:-1], leaf_hash(b"another")] if fork else leaves


def line_of(answer: Answer) -> bytes:
    """The one signature line of a witness's answer."""
    assert answer.status == 200, answer.body
    assert len(parse_signature_lines(answer.body)) == 1
    return answer.body


async def opened(entries: int = 0) -> Side:
    """A node that a guard has opened, with some entries."""
    side = Side()
    await side.create()
    await side.start()
    await side.open()
    for number in range(entries):
        await side.submit(number)
    return side
