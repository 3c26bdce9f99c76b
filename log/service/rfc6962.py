"""The reads of RFC 6962 section 4 over a log of certificates: the same tree that its tiles show.

Errors, limits and alignment are those of deployed logs (certificate-transparency-go's CTFE), which is what
their readers were written against: a number out of place is `Malformed`, only an unknown hash and a tree too
small for the proof by hash are `NotFound`. Nothing beyond the published size is ever answered from.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from log.client import LogReader
from log.client.prover import consistency
from log.errors import Malformed, NotFound, StoreMissing
from log.formats.note import VKey
from log.formats.tile_leaf import LeafEntry, leaf_entry, row_fingerprints
from log.formats.tree_head import SignedTreeHead, signed_tree_head

_PIECE = 64  # rows read at once, so that the bound on bytes is felt before a thousand large ones are in memory


@dataclass(frozen=True, slots=True)
class RangeLimits:
    """Bounds of one answer of get-entries. It may always hold less than was asked for, never nothing."""

    max_entries: int = 1000  # CTFE's: readers ask for so many, and caches then hold ranges that end at its multiples
    max_bytes: int = 8 << 20  # of leaf_input and extra_data; a thousand usual entries have six million


class Tree(LogReader, Protocol):
    """What is asked of the log underneath."""

    @property
    def size(self) -> int:
        """The number of published entries."""
        ...

    async def index_of(self, leaf: bytes) -> int:
        """Return the index of the published entry with this leaf hash, or raise `NotFound`."""
        ...

    async def inclusion(self, index: int, size: int) -> list[bytes]:
        """Return the inclusion proof of an entry, 0 <= index < size <= the published size."""
        ...


class CertificateReads:
    """What RFC 6962 lets anyone ask of one log."""

    def __init__(self, tree: Tree, vkey: VKey, limits: RangeLimits) -> None:
        self._tree = tree
        self._vkey = vkey  # of type 0x05: its line on a head is the TreeHeadSignature
        self._limits = limits

    async def sth(self) -> SignedTreeHead:
        """Return the newest head as RFC 6962 writes it."""
        try:
            return signed_tree_head(await self._tree.checkpoint(), self._vkey)
        except Malformed as error:
            raise AssertionError("a head of this log without its own 0x05 line") from error

    async def consistency(self, first: int, second: int) -> list[bytes]:
        """Return the consistency proof between two sizes; empty from 0. `Malformed` beyond the tree."""
        if first > second:
            raise Malformed(f"first = {first} is more than second = {second}")
        self._within("second", second)
        return await consistency(self._tree, first, second)

    async def proof_by_hash(self, leaf: bytes, tree_size: int) -> tuple[int, list[bytes]]:
        """Return index and inclusion proof of a leaf hash. `NotFound` unless the tree of that size has both."""
        if tree_size < 1:
            raise Malformed("tree_size is at least 1")
        if tree_size > self._tree.size:
            raise NotFound(f"tree_size = {tree_size}, but this log has {self._tree.size} entries")
        index = await self._tree.index_of(leaf)
        if index >= tree_size:
            raise NotFound(f"not among the first {tree_size} entries of this log")
        return index, await self._tree.inclusion(index, tree_size)

    async def entries(self, start: int, end: int) -> tuple[list[LeafEntry], bool]:
        """Return entries from `start` to `end` at most (inclusive), and whether that answer is for ever.

        It is not where the tree ends before the range does: then more will come. `Malformed` when the range is
        none, or begins beyond the tree.
        """
        if start > end:
            raise Malformed(f"start = {start} is more than end = {end}")
        size = self._tree.size
        if start >= size:
            raise Malformed(f"start = {start}, but this log has {size} entries")
        last = aligned_end(start, end, self._limits.max_entries)
        return await self._read(start, min(last + 1, size), size), last < size

    async def entry_and_proof(self, index: int, tree_size: int) -> tuple[LeafEntry, list[bytes]]:
        """Return one entry and its inclusion proof in the tree of that size; `Malformed` when there is none."""
        if index >= tree_size:
            raise Malformed(f"leaf_index = {index} is not in a tree of tree_size = {tree_size}")
        self._within("tree_size", tree_size)
        entries = await self._read(index, index + 1, tree_size)
        return entries[0], await self._tree.inclusion(index, tree_size)

    def _within(self, name: str, size: int) -> None:
        if size > self._tree.size:
            raise Malformed(f"{name} = {size}, but this log has {self._tree.size} entries")

    async def _read(self, start: int, end: int, size: int) -> list[LeafEntry]:
        """Return the entries start <= i < end, at least the first, then as long as they keep within the bytes."""
        found: list[LeafEntry] = []
        issuers: dict[bytes, bytes] = {}
        room = self._limits.max_bytes
        while start < end:
            rows = await self._tree.entries(start, min(start + _PIECE, end), size)
            for row in rows:
                entry = leaf_entry(row, await self._chain(row_fingerprints(row), issuers))
                room -= len(entry.leaf_input) + len(entry.extra_data)
                if room < 0 and found:
                    return found
                found.append(entry)
            start += len(rows)
        return found

    async def _chain(self, fingerprints: Iterable[bytes], known: dict[bytes, bytes]) -> list[bytes]:
        """Return the certificates above a leaf. The few issuers of an answer are read once each."""
        for fingerprint in fingerprints:
            if fingerprint not in known:
                certificate = await self._tree.blob(fingerprint)
                if certificate is None:
                    raise StoreMissing(f"issuer {fingerprint.hex()}")
                known[fingerprint] = certificate
        return [known[fingerprint] for fingerprint in fingerprints]


def aligned_end(start: int, end: int, cap: int) -> int:
    """Return the last index that one answer goes to, 0 <= start <= end, of a log that gives `cap` at most.

    Whoever asks for as much as there is gets no further than the next multiple of `cap`. So readers that began
    anywhere soon ask for the same ranges, and a cache in between has them.
    """
    if end - start + 1 < cap:
        return end
    return start - start % cap + cap - 1
