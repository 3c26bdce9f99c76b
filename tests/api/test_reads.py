"""Heads, tiles, issuers and proofs: bodies, content types and caching (formats.md sections 5, 6 and 11)."""

import gzip
from hashlib import sha256

import pytest

from log.api.edge import Asgi
from log.errors import RateLimited
from log.formats.bundle import split_bundle
from log.formats.checkpoint import parse_signed
from log.formats.family import X509
from log.formats.tlog_proof import TlogProof
from log.merkle.hashing import leaf_hash
from log.merkle.proof import verify_inclusion
from tests.api.conftest import Client, ask
from tests.support.fake_node import FakeNode

IMMUTABLE = "public, max-age=604800, immutable"


async def test_a_checkpoint_is_text_that_no_cache_keeps(client: Client, node: FakeNode) -> None:
    node.x509.fill(3)
    answer = await client.get("/x509/checkpoint")
    assert answer.status_code == 200
    assert answer.content == node.x509.note(3)
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["content-length"] == str(len(answer.content))


async def test_the_witnessed_head_is_absent_before_the_first(client: Client, node: FakeNode) -> None:
    missing = await client.get("/x509/checkpoint/witnessed")
    assert missing.status_code == 404
    node.x509.cosigned = (0, node.x509.note(0))
    found = await client.get("/x509/checkpoint/witnessed")
    assert (found.status_code, found.content) == (200, node.x509.note(0))
    assert found.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("path", "level", "n", "width"),
    [
        ("tile/0/000", 0, 0, 256),
        ("tile/0/001.p/44", 0, 1, 44),
        ("tile/0/000.p/7", 0, 0, 7),
        ("tile/1/000.p/1", 1, 0, 1),
    ],
)
async def test_hash_tiles_are_immutable_and_never_compressed(
    client: Client, node: FakeNode, path: str, level: int, n: int, width: int
) -> None:
    node.x509.fill(300)
    answer = await client.get(f"/x509/{path}", headers={"accept-encoding": "gzip"})
    assert answer.status_code == 200
    assert answer.content == await node.x509.tiles.hash_tile(level, n, width)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["cache-control"] == IMMUTABLE
    assert "content-encoding" not in answer.headers


@pytest.mark.parametrize("kind", ["data", "entries"])
async def test_a_full_tile_of_entries_is_compressed_for_who_accepts_it(
    client: Client, node: FakeNode, kind: str
) -> None:
    node.x509.fill(300)
    plain = await client.get(f"/x509/tile/{kind}/000")
    packed = await client.get(f"/x509/tile/{kind}/000", headers={"accept-encoding": "gzip, identity"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) == len(gzip.compress(plain.content, mtime=0)) < len(plain.content)
    assert packed.content == plain.content == await node.x509.tiles.entry_tile(kind, 0, 256)
    for answer in (plain, packed):
        assert answer.headers["cache-control"] == IMMUTABLE
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["vary"] == "accept-encoding"


async def test_a_partial_tile_of_entries_is_sent_as_it_is(client: Client, node: FakeNode) -> None:
    node.x509.fill(300)
    answer = await client.get("/x509/tile/entries/001.p/44", headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in answer.headers
    leaves = [leaf_hash(entry) for entry in split_bundle(answer.content)]
    assert b"".join(leaves) == await node.x509.tiles.hash_tile(0, 1, 44)
    assert node.x509.compressed == 0


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [
        ("gzip", True),
        ("GZIP", True),
        ("br, gzip;q=0.5", True),
        ("identity,gzip", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("gzip;q=0.001", True),
        ("deflate, br", False),
        ("*", False),
        ("", False),
        ("gzipped", False),
    ],
)
async def test_accept_encoding_is_read_as_http_means_it(
    client: Client, node: FakeNode, accepted: str, packed: bool
) -> None:
    node.x509.fill(256)
    answer = await client.get("/x509/tile/data/000", headers={"accept-encoding": accepted})
    assert ("content-encoding" in answer.headers) == packed


async def test_a_governance_log_has_bundles_and_no_data_tiles(client: Client, node: FakeNode) -> None:
    node.logs["governance"].fill(3)
    assert (await client.get("/governance/tile/entries/000.p/3")).status_code == 200
    assert (await client.get("/governance/tile/data/000.p/3")).status_code == 404


async def test_an_issuer_is_found_by_the_digest_in_lower_case(client: Client, node: FakeNode) -> None:
    certificate = b"\x30issuer"
    digest = sha256(certificate).digest()
    node.x509.blobs[digest] = certificate
    answer = await client.get(f"/x509/issuer/{digest.hex()}")
    assert (answer.status_code, answer.content) == (200, certificate)
    assert answer.headers["content-type"] == "application/pkix-cert"
    assert answer.headers["cache-control"] == IMMUTABLE
    for wrong in (digest.hex().upper(), digest.hex()[:-2], digest.hex() + "00", "0" * 64, "zz" * 32):
        assert (await client.get(f"/x509/issuer/{wrong}")).status_code == 404


@pytest.mark.parametrize(
    "target",
    [
        "nolog/checkpoint",
        "x509/tile/0/001",
        "x509/tile/0/000.p/4",
        "x509/tile/1/000.p/1",
        "x509/tile/63/000",
        "x509/tile/64/000",
        "x509/tile/00/000",
        "x509/tile/-1/000",
        "x509/tile/0/0",
        "x509/tile/0/",
        "x509/tile/0",
        "x509/tile/0/000/",
        "x509/tile/0//000",
        "x509/tile/0/000.p/0",
        "x509/tile/0/000.p/256",
        "x509/tile/0/000.p/01",
        "x509/tile/0/x000/001",
        "x509/tile/0/" + "x999/" * 50 + "999",
        "x509/tile/0/x009/x223/x372/x036/x854/x775/807",
        "x509/tile/0/٠٠٠",
        "x509/tile/data/001",
        "x509/tile/names/000",
        "x509/checkpoint/",
        "x509/checkpoint/other",
        "x509//checkpoint",
        "/x509/checkpoint",
        "x509/./checkpoint",
        "x509/../x509/checkpoint",
        "x509/tile/0/000%2Ep/3",
        "%78509/checkpoint",
        "x509/checkpoint%00",
        "x509/checkpoint%0a",
        "x509/checkpoint%ff",
        "x509/" + "a" * 5000,
        "x509",
        "x509/",
    ],
)
async def test_odd_paths_are_not_found_and_not_kept(app: Asgi, node: FakeNode, target: str) -> None:
    node.x509.fill(3)
    for method in ("GET", "HEAD", "POST"):
        answer = await ask(app, method, f"/{target}")
        assert answer.status == 404 or (method == "POST" and answer.status == 405)
        assert "cache-control" not in answer.headers
        assert "content-encoding" not in answer.headers
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"


async def test_a_proof_leads_from_a_leaf_or_a_certificate_to_a_head(client: Client, node: FakeNode) -> None:
    node.x509.fill(5)
    node.x509.cosigned = (4, node.x509.note(4))
    keys = {key[:1]: key[1:].hex() for key in X509.keys(node.x509.rows[2])}
    by_leaf = await client.get(f"/x509/tlog-proof?leaf={keys[b'l']}")
    by_certificate = await client.get(f"/x509/tlog-proof?fingerprint={keys[b'f']}&head=newest")
    for answer, size in ((by_leaf, 4), (by_certificate, 5)):
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.headers["cache-control"] == "no-store"
        proof = TlogProof.parse(answer.content)
        _, checkpoint = parse_signed(proof.checkpoint)
        assert (proof.index, checkpoint.size) == (2, size)
        verify_inclusion(2, size, bytes.fromhex(keys[b"l"]), proof.hashes, checkpoint.root)


async def test_a_leaf_that_no_witness_has_seen_is_a_matter_of_waiting(client: Client, node: FakeNode) -> None:
    node.x509.fill(1)
    leaf = leaf_hash(X509.leaf_input(node.x509.rows[0])).hex()
    answer = await client.get(f"/x509/tlog-proof?leaf={leaf}")
    assert (answer.status_code, answer.headers["retry-after"]) == (202, "2")
    assert answer.text.startswith("Accepted\n")
    assert "cache-control" not in answer.headers


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?",
        "?leaf=",
        "?leaf=00",
        "?leaf=" + "AB" * 32,
        "?leaf=" + "ab" * 32 + "&fingerprint=" + "ab" * 32,
        "?leaf=" + "ab" * 32 + "&leaf=" + "ab" * 32,
        "?leaf=" + "ab" * 32 + "&head=oldest",
        "?leaf=" + "ab" * 32 + "&head=",
        "?leaf=" + "ab" * 32 + "&other=1",
        "?head=newest",
        "?leaf",
        "?" + "&".join(f"a{i}=1" for i in range(50)),
        "?leaf=%ff%fe",
    ],
)
async def test_a_proof_is_asked_for_in_one_way_only(client: Client, query: str) -> None:
    assert (await client.get(f"/x509/tlog-proof{query}")).status_code == 400


async def test_an_unknown_leaf_is_not_found(client: Client) -> None:
    assert (await client.get(f"/x509/tlog-proof?leaf={'ab' * 32}")).status_code == 404


async def test_a_reader_may_be_told_to_come_again(client: Client, node: FakeNode) -> None:
    node.x509.refusal = RateLimited("slowly", retry_after_s=7)
    answer = await client.get("/x509/tile/0/000")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
    assert "cache-control" not in answer.headers
