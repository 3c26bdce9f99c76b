"""The RFC 6962 read API (formats.md section 8) through a whole node, with a log of both kinds of entry.

What the node answers is taken apart by hand and checked against `support/rfc6962.py`: none of it goes through the code
that wrote it.
"""

import asyncio
import struct
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from log import main
from log.api.app import Options, create_app
from log.demo.ca import Chain, Precert
from log.demo.deployment import Anchors, Deployment
from log.demo.issuing import ALGORITHMS
from log.formats.checkpoint import Checkpoint
from log.formats.note import KeyType, Note
from log.node.node import Node
from log.sequencer.clock import SystemClock
from log.settings import NodeSettings
from tests.api.conftest import ask
from tests.api.rfc6962_reader import (
    ENDPOINTS,
    ZERO,
    hashes,
    is_error,
    leaf_hash,
    opaque24,
    root_of_path,
    roots_of_consistency,
)
from tests.support import rfc6962 as oracle
from tests.support.nodes import monitor, unguard
from tests.support.odd_certificates import world

LASTING = "public, max-age=86400"
GROWING = "public, max-age=60"
CAP = 4  # max_get_entries of the whole node
SIZE = 11  # its entries


@dataclass
class Running:
    """A node in this process, with a log of both kinds of entry, each beside the answer to its submission.

    Its loop runs only while a request is answered, so the tests are plain functions.
    """

    node: Node
    client: httpx.AsyncClient
    runner: asyncio.Runner
    entries: list[tuple[Chain, dict[str, Any]]]

    def get(self, path: str, **query: object) -> httpx.Response:
        return self.runner.run(self.client.get(path, params=query or None))  # type: ignore[arg-type]

    def ct(self, endpoint: str, **query: object) -> Any:
        """Return the JSON of a 200."""
        answer = self.get(f"/x509/ct/v1/{endpoint}", **query)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/json"
        return answer.json()

    def submit(self, chain: Chain) -> dict[str, Any]:
        endpoint = "add-pre-chain" if isinstance(chain, Precert) else "add-chain"
        body = {"chain": [b64encode(der).decode() for der in chain.submitted]}
        answer = self.runner.run(self.client.post(f"/x509/ct/v1/{endpoint}", json=body))
        assert answer.status_code == 200, answer.text
        sct: dict[str, Any] = answer.json()
        return sct

    def all_entries(self) -> list[dict[str, str]]:
        """Read the log as a mirror does: on and on from where the last answer ended."""
        found: list[dict[str, str]] = []
        size = self.ct("get-sth")["tree_size"]
        while len(found) < size:
            more = self.ct("get-entries", start=len(found), end=size - 1)["entries"]
            assert more
            found += more
        return found

    def leaf_inputs(self) -> list[bytes]:
        return [b64decode(entry["leaf_input"]) for entry in self.all_entries()]


@contextmanager
def opened(folder: Path) -> Iterator[Running]:
    """Start a node; its log is empty."""
    with asyncio.Runner() as runner:
        node, client = runner.run(_start(folder))
        yield Running(node, client, runner, [])
        runner.run(client.aclose())
        runner.run(node.stop())


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with opened(tmp_path_factory.mktemp("rfc6962") / "d") as made:
        tree = world().tree
        for n, suite in enumerate(tree.suites):
            chain = tree.precert(suite, n) if n % 2 else tree.issue(suite, n)
            made.entries.append((chain, made.submit(chain)))
        made.entries.append((chain := tree.precert("p256", 100, signing_certificate=True), made.submit(chain)))
        made.entries.append((chain := Chain(tree.roots[0], ()), made.submit(chain)))  # nothing stands above a root
        while len(made.entries) < SIZE:
            chain = tree.issue("p256", 100 + len(made.entries))
            made.entries.append((chain, made.submit(chain)))
        yield made


async def _start(folder: Path) -> tuple[Node, httpx.AsyncClient]:
    # Between two questions for the head it must not be signed anew: only a start and a submission do so here.
    deployment = Deployment(folder, {"heartbeat_s": 3600}, {"max_get_entries": CAP}, run_monitor=monitor)
    await deployment.create({"hk": Anchors(world().tree.roots), "gd": Anchors(())})
    site = deployment.sites["hk"]
    unguard(site)
    node = await main.build(NodeSettings.load(site.settings), SystemClock(), site.url)
    await node.start()
    transport = httpx.ASGITransport(create_app(node, Options()))
    return node, httpx.AsyncClient(transport=transport, base_url=site.url)


def test_the_head_is_that_of_the_checkpoint_and_its_signature_verifies(running: Running) -> None:
    sth = running.ct("get-sth")
    assert list(sth) == ["tree_size", "timestamp", "sha256_root_hash", "tree_head_signature"]
    note = Note.parse(running.get("/x509/checkpoint").content)
    checkpoint = Checkpoint.parse(note.text)
    root = b64decode(sth["sha256_root_hash"], validate=True)
    assert (sth["tree_size"], root) == (checkpoint.size, checkpoint.root)
    signed = b64decode(sth["tree_head_signature"], validate=True)
    algorithm, length = struct.unpack(">2sH", signed[:4])
    assert (algorithm, length) == (b"\x04\x03", len(signed) - 4)  # SHA-256, ECDSA
    [vkey] = [vkey for vkey in running.node.logs["x509"].identity.vkeys if vkey.type is KeyType.TREE_HEAD]
    key = load_der_public_key(vkey.key)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    head = struct.pack(">BBQQ32s", 0, 1, sth["timestamp"], sth["tree_size"], root)
    key.verify(signed[4:], head, ec.ECDSA(SHA256()))


def test_the_head_is_the_newest_and_no_cache_is_told_to_keep_it(running: Running) -> None:
    answer = running.get("/x509/ct/v1/get-sth")
    assert "cache-control" not in answer.headers
    assert answer.headers["access-control-allow-origin"] == "*"
    sth = answer.json()
    assert sth["tree_size"] == SIZE
    assert sth["timestamp"] >= max(sct["timestamp"] for _, sct in running.entries)
    assert b64decode(sth["sha256_root_hash"]) == oracle.mth(running.leaf_inputs())


def test_leaf_input_and_extra_data_are_laid_out_as_rfc_6962_has_them(running: Running) -> None:
    served = running.all_entries()
    assert len(served) == SIZE
    for index, (entry, (chain, sct)) in enumerate(zip(served, running.entries, strict=True)):
        assert list(entry) == ["leaf_input", "extra_data"]
        above = opaque24(b"".join(map(opaque24, chain.issuers)))
        if isinstance(chain, Precert):
            ca = world().tree.branches[chain.suite]
            tbs = chain.profile.tbs(ca.name, ALGORITHMS[chain.suite])
            signed_entry = b"\x00\x01" + sha256(ca.key.spki).digest() + opaque24(tbs)
            extra_data = opaque24(chain.leaf) + above
        else:
            signed_entry = b"\x00\x00" + opaque24(chain.leaf)
            extra_data = above
        extensions = b"\x00\x08" + b"\x00\x00\x05" + index.to_bytes(5, "big")
        leaf_input = b"\x00\x00" + struct.pack(">Q", sct["timestamp"]) + signed_entry + extensions
        assert b64decode(entry["leaf_input"], validate=True) == leaf_input
        assert b64decode(entry["extra_data"], validate=True) == extra_data


def test_an_entry_without_issuers_has_an_empty_chain(running: Running) -> None:
    [index] = [index for index, (chain, _) in enumerate(running.entries) if not chain.issuers]
    [entry] = running.ct("get-entries", start=index, end=index)["entries"]
    assert b64decode(entry["extra_data"]) == b"\x00\x00\x00"


def test_every_inclusion_proof_verifies(running: Running) -> None:
    leaves = running.leaf_inputs()
    for size in range(1, SIZE + 1):
        root = oracle.mth(leaves[:size])
        for index in range(size):
            leaf = leaf_hash(leaves[index])
            answer = running.ct("get-proof-by-hash", hash=b64encode(leaf).decode(), tree_size=size)
            assert list(answer) == ["leaf_index", "audit_path"]
            path = hashes(answer["audit_path"])
            assert (answer["leaf_index"], path) == (index, oracle.path(index, leaves[:size]))
            assert root_of_path(index, size, leaf, path) == root


def test_an_entry_comes_with_its_proof(running: Running) -> None:
    leaves, served = running.leaf_inputs(), running.all_entries()
    for size in (1, 5, SIZE):
        for index in range(size):
            answer = running.ct("get-entry-and-proof", leaf_index=index, tree_size=size)
            path = answer.pop("audit_path")
            assert answer == served[index]
            assert hashes(path) == oracle.path(index, leaves[:size])
    assert running.ct("get-entry-and-proof", leaf_index=0, tree_size=1)["audit_path"] == []


def test_every_consistency_proof_verifies(running: Running) -> None:
    leaves = running.leaf_inputs()
    for second in range(SIZE + 1):
        for first in range(second + 1):
            answer = running.ct("get-sth-consistency", first=first, second=second)
            assert list(answer) == ["consistency"]
            proof = hashes(answer["consistency"])
            if first in (0, second):
                assert answer["consistency"] == []  # and not null
                continue
            assert proof == oracle.proof(first, leaves[:second])
            roots = oracle.mth(leaves[:first]), oracle.mth(leaves[:second])
            assert roots_of_consistency(first, second, roots[0], proof) == roots


@pytest.mark.parametrize(
    ("start", "end", "last"),
    [
        (0, 0, 0),
        (0, 2, 2),
        (0, 3, 3),  # as much as there is at once, and aligned already
        (0, 4, 3),
        (0, 10**9, 3),
        (1, 3, 3),
        (1, 2, 2),
        (1, 4, 3),  # four are asked for: no further than the next multiple
        (3, 6, 3),
        (3, 5, 5),  # three are asked for: all of them, over the multiple
        (4, 7, 7),
        (5, 2**63 - 1, 7),
        (8, 10, 10),
        (8, 11, 10),  # the tree ends
        (9, 11, 10),
        (10, 10, 10),
        (10, 99, 10),
    ],
)
def test_a_range_ends_at_the_cap_the_next_multiple_of_it_or_the_tree(
    running: Running, start: int, end: int, last: int
) -> None:
    answer = running.get("/x509/ct/v1/get-entries", start=start, end=end)
    assert answer.status_code == 200
    leaves = [b64decode(entry["leaf_input"]) for entry in answer.json()["entries"]]
    assert leaves == running.leaf_inputs()[start : last + 1]
    grows = last == SIZE - 1 and end > last
    assert answer.headers["cache-control"] == (GROWING if grows else LASTING)


def test_proofs_may_be_kept_for_a_day(running: Running) -> None:
    leaf = b64encode(leaf_hash(running.leaf_inputs()[2])).decode()
    for endpoint, query in (
        ("get-sth-consistency", {"first": 3, "second": 7}),
        ("get-sth-consistency", {"first": 0, "second": 0}),
        ("get-proof-by-hash", {"hash": leaf, "tree_size": 5}),
        ("get-entry-and-proof", {"leaf_index": 2, "tree_size": 5}),
    ):
        answer = running.get(f"/x509/ct/v1/{endpoint}", **query)
        assert answer.headers["cache-control"] == LASTING
        assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    ("endpoint", "query", "status"),
    [
        ("get-sth-consistency", "", 400),
        ("get-sth-consistency", "first=1", 400),
        ("get-sth-consistency", "second=1", 400),
        ("get-sth-consistency", "first=&second=1", 400),
        ("get-sth-consistency", "first=-1&second=1", 400),
        ("get-sth-consistency", "first=1&second=-1", 400),
        ("get-sth-consistency", "first=3&second=2", 400),
        ("get-sth-consistency", f"first=1&second={SIZE + 1}", 400),
        ("get-sth-consistency", f"first=0&second={SIZE + 1}", 400),
        ("get-sth-consistency", f"first={SIZE + 1}&second={SIZE + 1}", 400),
        ("get-sth-consistency", "first=01&second=2", 400),
        ("get-sth-consistency", "first=%2B1&second=2", 400),
        ("get-sth-consistency", "first=1.0&second=2", 400),
        ("get-sth-consistency", "first=1_0&second=11", 400),
        ("get-sth-consistency", "first=%201&second=2", 400),
        ("get-sth-consistency", "first=%D9%A1&second=2", 400),
        ("get-sth-consistency", "first=0x1&second=2", 400),
        ("get-sth-consistency", "first=1&first=1&second=2", 400),
        ("get-sth-consistency", f"first=1&second={2**63}", 400),
        ("get-sth-consistency", "first=1&second=" + "9" * 5000, 400),
        ("get-sth-consistency", "First=1&second=2", 400),
        ("get-proof-by-hash", "", 400),
        ("get-proof-by-hash", "tree_size=1", 400),
        ("get-proof-by-hash", f"hash={quote(ZERO)}", 400),
        ("get-proof-by-hash", "hash=&tree_size=1", 400),
        ("get-proof-by-hash", f"hash={quote(ZERO)}&tree_size=0", 400),
        ("get-proof-by-hash", f"hash={quote(ZERO)}&tree_size=-1", 400),
        ("get-proof-by-hash", f"hash={quote(ZERO[:-1])}&tree_size=1", 400),  # unpadded
        ("get-proof-by-hash", f"hash={quote(ZERO[:-2] + 'B=')}&tree_size=1", 400),  # spare bits
        ("get-proof-by-hash", "hash=AAAA&tree_size=1", 400),
        ("get-proof-by-hash", f"hash={'00' * 32}&tree_size=1", 400),
        ("get-proof-by-hash", f"hash={'_' * 43}%3D&tree_size=1", 400),
        ("get-proof-by-hash", f"hash={'+' * 43}%3D&tree_size=1", 400),  # spaces
        ("get-proof-by-hash", "hash=%ff&tree_size=1", 400),
        ("get-proof-by-hash", "hash=\xff&tree_size=1", 400),
        ("get-proof-by-hash", f"hash={quote(ZERO)}&tree_size=1", 404),
        ("get-proof-by-hash", f"hash={ZERO}&tree_size={SIZE}", 404),  # only a plus must be encoded
        ("get-proof-by-hash", f"hash={quote(ZERO)}&tree_size={SIZE + 1}", 404),
        ("get-entries", "", 400),
        ("get-entries", "start=0", 400),
        ("get-entries", "end=0", 400),
        ("get-entries", "start=2&end=1", 400),
        ("get-entries", "start=-1&end=1", 400),
        ("get-entries", "start=0&end=-1", 400),
        ("get-entries", f"start={SIZE}&end={SIZE}", 400),
        ("get-entries", f"start={SIZE}&end={SIZE + 100}", 400),
        ("get-entries", "start=0&end=1e3", 400),
        ("get-entry-and-proof", "", 400),
        ("get-entry-and-proof", "leaf_index=0", 400),
        ("get-entry-and-proof", "tree_size=1", 400),
        ("get-entry-and-proof", "leaf_index=0&tree_size=0", 400),
        ("get-entry-and-proof", "leaf_index=-1&tree_size=1", 400),
        ("get-entry-and-proof", "leaf_index=1&tree_size=1", 400),
        ("get-entry-and-proof", f"leaf_index=0&tree_size={SIZE + 1}", 400),
        ("get-entry-and-proof", f"leaf_index={SIZE}&tree_size={SIZE + 1}", 400),
        ("get-entries", "start=0&end=1&" + "&".join(f"x{i}=1" for i in range(100)), 400),
    ],
)
def test_a_question_that_fits_no_tree_is_refused(running: Running, endpoint: str, query: str, status: int) -> None:
    app = create_app(running.node, Options())
    answer = running.runner.run(ask(app, "GET", f"/x509/ct/v1/{endpoint}?{query}"))
    is_error(httpx.Response(answer.status, headers=answer.headers, content=answer.body), status)


def test_a_leaf_is_not_in_a_tree_that_ended_before_it(running: Running) -> None:
    leaf = b64encode(leaf_hash(running.leaf_inputs()[5])).decode()
    is_error(running.get("/x509/ct/v1/get-proof-by-hash", hash=leaf, tree_size=5), 404)
    assert running.get("/x509/ct/v1/get-proof-by-hash", hash=leaf, tree_size=6).status_code == 200
    beyond = running.get("/x509/ct/v1/get-proof-by-hash", hash=leaf, tree_size=SIZE + 1)
    is_error(beyond, 404)
    assert f"tree_size = {SIZE + 1}, but this log has {SIZE} entries" in beyond.text


def test_names_come_in_any_order_among_others_that_are_ignored(running: Running) -> None:
    leaf = b64encode(leaf_hash(running.leaf_inputs()[4])).decode()
    for endpoint, query in (
        ("get-sth", {}),
        ("get-sth-consistency", {"first": "3", "second": "7"}),
        ("get-proof-by-hash", {"hash": leaf, "tree_size": "5"}),
        ("get-entries", {"start": "1", "end": "2"}),
        ("get-entry-and-proof", {"leaf_index": "2", "tree_size": "5"}),
    ):
        pairs = list(query.items())
        answers = {
            running.get(f"/x509/ct/v1/{endpoint}?{text}").content
            for text in (
                urlencode(pairs),
                urlencode(pairs[::-1]),
                f"utm&{urlencode(pairs)}&utm&=&utm_source=%ff&&a=b=c",
            )
        }
        assert len(answers) == 1
        assert answers.pop().startswith(b'{"')


def test_only_logs_of_certificates_have_it(running: Running) -> None:
    query = f"first=0&second=0&hash={quote(ZERO)}&tree_size=1&start=0&end=0&leaf_index=0"
    for endpoint in ENDPOINTS:
        for name in ("governance", "nolog"):
            is_error(running.get(f"/{name}/ct/v1/{endpoint}?{query}"), 404)
        is_error(running.runner.run(running.client.post(f"/x509/ct/v1/{endpoint}?{query}")), 405)


def test_a_submission_is_at_once_in_head_entries_and_proofs(tmp_path: Path) -> None:
    with opened(tmp_path / "d") as running:
        for index in range(2):
            chain = world().tree.issue("p256", 200 + index)
            before = running.ct("get-sth")
            sct = running.submit(chain)
            sth = running.ct("get-sth")
            assert (before["tree_size"], sth["tree_size"]) == (index, index + 1)
            assert before["timestamp"] < sth["timestamp"]
            assert sct["timestamp"] <= sth["timestamp"]
            leaf_input = b"\x00\x00" + struct.pack(">Q", sct["timestamp"]) + b"\x00\x00" + opaque24(chain.leaf)
            leaf_input += b"\x00\x08" + b64decode(sct["extensions"])
            leaf = leaf_hash(leaf_input)
            proof = running.ct("get-proof-by-hash", hash=b64encode(leaf).decode(), tree_size=index + 1)
            assert proof["leaf_index"] == index
            root = root_of_path(index, index + 1, leaf, hashes(proof["audit_path"]))
            assert root == b64decode(sth["sha256_root_hash"])
            [entry] = running.ct("get-entries", start=index, end=index)["entries"]
            assert b64decode(entry["leaf_input"]) == leaf_input
