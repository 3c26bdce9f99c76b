"""Connections of our own under httpx: what they give, what a hostile other end may cost, and who gets a place."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest
import uvloop

from log.client import connection, transport
from log.client.exchange import GZIP, Answer, exchange
from log.client.transport import Transport
from log.errors import Malformed, Unreachable

LIMIT = 1 << 20
BIG = bytes(range(256)) * 6_000  # larger than what is held of a body
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Other:
    """The other end: what it was sent, and how many connections it has seen."""

    def __init__(self, *answers: bytes, then: Peer | None = None) -> None:
        """Each request of a connection gets the next of `answers`; after the last one comes `then`, or the end."""
        self.answers, self.then = answers, then
        self.requests: list[bytes] = []
        self.connections = 0
        self.open = 0
        self.url = ""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        try:
            for answer in self.answers:
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(answer)
                await writer.drain()
            if self.then is not None:
                await self.then(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self.open -= 1
            writer.close()


@asynccontextmanager
async def serving(other: Other, tls: ssl.SSLContext | None = None) -> AsyncIterator[Other]:
    server = await asyncio.start_server(other, "127.0.0.1", 0, ssl=tls)
    other.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield other
    finally:
        server.close()


@asynccontextmanager
async def client(connections: int = 4, local_address: str = "") -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=Transport(connections, local_address), trust_env=False) as made:
        yield made


async def ask(made: httpx.AsyncClient, url: str, limit: int = LIMIT, deadline_s: float = 30.0) -> Answer:
    return await exchange(made, "GET", url, "it", max_bytes=limit, deadline_s=deadline_s, accept=GZIP)


async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say nothing until the client goes."""
    await reader.read()


# --- what it gives ----------------------------------------------------------------------------------------------


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


async def test_tls_is_checked_against_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = self_signed(tmp_path, "127.0.0.1")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    async with serving(Other(OK, OK), server) as other:
        async with client() as made:
            with pytest.raises(Unreachable, match="ConnectError"):  # nobody here knows who signed it
                await ask(made, other.url)
        known = ssl.create_default_context(cafile=str(certificate))
        monkeypatch.setattr(httpx, "create_ssl_context", lambda **_: known)
        async with client() as made:
            assert (await ask(made, other.url)).body == b"ok"
            with pytest.raises(Unreachable, match="ConnectError"):
                await ask(made, other.url.replace("127.0.0.1", "localhost"))


def self_signed(folder: Path, host: str) -> tuple[Path, Path]:
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    secret = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)]), datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, secret.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(host))]), critical=False)
        .sign(secret, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "c.pem").write_bytes(made.public_bytes(pem))
    private = secret.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "k.pem").write_bytes(private)
    return folder / "c.pem", folder / "k.pem"


# --- what the other end may not do ------------------------------------------------------------------------------


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


# --- places -----------------------------------------------------------------------------------------------------


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


async def test_who_gives_up_leaves_the_place_to_others() -> None:
    async with serving(Other(OK, then=hold)) as other, serving(Other(then=hold)) as silent, client(1) as made:
        with pytest.raises(Unreachable, match="within"):
            await ask(made, silent.url, deadline_s=0.05)
        waiting = [asyncio.ensure_future(ask(made, silent.url, deadline_s=0.05)) for _ in range(3)]
        await asyncio.gather(*waiting, return_exceptions=True)
        assert (await ask(made, other.url)).body == b"ok"


async def test_an_answer_that_is_not_wanted_is_not_read_to_its_end() -> None:
    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 500 No\r\nContent-Length: %d\r\n\r\n" % (1 << 40) + BIG)
        await reader.read()  # until the client goes

    async with serving(Other(then=flood)) as other, client(1) as made:
        for _ in range(2):
            got = await exchange(made, "GET", other.url, "it", max_bytes=9, deadline_s=30.0, wanted=lambda _: False)
            assert (got.status, got.body) == (500, b"")


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


# --- dialling ---------------------------------------------------------------------------------------------------


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


# --- the loop on which a monitor runs ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "scenario",
    [
        test_an_answer_that_comes_byte_by_byte_is_the_same,
        test_a_body_that_is_sent_arrives_whole,
        test_no_more_of_a_body_is_read_than_is_asked_for,
        test_bytes_behind_an_answer_are_the_end_of_its_connection,
        test_bytes_that_nobody_asked_for_are_not_the_next_answer,
        test_a_connection_serves_one_request_after_another,
        test_no_more_are_open_than_there_are_places_and_all_come_to_their_turn,
        test_a_free_one_gives_way_to_another_place,
        test_who_gives_up_leaves_the_place_to_others,
        test_an_answer_that_is_not_wanted_is_not_read_to_its_end,
        test_nobody_there_is_an_error_that_says_so,
        test_it_goes_out_from_the_address_that_is_set,
    ],
)
def test_uvloop_gives_the_same(scenario: Callable[[], Coroutine[None, None, None]]) -> None:
    uvloop.run(scenario())


def test_uvloop_checks_the_name_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uvloop.run(test_tls_is_checked_against_the_name(tmp_path, monkeypatch))
