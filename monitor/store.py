"""What the monitor remembers: one SQLite database, WAL, `synchronous=FULL` (monitoring.md §5.3).

    observation   every validly signed head, raw, append-only; each row's hash covers the row before it
    head          the distinct trees (size, root) that a log has signed, and what became of each:
                  `open` until data settle it, then `agreed` (a prefix of what we verified) or `refuted`;
                  `convicted` is open too, but its signatures alone have proven a lie already
    head_time     the signed times of each observation, to find contradictions in time
    verified      per log: how far its root was rebuilt from its entries, with the frontier to go on from
    witness       per log: the head that *we* cosigned last; only a compare-and-swap changes it
    cosigned      per log and witness: the largest head that bears this witness's cosignature
    evidence      contradictions, as objects that anyone can check

Positions are two: the largest signed head seen (`head`) and the largest rebuilt (`verified`).

Functions block, and are called from threads; a lock makes each of them one step. After an error from a write the
store is *poisoned*: nothing is written any more, and the process ends (exit 3). A state belongs to one process at
a time (a lock file that the kernel frees), and to one witness key.
"""

import fcntl
import hashlib
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from log.errors import StateRefused, StoreFailed, StoreLocked
from log.folders import make_folder, sync_names
from log.formats.note import KeyType
from monitor.judge import Head, Kind

OPEN, CONVICTED, AGREED, REFUTED = "open", "convicted", "agreed", "refuted"

MIGRATIONS = (
    """
    CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
    CREATE TABLE observation (
        seq INTEGER PRIMARY KEY, origin TEXT NOT NULL, size INTEGER NOT NULL, root BLOB NOT NULL,
        note BLOB NOT NULL, raw BLOB NOT NULL, complete INTEGER NOT NULL, digest BLOB NOT NULL,
        source TEXT NOT NULL, received_ms INTEGER NOT NULL, previous BLOB NOT NULL, hash BLOB NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX observation_digest ON observation (origin, digest);
    CREATE TABLE head (
        origin TEXT NOT NULL, size INTEGER NOT NULL, root BLOB NOT NULL, state TEXT NOT NULL,
        first_seq INTEGER NOT NULL, PRIMARY KEY (origin, size, root)
    ) STRICT;
    CREATE INDEX head_open ON head (origin, size) WHERE state IN ('open', 'convicted');
    CREATE TABLE head_time (
        origin TEXT NOT NULL, type INTEGER NOT NULL, time_ms INTEGER NOT NULL, size INTEGER NOT NULL,
        seq INTEGER NOT NULL, PRIMARY KEY (origin, type, time_ms, size, seq)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX head_time_size ON head_time (origin, type, size, time_ms, seq);
    CREATE TABLE verified (
        origin TEXT PRIMARY KEY, size INTEGER NOT NULL, frontier BLOB NOT NULL, seq INTEGER NOT NULL,
        verified_ms INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE witness (
        origin TEXT PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL, note BLOB NOT NULL
    ) STRICT;
    CREATE TABLE own_time (origin TEXT PRIMARY KEY, time_s INTEGER NOT NULL) STRICT;
    CREATE TABLE cosigned (
        origin TEXT NOT NULL, witness TEXT NOT NULL, size INTEGER NOT NULL, root BLOB NOT NULL,
        time_s INTEGER NOT NULL, note BLOB NOT NULL, PRIMARY KEY (origin, witness)
    ) STRICT;
    CREATE TABLE evidence (
        id BLOB PRIMARY KEY, kind TEXT NOT NULL, origin TEXT NOT NULL, object BLOB NOT NULL,
        found_ms INTEGER NOT NULL
    ) STRICT;
    """,
)

# Candidates for a contradiction; each is one short range of an index, empty for an honest log.
_OTHER_ROOT = (
    "SELECT first_seq FROM head WHERE origin = ? AND size = ? AND root != ? AND first_seq < ?"
    " ORDER BY first_seq LIMIT ?"
)
_LATER_SMALLER = (
    "SELECT seq FROM head_time WHERE origin = ? AND type = ? AND time_ms > ? AND size < ? AND seq < ? LIMIT ?"
)
_EARLIER_LARGER = (
    "SELECT seq FROM head_time WHERE origin = ? AND type = ? AND size > ? AND time_ms < ? AND seq < ? LIMIT ?"
)
_SAME_TIME = "SELECT seq FROM head_time WHERE origin = ? AND type = ? AND time_ms = ? AND size != ? AND seq < ? LIMIT ?"

_GENESIS = bytes(32)  # what the first observation names as the row before it


@dataclass(frozen=True, slots=True)
class Verified:
    """How far a log's tree was rebuilt."""

    head: Head
    frontier: bytes  # log.merkle.frontier encoding at head.size
    verified_ms: int


@dataclass(frozen=True, slots=True)
class Vouched:
    """A head of a log under a witness's cosignature."""

    size: int
    root: bytes
    time_s: int
    note: bytes  # the log's lines and this witness's


@dataclass(frozen=True, slots=True)
class Evidence:
    """A contradiction, kept for ever."""

    id: bytes  # SHA-256 of `object`
    kind: Kind
    origin: str
    object: bytes  # monitor.evidence
    found_ms: int


@dataclass(frozen=True, slots=True)
class Counts:
    """How much is known of a log."""

    observations: int
    largest_seen: int
    open: int
    evidence: int


class Store:
    """The open state. Made by `create` once, then by `open`; `read` for those who only look."""

    def __init__(self, database: sqlite3.Connection, lock: IO[bytes] | None) -> None:
        self._database = database
        self._lock = lock
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
            for leftover in (scratch, *_companions(scratch)):
                leftover.unlink(missing_ok=True)
            database = _connect(scratch)
            try:
                _migrate(database)
                with database:
                    database.execute("INSERT INTO meta VALUES ('witness', ?)", (witness,))
                database.execute("PRAGMA journal_mode=DELETE").fetchone()  # all in one file, to be renamed
            except sqlite3.Error as e:
                raise StoreFailed(f"the state cannot be made: {e}") from e
            finally:
                database.close()
            scratch.rename(path)
            sync_names(path.parent)

    @classmethod
    def open(cls, path: Path, witness: str, chain_rows: int) -> Self:
        """Open for writing. `StateRefused` when missing, damaged or another key's; `StoreLocked` when in use."""
        if not path.is_file():
            raise StateRefused(f"no state at {path.name}: `twinlog-monitor init` makes one, nothing else does")
        lock = _hold(path)
        try:
            database = _connect(path)
            try:
                _migrate(database)
                store = cls(database, lock)
                store._check(witness, chain_rows)
            except BaseException:
                database.close()
                raise
        except sqlite3.Error as e:
            lock.close()
            raise StateRefused(f"the state cannot be read: {e}") from e
        except BaseException:
            lock.close()
            raise
        return store

    @classmethod
    def read(cls, path: Path) -> Self:
        """Open for looking only, beside a running monitor."""
        if not path.is_file():
            raise StateRefused(f"no state at {path.name}")
        try:
            database = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False)
            database.execute("SELECT value FROM meta").fetchone()
        except sqlite3.Error as e:
            raise StateRefused(f"the state cannot be read: {e}") from e
        return cls(database, None)

    def close(self) -> None:
        """Close the database, then free the lock. May be called twice."""
        with self._mutex:
            self._database.close()
            if self._lock is not None:
                self._lock.close()

    def _check(self, witness: str, chain_rows: int) -> None:
        row = self._database.execute("SELECT value FROM meta WHERE name = 'witness'").fetchone()
        if row is None or row[0] != witness:
            raise StateRefused("the state belongs to another witness key")
        if self._database.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise StateRefused("the state is damaged")
        rows = self._database.execute(
            "SELECT seq, origin, source, received_ms, raw, previous, hash FROM observation ORDER BY seq DESC LIMIT ?",
            (chain_rows,),
        )
        expected, count = None, 0
        for seq, origin, source, received_ms, raw, previous, digest in rows:
            count += 1
            if (expected is not None and digest != expected) or digest != _link(
                previous, seq, origin, source, received_ms, raw
            ):
                raise StateRefused(f"the chain of observations is broken at {seq}")
            expected = previous
        if 0 < count < chain_rows and expected != _GENESIS:
            raise StateRefused("the chain of observations does not begin at its beginning")

    # --- observations --------------------------------------------------------------------------------------

    def observe(self, head: Head, source: str, now_ms: int) -> bool:
        """Append a validly signed head. False when these very lines were there already.

        A tree not seen before is `open` from then on.
        """
        digest = hashlib.sha256(head.note).digest()
        with self._transaction() as database:
            known = database.execute(
                "SELECT 1 FROM observation WHERE origin = ? AND digest = ?", (head.origin, digest)
            ).fetchone()
            if known:
                return False
            last = database.execute("SELECT seq, hash FROM observation ORDER BY seq DESC LIMIT 1").fetchone()
            seq, previous = (last[0] + 1, last[1]) if last else (1, _GENESIS)
            link = _link(previous, seq, head.origin, source, now_ms, head.raw)
            database.execute(
                "INSERT INTO observation VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    seq,
                    head.origin,
                    head.size,
                    head.root,
                    head.note,
                    head.raw,
                    head.complete,
                    digest,
                    source,
                    now_ms,
                    previous,
                    link,
                ),
            )
            database.execute(
                "INSERT OR IGNORE INTO head VALUES (?, ?, ?, ?, ?)", (head.origin, head.size, head.root, OPEN, seq)
            )
            database.executemany(
                "INSERT INTO head_time VALUES (?, ?, ?, ?, ?)",
                [(head.origin, kind, time, head.size, seq) for kind, time in head.times],
            )
            return True

    def rivals(self, head: Head, limit: int) -> list[Head]:
        """Return heads observed before this one that may contradict it: `judge.contradiction` says whether they do.

        Only earlier ones: of a contradicting pair the later one is the news, each time it is met.
        """
        size, digest = head.size, hashlib.sha256(head.note).digest()
        found: dict[int, None] = {}
        with self._mutex:
            [seq] = self._seqs("SELECT seq FROM observation WHERE origin = ? AND digest = ?", head.origin, digest)
            for query, values in (
                (_OTHER_ROOT, (head.origin, size, head.root)),
                *((_LATER_SMALLER, (head.origin, kind, time, size)) for kind, time in head.times),
                *((_EARLIER_LARGER, (head.origin, kind, size, time)) for kind, time in head.times),
                *((_SAME_TIME, (head.origin, kind, time, size)) for kind, time in head.times),
            ):
                found |= dict.fromkeys(self._seqs(query, *values, seq, limit))
            return [self._head(each) for each in found]

    def open_heads(self, origin: str, limit: int) -> list[Head]:
        """Return the signed trees that no data have settled yet, smallest first."""
        with self._mutex:
            query = (
                "SELECT first_seq FROM head WHERE origin = ? AND state IN ('open', 'convicted') ORDER BY size LIMIT ?"
            )
            return [self._head(seq) for seq in self._seqs(query, origin, limit)]

    def beyond(self, origin: str, size: int) -> bool:
        """Say whether the log has signed a larger tree than `size` that is not refuted."""
        with self._mutex:
            query = "SELECT 1 FROM head WHERE origin = ? AND size > ? AND state != ? LIMIT 1"
            return self._database.execute(query, (origin, size, REFUTED)).fetchone() is not None

    def state(self, origin: str, size: int, root: bytes) -> str | None:
        """Return what became of a signed tree: OPEN, CONVICTED, AGREED, REFUTED, or None when never seen."""
        with self._mutex:
            row = self._database.execute(
                "SELECT state FROM head WHERE origin = ? AND size = ? AND root = ?", (origin, size, root)
            ).fetchone()
            return None if row is None else str(row[0])

    def _seqs(self, query: str, *values: object) -> list[int]:
        return [row[0] for row in self._database.execute(query, values)]

    def _head(self, seq: int) -> Head:
        origin, size, root, note, raw, complete = self._database.execute(
            "SELECT origin, size, root, note, raw, complete FROM observation WHERE seq = ?", (seq,)
        ).fetchone()
        times = self._database.execute(
            "SELECT type, time_ms FROM head_time WHERE origin = ? AND seq = ? AND size = ?", (origin, seq, size)
        )
        return Head(origin, size, root, tuple((KeyType(kind), time) for kind, time in times), note, raw, bool(complete))

    # --- verified ------------------------------------------------------------------------------------------

    def verified(self, origin: str) -> Verified | None:
        """Return how far a log was rebuilt, or None before the first head."""
        with self._mutex:
            row = self._database.execute(
                "SELECT seq, frontier, verified_ms FROM verified WHERE origin = ?", (origin,)
            ).fetchone()
            return None if row is None else Verified(self._head(row[0]), row[1], row[2])

    def advance(self, head: Head, frontier: bytes, settled: Iterable[tuple[Head, str]], now_ms: int) -> None:
        """Record, in one transaction, that `head` (observed before) was rebuilt, and what that settles."""
        digest = hashlib.sha256(head.note).digest()
        with self._transaction() as database:
            row = database.execute(
                "SELECT seq FROM observation WHERE origin = ? AND digest = ?", (head.origin, digest)
            ).fetchone()
            old = database.execute("SELECT size FROM verified WHERE origin = ?", (head.origin,)).fetchone()
            if row is None or (old is not None and old[0] > head.size):
                raise AssertionError("only an observed head that is no smaller can be the verified one")
            database.execute(
                "INSERT OR REPLACE INTO verified VALUES (?, ?, ?, ?, ?)",
                (head.origin, head.size, frontier, row[0], now_ms),
            )
            self._settle(database, [(head, AGREED), *settled])

    def settle(self, head: Head, state: str) -> None:
        """Record that data have settled a tree."""
        with self._transaction() as database:
            self._settle(database, [(head, state)])

    def _settle(self, database: sqlite3.Connection, settled: Iterable[tuple[Head, str]]) -> None:
        database.executemany(
            "UPDATE head SET state = ? WHERE origin = ? AND size = ? AND root = ?",
            [(state, head.origin, head.size, head.root) for head, state in settled],
        )

    # --- evidence ------------------------------------------------------------------------------------------

    def convict(self, evidence: Evidence, head: Head, verdict: str, limit: int) -> bool:
        """Keep evidence and what it makes of `head`: REFUTED, or CONVICTED while its tree is not settled.

        False when it was there already.
        """
        with self._transaction() as database:
            if verdict == REFUTED or self.state(head.origin, head.size, head.root) == OPEN:
                self._settle(database, [(head, verdict)])
            (count,) = database.execute("SELECT count(*) FROM evidence WHERE origin = ?", (evidence.origin,)).fetchone()
            if count >= limit:
                return False
            made = database.execute(
                "INSERT OR IGNORE INTO evidence VALUES (?, ?, ?, ?, ?)",
                (evidence.id, evidence.kind.value, evidence.origin, evidence.object, evidence.found_ms),
            )
            return made.rowcount == 1

    def evidence(self, origin: str) -> list[Evidence]:
        """Return what a log is convicted of, oldest first."""
        with self._mutex:
            rows = self._database.execute(
                "SELECT id, kind, object, found_ms FROM evidence WHERE origin = ? ORDER BY found_ms, id", (origin,)
            )
            return [Evidence(row[0], Kind(row[1]), origin, row[2], row[3]) for row in rows]

    # --- cosignatures --------------------------------------------------------------------------------------

    def witness(self, origin: str) -> tuple[int, bytes, bytes] | None:
        """Return (size, root, note) of the head that we cosigned last, or None before the first."""
        with self._mutex:
            row = self._database.execute("SELECT size, root, note FROM witness WHERE origin = ?", (origin,)).fetchone()
            return None if row is None else (row[0], row[1], row[2])

    def swap_witness(self, old: tuple[int, bytes] | None, head: Head) -> bool:
        """Replace the head that we cosigned last, if it is still `old` (size, root); False when it is not."""
        with self._transaction() as database:
            if old is None:
                made = database.execute(
                    "INSERT OR IGNORE INTO witness VALUES (?, ?, ?, ?)", (head.origin, head.size, head.root, head.note)
                )
            else:
                made = database.execute(
                    "UPDATE witness SET size = ?, root = ?, note = ? WHERE origin = ? AND size = ? AND root = ?",
                    (head.size, head.root, head.note, head.origin, *old),
                )
            return made.rowcount == 1

    def own_time(self, origin: str, now_s: int) -> int:
        """Return the time to cosign a log's head with, now kept: `now_s`, and never before the last one."""
        with self._transaction() as database:
            database.execute(
                "INSERT INTO own_time VALUES (?, ?) ON CONFLICT DO UPDATE SET time_s = max(time_s, excluded.time_s)",
                (origin, now_s),
            )
            row = database.execute("SELECT time_s FROM own_time WHERE origin = ?", (origin,)).fetchone()
            return int(row[0])

    def keep_cosigned(self, origin: str, witness: str, vouched: Vouched) -> None:
        """Keep a head that a witness cosigned, unless a larger or later one is kept already."""
        with self._transaction() as database:
            database.execute(
                "INSERT INTO cosigned VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
                " size = excluded.size, root = excluded.root, time_s = excluded.time_s, note = excluded.note"
                " WHERE (excluded.size, excluded.time_s) > (size, time_s)",
                (origin, witness, vouched.size, vouched.root, vouched.time_s, vouched.note),
            )

    def cosigned(self, origin: str, witness: str) -> Vouched | None:
        """Return the largest head known to bear a witness's cosignature, or None."""
        with self._mutex:
            row = self._database.execute(
                "SELECT size, root, time_s, note FROM cosigned WHERE origin = ? AND witness = ?", (origin, witness)
            ).fetchone()
            return None if row is None else Vouched(*row)

    # --- looking -------------------------------------------------------------------------------------------

    def counts(self, origin: str) -> Counts:
        """Return how much is known of a log."""
        with self._mutex:
            observations, largest = self._database.execute(
                "SELECT count(*), coalesce(max(size), 0) FROM observation WHERE origin = ?", (origin,)
            ).fetchone()
            (waiting,) = self._database.execute(
                "SELECT count(*) FROM head WHERE origin = ? AND state IN ('open', 'convicted')", (origin,)
            ).fetchone()
            (evidence,) = self._database.execute("SELECT count(*) FROM evidence WHERE origin = ?", (origin,)).fetchone()
            return Counts(observations, largest, waiting, evidence)

    def raw_notes(self, origin: str) -> list[bytes]:
        """Return every head of a log as it came, in the order in which it came."""
        with self._mutex:
            rows = self._database.execute("SELECT raw FROM observation WHERE origin = ? ORDER BY seq", (origin,))
            return [row[0] for row in rows]

    # --- the one way to write ------------------------------------------------------------------------------

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._mutex:
            if self._poisoned:
                raise StoreFailed(f"this process writes no more: {self._poisoned}")
            try:
                self._database.execute("BEGIN IMMEDIATE")
                try:
                    yield self._database
                except BaseException:
                    self._database.rollback()
                    raise
                self._database.commit()
            except sqlite3.Error as e:
                self._poisoned = str(e)
                raise StoreFailed(f"the state cannot be written: {e}") from e


def _connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL").fetchone()
    database.execute("PRAGMA synchronous=FULL")
    return database


def _migrate(database: sqlite3.Connection) -> None:
    """Bring the tables up to date, each step in a transaction of its own; refuse a newer state."""
    database.execute("CREATE TABLE IF NOT EXISTS migration (version INTEGER PRIMARY KEY) STRICT")
    (version,) = database.execute("SELECT coalesce(max(version), 0) FROM migration").fetchone()
    if version > len(MIGRATIONS):
        raise StateRefused(f"the state is of version {version}; this program knows {len(MIGRATIONS)}")
    for number, script in enumerate(MIGRATIONS[version:], version + 1):
        step = f"BEGIN;{script};INSERT INTO migration VALUES ({number});COMMIT;"  # noqa: S608 - our own text
        database.executescript(step)


def _link(previous: bytes, seq: int, origin: str, source: str, received_ms: int, raw: bytes) -> bytes:
    """Return the hash of one observation: over the one before it and every field, each with its length."""
    fields = [origin.encode(), source.encode(), raw]
    body = b"".join(len(field).to_bytes(8) + field for field in fields)
    return hashlib.sha256(previous + seq.to_bytes(8) + received_ms.to_bytes(8) + body).digest()


def _hold(path: Path) -> IO[bytes]:
    """Take the lock beside a state, or raise `StoreLocked` at once. Closing the file frees it."""
    lock = path.with_name(path.name + ".lock").open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as e:
        lock.close()
        raise StoreLocked(f"another process holds the state {path.name}") from e
    return lock


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    make_folder(path.parent)
    lock = _hold(path)
    try:
        yield
    finally:
        lock.close()


def _companions(path: Path) -> list[Path]:
    return [path.with_name(path.name + suffix) for suffix in ("-wal", "-shm", "-journal")]
