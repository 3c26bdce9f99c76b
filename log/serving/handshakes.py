"""TLS connections are taken so that handshakes nobody goes on with never use up the files that a process may open.

A loop's own server takes whatever comes, and asks nobody before the handshake is done: each that is not costs a file
for its whole time limit. Here there are `limit` at a time, and the oldest gives way: an honest one is quick.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable

logger = logging.getLogger(__name__)

REST_S = 0.1  # pause after the machine could not give us a connection


class Handshakes:
    """Takes the connections of one listening socket. Looks to uvicorn like a server of the loop's own."""

    def __init__(
        self,
        listener: socket.socket,
        tls: ssl.SSLContext,
        patience_s: float,
        limit: int,
        protocol: Callable[[], asyncio.Protocol],
    ) -> None:
        """`patience_s` is for a handshake, and for a farewell; `limit` handshakes go on at a time. Begins at once."""
        self._listener = listener
        self._tls = tls
        self._patience_s = patience_s
        self._limit = limit
        self._protocol = protocol
        self._going_on: dict[asyncio.Task[None], None] = {}  # the oldest first
        listener.setblocking(False)
        self._accepting = asyncio.create_task(self._accept())

    def close(self) -> None:
        """Take no more. What is greeted now ends."""
        self._accepting.cancel()
        for task in self._going_on:
            task.cancel()

    async def wait_closed(self) -> None:
        """Return when nothing goes on any more."""
        await asyncio.gather(self._accepting, *self._going_on, return_exceptions=True)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(self._listener)
            except OSError as error:
                logger.warning("no connection could be taken: %s", error)
                await asyncio.sleep(REST_S)
                continue
            if len(self._going_on) >= self._limit:
                oldest = next(iter(self._going_on))
                oldest.cancel()
                await asyncio.wait({oldest})
            task = asyncio.create_task(self._greet(accepted))
            self._going_on[task] = None
            task.add_done_callback(self._over)
            await asyncio.sleep(0)  # whoever waits to be accepted does not keep this from beginning

    def _over(self, task: asyncio.Task[None]) -> None:
        self._going_on.pop(task, None)

    async def _greet(self, accepted: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):  # ssl.SSLError and TimeoutError too: it goes, and nothing is owed to it
            await loop.connect_accepted_socket(
                self._protocol,
                accepted,
                ssl=self._tls,
                ssl_handshake_timeout=self._patience_s,
                ssl_shutdown_timeout=self._patience_s,
            )
