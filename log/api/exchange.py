"""A request and its answer on one of our own connections: what ASGI does in several messages, at one go.

Of what a tile or a submission costs, uvicorn's messages are a fifth: three coroutines, two writes, and a search of
every header for what none of ours has. So `equip` puts an `Exchange` under KEY into the scope of each request, once its
head is complete. Whatever is unusual is left to `receive` and `send`, which work on as if nothing had been asked here.
"""

from functools import lru_cache
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HEADER_RE, HEADER_VALUE_RE, STATUS_LINE, RequestResponseCycle

from log.api.reply import Headers, Reply

KEY = "twinlog.exchange"
ONE_WRITE_BYTES = 64 << 10  # larger bodies are not copied behind their head
CACHED_HEADS = 256  # heads of answers as they are sent; there are about a dozen


def equip(cycle: RequestResponseCycle) -> None:
    """Give a request its exchange."""
    cast("dict[str, Any]", cycle.scope)[KEY] = Exchange(cycle)


class Exchange:
    """One request of a connection. Neither method waits."""

    __slots__ = ("_cycle",)

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle

    def whole_body(self) -> bytes | None:
        """Return the body when all of it is here, once; None: ask `receive`."""
        cycle = self._cycle
        if cycle.more_body or cycle.disconnected or cycle.response_complete:
            return None
        body = bytes(cycle.body)
        cycle.body = bytearray()
        cycle.message_event.clear()
        cycle.flow.resume_reading()
        return body

    def answer(self, reply: Reply) -> bool:
        """Send a whole answer, or do nothing and return False: use `send`."""
        cycle = self._cycle
        if (
            reply.status != 200
            or not cycle.keep_alive
            or cycle.response_started
            or cycle.flow.write_paused
            or cycle.default_headers
        ):
            return False
        if cycle.disconnected:
            return True
        body = reply.body
        head = b"%bcontent-length: %d\r\n\r\n" % (_head(reply.headers), len(body))
        cycle.waiting_for_100_continue = False
        cycle.response_started = cycle.response_complete = True
        if cycle.scope["method"] == "HEAD":
            cycle.transport.write(head)
        elif len(body) <= ONE_WRITE_BYTES:
            cycle.transport.write(head + body)
        else:
            cycle.transport.write(head)
            cycle.transport.write(body)
        cycle.message_event.set()
        cycle.on_response()
        return True


@lru_cache(CACHED_HEADS)
def _head(headers: Headers) -> bytes:
    """Return status line and headers; the length comes behind them."""
    for name, value in headers:
        if HEADER_RE.search(name) or HEADER_VALUE_RE.search(value):
            raise ValueError("a header that is none")
    return STATUS_LINE[200] + b"".join(b"%b: %b\r\n" % header for header in headers)
