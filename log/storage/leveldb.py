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

LevelDB goes on acknowledging synced writes after one that failed in its middle, and drops them at the next
open. So the first error poisons the driver for good (contract.md, "Stores").

A folder without marker (folder.py) is refused unless it is to be created, and a marked one whose database is
gone always. Damage that LevelDB finds when it opens is passed over at the end of the data only, where a power
cut leaves it; a damaged index is emptied. This is the only file that knows plyvel.
"""

import asyncio
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import TypeVar

try:
    import plyvel
except ImportError:  # from Python 3.13 on the same library has another name
    import plyvel_next as plyvel

from log.errors import StateRefused, StorageError, StoreFailed, StoreLocked, StoreMissing
from log.folders import make_folder, sync_names
from log.merkle.tiles import TILE_BYTES, TILE_HEIGHT, TILE_WIDTH
from log.storage import Batch, Filed, check_key, check_range, tile_runs
from log.storage.folder import is_marked, mark
from log.storage.level_log import LogFile

T = TypeVar("T")

ENTRY_KEY_BYTES = 9
MAX_ENTRIES = 2**64  # that a key can tell apart
SIZE_KEY = b"\0size"
DAMAGED = "*.damaged"  # logs of a data store in which LevelDB skipped something


@dataclass(frozen=True, slots=True)
class LevelLimits:
    """What one LevelDB may use, and how much is read or deleted at once."""

    write_buffer_bytes: int = 16 * 2**20  # up to twice this in memory, and this much log to replay at start
    block_cache_bytes: int = 8 * 2**20
    max_open_files: int = 500  # sorted tables kept open
    bloom_bits: int = 10  # bits a key; 10 let one absent key in a hundred through to the disk
    inline_rows: int = 32  # reads of at most so many rows run in the event loop: as long as a thread's hop
    inline_tiles: int = 4  # the same for tiles, of 8 KiB each
    scan_rows: int = 1024  # rows a thread reads before it lets the next reader in
    scan_threads: int = 2
    delete_rows: int = 1024  # keys in one batch of a truncation


class LevelData:
    """A DataStore in a folder of its own; one process at a time.

    Opening raises StoreLocked at once when another process (or driver) holds the folder, StateRefused when no
    such store is there or it lost entries, StoreFailed for what LevelDB itself cannot open.
    """

    def __init__(self, path: Path, limits: LevelLimits | None = None, *, create: bool = False) -> None:
        self._limits = limits or LevelLimits()
        self._db = _Database(path, "data", self._limits, _mend_data, create=create)

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
        self._db = _Database(path, "index", limits or LevelLimits(), _mend_index, create=create)
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
        self._db = _Database(path, "records", limits or LevelLimits(), _mend_data, create=create)

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


Row = tuple[bytes, bytes | None]  # key, value; None deletes
Mend = Callable[[Path, LevelLimits], None]  # makes a damaged database fit to open, or raises StateRefused


class _Database:
    """One LevelDB with its threads: one that writes, a few that scan. Single gets run in their caller."""

    def __init__(self, path: Path, kind: str, limits: LevelLimits, mend: Mend, *, create: bool) -> None:
        self._db, self._log = _open(path, kind, limits, mend, create=create)
        self._limits = limits
        self._failed = False  # set once, by whoever sees a write fail
        self._closed = False  # owned by the event loop
        self._writer = ThreadPoolExecutor(1, f"{kind}-write")
        self._readers = ThreadPoolExecutor(limits.scan_threads, f"{kind}-read")

    def get(self, key: bytes) -> bytes | None:
        if self._closed:
            raise StorageError("the store is closed")
        try:  # the hottest read: written out, because `_reading` costs as much again as the get
            value: bytes | None = self._db.get(key, verify_checksums=True)
        except plyvel.Error as e:
            raise StorageError(f"LevelDB could not read: {e}") from e
        return value

    def keys(self, start: bytes, stop: bytes, limit: int | None = None) -> list[bytes]:
        with self._reading(), self._db.iterator(start=start, stop=stop, include_value=False) as keys:
            return list(islice(keys, limit))

    def values(self, start: bytes, stop: bytes) -> list[bytes]:
        with (
            self._reading(),
            self._db.iterator(start=start, stop=stop, include_key=False, verify_checksums=True) as values,
        ):
            return list(values)

    async def in_reader(self, read: Callable[..., T], *args: object) -> T:
        """Run a read in a thread."""
        self._check_open()
        return await asyncio.get_running_loop().run_in_executor(self._readers, read, *args)

    async def write(self, rows: Sequence[Row] | Callable[[], Sequence[Row]], *, sync: bool) -> None:
        """Write the rows, or those that a call in the writer's thread makes, as one batch.

        Without rows only ask whether writing is still allowed.
        """
        await self._in_writer(self._write, rows, sync)

    async def delete(self, ranges: Sequence[tuple[bytes, bytes]]) -> None:
        """Delete the keys start <= key < stop of each range, in synced batches."""
        await self._in_writer(self._delete, ranges)

    async def close(self) -> None:
        if not self._closed:
            self._closed = True  # no read begins after this, so none runs beside the closing below
            await asyncio.to_thread(self._shut)

    async def _in_writer(self, write: Callable[..., None], *args: object) -> None:
        self._check_open()
        try:
            await asyncio.get_running_loop().run_in_executor(self._writer, write, *args)
        except BaseException:  # a cancelled write goes on in its thread, and nobody hears how it ended
            self._failed = True
            raise

    def _write(self, rows: Sequence[Row] | Callable[[], Sequence[Row]], sync: bool) -> None:
        with self._writing():
            rows = rows() if callable(rows) else rows
            if rows:
                self._apply(rows, sync=sync)

    def _delete(self, ranges: Sequence[tuple[bytes, bytes]]) -> None:
        with self._writing():
            for start, stop in ranges:
                with self._db.iterator(start=start, stop=stop, include_value=False) as keys:
                    while chunk := list(islice(keys, self._limits.delete_rows)):
                        self._apply([(key, None) for key in chunk], sync=True)

    def _apply(self, rows: Iterable[Row], *, sync: bool) -> None:
        batch = self._db.write_batch(sync=sync)
        for key, value in rows:
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        batch.write()
        self._log.follow()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """In the writer's thread: refuse after a failure, and mark one before the next write can begin."""
        if self._failed:
            raise StoreFailed("an earlier write failed; this store takes no more writes")
        try:
            yield
        except BaseException as e:
            self._failed = True
            if isinstance(e, plyvel.Error | OSError):
                raise StoreFailed(f"LevelDB could not write: {e}") from e
            raise

    @contextmanager
    def _reading(self) -> Iterator[None]:
        self._check_open()
        try:
            yield
        except plyvel.Error as e:
            raise StorageError(f"LevelDB could not read: {e}") from e

    def _check_open(self) -> None:
        if self._closed:
            raise StorageError("the store is closed")

    def _shut(self) -> None:
        self._writer.shutdown()
        self._readers.shutdown()
        self._db.close()


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


def _open(path: Path, kind: str, limits: LevelLimits, mend: Mend, *, create: bool) -> "tuple[plyvel.DB, LogFile]":
    """Open the LevelDB of a folder, or make one when that is asked for and nothing speaks against it."""
    try:
        marked = is_marked(path, kind)
        if marked and not (path / "CURRENT").exists():
            raise StateRefused(f"{path} is marked as a {kind} store, but its database is gone")
        if not marked and not create:
            raise StateRefused(f"{path} holds no {kind} store")
        make_folder(path)
        try:
            db = _connect(path, limits, create=not marked)
        except plyvel.CorruptionError:
            mend(path, limits)
            db = _connect(path, limits)
        try:
            if not marked:
                _check_empty(db, path)
                mark(path, kind)
            if any(path.glob(DAMAGED)):
                _check_gapless(db, path)
            sync_names(path)  # LevelDB renames CURRENT without
            return db, LogFile(path)
        except BaseException:
            db.close()
            raise
    except plyvel.CorruptionError as e:
        raise StateRefused(f"{path} is damaged: {e}") from e
    except (OSError, plyvel.Error) as e:
        if "IO error: lock" in str(e):  # LevelDB has one class for all trouble with files
            raise StoreLocked(f"{path} is in use by another process") from e
        raise StoreFailed(f"{path} could not be opened: {e}") from e


def _connect(path: Path, limits: LevelLimits, *, create: bool = False, paranoid: bool = True) -> "plyvel.DB":
    return plyvel.DB(
        str(path),
        create_if_missing=create,
        write_buffer_size=limits.write_buffer_bytes,
        lru_cache_size=limits.block_cache_bytes,
        max_open_files=limits.max_open_files,
        bloom_filter_bits=limits.bloom_bits,
        compression=None,  # certificates and hashes do not compress
        # Otherwise LevelDB skips what is damaged in its log and says nothing, and a compaction copies a
        # damaged row under a new checksum.
        paranoid_checks=paranoid,
    )


def _check_empty(db: "plyvel.DB", path: Path) -> None:
    if any(True for _ in db.iterator(include_value=False)):
        raise StateRefused(f"{path} holds a database that is not marked as ours")


def _check_gapless(db: "plyvel.DB", path: Path) -> None:
    """Raise StateRefused when an entry is absent before another that is there."""
    with db.iterator(start=_entry_key(0), stop=b"f", include_value=False) as keys:
        entries = (key for key in keys if len(key) == ENTRY_KEY_BYTES)
        for index, key in enumerate(entries):
            if key != _entry_key(index):
                raise StateRefused(f"{path} was damaged and lost entry {index}; see its files {DAMAGED}")


def _mend_data(path: Path, limits: LevelLimits) -> None:
    """Let LevelDB skip what is damaged in its log, and keep the log aside.

    A power cut damages its end, of which nobody was told. A batch holds its entries and tiles together: when the
    entries left have no gap, no batch was lost before one that remains, and whether the last remains, the head
    says. As long as the log lies aside each opening looks for gaps; the operator removes it.
    """
    for damaged in path.glob("*.log"):
        with damaged.with_suffix(".damaged").open("wb") as aside:
            aside.write(damaged.read_bytes())
            aside.flush()
            os.fsync(aside.fileno())
    sync_names(path)
    _connect(path, limits, paranoid=False).close()


def _mend_index(path: Path, limits: LevelLimits) -> None:
    """Empty the index: a lost key cannot be told from one that never was, and the entries hold them all."""
    plyvel.destroy_db(str(path))
    _connect(path, limits, create=True).close()
