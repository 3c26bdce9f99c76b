"""The server of a monitor: in the monitor's own loop, on a socket that was bound before, ended with it.

Connections that give or take nothing end by the limits of `log.serving`, as a node's do, and one address has only its
own share of them: none of it keeps others from an answer.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from http import HTTPStatus

from fastapi import FastAPI

from log.errors import SettingsError
from log.serving.connections import ConnectionLimits, Connections, Refusal
from log.serving.server import bounded_by_files, make
from log.sockets import Tls, listen, stays_here, url_of
from monitor.limits import Limits
from monitor.web.app import answer
from monitor.web.bounds import Bounded

END_S = 5  # what is being answered when the monitor ends may take so long


def bind(address: str, tls: Tls | None) -> socket.socket:
    """Bind `host:port`. `SettingsError` when that cannot be, or when other machines would reach it without TLS."""
    listener = listen(address)
    if tls is None and not stays_here(listener):
        listener.close()
        raise SettingsError(f"serve: {address} is reached from other machines: certificate and key are needed")
    return listener


def connection_limits(limits: Limits) -> ConnectionLimits:
    """Return what the limits of a monitor allow its connections."""
    return ConnectionLimits(
        max_connections=limits.client_connections,
        max_handshakes=limits.handshakes,
        head_timeout_s=limits.head_s,
        idle_timeout_s=limits.idle_s,
        body_timeout_s=limits.request_s,
        send_timeout_s=limits.take_s,
        max_unsent_bytes=limits.unsent_bytes,
        max_per_client=limits.address_connections,
    )


def refusal(status: HTTPStatus, reason: str, *extra: tuple[bytes, bytes]) -> Refusal:
    """Return what a connection answers instead of the application."""
    found = answer(status, reason)
    return [*found.raw_headers, *extra], bytes(found.body)


@contextlib.asynccontextmanager
async def served(app: FastAPI, listener: socket.socket, tls: Tls | None, limits: Limits) -> AsyncIterator[str]:
    """Serve while the context lasts; yield the URL. `SettingsError` when the files of `tls` do not go together."""
    connections = Connections(bounded_by_files(connection_limits(limits)), refusal)
    server = make(
        Bounded(app, limits), connections, tls, "serve: certificate, key", loop="none", stop_timeout_s=END_S, date=True
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    sweeping = asyncio.create_task(connections.sweep())
    try:
        yield url_of(listener, tls)
    finally:
        server.should_exit = True
        await serving
        sweeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sweeping
