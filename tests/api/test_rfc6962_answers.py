"""The RFC 6962 read API where there is nothing, where something is missing, and where not everybody may read."""

import json
from base64 import b64decode, b64encode
from hashlib import sha256
from urllib.parse import quote

import pytest

from log.access import Bodies, Role
from log.api.app import COLD, Options, create_app
from log.api.auth import Credentials, Token
from log.api.edge import HOT, Asgi
from log.errors import Malformed
from log.formats.family import X509
from log.formats.tree_head import signed_tree_head
from tests.api.conftest import ask
from tests.api.rfc6962_reader import ENDPOINTS, ZERO, leaf_hash
from tests.support.fake_node import FakeNode


async def test_an_empty_log_has_a_head_and_no_entries(node: FakeNode, app: Asgi) -> None:
    sth = json.loads((await ask(app, "GET", "/x509/ct/v1/get-sth")).body)
    assert (sth["tree_size"], b64decode(sth["sha256_root_hash"])) == (0, sha256(b"").digest())
    proof = await ask(app, "GET", "/x509/ct/v1/get-sth-consistency?first=0&second=0&utm=é")
    assert (proof.status, proof.body) == (200, b'{"consistency":[]}')
    for target, status in (
        ("get-entries?start=0&end=0", 400),
        ("get-entry-and-proof?leaf_index=0&tree_size=1", 400),
        (f"get-proof-by-hash?hash={quote(ZERO)}&tree_size=1", 404),
    ):
        assert (await ask(app, "GET", f"/x509/ct/v1/{target}")).status == status


async def test_a_missing_issuer_is_our_fault_and_not_served_as_a_shorter_chain(node: FakeNode, app: Asgi) -> None:
    node.x509.fill(1)
    assert (await ask(app, "GET", "/x509/ct/v1/get-entries?start=0&end=0")).status == 500


async def test_entries_are_for_token_holders_where_they_are_restricted_and_kept_by_no_cache(node: FakeNode) -> None:
    node.x509.blobs[sha256(b"issuer").digest()] = b"issuer"
    node.x509.fill(3)
    node.x509.bodies = Bodies.MEMBERS
    bank = Token(Role.RELYING_PARTY, "hk", sha256(b"a token").digest(), 2**52)
    app = create_app(node, Options(Credentials(tokens=[bank])))
    for target in (
        "get-entries?start=0&end=1",
        "get-entries?start=0&end=9",
        "get-entry-and-proof?leaf_index=0&tree_size=3",
    ):
        assert (await ask(app, "GET", f"/x509/ct/v1/{target}")).status == 401
        answer = await ask(app, "GET", f"/x509/ct/v1/{target}", headers=[(b"authorization", b"Bearer a token")])
        assert (answer.status, answer.headers["cache-control"]) == (200, "private, no-store")
    leaf = quote(b64encode(leaf_hash(X509.leaf_input(node.x509.rows[0]))), safe="")
    for target in ("get-sth", "get-sth-consistency?first=1&second=2", f"get-proof-by-hash?hash={leaf}&tree_size=3"):
        assert (await ask(app, "GET", f"/x509/ct/v1/{target}")).status == 200


async def test_openapi_names_what_each_must_be_asked_with(app: Asgi) -> None:
    paths = json.loads((await ask(app, "GET", "/openapi.json")).body)["paths"]
    asked = {
        endpoint: {
            parameter["name"]
            for parameter in paths[f"/{{log}}/ct/v1/{endpoint}"]["get"]["parameters"]
            if parameter["in"] == "query" and parameter["required"]
        }
        for endpoint in ENDPOINTS
    }
    assert asked == {
        "get-sth": set(),
        "get-sth-consistency": {"first", "second"},
        "get-proof-by-hash": {"hash", "tree_size"},
        "get-entries": {"start", "end"},
        "get-entry-and-proof": {"leaf_index", "tree_size"},
    }
    assert {route.pattern.rpartition("/")[2] for route in (*COLD, *HOT)} >= set(ENDPOINTS)


def test_a_head_is_re_encoded_only_by_the_line_of_the_key_asked_for() -> None:
    hosted, other = FakeNode().x509, FakeNode().logs["governance"]
    raw = hosted.note(0)
    assert signed_tree_head(raw, hosted.vkey).size == 0
    with pytest.raises(Malformed):
        signed_tree_head(raw, other.vkey)
    with pytest.raises(Malformed):
        signed_tree_head(raw.replace(b"\n\n", b"\nan extension\n\n"), hosted.vkey)
