"""Hash tiles of c2sp.org/tlog-tiles: their paths, their widths, and the right edge by which a tree grows.

A tile holds up to 256 hashes. Tile n of level l holds the hashes of the perfect subtrees over 256^l leaves,
number 256·n to 256·n + 255: each hash above level 0 is the root of one full tile below. A tile that is not
yet full is partial; its width follows from the tree's size, so a reader never asks for one by guess.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Self

from log.errors import Malformed
from log.merkle.hashing import EMPTY_ROOT, HASH_SIZE, split_hashes
from log.merkle.proof import Span

TILE_HEIGHT = 8  # levels of the tree in one tile
TILE_WIDTH = 1 << TILE_HEIGHT  # hashes in a full tile
TILE_BYTES = TILE_WIDTH * HASH_SIZE
MAX_LEVEL = 63  # tlog-tiles: <L> is 0 to 63
MAX_NUMBER = 2**63 - 1

# Every word of a path that there can be: paths are read once per tile served, and a look-up is the fastest
# way to take nothing else.
_LEVELS = {str(level): level for level in range(MAX_LEVEL + 1)}
_WIDTHS = {str(width): width for width in range(1, TILE_WIDTH)}
_LAST_GROUP = {f"{n:03}": n for n in range(1000)}
_GROUPS = {f"x{n:03}": n for n in range(1000)}


@dataclass(frozen=True, slots=True)
class Tile:
    """The place of a hash tile, and how many hashes it holds."""

    level: int  # 0 <= level <= 63
    n: int  # 0 <= n < 2**63
    width: int = TILE_WIDTH  # 1 <= width <= 256; below 256 the tile is partial

    def path(self) -> str:
        """Return the path below the log's prefix, as `tile/0/x001/234.p/5`."""
        return f"tile/{self.level}/{numbered(self.n, self.width)}"


# --- paths ------------------------------------------------------------------------------------------------


def number_path(n: int) -> str:
    """Return a tile number in groups of three digits: 1234067 is `x001/x234/067`."""
    *upper, last = f"{n:,}".split(",")
    return "".join(f"x{group:0>3}/" for group in upper) + f"{last:0>3}"


def parse_number(text: str) -> int:
    """Return the number that `number_path` writes so; `Malformed` for any other text."""
    *upper, last = text.split("/", 7)  # 2**63 has seven groups
    n = 0
    try:
        for group in upper:
            n = n * 1000 + _GROUPS[group]
        n = n * 1000 + _LAST_GROUP[last]
    except KeyError:
        raise Malformed("not a tile number") from None
    if n > MAX_NUMBER or (upper and upper[0] == "x000"):
        raise Malformed("not a tile number")
    return n


def numbered(n: int, width: int = TILE_WIDTH) -> str:
    """Return how the path of any kind of tile ends: `x001/234` when full, `x001/234.p/5` when partial."""
    return number_path(n) if width == TILE_WIDTH else f"{number_path(n)}.p/{width}"


def parse_numbered(text: str) -> tuple[int, int]:
    """Return (n, width) of what `numbered` writes; `Malformed` for any other text."""
    number, partial, width = text.partition(".p/")
    if not partial:
        return parse_number(number), TILE_WIDTH
    if width not in _WIDTHS:
        raise Malformed("not a partial tile's width")
    return parse_number(number), _WIDTHS[width]


def parse_tile(level: str, number: str) -> Tile:
    """Return the tile of the path `tile/<level>/<number>`, whose number may end in `.p/<width>`."""
    if level not in _LEVELS:
        raise Malformed("not a tile level")
    n, width = parse_numbered(number)
    return Tile(_LEVELS[level], n, width)


# --- which tiles a tree has -------------------------------------------------------------------------------


def partial_width(level: int, size: int) -> int:
    """Return how many hashes a tree of `size` leaves has in its incomplete tile of a level; 0 when none."""
    return (size >> TILE_HEIGHT * level) % TILE_WIDTH


def tile_at(level: int, n: int, size: int) -> Tile | None:
    """Return a tile as it stands in a tree of `size` leaves, or None before its first hash is there."""
    width = min((size >> TILE_HEIGHT * level) - n * TILE_WIDTH, TILE_WIDTH)
    return Tile(level, n, width) if width > 0 else None


def completed(level: int, old_size: int, new_size: int) -> range:
    """Return the numbers of the tiles that became full while the tree grew."""
    height = TILE_HEIGHT * (level + 1)
    return range(old_size >> height, new_size >> height)


def locate(span: Span) -> tuple[int, int, int]:
    """Return (level, start, end): the run of hashes of one tile of that level which folds to the span's hash.

    `start` and `end` count hashes from the beginning of the level. The run has 2^0 to 2^7 hashes, and since
    it starts at a multiple of its length it never crosses from one tile into the next.
    """
    level = ((span.end - span.start).bit_length() - 1) // TILE_HEIGHT
    return level, span.start >> TILE_HEIGHT * level, span.end >> TILE_HEIGHT * level


# --- hashes of tiles --------------------------------------------------------------------------------------


def fold(hashes: bytes | Sequence[bytes]) -> bytes:
    """Return the root over a perfect run of 2^k neighbouring hashes, given as a list or concatenated."""
    nodes = split_hashes(hashes) if isinstance(hashes, bytes) else hashes
    if len(nodes).bit_count() != 1:
        raise AssertionError(f"{len(nodes)} hashes are no perfect subtree")
    return _fold(nodes)


def heights(tile: bytes) -> tuple[bytes, ...]:
    """Return the hashes of a full tile and of the nodes above them: 256, 128, … 2; what they fold to is not there."""
    nodes = split_hashes(tile)
    found = []
    while len(nodes) > 1:
        found.append(b"".join(nodes))
        nodes = _parents(nodes)
    return tuple(found)


def _parents(nodes: Sequence[bytes]) -> list[bytes]:
    """Return one level up. A node without a right neighbour rises as it is (RFC 6962 §2.1: no padding)."""
    pairs = iter(nodes)
    parents = [sha256(b"\x01" + left + right).digest() for left, right in zip(pairs, pairs, strict=False)]
    return [*parents, nodes[-1]] if len(nodes) % 2 else parents


def _fold(nodes: Sequence[bytes]) -> bytes:
    while len(nodes) > 1:
        nodes = _parents(nodes)
    return nodes[0]


@dataclass(frozen=True, slots=True)
class Edge:
    """The right edge of a tiled tree: the hashes of each level's incomplete tile. All that growing needs."""

    size: int = 0
    levels: tuple[bytes, ...] = ()  # levels[l]: 32 · partial_width(l, size) bytes; as many levels as have a hash

    def __post_init__(self) -> None:
        count = -(-self.size.bit_length() // TILE_HEIGHT)
        widths = [HASH_SIZE * partial_width(level, self.size) for level in range(count)]
        if self.size < 0 or [len(hashes) for hashes in self.levels] != widths:
            raise Malformed(f"these hashes are not the edge of a tree of {self.size} leaves")

    def grow(self, leaf_hashes: Sequence[bytes]) -> tuple[Self, list[tuple[int, int, bytes]]]:
        """Return the edge after more leaves, and the tiles now full: (level, n, 8,192 bytes), lowest first.

        The edge itself stays as it was, so a caller whose write fails still holds the tree it had.
        """
        levels: list[bytes] = []
        tiles: list[tuple[int, int, bytes]] = []
        added = leaf_hashes
        while added or len(levels) < len(self.levels):
            level = len(levels)
            held = self.levels[level] if level < len(self.levels) else b""
            nodes = [*split_hashes(held), *added]
            full = len(nodes) - len(nodes) % TILE_WIDTH
            first = self.size >> TILE_HEIGHT * (level + 1)
            tiles += [
                (level, first + i // TILE_WIDTH, b"".join(nodes[i : i + TILE_WIDTH]))
                for i in range(0, full, TILE_WIDTH)
            ]
            levels.append(b"".join(nodes[full:]))
            added = nodes[:full]
            for _ in range(TILE_HEIGHT):  # all full tiles of the level at once: one hash is left of each
                added = _parents(added)
        return type(self)(self.size + len(leaf_hashes), tuple(levels)), tiles

    def root(self) -> bytes:
        """Return MTH of the whole tree (RFC 6962 §2.1), in at most 256 hashes a level.

        What lies right of a level's last full tile is a single, smaller subtree: it joins the hashes of the
        level above as their last.
        """
        right: list[bytes] = []
        for hashes in self.levels:
            nodes = [*split_hashes(hashes), *right]
            right = [_fold(nodes)] if nodes else []
        return right[0] if right else EMPTY_ROOT
