"""Requests that nobody sends in good faith: one answer each, none of them a 5xx, and never two where one was meant."""

import base64
import gzip
import itertools
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.hostile.node import TILED, Target, rss_anon_bytes, target
from tests.hostile.raw import connection, exchange, statuses

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOST = b"Host: node\r\n"
END = b"Connection: close\r\n\r\n"
POST = b"POST /x509/ct/v1/add-chain HTTP/1.1\r\n" + HOST
HIDDEN = b"GET /healthz HTTP/1.1\r\n" + HOST + END  # what must not be answered


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Target]:
    limits = {"head_timeout_s": 3, "idle_timeout_s": 2, "body_timeout_s": 3}
    async with target(tmp_path_factory.mktemp("node") / "d", limits, TILED) as made:
        yield made
        await made.unharmed()


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def unharmed(node: Target) -> AsyncIterator[None]:
    yield
    await node.serves()
    assert rss_anon_bytes(node.pid) < 300 << 20
    await node.held_nothing()


def get(target: bytes, *fields: bytes, method: bytes = b"GET") -> bytes:
    return method + b" " + target + b" HTTP/1.1\r\n" + HOST + b"".join(field + b"\r\n" for field in fields) + END


def post(body: bytes, *fields: bytes) -> bytes:
    length = b"Content-Length: %d" % len(body)
    return POST + b"".join(field + b"\r\n" for field in (length, *fields)) + END + body


def chunked(*lines: bytes) -> bytes:
    return POST + b"Transfer-Encoding: chunked\r\n" + END + b"".join(line + b"\r\n" for line in lines)


# --- where a request ends (RFC 9112 sections 5 to 7 and 11.2) -------------------------------------------------

FRAMINGS = {
    "length before chunks": POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "chunks before length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + HIDDEN,
    "two lengths": POST + b"Content-Length: 4\r\nContent-Length: 0\r\n\r\n" + HIDDEN,
    "one length twice": POST + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n" + HIDDEN,
    "a list of lengths": POST + b"Content-Length: 0, 0\r\n\r\n" + HIDDEN,
    "a length with a sign": POST + b"Content-Length: +0\r\n\r\n" + HIDDEN,
    "a negative length": POST + b"Content-Length: -1\r\n\r\n" + HIDDEN,
    "a length in hex": POST + b"Content-Length: 0x0\r\n\r\n" + HIDDEN,
    "an empty length": POST + b"Content-Length: \r\n\r\n" + HIDDEN,
    "a length beyond numbers": POST + b"Content-Length: 99999999999999999999999\r\n\r\n" + HIDDEN,
    "an unknown coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "identity": POST + b"Transfer-Encoding: identity\r\n\r\n" + HIDDEN,
    "chunked not last": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + HIDDEN,
    "chunked twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "space before the colon": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "a vertical tab": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "a chunk size with a sign": chunked(b"+2", b"ab", b"0", b"") + HIDDEN,
    "a chunk size beyond numbers": chunked(b"fffffffffffffffff", b"ab", b"0", b"") + HIDDEN,
    "a chunk longer than its size": chunked(b"2", b"abc", b"0", b"") + HIDDEN,
    "a chunk size without CR": chunked(b"2\nab", b"0", b"") + HIDDEN,
    "a field behind the body": chunked(b"0", b"X-Behind: 1", b"") + HIDDEN,
    "a length behind the body": chunked(b"0", b"Content-Length: 4", b"") + HIDDEN,
    "line ends without CR": b"GET /healthz HTTP/1.1\nHost: node\nConnection: close\n\n" + HIDDEN,
    "a folded field": get(b"/healthz", b"X: a\r\n b") + HIDDEN,
    "a CR in a field": get(b"/healthz", b"X: a\rb") + HIDDEN,
    "a NUL in a field": get(b"/healthz", b"X: a\0b") + HIDDEN,
    "a field without a colon": get(b"/healthz", b"X") + HIDDEN,
    "no host": b"GET /healthz HTTP/1.1\r\n" + END + HIDDEN,
    "two hosts": get(b"/healthz", b"Host: other") + HIDDEN,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
    "a preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


@pytest.mark.parametrize("request_bytes", FRAMINGS.values(), ids=FRAMINGS)
async def test_a_request_whose_end_is_in_doubt_is_400_and_the_last(node: Target, request_bytes: bytes) -> None:
    assert statuses(await exchange(node.url, request_bytes)) == [400]


@pytest.mark.parametrize(("version", "status"), [(b"1.0", 200), (b"2.0", 505), (b"0.9", 505), (b"9.9", 400)])
async def test_versions(node: Target, version: bytes, status: int) -> None:
    request = b"GET /x509/checkpoint HTTP/" + version + b"\r\nHost: node\r\n\r\n"
    assert statuses(await exchange(node.url, request)) == [status]


@pytest.mark.parametrize(
    "fields",
    [
        (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"),
        (b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: AAAA"),
    ],
)
async def test_no_other_protocol_is_spoken(node: Target, fields: tuple[bytes, ...]) -> None:
    request = b"GET /x509/checkpoint HTTP/1.1\r\n" + HOST + b"\r\n".join(fields) + b"\r\n\r\n"
    assert statuses(await exchange(node.url, request + HIDDEN)) == [200]
    body = b'{"chain":[]}'
    upgraded = POST + b"\r\n".join(fields) + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    answer = await exchange(node.url, upgraded + HIDDEN)
    assert statuses(answer) == [400]
    assert b"send the body without Upgrade" in answer


async def test_requests_sent_ahead_are_answered_in_their_order(node: Target) -> None:
    """As many as `max_pipelined`, besides the one that is being answered."""
    targets = [b"/x509/checkpoint", b"/nowhere", b"/x509/tlog-proof", b"/x509/tile/0/000"] * 2
    ahead = b"".join(b"GET " + each + b" HTTP/1.1\r\n" + HOST + b"\r\n" for each in targets)
    assert statuses(await exchange(node.url, ahead + HIDDEN)) == [200, 404, 400, 200] * 2 + [200]


@pytest.mark.parametrize(
    "ahead",
    [
        HIDDEN.replace(END, b"\r\n") * 1000,
        HIDDEN.replace(END, b"\r\n") + get(b"/healthz", b"X: " + b"x" * 9_000).replace(END, b"\r\n") * 2,
        HIDDEN.replace(END, b"\r\n") + post(b"{}"),
    ],
    ids=["too many", "too large together", "with a body"],
)
async def test_too_much_sent_ahead_ends_the_connection(node: Target, ahead: bytes) -> None:
    assert len(statuses(await exchange(node.url, ahead))) <= 1


# --- what a request asks for ----------------------------------------------------------------------------------

TARGETS = {
    b"/../x509/checkpoint": 404,
    b"/x509/../x509/checkpoint": 404,
    b"/x509/..%2fcheckpoint": 404,
    b"/x509/%2e%2e/x509/checkpoint": 404,
    b"/x509/tile/0/../../../../../../etc/passwd": 404,
    b"/x509/issuer/..%5c..%5cetc": 404,
    b"/x509/tile/0/000%00": 404,
    b"/x509/tile/0/%ff": 404,
    b"//x509/checkpoint": 404,
    b"//evil.example/x509/checkpoint": 404,
    b"/x509//checkpoint": 404,
    b"/x509/checkpoint/": 404,
    b"/x509/checkpoint;a=b": 404,
    b"/X509/checkpoint": 404,
    b"/x509/.\\checkpoint": 404,
    b"\\x509\\checkpoint": 400,
    b"/x509/\0": 400,
    b"/x509/\xc3\xa9": 400,
    b"/x509/\xff": 400,
    b"x509/checkpoint": 400,
    b"": 400,
    b"http://elsewhere.example/x509/checkpoint": 200,
    b"http://u:p@[::1]:1/x509/checkpoint": 200,
    b"http://elsewhere.example:99999999/x509/checkpoint": 400,
    b"file:///etc/passwd": 400,
    b"/x509/checkpoint?" + b"a" * 15_000: 200,
    b"/x509/checkpoint#fragment": 200,
    b"/" + b"a" * 15_000: 404,
    b"/a" * 7_500: 404,
    b"/x509/tile/" + b"9" * 1_000 + b"/000": 404,
    b"/x509/tile/0/" + b"x001/" * 1_000 + b"000": 404,
    b"/x509/tlog-proof?" + b"a=b&" * 3_000: 400,
    b"/x509/tlog-proof?leaf=%00": 400,
    b"/x509/tlog-proof?leaf=" + b"0" * 10_000: 400,
    b"/x509/ct/v1/get-entries?start=0&end=" + b"9" * 10_000: 400,
    b"/x509/ct/v1/get-entries?start=-1&end=0": 400,
    b"/x509/ct/v1/get-entries?start=0&end=9223372036854775807": 200,
    b"/x509/ct/v1/get-proof-by-hash?hash=%ff&tree_size=1": 400,
    b"/" + b"a" * 17_000: 431,
    b"/x509/checkpoint?" + b"a" * 100_000: 431,
}


@pytest.mark.parametrize(("target", "status"), TARGETS.items(), ids=[repr(each)[:40] for each in TARGETS])
async def test_a_path_is_one_word_for_one_thing(node: Target, target: bytes, status: int) -> None:
    answer = await exchange(node.url, get(target))
    assert statuses(answer) == [status]
    assert b"root:" not in answer


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        (b"HEAD", b"/x509/ct/v1/add-chain", 405),
        (b"TRACE", b"/x509/checkpoint", 405),
        (b"CONNECT", b"/x509/checkpoint", 405),
        (b"PROPFIND", b"/x509/checkpoint", 405),
        (b"CONNECT", b"elsewhere.example:443", 400),
        (b"OPTIONS", b"*", 204),
        (b"OPTIONS", b"/nowhere", 204),
        (b"BREW", b"/x509/checkpoint", 400),
        (b"get", b"/x509/checkpoint", 400),
        (b"G" * 100_000, b"/x509/checkpoint", 400),
        (b"", b"/x509/checkpoint", 400),
    ],
)
async def test_methods(node: Target, method: bytes, target: bytes, status: int) -> None:
    answer = await exchange(node.url, get(target, b"X-Secret: 1", method=method))
    if method == b"HEAD":
        assert answer.startswith(b"HTTP/1.1 405 ")
    else:
        assert statuses(answer) == [status]
    assert b"X-Secret" not in answer  # TRACE would say it back


@pytest.mark.parametrize(
    "fields",
    [
        (b"a: b",) * 1_000,
        (b"a: b",) * 100_000,
        (b"X: " + b"x" * 17_000,),
        (b"X: " + b"x" * 10_000_000,),
        (b"x" * 17_000 + b": 1",),
        (b"Cookie: " + b"a=b; " * 4_000,),
    ],
    ids=["1000", "100000", "long value", "longer value", "long name", "cookies"],
)
async def test_a_flood_of_fields_is_431(node: Target, fields: tuple[bytes, ...]) -> None:
    async with connection(node.url) as raw:
        await raw.send(get(b"/x509/checkpoint", *fields))
        assert await raw.statuses() in ([431], [])  # [] where the flood was cut off in its middle


async def test_a_flood_behind_a_body_ends_the_connection(node: Target) -> None:
    head = POST + b"Transfer-Encoding: chunked\r\n\r\n"
    for flood in (b"0\r\n" + b"a: b\r\n" * 1_000_000, b"0\r\nX: " + b"x" * 10_000_000, b"1;" + b"x" * 10_000_000):
        async with connection(node.url) as raw:
            await raw.send(head + flood)
            assert await raw.statuses() in ([400], [431], [])


# --- bodies ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        (b"Content-Encoding: gzip",),
        (b"Content-Encoding: GZIP",),
        (b"Content-Encoding: br",),
        (b"Content-Encoding: identity, gzip",),
        (b"Content-Encoding: identity", b"Content-Encoding: deflate"),
    ],
)
async def test_a_packed_body_is_415_whatever_it_would_unpack_to(node: Target, fields: tuple[bytes, ...]) -> None:
    bomb = gzip.compress(bytes(100_000_000))
    answer = await exchange(node.url, post(bomb, *fields))
    assert statuses(answer) == [415]
    assert b"accept-encoding: identity\r\n" in answer


async def test_a_packed_transfer_is_415(node: Target) -> None:
    request = POST + b"Transfer-Encoding: gzip, chunked\r\n" + END + b"0\r\n\r\n"
    assert statuses(await exchange(node.url, request)) == [415]


NOT_CHAINS = {
    "nothing": b"",
    "not JSON": b"\xff\xfe",
    "arrays in arrays": b"[" * 500_000,
    "objects in objects": b'{"chain":' * 50_000,
    "unknown arrays in arrays": b'{"x":' + b"[" * 200_000 + b"]" * 200_000 + b',"chain":["MAA="]}',
    "a long number": b'{"chain":[' + b"9" * 400_000 + b"]}",
    "NaN": b'{"chain":NaN}',
    "null": b'{"chain":null}',
    "numbers": b'{"chain":[1,2]}',
    "a lone surrogate": b'{"chain":["\\ud800"]}',
    "not UTF-8": b'{"chain":["\xff"]}',
    "two values": b'{"chain":["MAA="]}{"chain":["MAA="]}',
    "a comma too many": b'{"chain":["MAA="],}',
    "many certificates": b'{"chain":[' + b'"MAA=",' * 60_000 + b'"MAA="]}',
    "base64 without padding": b'{"chain":["MAA"]}',
    "base64 with padding in its middle": b'{"chain":["MA==MAA="]}',
    "base64 of URLs": b'{"chain":["_-A="]}',
    "base64 with spaces": b'{"chain":["M A A ="]}',
    "base64 in another script": '{"chain":["ＭＡＡ＝"]}'.encode(),
    "padding alone": b'{"chain":["===="]}',
    "an empty certificate": b'{"chain":[""]}',
}


@pytest.mark.parametrize("body", NOT_CHAINS.values(), ids=NOT_CHAINS)
async def test_what_is_no_chain_is_400(node: Target, body: bytes) -> None:
    assert statuses(await exchange(node.url, post(body))) == [400]


async def test_of_a_name_twice_the_last_counts_as_everywhere_else(node: Target) -> None:
    """As Go's reader has it, which most submitters and logs use: the entry is what the SCT is about."""
    issuer = node.world.promises.issuer
    first, last = (issuer.certificate(10**9 + n) for n in range(2))
    chains = [json.dumps(node.world.promises.body(der))[1:-1] for der in (first, last)]
    answer = await node.http.post(f"{node.url}/x509/ct/v1/add-chain", content=f"{{{chains[0]},{chains[1]}}}")
    alone = await node.http.post(f"{node.url}/x509/ct/v1/add-chain", content=f"{{{chains[1]}}}")
    assert answer.status_code == alone.status_code == 200
    assert answer.json() == alone.json()


async def test_bits_that_base64_leaves_over_do_not_make_another_entry(node: Target) -> None:
    issuer = node.world.promises.issuer
    # Half of all certificates are as long as base64 leaves no bits over: so many as it takes are made.
    der = next(der for n in itertools.count(10**9 + 10) if len(der := issuer.certificate(n)) % 3)
    chain = node.world.promises.body(der)["chain"]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    body, padding = chain[0].rstrip("="), chain[0][len(chain[0].rstrip("=")) :]
    other = body[:-1] + alphabet[alphabet.index(body[-1]) + 1] + padding
    assert other != chain[0]
    assert base64.b64decode(other) == der
    url = f"{node.url}/x509/ct/v1/add-chain"
    usual = await node.http.post(url, json={"chain": chain})
    odd = await node.http.post(url, json={"chain": [other, *chain[1:]]})
    assert usual.status_code == 200
    assert odd.status_code == 400 or odd.json() == usual.json()


async def test_a_body_as_large_as_allowed_is_read_and_one_byte_more_is_413(node: Target) -> None:
    for size, status in ((524_288, 400), (524_289, 413)):
        assert statuses(await exchange(node.url, post(b" " * size))) in ([status], [] if status == 413 else [status])
