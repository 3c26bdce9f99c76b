"""The hash tiles that a log serves of one tree: which of them are that tree's, and which is the one that is not.

A root is folded from the incomplete tile of each level, the tree's edge; a full tile folds to one hash of the tile
above it. So each tile is held against what is known above it, and of those that do not fit, the one is shown that lies
below such as do. Where a root is all that is known and the edge does not lead there, any tile of the edge may be what
is wrong: they are shown together.
"""

from collections.abc import Iterable, Mapping

from log.client import LogReader
from log.errors import Malformed, NotFound
from log.evidence.heads import Head
from log.merkle.frontier import Frontier
from log.merkle.hashing import HASH_SIZE
from log.merkle.proof import root_spans
from log.merkle.tiles import TILE_WIDTH, fold, locate, partial_width, tile_at

Place = tuple[int, int]  # level, number
Shown = tuple[str, bytes]  # the path of a tile and the bytes there; of several, joined by ` + `, and end to end


def edges(size: int) -> list[Place]:
    """Return the incomplete tile of each level that has one, in a tree of `size` leaves, the highest first."""
    levels = range(-(-size.bit_length() // 8) - 1, -1, -1)
    return [(level, (size >> 8 * level) // TILE_WIDTH) for level in levels if partial_width(level, size)]


async def tiles_of(reader: LogReader, head: Head) -> "TreeTiles | Shown":
    """Return the tiles of a signed tree, or what of its edge is not there, or does not lead to its root.

    `Unreachable` when there is no answer.
    """
    read = dict[Place, bytes]()
    for level, n in edges(head.size):
        tile = tile_at(level, n, head.size)
        if tile is None:
            raise AssertionError("an edge beyond the tree")
        data = await _hashes(reader, level, n, tile.width, head.size)
        if len(data) != HASH_SIZE * tile.width:
            return tile.path(), data
        read[level, n] = data
    frontier = _frontier(read, head.size)
    if frontier.root() == head.root:
        return TreeTiles(reader, frontier, read)
    lowest_first = sorted(read)
    return _path(lowest_first, head.size), b"".join(read[at] for at in lowest_first)


def _frontier(edge: Mapping[Place, bytes], size: int) -> Frontier:
    """Return the perfect subtrees that whole tiles of an edge fold to."""
    roots = []
    for level, start, end in map(locate, root_spans(size)):
        n = start // TILE_WIDTH
        roots.append(fold(edge[level, n][HASH_SIZE * (start - n * TILE_WIDTH) : HASH_SIZE * (end - n * TILE_WIDTH)]))
    return Frontier.decode(size, b"".join(roots))


async def _hashes(reader: LogReader, level: int, n: int, width: int, size: int) -> bytes:
    """Return what is served of a tile; nothing where it is not there or nothing that can be read."""
    try:
        return await reader.hashes(level, n * TILE_WIDTH, n * TILE_WIDTH + width, size)
    except (Malformed, NotFound):
        return b""


def _path(places: Iterable[Place], size: int) -> str:
    """Return the paths of tiles as they stand in a tree."""
    return " + ".join(tile.path() for at in places if (tile := tile_at(*at, size)) is not None)


class TreeTiles:
    """The tiles of one tree that were read, each held against what is known above it."""

    def __init__(self, reader: LogReader, frontier: Frontier, edge: Mapping[Place, bytes] | None = None) -> None:
        """`frontier` is known to be the tree's; `edge` are tiles that were read already and fold to it."""
        self.wrong: dict[Place, bytes] = {}  # what was served instead
        self.lost: dict[Place, bytes] = {}  # what came of those that did not come whole
        self._reader = reader
        self._size = frontier.size
        self._read: dict[Place, bytes | None] = {**(edge or {})}
        self._roots = [(*locate(s), r) for s, r in zip(root_spans(frontier.size), frontier.hashes, strict=True)]

    def shown(self) -> Shown:
        """Return the first tile that is not the tree's; there must be one."""
        (at, data), *_ = [*self.wrong.items(), *self.lost.items()]
        return _path([at], self._size), data

    async def tile(self, level: int, n: int) -> bytes | None:
        """Return a tile that is the tree's; None where it is not, or where the one above it is not."""
        if (level, n) not in self._read:
            self._read[level, n] = await self._tile(level, n)
        return self._read[level, n]

    async def _tile(self, level: int, n: int) -> bytes | None:
        tile = tile_at(level, n, self._size)
        if tile is None:
            return None
        above = None
        if tile.width == TILE_WIDTH:
            above = await self.tile(level + 1, n // TILE_WIDTH)
            if above is None:
                return None
        data = await _hashes(self._reader, level, n, tile.width, self._size)
        whole = len(data) == HASH_SIZE * tile.width
        if whole and self._is_ours(level, n, data, above):
            return data
        (self.wrong if whole else self.lost)[level, n] = data
        return None

    def _is_ours(self, level: int, n: int, data: bytes, above: bytes | None) -> bool:
        if above is not None:
            at = HASH_SIZE * (n % TILE_WIDTH)
            return fold(data) == above[at : at + HASH_SIZE]
        first = n * TILE_WIDTH
        runs = [(start - first, end - first, root) for held, start, end, root in self._roots if held == level]
        if sum(end - start for start, end, _ in runs) != partial_width(level, self._size):
            raise AssertionError("the frontier does not cover an incomplete tile")
        return all(fold(data[HASH_SIZE * start : HASH_SIZE * end]) == root for start, end, root in runs)
