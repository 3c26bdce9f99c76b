"""Creates one shard and is killed on the way: `python -m tests.support.shard_child FOLDER POINT`.

Points are the moments around the writes of `log.node.shards.create`, in their order; at "end" it lives.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from log import state
from log.settings import NodeSettings
from log.storage import HeadStore, Swap
from log.storage.leveldb import LevelData, LevelIndex
from tests.support.engine import FakeClock
from tests.support.sharded import ms

YEAR = 2027
POINTS = (
    "before 1",
    "after 1",
    "before data",
    "before index",
    "after stores",
    "before 3",
    "after 3",
    "before 4",
    "after 4",
)
WRITES = {"1": 1, "3": 2, "4": 3}  # number in `create` -> swap of the head store


def die(point: str, here: str) -> None:
    """Kill this process, as by kill -9, when this is where it is to end."""
    if point == here:
        os.kill(os.getpid(), signal.SIGKILL)


class Killing:
    """A head store at whose swaps the process may end."""

    def __init__(self, store: HeadStore, point: str) -> None:
        self._store = store
        self._point = point
        self._swaps = 0

    async def load(self, name: str) -> bytes | None:
        return await self._store.load(name)

    async def names(self, prefix: str) -> list[str]:
        return await self._store.names(prefix)

    async def replace(self, name: str, old: bytes | None, new: bytes) -> Swap:
        self._swaps += 1
        number = next(write for write, at in WRITES.items() if at == self._swaps)
        die(self._point, f"before {number}")
        swap = await self._store.replace(name, old, new)
        die(self._point, f"after {number}")
        return swap

    async def close(self) -> None:
        await self._store.close()


async def create(folder: Path, point: str) -> None:
    """Create the shard."""
    settings = NodeSettings.load(folder / "twinlog.toml")
    heads = Killing(state.open_heads(settings, create=False), point)

    def opened(kind: str, original: Any) -> Any:
        def open_store(*args: Any, **options: Any) -> Any:
            die(point, f"before {kind}")
            return original(*args, **options)

        return open_store

    made = vars(state)["_make_stores"]

    async def make(*args: Any) -> None:
        await made(*args)
        die(point, "after stores")

    for name, replaced in {
        "LevelData": opened("data", LevelData),
        "LevelIndex": opened("index", LevelIndex),
        "_make_stores": make,
    }.items():
        setattr(state, name, replaced)
    [series] = settings.series
    await state.create_shard(settings, series.shard(YEAR), heads, FakeClock(ms(2026, 10)))
    await heads.close()


if __name__ == "__main__":
    asyncio.run(create(Path(sys.argv[1]), sys.argv[2]))
