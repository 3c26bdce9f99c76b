"""A shard comes into being exactly once, wherever its creation is cut off: faults at each write, kills around each."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path

import pytest

from log import main, state
from log.client.audit import audit
from log.errors import LogError, StateRefused, StoreFailed
from log.node import shards
from log.node.shards import CREATED, CREATING, NewShard
from log.sequencer.head import store_name as head_name
from log.storage.memory import Disk, MemoryHeads
from tests.support.faults import Faults
from tests.support.forked import Program
from tests.support.nodes import rows
from tests.support.shard_child import POINTS, YEAR
from tests.support.sharded import ORIGIN, Place, ms

SHARD = f"{ORIGIN}-{YEAR}"
NO_FAULT = Faults(0, written=False)


class Site:
    """A shard's stores as flags, and its head store in memory."""

    def __init__(self) -> None:
        self.disk = Disk()
        self.stores = False
        self.entries = False
        self.heads_signed = 0

    async def create(self, faults: Faults) -> None:
        """One try, in a process of its own."""
        heads = faults.heads(MemoryHeads(self.disk))

        async def make() -> None:
            if faults.strikes():
                self.stores = self.stores or faults.written
                raise StoreFailed("injected fault")
            if self.entries:
                raise StateRefused("holds entries")
            self.stores = True

        async def sign() -> None:
            if await heads.load(head_name(SHARD)) is None:
                self.heads_signed += 1
                await shards._swap(heads, head_name(SHARD), None, b"head %d" % self.heads_signed)

        await shards.create(heads, NewShard(SHARD, lambda: self.stores, make, sign))

    async def row(self, name: str) -> bytes | None:
        return await MemoryHeads(self.disk).load(name)

    async def begin(self) -> bytes | None:
        return await self.row(shards.store_name(SHARD))


async def struck(attempt: Callable[[Faults], Awaitable[None]], at: int, *, written: bool) -> bool:
    """Try under one fault; return whether it was reached."""
    faults = Faults(at, written=written)
    try:
        await attempt(faults)
    except LogError:
        assert faults.hit
        return True
    return faults.hit


@pytest.mark.parametrize("written", [False, True])
@pytest.mark.parametrize("written_again", [False, True])
async def test_after_a_fault_at_any_write_the_next_try_ends_it(written: bool, written_again: bool) -> None:
    reached = 0
    for at in count(1):
        first = Site()
        if not await struck(first.create, at, written=written):
            break
        reached += 1
        for again in count(1):
            site = Site()
            await struck(site.create, at, written=written)
            done = await site.begin() == CREATED
            if not done and not await struck(site.create, again, written=written_again):
                break
            if await site.begin() != CREATED:
                await site.create(NO_FAULT)
            assert await site.begin() == CREATED
            assert site.stores
            assert await site.row(head_name(SHARD)) is not None
            assert site.heads_signed == 1 or not (written and written_again)
            with pytest.raises(StateRefused, match="never created again"):
                await site.create(NO_FAULT)
            if done:
                break
    assert reached == 4  # the numbered writes


async def test_nobody_is_told_of_a_shard_before_the_last_write() -> None:
    for at in range(1, 5):
        site = Site()
        await struck(site.create, at, written=False)
        assert await shards.created_years(MemoryHeads(site.disk), ORIGIN) == []
        assert await site.begin() == (None if at == 1 else CREATING)
    await (whole := Site()).create(NO_FAULT)
    assert await shards.created_years(MemoryHeads(whole.disk), ORIGIN) == [YEAR]
    assert await shards.created_years(MemoryHeads(whole.disk), "hk.example") == []


async def test_what_lies_there_without_a_record_is_refused() -> None:
    site = Site()
    site.stores = True
    with pytest.raises(StateRefused, match="something of it exists"):
        await site.create(NO_FAULT)
    site = Site()
    await MemoryHeads(site.disk).replace(head_name(SHARD), None, b"head")
    with pytest.raises(StateRefused, match="something of it exists"):
        await site.create(NO_FAULT)
    assert await site.begin() is None


async def test_entries_in_a_shard_that_was_only_begun_are_refused() -> None:
    site = Site()
    await struck(site.create, 2, written=True)
    site.entries = True
    with pytest.raises(StateRefused, match="holds entries"):
        await site.create(NO_FAULT)
    assert await site.begin() == CREATING


async def _child(folder: Path, point: str) -> int:
    words = ["tests.support.shard_child", str(folder), point]
    with Program(words, folder.with_name("child.out")) as program:
        return await program.ended()


@pytest.mark.parametrize("point", POINTS)
async def test_killed_at_any_moment_a_node_that_starts_finishes_it(tmp_path: Path, point: str) -> None:
    """Real processes, real stores, kill -9."""
    place = Place(tmp_path / "node")
    await place.create()
    assert await _child(place.folder, point) == -signal.SIGKILL
    place.clock.advance(ms(2026, 10, 1) - place.clock.wall_ms())
    async with place.running() as running:
        assert running.names == ["x509-2025", "x509-2026", "x509-2027"]
        answer = await running.submit("x509-2027", 2027)
        assert answer.status_code == 200, answer.text
    stored = rows(place.folder / "heads" / "heads.sqlite")
    assert stored[f"shard/{SHARD}"] == CREATED
    reports = [await audit(log.reader, log.family, log.vkeys) async for log in state.stopped_logs(place.settings)]
    assert (reports[-1].origin, reports[-1].entries) == (SHARD, 1)


async def test_a_shard_that_was_only_begun_is_not_served_before_it_is_due(tmp_path: Path) -> None:
    place = Place(tmp_path / "node")
    await place.create()
    assert await _child(place.folder, "after 3") == -signal.SIGKILL
    async with place.running() as running:
        assert running.names == ["x509-2025", "x509-2026"]
    assert len([log async for log in state.stopped_logs(place.settings)]) == 3


async def test_two_processes_create_one_shard_once(tmp_path: Path) -> None:
    place = Place(tmp_path / "node")
    await place.create()
    codes = await asyncio.gather(_child(place.folder, "end"), _child(place.folder, "end"))
    assert 0 in codes
    place.clock.advance(ms(2026, 10, 1) - place.clock.wall_ms())
    node = await main.build(place.settings, place.clock, "http://node")
    await node.start()
    assert node.logs["x509-2027"].size == 0
    await node.stop()
