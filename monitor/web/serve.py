"""The server of a monitor: uvicorn in the monitor's own loop, on a socket that was bound before, ended with it."""

import asyncio
import contextlib
import math
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from fastapi import FastAPI

from log.errors import SettingsError
from log.sockets import Tls, listen, stays_here, url_of
from monitor.limits import Limits

END_S = 5  # what is being answered when the monitor ends may take so long


def bind(address: str, tls: Tls | None) -> socket.socket:
    """Bind `host:port`. `SettingsError` when that cannot be, or when other machines would reach it without TLS."""
    listener = listen(address)
    if tls is None and not stays_here(listener):
        listener.close()
        raise SettingsError(f"serve: {address} is reached from other machines: certificate and key are needed")
    return listener


class _Server(uvicorn.Server):
    """Uvicorn without its signal handlers: the monitor has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def served(app: FastAPI, listener: socket.socket, tls: Tls | None, limits: Limits) -> AsyncIterator[str]:
    """Serve while the context lasts; yield the URL. `SettingsError` when the files of `tls` do not go together."""
    config = uvicorn.Config(
        app,
        loop="none",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=limits.clients,
        timeout_keep_alive=math.ceil(limits.request_s),
        timeout_graceful_shutdown=END_S,
        ssl_certfile=None if tls is None else tls.certificate,
        ssl_keyfile=None if tls is None else tls.key,
    )
    try:
        config.load()
    except OSError as error:  # ssl.SSLError is one
        raise SettingsError(f"serve: certificate, key: {error}") from error
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield url_of(listener, tls)
    finally:
        server.should_exit = True
        await serving
