"""Connections of our own under httpx: who gets a place, and how one is dialled."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path

import httpx
import pytest
import uvloop

from log.client import transport
from log.client.transport import Transport
from log.errors import Unreachable
from tests.client.other_end import OK, Other, ask, client, hold, self_signed, serving

# --- places ---------------------------------------------------------------------------------------------------------


async def test_a_connection_serves_one_request_after_another() -> None:
    async with serving(Other(OK, OK, OK, then=hold)) as other, client() as made:
        for _ in range(3):
            await ask(made, other.url)
    assert other.connections == 1


@pytest.mark.parametrize(
    "answer", [OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), b"HTTP/1.0 200 OK\r\n\r\nok"]
)
async def test_one_that_the_other_end_closes_does_not(answer: bytes) -> None:
    async with serving(Other(answer)) as other, client() as made:
        for _ in range(2):
            assert (await ask(made, other.url)).body == b"ok"
    assert other.connections == 2


async def test_one_that_was_free_too_long_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "KEPT_S", -1.0)
    async with serving(Other(OK, OK, then=hold)) as other, client() as made:
        for _ in range(2):
            await ask(made, other.url)
    assert other.connections == 2


async def test_no_more_are_open_than_there_are_places_and_all_come_to_their_turn() -> None:
    together, most = asyncio.Event(), 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal most
        while True:
            await reader.readuntil(b"\r\n\r\n")
            most = max(most, other.open)
            if other.open == 2:
                together.set()
            await together.wait()
            writer.write(OK)

    async with serving(Other(then=answer)) as other, client(connections=2) as made:
        got = await asyncio.gather(*(ask(made, other.url) for _ in range(20)))
    assert [each.body for each in got] == [b"ok"] * 20
    assert most == 2


async def test_a_free_one_gives_way_to_another_place() -> None:
    async with serving(Other(OK, then=hold)) as one, serving(Other(OK, then=hold)) as two, client(1) as made:
        await ask(made, one.url)
        await ask(made, two.url)
        await ask(made, one.url)
    assert (one.connections, two.connections) == (2, 1)


async def test_free_ones_and_those_that_are_dialled_are_no_more_than_there_are_places() -> None:
    together = asyncio.Event()

    async def gather(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if one.open + two.open == 4 and two.open == 4:
            together.set()
        await together.wait()
        writer.write(OK)
        await reader.read()

    async with serving(Other(OK, then=hold)) as one, serving(Other(then=gather)) as two, client(4) as made:
        await asyncio.gather(*(ask(made, one.url) for _ in range(4)))
        transport = made._transport
        assert isinstance(transport, Transport)
        await asyncio.gather(*(ask(made, two.url) for _ in range(4)))
        assert transport._taken == 0
        assert len(transport._free) == 4


async def test_who_gives_up_leaves_the_place_to_others() -> None:
    async with serving(Other(OK, then=hold)) as other, serving(Other(then=hold)) as silent, client(1) as made:
        with pytest.raises(Unreachable, match="within"):
            await ask(made, silent.url, deadline_s=0.05)
        waiting = [asyncio.ensure_future(ask(made, silent.url, deadline_s=0.05)) for _ in range(3)]
        await asyncio.gather(*waiting, return_exceptions=True)
        assert (await ask(made, other.url)).body == b"ok"


# --- dialling -------------------------------------------------------------------------------------------------------


async def test_nobody_there_is_an_error_that_says_so() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # and does not listen
        async with client() as made:
            with pytest.raises(Unreachable, match="ConnectError"):
                await ask(made, f"http://127.0.0.1:{bound.getsockname()[1]}")
            with pytest.raises(Unreachable, match="ConnectError"):
                await ask(made, f"http://{'a' * 64}.example")
            with pytest.raises(Unreachable, match="begins with"):
                await ask(made, "ftp://127.0.0.1")


async def test_it_goes_out_from_the_address_that_is_set() -> None:
    async with serving(Other(OK, OK)) as other:
        async with client(local_address="127.0.0.1") as made:
            assert (await ask(made, other.url)).body == b"ok"
        async with client(local_address="192.0.2.7") as made:
            with pytest.raises(Unreachable, match="ConnectError"):
                await ask(made, other.url)


@pytest.mark.parametrize("silent", [True, False])
async def test_every_address_of_a_name_is_tried(monkeypatch: pytest.MonkeyPatch, silent: bool) -> None:
    """One that refuses is passed over at once, and one that is silent keeps nobody from the next."""
    loop, dialled = asyncio.get_running_loop(), list[str]()

    async def found(host: str, port: int, **_: object) -> Sequence[tuple[object, ...]]:
        hosts = ("127.0.0.1", "127.0.0.2")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in hosts]

    connect = loop.sock_connect

    async def sock_connect(sock: socket.socket, address: tuple[str, int]) -> None:
        dialled.append(address[0])
        if address[0] == "127.0.0.2":
            await connect(sock, ("127.0.0.1", address[1]))
        elif silent:
            await asyncio.Event().wait()
        else:
            raise ConnectionRefusedError("nobody")

    monkeypatch.setattr(loop, "getaddrinfo", found)
    monkeypatch.setattr(loop, "sock_connect", sock_connect)
    monkeypatch.setattr(transport, "DIAL_S", 0.0)
    async with serving(Other(OK)) as other, client() as made:
        assert (await ask(made, other.url.replace("127.0.0.1", "a.example"))).body == b"ok"
    assert dialled == ["127.0.0.1", "127.0.0.2"]


def test_addresses_of_both_kinds_take_turns() -> None:
    six, four = socket.AF_INET6, socket.AF_INET
    given: list[tuple[int, transport.Address]] = [
        (six, ("::1", 1, 0, 0)),
        (six, ("::2", 1, 0, 0)),
        (four, ("127.0.0.1", 1)),
    ]
    assert transport._in_turn(given) == [given[0], given[2], given[1]]


async def test_tls_is_checked_against_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = self_signed(tmp_path, "127.0.0.1")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    async with serving(Other(OK, OK), server) as other:
        async with client() as made:
            with pytest.raises(Unreachable, match="not one to trust, self-signed certificate"):  # nobody here knows it
                await ask(made, other.url)
        known = ssl.create_default_context(cafile=str(certificate))
        monkeypatch.setattr(httpx, "create_ssl_context", lambda **_: known)
        async with client() as made:
            assert (await ask(made, other.url)).body == b"ok"
            with pytest.raises(Unreachable, match="Hostname mismatch"):
                await ask(made, other.url.replace("127.0.0.1", "localhost"))


# --- the loop on which a monitor runs ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "scenario",
    [
        test_a_connection_serves_one_request_after_another,
        test_no_more_are_open_than_there_are_places_and_all_come_to_their_turn,
        test_a_free_one_gives_way_to_another_place,
        test_who_gives_up_leaves_the_place_to_others,
        test_nobody_there_is_an_error_that_says_so,
        test_it_goes_out_from_the_address_that_is_set,
    ],
)
def test_uvloop_gives_the_same(scenario: Callable[[], Coroutine[None, None, None]]) -> None:
    uvloop.run(scenario())


def test_uvloop_checks_the_name_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uvloop.run(test_tls_is_checked_against_the_name(tmp_path, monkeypatch))
