"""The RFC 6962 read API over a log of more than two tiles, in memory: any two sizes, any range, and every limit."""

import asyncio
import json
from base64 import b64decode, b64encode
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from log.api.app import Options, create_app
from log.formats.family import X509
from log.service.rfc6962 import RangeLimits, aligned_end
from log.tables import LimitsTable
from tests.api.conftest import ask
from tests.api.rfc6962_reader import hashes, leaf_hash
from tests.support import rfc6962 as oracle
from tests.support.fake_node import FakeNode

MANY = 600  # over two full tiles


class Large:
    """A log of so many entries behind HTTP, and its leaf inputs."""

    def __init__(self) -> None:
        self.node = FakeNode()
        self.node.x509.blobs[sha256(b"issuer").digest()] = b"issuer"
        self.node.x509.fill(MANY)
        self.app = create_app(self.node, Options())
        self.leaves = [X509.leaf_input(row) for row in self.node.x509.rows]

    def ct(self, endpoint: str, **query: object) -> Any:
        answer = asyncio.run(ask(self.app, "GET", f"/x509/ct/v1/{endpoint}?{urlencode(query)}"))
        assert answer.status == 200, answer.body
        return json.loads(answer.body)


@pytest.fixture(scope="module")
def large() -> Large:
    return Large()


@st.composite
def two_sizes(draw: st.DrawFn) -> tuple[int, int]:
    second = draw(st.one_of(st.integers(1, MANY), st.sampled_from([255, 256, 257, 511, 512, 513])))
    return draw(st.integers(1, second)), second


@given(sizes=two_sizes())
@example(sizes=(256, 512))
@example(sizes=(1, MANY))
@settings(max_examples=40, deadline=None)
def test_any_two_sizes_have_a_consistency_proof(large: Large, sizes: tuple[int, int]) -> None:
    first, second = sizes
    proof = hashes(large.ct("get-sth-consistency", first=first, second=second)["consistency"])
    assert proof == oracle.proof(first, large.leaves[:second])


@given(sizes=two_sizes())
@example(sizes=(256, 257))
@example(sizes=(257, 257))
@settings(max_examples=40, deadline=None)
def test_any_leaf_has_a_proof_in_any_tree_that_holds_it(large: Large, sizes: tuple[int, int]) -> None:
    index, size = sizes[0] - 1, sizes[1]
    leaf = b64encode(leaf_hash(large.leaves[index])).decode()
    answer = large.ct("get-proof-by-hash", hash=leaf, tree_size=size)
    path = hashes(answer["audit_path"])
    assert (answer["leaf_index"], path) == (index, oracle.path(index, large.leaves[:size]))
    with_entry = large.ct("get-entry-and-proof", leaf_index=index, tree_size=size)
    assert hashes(with_entry["audit_path"]) == path
    assert b64decode(with_entry["leaf_input"]) == large.leaves[index]


def test_a_hash_with_every_character_of_base64_finds_its_leaf_when_percent_encoded(large: Large) -> None:
    told = {b64encode(leaf_hash(leaf)).decode(): index for index, leaf in enumerate(large.leaves)}
    text = next(text for text in told if "+" in text and "/" in text)
    assert large.ct("get-proof-by-hash", hash=text, tree_size=MANY)["leaf_index"] == told[text]
    raw = asyncio.run(ask(large.app, "GET", f"/x509/ct/v1/get-proof-by-hash?hash={text}&tree_size={MANY}"))
    assert raw.status == 400  # a plus sign that is not encoded is a space


@pytest.mark.parametrize(("start", "end"), [(0, 599), (0, 63), (1, 64), (60, 70), (64, 127), (200, 520), (599, 599)])
def test_a_range_is_read_whole_over_tiles_and_pieces(large: Large, start: int, end: int) -> None:
    entries = large.ct("get-entries", start=start, end=end)["entries"]
    assert [b64decode(entry["leaf_input"]) for entry in entries] == large.leaves[start : end + 1]
    assert {b64decode(entry["extra_data"]) for entry in entries} == {b"\x00\x00\x09\x00\x00\x06issuer"}


async def test_an_answer_of_get_entries_keeps_within_its_bytes_but_is_never_empty() -> None:
    hosted = FakeNode().x509
    hosted.blobs[sha256(b"issuer").digest()] = b"issuer"
    hosted.fill(100)
    whole, _ = await hosted.reads().entries(0, 99)
    size = [len(entry.leaf_input) + len(entry.extra_data) for entry in whole]
    for limit, count in ((1, 1), (sum(size[:1]), 1), (sum(size[:7]) - 1, 6), (sum(size[:7]), 7), (sum(size[:80]), 80)):
        entries, lasting = await hosted.reads(RangeLimits(max_bytes=limit)).entries(0, 98)
        assert entries == whole[:count]
        assert lasting
    assert len((await hosted.reads(RangeLimits(max_bytes=1)).entries(99, 99))[0]) == 1


@given(start=st.integers(0, 5000), count=st.integers(1, 5000), cap=st.integers(1, 1200))
def test_whoever_asks_for_as_much_as_there_is_soon_asks_in_step(start: int, count: int, cap: int) -> None:
    end = start + count - 1
    last = aligned_end(start, end, cap)
    assert start <= last <= end
    assert last - start < cap
    assert last == end if count < cap else (last + 1) % cap == 0


def test_the_cap_is_that_of_deployed_logs() -> None:
    assert RangeLimits().max_entries == LimitsTable().max_get_entries == 1000
    assert RangeLimits().max_bytes == LimitsTable().max_get_entries_bytes == 8 << 20
