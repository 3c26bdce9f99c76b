"""Connections: how many there are, how long each may take for what, and how much of its bytes is held.

uvicorn and httptools wait for a head without end, of any size, and for a client to take its answer. Here each
connection that owes something stands in a line, and lines are short:

    head     the head of its first request, or of one that has begun       head_timeout_s, then 408
    body     the rest of a request                                         body_timeout_s, once it is answered
    closing  to take the last bytes and go                                 send_timeout_s
    unsent   to take an answer that does not fit the socket                send_timeout_s

One that owes nothing is idle (`idle_timeout_s`, a timer of uvicorn's) or is being answered, and that is for the routes
to bound. When there are `max_connections`, one gives way to the new one, whoever stands longest in line, in
the order closing, head, idle, body, unsent: who sends what they came for is not kept out by those who only hold a
place. When all are being answered the new one is told to come again (503). With `max_per_client` the same holds among
the connections of one client, who so is in nobody's way but his own.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

if TYPE_CHECKING:
    from log.serving.connection import Connection

SWEEP_S = 0.5  # how often lines are looked through: no time is kept more exactly
LOOKS = 64  # connections that are looked at, at most, to find an idle one

Refusal = tuple[Iterable[tuple[bytes, bytes]], bytes]  # fields, Content-Length among them, and body


class Refuse(Protocol):
    """Writes what is answered instead of the application."""

    def __call__(self, status: HTTPStatus, reason: str, *extra: tuple[bytes, bytes]) -> Refusal: ...


def _nothing(cycle: RequestResponseCycle) -> None:
    """Leave a request as it is."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Bounds of all connections together, or of each."""

    max_connections: int = 4096
    max_head_bytes: int = 16 << 10  # target and fields of a request, and of those that wait behind it; FIELD_BYTES each
    max_handshakes: int = 512  # of TLS, besides the connections: those not done yet; the oldest gives way
    max_pipelined: int = 8  # requests sent before the answer to an earlier one
    head_timeout_s: float = 10.0
    idle_timeout_s: float = 15.0
    body_timeout_s: float = 10.0
    send_timeout_s: float = 60.0
    max_unsent_bytes: int = 256 << 20  # of all answers together that wait for their clients
    max_per_client: int | None = None  # None: as many as all together; behind a proxy all come from one address


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

    def __init__(
        self, limits: ConnectionLimits, refuse: Refuse, equip: Callable[[RequestResponseCycle], None] = _nothing
    ) -> None:
        """`equip` sees each request once its head is complete."""
        self.limits = limits
        self.refuse = refuse
        self.equip = equip
        self.open: dict[Connection, None] = {}  # looked at for idle ones from the front, see `_idle`
        self._of: dict[str, dict[Connection, None]] = {}  # by client, where their number is bounded
        self.head = Line(limits.head_timeout_s)
        self.body = Line(limits.body_timeout_s)
        self.closing = Line(limits.send_timeout_s)
        self.unsent = Line(limits.send_timeout_s)
        self.unsent_bytes = 0

    def enter(self, connection: "Connection") -> bool:
        """Count one more, and let others give way for it; False when all are being answered."""
        room = self._make_room_of(connection.of) and self._make_room()
        self.open[connection] = None
        if self.limits.max_per_client is not None:
            self._of.setdefault(connection.of, {})[connection] = None
        return room

    def leave(self, connection: "Connection") -> None:
        """Count one less. May be called twice."""
        self.open.pop(connection, None)
        held = self._of.get(connection.of)
        if held is not None:
            held.pop(connection, None)
            if not held:
                del self._of[connection.of]

    def _make_room_of(self, client: str) -> bool:
        """Let a connection of a client give way when he has too many; False when all his are being answered."""
        held = self._of.get(client, {})
        if self.limits.max_per_client is None or len(held) < self.limits.max_per_client:
            return True
        order = [self.closing, self.head, None, self.body, self.unsent]
        waiting = [each for each in held if each.idle or each.line is not None or each.unsent]
        if not waiting:
            return False
        min(waiting, key=lambda each: order.index(self.unsent if each.unsent else each.line)).abort()
        return True

    def _make_room(self) -> bool:
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
