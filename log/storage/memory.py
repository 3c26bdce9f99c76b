"""Stores in memory, with the manners of the least obliging engines that the protocols allow.

`MemoryData` behaves as an object store does (design.md section 4): each entry, tile and blob is a put of its
own, so a failed commit leaves any part of a batch; tiles are create-only; an answer may be lost on its way.
Puts are made in the least convenient order, tiles first and the last entry before the first, so that a cut
commit leaves tiles without entries and entries beyond a gap. `MemoryIndex` forgets what was not synced.

All state lives in a `Disk`. A test restarts a process by opening new drivers on the same disk; the old ones
are dropped without `close`, as in a crash.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256

from log.errors import StorageError, StoreFailed, StoreMissing
from log.storage import Batch, Filed, Swap, check_key, check_range, complete_tiles, tile_runs

Write = Callable[[], None]  # one change of the disk
Carry = Callable[[Write], None]  # carries it out; a test's carrier may lose it, or its answer, by raising


@dataclass(slots=True)
class Disk:
    """What outlives a process. Copy it with `copy.deepcopy` for a test of restored images."""

    entries: dict[int, bytes] = field(default_factory=dict)
    tiles: dict[tuple[int, int], bytes] = field(default_factory=dict)
    blobs: dict[bytes, bytes] = field(default_factory=dict)
    heads: dict[str, bytes] = field(default_factory=dict)
    index: dict[bytes, int] = field(default_factory=dict)
    index_size: int = 0
    records: dict[tuple[str, int], Filed] = field(default_factory=dict)
    bodies: dict[tuple[str, int], bytes] = field(default_factory=dict)  # of records
    outcomes: dict[tuple[str, int], bytes] = field(default_factory=dict)


def _carry(write: Write) -> None:
    write()


class _Driver:
    """What the drivers share: poison, and the end of use."""

    def __init__(self) -> None:
        self._failed = False
        self._closed = False

    def _check_open(self) -> None:
        if self._closed:
            raise StorageError("the store is closed")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        self._check_open()
        if self._failed:
            raise StoreFailed("an earlier write failed; this store takes no more writes")
        try:
            yield
        except BaseException:  # a cancelled write too: nobody heard its outcome
            self._failed = True
            raise

    async def close(self) -> None:
        self._closed = True


class MemoryData(_Driver):
    """A DataStore on a Disk. `carry` sees every single put and every single removal."""

    def __init__(self, disk: Disk, carry: Carry = _carry) -> None:
        super().__init__()
        self._disk = disk
        self._carry = carry

    async def commit(self, batch: Batch) -> None:
        with self._writing():
            for level, n, data in batch.tiles:
                await self._put(partial(self._create_tile, (level, n), data))
            for offset, row in reversed(list(enumerate(batch.entries))):
                await self._put(partial(self._disk.entries.__setitem__, batch.start + offset, row))
            for digest, data in batch.blobs:
                await self._put(partial(self._disk.blobs.__setitem__, digest, data))

    async def entries(self, start: int, end: int) -> list[bytes]:
        self._check_open()
        check_range(start, end)
        try:
            return [self._disk.entries[index] for index in range(start, end)]
        except KeyError as e:
            raise StoreMissing(f"entry {e.args[0]} is absent") from e

    async def hashes(self, level: int, start: int, end: int) -> bytes:
        self._check_open()
        check_range(start, end)
        try:
            return b"".join(self._disk.tiles[level, n][cut] for n, cut in tile_runs(start, end))
        except KeyError as e:
            raise StoreMissing(f"tile {e.args[0]} is absent") from e

    async def blob(self, digest: bytes) -> bytes | None:
        self._check_open()
        return self._disk.blobs.get(digest)

    async def truncate(self, size: int) -> None:
        check_range(0, size)
        with self._writing():
            for index in sorted(index for index in self._disk.entries if index >= size):
                await self._put(partial(self._disk.entries.__delitem__, index))
            for key in sorted(key for key in self._disk.tiles if key[1] >= complete_tiles(key[0], size)):
                await self._put(partial(self._disk.tiles.__delitem__, key))

    async def _put(self, write: Write) -> None:
        await asyncio.sleep(0)  # as a real put does, let other tasks run
        self._carry(write)

    def _create_tile(self, key: tuple[int, int], data: bytes) -> None:
        if self._disk.tiles.setdefault(key, data) != data:
            raise StoreFailed(f"tile {key} exists with other bytes")


class MemoryHeads(_Driver):
    """A HeadStore on a Disk; several drivers on one disk compete as several processes do."""

    def __init__(self, disk: Disk) -> None:
        super().__init__()
        self._disk = disk

    async def load(self, name: str) -> bytes | None:
        self._check_open()
        return self._disk.heads.get(name)

    async def replace(self, name: str, old: bytes | None, new: bytes) -> Swap:
        with self._writing():
            await asyncio.sleep(0)
            if self._disk.heads.get(name) != old:
                return Swap.STALE
            self._disk.heads[name] = new
            return Swap.OK

    async def names(self, prefix: str) -> list[str]:
        self._check_open()
        return sorted(name for name in self._disk.heads if name.startswith(prefix))


class MemoryIndex(_Driver):
    """An Index on a Disk; what was put and not synced is lost with the driver."""

    def __init__(self, disk: Disk) -> None:
        super().__init__()
        self._disk = disk
        self._pending: dict[bytes, int] = {}
        self._size = disk.index_size

    async def size(self) -> int:
        self._check_open()
        return self._size

    async def get(self, key: bytes) -> int | None:
        self._check_open()
        check_key(key)
        return self._pending.get(key, self._disk.index.get(key))

    async def put(self, keys: Sequence[tuple[bytes, int]], size: int) -> None:
        for key, _ in keys:
            check_key(key)
        with self._writing():
            await asyncio.sleep(0)
            self._pending.update(keys)
            self._size = size

    async def sync(self) -> None:
        with self._writing():
            await asyncio.sleep(0)
            self._disk.index.update(self._pending)
            self._disk.index_size = self._size
            self._pending.clear()


class MemoryRecords(_Driver):
    """A RecordStore on a Disk. `carry` sees both kinds of write."""

    def __init__(self, disk: Disk, carry: Carry = _carry) -> None:
        super().__init__()
        self._disk = disk
        self._carry = carry

    async def file(self, filed: Filed, body: bytes) -> None:
        with self._writing():
            await asyncio.sleep(0)
            self._carry(partial(self._file, filed, body))

    def _file(self, filed: Filed, body: bytes) -> None:
        self._disk.records[filed.member, filed.seq] = filed
        self._disk.bodies[filed.member, filed.seq] = body

    async def find(self, member: str, seq: int) -> Filed | None:
        self._check_open()
        return self._disk.records.get((member, seq))

    async def body(self, member: str, seq: int) -> bytes | None:
        self._check_open()
        return self._disk.bodies.get((member, seq))

    async def finish(self, member: str, seq: int, outcome: bytes) -> None:
        with self._writing():
            await asyncio.sleep(0)
            self._carry(partial(self._disk.outcomes.__setitem__, (member, seq), outcome))

    async def outcome(self, member: str, seq: int) -> bytes | None:
        self._check_open()
        return self._disk.outcomes.get((member, seq))

    async def record(self, digest: bytes) -> bytes | None:
        self._check_open()
        found = (filed.record for filed in self._disk.records.values() if sha256(filed.record).digest() == digest)
        return next(found, None)

    async def names(self, after: tuple[str, int], limit: int) -> list[tuple[str, int]]:
        self._check_open()
        return sorted(name for name in self._disk.records if name > after)[:limit]
