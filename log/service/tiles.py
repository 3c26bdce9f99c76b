"""The tiles of one log as they are served (c2sp.org/tlog-tiles, c2sp.org/static-ct-api), and what is kept of them.

A full tile never changes, so it is kept, within a bound of bytes: hash tiles as they are, data tiles as gzip, which
costs more to make than to send.
"""

import asyncio
import gzip
from collections import OrderedDict
from collections.abc import Callable, Mapping

from log.errors import NotFound
from log.formats.bundle import encode_bundle
from log.formats.family import Family
from log.merkle.hashing import HASH_SIZE
from log.merkle.tiles import TILE_BYTES, TILE_WIDTH
from log.service.reading import CacheReading
from log.service.tree import StoredTree

GZIP_LEVEL = 6  # data tiles hold hashes and signatures; higher levels cost time and gain nothing


class Tiles:
    """Reads below the published size, which is what `size()` returns at the time."""

    def __init__(
        self, tree: StoredTree, family: Family, size: Callable[[], int], hash_cache_bytes: int, gzip_cache_bytes: int
    ) -> None:
        self._tree = tree
        self._family = family
        self._size = size
        self._hash_limit, self._gzip_limit = hash_cache_bytes, gzip_cache_bytes
        self._gzip: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._gzip_bytes = 0
        self._gzip_hits = self._gzip_misses = 0
        self._hashes: dict[tuple[int, int], bytes] = {}
        self._hash_hits = self._hash_misses = 0

    def caches(self) -> Mapping[str, CacheReading]:
        """Return the numbers of this moment, by the caches' names in the metrics."""
        return {
            "gzip": CacheReading(self._gzip_bytes, self._gzip_hits, self._gzip_misses),
            "tile": CacheReading(len(self._hashes) * TILE_BYTES, self._hash_hits, self._hash_misses),
        }

    async def hash_tile(self, level: int, n: int, width: int) -> bytes:
        """Return `width` hashes of tile `n`; `NotFound` unless some published size implies it."""
        tile = self._hashes.get((level, n))
        if tile is not None:
            self._hash_hits += 1
            return tile if width == TILE_WIDTH else tile[: width * HASH_SIZE]
        start = n * TILE_WIDTH
        tile = await self._tree.hashes(level, start, start + width, self._size())
        if width == TILE_WIDTH:  # the oldest leave first
            self._hash_misses += 1
            while len(self._hashes) * TILE_BYTES >= self._hash_limit:
                del self._hashes[next(iter(self._hashes))]
            self._hashes[level, n] = tile
        return tile

    async def entry_tile(self, kind: str, n: int, width: int) -> bytes:
        """Return `width` entries as a static-ct data tile ("data") or a tlog-tiles entry bundle ("entries").

        The bundle of a certificate log holds its MerkleTreeLeaf bytes: the same tree for readers that know
        nothing of certificates. `NotFound` beyond the published size, and for a kind the family lacks.
        """
        if kind not in ("entries", self._family.tile):
            raise NotFound(f"a {self._family.name} log has no tile/{kind}")
        start = n * TILE_WIDTH
        rows = await self._tree.entries(start, start + width, self._size())
        if kind == self._family.tile:
            return self._family.join(rows)
        return encode_bundle([self._family.leaf_input(row) for row in rows])

    async def entry_tile_gzip(self, kind: str, n: int) -> bytes:
        """Return a full tile as gzip: compressed once, off the event loop, then kept."""
        cached = self._gzip.get((kind, n))
        if cached is not None:
            self._gzip_hits += 1
            self._gzip.move_to_end((kind, n))
            return cached
        tile = await self.entry_tile(kind, n, TILE_WIDTH)
        self._gzip_misses += 1
        packed = await asyncio.to_thread(gzip.compress, tile, GZIP_LEVEL, mtime=0)
        if (kind, n) not in self._gzip:
            self._gzip[kind, n] = packed
            self._gzip_bytes += len(packed)
        while self._gzip_bytes > self._gzip_limit:
            self._gzip_bytes -= len(self._gzip.popitem(last=False)[1])
        return packed
