"""The server of a monitor: uvicorn in the monitor's own loop, on a socket that was bound before, ended with it."""

import asyncio
import contextlib
import ipaddress
import math
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from log.errors import SettingsError
from monitor.limits import Limits

END_S = 5  # what is being answered when the monitor ends may take so long


@dataclass(frozen=True, slots=True)
class Tls:
    """Files in PEM: the server's certificate with its chain, and its private key."""

    certificate: Path
    key: Path


def bind(address: str, tls: Tls | None) -> socket.socket:
    """Bind `host:port` (port 0: any free one).

    `SettingsError` when it is taken or no address, or when other machines would reach it without TLS.
    """
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host or "127.0.0.1", int(port)))
    except (OSError, ValueError, OverflowError) as error:
        listener.close()
        raise SettingsError(f"serve: cannot bind {address}: {error}") from error
    if tls is None and not ipaddress.ip_address(listener.getsockname()[0]).is_loopback:
        listener.close()
        raise SettingsError(f"serve: {address} is reached from other machines: certificate and key are needed")
    return listener


def url_of(listener: socket.socket, tls: Tls | None) -> str:
    """Return the URL of a bound socket."""
    host, port = listener.getsockname()[:2]
    return f"{'http' if tls is None else 'https'}://{f'[{host}]' if ':' in host else host}:{port}"


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
