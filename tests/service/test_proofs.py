"""Proofs out of what is remembered are those that are read and folded anew, whatever was forgotten in between."""

from collections.abc import Sequence
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from log.client.prover import inclusion, subtree
from log.merkle.hashing import leaf_hash
from log.merkle.tiles import TILE_WIDTH, Edge
from log.service import proofs
from log.service.proofs import EXPANDED_BYTES, Proofs, Sources

SIZE = 2 * TILE_WIDTH**2 + 3 * TILE_WIDTH + 21  # two full tiles of level 1, and a ragged edge on three levels


class Tree:
    """The hashes of a tree, as a `LogReader` gives them; counts what is read."""

    def __init__(self, size: int) -> None:
        edge, self.read = Edge(), 0
        edge, full = edge.grow([leaf_hash(n.to_bytes(4)) for n in range(size)])
        self.tiles = {(level, n): tile for level, n, tile in full}
        self.tiles |= {(level, edge.size >> 8 * (level + 1)): part for level, part in enumerate(edge.levels)}

    async def hashes(self, level: int, start: int, end: int, size: int) -> bytes:
        self.read += 1
        assert end << 8 * level <= size
        tile = self.tiles[level, start // TILE_WIDTH]
        return tile[start % TILE_WIDTH * 32 : ((end - 1) % TILE_WIDTH + 1) * 32]

    async def full(self, level: int, n: int) -> bytes:
        self.read += 1
        return self.tiles[level, n]

    def proofs(self, cache_bytes: int) -> Proofs:
        return Proofs(Sources(self.full, partial(subtree, self)), cache_bytes)  # type: ignore[arg-type]


TREE = Tree(SIZE)
SIZES = st.one_of(st.integers(1, SIZE), st.integers(1, 1 << 17).map(lambda n: SIZE - n).filter(lambda n: n > 0))


@settings(deadline=None)
@given(
    st.lists(st.tuples(SIZES, SIZES, st.floats(0, 1)), min_size=1, max_size=12),
    st.sampled_from([1, 3 * EXPANDED_BYTES, 64 << 20]),
)
async def test_every_proof_is_the_one_that_is_read_anew(asked: Sequence[tuple[int, int, float]], room: int) -> None:
    kept = TREE.proofs(room)
    for one, other, part in asked:
        size, published = sorted((one, other))
        index = min(int(part * size), size - 1)
        found = await kept.inclusion(index, size, published)
        assert found == await inclusion(TREE, index, size)  # type: ignore[arg-type]


async def test_what_is_remembered_is_not_read_again_and_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = TREE.proofs(4 * EXPANDED_BYTES)
    await kept.inclusion(5, SIZE, SIZE)
    before = TREE.read
    await kept.inclusion(6, SIZE, SIZE)
    assert TREE.read == before
    monkeypatch.setattr(proofs, "MAX_OTHERS", 8)
    for index in range(0, SIZE, TILE_WIDTH * 7 + 1):
        await kept.inclusion(index, SIZE, SIZE)
        assert len(kept._tiles) <= 4
        assert len(kept._others) <= 8 + 1
