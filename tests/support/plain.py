"""HTTP clients of tests, which speak to 127.0.0.1 and never over TLS.

A client as `httpx` makes it reads every authority of the web first, which takes 40 ms of a core: longer than most
tests that use one. And it gives up after five seconds, in which a busy machine may not have had a turn for the server.
"""

import ssl
from typing import Any

import httpx

PATIENCE_S = 90.0  # for a connection, and for each piece of an answer


def client(**options: Any) -> httpx.AsyncClient:
    """Return a client that knows no authority; `options` are those of `httpx.AsyncClient`."""
    options.setdefault("timeout", PATIENCE_S)
    return httpx.AsyncClient(verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), **options)
