"""add-chain, add-pre-chain and get-roots (RFC 6962 section 4, formats.md section 7), and cosignatures."""

import base64
import json

import pytest

from log import errors
from log.formats.note import Note, Signature
from log.formats.sct import SCT
from tests.api.conftest import Client
from tests.support.fake_node import FakeNode

CHAIN = [b"\x30leaf" * 30, b"\x30issuer" * 20]


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def chain(*certificates: bytes) -> bytes:
    return json.dumps({"chain": [b64(certificate) for certificate in certificates]}).encode()


@pytest.mark.parametrize(("route", "precert"), [("add-chain", False), ("add-pre-chain", True)])
async def test_a_chain_gets_an_sct(client: Client, node: FakeNode, route: str, precert: bool) -> None:
    answer = await client.post(f"/x509/ct/v1/{route}", content=chain(*CHAIN))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["access-control-allow-origin"] == "*"
    sct = SCT.from_json(answer.json())
    assert (sct.index, answer.json()["sct_version"]) == (0, 0)
    assert node.intakes["x509"].seen == [(tuple(CHAIN), precert)]


@pytest.mark.parametrize(
    "body",
    [
        b'\n { "chain" :\t[ "%s" ] }\r\n' % base64.b64encode(CHAIN[0]),
        b'{"chain": ["%s"]}' % base64.encodebytes(CHAIN[0]).replace(b"\n", b"\\n"),
        b'{"chain": ["%s"]}' % base64.encodebytes(CHAIN[0]).replace(b"\n", b"\\r\\n"),
        b'{"other": {"a": [1]}, "chain": ["%s"], "more": null}' % base64.b64encode(CHAIN[0]),
    ],
)
async def test_white_space_and_unknown_members_are_taken(client: Client, node: FakeNode, body: bytes) -> None:
    answer = await client.post("/x509/ct/v1/add-chain", content=body)
    assert answer.status_code == 200
    assert node.intakes["x509"].seen == [((CHAIN[0],), False)]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b'{"chain": []}',
        b'{"chain": null}',
        b'{"chain": "MAA="}',
        b'{"chain": [1]}',
        b'{"chain": ["MAA"]}',
        b'{"chain": ["M A A="]}',
        b'{"chain": ["MAA=\n"]}',
        b'{"chain": ["MAA=\\t"]}',
        b'{"chain": ["MAA=!"]}',
        b'{"chain": ["-_-_"]}',
        b'{"chain": ["\xff"]}',
        b'{"chain": ["\\u00ff"]}',
        b'{"chain": ["MAA="]} x',
        b'{"chain": ["MAA="]',
        b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b',"chain":["MAA="]}',
        b"\x00\xff\xfe",
    ],
)
async def test_what_is_no_chain_is_malformed(client: Client, node: FakeNode, body: bytes) -> None:
    answer = await client.post("/x509/ct/v1/add-chain", content=body)
    assert answer.status_code == 400
    assert answer.text.startswith("Bad Request\n")
    assert answer.text.count("\n") == 2
    assert not node.intakes["x509"].seen


async def test_of_a_chain_it_says_which_certificate_is_not_base64(client: Client) -> None:
    answer = await client.post("/x509/ct/v1/add-chain", content=b'{"chain": ["MAA=", "MAA"]}')
    assert answer.text == "Bad Request\ncertificate 1: not base64\n"


@pytest.mark.parametrize(
    ("error", "status", "retry_after", "first_line"),
    [
        (errors.Malformed("why"), 400, None, "Bad Request"),
        (errors.Refused("why", "unknown-root"), 400, None, "Bad Request"),
        (errors.TooLarge("why"), 413, None, None),
        (errors.Closed("why"), 410, None, "Gone"),
        (errors.RateLimited("why"), 429, "1", "Too Many Requests"),
        (errors.Unavailable("why"), 503, "5", "Service Unavailable"),
        (errors.SuiteUnavailable("why"), 503, "5", "Service Unavailable"),
    ],
)
async def test_a_refusal_says_its_status_and_then_its_reason(
    client: Client, node: FakeNode, error: errors.LogError, status: int, retry_after: str | None, first_line: str | None
) -> None:
    node.intakes["x509"].refusal = error
    answer = await client.post("/x509/ct/v1/add-chain", content=chain(*CHAIN))
    assert answer.status_code == status
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers.get("retry-after") == retry_after
    first, second = answer.text.splitlines()
    assert first == (first_line or first)
    assert second == "why"
    assert node.x509.rows == []


@pytest.mark.parametrize("route", ["ct/v1/add-chain", "ct/v1/add-pre-chain", "ct/v1/get-roots"])
async def test_a_log_without_certificates_has_no_ct_routes(client: Client, route: str) -> None:
    method = "GET" if route.endswith("roots") else "POST"
    assert (await client.request(method, f"/governance/{route}")).status_code == 404


async def test_an_entry_of_an_open_log_gets_its_index_and_nothing_else(client: Client, node: FakeNode) -> None:
    for index, entry in enumerate((b"one", b"\x00\xff")):
        answer = await client.post("/open/add", content=entry)
        assert (answer.status_code, answer.content) == (200, b"%d" % index)
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert node.logs["open"].rows == [b"one", b"\x00\xff"]
    node.open_intakes["open"].refusal = errors.TooLarge("why")
    assert (await client.post("/open/add", content=b"three")).status_code == 413
    for name in ("x509", "governance", "elsewhere"):
        assert (await client.post(f"/{name}/add", content=b"four")).status_code == 404


async def test_get_roots_lists_every_root(client: Client) -> None:
    answer = await client.get("/x509/ct/v1/get-roots")
    assert answer.json() == {"certificates": [b64(b"\x30root one"), b64(b"\x30root two")]}
    assert answer.headers["content-type"] == "application/json"


async def test_cosignatures_are_judged_by_the_log(client: Client, node: FakeNode) -> None:
    node.x509.fill(2)
    own = node.x509.note(2)
    witness = Signature("witness.example", b"wkey", b"x" * 64)
    good = Note.parse(own).with_signatures([*Note.parse(own).signatures, witness]).encode()
    node_other = FakeNode()
    node_other.x509.fill(3)
    for body, status in ((b"?", 400), (own, 403), (node_other.x509.note(3), 409), (good, 200)):
        assert (await client.post("/x509/add-cosignatures", content=body)).status_code == status
    assert (await client.get("/x509/checkpoint/witnessed")).content == node.x509.cosigned[1]  # type: ignore[index]
