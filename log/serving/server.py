"""uvicorn on bounded connections. Signals, and what comes before and after, are for whoever serves."""

import asyncio
import contextlib
import logging
import math
import resource
import socket
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from dataclasses import replace
from typing import Any, Literal, cast

import uvicorn

from log.errors import SettingsError
from log.serving.connection import Connection
from log.serving.connections import ConnectionLimits, Connections
from log.serving.handshakes import Handshakes
from log.sockets import BACKLOG, Tls

logger = logging.getLogger(__name__)

OTHER_FILES = 512  # open files that are neither connections nor TLS handshakes: stores, checkers

_Message = MutableMapping[str, Any]
Application = Callable[[_Message, Callable[[], Awaitable[_Message]], Callable[[_Message], Awaitable[None]]], Any]


class Server(uvicorn.Server):
    """Uvicorn without its signal handlers, with our connections, and with a moment at which it has started."""

    def __init__(self, config: uvicorn.Config, connections: Connections) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()
        self.connections = connections

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await self.lifespan.startup()
        loop = asyncio.get_running_loop()
        limits = self.connections.limits

        def connection() -> Connection:
            return Connection(self.config, self.server_state, self.lifespan.state, loop, self.connections)

        tls = self.config.ssl
        self.servers = [
            await loop.create_server(connection, sock=listener, backlog=BACKLOG)
            if tls is None
            else cast(
                asyncio.Server, Handshakes(listener, tls, limits.head_timeout_s, limits.max_handshakes, connection)
            )
            for listener in sockets or ()
        ]
        self.started = True
        self.ready.set()


def make(
    app: Application,
    connections: Connections,
    tls: Tls | None,
    tls_keys: str,
    *,
    loop: Literal["none", "uvloop"],
    stop_timeout_s: int,
    date: bool,
) -> Server:
    """Return a server of an application that has no lifespan.

    `stop_timeout_s` is for what is being answered when it ends; with `date` answers say what time it is.
    `SettingsError`, by the names of the settings in `tls_keys`, when the files of `tls` do not go together.
    """
    config = uvicorn.Config(
        app,
        loop=loop,
        http=Connection,
        ws="none",  # nothing here speaks WebSocket, whatever else is installed
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=date,
        proxy_headers=False,
        timeout_keep_alive=math.ceil(connections.limits.idle_timeout_s),
        timeout_graceful_shutdown=stop_timeout_s,
        ssl_certfile=None if tls is None else tls.certificate,
        ssl_keyfile=None if tls is None else tls.key,
    )
    try:
        config.load()
    except OSError as error:  # ssl.SSLError is one
        raise SettingsError(f"{tls_keys}: {error}") from error
    return Server(config, connections)


def bounded_by_files(limits: ConnectionLimits) -> ConnectionLimits:
    """Let this process open as many files as the connections need; fewer connections where that is not allowed.

    A flood of connections must never take the files that the stores need. `SettingsError` when none are left.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    others = limits.max_handshakes + OTHER_FILES
    wanted = limits.max_connections + others
    if hard != resource.RLIM_INFINITY and hard < wanted:
        if hard <= others:
            raise SettingsError(f"this process may open {hard} files; it needs more than {others}")
        limits = replace(limits, max_connections=hard - others)
        logger.warning("only %d connections are taken: this process may open %d files", limits.max_connections, hard)
        wanted = hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return limits
