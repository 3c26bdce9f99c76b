"""A log's entries, read again and verified against its root: whoever judges them relies on nobody.

Each aligned block of entries leads to the root by the inclusion proof of its first entry, whose lower part is made of
the block's other entries (RFC 6962 section 2.1.1); the upper part is the log's, and proves itself.
"""

from collections.abc import Iterator

from log.client import LogReader, prover
from log.errors import Malformed
from log.formats.family import Family
from log.merkle.hashing import leaf_hash
from log.merkle.proof import verify_inclusion
from log.merkle.tiles import TILE_WIDTH


class CheckedReader:
    """A `LogReader` whose entries lead to the root of one size; asked of any other size it is a bug."""

    def __init__(self, reader: LogReader, family: Family, size: int, root: bytes) -> None:
        self._reader = reader
        self._family = family
        self._size = size
        self._root = root

    async def checkpoint(self) -> bytes:
        """Return the newest checkpoint, as it comes."""
        return await self._reader.checkpoint()

    async def witnessed(self) -> bytes | None:
        """Return the newest witnessed checkpoint, as it comes."""
        return await self._reader.witnessed()

    async def hashes(self, level: int, start: int, end: int, size: int) -> bytes:
        """Return hashes of a tile level, as they come."""
        return await self._reader.hashes(level, start, end, size)

    async def blob(self, digest: bytes) -> bytes | None:
        """Return an issuer certificate, as it comes: the caller hashes it."""
        return await self._reader.blob(digest)

    async def entries(self, start: int, end: int, size: int) -> list[bytes]:
        """Return rows that lead to the root; raise `BadProof` or `Malformed` where they do not."""
        if size != self._size:
            raise AssertionError("another size than the one that was verified")
        first, last = start // TILE_WIDTH * TILE_WIDTH, min(-(-end // TILE_WIDTH) * TILE_WIDTH, size)
        rows = await self._reader.entries(first, last, size)
        if len(rows) != last - first:
            raise Malformed(f"{len(rows)} entries where {last - first} must be, from {first} on")
        known = _Known(self._reader, first, [leaf_hash(self._family.leaf_input(row)) for row in rows])
        for at in _blocks(first, last):
            path = await prover.inclusion(known, at, size)
            verify_inclusion(at, size, known.leaves[at - first], path, self._root)
        return rows[start - first : end - first]


class _Known:
    """A reader to which the hashes of some leaves are known."""

    def __init__(self, reader: LogReader, first: int, leaves: list[bytes]) -> None:
        self._reader = reader
        self._first = first
        self.leaves = leaves
        self.checkpoint, self.witnessed = reader.checkpoint, reader.witnessed
        self.entries, self.blob = reader.entries, reader.blob

    async def hashes(self, level: int, start: int, end: int, size: int) -> bytes:
        if level == 0 and self._first <= start and end <= self._first + len(self.leaves):
            return b"".join(self.leaves[start - self._first : end - self._first])
        return await self._reader.hashes(level, start, end, size)


def _blocks(first: int, last: int) -> Iterator[int]:
    """Iterate over the beginnings of the perfect subtrees of at most a tile that [first, last) is made of."""
    while first < last:
        width = min(TILE_WIDTH, 1 << (last - first).bit_length() - 1)
        yield first
        first += width
