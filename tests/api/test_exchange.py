"""The short way of a request and its answer: the same bytes as uvicorn's messages give, and the same bounds."""

import asyncio
import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, cast

import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st
from uvicorn.server import ServerState

from log.api import exchange, server
from log.api.exchange import ONE_WRITE_BYTES, Exchange
from log.api.limits import Bodies, HttpLimits, Receive
from log.api.reply import TEXT, Reply, headers
from log.errors import TooLarge, Unavailable
from log.serving.connection import Connection
from log.serving.connections import ConnectionLimits

BODIES = [b"", b"a head\n", bytes(ONE_WRITE_BYTES), bytes(ONE_WRITE_BYTES + 1)]


@dataclass(slots=True)
class Wire:
    """The transport of a connection: what was written, and whether it was closed."""

    sent: bytearray = field(default_factory=bytearray)
    closed: bool = False

    def get_extra_info(self, name: str) -> object:
        return {"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)}.get(name)

    def write(self, data: bytes) -> None:
        self.sent += data

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


async def talk(parts: list[bytes], reply: Reply, *, shortly: bool) -> tuple[bytes, bool, list[bytes]]:
    """Return what a connection sends and whether it closes, and the bodies that the application read."""
    bodies = Bodies(HttpLimits())
    read = []
    done = asyncio.Event()

    async def app(scope: Any, receive: Receive, send: Any) -> None:
        here: Exchange | None = scope[exchange.KEY] if shortly else None
        read.append(await bodies.read(scope["headers"], receive, "", here))
        if here is None or not here.answer(reply):
            await send({"type": "http.response.start", "status": reply.status, "headers": reply.head()})
            await send({"type": "http.response.body", "body": reply.body})
        done.set()

    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        http=Connection,
        ws="none",
        timeout_keep_alive=3600,  # it is not closed for having been idle while the machine did other things
    )
    config.load()
    wire, loop = Wire(), asyncio.get_running_loop()
    connection = Connection(config, ServerState(), {}, loop, server.connections(ConnectionLimits()))
    connection.connection_made(cast(asyncio.Transport, wire))
    for part in parts:
        connection.data_received(part)
        await asyncio.sleep(0)
    await done.wait()
    await asyncio.sleep(0)
    connection.connection_lost(None)
    assert bodies.held_bytes == sum(map(len, read))
    return bytes(wire.sent), wire.closed, read


REQUESTS = {
    "get": [b"GET / HTTP/1.1\r\nHost: node\r\n\r\n"],
    "head": [b"HEAD / HTTP/1.1\r\nHost: node\r\n\r\n"],
    "last": [b"GET / HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n"],
    "old": [b"GET / HTTP/1.0\r\n\r\n"],
    "post": [b"POST / HTTP/1.1\r\nHost: node\r\nContent-Length: 3\r\n\r\nabc"],
    "post in parts": [b"POST / HTTP/1.1\r\nHost: node\r\nContent-Length: 3\r\n\r\n", b"a", b"bc"],
    "chunked": [b"POST / HTTP/1.1\r\nHost: node\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"],
}


@pytest.mark.parametrize("request_parts", REQUESTS.values(), ids=REQUESTS)
@pytest.mark.parametrize("body", BODIES, ids=map(str, map(len, BODIES)))
@pytest.mark.parametrize("status", [200, 404])
async def test_the_short_way_sends_and_reads_the_same(request_parts: list[bytes], body: bytes, status: int) -> None:
    reply = Reply(status, headers(TEXT, "no-store"), body)
    assert await talk(request_parts, reply, shortly=True) == await talk(request_parts, reply, shortly=False)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 40), max_size=4))
async def test_a_body_is_the_same_however_it_comes(cuts: list[int]) -> None:
    whole = REQUESTS["post"][0]
    marks = [0, *sorted(min(cut + 20, len(whole)) for cut in cuts), len(whole)]
    parts = [whole[a:b] for a, b in pairwise(marks) if a < b]
    _, _, read = await talk(parts, Reply(200, headers(TEXT), b"ok"), shortly=True)
    assert read == [b"abc"]


class Here:
    """A request whose whole body is here."""

    def __init__(self, body: bytes) -> None:
        self.whole_body = lambda: body


async def test_a_body_that_is_here_is_bounded_like_one_that_comes() -> None:
    bodies = Bodies(HttpLimits(max_body_bytes=8, max_held_bytes=12))

    async def receive() -> Any:
        raise AssertionError("it is here")

    async def take(size: int) -> bytes:
        return await bodies.read([], receive, "one", cast(Exchange, Here(bytes(size))))

    with pytest.raises(TooLarge):
        await take(9)
    assert bodies.held_bytes == 0
    assert len(await take(8)) == 8
    with pytest.raises(Unavailable):
        await take(5)
    assert bodies.held_bytes == 8


@pytest.mark.parametrize("header", [(b"a b", b"c"), (b"a", b"b\r\nc: d")], ids=["name", "value"])
def test_a_header_that_would_be_two_is_not_sent(header: tuple[bytes, bytes]) -> None:
    with pytest.raises(ValueError, match=re.escape("a header that is none")):
        exchange._head((header,))
