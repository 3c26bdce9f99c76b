"""PURE: proof that a larger head's own tree has another prefix than a smaller signed head (evidence E2).

`a` are the hashes of the perfect subtrees of the leaves [0, old), `b` those of [old, size), no more and no fewer.
If a‖b folds to the larger root, then by collision resistance `a` is what that tree really begins with, and a
signed root of size `old` other than a's is a lie (monitoring.md §5.4). A wrong hash anywhere makes the fold fail,
so nobody can be framed.
"""

from collections.abc import Sequence
from enum import Enum

from log.errors import BadProof
from log.merkle import proof
from log.merkle.hashing import EMPTY_ROOT, HASH_SIZE, node_hash
from log.merkle.proof import Span


class Prefix(Enum):
    """What the hashes show."""

    SAME = "same"  # the smaller head is a prefix of the larger
    OTHER = "other"  # it is not: the log has signed both


def spans(old: int, size: int) -> tuple[list[Span], list[Span]]:
    """Return the perfect subtrees of [0, old) and of [old, size), each in order; 0 <= old <= size."""
    right = []
    at = old
    while at < size:
        width = at & -at or 1 << (size.bit_length() - 1)
        while at + width > size:
            width >>= 1
        right.append(Span(at, at + width))
        at += width
    return proof.root_spans(old), right


def compare(old: int, size: int, old_root: bytes, root: bytes, hashes: Sequence[bytes]) -> Prefix:
    """Tell whether the signed `old_root` is the prefix of the tree under `root`; `BadProof` if neither shows."""
    left, right = spans(old, size)
    if len(hashes) != len(left) + len(right) or any(len(each) != HASH_SIZE for each in hashes):
        raise BadProof(f"{len(left) + len(right)} hashes cover sizes {old} and {size}, not these {len(hashes)}")
    if _fold([*left, *right], hashes) != root:
        raise BadProof(f"the hashes do not lead to the signed root of size {size}")
    return Prefix.SAME if _fold(left, hashes[: len(left)]) == old_root else Prefix.OTHER


def _fold(cover: Sequence[Span], hashes: Sequence[bytes]) -> bytes:
    """Return MTH over neighbouring perfect subtrees that begin at leaf 0."""
    stack: list[tuple[int, bytes]] = []  # (width, hash), largest first
    for span, each in zip(cover, hashes, strict=True):
        width, node, start = span.end - span.start, each, span.start
        while start & width:  # a right sibling: its left one is on the stack
            left_width, left = stack.pop()
            if left_width != width:
                raise AssertionError("subtrees do not meet")
            node, start, width = node_hash(left, node), start - width, 2 * width
        stack.append((width, node))
    if not stack:
        return EMPTY_ROOT
    _, root = stack.pop()
    while stack:
        _, left = stack.pop()
        root = node_hash(left, root)
    return root
