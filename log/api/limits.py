"""How much of a node a kind of request may take: places in lanes, bytes of bodies, time for a body to come.

Every route runs in a lane, and a lane has so many places. Who finds none is told to come again (503): a queue
would only make everyone late. Since lanes do not share places, a flood of readers leaves the writers theirs,
and neither keeps out the guards and witnesses on whom the node's own heads depend.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NoReturn

from log.api.exchange import Exchange
from log.errors import Malformed, TooLarge, Unavailable, UnknownCoding
from log.fair.shares import Shares

_LENGTH_DIGITS = 18  # a length of more digits is too large, whatever it is
_CODINGS = {b"content-encoding": (b"", b"identity"), b"transfer-encoding": (b"chunked",)}  # what may stand there

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class Lane(StrEnum):
    """The classes of routes that do not compete for places."""

    READ = "read"  # heads, hash tiles, issuers, roots
    ENTRIES = "entries"  # data tiles and bundles: larger, and compressed at first sight
    PROVE = "prove"
    SUBMIT = "submit"
    EVENTS = "events"  # up to a thousand events each
    GOSSIP = "gossip"  # guards, witnesses, cosignatures
    STATUS = "status"  # pages, health, metrics


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Bounds of the HTTP side; a lane's number is requests in progress at once."""

    max_body_bytes: int = 512 << 10  # of one request
    max_events_bytes: int = 8 << 20  # of one that brings events
    max_held_bytes: int = 64 << 20  # of the request bodies of one lane together
    body_timeout_s: float = 10.0  # from the head of a request to the end of its body
    busy_retry_s: int = 1  # Retry-After when a lane is full
    read: int = 1024
    entries: int = 128
    prove: int = 256
    submit: int = 4096
    events: int = 16
    gossip: int = 64
    status: int = 32

    def places(self, lane: Lane) -> int:
        """Return how many requests may be in a lane."""
        places: int = getattr(self, lane.value)  # the fields are named after the lanes
        return places

    def body(self, lane: Lane) -> tuple[str, int]:
        """Return the limit of a body in a lane, by name and number."""
        name = "max_events_bytes" if lane is Lane.EVENTS else "max_body_bytes"
        return name, getattr(self, name)


class Places:
    """The places of one lane. Only `Front` counts `busy`, and never awaits between looking and counting."""

    __slots__ = ("_lane", "_retry_s", "busy", "limit", "refused")

    def __init__(self, lane: Lane, limits: HttpLimits) -> None:
        self.busy = self.refused = 0  # requests in progress now; those that found no place
        self.limit = limits.places(lane)
        self._lane = lane
        self._retry_s = limits.busy_retry_s

    def refuse(self) -> NoReturn:
        """Say that all places are taken."""
        self.refused += 1
        raise Unavailable(f"too many requests of the class {self._lane} at once", self._retry_s, "busy")


class Bodies:
    """Reads request bodies and counts the bytes held: many bodies are bounded like one large one.

    A client holds no more than it leaves free, so that who sends slowly, or much, takes no room from others.
    """

    def __init__(self, limits: HttpLimits, lane: Lane = Lane.SUBMIT) -> None:
        self._limits = limits
        self._name, self._max_bytes = limits.body(lane)
        self._held = Shares(limits.max_held_bytes)

    @property
    def held_bytes(self) -> int:
        """The bytes held for all clients together."""
        return self._held.total

    async def read(
        self,
        headers: Iterable[tuple[bytes, bytes]],
        receive: Receive,
        client: str = "",
        here: Exchange | None = None,
    ) -> bytes:
        """Return the whole body; give it back with `release`. One that is `here` already needs no clock.

        `TooLarge` over the limit, at once where the length is declared; `UnknownCoding` when it is compressed;
        `Malformed` when it ends early or takes too long; `Unavailable` when the bodies held here are too much
        together. On an error nothing is held.
        """
        self._check_declared(headers)
        if here is not None and (whole := here.whole_body()) is not None:
            self._hold(len(whole), len(whole), client)
            return whole
        chunks: list[bytes] = []
        try:
            async with asyncio.timeout(self._limits.body_timeout_s):
                await self._collect(chunks, receive, client)
        except BaseException as e:
            self.release(sum(map(len, chunks)), client)
            if isinstance(e, TimeoutError):
                raise Malformed(f"the body did not arrive within {self._limits.body_timeout_s:g} s") from e
            raise
        return b"".join(chunks)

    def release(self, size: int, client: str = "") -> None:
        """Forget the `size` bytes of a client's body that nobody holds any more."""
        self._held.leave(client, size)

    def _check_declared(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Refuse before the first byte what says that it will be too much. Only digits count as a length."""
        for name, value in headers:
            if name == b"content-length" and value.isdigit():
                if len(value) > _LENGTH_DIGITS or int(value) > self._max_bytes:
                    raise self._too_large()
            elif name in _CODINGS and value.lower() not in _CODINGS[name]:
                raise UnknownCoding(f"{name.decode('ascii')}: a body is taken as it is, without a coding")

    async def _collect(self, chunks: list[bytes], receive: Receive, client: str) -> None:
        size = 0
        more = True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                raise Malformed("the connection closed before the end of the body")
            chunk = message.get("body", b"")
            more = message.get("more_body", False)
            size += len(chunk)
            self._hold(size, len(chunk), client)
            chunks.append(chunk)

    def _hold(self, size: int, more: int, client: str) -> None:
        """Count `more` bytes of a body that has `size` so far, or refuse them."""
        if size > self._max_bytes:
            raise self._too_large()
        if not self._held.enter(client, more):
            raise Unavailable("too many request bodies at once", self._limits.busy_retry_s, "busy")

    def _too_large(self) -> TooLarge:
        return TooLarge(f"the body is over {self._name} = {self._max_bytes}")
