"""The drivers under test, each behind the same two calls: open it, and open it anew.

A store in a test outlives its drivers, as a disk outlives processes; the fixtures below hand out such stores.
"""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import pytest

from log.storage import DataStore, HeadStore, Index, RecordStore
from log.storage.level_database import LevelLimits
from log.storage.leveldb import LevelData, LevelIndex, LevelRecords
from log.storage.memory import Disk, MemoryData, MemoryHeads, MemoryIndex, MemoryRecords
from log.storage.sqlite_heads import HeadLimits, SqliteHeads

# Small enough that the tests' ranges are read inline, in one chunk and in several.
LIMITS = LevelLimits(inline_rows=4, inline_tiles=2, scan_rows=16, delete_rows=8)
PATIENT = HeadLimits(busy_timeout_ms=90_000)  # of two drivers one waits for the other, however slow the disk is


class Driver(Protocol):
    """What every driver can do."""

    async def close(self) -> None: ...


D = TypeVar("D", bound=Driver)


class Store(Generic[D]):
    """One place on a disk, and the drivers opened on it."""

    def __init__(self, make: Callable[[], D]) -> None:
        self._make = make
        self._opened: list[D] = []

    async def open(self) -> D:
        """Return a new driver, after closing those before it."""
        await self.close()
        return self.join()

    def join(self) -> D:
        """Return one more driver beside those that are open; only head stores can."""
        self._opened.append(self._make())
        return self._opened[-1]

    async def close(self) -> None:
        """Close what was opened here."""
        while self._opened:
            await self._opened.pop().close()


DATA = ["leveldb", "memory"]


def data_store(engine: str, folder: Path) -> Store[DataStore]:
    """Return an empty data store."""
    if engine == "leveldb":
        return Store(lambda: LevelData(folder, LIMITS, create=True))
    disk = Disk()
    return Store(lambda: MemoryData(disk))


@pytest.fixture(params=DATA)
async def data(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store[DataStore]]:
    """Each data store in turn."""
    store = data_store(request.param, tmp_path / "data")
    yield store
    await store.close()


@pytest.fixture(params=["sqlite", "memory"])
async def heads(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store[HeadStore]]:
    """Each head store in turn."""
    disk = Disk()
    store: Store[HeadStore] = Store(
        lambda: (
            SqliteHeads(tmp_path / "heads" / "heads.sqlite", PATIENT, create=True)
            if request.param == "sqlite"
            else MemoryHeads(disk)
        )
    )
    yield store
    await store.close()


@pytest.fixture(params=["leveldb", "memory"])
async def index(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store[Index]]:
    """Each index in turn."""
    disk = Disk()
    store: Store[Index] = Store(
        lambda: LevelIndex(tmp_path / "index", LIMITS, create=True) if request.param == "leveldb" else MemoryIndex(disk)
    )
    yield store
    await store.close()


@pytest.fixture(params=["leveldb", "memory"])
async def records(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store[RecordStore]]:
    """Each record store in turn."""
    disk = Disk()
    store: Store[RecordStore] = Store(
        lambda: (
            LevelRecords(tmp_path / "records", LIMITS, create=True)
            if request.param == "leveldb"
            else MemoryRecords(disk)
        )
    )
    yield store
    await store.close()
