"""One LevelDB in a folder of its own: opened, read, written, with its threads. The only file that knows plyvel.

LevelDB goes on acknowledging synced writes after one that failed in its middle, and drops them at the next
open. So the first error poisons the database for good (contract.md, "Stores").

A folder without marker (folder.py) is refused unless it is to be created, and a marked one whose database is
gone always. What is done about damage that LevelDB finds when it opens is the `Kind`'s to say. Whoever reads a value
asks LevelDB to check its block's checksum.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

try:
    import plyvel
except ImportError:  # from Python 3.13 on the same library has another name
    import plyvel_next as plyvel

from log.errors import StateRefused, StorageError, StoreFailed, StoreLocked
from log.folders import make_folder, sync_names
from log.storage.folder import layout_of, mark
from log.storage.level_log import LogFile

logger = logging.getLogger("twinlog.storage")

T = TypeVar("T")

DAMAGED = "*.damaged"  # logs in which LevelDB skipped something, kept aside

Row = tuple[bytes, bytes | None]  # key, value; None deletes
Mend = Callable[[Path, "LevelLimits"], None]  # makes a damaged database fit to open, or raises StateRefused


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
    renamed_rows: int = 256  # rows in one batch of a change of layout, 8 KiB each


@dataclass(frozen=True, slots=True)
class Kind:
    """What a database is for."""

    name: str  # as its marker has it
    layout: int  # the number of the layout of its rows
    mend: Mend


class Database:
    """One LevelDB with its threads: one that writes, a few that scan. Single gets run in their caller."""

    def __init__(self, path: Path, kind: Kind, limits: LevelLimits, *, create: bool) -> None:
        self._path = path
        self._kind = kind
        self._db, self._log, found = _open(path, kind, limits, create=create)
        self.layout = found.layout  # that its rows are in
        self.has_lost = found.has_lost  # damage was passed over, now or at an earlier opening, and its log lies aside
        self._limits = limits
        self._failed = False  # set once, by whoever sees a write fail
        self._closed = False  # owned by the event loop
        self._writer = ThreadPoolExecutor(1, f"{kind.name}-write")
        self._readers = ThreadPoolExecutor(limits.scan_threads, f"{kind.name}-read")

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

    def renamed(self, start: bytes, stop: bytes, name: Callable[[bytes], bytes]) -> None:
        """While nobody else uses it, give the rows start <= key < stop, all of an earlier layout, the keys of this one.

        What is stopped in the middle goes on at the next opening. Raises StoreFailed.
        """
        with self._writing():
            with self._db.iterator(start=start, stop=stop, verify_checksums=True) as rows:
                while some := list(islice(rows, self._limits.renamed_rows)):
                    logger.info(
                        "rows take another layout", extra={"fields": {"path": str(self._path), "rows": len(some)}}
                    )
                    moves: list[Row] = [(name(key), value) for key, value in some]
                    self._apply([*moves, *((key, None) for key, _ in some)], sync=True)
            if self.layout < self._kind.layout:
                mark(self._path, self._kind.name, self._kind.layout)
                self.layout = self._kind.layout

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
            await asyncio.to_thread(self.shut)

    def shut(self) -> None:
        """Close it and wait for what runs; `close` does so beside the event loop."""
        self._closed = True
        self._writer.shutdown()
        self._readers.shutdown()
        self._db.close()

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


@dataclass(frozen=True, slots=True)
class _Found:
    """How a database was found."""

    layout: int
    has_lost: bool


def _open(path: Path, kind: Kind, limits: LevelLimits, *, create: bool) -> "tuple[plyvel.DB, LogFile, _Found]":
    """Open the LevelDB of a folder, or make one when that is asked for and nothing speaks against it."""
    try:
        layout = layout_of(path, kind.name)
        if layout and not (path / "CURRENT").exists():
            raise StateRefused(f"{path} is marked as a {kind.name} store, but its database is gone")
        if layout > kind.layout:
            raise StateRefused(
                f"{path} was written by a newer version of this program, in a layout that is not known here"
            )
        if not layout and not create:
            raise StateRefused(f"{path} holds no {kind.name} store")
        make_folder(path)
        try:
            db = _connect(path, limits, create=not layout)
        except plyvel.CorruptionError:
            kind.mend(path, limits)
            db = _connect(path, limits)
        try:
            if not layout:
                _check_empty(db, path)
                mark(path, kind.name, kind.layout)
            sync_names(path)  # LevelDB renames CURRENT without
            return db, LogFile(path), _Found(layout or kind.layout, any(path.glob(DAMAGED)))
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


def set_damaged_logs_aside(path: Path, limits: LevelLimits) -> None:
    """Let LevelDB skip what is damaged in its log, and keep the log aside until the operator removes it."""
    for damaged in path.glob("*.log"):
        with damaged.with_suffix(".damaged").open("wb") as aside:
            aside.write(damaged.read_bytes())
            aside.flush()
            os.fsync(aside.fileno())
    sync_names(path)
    _connect(path, limits, paranoid=False).close()


def begin_anew(path: Path, limits: LevelLimits) -> None:
    """Empty the database."""
    plyvel.destroy_db(str(path))
    _connect(path, limits, create=True).close()
