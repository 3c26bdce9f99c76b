"""Bodies, lanes and time: over a limit is an answer, and afterwards nothing is held."""

import asyncio
from collections.abc import AsyncIterator, MutableMapping
from typing import Any

import pytest

from log.api.app import Options, create_app
from log.api.edge import Asgi
from log.api.limits import Bodies, HttpLimits, Lane, Receive
from log.errors import Malformed, TooLarge, Unavailable
from tests.api.conftest import ask, connect
from tests.support.fake_node import FakeNode

CHAIN = b'{"chain":["MAA="]}'
TARGET = "/x509/ct/v1/add-chain"


def limited(node: FakeNode, **limits: float) -> Asgi:
    return create_app(node, Options(limits=HttpLimits(**limits)))  # type: ignore[arg-type]


async def held(app: Asgi) -> float:
    text = (await ask(app, "GET", "/metrics")).body.decode()
    return float(text.partition("\ntwinlog_http_held_bytes ")[2].partition("\n")[0])


async def test_a_body_may_be_as_large_as_the_limit(node: FakeNode) -> None:
    app = limited(node, max_body_bytes=len(CHAIN))
    for chunks in ([CHAIN], [CHAIN[:5], CHAIN[5:]], [b"", CHAIN, b""]):
        assert (await ask(app, "POST", TARGET, chunks=chunks)).status == 200
    for chunks in ([CHAIN + b" "], [CHAIN, b" "], [CHAIN, b"", b" ", b" " * 100]):
        answer = await ask(app, "POST", TARGET, chunks=chunks)
        assert answer.status == 413
        assert answer.body.endswith(b"max_body_bytes = %d\n" % len(CHAIN))
    assert await held(app) == 0


def test_the_limit_is_half_a_mebibyte() -> None:
    assert HttpLimits().max_body_bytes == 512 * 1024


@pytest.mark.parametrize("target", ["/guard", "/witness/add-checkpoint", "/x509/add-cosignatures", TARGET])
async def test_every_body_is_limited(node: FakeNode, target: str) -> None:
    app = limited(node, max_body_bytes=10)
    assert (await ask(app, "POST", target, chunks=[b"x" * 11])).status == 413


@pytest.mark.parametrize("length", [b"19", b"9" * 18, b"9" * 5000])
async def test_a_declared_length_is_refused_before_a_byte_is_read(length: bytes) -> None:
    bodies = Bodies(HttpLimits(max_body_bytes=18))

    async def receive() -> MutableMapping[str, Any]:
        raise AssertionError("read")

    with pytest.raises(TooLarge):
        await bodies.read([(b"content-length", length)], receive)


@pytest.mark.parametrize("length", [b"", b"-1", b"1_0", b"x", "٣".encode()])
async def test_a_length_that_is_no_number_does_not_count(app: Asgi, length: bytes) -> None:
    answer = await ask(app, "POST", TARGET, headers=[(b"content-length", length)], chunks=[CHAIN])
    assert answer.status == 200


async def test_a_client_that_goes_away_leaves_nothing(node: FakeNode) -> None:
    app = limited(node)
    assert (await ask(app, "POST", TARGET, chunks=[CHAIN, None])).status == 400
    assert not node.intakes["x509"].seen
    assert await held(app) == 0


async def test_a_body_that_does_not_come_is_given_up() -> None:
    bodies = Bodies(HttpLimits(body_timeout_s=0.01))

    async def receive() -> MutableMapping[str, Any]:
        if bodies.held_bytes == 0:
            return {"type": "http.request", "body": b"x", "more_body": True}
        await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(Malformed, match=r"within 0\.01 s"):
        await bodies.read([], receive)
    assert bodies.held_bytes == 0


async def test_all_bodies_together_are_limited() -> None:
    bodies = Bodies(HttpLimits(max_held_bytes=10))

    async def six() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b"x" * 6, "more_body": False}

    first = await bodies.read([], six)
    with pytest.raises(Unavailable):
        await bodies.read([], six)
    bodies.release(len(first))
    assert len(await bodies.read([], six)) == 6


async def test_a_full_lane_is_503_and_leaves_the_others_alone(node: FakeNode) -> None:
    app = limited(node, submit=2)
    intake = node.intakes["x509"]
    intake.hold = asyncio.Event()
    async with connect(app) as client, asyncio.TaskGroup() as group:
        waiting = [group.create_task(client.post(TARGET, content=CHAIN)) for _ in range(2)]
        for _ in waiting:
            await intake.arrivals.get()
        refused = await client.post(TARGET, content=CHAIN)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert (await client.get("/x509/checkpoint")).status_code == 200
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.post("/guard", content=b"push\n")).status_code == 200
        intake.hold.set()
    assert [task.result().status_code for task in waiting] == [200, 200]
    assert (await ask(app, "POST", TARGET, chunks=[CHAIN])).status == 200


async def test_whoever_sends_slowly_takes_a_place_only_when_all_has_come(node: FakeNode) -> None:
    app = limited(node, submit=1)
    intake = node.intakes["x509"]
    intake.hold = asyncio.Event()
    go = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield CHAIN[:5]
        await go.wait()
        yield CHAIN[5:]

    async with connect(app) as client, asyncio.TaskGroup() as group:
        slow = group.create_task(client.post(TARGET, content=slowly()))
        while await held(app) < 5:
            await asyncio.sleep(0)
        quick = group.create_task(client.post(TARGET, content=CHAIN))  # the place is still free
        await intake.arrivals.get()
        go.set()
        async with asyncio.timeout(60):
            assert (await slow).status_code == 503  # now it is not
        intake.hold.set()
    assert quick.result().status_code == 200
    assert await held(app) == 0


async def test_readers_do_not_keep_out_writers(node: FakeNode) -> None:
    app = limited(node, read=0, entries=0, prove=0, status=0)
    for target in ("/x509/checkpoint", "/x509/tile/0/000", "/x509/tile/data/000", "/healthz", "/"):
        assert (await ask(app, "GET", target)).status == 503
    assert (await ask(app, "POST", TARGET, chunks=[CHAIN])).status == 200
    assert (await ask(app, "POST", "/guard", chunks=[b"push\n"])).status == 200


async def test_a_place_is_given_back_whatever_happens(node: FakeNode) -> None:
    app = limited(node, read=1, submit=1)
    intake = node.intakes["x509"]
    for error in (Malformed("x"), KeyError("x"), None):
        intake.refusal = error
        assert (await ask(app, "POST", TARGET, chunks=[CHAIN])).status in (200, 400, 500)
        await intake.arrivals.get()
    intake.hold = asyncio.Event()
    cancelled = asyncio.create_task(ask(app, "POST", TARGET, chunks=[CHAIN]))
    await intake.arrivals.get()
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    intake.hold.set()
    assert (await ask(app, "POST", TARGET, chunks=[CHAIN])).status == 200
    assert await held(app) == 0


def test_every_lane_has_a_limit_of_its_own() -> None:
    limits = HttpLimits(read=1, entries=2, prove=3, submit=4, events=5, gossip=6, status=7)
    assert [limits.places(lane) for lane in Lane] == [1, 2, 3, 4, 5, 6, 7]


async def test_requests_with_events_may_be_larger_than_others() -> None:
    limits = HttpLimits(max_body_bytes=10, max_events_bytes=20)

    def body(size: int) -> Receive:
        async def receive() -> MutableMapping[str, Any]:
            return {"type": "http.request", "body": b"x" * size}

        return receive

    for lane, most in ((Lane.SUBMIT, 10), (Lane.EVENTS, 20)):
        assert len(await Bodies(limits, lane).read([], body(most))) == most
        with pytest.raises(TooLarge, match=f"= {most}$"):
            await Bodies(limits, lane).read([], body(most + 1))
