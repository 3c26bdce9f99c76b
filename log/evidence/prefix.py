"""PURE: proof that a larger head's own tree has another prefix than a smaller signed head (evidence E2).

`a` are the hashes of the perfect subtrees of the leaves [0, old). `b` are those that cover [old, size): the hashes on
the right of an RFC 6962 consistency proof, so that any such proof serves, the log's own too. If a‖b folds to the larger
root, then by collision resistance `a` is what that tree really begins with, and a signed root of size `old` other than
a's is a lie (monitoring.md §5.4). A wrong hash anywhere makes the fold fail, so nobody can be framed.

A log's tiles hold perfect subtrees only: `spans` says which to read, `gather` makes `a` and `b` of them.
"""

from collections.abc import Mapping, Sequence
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


def cover(old: int, size: int) -> tuple[list[Span], list[Span]]:
    """Return what `a` and what `b` cover, each in order; 0 <= old <= size."""
    if old == 0:
        return [], [Span(0, size)] if size else []
    ranges = sorted(proof.consistency_ranges(old, size), key=lambda span: span.start)
    return proof.root_spans(old), [span for span in ranges if span.start >= old]


def gather(old: int, size: int, hashes: Sequence[bytes]) -> list[bytes]:
    """Return the hashes of `cover` from those of `spans`."""
    left, right = spans(old, size)
    known = dict(zip([*left, *right], hashes, strict=True))
    return [_root(span, known) for part in cover(old, size) for span in part]


def compare(old: int, size: int, old_root: bytes, root: bytes, hashes: Sequence[bytes]) -> Prefix:
    """Tell whether the signed `old_root` is the prefix of the tree under `root`; `BadProof` if neither shows.

    `hashes` are those of `cover`.
    """
    left, right = cover(old, size)
    if len(hashes) != len(left) + len(right) or any(len(each) != HASH_SIZE for each in hashes):
        raise BadProof(f"{len(left) + len(right)} hashes cover sizes {old} and {size}, not these {len(hashes)}")
    known = dict(zip([*left, *right], hashes, strict=True))
    if _root(Span(0, size), known) != root:
        raise BadProof(f"the hashes do not lead to the signed root of size {size}")
    return Prefix.SAME if _root(Span(0, old), known) == old_root else Prefix.OTHER


def _root(span: Span, known: Mapping[Span, bytes]) -> bytes:
    """Return MTH over these leaves (RFC 6962 section 2.1) from the hashes of parts into which it splits."""
    if span in known:
        return known[span]
    width = span.end - span.start
    if width == 0:
        return EMPTY_ROOT
    middle = span.start + (1 << (width - 1).bit_length() - 1)
    return node_hash(_root(Span(span.start, middle), known), _root(Span(middle, span.end), known))
