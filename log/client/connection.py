"""One HTTP/1.1 connection from the client's side, read by httptools: an answer comes in as few pieces as it can.

A tile of entries has some 400 kB. Here it is read into a buffer that holds all of it and handed on at one go: the
kernel copies it once, and so do we. Whatever the other end sends, no more than these are held: a head of
`MAX_HEAD_BYTES` (fields at the end of a chunked body and informational answers count as part of it), and `HELD_BYTES`
of a body, and one read more, before the reader takes them. Time is the caller's to bound: `exchange` does.

What is no whole answer raises an `httpx.TransportError` that says why, as httpx's own connections do.
"""

import asyncio
from collections.abc import Sequence
from typing import cast

import httptools
import httpx

MAX_HEAD_BYTES = 100 << 10  # status line and fields of an answer
READ_BYTES = 512 << 10  # read at a time: a tile of certificates
HELD_BYTES = 512 << 10  # of a body that nobody has taken yet, before no more is read
PART_BYTES = 64  # that a part of a body takes besides its own: there may be as many as bytes
FIELD_BYTES = 16  # the same of a field, and of the first line

_VERSIONS = ("1.0", "1.1")

Fields = Sequence[tuple[bytes, bytes]]


class Connection(asyncio.BufferedProtocol):
    """One exchange at a time: `ask`, `head`, then `part` until it is empty. The events are what asyncio calls."""

    def __init__(self, buffer: memoryview) -> None:
        """`buffer` is what reads go into; nothing stays there, so that connections of one loop share it."""
        self._buffer = buffer
        self.closed = False
        self.failed: httpx.TransportError | None = None  # why there will be no whole answer
        self._given_up = False  # by us
        self.complete = False  # the whole answer came
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._paused = False
        self._begin()

    def _begin(self) -> None:
        """Make ready for one answer."""
        self._parser = httptools.HttpResponseParser(self)
        self._status = 0  # once the head is there, and it is not informational
        self._fields: list[tuple[bytes, bytes]] = []
        self._head_bytes = 0  # of all fields so far
        self._moved = False  # whether bytes fed last have completed anything
        self._stuck = 0  # bytes since something was completed last
        self._parts: list[bytes] = []
        self._held = 0
        self._kept = False  # whether the other end keeps the connection
        self._to_the_end = False  # the body ends with the connection
        self.complete = False

    # --- what its user does -----------------------------------------------------------------------------------

    @property
    def reusable(self) -> bool:
        """Whether another request may follow: the answer is there and nothing behind it, and both ends stay."""
        return self.complete and self._kept and self.failed is None and not self.closed

    def ask(self, request: bytes) -> None:
        """Send a request."""
        if self._transport is None or self.closed:
            raise httpx.WriteError("the connection is closed")
        self._begin()
        self._transport.write(request)

    async def head(self) -> tuple[int, Fields]:
        """Return status and fields."""
        while not self._status or self.failed is not None:
            await self._wait()
        return self._status, self._fields

    async def part(self) -> bytes:
        """Return what came of the body, at most `HELD_BYTES` and one read more; b"" when that was all."""
        while not self.complete and self._held < HELD_BYTES:
            await self._wait()
        parts, self._parts, self._held = self._parts, [], 0
        if self._paused and self._transport is not None and not self.closed:
            self._paused = False
            self._transport.resume_reading()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def abort(self) -> None:
        """Give it up at once."""
        self.closed = self._given_up = True
        if self._transport is not None:
            self._transport.abort()

    async def _wait(self) -> None:
        if self.failed is not None:
            raise self.failed
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, error: httpx.TransportError) -> None:
        if not self.complete and self.failed is None:
            self.failed = error
        self.abort()
        self._wake()

    # --- what asyncio calls -----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class is none without saying so

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - as asyncio has it
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._moved = False
        try:
            self._parser.feed_data(self._buffer[:nbytes])
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as e:
            self._fail(httpx.RemoteProtocolError(f"not HTTP/1.1: {e}"))
            return
        self._stuck = 0 if self._moved else self._stuck + nbytes
        if max(self._head_bytes, self._stuck) > MAX_HEAD_BYTES:
            self._fail(httpx.RemoteProtocolError(f"a head of more than {MAX_HEAD_BYTES} bytes"))
        elif self._held >= HELD_BYTES and not self.complete and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if not self.complete:
            if exc is None and self._status and self._to_the_end and not self._given_up:
                self.complete = True
            elif exc is None:
                self._fail(httpx.RemoteProtocolError("the connection ended before the answer did"))
            else:
                self._fail(httpx.ReadError(f"the connection broke: {exc}"))
        self._wake()

    # --- what httptools calls ---------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self.complete:
            raise httptools.HttpParserError("more than was asked for")  # and the answer itself is whole
        self._head_bytes += FIELD_BYTES

    def on_header(self, name: bytes, value: bytes) -> None:
        self._moved = True
        self._head_bytes += len(name) + len(value) + FIELD_BYTES
        if not self._status:
            self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        self._moved = True
        status = self._parser.get_status_code()
        if status < httpx.codes.OK:
            return
        if self._parser.get_http_version() not in _VERSIONS:
            raise httptools.HttpParserError("another version")
        named = {name.lower(): value.lower() for name, value in self._fields}
        coding = named.get(b"transfer-encoding")
        if coding not in {None, b"chunked"}:
            raise httptools.HttpParserError("a transfer coding that was not asked for")
        self._to_the_end = coding is None and b"content-length" not in named
        self._kept = self._parser.should_keep_alive()
        self._status = status
        self._wake()

    def on_body(self, body: bytes) -> None:
        self._moved = True
        self._parts.append(body)
        self._held += len(body) + PART_BYTES
        if self._held >= HELD_BYTES:
            self._wake()

    def on_message_complete(self) -> None:
        self._moved = True
        if not self._status:  # informational: the answer comes behind it
            self._fields = []
            return
        self.complete = True
        self._wake()
