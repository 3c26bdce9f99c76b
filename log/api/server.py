"""The HTTP server of a node: uvicorn on a listening socket, and an orderly end.

Signals are ours, not uvicorn's: on SIGTERM or SIGINT the server takes no new connection, what was accepted is
answered within `stop_timeout_s`, and only then do the stores close.
"""

import asyncio
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus

from log.api import exchange
from log.api.edge import Asgi
from log.api.errors import text_reply
from log.serving import server
from log.serving.connections import ConnectionLimits, Connections, Refusal
from log.sockets import Tls


def refusal(status: HTTPStatus, reason: str, *extra: tuple[bytes, bytes]) -> Refusal:
    """Return what a connection answers instead of the application."""
    reply = text_reply(status, reason, *extra)
    return reply.head(), reply.body


def connections(limits: ConnectionLimits) -> Connections:
    """Return the connections of a node: what is refused looks like all errors, and requests have an `Exchange`."""
    return Connections(limits, refusal, exchange.equip)


async def serve(
    app: Asgi,
    listener: socket.socket,
    stop_timeout_s: int,
    failed: asyncio.Task[None],
    announce: Callable[[], None],
    tls: Tls | None = None,
    limits: ConnectionLimits = ConnectionLimits(),  # noqa: B008 - a frozen value
) -> None:
    """Serve until a signal comes or `failed` ends; return when the last answer is out or the time is up.

    `SettingsError` when the files of `tls` do not go together. What broke the server is raised when it has ended.
    """
    bounded = connections(server.bounded_by_files(limits))
    made = server.make(
        app,
        bounded,
        tls,
        "tls_certificate, tls_key",
        loop="uvloop",
        stop_timeout_s=stop_timeout_s,
        date=False,
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    serving = asyncio.create_task(made.serve(sockets=[listener]))
    await asyncio.wait({serving, asyncio.create_task(made.ready.wait())}, return_when=asyncio.FIRST_COMPLETED)
    announce()
    stopping, sweeping = asyncio.create_task(stop.wait()), asyncio.create_task(bounded.sweep())
    await asyncio.wait({serving, failed, stopping, sweeping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    made.should_exit = True
    await serving
    sweeping.cancel()
    with suppress(asyncio.CancelledError):
        await sweeping
