"""The head store of one machine: names and values in one SQLite file (design.md section 4, item 2).

A swap is one transaction, `BEGIN IMMEDIATE` to `COMMIT`, on a write-ahead log with `synchronous=FULL`: COMMIT
returns after the log file is synced. The write lock that BEGIN IMMEDIATE takes makes comparing the old value
and writing the new one a single step for every process on the file; none holds it longer.

What an error means depends only on whether COMMIT was asked for:

- before it (the lock was not to be had, the value could not be read or staged): SQLite counts the frames of
  its log only up to a commit mark, and none was written. Surely nothing changed: StoreFailed.
- at it: the mark may stand in the file although syncing failed, and then whoever opens the file next finds it
  or not. Nobody can say: UNKNOWN.

Either poisons the driver. Overwriting a value takes its place in the file, and the log file is folded back
every `fold_swaps`, so ten thousand heartbeats leave both as small as ten. Folding is asked for, not left to SQLite,
so that an error there poisons the driver too. A poisoned driver that is closed folds back what was committed before.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from log.errors import StateRefused, StorageError, StoreFailed
from log.folders import make_folder, sync_names
from log.storage import Swap

logger = logging.getLogger("twinlog.storage")

T = TypeVar("T")

APPLICATION_ID = 0x54574C48  # "TWLH" in the file's header: a head store of Twinlog


@dataclass(frozen=True, slots=True)
class HeadLimits:
    """How a head store uses its file."""

    busy_timeout_ms: int = 2000  # how long a swap waits for the write lock of another process
    fold_swaps: int = 256  # swaps, each of a page or two of 4 KiB, before the write-ahead log is folded back


class SqliteHeads:
    """A HeadStore in one file; several processes may use it at once.

    Opening raises StateRefused when the file is missing and not to be created, or is not a head store.
    """

    def __init__(self, path: Path, limits: HeadLimits | None = None, *, create: bool = False) -> None:
        self._limits = limits or HeadLimits()
        self._db = _open(path, self._limits, create=create)
        self._failed = False
        self._unfolded = 0  # swaps since the write-ahead log was folded back
        self._closed = False  # owned by the event loop
        # SQLite syncs files, which blocks; one thread keeps its calls in order.
        self._thread = ThreadPoolExecutor(1, "heads")

    async def load(self, name: str) -> bytes | None:
        return await self._run(self._load, name)

    async def replace(self, name: str, old: bytes | None, new: bytes) -> Swap:
        try:
            return await self._run(self._replace, name, old, new)
        except BaseException:  # a cancelled swap goes on in its thread, and nobody hears how it ended
            self._failed = True
            raise

    async def names(self, prefix: str) -> list[str]:
        return await self._run(self._names, prefix)

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            await asyncio.to_thread(self._shut)

    async def _run(self, call: Callable[..., T], *args: object) -> T:
        if self._closed:
            raise StorageError("the head store is closed")
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *args)

    def _load(self, name: str) -> bytes | None:
        try:
            row = self._db.execute("SELECT value FROM head WHERE name = ?", (name,)).fetchone()
        except sqlite3.Error as e:
            raise StorageError(f"the head store could not be read: {e}") from e
        return None if row is None else bytes(row[0])

    def _names(self, prefix: str) -> list[str]:
        try:
            rows = self._db.execute("SELECT name FROM head").fetchall()
        except sqlite3.Error as e:
            raise StorageError(f"the head store could not be read: {e}") from e
        return sorted(name for (name,) in rows if name.startswith(prefix))

    def _replace(self, name: str, old: bytes | None, new: bytes) -> Swap:
        if self._failed:
            raise StoreFailed("an earlier swap failed; this head store takes no more writes")
        try:
            self._db.execute("BEGIN IMMEDIATE")
            if self._load(name) != old:
                self._db.execute("ROLLBACK")
                return Swap.STALE
            self._db.execute(
                "INSERT INTO head VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (name, new),
            )
        except (sqlite3.Error, StorageError) as e:
            self._give_up()
            raise StoreFailed(f"the head store could not be written: {e}") from e
        try:
            self._db.execute("COMMIT")
        except sqlite3.Error:
            self._give_up()
            return Swap.UNKNOWN
        self._fold()
        return Swap.OK

    def _fold(self) -> None:
        """Fold the write-ahead log back when it is time. The swaps in it are durable, whatever happens here."""
        self._unfolded += 1
        if self._unfolded < self._limits.fold_swaps:
            return
        try:
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error:
            logger.exception("the head store's log could not be folded back; it takes no more writes")
            self._failed = True
        self._unfolded = 0

    def _give_up(self) -> None:
        """Poison the driver, and let go of the write lock for the process that comes next."""
        self._failed = True
        with suppress(sqlite3.Error):  # a COMMIT that failed may have rolled back by itself
            self._db.execute("ROLLBACK")

    def _shut(self) -> None:
        self._thread.shutdown()
        self._db.close()


def _open(path: Path, limits: HeadLimits, *, create: bool) -> sqlite3.Connection:
    """Open the file, first making it a head store when that is asked for and it is not there or empty."""
    if not create and not path.exists():
        raise StateRefused(
            f"there is no head store at {path}: of a new node `twinlog init` makes it, of any other it is lost"
        )
    try:
        if create:
            make_folder(path.parent)
        db = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={'rwc' if create else 'rw'}",
            uri=True,
            timeout=limits.busy_timeout_ms / 1000,
            isolation_level=None,  # transactions are written out where they begin and end
            check_same_thread=False,  # used by one thread at a time, never by two
        )
        try:
            if create:
                _create(db, path)
            _prepare(db, path)
        except BaseException:
            db.close()
            raise
    except (sqlite3.Error, OSError) as e:
        if getattr(e, "sqlite_errorcode", None) in {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}:
            raise StateRefused(f"{path} is not a head store, or a damaged one: {e}") from e
        raise StoreFailed(f"{path} could not be opened: {e}") from e
    return db


def _create(db: sqlite3.Connection, path: Path) -> None:
    """Make an empty database a head store; leave any other as it is."""
    db.execute("BEGIN IMMEDIATE")
    (tables,) = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if tables == 0:
        db.execute("CREATE TABLE head (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID")
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute("COMMIT")
    sync_names(path.parent)


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    """Check whose file it is, and set what a connection does not take over from the file."""
    (application,) = db.execute("PRAGMA application_id").fetchone()
    if application != APPLICATION_ID:
        raise StateRefused(f"{path} is not a head store")
    (mode,) = db.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise StoreFailed(f"the file system of {path} does not carry a write-ahead log")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA wal_autocheckpoint = 0")  # SQLite passes over errors in its own
    db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()  # what a process left that was killed
    sync_names(path.parent)  # SQLite syncs the name of its log with its first commit, and passes over errors there
