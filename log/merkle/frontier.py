"""A tree's root from its leaves one by one: the second path, for those who rebuild and compare.

A tree of n leaves is a row of perfect subtrees, one for each bit set in n, largest first. Their hashes are
all that is needed to go on: a new leaf joins equal neighbours as a 1 is added to a binary number.
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import Self

from log.errors import Malformed
from log.merkle.hashing import EMPTY_ROOT, HASH_SIZE, split_hashes


class Frontier:
    """The perfect subtrees of a growing tree. Mutable: one owner at a time, `copy` for another."""

    __slots__ = ("_hashes", "_size")

    def __init__(self) -> None:
        self._size = 0
        self._hashes: list[bytes] = []

    @classmethod
    def empty(cls) -> Self:
        """Return the frontier of the tree without leaves."""
        return cls()

    @property
    def size(self) -> int:
        """The number of leaves."""
        return self._size

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """The hashes of the perfect subtrees, largest first: those of `proof.root_spans(size)`."""
        return tuple(self._hashes)

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        self.extend((leaf,))

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Add leaf hashes in order."""
        stack, rest = self._hashes, list(leaves)
        while rest:
            # The widest perfect subtree that may begin here: its nodes are made a level at a time.
            width = 1 << len(rest).bit_length() - 1
            if self._size:
                width = min(width, self._size & -self._size)
            nodes, rest = rest[:width], rest[width:]
            while len(nodes) > 1:
                pairs = iter(nodes)
                nodes = [sha256(b"\x01" + left + right).digest() for left, right in zip(pairs, pairs, strict=True)]
            [node] = nodes
            carry = self._size // width
            while carry & 1:
                node = sha256(b"\x01" + stack.pop() + node).digest()
                carry >>= 1
            stack.append(node)
            self._size += width

    def root(self) -> bytes:
        """Return MTH of the leaves so far (RFC 6962 §2.1)."""
        if not self._hashes:
            return EMPTY_ROOT
        *larger, root = self._hashes
        for left in reversed(larger):
            root = sha256(b"\x01" + left + root).digest()
        return root

    def copy(self) -> Self:
        """Return another frontier of the same tree."""
        other = type(self)()
        other._size, other._hashes = self._size, list(self._hashes)
        return other

    def encode(self) -> bytes:
        """Return the hashes, concatenated; the size is kept beside them."""
        return b"".join(self._hashes)

    @classmethod
    def decode(cls, size: int, data: bytes) -> Self:
        """Return the frontier of a tree of `size` leaves; `Malformed` unless there are as many hashes."""
        if size < 0 or len(data) != HASH_SIZE * size.bit_count():
            raise Malformed(f"the frontier of {size} leaves has not {len(data)} bytes")
        frontier = cls()
        frontier._size, frontier._hashes = size, split_hashes(data)
        return frontier
