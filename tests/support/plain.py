"""HTTP clients of tests, which speak to 127.0.0.1 and never over TLS.

A client as `httpx` makes it reads every authority of the web first, which takes 40 ms of a core: longer than most
tests that use one.
"""

import ssl
from typing import Any

import httpx

PATIENCE_S = 90.0  # a busy machine may need longer than the 5 s that httpx waits by itself


def client(**options: Any) -> httpx.AsyncClient:
    """Return a client that knows no authority and has patience; `options` are those of `httpx.AsyncClient`."""
    return httpx.AsyncClient(**{"verify": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), "timeout": PATIENCE_S, **options})
