"""The embedded engine: one LevelDB for a log's data, its index, its records (design.md 4, platform.md 4.4).

    data     b"e" + u64 index             an entry's row
             b"e" + u64 index + u8 level  the hash tile of that level which this entry fills: it stands right behind it
             b"b" + digest                a blob
    index    the caller's key         u64 entry index
             b"\\0size"                u64 tree size that the keys cover, written after they are durable
    records  b"n" + name              a submission record     name = member, a zero byte, u64 seq
             b"p" + name              its plan
             b"b" + name              its body, packed by zlib
             b"o" + name              what it came to
             b"h" + digest            the name of the record with this SHA-256

Of data every key lies behind those of the commits before it (blobs are few), so that compaction moves tables whole:
with tiles in a place of their own each row was written three times more, at two and a half times the work. Data and
index are two databases because random index keys among the rows would do the same. Numbers are big endian. Whoever
reads a value asks LevelDB to check its block's checksum.

In layout 1 of data a tile stood under b"t" + u8 level + u64 n; it is renamed when such a store is opened.
"""

import zlib
from collections.abc import Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path

from log.errors import StateRefused, StorageError, StoreMissing
from log.merkle.tiles import TILE_BYTES, TILE_HEIGHT, TILE_WIDTH
from log.storage import Batch, Filed, check_key, check_range, tile_runs
from log.storage.level_database import DAMAGED, Database, Kind, LevelLimits, Row, begin_anew, set_damaged_logs_aside

DATA = Kind("data", 2, set_damaged_logs_aside)
INDEX = Kind("index", 1, begin_anew)  # a lost key cannot be told from one that never was; the entries hold them all
RECORDS = Kind("records", 1, set_damaged_logs_aside)

ENTRY_KEY_BYTES = 9
MAX_ENTRIES = 2**64  # that a key can tell apart
SIZE_KEY = b"\0size"


class LevelData:
    """A DataStore in a folder of its own; one process at a time.

    Opening raises StoreLocked at once when another process (or driver) holds the folder, StateRefused when no
    such store is there or it lost entries, StoreFailed for what LevelDB itself cannot open.
    """

    def __init__(self, path: Path, limits: LevelLimits | None = None, *, create: bool = False) -> None:
        self._limits = limits or LevelLimits()
        self._db = Database(path, DATA, self._limits, create=create)
        try:
            if self._db.layout < DATA.layout or self._db.has_lost:  # what was lost may be a renaming
                self._db.renamed(b"t", b"u", _renamed_tile)
            if self._db.has_lost:
                self._check_gapless(path)
        except BaseException:
            self._db.shut()
            raise

    async def commit(self, batch: Batch) -> None:
        await self._db.write(partial(_rows, batch), sync=True)

    async def entries(self, start: int, end: int) -> list[bytes]:
        check_range(start, end)
        if end - start == 1 and (row := self._db.get(_entry_key(start))) is not None:
            return [row]  # a get costs half of an iterator
        if end - start <= self._limits.inline_rows:
            return self._scan(start, end)
        rows: list[bytes] = []
        for at in range(start, end, self._limits.scan_rows):
            rows += await self._db.in_reader(self._scan, at, min(end, at + self._limits.scan_rows))
        return rows

    async def hashes(self, level: int, start: int, end: int) -> bytes:
        check_range(start, end)
        if end << TILE_HEIGHT * level > MAX_ENTRIES:
            raise StoreMissing(f"no tree has {end} hashes in level {level}")
        runs = [(_tile_key(level, n), cut) for n, cut in tile_runs(start, end)]
        if len(runs) <= self._limits.inline_tiles:
            return self._cut(runs)
        return await self._db.in_reader(self._cut, runs)

    async def blob(self, digest: bytes) -> bytes | None:
        return self._db.get(b"b" + digest)

    async def truncate(self, size: int) -> None:
        check_range(0, size)
        await self._db.delete([(_entry_key(size), b"f")])  # and with the entries the tiles that they fill

    async def close(self) -> None:
        await self._db.close()

    def _check_gapless(self, path: Path) -> None:
        """Raise StateRefused when an entry is absent before another that is there.

        A power cut damages the end of LevelDB's log, of which nobody was told. A batch holds its entries and tiles
        together: when the entries left have no gap, no batch was lost before one that remains, and whether the last
        remains, the head says.
        """
        expected, at = 0, _entry_key(0)
        while keys := self._db.keys(at, b"f", self._limits.scan_rows):
            for key in keys:
                if len(key) != ENTRY_KEY_BYTES:
                    continue  # a tile
                if key != _entry_key(expected):
                    raise StateRefused(f"{path} was damaged and lost entry {expected}; see its files {DAMAGED}")
                expected += 1
            at = keys[-1] + b"\0"

    def _scan(self, start: int, end: int) -> list[bytes]:
        rows: list[bytes] = []
        while start < end:  # up to where tiles stand between two rows
            stop = min(end, (start // TILE_WIDTH + 1) * TILE_WIDTH)
            bounds = _entry_key(start), _entry_key(stop - 1) + b"\0"
            some = self._db.values(*bounds)
            if len(some) != stop - start:
                present = set(self._db.keys(*bounds))
                absent = next(index for index in range(start, stop) if _entry_key(index) not in present)
                raise StoreMissing(f"entry {absent} is absent")
            rows += some
            start = stop
        return rows

    def _cut(self, runs: list[tuple[bytes, slice]]) -> bytes:
        return b"".join(self._tile(key)[cut] for key, cut in runs)

    def _tile(self, key: bytes) -> bytes:
        tile = self._db.get(key)
        if tile is None:
            raise StoreMissing(f"tile {_tile_name(key)} is absent")
        if len(tile) != TILE_BYTES:
            raise StorageError(f"tile {_tile_name(key)} has {len(tile)} bytes, not {TILE_BYTES}")
        return tile


class LevelIndex:
    """An Index in a folder of its own; opening fails as LevelData's does, but a damaged index begins anew."""

    def __init__(self, path: Path, limits: LevelLimits | None = None, *, create: bool = False) -> None:
        self._db = Database(path, INDEX, limits or LevelLimits(), create=create)
        self._put: int | None = None  # the size that puts have reached since the newest sync

    async def size(self) -> int:
        return self._synced() if self._put is None else self._put

    async def get(self, key: bytes) -> int | None:
        check_key(key)
        return self._number(key)

    async def put(self, keys: Sequence[tuple[bytes, int]], size: int) -> None:
        for key, _ in keys:
            check_key(key)
        self._put = size
        await self._db.write([(key, index.to_bytes(8)) for key, index in keys], sync=False)

    async def sync(self) -> None:
        """Two synced writes, because LevelDB may begin a new log between any two: a power cut could then leave the
        new one and not the end of the old one, and a size in it would speak for keys that are lost.
        """
        size = self._put
        for reached in () if size is None else (self._synced(), size):
            await self._db.write([(SIZE_KEY, reached.to_bytes(8))], sync=True)
        if size is None:
            await self._db.write([], sync=True)
        elif self._put == size:
            self._put = None

    async def close(self) -> None:
        await self._db.close()

    def _synced(self) -> int:
        return self._number(SIZE_KEY) or 0

    def _number(self, key: bytes) -> int | None:
        value = self._db.get(key)
        if value is None:
            return None
        if len(value) != 8:
            raise StorageError(f"the index holds {len(value)} bytes where a number must be")
        return int.from_bytes(value)


class LevelRecords:
    """A RecordStore in a folder of its own; opening fails as LevelData's does."""

    def __init__(self, path: Path, limits: LevelLimits | None = None, *, create: bool = False) -> None:
        self._db = Database(path, RECORDS, limits or LevelLimits(), create=create)

    async def file(self, filed: Filed, body: bytes) -> None:
        name = _name(filed.member, filed.seq)

        def rows() -> list[Row]:
            return [
                (b"b" + name, zlib.compress(body)),
                (b"h" + sha256(filed.record).digest(), name),
                (b"n" + name, filed.record),
                (b"p" + name, filed.plan),
            ]

        await self._db.write(rows, sync=True)

    async def find(self, member: str, seq: int) -> Filed | None:
        name = _name(member, seq)
        record, plan = self._db.get(b"n" + name), self._db.get(b"p" + name)
        if record is None or plan is None:
            return None
        return Filed(member, seq, record, plan)

    async def body(self, member: str, seq: int) -> bytes | None:
        packed = self._db.get(b"b" + _name(member, seq))
        return None if packed is None else await self._db.in_reader(zlib.decompress, packed)

    async def finish(self, member: str, seq: int, outcome: bytes) -> None:
        await self._db.write([(b"o" + _name(member, seq), outcome)], sync=True)

    async def outcome(self, member: str, seq: int) -> bytes | None:
        return self._db.get(b"o" + _name(member, seq))

    async def record(self, digest: bytes) -> bytes | None:
        name = self._db.get(b"h" + digest)
        return None if name is None else self._db.get(b"n" + name)

    async def names(self, after: tuple[str, int], limit: int) -> list[tuple[str, int]]:
        start = b"n" + _name(*after) + b"\0"  # the next key there can be
        keys = await self._db.in_reader(self._db.keys, start, b"o", limit)
        return [(key[1:-9].decode(), int.from_bytes(key[-8:])) for key in keys]

    async def close(self) -> None:
        await self._db.close()


def _rows(batch: Batch) -> list[Row]:
    """A batch as rows."""
    rows: list[Row] = [(b"b" + digest, data) for digest, data in batch.blobs]
    rows += [(_entry_key(index), row) for index, row in enumerate(batch.entries, batch.start)]
    rows += [(_tile_key(level, n), data) for level, n, data in batch.tiles]
    return rows


def _name(member: str, seq: int) -> bytes:
    return member.encode() + b"\0" + seq.to_bytes(8)


def _entry_key(index: int) -> bytes:
    return b"e" + index.to_bytes(8)


def _tile_key(level: int, n: int) -> bytes:
    return _entry_key((n + 1 << TILE_HEIGHT * (level + 1)) - 1) + level.to_bytes(1)


def _tile_name(key: bytes) -> str:
    level = key[-1]
    return f"{level}/{int.from_bytes(key[1:-1]) >> TILE_HEIGHT * (level + 1)}"


def _renamed_tile(key: bytes) -> bytes:
    """Return the key of a tile that layout 1 kept under this one."""
    return _tile_key(key[1], int.from_bytes(key[2:]))
