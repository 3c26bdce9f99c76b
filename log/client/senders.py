"""Requests by blocking clients in threads, for who sends very many.

One asynchronous client with 64 connections looks at all of them for each request, several milliseconds of a core;
a blocking client with one connection takes less than one. The event loop keeps what is decided, the threads wait.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import httpx

T = TypeVar("T")


class Senders:
    """As many clients as there are requests in flight, at most `parallel`; each has one connection and keeps it."""

    def __init__(self, parallel: int, transport: httpx.BaseTransport | None = None) -> None:
        """`transport` takes the place of the network, for tests."""
        self._threads = ThreadPoolExecutor(parallel, "sender")
        self._context = httpx.create_ssl_context()  # made once: it reads all roots
        self._transport = transport
        self._idle: list[httpx.Client] = []  # the one used last goes first: its connection is warm

    async def run(self, exchange: Callable[[httpx.Client], T]) -> T:
        """Call `exchange` in a thread with a client of its own, and return what it returns. It does not redirect."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._with_client, exchange)

    def close(self) -> None:
        """Close what is idle, and let the rest end by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        while self._idle:
            self._idle.pop().close()

    def _with_client(self, exchange: Callable[[httpx.Client], T]) -> T:
        try:
            client = self._idle.pop()
        except IndexError:
            client = httpx.Client(verify=self._context, transport=self._transport)
        try:
            return exchange(client)
        finally:
            self._idle.append(client)
