"""How many requests are answered at a time: those that bring a body, and all others beside them.

A body may come slowly, up to `request_s`; so whoever sends many of them holds up those who send one, and no reader.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi import FastAPI

from monitor.limits import Limits
from monitor.web.app import answer

_Message = MutableMapping[str, Any]
_BODYLESS = frozenset({"GET", "HEAD", "OPTIONS"})


class Bounded:
    """The application, with so many requests at a time; the others are told to come again (503)."""

    def __init__(self, app: FastAPI, limits: Limits) -> None:
        self._app = app
        self._free = {True: limits.clients, False: limits.bodies}

    async def __call__(
        self,
        scope: _Message,
        receive: Callable[[], Awaitable[_Message]],
        send: Callable[[_Message], Awaitable[None]],
    ) -> None:
        """Answer one request."""
        kind = scope["method"] in _BODYLESS
        if not self._free[kind]:
            busy = answer(503, "as many requests as there may be are being answered", {"Retry-After": "1"})
            await busy(scope, receive, send)
            return
        self._free[kind] -= 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._free[kind] += 1
