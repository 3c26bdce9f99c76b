"""Clocks that jump under a running node (design.md section 4, promises 3 and 4; contract.md, "Clock, heartbeat").

After wall and monotonic clock part, the process may be a restored image: nothing is signed until a guard has spoken
again. A wall clock that falls back by less than a second is bridged; by more, nothing is signed until it is right.
"""

import asyncio
import time
from pathlib import Path

import httpx

from log.formats.sct import SCT
from tests.support.node_process import MODULE, hold_clock, set_clock
from tests.support.nodes import World, client, eventually, stopped, unguard, world

BEHIND_MS = 5_000  # by so much the clock is slow before it jumps: more than a parting
UNGUARDED = "no guard has spoken"
CLOCK = "behind the last signed head"


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def taken(w: World, http: httpx.AsyncClient) -> int:
    """Submit one certificate, which must be taken; return the time in its SCT."""
    await w.submits(http, 1)
    *_, (_, answer) = w.promises.scts.values()
    return SCT.from_json(answer).timestamp_ms


async def refused(w: World, http: httpx.AsyncClient, reason: str) -> None:
    """Submit until the reason is this one: a guard speaks for one log after the other. Nothing may be taken."""

    async def for_that() -> bool:
        assert await w.promises.submit(http, w.site().url) == httpx.codes.SERVICE_UNAVAILABLE
        return reason in w.promises.refused[-1][2]

    await eventually(f"a submission is refused: {reason}", for_that)


async def test_a_node_held_still_over_a_clock_jump_signs_nothing_until_the_guard_speaks_again(tmp_path: Path) -> None:
    async with world(tmp_path / "d", {"heartbeat_s": 1}) as w, client() as http:
        set_clock(w.site().folder, wall_ms=-BEHIND_MS)
        node, monitor = await w.start(module=MODULE), await w.start_monitor()
        await w.healthy(http)

        async def past_the_empty_heads() -> bool:
            # `init` signed those by the machine's clock: until the node's is past them, its heads run ahead of it.
            heads = [w.stored_head(family=family) for family in ("x509", "governance")]
            return max(head.timestamp_ms for head in heads) <= now_ms() - BEHIND_MS

        await eventually("the node's clock is past its last heads", past_the_empty_heads)
        stop = asyncio.Event()
        load = asyncio.create_task(w.promises.load(http, w.site().url, stop, workers=4))

        async def some() -> bool:
            return len(w.promises.scts) >= 20

        await eventually("the node answers under load", some)
        with stopped(monitor):
            with stopped(node):
                held_ms = now_ms() - BEHIND_MS
                set_clock(w.site().folder, wall_ms=0)
                stop.set()
            await load
            body = await w.says(http, httpx.codes.SERVICE_UNAVAILABLE, UNGUARDED)
            assert body["clock_partings"] == 1
            await refused(w, http, UNGUARDED)

            async def beats_refused() -> bool:
                _, report = await w.health(http)
                return all(UNGUARDED in log["last_error"] for log in report["logs"])

            await eventually("the heartbeats of all logs were refused", beats_refused)
            for family in ("x509", "governance"):
                assert w.stored_head(family=family).timestamp_ms <= held_ms  # begun before the jump, if at all
            w.heads.saw_store(w.heads_file())
        await w.healthy(http)
        assert await taken(w, http) >= held_ms + BEHIND_MS
        await w.reckon(http)


async def test_a_clock_set_far_back_or_ahead_stops_a_guarded_node_until_it_is_right(tmp_path: Path) -> None:
    async with world(tmp_path / "d", {"heartbeat_s": 1}) as w, client() as http:
        set_clock(w.site().folder, wall_ms=0)
        await w.start(module=MODULE)
        await w.start_monitor()
        await w.healthy(http)
        await w.submits(http, 3)

        set_clock(w.site().folder, wall_ms=-30_000)
        await w.says(http, httpx.codes.SERVICE_UNAVAILABLE, CLOCK)  # the guard has spoken; the heads lie ahead
        await refused(w, http, CLOCK)
        w.heads.saw_store(w.heads_file())
        set_clock(w.site().folder, wall_ms=0)
        await w.healthy(http)
        await w.submits(http, 3)

        set_clock(w.site().folder, wall_ms=600_000)
        await w.says(http, httpx.codes.SERVICE_UNAVAILABLE, UNGUARDED)
        await refused(w, http, UNGUARDED)
        assert w.stored_head().timestamp_ms < now_ms()
        set_clock(w.site().folder, wall_ms=0)
        await w.healthy(http)
        assert await taken(w, http) <= now_ms()
        await w.reckon(http)


async def test_a_clock_set_back_by_less_than_a_second_is_bridged(tmp_path: Path) -> None:
    async with world(tmp_path / "d") as w, client() as http:
        unguard(w.site())
        set_clock(w.site().folder, wall_ms=0)
        await w.start(module=MODULE)
        last_ms = await taken(w, http)
        head_ms = w.stored_head().timestamp_ms
        assert last_ms <= head_ms
        hold_clock(w.site().folder, head_ms - 800)  # it stands still: so slow is nobody that it gets past the head
        for _ in range(5):
            sct_ms = await taken(w, http)
            head = w.stored_head()
            assert last_ms < sct_ms <= head.timestamp_ms == head_ms + 1
            last_ms, head_ms = sct_ms, head.timestamp_ms
        set_clock(w.site().folder, wall_ms=-400)  # and by less than a second it goes on
        assert last_ms < await taken(w, http) <= w.stored_head().timestamp_ms
        await w.healthy(http)
        await w.reckon(http)


async def test_a_clock_set_back_by_more_stops_signing_until_it_is_past_the_last_head(tmp_path: Path) -> None:
    async with world(tmp_path / "d", {"heartbeat_s": 1}) as w, client() as http:
        unguard(w.site())
        set_clock(w.site().folder, wall_ms=0)
        await w.start(module=MODULE)
        await w.submits(http, 3)
        known = next(iter(w.promises.scts.items()))

        last = w.stored_head()
        behind_ms = last.timestamp_ms - 2_500
        hold_clock(w.site().folder, behind_ms)
        await refused(w, http, CLOCK)
        await w.says(http, httpx.codes.SERVICE_UNAVAILABLE, CLOCK)
        number, (der, _) = known
        assert await w.promises.submit(http, w.site().url, (number, der)) == httpx.codes.OK  # promised before
        assert (await w.says(http, httpx.codes.SERVICE_UNAVAILABLE, CLOCK))["logs"][0]["size"] == last.size
        back_ms = now_ms() - behind_ms
        set_clock(w.site().folder, wall_ms=-back_ms)
        await w.healthy(http)  # by itself, as time goes on
        assert now_ms() - back_ms >= last.timestamp_ms
        assert last.timestamp_ms < await taken(w, http) <= now_ms() - back_ms

        set_clock(w.site().folder, wall_ms=-3_600_000)
        await refused(w, http, CLOCK)
        await w.says(http, httpx.codes.SERVICE_UNAVAILABLE, CLOCK)
        set_clock(w.site().folder, wall_ms=0)  # or because it was put right
        await w.healthy(http)
        await w.submits(http, 3)
        await w.reckon(http)
