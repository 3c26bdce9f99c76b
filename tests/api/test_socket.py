"""The application under uvicorn, on a socket: what only a real server shows."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest
import uvicorn

from log.api.edge import Asgi
from tests.support import plain
from tests.support.fake_node import FakeNode


class QuietServer(uvicorn.Server):
    """A server that leaves the signals to pytest."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        yield


@pytest.fixture
async def address(app: Asgi) -> AsyncIterator[tuple[str, int]]:
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, http="httptools", lifespan="off", access_log=False, log_config=None)
    server = QuietServer(config)
    serving = asyncio.create_task(server.serve([listener]))
    yield listener.getsockname()
    server.should_exit = True
    await serving


async def raw(address: tuple[str, int], request: bytes) -> bytes:
    """Send bytes, return all that comes back until the server closes."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(request)
    await writer.drain()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


def http(request_line: bytes, *fields: bytes, body: bytes = b"") -> bytes:
    return b"\r\n".join([request_line, b"Host: node", b"Connection: close", *fields, b"", body])


async def test_tiles_and_submissions_go_over_a_socket(address: tuple[str, int], node: FakeNode) -> None:
    node.x509.fill(256)
    async with plain.client(base_url=f"http://127.0.0.1:{address[1]}") as client:
        tile = await client.get("/x509/tile/0/000")
        assert (len(tile.content), tile.headers["content-length"]) == (8192, "8192")
        assert "transfer-encoding" not in tile.headers
        head = await client.head("/x509/tile/0/000")
        assert (head.content, head.headers["content-length"]) == (b"", "8192")
        assert (await client.head("/x509/ct/v1/get-roots")).content == b""
        large = await client.post("/x509/ct/v1/add-chain", content=b"x" * (600 << 10))
        assert large.status_code == 413
        again = await client.post("/x509/ct/v1/add-chain", content=b'{"chain":["MAA="]}')
        assert again.status_code == 200
        preflight = await client.options("/x509/ct/v1/add-chain")
        assert (preflight.status_code, preflight.content) == (204, b"")
        assert "content-length" not in preflight.headers


async def test_a_large_body_without_a_length_is_refused(address: tuple[str, int]) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * (64 << 10)

    async with plain.client(base_url=f"http://127.0.0.1:{address[1]}") as client:
        assert (await client.post("/x509/ct/v1/add-chain", content=chunks())).status_code == 413


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET /x509/%ff%fe HTTP/1.1", 404),
        (b"GET /x509/../x509/checkpoint HTTP/1.1", 404),
        (b"GET //x509/checkpoint HTTP/1.1", 404),
        (b"GET /x509/tile/0/000?\xff HTTP/1.1", 400),
        (b"GET http://node/x509/tile/0/000 HTTP/1.1", 200),
        (b"GET /x509/tlog-proof?leaf=%00 HTTP/1.1", 400),
        (b"OPTIONS * HTTP/1.1", 204),
        (b"GET /x509/\xc3\xa9 HTTP/1.1", 400),
        (b"BREW /x509/checkpoint HTTP/1.1", 400),
    ],
)
async def test_odd_requests_get_an_answer_and_never_a_500(
    address: tuple[str, int], node: FakeNode, line: bytes, status: int
) -> None:
    node.x509.fill(256)
    answer = await raw(address, http(line))
    assert answer.startswith(b"HTTP/1.1 %d " % status)


async def test_who_expects_to_continue_is_refused_before_it_sends(address: tuple[str, int]) -> None:
    request = http(b"POST /x509/ct/v1/add-chain HTTP/1.1", b"Content-Length: 900000", b"Expect: 100-continue")
    answer = await raw(address, request)
    assert answer.startswith(b"HTTP/1.1 413 ")
