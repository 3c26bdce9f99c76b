"""/healthz says 503 for each of its reasons, and 200 again after (contract.md, "Clock, heartbeat, health").

Signing stopped by a halt: `test_restored`; by the clock: `test_clock`; a disk that fills: `test_stores`.
"""

import itertools
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from log import main
from log.api.app import Options, create_app
from log.sequencer.clock import SystemClock
from log.settings import NodeSettings
from tests.support.node_process import MODULE, set_clock
from tests.support.nodes import World, client, eventually, unguard, world

DOWN = httpx.codes.SERVICE_UNAVAILABLE


async def test_without_a_guard_signing_is_stopped_and_the_head_grows_old(tmp_path: Path) -> None:
    async with world(tmp_path / "d", {"heartbeat_s": 1}) as w, client() as http:
        await w.start()
        body = await w.says(http, DOWN, "no guard has spoken since the last start")
        assert not any(log["guarded"] for log in body["logs"])
        for log in body["logs"]:  # each grows old at a moment of its own
            body = await w.says(http, DOWN, f"{log['origin']}: the head is")
        assert all(log["head_age_ms"] > 3_000 for log in body["logs"])
        assert await w.promises.submit(http, w.site().url) == DOWN
        await w.start_monitor()
        await w.healthy(http)
        await w.submits(http, 3)
        body = await w.says(http, httpx.codes.OK, "")
        assert body["ok"]
        assert body["problems"] == []
        await w.reckon(http)


async def test_a_head_older_than_three_heartbeats_is_unhealthy_until_the_next_beat(tmp_path: Path) -> None:
    async with world(tmp_path / "d", {"heartbeat_s": 5}) as w, client() as http:
        unguard(w.site())
        set_clock(w.site().folder, wall_ms=0)
        await w.start(module=MODULE)
        await w.submits(http, 3)
        await w.healthy(http)
        leaps_ms = itertools.count(60_000, 60_000)

        async def grown_old() -> dict[str, Any]:
            """Let the clock leap, again if beats have come to all before we could look; return what is said then."""
            set_clock(w.site().folder, wall_ms=next(leaps_ms))
            status, body = await w.health(http)
            return body if status == DOWN else {}

        body = await eventually("a head is old after a leap", grown_old)
        old = [log for log in body["logs"] if log["head_age_ms"] > 15_000]  # a beat may have come to one of the two
        assert all(log["head_age_ms"] >= 60_000 for log in old)
        assert body["problems"] == [f"{log['origin']}: the head is {log['head_age_ms']} ms old" for log in old]
        await w.healthy(http)
        await w.reckon(http)


async def test_a_low_disk_is_unhealthy_and_read_only(tmp_path: Path) -> None:
    async with world(tmp_path / "d", {"heartbeat_s": 1}) as w, client() as http:
        unguard(w.site())
        settings = w.site().settings.read_text(encoding="utf-8")
        node = await w.start()
        await w.submits(http, 3)
        await node.stop()
        w.site().settings.write_text(settings + f"disk_watermark_bytes = {2**62}\n", encoding="utf-8")
        node = await w.start()
        body = await w.says(http, DOWN, "read-only")
        assert 0 < body["disk_free_bytes"] < 2**62
        assert await w.promises.submit(http, w.site().url) == DOWN
        assert "read-only" in w.promises.refused[-1][2]
        await node.stop()
        w.site().settings.write_text(settings, encoding="utf-8")
        await w.start()
        await w.healthy(http)
        await w.submits(http, 3)
        await w.reckon(http)


@asynccontextmanager
async def in_this_process(w: World) -> AsyncIterator[httpx.AsyncClient]:
    """A node on real stores without a process of its own, and a client that calls it."""
    clock = SystemClock()
    node = await main.build(NodeSettings.load(w.site().settings), clock, w.site().url)
    await node.start()
    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(create_app(node, Options(), clock))) as http:
            yield http
    finally:
        await node.stop()


async def test_a_failed_store_is_unhealthy_as_long_as_the_process_lives(tmp_path: Path) -> None:
    """A process ends within moments (`test_stores`); a node in this process waits for us."""
    async with world(tmp_path / "d", limits={"head_busy_ms": 100}) as w:
        unguard(w.site())
        async with in_this_process(w) as http:
            await w.submits(http, 3)
            await w.healthy(http)
            other = sqlite3.connect(w.heads_file(), isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            assert await w.promises.submit(http, w.site().url) == DOWN
            await w.says(http, DOWN, "head store could not be written")
            other.execute("ROLLBACK")
            other.close()
            assert await w.promises.submit(http, w.site().url) == DOWN  # never again in this process
            await w.says(http, DOWN, "head store could not be written")
        async with in_this_process(w) as http:
            await w.healthy(http)
            await w.submits(http, 3)
            await w.reckon(http)
