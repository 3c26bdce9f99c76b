"""One log's engine in a test's hand: real keys, real stores or stores in memory, a clock that the test moves.

A `Place` is what outlives a process. `Engine.start` opens a process on it, `crash` drops one where it stands,
`stop` ends one in order. After every step `audited` calls the shipped auditor and asks for everything that was
ever acknowledged; a `Record` sees every head that left the process or stood in the head store, and lets no two
roots of one size pass (design.md section 4, style.md 3, traits 24 and 25).
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from log.access import Bodies
from log.client.audit import audit
from log.crypto.ecdsa import EcdsaSigner
from log.crypto.ed25519 import Ed25519Signer
from log.crypto.mldsa import MldsaSigner
from log.crypto.notes import NoteSigner
from log.errors import LogError, Unavailable
from log.formats.checkpoint import parse_signed
from log.formats.family import X509, Family, Parts, x509_parts
from log.formats.note import KeyType
from log.formats.policy import Policy, PolicyWitness
from log.sequencer.clock import Clock
from log.sequencer.commit import Committer
from log.sequencer.commit import Identity as SigningIdentity
from log.sequencer.gate import Gate
from log.sequencer.loop import Commit, Sequencer, SequencerConfig
from log.sequencer.pool import Placement
from log.service.log import Identity, Log, ReadLimits
from log.service.witnessed import Halt, WitnessedHead
from log.storage import DataStore, HeadStore, Index, Swap
from log.storage.level_database import LevelLimits
from log.storage.leveldb import LevelData, LevelIndex
from log.storage.memory import Disk, MemoryData, MemoryHeads, MemoryIndex
from log.storage.sqlite_heads import SqliteHeads
from tests.support.faults import Faults

ORIGIN = "hk.example/x509"
ISSUER = b"an issuer's certificate"
CHAIN = (sha256(ISSUER).digest(),)
BLOBS = ((CHAIN[0], ISSUER),)
AT_ONCE = SequencerConfig(linger_ms=0)


class FakeClock:
    """Both clocks, moved by the test: together by `advance`, apart by `jump`."""

    def __init__(self, wall_ms: int = 1_800_000_000_000, mono_ms: int = 50_000) -> None:
        self._wall_ms = wall_ms
        self._mono_ms = mono_ms

    def wall_ms(self) -> int:
        return self._wall_ms

    def mono_ms(self) -> int:
        return self._mono_ms

    def advance(self, ms: int) -> None:
        """Let time pass."""
        self._wall_ms += ms
        self._mono_ms += ms

    def jump(self, ms: int) -> None:
        """Set the wall clock; the monotonic one does not notice."""
        self._wall_ms += ms


class GateInHand:
    """A gate that the test shuts: `closed` to all, or `full` to new entries only."""

    def __init__(self) -> None:
        self.closed = False
        self.full = False
        self.permits = 0  # asked right before signing

    def admit(self, origin: str) -> None:
        self.permit(origin)
        if self.full:
            raise Unavailable("no room", reason="disk")

    def permit(self, origin: str) -> None:
        self.permits += 1
        if self.closed:
            raise Unavailable("shut by the test", reason="unguarded")


class Record:
    """Every head that left a process or stood in the head store, over all processes of a test."""

    def __init__(self) -> None:
        self.roots: dict[tuple[str, int], bytes] = {}
        self.times: dict[str, int] = {}  # of the newest stored head, in ms

    def see(self, note: bytes) -> None:
        """Note a head; two roots of one size are the end of a log."""
        _, checkpoint = parse_signed(note)
        place = checkpoint.origin, checkpoint.size
        assert self.roots.setdefault(place, checkpoint.root) == checkpoint.root, f"two roots of size {place}"

    def stored(self, name: str, value: bytes) -> None:
        """Note what a head store took: head times rise strictly."""
        if name.startswith("log/"):
            time_ms, _, value = value.partition(b"\n")
            assert int(time_ms) > self.times.get(name, 0), "a head's time did not rise"
            self.times[name] = int(time_ms)
        if name.startswith(("log/", "witnessed/", "witness/")):
            self.see(value)


class RecordedHeads:
    """A HeadStore whose swaps are recorded when they have happened."""

    def __init__(self, store: HeadStore, record: Record) -> None:
        self._store = store
        self._record = record

    async def load(self, name: str) -> bytes | None:
        return await self._store.load(name)

    async def replace(self, name: str, old: bytes | None, new: bytes) -> Swap:
        swap = await self._store.replace(name, old, new)
        if swap is Swap.OK:
            self._record.stored(name, new)
        return swap

    async def names(self, prefix: str) -> list[str]:
        return await self._store.names(prefix)

    async def close(self) -> None:
        await self._store.close()


# --- places -----------------------------------------------------------------------------------------------


class Place(Protocol):
    """What outlives a process: opens its drivers, under faults when some are given."""

    def open(self, faults: Faults) -> tuple[DataStore, HeadStore, Index]: ...


class MemoryPlace:
    """Stores in memory; every single put of the data store can fail."""

    def __init__(self, disk: Disk | None = None) -> None:
        self.disk = disk or Disk()

    def open(self, faults: Faults) -> tuple[DataStore, HeadStore, Index]:
        data = MemoryData(self.disk, faults.carry)
        return data, faults.heads(MemoryHeads(self.disk)), faults.index(MemoryIndex(self.disk))


class FolderPlace:
    """LevelDB and SQLite in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self, faults: Faults) -> tuple[DataStore, HeadStore, Index]:
        limits = LevelLimits(write_buffer_bytes=1 << 20)
        return (
            faults.data(LevelData(self.folder / "data", limits, create=True)),
            faults.heads(SqliteHeads(self.folder / "heads.sqlite", create=True)),
            faults.index(LevelIndex(self.folder / "index", limits, create=True)),
        )


# --- keys and entries -------------------------------------------------------------------------------------


def log_signers(origin: str = ORIGIN, seed: int = 1) -> tuple[NoteSigner, ...]:
    """Return the keys of a certificate log: 0x01, 0x04 and 0x05."""
    return (
        NoteSigner.make(origin, KeyType.ED25519, ed25519(seed)),
        NoteSigner.make(origin, KeyType.COSIGNATURE, ed25519(seed + 100)),
        NoteSigner.make(origin, KeyType.TREE_HEAD, EcdsaSigner(derive_private_key(0x7717 + seed, SECP256R1()))),
    )


def ed25519(seed: int) -> Ed25519Signer:
    """Return a key that is the same in every run."""
    return Ed25519Signer(Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


def witness_signer(name: str, seed: int) -> NoteSigner:
    """Return a witness's 0x04 key."""
    return NoteSigner.make(name, KeyType.COSIGNATURE, ed25519(seed))


def certificate(number: int, size: int = 30) -> Parts:
    """Return an entry unlike that of any other number, with a certificate of about `size` bytes."""
    return x509_parts(b"certificate %d " % number + bytes(size), CHAIN)


def mldsa_signer(name: str, number: int) -> NoteSigner:
    """Return the same 0x06 key for the same number."""
    return NoteSigner.make(name, KeyType.MLDSA, MldsaSigner(MLDSA44PrivateKey.from_seed_bytes(bytes([number]) * 32)))


def policy_of(*witnesses: NoteSigner) -> Policy:
    """Return the policy that wants every one of these witnesses; none when there are none."""
    known = tuple(PolicyWitness(f"w{i}", witness.vkey) for i, witness in enumerate(witnesses))
    if not known:
        return Policy((), (), (), "none")
    text = "".join(f"witness {w.name} {w.vkey.encode()}\n" for w in known)
    return Policy.parse(f"{text}group all all {' '.join(w.name for w in known)}\nquorum all\n")


async def no_halt(origin: str, why: str, ours: bytes, theirs: bytes) -> None:
    """Take a halt where none belongs."""
    raise AssertionError(f"{origin} was halted: {why}")


# --- the engine -------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Engine:
    """One log over processes. What it acknowledged is remembered here, as its submitters would."""

    place: Place
    clock: FakeClock = field(default_factory=FakeClock)
    gate: GateInHand = field(default_factory=GateInHand)
    record: Record = field(default_factory=Record)
    config: SequencerConfig = AT_ONCE
    family: Family = X509
    policy: Policy = field(default_factory=policy_of)
    halt: Halt = no_halt
    make: Callable[[int], Parts] = certificate
    acknowledged: dict[int, tuple[Parts, Placement]] = field(default_factory=dict)
    refused: list[LogError] = field(default_factory=list)
    failures: list[LogError] = field(default_factory=list)
    commits: list[Commit] = field(default_factory=list)
    numbers: int = 0  # entries made so far
    stores: tuple[DataStore, HeadStore, Index] | None = None
    hosted: Log | None = None

    @property
    def running(self) -> Log:
        """The log of the process that runs now."""
        assert self.hosted is not None
        return self.hosted

    @property
    def size(self) -> int:
        return self.running.size

    async def create(self, faults: Faults | None = None) -> None:
        """Sign the empty head, as `init` does once."""
        data, heads, index = self.place.open(faults or Faults(0, written=False))
        committer = Committer(
            self.family,
            SigningIdentity(ORIGIN, log_signers()),
            data,
            RecordedHeads(heads, self.record),
            self.gate,
            self.clock,
        )
        await committer.create()
        for store in (data, heads, index):
            await store.close()

    async def start(self, faults: Faults | None = None) -> Log:
        """Open a process and wait until it has signed a head anew, or cannot."""
        faults = faults or Faults(0, written=False)
        self.clock.advance(1)
        self.stores = self.place.open(faults)
        data, heads, index = self.stores
        self.hosted = await open_log(
            ORIGIN,
            self.family,
            (data, RecordedHeads(heads, self.record), index),
            self.gate,
            self.clock,
            self.policy,
            signers=log_signers(),
            config=self.config,
            report=self.commits.append,
            on_failure=self.failures.append,
            halt=self.halt,
        )
        await self.hosted.start()
        first = self.hosted.published.head.timestamp_ms
        sequencer = self.hosted.sequencer
        await until(lambda: sequencer.published.head.timestamp_ms > first or sequencer.refused or sequencer.failed)
        return self.hosted

    async def submit(self, number: int) -> Placement | None:
        """Submit one entry and keep the answer, which never changes; None when it was refused."""
        parts = self.make(number)
        try:
            placed = await self.running.submit(parts, BLOBS)
        except LogError as error:
            self.refused.append(error)
            return None
        _, first = self.acknowledged.setdefault(number, (parts, placed))
        assert placed == first, f"entry {number} has two places: {first} and {placed}"
        return placed

    async def submit_some(self, count: int) -> list[Placement | None]:
        """Submit that many new entries at once."""
        first, self.numbers = self.numbers, self.numbers + count
        return list(await asyncio.gather(*(self.submit(number) for number in range(first, self.numbers))))

    async def crash(self) -> None:
        """Drop the process where it stands. What no store holds is gone."""
        await kill(f"sequencer {ORIGIN}")
        await self._close()

    async def stop(self) -> None:
        """End the process in order."""
        await self.running.stop()
        await self._close()

    async def _close(self) -> None:
        for store in self.stores or ():
            await store.close()
        self.stores = self.hosted = None

    async def restart(self) -> Log:
        """Crash, and recover."""
        await self.crash()
        return await self.start()

    async def audited(self) -> None:
        """Nothing acknowledged is missing, and the whole log follows from its entries."""
        hosted = self.running
        self.record.see(await hosted.checkpoint())
        report = await audit(hosted, self.family, hosted.identity.vkeys)
        assert report.size == hosted.size
        rows = await hosted.entries(0, hosted.size, hosted.size)
        for parts, placed in self.acknowledged.values():
            assert rows[placed.index] == self.family.place(parts, placed.index, placed.timestamp_ms).row


async def until(condition: Callable[[], object], patience_s: float = 90) -> None:
    """Let the other tasks run until the condition holds; `patience_s` at most."""
    async with asyncio.timeout(patience_s):
        while not condition():
            await asyncio.sleep(0)


async def kill(*names: str) -> None:
    """Cancel the tasks whose names begin so, as the end of their process would."""
    tasks = [task for task in asyncio.all_tasks() if task.get_name().startswith(names)]
    while not all(task.done() for task in tasks):
        for task in tasks:
            task.cancel()  # again and again: before Python 3.12 `wait_for` may swallow one
        await asyncio.sleep(0)


async def open_log(
    origin: str,
    family: Family,
    stores: tuple[DataStore, HeadStore, Index],
    gate: Gate,
    clock: Clock,
    policy: Policy,
    *,
    signers: Sequence[NoteSigner],
    config: SequencerConfig = AT_ONCE,
    report: Callable[[Commit], None] = lambda _: None,
    on_failure: Callable[[LogError], None] = lambda _: None,
    halt: Halt = no_halt,
    guarded: Callable[[str], bool] = lambda _: True,
) -> Log:
    """Put one log together, as `main` does; it is named by the last part of its origin."""
    data, heads, index = stores
    committer = Committer(family, SigningIdentity(origin, tuple(signers)), data, heads, gate, clock)
    sequencer = Sequencer(origin, family, committer, data, index, gate, clock, config, report, on_failure)
    vkeys = tuple(signer.vkey for signer in signers)
    hosted: Log
    witnessed = WitnessedHead(
        origin,
        vkeys,
        policy,
        heads,
        lambda size: hosted.root_at(size),  # noqa: PLW0108 - `hosted` comes below
        lambda: sequencer.published.head,
        halt,
    )
    log_id = next((sha256(vkey.key).digest() for vkey in vkeys if vkey.type is KeyType.TREE_HEAD), None)
    identity = Identity(origin.rpartition("/")[2], origin, vkeys, b"", policy, log_id)
    limits = ReadLimits()
    hosted = Log(identity, family, sequencer, data, index, witnessed, None, clock, guarded, limits, on_failure)
    hosted.bodies = Bodies.PUBLIC
    return hosted
