"""Faults at every write, in both halves: the write lost, or done and its answer lost (style.md 3, trait 24).

One `Faults` counts the writes of all the stores it wraps, so a test enumerates them:

    for at in itertools.count(1):
        faults = Faults(at, written=written)
        ... run with faults.data(…), faults.heads(…), faults.index(…), or MemoryData(disk, faults.carry) ...
        if not faults.hit:
            break
        ... open new drivers, recover, audit; or recover under a second Faults first ...

`faults.data(store)` takes a commit or a truncate for one write. For the manners of an object store pass
`faults.carry` to `MemoryData` instead, and every single put and removal counts. Each wrapped store is
poisoned after its fault as a real driver is, and the other stores go on working: a sequencer that carries on
after an error is found out.
"""

from collections.abc import Awaitable, Callable, Sequence

from log.errors import StoreFailed
from log.storage import Batch, DataStore, HeadStore, Index, Swap
from log.storage.memory import Write


class Faults:
    """Fails the `at`-th write (from 1; 0 never), after doing it when `written`, else without."""

    def __init__(self, at: int, *, written: bool) -> None:
        self.at = at
        self.written = written
        self.count = 0  # writes asked for so far

    @property
    def hit(self) -> bool:
        """Whether the fault has happened."""
        return 0 < self.at <= self.count

    def strikes(self) -> bool:
        """Count one write; true when it is the one that fails."""
        self.count += 1
        return self.count == self.at

    def carry(self, write: Write) -> None:
        """Carry out one put of MemoryData, or fail it."""
        struck = self.strikes()
        if not struck or self.written:
            write()
        if struck:
            raise StoreFailed(f"injected fault at write {self.at}")

    def data(self, store: DataStore) -> "FaultyData":
        """Wrap a data store."""
        return FaultyData(store, self)

    def heads(self, store: HeadStore) -> "FaultyHeads":
        """Wrap a head store."""
        return FaultyHeads(store, self)

    def index(self, store: Index) -> "FaultyIndex":
        """Wrap an index."""
        return FaultyIndex(store, self)


class _Gate:
    """The way of one store's writes: counted, failed once, then shut."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._shut = False

    def check(self) -> None:
        if self._shut:
            raise StoreFailed("this store is poisoned by an injected fault")

    async def failed(self, write: Callable[[], Awaitable[object]]) -> bool:
        """Count a write. When it is struck, do it if the fault says so, shut the gate and return True."""
        self.check()
        if not self._faults.strikes():
            return False
        self._shut = True
        if self._faults.written:
            await write()
        return True

    async def run(self, write: Callable[[], Awaitable[None]]) -> None:
        """Do a write that raises StoreFailed when struck."""
        if await self.failed(write):
            raise StoreFailed(f"injected fault at write {self._faults.at}")
        await write()


class FaultyData:
    """A DataStore whose commits and truncates fail as told."""

    def __init__(self, store: DataStore, faults: Faults) -> None:
        self._store = store
        self._gate = _Gate(faults)

    async def commit(self, batch: Batch) -> None:
        await self._gate.run(lambda: self._store.commit(batch))

    async def entries(self, start: int, end: int) -> list[bytes]:
        return await self._store.entries(start, end)

    async def hashes(self, level: int, start: int, end: int) -> bytes:
        return await self._store.hashes(level, start, end)

    async def blob(self, digest: bytes) -> bytes | None:
        return await self._store.blob(digest)

    async def truncate(self, size: int) -> None:
        await self._gate.run(lambda: self._store.truncate(size))

    async def close(self) -> None:
        await self._store.close()


class FaultyHeads:
    """A HeadStore whose struck swap answers UNKNOWN, done or not."""

    def __init__(self, store: HeadStore, faults: Faults) -> None:
        self._store = store
        self._gate = _Gate(faults)

    async def load(self, name: str) -> bytes | None:
        return await self._store.load(name)

    async def replace(self, name: str, old: bytes | None, new: bytes) -> Swap:
        if await self._gate.failed(lambda: self._store.replace(name, old, new)):
            return Swap.UNKNOWN
        return await self._store.replace(name, old, new)

    async def names(self, prefix: str) -> list[str]:
        return await self._store.names(prefix)

    async def close(self) -> None:
        await self._store.close()


class FaultyIndex:
    """An Index whose puts and syncs fail as told."""

    def __init__(self, store: Index, faults: Faults) -> None:
        self._store = store
        self._gate = _Gate(faults)

    async def size(self) -> int:
        return await self._store.size()

    async def get(self, key: bytes) -> int | None:
        return await self._store.get(key)

    async def put(self, keys: Sequence[tuple[bytes, int]], size: int) -> None:
        await self._gate.run(lambda: self._store.put(keys, size))

    async def sync(self) -> None:
        await self._gate.run(self._store.sync)

    async def close(self) -> None:
        await self._store.close()
