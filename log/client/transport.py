"""What carries httpx's requests in place of its own connections, for who reads whole logs: some four times as fast.

Requests wait for a place in turn. A connection that is free serves the next request for the same place (scheme, host,
port) for `KEPT_S`; where all places are taken up by free ones, the one that was free longest gives way. Nothing is
retried. Proxies are httpx's own transport's.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial
from itertools import zip_longest
from typing import cast

import httpx

from log.client.connection import READ_BYTES, Connection

KEPT_S = 5.0  # a connection that nobody uses is kept so long: less than servers keep theirs
DIAL_S = 0.25  # the next address of a name is tried beside those before it after this time (RFC 8305)

_PORTS = {"http": 80, "https": 443}
_UNSENDABLE = frozenset(b"\r\n\0")

Place = tuple[str, str, int]  # scheme, host, port
Address = tuple[str, int] | tuple[str, int, int, int]  # of IPv4, of IPv6


class Transport(httpx.AsyncBaseTransport):
    """Connections to any number of places, at most so many at once."""

    def __init__(self, connections: int, local_address: str = "", tls: ssl.SSLContext | None = None) -> None:
        """`local_address` is one of this machine, from which all go out; `tls` says whom to trust, else public CAs."""
        self._most = connections
        self._local = local_address
        self._turn = asyncio.Semaphore(connections)
        self._buffer = memoryview(bytearray(READ_BYTES))
        self._taken = 0  # places, those of connections that are being made too
        self._busy: set[Connection] = set()
        self._free: list[tuple[Place, Connection, float]] = []  # since when, on the monotonic clock; oldest first
        self._tls = tls

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return its answer, whose body is still to come; raise `httpx.TransportError`."""
        sent, place = await _written(request), _place(request.url)
        await self._turn.acquire()
        self._taken += 1
        try:
            connection = self._reused(place) or await self._dialled(place)
        except BaseException:
            self._give_back()
            raise
        self._busy.add(connection)
        body = _Body(connection, partial(self._done, place))
        try:
            connection.ask(sent)
            status, fields = await connection.head()
        except BaseException:
            await body.aclose()
            raise
        return httpx.Response(status, headers=list(fields), stream=body)

    async def aclose(self) -> None:
        """Close all connections."""
        for connection in (*self._busy, *(connection for _, connection, _ in self._free)):
            connection.abort()
        self._free.clear()

    def _reused(self, place: Place) -> Connection | None:
        """Take the connection to a place that was used last, and let go of those that were kept long enough."""
        until = time.monotonic() - KEPT_S
        for _, connection, since in self._free:
            if since < until:
                connection.abort()
        self._free = [each for each in self._free if not each[1].closed]
        for at in reversed(range(len(self._free))):
            if self._free[at][0] == place:
                return self._free.pop(at)[1]
        return None

    async def _dialled(self, place: Place) -> Connection:
        while self._free and self._taken + len(self._free) > self._most:
            self._free.pop(0)[1].abort()
        scheme, host, port = place
        try:
            reached = await _dial(host, port, self._local)
            secure = self._context() if scheme == "https" else None
            name = host if secure is not None else None
            loop = asyncio.get_running_loop()
            try:
                _, connection = await loop.create_connection(
                    partial(Connection, self._buffer), sock=reached, ssl=secure, server_hostname=name
                )
            except BaseException:
                reached.close()
                raise
        except OSError as e:
            raise httpx.ConnectError(str(e)) from e
        return connection

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = httpx.create_ssl_context(trust_env=False)
            self._tls.set_alpn_protocols(["http/1.1"])
        return self._tls

    def _give_back(self) -> None:
        self._taken -= 1
        self._turn.release()

    def _done(self, place: Place, connection: Connection) -> None:
        self._busy.discard(connection)
        self._give_back()
        if connection.reusable:
            self._free.append((place, connection, time.monotonic()))
        else:
            connection.abort()


class _Body(httpx.AsyncByteStream):
    """The body of an answer; whoever has it has the connection until it is closed."""

    def __init__(self, connection: Connection, done: Callable[[Connection], None]) -> None:
        self._connection = connection
        self._done = done
        self._open = True

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while part := await self._connection.part():
            yield part

    async def aclose(self) -> None:
        if self._open:
            self._open = False
            self._done(self._connection)


def _place(url: httpx.URL) -> Place:
    port = _PORTS.get(url.scheme)
    if port is None or not url.raw_host:
        raise httpx.UnsupportedProtocol("neither http nor https, or without a host")
    return url.scheme, url.raw_host.decode("ascii"), url.port or port


async def _written(request: httpx.Request) -> bytes:
    """Return a request as it is sent: with a length, and with nothing in its head that could end a line."""
    if request.method == "HEAD" or "Transfer-Encoding" in request.headers:
        raise httpx.LocalProtocolError("no request whose answer, or which itself, has no length of its own")
    line = (request.method.encode("ascii"), request.url.raw_path, b"HTTP/1.1")
    fields = request.headers.raw
    if any(_UNSENDABLE.intersection(text) for text in (*line, *(text for field in fields for text in field))):
        raise httpx.LocalProtocolError("a line end or a zero byte in the head of a request")
    head = [b" ".join(line), *(b"%b: %b" % field for field in fields)]
    return b"\r\n".join((*head, b"", await request.aread()))


# --- dialling: every address of a name, the next one beside those that do not answer yet ------------------------


async def _dial(host: str, port: int, local: str) -> socket.socket:
    """Return a connected socket; `OSError` says why the first address could not be had."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as e:
        raise OSError(f"no name of a host: {e}") from e
    addresses = _in_turn(
        cast("Iterable[tuple[int, Address]]", ((family, address) for family, _, _, _, address in found))
    )
    dialling: set[asyncio.Task[socket.socket]] = set()
    said: BaseException | None = None
    try:
        while addresses or dialling:
            if addresses:
                dialling.add(loop.create_task(_reach(*addresses.pop(0), local)))
            await asyncio.wait(dialling, timeout=DIAL_S if addresses else None, return_when=asyncio.FIRST_COMPLETED)
            for task in [each for each in dialling if each.done()]:
                dialling.discard(task)
                if (failure := task.exception()) is None:
                    return task.result()
                said = said or failure
    finally:
        for task in dialling:
            if not task.cancel() and not task.cancelled() and task.exception() is None:
                task.result().close()
    raise said or OSError("a name without addresses")


async def _reach(family: int, address: Address, local: str) -> socket.socket:
    reached = socket.socket(family, socket.SOCK_STREAM)
    try:
        reached.setblocking(False)
        reached.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if local:
            reached.bind((local, 0))
        await asyncio.get_running_loop().sock_connect(reached, address)
    except BaseException:
        reached.close()
        raise
    return reached


def _in_turn(addresses: Iterable[tuple[int, Address]]) -> list[tuple[int, Address]]:
    """Return addresses so that families take turns, beginning with that of the first (RFC 8305 section 4)."""
    by_family: dict[int, list[tuple[int, Address]]] = {}
    for each in addresses:
        by_family.setdefault(each[0], []).append(each)
    turns = zip_longest(*by_family.values())
    return [each for turn in turns for each in turn if each is not None]
