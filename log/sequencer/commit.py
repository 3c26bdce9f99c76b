"""How a batch becomes history, and how a process finds its way back to it.

A commit writes twice, and only the second write counts:

    1. data store: the entries behind the published size and the tiles they complete, one synced batch.
       Nothing is published; a crash here leaves rows that no head covers.
    2. read the entries back and rebuild the root by a second path: leaf hashes from the stored rows, the
       root from a frontier instead of from tiles. What differs is never signed.
    3. ask the gate, sign the checkpoint. (It is asked before 1 as well: what would not be signed is not written.)
    4. head store: replace the head by compare-and-swap. From here on the new head is the truth.
       STALE: somebody else writes this history, so this process must not.
       UNKNOWN: nobody can say which head stands, so this process must not go on.
    5. publish in memory. (Index and answers follow in `loop`.)

Recovery reads the head of 4, demands that the data store reproduces its root, and ends in the same `_publish`.
What lies beyond it is 1 without 4, or, when the head store was set back, history: the first commit drops it, and
only after the gate, which knows by then what guards hold. `heartbeat` is 3 to 5 for an unchanged tree.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

from log.crypto.notes import NoteSigner, sign_note
from log.errors import Malformed, StateRefused, StorageError, StoreFailed, Unavailable
from log.formats.checkpoint import Checkpoint
from log.formats.family import Family
from log.formats.note import VKey
from log.merkle.frontier import Frontier
from log.merkle.hashing import EMPTY_ROOT, HASH_SIZE, leaf_hash
from log.merkle.tiles import Edge, fold
from log.sequencer.clock import Clock
from log.sequencer.gate import Gate
from log.sequencer.head import Head, Published, decode_head, store_name
from log.sequencer.plan import Plan, Submission, plan
from log.storage import DataStore, HeadStore, Swap
from log.storage.edge import load_edge

CLOCK_BACK_MS = 1000  # a clock that fell back by less than this is bridged by last + 1 ms
PHASES = ("plan", "write", "read_back", "sign", "swap", "index")  # of a commit; the last is `loop`'s
KNOWN_BLOBS = 4096  # digests of blobs that this process stored: what a chain repeats is written once


@dataclass(frozen=True, slots=True)
class Identity:
    """Who signs: the origin and one signer per signature line of its heads."""

    origin: str
    signers: tuple[NoteSigner, ...]

    @property
    def vkeys(self) -> tuple[VKey, ...]:
        return tuple(signer.vkey for signer in self.signers)


class Committer:
    """The only writer of one log. Only the sequencer task calls `commit` and `heartbeat`."""

    def __init__(
        self, family: Family, identity: Identity, data: DataStore, heads: HeadStore, gate: Gate, clock: Clock
    ) -> None:
        self._family = family
        self._identity = identity
        self._data = data
        self._heads = heads
        self._gate = gate
        self._clock = clock
        self._published: Published | None = None
        self._set_back = False  # the clock fell back too far, and has not passed the last head since
        self._beyond = False  # whether rows may lie beyond the published size
        self._blobs: set[bytes] = set()
        self.phase_seconds = dict.fromkeys(PHASES, 0.0)  # spent in each by all commits together

    @property
    def published(self) -> Published:
        """The tree this log stands behind; `recover` comes first."""
        if self._published is None:
            raise AssertionError("recover() has not run")
        return self._published

    async def create(self) -> None:
        """Sign the empty head of a new log. `StateRefused` when the head store already has one, `StoreFailed`."""
        head = await self._sign(0, EMPTY_ROOT, self._clock.wall_ms())
        swap = await self._heads.replace(store_name(self._identity.origin), None, head.encode())
        if swap is Swap.STALE:
            raise StateRefused(f"head store: {self._identity.origin} already has a head")
        if swap is Swap.UNKNOWN:
            raise StoreFailed(f"head store: outcome of creating the head of {self._identity.origin} is unknown")

    async def recover(self) -> None:
        """Load the head that counts and the tree below it, changing nothing. `StateRefused` if it cannot."""
        origin = self._identity.origin
        value = await self._heads.load(store_name(origin))
        if value is None:
            raise StateRefused(f"head store: no head for {origin}; `twinlog init` creates it once")
        head = decode_head(value, origin, self._identity.vkeys)
        try:
            edge = await load_edge(self._family, self._data, head.size)
        except StoreFailed:
            raise
        except (StorageError, Malformed) as error:
            raise StateRefused(
                f"data store of {origin} does not bear out the signed head of size {head.size}: {error}"
            ) from error
        if edge.root() != head.root:
            raise StateRefused(f"data store of {origin} does not reproduce the signed root at size {head.size}")
        self._beyond = True
        self._publish(Published(head, edge, frontier_of(edge)))

    async def commit(self, submissions: Sequence[Submission]) -> tuple[Published, list[bytes]]:
        """Make the submissions the next entries of the log; return the new head, and their rows as read back.

        See the numbered steps above. `Unavailable` from the gate leaves the log as it was; `StoreFailed` and
        `StateRefused` end the process.
        """
        before = self.published
        begun = perf_counter()
        timestamp_ms = self._next_time(before)
        self._permit(timestamp_ms)  # what would not be signed is not written either
        if self._beyond:
            await self._data.truncate(before.head.size)
            self._beyond = False
        planned = plan(self._family, before.edge, submissions, timestamp_ms, self._blobs)
        begun = self._spent("plan", begun)
        await self._data.commit(planned.batch)  # 1
        self._remember(planned)
        begun = self._spent("write", begun)
        frontier, rows = await self._second_path(before, planned)  # 2
        begun = self._spent("read_back", begun)
        try:
            self._permit(timestamp_ms)  # 3
        except Unavailable:
            await self._data.truncate(before.head.size)
            raise
        head = await self._sign(planned.edge.size, planned.root, timestamp_ms)
        begun = self._spent("sign", begun)
        await self._swap(before.head, head)  # 4
        self._spent("swap", begun)
        return self._publish(Published(head, planned.edge, frontier)), rows  # 5

    async def heartbeat(self) -> Published:
        """Sign the unchanged tree anew, with a fresh time. `Unavailable` when the gate says no."""
        before = self.published
        timestamp_ms = self._next_time(before)
        self._permit(timestamp_ms)
        head = await self._sign(before.head.size, before.head.root, timestamp_ms)
        await self._swap(before.head, head)
        return self._publish(Published(head, before.edge, before.frontier))

    def _spent(self, phase: str, begun: float) -> float:
        """Count the time since `begun` to a phase; return the moment at which the next one begins."""
        now = perf_counter()
        self.phase_seconds[phase] += now - begun
        return now

    def _next_time(self, before: Published) -> int:
        return max(self._clock.wall_ms(), before.head.timestamp_ms + 1)

    def _permit(self, timestamp_ms: int) -> None:
        """Ask the gate and the clock, right before a head is signed with this time."""
        self._gate.permit(self._identity.origin)
        behind_ms = timestamp_ms - self._clock.wall_ms()
        if behind_ms > CLOCK_BACK_MS:
            self._set_back = True
        elif behind_ms <= 0:
            self._set_back = False
        if self._set_back:
            raise Unavailable(f"the clock is {behind_ms} ms behind the last signed head", reason="clock")

    def _remember(self, planned: Plan) -> None:
        if len(self._blobs) > KNOWN_BLOBS:
            self._blobs.clear()
        self._blobs.update(digest for digest, _ in planned.batch.blobs)

    async def _second_path(self, before: Published, planned: Plan) -> tuple[Frontier, list[bytes]]:
        rows = await self._data.entries(before.head.size, planned.edge.size)
        frontier = before.frontier.copy()
        leaf_input = self._family.leaf_input
        try:
            frontier.extend([leaf_hash(leaf_input(row)) for row in rows])
        except Malformed as error:
            raise StoreFailed(f"data store of {self._identity.origin}: a row reads back as no entry") from error
        if frontier.size != planned.edge.size or frontier.root() != planned.root:
            raise StoreFailed(f"data store of {self._identity.origin}: rows read back do not give the planned root")
        return frontier, rows

    async def _sign(self, size: int, root: bytes, timestamp_ms: int) -> Head:
        text = Checkpoint(self._identity.origin, size, root).encode()
        note = await sign_note(text, timestamp_ms, self._identity.signers)
        return Head(size, root, timestamp_ms, note.encode())

    async def _swap(self, old: Head, new: Head) -> None:
        swap = await self._heads.replace(store_name(self._identity.origin), old.encode(), new.encode())
        if swap is Swap.STALE:
            raise StateRefused(f"head store: another process signs for {self._identity.origin}")
        if swap is Swap.UNKNOWN:
            raise StoreFailed(f"head store: outcome of a swap for {self._identity.origin} is unknown")

    def _publish(self, published: Published) -> Published:
        self._published = published
        return published


def frontier_of(edge: Edge) -> Frontier:
    """Return the same tree as a row of perfect subtrees: each level's hashes cut by the bits of their count."""
    hashes: list[bytes] = []
    for level in reversed(edge.levels):
        at = 0
        count = len(level) // HASH_SIZE
        for bit in reversed(range(count.bit_length())):
            if count >> bit & 1:
                end = at + (HASH_SIZE << bit)
                hashes.append(fold(level[at:end]))
                at = end
    return Frontier.decode(edge.size, b"".join(hashes))
