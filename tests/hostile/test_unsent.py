"""Answers that nobody takes, over a socket whose kernel keeps little: given up in time, and within a bound together."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from log import sockets
from log.api import server
from log.serving.connections import ConnectionLimits, Connections
from tests.hostile.raw import Raw, connection
from tests.support import plain
from tests.support.nodes import eventually

ANSWER = b"x" * (1 << 20)
GET = b"GET / HTTP/1.1\r\nHost: node\r\n\r\n"
LITTLE = 4096  # bytes; the kernel takes some times more


async def large(scope: Any, receive: Any, send: Any) -> None:
    length = (b"content-length", b"%d" % len(ANSWER))
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": ANSWER})


@dataclass(slots=True)
class Site:
    """A server, and its connections as it counts them."""

    url: str
    connections: Connections

    async def left(self, count: int) -> None:
        """Wait until so many connections are open."""

        async def few() -> bool:
            return len(self.connections.open) == count

        await eventually(f"{count} connections", few)


@asynccontextmanager
async def serving(limits: ConnectionLimits) -> AsyncIterator[Site]:
    made: list[Connections] = []

    usual = server.connections

    def counted(bounds: ConnectionLimits) -> Connections:
        made.append(usual(bounds))
        return made[-1]

    listener = sockets.listen("127.0.0.1:0")
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LITTLE)  # those that are accepted inherit it
    ready, end = asyncio.Event(), asyncio.Event()
    ending = asyncio.create_task(_until(end))
    with listener, pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "connections", counted)
        running = asyncio.create_task(server.serve(large, listener, 1, ending, ready.set, limits=limits))
        await ready.wait()
        try:
            yield Site(sockets.url_of(listener, None), made[0])
        finally:
            end.set()
            await running


async def _until(end: asyncio.Event) -> None:
    await end.wait()


async def deaf(stack: AsyncExitStack, url: str, request: bytes = GET) -> Raw:
    """Ask, and read nothing."""
    raw = await stack.enter_async_context(connection(url, receive_bytes=LITTLE))
    raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await raw.send(request)
    return raw


async def taken(raw: Raw) -> int:
    """Return how many bytes come of an answer, once it is read."""
    raw.writer.transport.resume_reading()  # type: ignore[attr-defined]
    return len(await raw.rest())


async def read(url: str) -> int:
    async with plain.client() as client:
        return len((await client.get(url)).content)


async def test_an_answer_that_is_not_taken_in_time_is_given_up() -> None:
    async with serving(ConnectionLimits(send_timeout_s=1, idle_timeout_s=600)) as site, AsyncExitStack() as stack:
        raw = await deaf(stack, site.url)

        async def other_served() -> bool:
            """Whoever takes an answer gets it; on a machine that is busy just then, its time may be over too."""
            try:
                return await read(site.url) == len(ANSWER)
            except httpx.HTTPError:
                return False

        await eventually("another one is served", other_served)
        await site.left(0)
        assert site.connections.unsent_bytes == 0
        assert await taken(raw) < len(ANSWER)


async def test_answers_that_are_not_taken_are_bounded_together_and_the_oldest_goes() -> None:
    limits = ConnectionLimits(max_unsent_bytes=5 << 20, send_timeout_s=600, idle_timeout_s=600)
    async with serving(limits) as site, AsyncExitStack() as stack:
        waiting = [await deaf(stack, site.url) for _ in range(12)]
        assert await read(site.url) == len(ANSWER)  # behind them: all are answered
        await site.left(5)
        assert 3 << 20 < site.connections.unsent_bytes <= 5 << 20
        assert await taken(waiting[0]) < len(ANSWER)
        waiting[-1].writer.transport.resume_reading()  # type: ignore[attr-defined]
        head, body = await waiting[-1].answer()
        assert (head.status, len(body)) == (200, len(ANSWER))


async def test_a_connection_that_is_closing_is_not_waited_for() -> None:
    async with serving(ConnectionLimits(send_timeout_s=1)) as site, AsyncExitStack() as stack:
        raw = await deaf(stack, site.url, GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        await site.left(0)
        assert await taken(raw) < len(ANSWER)
