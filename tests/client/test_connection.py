"""One connection under httpx: what it gives, and what a hostile other end may cost."""

import asyncio
import socket
import struct
from collections.abc import Callable, Coroutine
from pathlib import Path

import httpx
import pytest
import uvloop

from log.client import connection
from log.client.exchange import exchange
from log.client.transport import Transport
from log.errors import Malformed, Unreachable
from tests.client.other_end import BIG, LIMIT, OK, Other, ask, client, hold, serving

# --- what it gives --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (OK, 200, b"ok"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 404, b""),
        (b"HTTP/1.1 200 \xff\xfe\r\nContent-Length: 2\r\nSet-Cookie: \xff=b\r\n\r\nok", 200, b"ok"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", 200, b"until the end"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(BIG) // 2, BIG[: len(BIG) // 2]), 200, None),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\nT: u\r\n\r\n",
            200,
            b"abc",
        ),
        (b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + OK, 200, b"ok"),
    ],
)
async def test_answers_of_every_framing(answer: bytes, status: int, body: bytes | None) -> None:
    async with serving(Other(answer)) as other, client() as made:
        got = await ask(made, other.url)
    assert got.status == status
    assert got.body == (BIG[: len(BIG) // 2] if body is None else body)
    assert "link" not in got.fields  # of an informational answer


async def test_an_answer_that_comes_byte_by_byte_is_the_same() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for byte in b"HTTP/1.1 200 OK\r\nX-Y: z\r\nContent-Length: 3\r\n\r\nabc":
            writer.write(bytes([byte]))
            await writer.drain()
        await hold(reader, writer)

    async with serving(Other(then=drip)) as other, client() as made:
        got = await ask(made, other.url)
    assert (got.status, got.body, got.fields["x-y"]) == (200, b"abc", "z")


async def test_a_request_says_what_it_has_to() -> None:
    async with serving(Other(OK, OK)) as other, client() as made:
        await ask(made, f"{other.url}/a%20b?c=d")
        await exchange(made, "POST", other.url, "it", max_bytes=9, deadline_s=30.0, body=b"some", content_type="a/b")
    first, second = (request.decode().split("\r\n") for request in other.requests)
    assert first[0] == "GET /a%20b?c=d HTTP/1.1"
    assert f"Host: {other.url.removeprefix('http://')}" in first
    assert "Accept-Encoding: gzip, identity" in first
    assert second[0] == "POST / HTTP/1.1"
    assert {"Content-Length: 4", "Content-Type: a/b"} <= set(second)


async def test_a_body_that_is_sent_arrives_whole() -> None:
    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        size = len(await reader.readexactly(len(BIG)))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n%d" % size)

    async with serving(Other(then=count)) as other, client() as made:
        answer = await exchange(made, "POST", other.url, "it", max_bytes=9, deadline_s=30.0, body=BIG)
    assert answer.body == b"%d" % len(BIG)


async def test_a_url_goes_out_as_it_stands_and_its_password_as_a_field() -> None:
    async with serving(Other(OK)) as other, client() as made:
        path = "/%7Ea/b%3A%2Fc%2e?d=%2B%20e:%3D"
        assert (await ask(made, f"{other.url.replace('//', '//user:pass@')}{path}")).body == b"ok"
    lines = other.requests[0].decode().split("\r\n")
    assert lines[0] == f"GET {path} HTTP/1.1"
    assert "Authorization: Basic dXNlcjpwYXNz" in lines


async def test_what_the_environment_says_is_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    async with serving(Other(OK)) as other, client() as made:
        assert (await ask(made, other.url)).body == b"ok"
    assert b"authorization" not in other.requests[0].lower()


async def test_no_redirect_is_followed_and_nothing_is_unpacked() -> None:
    moved = b"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nno"
    async with serving(Other(moved)) as other, client() as made, made.stream("GET", other.url) as answer:
        assert (answer.status_code, [part async for part in answer.aiter_raw()]) == (302, [b"no"])
    assert len(other.requests) == 1


# --- what the other end may not do ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nhello",
        b"HTTP/2.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nhello",
        b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nx\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nA: \0\r\n\r\nhello",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nA: %b\r\n\r\n" % (b"x" * connection.MAX_HEAD_BYTES),
        b"HTTP/1.1 200 OK\r\n%b\r\n" % (b"A: b\r\n" * connection.MAX_HEAD_BYTES),
        b"HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n" * connection.MAX_HEAD_BYTES,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"
        + b"A: b\r\n" * connection.MAX_HEAD_BYTES,
    ],
)
async def test_what_is_no_answer_is_none(answer: bytes) -> None:
    async with serving(Other(answer)) as other, client() as made:
        with pytest.raises(Unreachable):
            await ask(made, other.url)


@pytest.mark.parametrize(
    "beginning",
    [
        b"HTTP/1.1 200 ",
        b"HTTP/1.1 200 OK\r\nA: ",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nT: ",
    ],
)
async def test_a_line_without_end_is_given_up(beginning: bytes) -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(beginning)
        while True:
            writer.write(b"x" * 4096)
            await writer.drain()

    async with serving(Other(then=endless)) as other, client() as made:
        with pytest.raises(Unreachable, match="RemoteProtocolError"):
            await ask(made, other.url)


async def test_no_more_of_a_body_is_read_than_is_asked_for() -> None:
    written = 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1 << 40))
        while True:
            writer.write(BIG)
            await writer.drain()
            written += len(BIG)

    async with serving(Other(then=flood)) as other, client() as made:
        with pytest.raises(Malformed, match="longer than"):
            await ask(made, other.url)
    assert written < 16 * LIMIT


async def test_bytes_behind_an_answer_are_the_end_of_its_connection() -> None:
    async with serving(Other(OK + OK, OK)) as other, client() as made:
        assert (await ask(made, other.url)).body == b"ok"
        assert (await ask(made, other.url)).body == b"ok"
    assert other.connections == 2


async def test_bytes_that_nobody_asked_for_are_not_the_next_answer() -> None:
    sent, go = asyncio.Event(), asyncio.Event()

    async def ahead(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await go.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlies")
        await writer.drain()
        await reader.read()  # until the client goes
        sent.set()

    async with serving(Other(OK, then=ahead)) as other, client() as made:
        await ask(made, other.url)
        go.set()
        await sent.wait()
        other.then = hold
        assert (await ask(made, other.url)).body == b"ok"
    assert other.connections == 2


@pytest.mark.parametrize("field", [("X", "a\r\nB: c"), ("X\r\nB", "c"), ("X", "a\0")])
async def test_no_field_ends_its_line(field: tuple[str, str]) -> None:
    async with serving(Other(OK)) as other, client() as made:
        with pytest.raises(httpx.LocalProtocolError):
            await made.get(other.url, headers=dict([field]))
    assert other.requests == []


async def test_half_a_body_is_not_whole_because_we_gave_it_up() -> None:
    async with serving(Other(b"HTTP/1.1 200 OK\r\n\r\nsome", then=hold)) as other, client() as made:
        asked = asyncio.ensure_future(ask(made, other.url))
        transport = made._transport
        assert isinstance(transport, Transport)
        while not (transport._busy and all(each._parts for each in transport._busy)):
            await asyncio.sleep(0)
        await transport.aclose()
        with pytest.raises(Unreachable):
            await asked


async def test_an_answer_that_is_not_wanted_is_not_read_to_its_end() -> None:
    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 500 No\r\nContent-Length: %d\r\n\r\n" % (1 << 40) + BIG)
        await reader.read()  # until the client goes

    async with serving(Other(then=flood)) as other, client(1) as made:
        for _ in range(2):
            got = await exchange(made, "GET", other.url, "it", max_bytes=9, deadline_s=30.0, wanted=lambda _: False)
            assert (got.status, got.body) == (500, b"")


async def test_a_body_whose_connection_breaks_is_not_whole() -> None:
    """Though it has no length, and ends with its connection."""

    async def broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nsome")
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async with serving(Other(then=broken)) as other, client() as made:
        with pytest.raises(Unreachable, match="ReadError"):
            await ask(made, other.url)


# --- the loop on which a monitor runs ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "scenario",
    [
        test_an_answer_that_comes_byte_by_byte_is_the_same,
        test_a_body_that_is_sent_arrives_whole,
        test_no_more_of_a_body_is_read_than_is_asked_for,
        test_bytes_behind_an_answer_are_the_end_of_its_connection,
        test_bytes_that_nobody_asked_for_are_not_the_next_answer,
        test_an_answer_that_is_not_wanted_is_not_read_to_its_end,
    ],
)
def test_uvloop_gives_the_same(scenario: Callable[[], Coroutine[None, None, None]]) -> None:
    uvloop.run(scenario())
