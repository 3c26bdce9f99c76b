"""Proofs and roots through a `LogReader`: the RFC's, and no tile read twice."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from log.client import prover
from log.errors import Malformed
from log.formats.family import X509
from log.merkle import proof
from log.merkle.frontier import Frontier
from log.merkle.hashing import EMPTY_ROOT, leaf_hash
from tests.support import rfc6962
from tests.support.memory_log import MemoryLog, certificates

COUNT = 66_000  # three tile levels


def large() -> MemoryLog:
    served = MemoryLog(X509, [])
    served.rows = [b""] * COUNT
    served.rebuild([leaf_hash(i.to_bytes(4)) for i in range(COUNT)])
    return served


LARGE = large()


def root_of(size: int) -> bytes:
    frontier = Frontier.empty()
    frontier.extend(leaf_hash(i.to_bytes(4)) for i in range(size))
    return frontier.root()


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 300])
async def test_proofs_are_the_rfcs(size: int) -> None:
    served = MemoryLog(X509, certificates(300))
    leaves = [X509.leaf_input(row) for row in served.rows[:size]]
    assert await prover.root(served, size) == rfc6962.mth(leaves)
    for number in {0, 1, size // 2, size - 1} & set(range(size)):
        assert await prover.inclusion(served, number, size) == rfc6962.path(number, leaves)
        assert await prover.consistency(served, number + 1, size) == rfc6962.proof(number + 1, leaves)


@settings(deadline=None, max_examples=40)
@given(st.data())
async def test_proofs_over_three_levels_verify_and_read_each_tile_once(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, COUNT) | st.integers(65_530, 65_800))
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(1, size))
    root = root_of(size)
    for read in (
        prover.root(LARGE, size),
        prover.inclusion(LARGE, index, size),
        prover.consistency(LARGE, old, size),
    ):
        LARGE.reads.clear()
        found = await read
        assert len(LARGE.reads) == len(set(LARGE.reads)) <= 6
        if isinstance(found, bytes):
            assert found == root
    proof.verify_inclusion(index, size, leaf_hash(index.to_bytes(4)), await prover.inclusion(LARGE, index, size), root)
    proof.verify_consistency(old, size, root_of(old), root, await prover.consistency(LARGE, old, size))


async def test_nothing_is_read_where_nothing_is_proved() -> None:
    LARGE.reads.clear()
    assert await prover.consistency(LARGE, 0, 5) == []
    assert await prover.consistency(LARGE, 5, 5) == []
    assert await prover.inclusion(LARGE, 0, 1) == []
    assert await prover.root(LARGE, 0) == EMPTY_ROOT
    assert LARGE.reads == []


async def test_hashes_of_another_length_are_malformed() -> None:
    class Short(MemoryLog):
        async def hashes(self, level: int, start: int, end: int, size: int) -> bytes:
            return (await super().hashes(level, start, end, size))[:-1]

    with pytest.raises(Malformed):
        await prover.inclusion(Short(X509, certificates(5)), 2, 5)
