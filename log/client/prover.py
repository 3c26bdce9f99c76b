"""Proofs and roots from a log's hash tiles: plan, read each tile once, fold (log/merkle/proof.py).

What comes out is as good as what was read. Whoever did not make the tiles verifies the proof.
"""

from collections.abc import Sequence

from log.client import LogReader
from log.errors import Malformed
from log.merkle import proof, tiles
from log.merkle.hashing import HASH_SIZE
from log.merkle.proof import Span


async def inclusion(reader: LogReader, index: int, size: int) -> list[bytes]:
    """Return the inclusion proof of leaf `index` in the tree of `size` leaves; 0 <= index < size."""
    hashes = await read_spans(reader, proof.inclusion_spans(index, size), size)
    return proof.fold_inclusion(index, size, hashes)


async def consistency(reader: LogReader, old: int, size: int) -> list[bytes]:
    """Return the consistency proof between two sizes; 0 <= old <= size.

    It is empty from 0, as tlog-witness has it, and between equal sizes.
    """
    if old == 0:
        return []
    hashes = await read_spans(reader, proof.consistency_spans(old, size), size)
    return proof.fold_consistency(old, size, hashes)


async def root(reader: LogReader, size: int) -> bytes:
    """Return the root of the tree of `size` leaves."""
    return proof.fold_root(size, await read_spans(reader, proof.root_spans(size), size))


async def subtree(reader: LogReader, start: int, end: int, size: int) -> bytes:
    """Return the hash of a subtree that RFC 6962 names, over the leaves [start, end) of a tree of `size`."""
    return proof.fold_subtree(start, end, await read_spans(reader, proof.subtree_spans(start, end), size))


async def read_spans(reader: LogReader, spans: Sequence[Span], size: int) -> list[bytes]:
    """Return the hashes of perfect subtrees, in the order of `spans`; every tile is read once, in one run."""
    runs = [tiles.locate(span) for span in spans]
    bounds: dict[tuple[int, int], tuple[int, int]] = {}  # tile -> the run of its hashes that holds all we need
    for level, start, end in runs:
        tile = level, start // tiles.TILE_WIDTH
        low, high = bounds.get(tile, (start, end))
        bounds[tile] = min(low, start), max(high, end)
    read = {}
    for (level, n), (low, high) in bounds.items():
        hashes = await reader.hashes(level, low, high, size)
        if len(hashes) != HASH_SIZE * (high - low):
            raise Malformed(f"{len(hashes)} bytes for {high - low} hashes of level {level}")
        read[level, n] = low, hashes
    found = []
    for level, start, end in runs:
        low, hashes = read[level, start // tiles.TILE_WIDTH]
        found.append(tiles.fold(hashes[HASH_SIZE * (start - low) : HASH_SIZE * (end - low)]))
    return found
