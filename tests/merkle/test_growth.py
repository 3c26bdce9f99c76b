"""Frontier and tile edge: two ways to grow a tree, however the leaves are cut into batches."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from log.errors import Malformed
from log.merkle import proof, tiles
from log.merkle.frontier import Frontier
from log.merkle.hashing import EMPTY_ROOT, HASH_SIZE, leaf_hash
from log.merkle.tiles import Edge
from tests.support import rfc6962

LEAVES = [leaf_hash(i.to_bytes(4)) for i in range(70_000)]


def frontier_of(size: int) -> Frontier:
    frontier = Frontier.empty()
    frontier.extend(LEAVES[:size])
    return frontier


def test_both_have_the_rfcs_root_at_every_small_size() -> None:
    frontier, edge = Frontier.empty(), Edge()
    entries = [i.to_bytes(4) for i in range(300)]
    for size in range(len(entries) + 1):
        expected = rfc6962.mth(entries[:size])
        assert frontier.root() == edge.root() == expected
        assert (frontier.size, edge.size) == (size, size)
        assert proof.fold_root(size, frontier.hashes) == expected
        frontier.append(LEAVES[size])
        edge, _ = edge.grow([LEAVES[size]])


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 3_000) | st.sampled_from([255, 256, 257, 65_535]), max_size=12))
def test_an_edge_grows_the_same_however_the_leaves_are_cut(batches: list[int]) -> None:
    edge = Edge()
    levels: dict[int, list[bytes]] = {}
    for batch in batches:
        added = LEAVES[edge.size : edge.size + batch]
        before = edge
        edge, full = edge.grow(added)
        for level in range(4):
            numbers = [n for at, n, _ in full if at == level]
            assert numbers == list(tiles.completed(level, before.size, edge.size))
        for level, n, data in full:
            assert len(data) == tiles.TILE_BYTES
            assert n == len(levels.setdefault(level, []))
            levels[level].append(data)
    whole, all_tiles = Edge().grow(LEAVES[: edge.size])
    assert edge == whole
    assert {(level, n): data for level, n, data in all_tiles} == {
        (level, n): data for level, row in levels.items() for n, data in enumerate(row)
    }
    assert edge.root() == frontier_of(edge.size).root()
    # tlog-tiles: a hash above level 0 is the root of the full tile below it, also at the edge
    for level, row in levels.items():
        above = b"".join(levels.get(level + 1, [])) + edge.levels[level + 1]
        assert above == b"".join(tiles.fold(data) for data in row)
    assert b"".join(levels.get(0, [])) + b"".join(edge.levels[:1]) == b"".join(LEAVES[: edge.size])


@pytest.mark.parametrize("size", [256, 65_535, 65_536, 65_537, 69_999])
def test_the_root_comes_from_the_edge_alone(size: int) -> None:
    edge, _ = Edge().grow(LEAVES[:size])
    assert Edge(edge.size, edge.levels).root() == frontier_of(size).root()
    assert len(edge.levels) == (2 if size < 65_536 else 3)
    assert [len(each) // HASH_SIZE for each in edge.levels] == [
        tiles.partial_width(level, size) for level in range(len(edge.levels))
    ]


def test_growing_leaves_the_old_edge_as_it_was() -> None:
    edge, _ = Edge().grow(LEAVES[:300])
    levels = edge.levels
    edge.grow(LEAVES[300:900])
    assert (edge.size, edge.levels) == (300, levels)


@pytest.mark.parametrize(
    ("size", "levels"),
    [(0, (b"",)), (1, ()), (1, (b"\0" * 64,)), (256, (b"",)), (-1, (bytes(32 * 255),)), (1, (b"\0" * 32, b""))],
)
def test_an_edge_of_another_size_is_malformed(size: int, levels: tuple[bytes, ...]) -> None:
    with pytest.raises(Malformed):
        Edge(size, levels)


@given(st.integers(0, 5_000))
def test_a_frontier_goes_on_from_its_bytes(size: int) -> None:
    frontier = frontier_of(size)
    again = Frontier.decode(size, frontier.encode())
    assert again.encode() == frontier.encode()
    for each in (frontier, again):
        each.append(LEAVES[0])
    assert again.root() == frontier.root()


@pytest.mark.parametrize(("size", "length"), [(0, 32), (1, 0), (3, 32), (3, 63), (3, 96), (-1, 32)])
def test_a_frontier_with_another_number_of_hashes_is_malformed(size: int, length: int) -> None:
    with pytest.raises(Malformed):
        Frontier.decode(size, bytes(length))


def test_a_copy_of_a_frontier_has_a_life_of_its_own() -> None:
    frontier = frontier_of(7)
    copy = frontier.copy()
    copy.append(LEAVES[7])
    assert (frontier.size, copy.size) == (7, 8)
    assert frontier.root() == frontier_of(7).root()
    assert Frontier.empty().root() == EMPTY_ROOT


@pytest.mark.parametrize("count", [1, 2, 16, 256])
def test_fold_is_the_root_of_a_perfect_run(count: int) -> None:
    run = LEAVES[:count]
    assert tiles.fold(run) == tiles.fold(b"".join(run)) == frontier_of(count).root()


@pytest.mark.parametrize("count", [0, 3, 255])
def test_fold_of_any_other_run_is_our_own_bug(count: int) -> None:
    with pytest.raises(AssertionError):
        tiles.fold(LEAVES[:count])
