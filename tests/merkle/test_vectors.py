"""Values that others printed and signed: `tests/vectors/merkle`, and a real log from the shared data."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from log.merkle import tiles
from log.merkle.frontier import Frontier
from log.merkle.hashing import leaf_hash
from log.merkle.tiles import Edge
from tests.support.shared import data

VECTORS = Path(__file__).parents[1] / "vectors" / "merkle"


def vector(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((VECTORS / name).read_text())
    return found


def unbundle(bundle: bytes) -> list[bytes]:
    """tlog-tiles: an entry bundle is {u16 length, entry} over and over."""
    entries = []
    while bundle:
        end = 2 + int.from_bytes(bundle[:2])
        entries.append(bundle[2:end])
        bundle = bundle[end:]
    return entries


def test_every_vector_says_where_it_comes_from() -> None:
    for file in VECTORS.glob("*.json"):
        assert len(vector(file.name)["source"]) > 80


def test_roots() -> None:
    case = vector("roots.json")
    frontier = Frontier.empty()
    assert frontier.root().hex() == case["roots"][0]
    for entry, root in zip(case["leaves"], case["roots"][1:], strict=True):
        frontier.append(leaf_hash(bytes.fromhex(entry)))
        assert frontier.root().hex() == root


def test_tile_numbers() -> None:
    for number, path in vector("tiles.json")["numbers"].items():
        assert tiles.number_path(int(number)) == path
        assert tiles.parse_number(path) == int(number)


def test_tiles_of_a_tree() -> None:
    for size, levels in vector("tiles.json")["trees"].items():
        for level, (full, width) in levels.items():
            assert tiles.completed(int(level), 0, int(size)) == range(full)
            assert tiles.partial_width(int(level), int(size)) == width
        assert tiles.partial_width(len(levels), int(size)) == 0


def test_a_log_of_three_entries() -> None:
    case = vector("tiles.json")["log"]
    entries = unbundle(bytes.fromhex(case["bundle"]))
    assert entries == [b"one", b"two", b"three"]
    edge, _ = Edge().grow([leaf_hash(entry) for entry in entries])
    assert edge.root() == base64.b64decode(case["root"])


@pytest.mark.parametrize("size", range(16))
def test_a_real_tiled_log_at_every_size(size: int) -> None:
    folder = data("vectors/tessera-log")
    _, number, root, *_ = (folder / f"checkpoint.{size}").read_text().split("\n")
    assert int(number) == size
    entries = unbundle((folder / f"tile/entries/000.p/{size}").read_bytes()) if size else []
    edge, _ = Edge().grow([leaf_hash(entry) for entry in entries])
    assert edge.root() == base64.b64decode(root)
    if size:
        assert edge.levels[0] == (folder / tiles.Tile(0, 0, size).path()).read_bytes()
