"""How many requests are answered at a time: those that bring a body, and all others beside them.

A body may come slowly, up to `request_s`; so who sends many of them holds up no reader, and by those of one address,
`address_bodies` at most, nobody else who sends one.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi import FastAPI

from log.serving.clients import Clients
from monitor.limits import Limits
from monitor.web.app import answer

_Message = MutableMapping[str, Any]
_CLIENTS = Clients(behind_proxy=False)
_BODYLESS = frozenset({"GET", "HEAD", "OPTIONS"})


class Bounded:
    """The application, with so many requests at a time; the others are told to come again (503)."""

    def __init__(self, app: FastAPI, limits: Limits) -> None:
        self._app = app
        self._free = {True: limits.clients, False: limits.bodies}
        self._each = limits.address_bodies
        self._bodies = Counter[str | None]()  # that are being answered, by client

    async def __call__(
        self,
        scope: _Message,
        receive: Callable[[], Awaitable[_Message]],
        send: Callable[[_Message], Awaitable[None]],
    ) -> None:
        """Answer one request."""
        kind = scope["method"] in _BODYLESS
        client = None if kind else _CLIENTS.of(scope)
        if not self._free[kind] or (not kind and self._bodies[client] >= self._each):
            busy = answer(503, "as many requests as there may be are being answered", {"Retry-After": "1"})
            await busy(scope, receive, send)
            return
        self._free[kind] -= 1
        self._bodies[client] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._free[kind] += 1
            self._bodies[client] -= 1
            if not self._bodies[client]:
                del self._bodies[client]
