"""One log as its readers see it: an origin, its newest head, its tiles. A `LogReader`, like the HTTP client.

Everything is cut from what the newest published head covers; nothing beyond it is ever served. Full hash
tiles come from the data store, the rest from the right edge that the sequencer published with the head, so a
partial tile can be had for every size up to the newest (c2sp.org/tlog-tiles, "Partial tiles").
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial

from log.access import Bodies
from log.client.prover import root, subtree
from log.errors import Closed, LogError, NotFound, NotYet, StateRefused, StorageError, Unavailable
from log.formats.checkpoint import Checkpoint
from log.formats.family import FINGERPRINT_KEY, LEAF_KEY, SIGNATURE_KEY, TILES, X509, Family, Parts
from log.formats.names import EXTRA_ENTRY
from log.formats.note import KeyType, Note, VKey
from log.formats.policy import Policy
from log.formats.tlog_proof import TlogProof
from log.merkle.tiles import TILE_WIDTH
from log.sequencer.clock import Clock
from log.sequencer.head import Published
from log.sequencer.loop import Sequencer
from log.sequencer.plan import Blob
from log.sequencer.pool import Placement
from log.service.proofs import Proofs, Sources
from log.service.reading import CacheReading, LogReading
from log.service.rfc6962 import CertificateReads, RangeLimits
from log.service.tiles import Tiles
from log.service.tree import StoredTree
from log.service.witnessed import WitnessedHead
from log.storage import DataStore, Index


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """Bounds of what reading keeps in memory, and of the longest answer."""

    gzip_cache_bytes: int = 32 << 20  # compressed full data tiles
    tile_cache_bytes: int = 32 << 20  # full hash tiles, 8 KiB each
    proof_cache_bytes: int = 64 << 20  # full hash tiles with the nodes above them, 16 KiB each
    ranges: RangeLimits = field(default_factory=RangeLimits)  # of get-entries


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a log is, in public: what its readers pin."""

    name: str  # the path segment under the node's URL
    origin: str  # the checkpoint's first line
    vkeys: tuple[VKey, ...]  # every key that signs its heads
    statement: bytes  # the signed identity note
    policy: Policy  # what makes one of its heads a witnessed head
    log_id: bytes | None  # SHA-256 of the 0x05 key's SPKI; None for families without SCTs

    @property
    def tree_head(self) -> VKey | None:
        """The 0x05 key; None for families without SCTs."""
        return next((vkey for vkey in self.vkeys if vkey.type is KeyType.TREE_HEAD), None)


Extra = Callable[[bytes, int], Awaitable[bytes]]  # (row, index) -> what a verifier needs beside the document


@dataclass(frozen=True, slots=True)
class LogStatus:
    """A log's condition, for the status page, health and metrics. Ages in milliseconds."""

    name: str
    origin: str
    size: int
    head_age_ms: int
    witnessed_size: int | None  # None before the first witnessed head
    witnessed_age_ms: int | None
    vouched_by: tuple[str, ...]  # names of the witnesses on the witnessed head
    pool: int  # submissions that wait
    is_open: bool  # a test log that takes any entry from anybody
    guarded: bool
    last_error: str  # why the log takes or signs nothing now, "" when it does
    closed: str  # why it takes no more entries, for ever; "" while it does


class Log:
    """One origin, one family, one history."""

    def __init__(
        self,
        identity: Identity,
        family: Family,
        sequencer: Sequencer,
        data: DataStore,
        index: Index,
        witnessed: WitnessedHead,
        extra: Extra | None,
        clock: Clock,
        guarded: Callable[[str], bool],
        limits: ReadLimits,
        on_failure: Callable[[LogError], None],
    ) -> None:
        self.identity = identity
        self.family = family
        self.sequencer = sequencer
        self._head = witnessed
        self._data = data
        self._tree = StoredTree(data, lambda: sequencer.published)
        self._index = index
        self._extra = extra
        self._clock = clock
        self._guarded = guarded
        self._limits = limits
        self._on_failure = on_failure
        self.bodies = Bodies.HOME_ONLY  # to whom its entries are shown; the least until its settings say otherwise
        self.closed = ""  # why the log takes no more entries, for ever; "" while it does
        self.tiles = Tiles(
            self._tree, family, lambda: sequencer.published.head.size, limits.tile_cache_bytes, limits.gzip_cache_bytes
        )
        self._proofs = Proofs(Sources(self._full_tile, partial(subtree, self._tree)), limits.proof_cache_bytes)
        tree_head = identity.tree_head
        self.certificates = (
            CertificateReads(self, tree_head, limits.ranges) if family is X509 and tree_head is not None else None
        )

    @property
    def name(self) -> str:
        return self.identity.name

    @property
    def origin(self) -> str:
        return self.identity.origin

    @property
    def published(self) -> Published:
        """The newest head with its tree."""
        return self.sequencer.published

    @property
    def size(self) -> int:
        """The number of published entries."""
        return self.sequencer.published.head.size

    async def start(self) -> None:
        """Recover the tree and the witnessed head, which may halt the log; only then begin to sequence."""
        await self.sequencer.recover()
        await self._head.load()
        self.sequencer.begin()

    async def stop(self) -> None:
        """Commit and answer what was taken, then let go of the stores."""
        await self.sequencer.stop()
        await self._index.close()
        await self._data.close()

    def status(self) -> LogStatus:
        """Return the condition of this moment."""
        now_ms = self._clock.wall_ms()
        head = self.published.head
        self._head.settle()
        witnessed = self._head.note is not None
        return LogStatus(
            name=self.name,
            origin=self.origin,
            size=head.size,
            head_age_ms=now_ms - head.timestamp_ms,
            witnessed_size=self._head.size if witnessed else None,
            witnessed_age_ms=now_ms - self._head.timestamp_ms if witnessed else None,
            vouched_by=self._head.vouchers,
            pool=self.sequencer.waiting,
            is_open=self.family is TILES,
            guarded=self._guarded(self.origin),
            last_error=str(self.sequencer.failed or self.sequencer.refused),
            closed=self.closed,
        )

    def follow(self, policy: Policy) -> None:
        """Go by another policy from now on."""
        if policy != self.identity.policy:
            self.identity = replace(self.identity, policy=policy)
            self._head.follow(policy)

    def check_open(self) -> None:
        """Raise `Closed` when the log takes no more entries."""
        if self.closed:
            raise Closed(self.closed)

    def check_takes(self) -> None:
        """Raise `Closed` or `Unavailable` when a new entry would not be taken now for whatever reason but room."""
        self.check_open()
        self.sequencer.check_takes()

    def reading(self) -> LogReading:
        """Return the numbers of this moment."""
        sequencer, proofs, now_ms = self.sequencer, self._proofs, self._clock.wall_ms()
        return LogReading(
            counts=sequencer.counts,
            phase_seconds=sequencer.phase_seconds,
            waiting_bytes=sequencer.waiting_bytes,
            waiting_limit=sequencer.waiting_limit,
            unindexed=sequencer.unindexed,
            unsynced=sequencer.unsynced,
            caches={
                **self.tiles.caches(),
                "proof": CacheReading(proofs.kept_bytes, proofs.hits, proofs.misses),
            },
            cosignatures=self._head.cosignatures,
            cosigned_age_ms={name: now_ms - time_ms for name, time_ms in self._head.cosigned_ms.items()},
        )

    async def submit(self, parts: Parts, blobs: tuple[Blob, ...] = ()) -> Placement:
        """Make the leaf an entry, or find where it already is one: `Closed`, else see `Sequencer.submit`."""
        self.check_open()
        return await self.sequencer.submit(parts, self.family.dedup(parts), blobs)

    async def placed(self, parts: Parts) -> Placement | None:
        """Return where the leaf is an entry already, None when it is none: nothing new is taken."""
        return await self.sequencer.placed(self.family.dedup(parts))

    # --- LogReader ------------------------------------------------------------------------------------------

    async def checkpoint(self) -> bytes:
        """Return the newest head with the cosignatures that came for its text so far."""
        return self._head.newest(self.published.head)

    async def witnessed(self) -> bytes | None:
        """Return the largest head that meets the log's policy, or None before the first."""
        self._head.settle()
        return self._head.note

    async def entries(self, start: int, end: int, size: int) -> list[bytes]:
        """Return the rows start <= i < end. `NotFound` beyond the published size."""
        return await self._tree.entries(start, end, size)

    async def hashes(self, level: int, start: int, end: int, size: int) -> bytes:
        """Return the hashes start <= i < end of a tile level, 32 bytes each; only whole subtrees have one."""
        return await self._tree.hashes(level, start, end, size)

    async def blob(self, digest: bytes) -> bytes | None:
        """Return the issuer certificate with this SHA-256, or None."""
        return await self._tree.blob(digest)

    # --- look-ups -------------------------------------------------------------------------------------------

    async def find(self, key: bytes) -> tuple[int, bytes]:
        """Return (index, row) of the entry that has this index key, below the published size; or `NotFound`.

        The row is compared: an index that is wrong makes nothing appear under a name it does not have.
        """
        index = await self._index.get(key)
        if index is None or index >= self.size:
            raise NotFound("not in this log")
        (row,) = await self._data.entries(index, index + 1)
        if key not in self.family.keys(row):
            raise NotFound("not in this log")
        return index, row

    async def index_of(self, leaf: bytes) -> int:
        """Return the index of the entry with this leaf hash, below the published size; or `NotFound`.

        The hash is compared with the one in the tree, which costs no read of the entry.
        """
        index = await self._index.get(LEAF_KEY + leaf)
        if index is None or index >= self.size or await self._proofs.leaf(index, self.size) != leaf:
            raise NotFound("not in this log")
        return index

    async def tlog_proof(self, *, leaf: bytes | None = None, fingerprint: bytes | None = None, newest: bool) -> bytes:
        """Return a finished proof for a leaf hash or a certificate's SHA-256 (32 bytes each, exactly one).

        It builds on the witnessed head (`NotYet` while that does not cover the entry), or with `newest` on the
        newest one, for which only this log's own side need have vouched. `NotFound` when it is not logged.
        """
        if leaf is not None:
            index, row = await self.find(LEAF_KEY + leaf)
        elif fingerprint is not None:
            index, row = await self.find(FINGERPRINT_KEY + fingerprint)
        else:
            raise AssertionError("a proof is asked for by leaf hash or by fingerprint")
        extra = None if self._extra is None else partial(self._extra, row, index)
        return await self._proof(index, newest, extra)

    async def event_proof(self, sig_digest: bytes, *, newest: bool) -> bytes:
        """Return a finished proof of an event, with its entry in `extra`, by the SHA-256 of its signature's value.

        Of several events of one signature it is any one. Raises as `tlog_proof` does.
        """
        index, row = await self.find(SIGNATURE_KEY + sig_digest)

        async def entry() -> bytes:
            return bytes([EXTRA_ENTRY]) + row

        return await self._proof(index, newest, entry)

    async def _proof(self, index: int, newest: bool, extra: Callable[[], Awaitable[bytes]] | None) -> bytes:
        note = await self.checkpoint() if newest else await self.witnessed()
        size = 0 if note is None else Checkpoint.parse(Note.parse(note).text).size
        if note is None or size <= index:
            raise NotYet(f"entry {index} is logged; its witnesses have vouched for {size} entries so far")
        hashes = await self.inclusion(index, size)
        return TlogProof(index, tuple(hashes), note, None if extra is None else await extra()).encode()

    async def inclusion(self, index: int, size: int) -> list[bytes]:
        """Return the inclusion proof of an entry, 0 <= index < size <= the published size."""
        return await self._proofs.inclusion(index, size, self.size)

    async def _full_tile(self, level: int, n: int) -> bytes:
        return await self.hashes(level, n * TILE_WIDTH, (n + 1) * TILE_WIDTH, self.size)

    async def root_at(self, size: int) -> bytes:
        """Return the root of the first `size` entries; 0 <= size <= the published size."""
        return await root(self, size)

    async def bears_out(self, checkpoint: Checkpoint) -> bool:
        """Say whether our tree has this root at this size."""
        return checkpoint.size <= self.size and await self.root_at(checkpoint.size) == checkpoint.root

    # --- cosignatures ---------------------------------------------------------------------------------------

    async def add_cosignatures(self, raw: bytes) -> None:
        """Take a head of this log with cosignature lines. See `WitnessedHead.add` for its errors."""
        try:
            await self._head.add(raw)
        except (StorageError, StateRefused) as error:
            self._on_failure(error)
            raise Unavailable("a store of this log failed; the node restarts", reason="store-failed") from error
