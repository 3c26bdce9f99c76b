"""Inclusion proofs by the thousand: the nodes inside full tiles are computed once, then looked up.

`log.client.prover` plans, reads and folds for any reader and any proof. A node is asked for one inclusion proof
after the other over the same tree, whose perfect subtrees never change: so it remembers their hashes. A proof is the
eight hashes below the top of its leaf's tile, and the way on from there, which all leaves of a tile share. What is
remembered is bounded, and derived from tiles: it is nothing that a proof has to trust.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from log.merkle.hashing import HASH_SIZE
from log.merkle.proof import siblings
from log.merkle.tiles import TILE_HEIGHT, TILE_WIDTH, heights

EXPANDED_BYTES = 2 * TILE_WIDTH * HASH_SIZE  # of the nodes in one full tile
MAX_OTHERS = 4096  # remembered hashes of nodes outside full tiles, about 200 bytes each
MAX_WAYS = 4096  # remembered ways from the top of a tile to a root, about 1 KB each

# Where the siblings of the n-th leaf of a full tile stand, one for each of the heights of `merkle.tiles.heights`.
_WITHIN = tuple(
    tuple(slice((n >> h ^ 1) * HASH_SIZE, ((n >> h ^ 1) + 1) * HASH_SIZE) for h in range(TILE_HEIGHT))
    for n in range(TILE_WIDTH)
)


@dataclass(frozen=True, slots=True)
class Sources:
    """Where hashes come from. All are asked below the published size only."""

    tile: Callable[[int, int], Awaitable[bytes]]  # (level, n) -> a full tile
    root: Callable[[int, int, int], Awaitable[bytes]]  # (start, end, size) -> hash over these leaves


class Proofs:
    """The inclusion proofs of one log."""

    def __init__(self, sources: Sources, cache_bytes: int) -> None:
        self._sources = sources
        self.hits = self.misses = 0  # look-ups of full tiles
        self._limit = max(1, cache_bytes // EXPANDED_BYTES)
        self._tiles: OrderedDict[tuple[int, int], tuple[bytes, ...]] = OrderedDict()  # heights 0 to 7 of a tile
        self._others: OrderedDict[tuple[int, int], bytes] = OrderedDict()  # by leaves [start, end)
        self._ways: OrderedDict[tuple[int, int], list[bytes]] = OrderedDict()  # by number of a tile, and size

    @property
    def kept_bytes(self) -> int:
        """Bytes of the nodes remembered of full tiles."""
        return len(self._tiles) * EXPANDED_BYTES

    async def inclusion(self, index: int, size: int, published: int) -> list[bytes]:
        """Return PATH(index, D[size]), leaf side first; 0 <= index < size <= published, the tree there is."""
        n = index >> TILE_HEIGHT
        if (n + 1) << TILE_HEIGHT > size:  # within a tile that this tree does not fill
            return await self._climb(0, index, size, published)
        tile = await self._full(0, n)
        way = self._ways.get((n, size))
        if way is None:
            way = self._ways[n, size] = await self._climb(TILE_HEIGHT, n, size, published)
            if len(self._ways) > MAX_WAYS:
                self._ways.popitem(last=False)
        return [row[where] for row, where in zip(tile, _WITHIN[index % TILE_WIDTH], strict=True)] + way

    async def leaf(self, index: int, published: int) -> bytes:
        """Return the hash of a leaf; 0 <= index < published, the tree there is."""
        n = index >> TILE_HEIGHT
        if (n + 1) << TILE_HEIGHT > published:
            return await self._other(index, index + 1, published)
        at = index % TILE_WIDTH * HASH_SIZE
        return (await self._full(0, n))[0][at : at + HASH_SIZE]

    async def _climb(self, base: int, start: int, size: int, published: int) -> list[bytes]:
        """Return the siblings from the node `start` of a height up to the root of `size` leaves."""
        found = []
        known = -1  # the level whose tile is at hand: all siblings of a level that are in a tile are in the same
        tile: tuple[bytes, ...] | None = None  # None where that tile is not full
        for above, number in siblings(start, (size - 1 >> base) + 1):
            height = base + above
            level, inside = height // TILE_HEIGHT, height % TILE_HEIGHT
            if level != known:
                known, n = level, number >> TILE_HEIGHT - inside
                full = (n + 1) << TILE_HEIGHT * (level + 1) <= published
                tile = await self._full(level, n) if full else None
            end = number + 1 << height
            if tile is not None and end <= size:
                at = (number & (TILE_WIDTH >> inside) - 1) * HASH_SIZE
                found.append(tile[inside][at : at + HASH_SIZE])
            else:
                found.append(await self._other(number << height, min(end, size), size))
        return found

    async def _full(self, level: int, n: int) -> tuple[bytes, ...]:
        """Return the heights of a full tile."""
        tile = self._tiles.get((level, n))
        if tile is None:
            self.misses += 1
            return await self._expand(level, n)
        self.hits += 1
        return tile

    async def _expand(self, level: int, n: int) -> tuple[bytes, ...]:
        expanded = heights(await self._sources.tile(level, n))
        self._tiles[level, n] = expanded
        if len(self._tiles) > self._limit:
            self._tiles.popitem(last=False)
        return expanded

    async def _other(self, start: int, end: int, size: int) -> bytes:
        known = self._others.get((start, end))
        if known is None:
            known = self._others[start, end] = await self._sources.root(start, end, size)
            if len(self._others) > MAX_OTHERS:
                self._others.popitem(last=False)
        return known
