"""Whoever holds connections to a monitor and gives or takes nothing keeps nobody else from an answer. Real sockets."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
from fastapi import APIRouter, Request, Response

from log import sockets
from monitor.limits import Limits
from monitor.web.app import body, make_app
from monitor.web.serve import served
from tests.hostile.raw import Raw, connection, exchange, statuses

CROWD = 300
TRIES = 5
WAIT_S = 60
ELSEWHERE = "127.0.0.2"
GET = b"GET /page HTTP/1.1\r\nHost: m\r\n\r\n"
CLOSE = b"GET /page HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\r\n"
POST = b"POST /taken HTTP/1.1\r\nHost: m\r\nContent-Length: 1000\r\n\r\n{"
HALF = b"GET /page HTTP/1.1\r\nHost: m\r\nX-Slow: "
LONG_S = 600  # longer than any test waits: nobody is helped by waiting for this to pass
PATIENT = Limits(head_s=LONG_S, idle_s=LONG_S, request_s=LONG_S, take_s=LONG_S)
LARGE = bytes(512 << 10)  # more than sockets hold of it; no answer of a monitor is much larger


@dataclass
class Site:
    """A monitor's server with routes of a kind each."""

    url: str = ""
    held: asyncio.Event = field(default_factory=asyncio.Event)
    holding: int = 0  # requests that have come to wait for `held`
    taking: int = 0  # and such whose body has come to be read

    async def answers(self) -> None:
        """One more client gets its answer, whatever others hold."""
        for _ in range(TRIES):
            assert await self.status(CLOSE, ELSEWHERE) == [200]

    async def status(self, request: bytes, source: str = "") -> list[int]:
        return statuses(await exchange(self.url, request, source))


def routes(limits: Limits, site: Site) -> APIRouter:
    made = APIRouter()

    @made.get("/page")
    async def page() -> Response:
        return Response("here", media_type="text/plain")

    @made.get("/large")
    async def large() -> Response:
        return Response(LARGE, media_type="text/plain")

    @made.get("/held")
    async def hold() -> Response:
        site.holding += 1
        await site.held.wait()
        return Response("held", media_type="text/plain")

    @made.post("/taken")
    async def taken(request: Request) -> Response:
        site.taking += 1
        return Response(await body(request, 1 << 20, limits.request_s), media_type="text/plain")

    return made


@asynccontextmanager
async def site(limits: Limits) -> AsyncIterator[Site]:
    made = Site()
    with sockets.listen("127.0.0.1:0") as listener:
        async with served(make_app([routes(limits, made)]), listener, None, limits) as made.url:
            yield made
            made.held.set()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not holds():
            await asyncio.sleep(0)


async def opened(stack: AsyncExitStack, url: str, count: int, data: bytes = b"") -> list[Raw]:
    found = [await stack.enter_async_context(connection(url, receive_bytes=4096)) for _ in range(count)]
    for raw in found:
        raw.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket has it
        await raw.send(data)
    return found


@pytest.mark.parametrize("addresses", [1, CROWD], ids=["one address", "many addresses"])
@pytest.mark.parametrize(
    "data",
    [b"", HALF, GET, POST, GET.replace(b"/page", b"/large")],
    ids=["silent", "half a head", "idle", "half a body", "takes nothing"],
)
async def test_another_client_gets_an_answer(data: bytes, addresses: int) -> None:
    """Of many addresses is what no bound of one address stops."""
    limits = PATIENT if addresses == 1 else replace(PATIENT, address_connections=CROWD * 2)
    async with site(limits) as made, AsyncExitStack() as stack:
        await opened(stack, made.url, CROWD, data)
        await made.answers()


@pytest.mark.parametrize(
    ("limits", "data", "answers"),
    [
        (replace(PATIENT, head_s=1), b"", []),
        (replace(PATIENT, head_s=1), HALF, [408]),
        (replace(PATIENT, idle_s=1), GET, [200]),
        (replace(PATIENT, request_s=1), POST, [408]),
    ],
    ids=["silent", "half a head", "idle", "half a body"],
)
async def test_what_does_not_come_ends_at_its_limit(limits: Limits, data: bytes, answers: list[int]) -> None:
    async with site(limits) as made:
        for _ in range(TRIES):  # half a head that a busy machine brings after its limit only was none
            begun = time.monotonic()
            found = await made.status(data)
            assert time.monotonic() - begun > 0.5
            if found == answers:
                return
        pytest.fail(f"{found} instead of {answers}")


async def test_one_address_has_only_its_share_and_is_in_its_own_way() -> None:
    async with site(replace(PATIENT, address_connections=3)) as made, AsyncExitStack() as stack:
        first, *others = [await stack.enter_async_context(connection(made.url)) for _ in range(3)]
        for raw in (first, *others):
            await raw.send(GET)
            await raw.answer()
        assert await made.status(CLOSE) == [200]
        assert await first.rest() == b""
        for raw in others:
            await raw.send(GET)
            assert (await raw.answer())[0].status == 200


async def test_who_is_being_answered_by_all_his_connections_is_told_to_come_again() -> None:
    async with site(replace(PATIENT, address_connections=2)) as made, AsyncExitStack() as stack:
        held = [await stack.enter_async_context(connection(made.url)) for _ in range(2)]
        for raw in held:
            await raw.send(GET.replace(b"/page", b"/held"))
        await until(lambda: made.holding == 2)  # or one of them, which owes its head, would give way
        async with connection(made.url) as one_more:
            await one_more.send(GET)
            head, text = await one_more.answer()
        assert (head.status, head.fields["retry-after"], head.fields["connection"]) == (503, "1", "close")
        assert text == b"Service Unavailable\nall connections that there may be are being answered\n"
        made.held.set()
        assert [(await raw.answer())[0].status for raw in held] == [200, 200]


async def test_requests_that_are_answered_at_a_time_are_bounded_and_bodies_apart() -> None:
    limits = replace(PATIENT, clients=2, bodies=1)
    async with site(limits) as made, AsyncExitStack() as stack:
        slow = await stack.enter_async_context(connection(made.url))
        await slow.send(POST)
        second = POST.replace(b"1000\r\n", b"1\r\nConnection: close\r\n")
        await until(lambda: made.taking == 1)
        assert await made.status(second) == [503]
        await made.answers()
        held = [await stack.enter_async_context(connection(made.url)) for _ in range(2)]
        for raw in held:
            await raw.send(GET.replace(b"/page", b"/held"))
        await until(lambda: made.holding == 2)
        assert await made.status(CLOSE) == [503]
        made.held.set()
        assert [(await raw.answer())[0].status for raw in held] == [200, 200]
        await slow.send(bytes(999))
        assert (await slow.answer())[0].status == 200
        await made.answers()


async def test_the_bodies_of_one_address_leave_places_for_those_of_others() -> None:
    limits = replace(PATIENT, bodies=4, address_bodies=3)
    whole = POST.replace(b"1000\r\n", b"1\r\nConnection: close\r\n")
    async with site(limits) as made, AsyncExitStack() as stack:
        await opened(stack, made.url, 8, POST)
        await until(lambda: made.taking == 3)
        assert await made.status(whole) == [503]
        for _ in range(TRIES):
            assert await made.status(whole, ELSEWHERE) == [200]
