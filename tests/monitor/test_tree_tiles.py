"""Of the hash tiles that a log serves, the one that is shown as wrong is the one that fits nothing above it."""

from hashlib import sha256

import pytest

from log.evidence.heads import Head
from log.formats.family import X509
from log.merkle.hashing import HASH_SIZE
from log.merkle.tiles import TILE_BYTES, fold
from monitor.tree_tiles import TreeTiles, edges, tiles_of
from tests.support.memory_log import ORIGIN, MemoryLog

SIZE = 65_536 + 600  # a full tile of level 1, and an edge of three tiles
LEAVES = [sha256(b"%d" % i).digest() for i in range(SIZE)]
EDGE = "tile/0/258.p/88 + tile/1/001.p/2 + tile/2/000.p/1"


@pytest.fixture
def served() -> MemoryLog:
    return MemoryLog(X509, [])


@pytest.fixture
def head(served: MemoryLog) -> Head:
    return Head(ORIGIN, SIZE, served.rebuild(LEAVES), (), b"", b"")


def spoil(served: MemoryLog, level: int, at: int) -> None:
    """Change one byte of a hash of a level."""
    served.levels[level][HASH_SIZE * at + 3] ^= 1


async def first_wrong(served: MemoryLog, head: Head, n: int) -> str:
    """Return what is shown when tile `n` of level 0 is not the tree's; "" where it is."""
    found = await tiles_of(served, head)
    if not isinstance(found, TreeTiles):
        return found[0]
    if await found.tile(0, n) is not None:
        return ""
    path, data = found.shown()
    level = int(path.split("/")[1])
    assert data == served.levels[level][TILE_BYTES * (n >> 8 * level) :][:TILE_BYTES]
    return path


async def test_a_tile_that_fits_is_shown_to_nobody(served: MemoryLog, head: Head) -> None:
    assert edges(SIZE) == [(2, 0), (1, 1), (0, 258)]
    assert [await first_wrong(served, head, n) for n in (0, 5, 255, 256, 258)] == [""] * 5


async def test_the_one_below_those_that_fit_is_shown(served: MemoryLog, head: Head) -> None:
    spoil(served, 0, 5 * 256 + 9)
    assert [await first_wrong(served, head, n) for n in (4, 5, 256)] == ["", "tile/0/005", ""]
    served.levels[1][HASH_SIZE * 5 : HASH_SIZE * 6] = fold(bytes(served.levels[0][TILE_BYTES * 5 : TILE_BYTES * 6]))
    assert [await first_wrong(served, head, n) for n in (4, 5, 256)] == ["tile/1/000", "tile/1/000", ""]


@pytest.mark.parametrize(("level", "at"), [(0, 258 * 256), (1, 256), (2, 0)])
async def test_an_edge_that_does_not_lead_to_the_root_is_shown_whole(
    served: MemoryLog, head: Head, level: int, at: int
) -> None:
    spoil(served, level, at)
    assert await tiles_of(served, head) == (
        EDGE,
        bytes(served.levels[0][TILE_BYTES * 258 :] + served.levels[1][TILE_BYTES:] + served.levels[2]),
    )


@pytest.mark.parametrize(("level", "path"), [(0, "tile/0/258.p/88"), (1, "tile/1/001.p/2"), (2, "tile/2/000.p/1")])
async def test_of_an_edge_that_is_not_whole_what_is_not_there_is_shown(
    served: MemoryLog, head: Head, level: int, path: str
) -> None:
    del served.levels[level][-HASH_SIZE:]
    assert await first_wrong(served, head, 0) == path
