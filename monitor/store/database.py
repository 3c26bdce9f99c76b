"""The file of the state: made once, held by one process, written in one way.

SQLite with a write-ahead log and `synchronous=FULL`: a write is one transaction, durable when it returns. The log is
folded back into the file every `fold_writes`, by us and not by SQLite, which passes over the errors of its own
folding; as `log.storage.sqlite_heads` does it. After any error from a write or from folding the state is *poisoned*:
nothing is written any more, and the process ends (exit 3). What was committed before stays.

Functions block, and are called from threads; a lock makes each of them one step.
"""

import fcntl
import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Self

from log.errors import StateRefused, StorageError, StoreFailed, StoreLocked
from log.folders import make_folder, sync_names
from monitor.store.schema import MIGRATIONS

FOLD_WRITES = 256

logger = logging.getLogger("monitor")


class Database:
    """The open file. Made by `create` once, then opened for writing; `read` for those who only look."""

    def __init__(self, database: sqlite3.Connection, lock: IO[bytes] | None, fold_writes: int = FOLD_WRITES) -> None:
        self._database = database
        self._lock = lock
        self._fold_writes = fold_writes
        self._unfolded = 0  # writes since the write-ahead log was folded back
        self._mutex = threading.RLock()
        self._poisoned = ""

    # --- life ----------------------------------------------------------------------------------------------

    @classmethod
    def create(cls, path: Path, witness: str) -> None:
        """Make an empty state that belongs to the witness key `witness` (a vkey). Never over an existing one."""
        with _exclusive(path):
            if path.exists():
                raise StateRefused(f"there is a state already: {path.name}")
            scratch = path.with_name(path.name + ".new")
            try:
                for leftover in (scratch, *_companions(scratch)):
                    leftover.unlink(missing_ok=True)
                _make(scratch, witness)
                scratch.rename(path)
                sync_names(path.parent)
            except (sqlite3.Error, OSError) as e:
                raise StoreFailed(f"the state cannot be made: {e}") from e

    @classmethod
    def hold(cls, path: Path, witness: str, fold_writes: int) -> Self:
        """Open for writing. `StateRefused` when missing, damaged or another key's; `StoreLocked` when in use."""
        if not path.is_file():
            raise StateRefused(f"no state at {path}: `twinlog-monitor init` makes one, nothing else does")
        lock = _hold(path)
        try:
            database = _connect(path)
            try:
                _prepare(database, path)
                _migrate(database)
                _check(database, witness)
            except BaseException:
                database.close()
                raise
        except (sqlite3.Error, OSError) as e:
            _free(lock)
            raise StateRefused(f"the state cannot be read: {e}") from e
        except BaseException:
            _free(lock)
            raise
        return cls(database, lock, fold_writes)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Open for looking only, beside a running monitor."""
        if not path.is_file():
            raise StateRefused(f"no state at {path}: `twinlog-monitor init` makes one")
        try:
            database = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False)
            database.execute("SELECT value FROM meta").fetchone()
        except sqlite3.Error as e:
            raise StateRefused(f"the state cannot be read: {e}") from e
        return cls(database, None)

    @classmethod
    def beside(cls, path: Path) -> Self:
        """Open for a short write beside a running monitor, to which it is one more short wait for the file.

        For what people say, and for nothing that a monitor decides by.
        """
        if not path.is_file():
            raise StateRefused(f"no state at {path}: `twinlog-monitor init` makes one")
        try:
            database = _connect(path)
            row = database.execute("SELECT max(version) FROM migration").fetchone()
        except sqlite3.Error as e:
            raise StateRefused(f"the state cannot be read: {e}") from e
        if row[0] != len(MIGRATIONS):
            database.close()
            raise StateRefused(f"the state is of version {row[0]}; this program writes {len(MIGRATIONS)}")
        return cls(database, None)

    def close(self) -> None:
        """Close the database, then free the lock. May be called twice."""
        with self._mutex:
            self._database.close()
            if self._lock is not None:
                _free(self._lock)

    @property
    def failure(self) -> str:
        """Why nothing is written any more, or "" while all is."""
        return self._poisoned

    # --- the one way to read and the one to write ----------------------------------------------------------

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._mutex:
            try:
                yield self._database
            except sqlite3.Error as e:
                raise StorageError(f"the state cannot be read: {e}") from e

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Write in one step. Within another transaction of this thread it is part of that one."""
        with self._mutex:
            if self._poisoned:
                raise StoreFailed(f"this process writes no more: {self._poisoned}")
            if self._database.in_transaction:  # the mutex is ours, so the one that has begun is ours too
                yield self._database
                return
            try:
                self._database.execute("BEGIN IMMEDIATE")
                try:
                    yield self._database
                except BaseException:
                    self._database.rollback()
                    raise
                self._database.commit()
            except (sqlite3.Error, StorageError) as e:
                self._poisoned = str(e)
                raise StoreFailed(f"the state cannot be written: {e}") from e
            self._fold()

    def _fold(self) -> None:
        """Fold the write-ahead log back when it is time. The writes in it are durable, whatever happens here."""
        self._unfolded += 1
        if self._unfolded < self._fold_writes:
            return
        try:
            _fold_back(self._database)
        except sqlite3.Error as e:
            logger.exception("the state's log could not be folded back; this process writes no more")
            self._poisoned = str(e)
        self._unfolded = 0


def _connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    (mode,) = database.execute("PRAGMA journal_mode=WAL").fetchone()
    if mode != "wal":
        database.close()
        raise StoreFailed(f"the file system of {path.name} does not carry a write-ahead log")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("PRAGMA wal_autocheckpoint=0")  # SQLite passes over errors in its own
    return database


def _make(path: Path, witness: str) -> None:
    """Make a state in one file and no log beside it, so that renaming it is all."""
    database = _connect(path)
    try:
        _migrate(database)
        with database:
            database.execute("INSERT INTO meta VALUES ('witness', ?)", (witness,))
        _fold_back(database)
        database.execute("PRAGMA journal_mode=DELETE").fetchone()
    finally:
        database.close()


def _prepare(database: sqlite3.Connection, path: Path) -> None:
    """Fold back what a process left that was killed, and make the name of the write-ahead log durable.

    SQLite syncs that name with its first commit, and passes over errors there.
    """
    _fold_back(database)
    sync_names(path.parent)


def _fold_back(database: sqlite3.Connection) -> None:
    database.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()


def _migrate(database: sqlite3.Connection) -> None:
    """Bring the tables up to date, each step in a transaction of its own; refuse a newer state."""
    database.execute("CREATE TABLE IF NOT EXISTS migration (version INTEGER PRIMARY KEY) STRICT")
    (version,) = database.execute("SELECT coalesce(max(version), 0) FROM migration").fetchone()
    if version > len(MIGRATIONS):
        raise StateRefused(f"the state is of version {version}; this program knows {len(MIGRATIONS)}")
    for number, script in enumerate(MIGRATIONS[version:], version + 1):
        step = f"BEGIN;{script};INSERT INTO migration VALUES ({number});COMMIT;"  # noqa: S608 - our own text
        database.executescript(step)


def _check(database: sqlite3.Connection, witness: str) -> None:
    row = database.execute("SELECT value FROM meta WHERE name = 'witness'").fetchone()
    if row is None or row[0] != witness:
        raise StateRefused("the state belongs to another witness key")
    if database.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
        raise StateRefused("the state is damaged")


def _hold(path: Path) -> IO[bytes]:
    """Take the lock beside a state, or raise `StoreLocked` at once. Closing the file frees it."""
    try:
        lock = path.with_name(path.name + ".lock").open("ab")
    except OSError as e:
        raise StateRefused(f"the state {path.name} cannot be locked: {e.strerror}") from e
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as e:
        _free(lock)
        raise StoreLocked(f"another process holds the state {path}: a monitor runs on it already") from e
    except OSError as e:
        _free(lock)
        raise StateRefused(f"the state {path.name} cannot be locked: {e.strerror}") from e
    return lock


def _free(lock: IO[bytes]) -> None:
    """Free the lock. What its closing says is nothing to us: it holds no bytes, and is closed all the same."""
    with suppress(OSError):
        lock.close()


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    try:
        make_folder(path.parent)
    except OSError as e:
        raise StoreFailed(f"the folder of the state cannot be made: {e.strerror}") from e
    lock = _hold(path)
    try:
        yield
    finally:
        _free(lock)


def _companions(path: Path) -> list[Path]:
    return [path.with_name(path.name + suffix) for suffix in ("-wal", "-shm", "-journal")]
