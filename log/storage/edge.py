"""The hashes of a tree that a data store holds: full tiles are rows, and the rest is its right edge.

Whoever holds the edge of a size serves the partial tiles of that size and of every smaller one; none is stored.
"""

from log.errors import StoreMissing
from log.formats.family import Family
from log.merkle.hashing import HASH_SIZE, leaf_hash
from log.merkle.tiles import TILE_HEIGHT, TILE_WIDTH, Edge, fold
from log.storage import DataStore


async def load_edge(family: Family, data: DataStore, size: int) -> Edge:
    """Rebuild the right edge at `size`: level 0 from the last entries, every level above from full tiles."""
    levels: list[bytes] = []
    level = 0
    while size >> (TILE_HEIGHT * level):
        end = size >> (TILE_HEIGHT * level)
        start = end - end % TILE_WIDTH
        if level == 0:
            rows = await data.entries(start, end)
            hashes = [leaf_hash(family.leaf_input(row)) for row in rows]
        else:
            hashes = [
                fold(await data.hashes(level - 1, n * TILE_WIDTH, (n + 1) * TILE_WIDTH)) for n in range(start, end)
            ]
        levels.append(b"".join(hashes))
        level += 1
    return Edge(size, tuple(levels))


async def read_hashes(data: DataStore, edge: Edge, level: int, start: int, end: int) -> bytes:
    """Return the hashes start <= i < end of a tile level of the tree that ends in `edge`, 32 bytes each."""
    full = edge.size >> (TILE_HEIGHT * (level + 1)) << TILE_HEIGHT  # hashes in full tiles
    if end <= full:
        return await data.hashes(level, start, end)
    rest = edge.levels[level][max(0, start - full) * HASH_SIZE : (end - full) * HASH_SIZE]
    return rest if start >= full else await data.hashes(level, start, full) + rest


async def held_rows(data: DataStore) -> int:
    """Return how many rows a store holds from index 0 on: each batch is durable before the next, so none is absent."""

    async def holds(index: int) -> bool:
        try:
            await data.entries(index, index + 1)
        except StoreMissing:
            return False
        return True

    end = 1
    while await holds(end - 1):
        end *= 2
    start = end // 2  # so many are there, and `end` are not
    while start < end - 1:
        middle = (start + end) // 2
        if await holds(middle - 1):
            start = middle
        else:
            end = middle
    return start
