"""Ten thousand connections that say nothing: held within the limit, given up beyond it, and the node answers."""

import asyncio
import resource
import select
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from log.errors import SettingsError
from log.serving.connections import ConnectionLimits
from log.serving.server import OTHER_FILES, bounded_by_files
from tests.hostile.node import Target, rss_anon_bytes, sockets, target
from tests.support.nodes import eventually

CROWD = 10_000
OURS = 2_000  # files that this process keeps open for other things


@contextmanager
def many_files() -> Iterator[int]:
    """Let this process open as many files as it may; yield how many connections that leaves, at most CROWD."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = CROWD + OURS
    allowed = enough if hard == resource.RLIM_INFINITY else min(enough, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, allowed), hard))
    try:
        yield min(CROWD, allowed - OURS)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def connect(url: str, count: int) -> list[socket.socket]:
    parts = urlsplit(url)
    return [socket.create_connection((parts.hostname or "", parts.port or 0)) for _ in range(count)]


@asynccontextmanager
async def crowd(node: Target, count: int) -> AsyncIterator[list[socket.socket]]:
    """Open so many connections that say nothing."""
    opened = await asyncio.to_thread(connect, node.url, count)
    try:
        yield opened
    finally:
        for each in opened:
            each.close()


def closed(opened: list[socket.socket]) -> int:
    """Return how many of these connections the other end has given up."""
    poll = select.poll()
    for each in opened:
        poll.register(each, select.POLLIN)
    return len(poll.poll(0))


async def test_ten_thousand_idle_connections_are_held_and_others_served(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with many_files() as count:
        if count < CROWD:
            with capsys.disabled():
                print(f"\nonly {count} connections: this process may open no more files")
        limits = {"max_connections": count + 100, "head_timeout_s": 600}
        async with target(tmp_path / "d", limits) as node, crowd(node, count) as opened:
            for _ in range(3):
                await node.serves()
            assert sockets(node.pid) >= count
            assert closed(opened) == 0
            assert rss_anon_bytes(node.pid) < 300 << 20
            await node.unharmed()


async def test_beyond_the_limit_the_oldest_give_way(tmp_path: Path) -> None:
    with many_files() as count:
        limits = {"max_connections": 500, "head_timeout_s": 600}
        async with target(tmp_path / "d", limits) as node, crowd(node, min(count, 3_000)) as opened:
            await node.serves()

            async def given_up() -> bool:
                return closed(opened) >= len(opened) - 500

            await eventually("all but 500 have given way", given_up)
            assert sockets(node.pid) < 700
            await node.unharmed()


def test_connections_leave_the_stores_their_files(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: asked.append(pair))
    limits = ConnectionLimits(max_connections=4096)
    others = OTHER_FILES + limits.max_handshakes
    for soft, hard, connections, raised in (
        (1024, 1 << 20, 4096, [(4096 + others, 1 << 20)]),
        (1 << 20, 1 << 20, 4096, []),
        (1024, 4096, 4096 - others, [(4096, 4096)]),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, 4096, []),
    ):
        monkeypatch.setattr(resource, "getrlimit", lambda _, pair=(soft, hard): pair)
        assert bounded_by_files(limits).max_connections == connections
        assert asked == raised
        asked.clear()
    monkeypatch.setattr(resource, "getrlimit", lambda _: (others, others))
    with pytest.raises(SettingsError, match="files"):
        bounded_by_files(limits)
