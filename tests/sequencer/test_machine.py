"""Random lives of a log against a list: submissions, duplicates, heartbeats, crashes at any await, restarts.

The list is what the submitters hold: every answer they got. The log may hold more (an answer lost in a crash),
never less and never otherwise. Both engines live the same lives.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from log.client.audit import audit_index
from log.sequencer.loop import SequencerConfig
from log.sequencer.pool import PoolLimits
from tests.support.engine import Engine, FolderPlace, MemoryPlace, Place

T = TypeVar("T")
CONFIG = SequencerConfig(linger_ms=0, heartbeat_ms=50, pool=PoolLimits(pool_entries=40, batch_entries=16))


class Life(RuleBasedStateMachine):
    """One log from its empty head to its last audit."""

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self.engine = Engine(self.place(), config=CONFIG)
        self.seen = 0  # the largest size ever published

    def place(self) -> Place:
        return MemoryPlace()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(coroutine)

    @initialize()
    def begin(self) -> None:
        self.run(self.engine.create())
        self.run(self.engine.start())

    @rule(count=st.integers(1, 60))
    def submit(self, count: int) -> None:
        self.run(self.engine.submit_some(count))

    @rule(count=st.integers(100, 260))
    def fill(self, count: int) -> None:
        async def batches() -> None:
            for _ in range(count // 30):
                await self.engine.submit_some(30)

        self.run(batches())

    @rule(data=st.data())
    def submit_again(self, data: st.DataObject) -> None:
        if self.engine.numbers:
            numbers = data.draw(st.lists(st.integers(0, self.engine.numbers - 1), max_size=6))

            async def again() -> None:
                await asyncio.gather(*(self.engine.submit(number) for number in numbers))

            self.run(again())

    @rule(ms=st.sampled_from([1, 40, 60, 1_500]))
    def wait(self, ms: int) -> None:
        async def beat() -> None:
            self.engine.clock.advance(ms)
            await self.engine.submit_some(1)

        self.run(beat())

    @rule(count=st.integers(1, 20), turns=st.integers(0, 60))
    def crash_under_load(self, count: int, turns: int) -> None:
        async def crash() -> None:
            task = asyncio.create_task(self.engine.submit_some(count))
            for _ in range(turns):
                await asyncio.sleep(0)
            await self.engine.crash()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self.engine.start()

        self.run(crash())

    @rule()
    def restart_in_order(self) -> None:
        async def restart() -> None:
            await self.engine.stop()
            await self.engine.start()

        self.run(restart())

    @invariant()
    def nothing_acknowledged_is_missing(self) -> None:
        if self.engine.hosted is None:
            return
        self.run(self.engine.audited())
        assert self.engine.size >= self.seen, "a published size shrank"
        self.seen = self.engine.size

    def teardown(self) -> None:
        if self.engine.stores is not None:
            index = self.engine.stores[2]
            assert self.run(audit_index(self.engine.running, self.engine.family, index)) == 3 * self.engine.size
            self.run(self.engine.stop())
        self._runner.close()


class LifeOnDisk(Life):
    """The same on LevelDB and SQLite."""

    def place(self) -> Place:
        self._folder = Path(tempfile.mkdtemp(prefix="twinlog-life-"))
        return FolderPlace(self._folder)

    def teardown(self) -> None:
        try:
            super().teardown()
        finally:
            shutil.rmtree(self._folder)


TestLifeInMemory = Life.TestCase
TestLifeInMemory.settings = settings(max_examples=15, stateful_step_count=12, deadline=None)
TestLifeOnDisk = LifeOnDisk.TestCase
TestLifeOnDisk.settings = settings(max_examples=4, stateful_step_count=8, deadline=None)
