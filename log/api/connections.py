"""Connections: how many there are, how long each may take for what, and how much of its bytes is held.

uvicorn and httptools wait for a head without end, of any size, and for a client to take its answer. Here each
connection that owes something stands in a line, and lines are short:

    head     the head of its first request, or of one that has begun       head_timeout_s, then 408
    body     the rest of a request                                         body_timeout_s, once it is answered
    closing  to take the last bytes and go                                 send_timeout_s
    unsent   to take an answer that does not fit the socket                send_timeout_s

One that owes nothing is idle (`idle_timeout_s`, a timer of uvicorn's) or is being answered, and that the lanes bound
(`log.api.limits`). When there are `max_connections`, one gives way to the new one, whoever stands longest in line, in
the order closing, head, idle, body, unsent: who sends what they came for is not kept out by those who only hold a
place. When all are being answered the new one is told to come again (503).
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from itertools import islice
from typing import Any, NoReturn, cast

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from log.api import exchange
from log.api.errors import text_reply
from log.errors import Refused

SWEEP_S = 0.5  # how often lines are looked through: no time is kept more exactly
LOOKS = 64  # connections that are looked at, at most, to find an idle one
FIELD_BYTES = 32  # what a field counts beside its bytes, as in RFC 9113 section 6.5.2: many small ones cost most
_LEAST_FIELD = 4  # bytes of a field as it is sent, at least: `a:` and its line end

_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
_VERSIONS = frozenset({"1.0", "1.1"})
_RETRY = (b"retry-after", b"1")


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Bounds of all connections together, or of each."""

    max_connections: int = 4096
    max_head_bytes: int = 16 << 10  # target and fields of a request, and of those that wait behind it; FIELD_BYTES each
    max_pipelined: int = 8  # requests sent before the answer to an earlier one
    head_timeout_s: float = 10.0
    idle_timeout_s: float = 15.0
    body_timeout_s: float = 10.0
    send_timeout_s: float = 60.0
    max_unsent_bytes: int = 256 << 20  # of all answers together that wait for their clients


class Line:
    """Connections that owe the same, the one that has for longest first."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._since: dict[Connection, float] = {}  # in the order in which they came

    def join(self, connection: "Connection", now: float) -> None:
        self._since[connection] = now

    def leave(self, connection: "Connection") -> None:
        self._since.pop(connection, None)

    def first(self) -> "Connection | None":
        """Return who has stood here longest."""
        return next(iter(self._since), None)

    def overdue(self, now: float) -> list["Connection"]:
        """Return those whose time is up."""
        late = []
        for connection, since in self._since.items():
            if now - since < self._timeout_s:
                break
            late.append(connection)
        return late


class Connections:
    """All connections of a server, and the lines they stand in."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self.open: dict[Connection, None] = {}  # looked at for idle ones from the front, see `_idle`
        self.head = Line(limits.head_timeout_s)
        self.body = Line(limits.body_timeout_s)
        self.closing = Line(limits.send_timeout_s)
        self.unsent = Line(limits.send_timeout_s)
        self.unsent_bytes = 0

    def make_room(self) -> bool:
        """Let one connection give way when there are too many; False when all are being answered."""
        if len(self.open) < self.limits.max_connections:
            return True
        for find in (self.closing.first, self.head.first, self._idle, self.body.first, self.unsent.first):
            if (connection := find()) is not None:
                connection.abort()
                return True
        return False

    def _idle(self) -> "Connection | None":
        """Return an idle connection that sent nothing since it was looked at last; the others go to the end."""
        for connection in list(islice(self.open, LOOKS)):
            if connection.idle and not connection.used:
                return connection
            connection.used = False
            del self.open[connection]
            self.open[connection] = None
        return None

    def bound_unsent(self) -> None:
        """Give up the oldest of the answers that nobody takes, until they are not too much together."""
        while self.unsent_bytes > self.limits.max_unsent_bytes:
            oldest = self.unsent.first()
            if oldest is None:
                raise AssertionError("unsent bytes without a connection")
            oldest.abort()

    async def sweep(self) -> None:
        """End what is overdue, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_S)
            now = loop.time()
            for connection in self.open:
                connection.see_closing()
            for connection in self.head.overdue(now):
                connection.head_overdue()
            for connection in self.body.overdue(now):
                connection.body_overdue()
            for connection in (*self.closing.overdue(now), *self.unsent.overdue(now)):
                connection.abort()


def _size(target: bytes, fields: Iterable[tuple[bytes, bytes]]) -> int:
    """Return what a head counts."""
    return len(target) + sum(len(name) + len(value) + FIELD_BYTES for name, value in fields)


class _Behind(list[tuple[bytes, bytes]]):
    """Where uvicorn puts fields that come behind a body: nowhere."""

    def append(self, _field: tuple[bytes, bytes]) -> None:
        raise Refused("fields behind a body are not taken")


_BEHIND = _Behind()


class Connection(HttpToolsProtocol):
    """uvicorn's connection, in line while it owes something."""

    cycle: RequestResponseCycle | None  # type: ignore[assignment]  # None before the first request

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        loop: asyncio.AbstractEventLoop,
        connections: Connections,
    ) -> None:
        super().__init__(config, server_state, app_state, loop)
        self._all = connections
        self._limits = connections.limits
        self._few_bytes = self._limits.max_head_bytes // (1 + FIELD_BYTES // _LEAST_FIELD)
        self._line: Line | None = None
        self._head_bytes = 0  # of the head that is coming, as sent; more when other things came with its beginning
        self.used = False  # whether something came since `Connections` looked for idle ones
        self._unsent_bytes = 0
        self._deaf = False  # what comes now is no HTTP any more
        self._silent_bytes = 0  # read of a body's framing since the last bytes of the body itself
        self._refusal = (HTTPStatus.BAD_REQUEST, "this is not HTTP/1.1")

    # --- coming and going -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        room = self._all.make_room()
        super().connection_made(transport)
        self._all.open[self] = None
        self._stand(self._all.head)
        if not room:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "all connections of this node are being answered")

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        self._all.open.pop(self, None)
        super().connection_lost(exc)

    def close(self) -> None:
        """Take nothing more, and end once everything is sent."""
        self._deaf = True
        self._stand(self._all.closing)
        self.transport.close()

    def abort(self) -> None:
        """End at once."""
        self._deaf = True
        self._leave()
        self._all.open.pop(self, None)
        self.transport.abort()

    def see_closing(self) -> None:
        """Stand in line when uvicorn has closed, which may wait for the client."""
        if self.transport.is_closing():
            self._stand(self._all.closing)

    @property
    def idle(self) -> bool:
        """Whether the last request is answered and no further one has begun."""
        return self._line is None and self.cycle is not None and self.cycle.response_complete

    def head_overdue(self) -> None:
        """End, because a head does not come."""
        if self._head_begun():
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, f"no whole head within {self._limits.head_timeout_s:g} s")
        else:
            self.close()

    def body_overdue(self) -> None:
        """End when an answer is out although the body is not in: `Bodies` has given it up, or nobody wanted it."""
        if self.cycle is not None and self.cycle.response_complete:
            self.close()

    def timeout_keep_alive_handler(self) -> None:
        self.close()

    def _stand(self, line: Line | None) -> None:
        """Leave the line and join another; None: nothing is owed."""
        if self._line is not line:
            if self._line is not None:
                self._line.leave(self)
            if line is not None:
                line.join(self, self.loop.time())
            self._line = line

    def _leave(self) -> None:
        self._stand(None)
        self._taken()

    # --- reading ----------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        # Every request comes through here: a usual one joins no line.
        if self._deaf:
            return
        self._head_bytes += len(data)
        self._silent_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._stay_with_http()
        except httptools.HttpParserError:
            self._refuse(*self._refusal)
            return
        cycle = self.cycle
        if self.scope is not (None if cycle is None else cycle.scope):  # `_head_begun`, written out
            self._unset_keepalive_if_required()
            self._wait_for(self._all.head, self._head_bytes)
        elif cycle is not None:  # before the first request, empty lines change nothing
            self._head_bytes = 0
            self.used = True
            if not cycle.response_complete:
                self._unset_keepalive_if_required()
            if cycle.more_body:
                self._wait_for(self._all.body, self._silent_bytes)
            elif self._line is not None:
                self._stand(None)

    def _wait_for(self, line: Line, read_bytes: int) -> None:
        """Stand in the line of those whose head or body goes on, unless it went on for too long."""
        if read_bytes > self._limits.max_head_bytes:
            self._refuse(*self._too_large())
        else:
            self._stand(line)

    def _head_begun(self) -> bool:
        """Return whether a head is coming: uvicorn makes a scope when it begins, and a cycle when it is complete."""
        cycle = self.cycle
        return self.scope is not (None if cycle is None else cycle.scope)

    def on_headers_complete(self) -> None:
        # A head of few bytes is small whatever is in it, and nearly every head is.
        if self._head_bytes > self._few_bytes and _size(self.url, self.headers) > self._limits.max_head_bytes:
            self._give_up(*self._too_large())
        version = self.parser.get_http_version()
        if version not in _VERSIONS:
            self._give_up(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "this is a server of HTTP/1.1")
        hosts = 0
        for name, _ in self.headers:
            hosts += int(name == b"host")
        if hosts != 1 and (hosts or version != "1.0"):
            self._give_up(HTTPStatus.BAD_REQUEST, "Host must be there, once (RFC 9112 section 3.2)")
        if self.parser.should_upgrade() and any(name in _FRAMING for name, _ in self.headers):
            # The parser would take the body for the other protocol.
            self._give_up(HTTPStatus.BAD_REQUEST, "only HTTP/1.1 is spoken here: send the body without Upgrade")
        super().on_headers_complete()
        self.headers = _BEHIND  # the cycle has them
        if (cycle := self.cycle) is not None:
            cast("dict[str, Any]", cycle.scope)[exchange.KEY] = exchange.Exchange(cycle)
        self._silent_bytes = 0
        if self.pipeline:
            together = sum(_size(cycle.scope["raw_path"], cycle.scope["headers"]) for cycle, _ in self.pipeline)
            if len(self.pipeline) > self._limits.max_pipelined or together > self._limits.max_head_bytes:
                self._give_up(HTTPStatus.BAD_REQUEST, "too much ahead of an answer")

    def on_body(self, body: bytes) -> None:
        if self.pipeline:  # nobody would read it now (RFC 9112 section 9.3.2)
            self._give_up(HTTPStatus.BAD_REQUEST, "requests with bodies are not sent ahead of an answer")
        self._silent_bytes = 0
        super().on_body(body)

    def _give_up(self, status: HTTPStatus, reason: str) -> NoReturn:
        """End the parsing, out of a callback of the parser: `data_received` answers."""
        self._refusal = status, reason
        raise Refused(reason)

    def _too_large(self) -> tuple[HTTPStatus, str]:
        return (
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            f"target and fields are over max_head_bytes = {self._limits.max_head_bytes}",
        )

    def _stay_with_http(self) -> None:
        """Answer a request that asks for another protocol as if it did not, and read nothing behind it."""
        self._deaf = True
        if self.cycle is not None:
            self.cycle.keep_alive = False
            self.cycle.more_body = False
            self.cycle.message_event.set()

    # --- answering --------------------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        super().pause_writing()
        self._taken()
        self._unsent_bytes = self.transport.get_write_buffer_size()
        self._all.unsent_bytes += self._unsent_bytes
        self._all.unsent.join(self, self.loop.time())
        self._all.bound_unsent()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._taken()

    def _taken(self) -> None:
        """Count the answer as no longer held."""
        self._all.unsent.leave(self)
        self._all.unsent_bytes -= self._unsent_bytes
        self._unsent_bytes = 0

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        """Answer instead of the application where an answer is still owed, and close."""
        if self._owed():
            reply = text_reply(status, reason, (b"connection", b"close"), *((_RETRY,) if status == 503 else ()))
            fields = b"".join(name + b": " + value + b"\r\n" for name, value in reply.head())
            self.transport.write(b"HTTP/1.1 %d %s\r\n%s\r\n%s" % (status, status.phrase.encode(), fields, reply.body))
            self.close()
        else:
            self.abort()

    def _owed(self) -> bool:
        """Return whether the next bytes that the client reads may be our answer to what it sends now."""
        cycle = self.cycle
        if cycle is None:
            return True
        if self._head_begun() or not cycle.more_body:
            return cycle.response_complete
        return not self.pipeline and not cycle.response_started
