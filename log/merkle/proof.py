"""Inclusion and consistency proofs, RFC 6962 §2.1.1 and §2.1.2: plan, read, fold; and their verification.

A proof is a list of subtrees, each a range of leaves. A range that ends at the tree's right edge may be
ragged; it is made of perfect subtrees, and only those have a stored hash. So a prover

1. asks `*_spans` which perfect subtrees it needs (arithmetic, no hash),
2. reads their hashes, in that order, wherever they lie,
3. gives them to `fold_*`, which joins the ragged ranges.

A verifier walks the same ranges: each says by its place on which side of the path its hash belongs, and
how many hashes there must be, so a proof has exactly one form.

Numbers are the caller's to check before it plans a proof: `*_spans` and `fold_*` take wrong ones for our own
bug (`AssertionError`). The verifying functions take anything a stranger may send and raise `BadProof`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

from log.errors import BadProof
from log.merkle.hashing import EMPTY_ROOT, HASH_SIZE, node_hash


@dataclass(frozen=True, slots=True)
class Span:
    """A perfect subtree over the leaves [start, end): a power of two wide, at a multiple of its width."""

    start: int
    end: int


Range = tuple[int, int]  # leaves [start, end) of a subtree that RFC 6962 names, perfect or ragged


# --- root -------------------------------------------------------------------------------------------------


def root_spans(size: int) -> list[Span]:
    """Return the perfect subtrees that a tree of `size` leaves is made of, largest first."""
    return _perfect(0, size)


def fold_root(size: int, hashes: Sequence[bytes]) -> bytes:
    """Return MTH(D[size]) from the hashes of `root_spans(size)`."""
    return _fold([(0, size)], hashes)[0] if size else EMPTY_ROOT


def subtree_spans(start: int, end: int) -> list[Span]:
    """Return the perfect subtrees of a subtree that RFC 6962 names, perfect or ragged, largest first."""
    return _perfect(start, end)


def fold_subtree(start: int, end: int, hashes: Sequence[bytes]) -> bytes:
    """Return MTH(D[start:end]) from the hashes of `subtree_spans(start, end)`."""
    return _fold([(start, end)], hashes)[0]


# --- inclusion --------------------------------------------------------------------------------------------


def inclusion_spans(index: int, size: int) -> list[Span]:
    """Return the perfect subtrees from which PATH(index, D[size]) is folded; 0 <= index < size."""
    if not 0 <= index < size:
        raise AssertionError(f"no leaf {index} in a tree of {size}")
    return _spans(_path(index, size))


def fold_inclusion(index: int, size: int, hashes: Sequence[bytes]) -> list[bytes]:
    """Return PATH(index, D[size]), leaf side first, from the hashes of `inclusion_spans(index, size)`."""
    return _fold(_path(index, size), hashes)


def siblings(index: int, size: int) -> list[tuple[int, int]]:
    """Return the subtrees of PATH(index, D[size]) in its order, as (height, number): 0 <= index < size.

    Such a one holds the leaves from number << height to (number + 1) << height, or to the end of the tree.
    """
    if not 0 <= index < size:
        raise AssertionError(f"no leaf {index} in a tree of {size}")
    found = []
    height, last = 0, size - 1
    while last:
        sibling = index ^ 1
        if sibling <= last:  # else the node is the last of its height and rises as it is
            found.append((height, sibling))
        index >>= 1
        last >>= 1
        height += 1
    return found


def root_from_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes]) -> bytes:
    """Return the root to which an inclusion proof leads from a leaf hash; `BadProof` when to none."""
    if not 0 <= index < size:
        raise BadProof(f"no leaf {index} in a tree of {size}")
    path = _path(index, size)
    if len(proof) != len(path):
        raise BadProof(f"an inclusion proof of leaf {index} of {size} has {len(path)} hashes, not {len(proof)}")
    _check_hashes(leaf, *proof)
    root = leaf
    for (start, _), sibling in zip(path, proof, strict=True):
        root = node_hash(sibling, root) if start < index else node_hash(root, sibling)
    return root


def verify_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """Check that the tree of `size` leaves under `root` has `leaf` at `index`, or raise `BadProof`."""
    if root_from_inclusion(index, size, leaf, proof) != root:
        raise BadProof(f"the inclusion proof of leaf {index} does not lead to the root of size {size}")


# --- consistency ------------------------------------------------------------------------------------------


def consistency_spans(old: int, size: int) -> list[Span]:
    """Return the perfect subtrees from which PROOF(old, D[size]) is folded; 0 < old <= size."""
    if not 0 < old <= size:
        raise AssertionError(f"no consistency proof from {old} to {size}")
    return _spans(_subproof(old, size))


def consistency_ranges(old: int, size: int) -> list[Span]:
    """Return which leaves each hash of PROOF(old, D[size]) covers, in its order; 0 < old <= size."""
    return [Span(start, end) for start, end in _subproof(old, size)]


def fold_consistency(old: int, size: int, hashes: Sequence[bytes]) -> list[bytes]:
    """Return PROOF(old, D[size]) from the hashes of `consistency_spans(old, size)`; empty for equal sizes."""
    return _fold(_subproof(old, size), hashes)


def verify_consistency(old: int, size: int, old_root: bytes, root: bytes, proof: Sequence[bytes]) -> None:
    """Check that the tree of `old` leaves is a prefix of the tree of `size`, or raise `BadProof`.

    From size 0 there is no proof (RFC 6962 §2.1.2): what an empty tree is worth is a rule of each protocol,
    so it is the caller's, and here `BadProof`.
    """
    if not 0 < old <= size:
        raise BadProof(f"no consistency proof leads from size {old} to size {size}")
    ranges = _subproof(old, size)
    if len(proof) != len(ranges):
        raise BadProof(f"a consistency proof from {old} to {size} has {len(ranges)} hashes, not {len(proof)}")
    _check_hashes(old_root, root, *proof)
    # Where the old tree is itself a subtree of the new one, its root is known and left out of the proof.
    steps = iter(zip(ranges, proof, strict=True))
    before = after = old_root if not ranges or ranges[0][0] >= old else next(steps)[1]
    for (start, _), sibling in steps:
        if start < old:  # on the left of the path: in both trees
            before, after = node_hash(sibling, before), node_hash(sibling, after)
        else:
            after = node_hash(after, sibling)
    if before != old_root:
        raise BadProof(f"the consistency proof does not lead to the root of size {old}")
    if after != root:
        raise BadProof(f"the consistency proof does not lead to the root of size {size}")


# --- the ranges that RFC 6962 names -----------------------------------------------------------------------


def _split(start: int, end: int) -> int:
    """Return where MTH(D[start:end]) divides: after k leaves, k the largest power of two < the width."""
    return start + (1 << (end - start - 1).bit_length() - 1)


def _path(index: int, size: int) -> list[Range]:
    """Return the subtrees beside the way from the root to a leaf, leaf side first (RFC 6962 §2.1.1)."""
    start, end = 0, size
    ranges = []
    while end - start > 1:
        split = _split(start, end)
        if index < split:
            ranges.append((split, end))
            end = split
        else:
            ranges.append((start, split))
            start = split
    return ranges[::-1]


def _subproof(old: int, size: int) -> list[Range]:
    """Return the subtrees of PROOF(old, D[size]) in its order (RFC 6962 §2.1.2)."""
    start, end = 0, size
    ranges = []
    while old < end:
        split = _split(start, end)
        if old <= split:
            ranges.append((split, end))
            end = split
        else:
            ranges.append((start, split))
            start = split
    if start > 0:  # SUBPROOF's b is false: the subtree that ends at `old` is not the old tree itself
        ranges.append((start, end))
    return ranges[::-1]


def _perfect(start: int, end: int) -> list[Span]:
    """Cut a subtree's range into perfect subtrees, largest first."""
    spans = []
    while start < end:
        width = 1 << (end - start).bit_length() - 1
        spans.append(Span(start, start + width))
        start += width
    return spans


def _spans(ranges: Sequence[Range]) -> list[Span]:
    return [span for start, end in ranges for span in _perfect(start, end)]


def _fold(ranges: Sequence[Range], hashes: Sequence[bytes]) -> list[bytes]:
    """Return one hash for each range from those of its perfect subtrees."""
    widths = [(end - start).bit_count() for start, end in ranges]
    if sum(widths) != len(hashes):
        raise AssertionError(f"{sum(widths)} subtrees were planned, {len(hashes)} hashes read")
    rest: Iterator[bytes] = iter(hashes)
    return [_join([next(rest) for _ in range(width)]) for width in widths]


def _join(hashes: Sequence[bytes]) -> bytes:
    """Return the hash over perfect subtrees, largest first: the smaller ones lie deeper on the right."""
    return reduce(lambda right, left: node_hash(left, right), reversed(hashes))


def _check_hashes(*hashes: bytes) -> None:
    if any(len(each) != HASH_SIZE for each in hashes):
        raise BadProof(f"a hash has {HASH_SIZE} bytes")
