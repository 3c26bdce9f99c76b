"""Tile paths: what a path says, and that no other spelling says it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from log.errors import Malformed
from log.merkle import tiles
from log.merkle.tiles import Tile

PLACES = st.builds(Tile, st.integers(0, 63), st.integers(0, 2**63 - 1), st.integers(1, 256))


@given(PLACES)
def test_a_tile_reads_back_from_its_path(tile: Tile) -> None:
    prefix, level, number = tile.path().split("/", 2)
    assert prefix == "tile"
    assert tiles.parse_tile(level, number) == tile


@given(st.text("0123456789x/.p", max_size=24) | st.text(max_size=8))
def test_whatever_is_accepted_is_written_the_same(text: str) -> None:
    try:
        n, width = tiles.parse_numbered(text)
    except Malformed:
        return
    assert tiles.numbered(n, width) == text


@pytest.mark.parametrize(
    "number",
    [
        "", "0", "00", "0000", "x000", "x000/000", "000/000", "x001/", "/001", "x1/000", "X001/000", "001\n",
        " 001", "٠٠١", "+01", "1_0", "x001/x000/x000", "x009/x223/x372/x036/x854/x775/808",
        "x001/x000/x000/x000/x000/x000/x000/000", "000.p", "000.p/", "000.p/0", "000.p/256", "000.p/01",
        "000.p/1/", "000.p/1.p/1", "000.p/-1", "000.p/٣", "000.q/1", "000.p/999",
    ],
)  # fmt: skip
def test_other_spellings_of_a_number_are_malformed(number: str) -> None:
    with pytest.raises(Malformed):
        tiles.parse_numbered(number)


@pytest.mark.parametrize("level", ["", "00", "01", "64", "100", "-1", "+1", " 1", "1 ", "٣", "data", "1_0"])
def test_other_levels_are_malformed(level: str) -> None:
    with pytest.raises(Malformed):
        tiles.parse_tile(level, "000")


@given(st.integers(0, 2**40), st.integers(0, 5))
def test_the_partial_tile_is_the_last_and_nothing_lies_behind_it(size: int, level: int) -> None:
    hashes = size >> 8 * level
    full, width = divmod(hashes, 256)
    assert tiles.partial_width(level, size) == width
    assert tiles.tile_at(level, full, size) == (Tile(level, full, width) if width else None)
    assert tiles.tile_at(level, full + 1, size) is None
    if full:
        assert tiles.tile_at(level, full - 1, size) == Tile(level, full - 1)
