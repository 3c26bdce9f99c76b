"""Every root and proof of small trees against the RFC's recursion and pymerkle; every altered bit fails."""

import base64
import json
from collections.abc import Sequence

import pymerkle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from log.errors import BadProof
from log.merkle import proof, tiles
from log.merkle.frontier import Frontier
from log.merkle.hashing import EMPTY_ROOT, leaf_hash, node_hash
from log.merkle.proof import Span
from tests.support import rfc6962
from tests.support.shared import data

COUNT = 75
ENTRIES = [b"entry %d" % i for i in range(COUNT)]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]
ROOTS = [rfc6962.mth(ENTRIES[:size]) for size in range(COUNT + 1)]


def read(spans: Sequence[Span]) -> list[bytes]:
    return [rfc6962.mth(ENTRIES[span.start : span.end]) for span in spans]


def flipped(hashes: Sequence[bytes]) -> list[list[bytes]]:
    """Every sequence that differs in one bit."""
    changed = []
    for i, each in enumerate(hashes):
        for bit in range(8 * len(each)):
            wrong = (int.from_bytes(each) ^ 1 << bit).to_bytes(len(each))
            changed.append([*hashes[:i], wrong, *hashes[i + 1 :]])
    return changed


def test_the_root_of_every_size_is_the_rfcs_and_pymerkles() -> None:
    other = pymerkle.InmemoryTree(algorithm="sha256")
    assert proof.fold_root(0, []) == ROOTS[0] == EMPTY_ROOT
    for size in range(1, COUNT + 1):
        other.append_entry(ENTRIES[size - 1])
        assert proof.fold_root(size, read(proof.root_spans(size))) == ROOTS[size] == other.get_root(size)


def test_every_inclusion_proof_is_the_rfcs_and_pymerkles_and_verifies() -> None:
    other = pymerkle.InmemoryTree(algorithm="sha256")
    for size in range(1, COUNT + 1):
        other.append_entry(ENTRIES[size - 1])
        for index in range(size):
            found = proof.fold_inclusion(index, size, read(proof.inclusion_spans(index, size)))
            assert found == rfc6962.path(index, ENTRIES[:size])
            assert found == list(other.prove_inclusion(index + 1, size).path)[1:]  # it counts from 1
            proof.verify_inclusion(index, size, LEAVES[index], found, ROOTS[size])


def test_the_siblings_of_a_leaf_are_the_subtrees_of_its_proof() -> None:
    for size in range(1, COUNT + 1):
        for index in range(size):
            bounds = [(n << height, min(n + 1 << height, size)) for height, n in proof.siblings(index, size)]
            assert [rfc6962.mth(ENTRIES[start:end]) for start, end in bounds] == rfc6962.path(index, ENTRIES[:size])
            for start, end in bounds:
                hashes = read(proof.subtree_spans(start, end))
                assert proof.fold_subtree(start, end, hashes) == rfc6962.mth(ENTRIES[start:end])
    for index, size in ((-1, 1), (1, 1), (0, 0)):
        with pytest.raises(AssertionError):
            proof.siblings(index, size)


def test_every_consistency_proof_is_the_rfcs_and_verifies() -> None:
    for size in range(1, COUNT + 1):
        for old in range(1, size + 1):
            found = proof.fold_consistency(old, size, read(proof.consistency_spans(old, size)))
            assert found == rfc6962.proof(old, ENTRIES[:size])
            proof.verify_consistency(old, size, ROOTS[old], ROOTS[size], found)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 13])
def test_no_inclusion_proof_survives_a_changed_bit_place_or_length(size: int) -> None:
    for index in range(size):
        root, leaf, path = ROOTS[size], LEAVES[index], rfc6962.path(index, ENTRIES[:size])
        wrong = [(index, size, leaf, changed, root) for changed in flipped(path)]
        wrong += [(index, size, changed, path, root) for (changed,) in flipped([leaf])]
        wrong += [(index, size, leaf, path, changed) for (changed,) in flipped([root])]
        wrong += [(other, size, leaf, path, root) for other in range(-1, size + 2) if other != index]
        wrong += [(index, size, leaf, longer, root) for longer in ([*path, root], [leaf, *path], [*path, EMPTY_ROOT])]
        wrong += [(index, size, leaf, [*path[:i], *path[i + 1 :]], root) for i in range(len(path))]
        wrong += [(index, size, leaf, [*path[:i], path[i][:31], *path[i + 1 :]], root) for i in range(len(path))]
        for arguments in wrong:
            with pytest.raises(BadProof):
                proof.verify_inclusion(*arguments)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 13])
def test_no_consistency_proof_survives_a_changed_bit_size_or_length(size: int) -> None:
    for old in range(1, size + 1):
        before, after, path = ROOTS[old], ROOTS[size], rfc6962.proof(old, ENTRIES[:size])
        wrong = [(old, size, before, after, changed) for changed in flipped(path)]
        wrong += [(old, size, changed, after, path) for (changed,) in flipped([before])]
        wrong += [(old, size, before, changed, path) for (changed,) in flipped([after])]
        wrong += [(other, size, before, after, path) for other in range(-1, size + 2) if other != old]
        wrong += [(old, size, before, after, longer) for longer in ([*path, after], [before, *path])]
        wrong += [(old, size, before, after, [*path[:i], *path[i + 1 :]]) for i in range(len(path))]
        for arguments in wrong:
            with pytest.raises(BadProof):
                proof.verify_consistency(*arguments)


def test_a_proof_for_another_leaf_of_the_same_tree_fails() -> None:
    for index in range(COUNT):
        with pytest.raises(BadProof):
            proof.verify_inclusion(index, COUNT, LEAVES[index - 1], rfc6962.path(index, ENTRIES), ROOTS[COUNT])


def test_a_root_that_is_no_hash_fails_even_when_it_equals_the_leaf() -> None:
    with pytest.raises(BadProof):
        proof.verify_inclusion(0, 1, b"", [], b"")
    with pytest.raises(BadProof):
        proof.verify_consistency(1, 1, b"", b"", [])


def test_equal_sizes_need_equal_roots_and_no_hash() -> None:
    proof.verify_consistency(5, 5, ROOTS[5], ROOTS[5], [])
    with pytest.raises(BadProof):
        proof.verify_consistency(5, 5, ROOTS[5], ROOTS[6], [])


def test_from_nothing_there_is_no_consistency_proof() -> None:
    for size in (0, 1, 8):
        with pytest.raises(BadProof):
            proof.verify_consistency(0, size, EMPTY_ROOT, ROOTS[size], [])


@pytest.mark.parametrize(("index", "size"), [(-1, 4), (4, 4), (0, 0)])
def test_planning_a_proof_that_cannot_be_is_our_own_bug(index: int, size: int) -> None:
    with pytest.raises(AssertionError):
        proof.inclusion_spans(index, size)
    with pytest.raises(AssertionError):
        proof.consistency_spans(index + 1, index)
    with pytest.raises(AssertionError):
        proof.consistency_spans(0, 4)


def test_a_reader_that_returns_another_number_of_hashes_is_our_own_bug() -> None:
    hashes = read(proof.inclusion_spans(3, 13))
    for wrong in (hashes[1:], [*hashes, hashes[0]]):
        with pytest.raises(AssertionError):
            proof.fold_inclusion(3, 13, wrong)


@given(st.data())
def test_planned_subtrees_are_perfect_and_with_the_leaf_they_cover_the_tree_once(draw: st.DataObject) -> None:
    size = draw.draw(st.integers(1, 2**20))
    index = draw.draw(st.integers(0, size - 1))
    old = draw.draw(st.integers(1, size))
    for span in (
        *proof.root_spans(size),
        *proof.inclusion_spans(index, size),
        *proof.consistency_spans(old, size),
    ):
        width = span.end - span.start
        assert width.bit_count() == 1
        assert span.start % width == 0
        level, first, last = tiles.locate(span)
        assert last - first == width >> 8 * level < tiles.TILE_WIDTH
        assert first // tiles.TILE_WIDTH == (last - 1) // tiles.TILE_WIDTH
        assert last <= size >> 8 * level  # only hashes that the tree has
    assert covered(proof.root_spans(size)) == [(0, size)]
    assert covered([Span(index, index + 1), *proof.inclusion_spans(index, size)]) == [(0, size)]
    rest = covered(proof.consistency_spans(old, size))
    assert rest in ([(0, size)], [(old, size)], [])
    assert len(proof.inclusion_spans(index, size)) <= 40


def covered(spans: Sequence[Span]) -> list[tuple[int, int]]:
    """The leaves under disjoint subtrees as the fewest ranges."""
    ranges: list[tuple[int, int]] = []
    for span in sorted(spans, key=lambda each: each.start):
        if ranges and ranges[-1][1] == span.start:
            ranges[-1] = (ranges[-1][0], span.end)
        else:
            assert not ranges or ranges[-1][1] < span.start
            ranges.append((span.start, span.end))
    return ranges


class Uniform:
    """A tree whose leaves are all the same, so that trees of a million leaves cost twenty hashes."""

    def __init__(self) -> None:
        self.perfect = [leaf_hash(b"")]
        for _ in range(20):
            self.perfect.append(node_hash(self.perfect[-1], self.perfect[-1]))

    def read(self, spans: Sequence[Span]) -> list[bytes]:
        return [self.perfect[(span.end - span.start).bit_length() - 1] for span in spans]

    def root(self, size: int) -> bytes:
        hashes = b"".join(self.perfect[bit] for bit in range(20, -1, -1) if size >> bit & 1)
        return Frontier.decode(size, hashes).root()


UNIFORM = Uniform()


@settings(max_examples=300)
@given(st.data())
def test_proofs_of_large_trees_verify_for_their_sizes_only(draw: st.DataObject) -> None:
    size = draw.draw(st.integers(1, 2**20))
    index = draw.draw(st.integers(0, size - 1))
    old = draw.draw(st.integers(1, size))
    root = UNIFORM.root(size)
    assert proof.fold_root(size, UNIFORM.read(proof.root_spans(size))) == root
    path = proof.fold_inclusion(index, size, UNIFORM.read(proof.inclusion_spans(index, size)))
    proof.verify_inclusion(index, size, leaf_hash(b""), path, root)
    path = proof.fold_consistency(old, size, UNIFORM.read(proof.consistency_spans(old, size)))
    proof.verify_consistency(old, size, UNIFORM.root(old), root, path)
    if old != size:
        with pytest.raises(BadProof):
            proof.verify_consistency(old, size, UNIFORM.root(size), root, path)


@given(
    st.integers(-3, 2**64),
    st.integers(-3, 2**64),
    st.lists(st.binary(min_size=30, max_size=33) | st.binary(min_size=32, max_size=32), max_size=70),
)
def test_nothing_a_stranger_sends_raises_anything_but_bad_proof(number: int, size: int, hashes: list[bytes]) -> None:
    with pytest.raises(BadProof):
        proof.verify_inclusion(number, size, LEAVES[0], hashes, ROOTS[1])
    with pytest.raises(BadProof):
        proof.verify_consistency(number, size, LEAVES[0], ROOTS[3], hashes)


def test_inclusion_probes_of_transparency_dev() -> None:
    files = sorted(data("vectors/merkle/inclusion").rglob("*.json"))
    assert len(files) == 98
    for file in files:
        case = json.loads(file.read_text())
        arguments = (
            case["leafIdx"],
            case["treeSize"],
            base64.b64decode(case["leafHash"]),
            [base64.b64decode(each) for each in case["proof"] or []],
            base64.b64decode(case["root"]),
        )
        if case["wantErr"]:
            with pytest.raises(BadProof):
                proof.verify_inclusion(*arguments)
        else:
            proof.verify_inclusion(*arguments)
