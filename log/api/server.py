"""The HTTP server of a node: a listening socket, uvicorn on it, and an orderly end.

Signals are ours, not uvicorn's: on SIGTERM or SIGINT the server takes no new connection, what was accepted is
answered within `stop_timeout_s`, and only then do the stores close.
"""

import asyncio
import contextlib
import logging
import math
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace

import uvicorn

from log.api.connections import Connection, ConnectionLimits, Connections
from log.api.edge import Asgi
from log.errors import SettingsError
from log.sockets import BACKLOG, Tls

logger = logging.getLogger(__name__)

OTHER_FILES = 1024  # open files that are no connections: stores, checkers, TLS handshakes


class _Server(uvicorn.Server):
    """Uvicorn without its signal handlers, with our connections, and with a moment at which it has started."""

    def __init__(self, config: uvicorn.Config, connections: Connections) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()
        self._connections = connections

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await self.lifespan.startup()
        loop = asyncio.get_running_loop()
        limits = self._connections.limits
        patience_s = None if self.config.ssl is None else limits.head_timeout_s  # for a handshake, and a farewell

        def connection() -> Connection:
            return Connection(self.config, self.server_state, self.lifespan.state, loop, self._connections)

        self.servers = [
            await loop.create_server(
                connection,
                sock=listener,
                backlog=BACKLOG,
                ssl=self.config.ssl,
                ssl_handshake_timeout=patience_s,
                ssl_shutdown_timeout=patience_s,
            )
            for listener in sockets or ()
        ]
        self.started = True
        self.ready.set()


def bounded_by_files(limits: ConnectionLimits) -> ConnectionLimits:
    """Let this process open as many files as the connections need; fewer connections where that is not allowed.

    A flood of connections must never take the files that the stores need. `SettingsError` when none are left.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.max_connections + OTHER_FILES
    if hard != resource.RLIM_INFINITY and hard < wanted:
        if hard <= OTHER_FILES:
            raise SettingsError(f"this process may open {hard} files; a node needs more than {OTHER_FILES}")
        limits = replace(limits, max_connections=hard - OTHER_FILES)
        logger.warning("max_connections is %d: this process may open %d files", limits.max_connections, hard)
        wanted = hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return limits


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

    `SettingsError` when the files of `tls` do not go together.
    """
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=Connection,
        ws="none",  # nothing here speaks WebSocket, whatever else is installed
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=math.ceil(limits.idle_timeout_s),
        timeout_graceful_shutdown=stop_timeout_s,
        ssl_certfile=None if tls is None else tls.certificate,
        ssl_keyfile=None if tls is None else tls.key,
    )
    try:
        config.load()
    except OSError as error:  # ssl.SSLError is one
        raise SettingsError(f"tls_certificate, tls_key: {error}") from error
    connections = Connections(bounded_by_files(limits))
    server = _Server(config, connections)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    await asyncio.wait({serving, asyncio.create_task(server.ready.wait())}, return_when=asyncio.FIRST_COMPLETED)
    announce()
    stopping, sweeping = asyncio.create_task(stop.wait()), asyncio.create_task(connections.sweep())
    await asyncio.wait({serving, failed, stopping, sweeping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    server.should_exit = True
    await serving
    sweeping.cancel()
