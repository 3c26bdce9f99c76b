"""One log's copy, kept in step with the head that was verified last (design.md §6).

While a root is rebuilt, the rows of each chunk are written here with the tiles and issuers that belong to them:

    1. each chunk: one synced batch of rows, the hash tiles that they complete, and issuers not yet held
    2. the verified head moves in the state (`Store.advance`)
    3. `settle`: that head, and the edge that the rows led to, are what readers see

A look may end before 2 (`halfway`): the next one goes on behind its rows. What else a crash or a refused head leaves
there, the next `begin` drops. A copy that is
behind (introduced later, lost, or an issuer could not be had) takes nothing from the look under way; `catch_up` reads
what is missing from the log again, a few chunks a look, and only a root that is the verified one makes it count. While
the disk has no room (`free_bytes`) nothing is taken: no log fills it, whatever it signs, before its root is seen.
Whatever goes wrong here is said in `trouble` and never stops the following: nothing raises but our own bugs.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from log.client import LogReader
from log.errors import LogError, Malformed, Mismatch, StateRefused, StorageError, StoreMissing
from log.evidence.heads import Head
from log.formats.family import Family
from log.merkle.hashing import split_hashes
from log.merkle.tiles import TILE_WIDTH, Edge
from log.storage import Batch, DataStore
from log.storage.edge import held_rows, load_edge

KNOWN_ISSUERS = 4_096  # digests remembered as held, so that each chunk does not ask for them again


@dataclass(frozen=True, slots=True)
class Kept:
    """What a copy serves: everything below a verified head."""

    head: Head
    edge: Edge


class _NoRoom(LogError):
    """The disk has less left than must stay free."""


class Mirror:
    """The copy of one log. One task at a time writes; readers read what is `kept`."""

    def __init__(
        self,
        family: Family,
        open_data: Callable[[], Awaitable[DataStore]],
        chunk: int,
        chunks: int,
        has_room: Callable[[], bool],
    ) -> None:
        """`chunk` entries are one batch while it catches up, and `chunks` of them one look.

        `has_room` says whether the disk may take more; it blocks, and raises `OSError`.
        """
        self.family = family
        self.kept: Kept | None = None
        self.trouble = ""  # why it is not in step with the verified head; "" when it is, or not begun
        self.failed = False  # the store: nothing is written any more
        self.full = False  # nothing was written for want of room
        self.complete = False  # in step with the verified head, as far as we know
        self._open_data = open_data
        self._has_room = has_room
        self._data: DataStore | None = None
        self._chunk, self._chunks = max(TILE_WIDTH, chunk // TILE_WIDTH * TILE_WIDTH), chunks
        self._edge: Edge | None = None  # of all rows that are written; None before it was looked at
        self._known: set[bytes] = set()  # issuers held, at most KNOWN_ISSUERS
        self._taking = False  # whether the rebuild under way writes here

    @property
    def data(self) -> DataStore:
        """The open store; only once something is `kept`."""
        if self._data is None:
            raise AssertionError("a copy that was never opened is read")
        return self._data

    async def begin(self, size: int, root: bytes) -> None:
        """A rebuild begins at this tree, that was verified or come to on the way (size 0 and the empty root first)."""
        self._taking = False
        if await self._guarded(self._stand_at(size, root)):
            self._taking = self._edge is not None and self._edge.size == size

    async def add(
        self, reader: LogReader, start: int, rows: Sequence[bytes], leaves: Sequence[bytes], chains: Iterable[bytes]
    ) -> None:
        """Write the rows from index `start` on; those held are passed over.

        `leaves` are their leaf hashes, `chains` the runs of issuers' fingerprints in them, as `Family.unpack` has them.
        """
        if self._taking:
            self._taking = await self._guarded(self._write(reader, start, rows, leaves, chains))
            self.complete = self.complete and self._taking

    def settle(self, head: Head) -> None:
        """The state holds this head as verified now."""
        self._settle(head, self._edge)

    def _settle(self, head: Head, edge: Edge | None) -> None:
        if edge is not None and (edge.size, edge.root()) == (head.size, head.root):
            self.kept, self.trouble, self.complete = Kept(head, edge), "", True
            self.full = False
        else:
            self.complete = False

    async def catch_up(self, reader: LogReader, head: Head, stop: tuple[int, bytes]) -> None:
        """Come closer to the verified head: drop what is beyond `stop`, read what is missing.

        `stop` is size and root of the tree to which the entries behind that head have led so far, or its own.
        """
        if not self.failed:
            await self._guarded(self._catch_up(reader, head, stop))

    async def close(self) -> None:
        """Let go of the store."""
        if self._data is not None:
            await self._data.close()

    # --- the steps, which raise -------------------------------------------------------------------------------

    async def _guarded(self, step: Awaitable[None]) -> bool:
        """Take a step; say in `trouble` what went wrong. A store that failed is left alone from then on."""
        try:
            await step
        except (StorageError, StateRefused) as e:
            self.failed, self.complete, self.trouble = True, False, f"the copy takes nothing more: {e}"
        except _NoRoom as e:
            self.complete, self.full, self.trouble = False, True, f"the copy grows no further: {e}"
        except LogError as e:
            self.complete, self.trouble = False, f"the copy is behind: {e}"
        else:
            return True
        return False

    async def _stand_at(self, size: int, root: bytes) -> None:
        """Drop what lies beyond a verified tree; begin anew when what is held does not lead to its root."""
        if self.failed:
            raise StorageError(self.trouble)
        if self._edge is not None and self._edge.size <= size:
            return
        if self._data is None:
            self._data = await self._open_data()
        held = await held_rows(self._data)
        at = min(held, size)
        try:
            edge = await load_edge(self.family, self._data, at)
        except (StoreMissing, Malformed):
            edge = None
        if edge is None or (at == size and edge.root() != root):
            self.trouble, at, edge = "what the copy held was not what was verified: it begins anew", 0, Edge()
            self.kept = None
        await _finished(self._data.truncate(at))
        self._edge = edge

    async def _write(
        self, reader: LogReader, start: int, rows: Sequence[bytes], leaves: Sequence[bytes], chains: Iterable[bytes]
    ) -> None:
        edge = self._edge
        if edge is None or not start <= edge.size <= start + len(rows):
            raise AssertionError(f"rows from {start} on do not follow what the copy holds")
        await self._require_room()
        fresh = edge.size - start
        rows, leaves = rows[fresh:], leaves[fresh:]
        blobs = await self._issuers(reader, chains)
        grown, tiles = await asyncio.to_thread(edge.grow, leaves)
        await _finished(self.data.commit(Batch(edge.size, tuple(rows), tuple(tiles), blobs)))
        self._edge = grown
        if len(self._known) > KNOWN_ISSUERS:
            self._known.clear()
        self._known.update(digest for digest, _ in blobs)

    async def _require_room(self) -> None:
        try:
            if not await asyncio.to_thread(self._has_room):
                raise _NoRoom("its disk has less free than must stay free")
        except OSError as e:
            raise StorageError(f"its disk cannot be looked at: {e}") from e

    async def _issuers(self, reader: LogReader, chains: Iterable[bytes]) -> tuple[tuple[bytes, bytes], ...]:
        """Return the issuers in these runs of fingerprints that are not held yet, each verified by its SHA-256."""
        named = {digest for chain in chains for digest in split_hashes(chain)} - self._known
        found = []
        for digest in sorted(named):
            if await self.data.blob(digest) is not None:
                self._known.add(digest)
                continue
            issuer = await reader.blob(digest)
            if issuer is None or sha256(issuer).digest() != digest:
                has = "nothing" if issuer is None else sha256(issuer).hexdigest()
                raise Mismatch(f"issuer/{digest.hex()}", 0, f"SHA-256 {digest.hex()}", has)
            found.append((digest, issuer))
        return tuple(found)

    async def _catch_up(self, reader: LogReader, head: Head, stop: tuple[int, bytes]) -> None:
        await self._stand_at(*stop)
        self.full = False
        for _ in range(self._chunks):
            if self._edge is None or self._edge.size >= head.size:
                break
            start = self._edge.size // TILE_WIDTH * TILE_WIDTH
            end = min(head.size, start + self._chunk)
            await self._require_room()
            self.trouble = f"the copy holds {self._edge.size} of {head.size} entries, and the rest is being read"
            rows = await reader.entries(start, end, head.size)
            if len(rows) != end - start:
                raise Malformed(f"{len(rows)} entries where {end - start} must be, from {start} on")
            leaves, _, chains = await asyncio.to_thread(self.family.unpack, rows)
            await self._write(reader, start, rows, leaves, chains)
        edge = self._edge
        if edge is not None and edge.size > head.size:
            edge = await load_edge(self.family, self.data, head.size)
        if edge is not None and edge.size == head.size:
            if edge.root() != head.root:
                self.kept, self._edge = None, Edge()
                await _finished(self.data.truncate(0))
                raise Malformed(f"entries read again no longer lead to the verified root of size {head.size}")
            self._settle(head, edge)


async def _finished(write: Awaitable[None]) -> None:
    """Await a write that goes on when the look is cancelled: a cancelled one would poison the store."""
    await asyncio.shield(asyncio.ensure_future(write))
