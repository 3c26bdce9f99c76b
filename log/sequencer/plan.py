"""PURE: a batch of submissions and the right edge of a tree give the writes and the next tree.

No clock, key or store is known here. The index of an entry is its place in the batch after the tree's size;
its timestamp is the time of the head that will cover it, so that no leaf is ever younger than its head.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import sha256

from log.formats.family import Family, Parts
from log.merkle.tiles import Edge
from log.storage import Batch

Blob = tuple[bytes, bytes]  # (SHA-256 of the bytes, the bytes)


@dataclass(frozen=True, slots=True)
class Submission:
    """What waits to be sequenced: a leaf without its place, its full 256-bit dedup key, its side files."""

    parts: Parts
    key: bytes
    blobs: tuple[Blob, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """The writes of one commit and the tree they lead to."""

    batch: Batch
    edge: Edge
    root: bytes


def plan(
    family: Family,
    edge: Edge,
    submissions: Sequence[Submission],
    timestamp_ms: int,
    stored: Collection[bytes] = (),
) -> Plan:
    """Place every submission behind `edge`, in order, all at `timestamp_ms`; `stored` are blobs already kept."""
    rows: list[bytes] = []
    leaves: list[bytes] = []
    blobs: dict[bytes, bytes] = {}
    place = family.place
    for index, submission in enumerate(submissions, edge.size):
        placed = place(submission.parts, index, timestamp_ms)
        rows.append(placed.row)
        leaves.append(sha256(b"\x00" + placed.leaf).digest())  # RFC 6962 section 2.1
        blobs.update(blob for blob in submission.blobs if blob[0] not in stored)
    grown, tiles = edge.grow(leaves)
    batch = Batch(edge.size, tuple(rows), tuple(tiles), tuple(blobs.items()))
    return Plan(batch, grown, grown.root())
