"""Connections that give nothing, or take nothing: they end at a named limit, and others are served meanwhile."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from tests.hostile.node import TILED, Target, rss_anon_bytes, target
from tests.hostile.raw import GET, Raw, connection, exchange, statuses

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIMITS = {
    "max_connections": 200,
    "head_timeout_s": 3,
    "idle_timeout_s": 3,
    "body_timeout_s": 3,
    "send_timeout_s": 3,
    "max_unsent_bytes": 4 << 20,
    "max_held_bytes": 4 << 20,
}
POST = b"POST /x509/ct/v1/add-chain HTTP/1.1\r\nHost: node\r\n"
ENTRIES = b"GET /x509/ct/v1/get-entries?start=0&end=255 HTTP/1.1\r\nHost: node\r\n\r\n"
TILE = b"GET /x509/tile/data/000 HTTP/1.1\r\nHost: node\r\n\r\n"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Target]:
    async with target(tmp_path_factory.mktemp("node") / "d", LIMITS, TILED) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def unharmed(node: Target) -> AsyncIterator[None]:
    yield
    await node.unharmed()


async def opened(stack: AsyncExitStack, node: Target, count: int) -> list[Raw]:
    return [await stack.enter_async_context(connection(node.url)) for _ in range(count)]


async def drip(raw: Raw, data: bytes, pause_s: float = 0.05) -> None:
    """Send a byte now and then, over and over, until the other end has had enough."""
    while True:
        for at in range(len(data)):
            if raw.reader.at_eof() or not await raw.send(data[at : at + 1]):
                return
            await asyncio.sleep(pause_s)


async def test_a_head_that_does_not_end_is_408_and_others_are_served_meanwhile(node: Target) -> None:
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        slow = await opened(stack, node, 50)
        for raw in slow:
            await raw.send(b"GET /x509/checkpoint HTTP/1.1\r\n")
            group.create_task(drip(raw, b"X-Slow: and slow\r\n"))
        await node.serves()
        for answer in await asyncio.gather(*(raw.rest() for raw in slow)):
            assert statuses(answer) in ([408], [])  # [] where a byte of ours crossed the answer
    async with connection(node.url) as raw:
        await raw.send(b"GET /x509/che")
        head, body = await raw.answer()
        assert (head.status, head.fields["connection"]) == (408, "close")
        assert body == b"Request Timeout\nno whole head within 3 s\n"


async def test_who_says_nothing_is_closed_without_a_word(node: Target) -> None:
    async with AsyncExitStack() as stack:
        silent = await opened(stack, node, 50)
        await node.serves()
        assert [await raw.rest() for raw in silent] == [b""] * 50


async def test_empty_lines_are_no_head(node: Target) -> None:
    async with connection(node.url) as raw, asyncio.TaskGroup() as group:
        group.create_task(drip(raw, b"\r\n"))
        assert await raw.rest() in (b"", b"HTTP/1.1 408 Request Timeout\r\n")


async def test_an_answered_connection_is_closed_when_nothing_further_comes(node: Target) -> None:
    async with connection(node.url) as raw:
        for _ in range(3):
            await raw.send(GET)
            assert (await raw.answer())[0].status == 200
        assert await raw.rest() == b""


async def test_empty_lines_do_not_keep_an_answered_connection(node: Target) -> None:
    async with connection(node.url) as raw, asyncio.TaskGroup() as group:
        await raw.send(GET)
        assert (await raw.answer())[0].status == 200
        group.create_task(drip(raw, b"\r\n"))
        await raw.rest()


@pytest.mark.parametrize("framing", [b"Content-Length: 1000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n3e8\r\n"])
async def test_a_body_that_does_not_end_is_400_and_others_are_served_meanwhile(node: Target, framing: bytes) -> None:
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        slow = await opened(stack, node, 50)
        for raw in slow:
            await raw.send(POST + framing)
            group.create_task(drip(raw, b'{"chain":["'))
        await node.serves()
        for answer in await asyncio.gather(*(raw.rest() for raw in slow)):
            assert statuses(answer) in ([400], [])
            assert not answer or b"the body did not arrive within 3 s" in answer


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (b"GET /x509/checkpoint HTTP/1.1\r\nHost: node\r\nContent-Length: 1000000000000\r\n\r\n", 200),
        (POST + b"Content-Length: 1000000000000\r\n\r\n", 413),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n", 413),
        (b"PUT /nowhere HTTP/1.1\r\nHost: node\r\nTransfer-Encoding: chunked\r\n\r\n", 404),
    ],
)
async def test_a_body_that_goes_on_behind_its_answer_is_dropped_and_then_cut_off(
    node: Target, request_head: bytes, status: int
) -> None:
    part = b"10000\r\n" + bytes(1 << 16) + b"\r\n" if b"chunked" in request_head else bytes(1 << 16)
    async with connection(node.url) as raw, asyncio.TaskGroup() as group:

        async def pour() -> None:
            while not raw.reader.at_eof() and await raw.send(part):
                await asyncio.sleep(0.001)

        await raw.send(request_head)
        group.create_task(pour())
        assert (await raw.answer())[0].status == status
        await node.serves()
        assert await raw.rest() == b""
    assert rss_anon_bytes(node.pid) < 300 << 20


async def test_many_bodies_at_once_are_held_within_their_limit(node: Target) -> None:
    """100 bodies of 400 kB are 40 MB; the node holds 4 MiB and refuses the rest."""
    length = 400_000
    before, begun_s = rss_anon_bytes(node.pid), time.monotonic()
    async with AsyncExitStack() as stack:
        large = []
        for _ in range(100):  # each sends at once: who owes a head too long is closed without an answer
            large += await opened(stack, node, 1)
            await large[-1].send(POST + b"Content-Length: %d\r\n\r\n" % length + b" " * (length - 1))
        assert await node.held_bytes() <= 4 << 20
        assert rss_anon_bytes(node.pid) - before < 100 << 20
        answers = [await raw.answer() for raw in large]
        assert {head.status for head, _ in answers} == {400, 503}
        # Ten at a time have room, each for as long as the body timeout: others come later if we were slow to send.
        times = 1 + (time.monotonic() - begun_s) // LIMITS["body_timeout_s"]
        assert sum(head.status == 400 for head, _ in answers) <= 10 * times


async def test_who_does_not_take_an_answer_is_cut_off(node: Target) -> None:
    """Each asks for megabytes and reads nothing; what the kernel does not hold is bounded (`test_unsent`)."""
    async with AsyncExitStack() as stack:
        for _ in range(50):
            raw = await stack.enter_async_context(connection(node.url, receive_bytes=4096))
            raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await raw.send(ENTRIES * 9)
        await node.serves()
        await node.connections(30)
    assert rss_anon_bytes(node.pid) < 300 << 20


async def test_when_all_connections_are_taken_who_owes_a_request_gives_way(node: Target) -> None:
    async with AsyncExitStack() as stack:
        silent = await opened(stack, node, 250)
        answers = [exchange(node.url, GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")) for _ in range(50)]
        for answer in await asyncio.gather(*answers):
            assert statuses(answer) == [200]
        await node.serves()
        assert await silent[0].rest() == b""


async def test_as_many_idle_connections_as_there_may_be_leave_a_node_answering(node: Target) -> None:
    async with AsyncExitStack() as stack:

        async def answered() -> None:
            [raw] = await opened(stack, node, 1)
            await raw.send(GET)  # at once: who owes a head too long is closed
            assert (await raw.answer())[0].status == 200

        await asyncio.gather(*(answered() for _ in range(190)))
        await node.serves()


async def test_slow_clients_do_not_hold_up_the_end(tmp_path: Path) -> None:
    async with target(tmp_path / "d", {}, TILED) as node, AsyncExitStack() as stack:
        for data in (b"", b"GET /x509/che", GET, POST + b"Content-Length: 10\r\n\r\n{", TILE * 9):
            for raw in await opened(stack, node, 20):
                raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
                await raw.send(data)
        await node.serves()
        assert await node.world.process().stop(signal.SIGTERM) == 0
