"""One connection: uvicorn's, in line while it owes something (`connections`), and strict about what is no HTTP/1.1."""

import asyncio
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, NoReturn

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from log.errors import Refused
from log.serving.clients import client_of
from log.serving.connections import Connections, Line

FIELD_BYTES = 32  # what a field counts beside its bytes, as in RFC 9113 section 6.5.2: many small ones cost most
_LEAST_FIELD = 4  # bytes of a field as it is sent, at least: `a:` and its line end

_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
_VERSIONS = frozenset({"1.0", "1.1"})
_CLOSE = (b"connection", b"close")
_RETRY = (b"retry-after", b"1")


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
        self.line: Line | None = None
        self.of = ""  # whose it is
        self._head_bytes = 0  # of the head that is coming, as sent; more when other things came with its beginning
        self.used = False  # whether something came since `Connections` looked for idle ones
        self._unsent_bytes = 0
        self._deaf = False  # what comes now is no HTTP any more
        self._silent_bytes = 0  # read of a body's framing since the last bytes of the body itself
        self._refusal = (HTTPStatus.BAD_REQUEST, "this is not HTTP/1.1")

    # --- coming and going -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.of = client_of("" if self.client is None else self.client[0])
        room = self._all.enter(self)
        self._stand(self._all.head)
        if not room:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "all connections that there may be are being answered")

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
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
        self.transport.abort()

    def see_closing(self) -> None:
        """Stand in line when uvicorn has closed, which may wait for the client."""
        if self.transport.is_closing():
            self._stand(self._all.closing)

    @property
    def idle(self) -> bool:
        """Whether the last request is answered and no further one has begun."""
        return self.line is None and self.cycle is not None and self.cycle.response_complete

    @property
    def unsent(self) -> bool:
        """Whether an answer waits for its client."""
        return self._unsent_bytes > 0

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
        if self.line is not line:
            if self.line is not None:
                self.line.leave(self)
            if line is not None:
                line.join(self, self.loop.time())
            self.line = line

    def _leave(self) -> None:
        self._all.leave(self)
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
            elif self.line is not None:
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
            self._all.equip(cycle)
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
            extra = (_CLOSE, _RETRY) if status == HTTPStatus.SERVICE_UNAVAILABLE else (_CLOSE,)
            named, body = self._all.refuse(status, reason, *extra)
            fields = b"".join(name + b": " + value + b"\r\n" for name, value in named)
            self.transport.write(b"HTTP/1.1 %d %s\r\n%s\r\n%s" % (status, status.phrase.encode(), fields, body))
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
