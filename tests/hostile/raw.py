"""Connections without a client library, which would not send what these tests send."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.support.nodes import DEADLINE_S

GET = b"GET /x509/checkpoint HTTP/1.1\r\nHost: node\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Head:
    """Status and fields of an answer; names in lower case."""

    status: int
    fields: dict[str, str]


class Raw:
    """One connection. Whatever is waited for comes within the deadline, or the test fails."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> bool:
        """Send; False when the other end is gone."""
        try:
            self.writer.write(data)
            async with asyncio.timeout(DEADLINE_S):
                await self.writer.drain()
        except ConnectionError:
            return False
        return not self.writer.is_closing()

    async def answer(self) -> tuple[Head, bytes]:
        """Return the next answer, whose length must be declared."""
        async with asyncio.timeout(DEADLINE_S):
            lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            fields = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
            head = Head(int(lines[0].split(" ")[1]), fields)
            return head, await self.reader.readexactly(int(fields.get("content-length", "0")))

    async def rest(self) -> bytes:
        """Return everything until the other end closes, however it does."""
        data = bytearray()
        async with asyncio.timeout(DEADLINE_S):
            with suppress(ConnectionError):
                while chunk := await self.reader.read(1 << 16):
                    data += chunk
        return bytes(data)

    async def statuses(self) -> list[int]:
        """Return the status of each answer until the other end closes."""
        return statuses(await self.rest())

    def abort(self) -> None:
        self.writer.transport.abort()


def statuses(data: bytes) -> list[int]:
    """Return the status of each answer in a stream of answers, as a client would read it."""
    found = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").lower().split("\r\n")
        assert lines[0].startswith("http/1.1 "), lines[0]
        found.append(int(lines[0].split(" ")[1]))
        if found[-1] in (100, 204):
            continue
        length = next(int(line.split(": ")[1]) for line in lines if line.startswith("content-length: "))
        assert len(data) >= length, "an answer is cut short"
        data = data[length:]
    return found


@asynccontextmanager
async def connection(url: str, receive_bytes: int | None = None, source: str = "") -> AsyncIterator[Raw]:
    """Connect to the address of a URL; the connection is gone at the end of the block.

    With `receive_bytes` the kernel holds about so much for a reader that does not read. `source` is an address of this
    machine to come from.
    """
    parts = urlsplit(url)
    opening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if receive_bytes is not None:
        opening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    if source:
        opening.bind((source, 0))
    opening.setblocking(False)
    await asyncio.get_running_loop().sock_connect(opening, (parts.hostname, parts.port))
    reader, writer = await asyncio.open_connection(sock=opening)
    opened = Raw(reader, writer)
    try:
        yield opened
    finally:
        opened.abort()


async def exchange(url: str, request: bytes, source: str = "") -> bytes:
    """Send bytes on a new connection, return all that comes back until the other end closes."""
    async with connection(url, source=source) as raw:
        await raw.send(request)
        return await raw.rest()
