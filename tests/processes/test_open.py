"""An open test log on a real node: any bytes in, each once, provable; and no other log takes them."""

import asyncio
from pathlib import Path

import httpx
import pytest

from log import keyring, state
from log.client.audit import audit, audit_index
from log.client.http import HttpLog
from log.crypto.notes import open_note
from log.demo.ca import MassIssuer
from log.formats.family import MAX_LEAF_SIZE, TILES
from log.formats.note import VKey
from log.formats.tlog_proof import TlogProof
from log.merkle.hashing import leaf_hash
from log.merkle.proof import verify_inclusion
from log.sequencer.clock import SystemClock
from tests.bench.node import HOST, LoneNode, Server
from tests.support import plain

LARGEST = bytes(MAX_LEAF_SIZE)
ENTRIES = [b"one", b"\x00", LARGEST, b"KG no entry of ours", b"one\n"]


def connect(server: Server) -> httpx.AsyncClient:
    """Return a client without connections kept alive: one might be closed at the moment it is used again."""
    limits = httpx.Limits(max_keepalive_connections=0)
    return plain.client(base_url=f"http://127.0.0.1:{server.port}", limits=limits, timeout=60)


@pytest.fixture
async def node(tmp_path: Path) -> LoneNode:
    made = LoneNode(tmp_path / "node", ("x509", "governance", TILES.name))
    await made.create(MassIssuer().issuers[-1])
    return made


async def test_any_bytes_are_taken_once_and_proved(node: LoneNode) -> None:
    server = await node.start()
    async with connect(server) as http:
        at_once = await asyncio.gather(*(http.post(f"/{TILES.name}/add", content=entry) for entry in ENTRIES * 3))
        assert {answer.status_code for answer in at_once} == {httpx.codes.OK}
        assert {answer.headers["content-type"] for answer in at_once} == {"text/plain; charset=utf-8"}
        indexes = [int(answer.text) for answer in at_once]
        assert sorted(indexes[: len(ENTRIES)]) == list(range(len(ENTRIES)))
        assert indexes == indexes[: len(ENTRIES)] * 3

        reader = HttpLog(f"http://127.0.0.1:{server.port}/{TILES.name}", TILES, http)
        rows = await reader.entries(0, len(ENTRIES), len(ENTRIES))
        assert [rows[index] for index in indexes[: len(ENTRIES)]] == ENTRIES
        vkeys = [VKey.parse(vkey) for vkey in keyring.public_keys(node.settings, SystemClock())[f"{HOST}/{TILES.name}"]]
        assert (await audit(reader, TILES, vkeys)).size == len(ENTRIES)

        leaf = leaf_hash(LARGEST)
        proof = TlogProof.parse((await http.get(f"/{TILES.name}/tlog-proof", params={"leaf": leaf.hex()})).content)
        head = open_note(proof.checkpoint, vkeys).checkpoint
        verify_inclusion(proof.index, head.size, leaf, proof.hashes, head.root)
    await server.stop()

    async for stored in state.stopped_logs(node.settings):
        if stored.family is TILES:
            assert (await audit(stored.reader, TILES, vkeys)).size == len(ENTRIES)
            await audit_index(stored.reader, TILES, stored.index)

    server = await node.start()
    async with connect(server) as http:
        again = [int((await http.post(f"/{TILES.name}/add", content=entry)).text) for entry in ENTRIES]
        assert again == indexes[: len(ENTRIES)]
        assert int((await http.post(f"/{TILES.name}/add", content=b"new")).text) == len(ENTRIES)
    await server.stop()


async def test_what_is_refused_leaves_the_tree_as_it_was_and_other_logs_take_nothing(node: LoneNode) -> None:
    server = await node.start()
    async with connect(server) as http:
        for body, status in ((b"", 400), (LARGEST + b".", 413), (bytes(1 << 20), 413)):
            assert (await http.post(f"/{TILES.name}/add", content=body)).status_code == status
        for name in ("x509", "governance", "elsewhere"):
            assert (await http.post(f"/{name}/add", content=b"entry")).status_code == httpx.codes.NOT_FOUND
        health = (await http.get("/healthz")).json()
        assert {log["name"]: log["size"] for log in health["logs"]}[TILES.name] == 0
        page = (await http.get("/")).text
        assert page.count("takes any entry from anybody") == 1
    await server.stop()
