"""A bare ASGI application on the node's own server settings: the most that any handler could reach.

python -m tests.bench.bare BYTES     answers every request, its body read, with a body of so many bytes
"""

import asyncio
import socket
import sys
from collections.abc import MutableMapping
from typing import Any

import uvloop

from log import sockets
from log.api import server
from log.api.edge import Asgi, Send
from log.api.limits import Receive


def application(size: int) -> Asgi:
    """Return an application that does nothing but answer."""
    body = bytes(size)
    headers = [(b"content-type", b"application/octet-stream"), (b"content-length", str(size).encode())]

    async def answer(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["method"] == "POST":
            while (await receive()).get("more_body"):
                pass
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return answer


async def serve(listener: socket.socket, size: int) -> None:
    """Serve until SIGTERM."""

    async def never() -> None:
        await asyncio.Event().wait()

    def announce() -> None:
        print("listening on", sockets.url_of(listener, None), flush=True)

    app, failed = application(size), asyncio.create_task(never())
    await server.serve(app, listener, 1, failed, announce)


if __name__ == "__main__":
    uvloop.run(serve(sockets.listen("127.0.0.1:0"), int(sys.argv[1])))
