"""Signed heads: all that were observed, what became of each, how far a log was rebuilt, what it is convicted of."""

import hashlib
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from log.errors import StateRefused
from log.evidence.heads import Head, Kind
from log.formats.note import KeyType
from monitor.alert import Alert
from monitor.observation import GENESIS, Observation
from monitor.store.alerts import AlertRows
from monitor.store.halfway import HalfwayRows

OPEN, CONVICTED, AGREED, REFUTED = "open", "convicted", "agreed", "refuted"

# Candidates for a contradiction. The ranges of the second and third may be long; they are looked through only where
# `tally.disordered` says that there is something in them.
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

_BEFORE = (
    "SELECT time_ms FROM head_time WHERE origin = ? AND type = ? AND size < ? ORDER BY size DESC, time_ms DESC LIMIT 1"
)
_AFTER = "SELECT time_ms FROM head_time WHERE origin = ? AND type = ? AND size > ? ORDER BY size, time_ms LIMIT 1"
_NEVER = (1 << 63) - 1  # later than any row


@dataclass(frozen=True, slots=True)
class Verified:
    """How far a log's tree was rebuilt."""

    head: Head
    frontier: bytes  # log.merkle.frontier encoding at head.size
    verified_ms: int


@dataclass(frozen=True, slots=True)
class Unsettled:
    """A signed tree that no data have settled yet: what a peer may be asked for."""

    head: Head
    source: str  # who showed it first
    since_ms: int  # when, by our clock


@dataclass(frozen=True, slots=True)
class Apart:
    """A tree that a log has signed too, on a branch that we do not follow."""

    size: int
    root: bytes
    refuted: bool  # data have shown that it is another one; else so far its signatures alone contradict others
    source: str  # who showed it first
    since_ms: int  # when, by our clock


@dataclass(frozen=True, slots=True)
class Evidence:
    """A contradiction, kept for ever."""

    id: bytes  # SHA-256 of `object`
    kind: Kind
    origin: str  # of the log; of governance `chain <name> seq <seq>`
    object: bytes  # log.evidence
    found_ms: int


@dataclass(frozen=True, slots=True)
class Counts:
    """How much is known of a log."""

    observations: int
    largest_seen: int
    open: int  # trees that no data have settled


class HeadRows(HalfwayRows, AlertRows):
    """The rows about heads of logs."""

    def check_chain(self, rows: int) -> None:
        """Raise `StateRefused` unless the newest observations are those that were written, each after the other."""
        chained = self._database.execute(
            "SELECT seq, origin, source, received_ms, raw, previous, hash FROM observation ORDER BY seq DESC LIMIT ?",
            (rows,),
        )
        expected, count = None, 0
        for seq, origin, source, received_ms, raw, previous, digest in chained:
            count += 1
            link = Observation(seq, origin, source, received_ms, raw, previous, digest)
            if (expected is not None and digest != expected) or not link.holds:
                raise StateRefused(f"the chain of observations is broken at {seq}")
            expected = previous
        if 0 < count < rows and expected != GENESIS:
            raise StateRefused("the chain of observations does not begin at its beginning")

    # --- observations --------------------------------------------------------------------------------------

    def observe(self, head: Head, source: str, now_ms: int, *, timed: bool = True) -> bool:
        """Append a validly signed head. False when these very lines were there already.

        A tree not seen before is `open` from then on. Where leaves of its log tell their time (`timed`) the head is to
        be held against them, see `LeafTimeRows`.
        """
        digest = hashlib.sha256(head.note).digest()
        with self._transaction() as database:
            known = database.execute(
                "SELECT 1 FROM observation WHERE origin = ? AND digest = ?", (head.origin, digest)
            ).fetchone()
            if known:
                return False
            last = database.execute("SELECT seq, hash FROM observation ORDER BY seq DESC LIMIT 1").fetchone()
            seq, previous = (last[0] + 1, last[1]) if last else (1, GENESIS)
            link = Observation.make(previous, seq, head.origin, source, now_ms, head.raw)
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
                    link.hash,
                ),
            )
            database.execute(
                "INSERT OR IGNORE INTO head VALUES (?, ?, ?, ?, ?)", (head.origin, head.size, head.root, OPEN, seq)
            )
            database.executemany(
                "INSERT INTO head_time VALUES (?, ?, ?, ?, ?)",
                [(head.origin, kind, time, head.size, seq) for kind, time in head.times],
            )
            if timed and head.times:
                self._await_leaves(database, head, seq)
            return True

    def newest(self, origin: str, limit: int) -> list[Head]:
        """Return the heads of a log that were observed last, in the order in which they came."""
        with self._reading():
            seqs = self._seqs("SELECT seq FROM observation WHERE origin = ? ORDER BY seq DESC LIMIT ?", origin, limit)
            return [self._head(seq) for seq in reversed(seqs)]

    def observed(self, seq: int) -> Head:
        """Return one observation; there must be one."""
        with self._reading():
            return self._head(seq)

    def rivals(self, head: Head, limit: int) -> list[Head]:
        """Return heads observed before this one that may contradict it: `judge.contradiction` says whether they do.

        Only earlier ones: of a contradicting pair the later one is the news, each time it is met. All are earlier than
        one that is not kept.
        """
        size, digest = head.size, hashlib.sha256(head.note).digest()
        found: dict[int, None] = {}
        with self._reading() as database:
            seqs = self._seqs("SELECT seq FROM observation WHERE origin = ? AND digest = ?", head.origin, digest)
            row = database.execute("SELECT disordered FROM tally WHERE origin = ?", (head.origin,)).fetchone()
            in_order = row is None or (not row[0] and (bool(seqs) or self._in_order(database, head)))
            times = () if in_order else head.times
            seq = seqs[0] if seqs else _NEVER
            for query, values in (
                (_OTHER_ROOT, (head.origin, size, head.root)),
                *((_LATER_SMALLER, (head.origin, kind, time, size)) for kind, time in times),
                *((_EARLIER_LARGER, (head.origin, kind, size, time)) for kind, time in times),
                *((_SAME_TIME, (head.origin, kind, time, size)) for kind, time in head.times),
            ):
                found |= dict.fromkeys(self._seqs(query, *values, seq, limit))
            return [self._head(each) for each in found]

    @staticmethod
    def _in_order(database: sqlite3.Connection, head: Head) -> bool:
        """Say whether a head that is not kept stands between its two neighbours in size and in time."""
        for kind, time in head.times:
            before = database.execute(_BEFORE, (head.origin, kind, head.size)).fetchone()
            after = database.execute(_AFTER, (head.origin, kind, head.size)).fetchone()
            if (before is not None and before[0] > time) or (after is not None and after[0] < time):
                return False
        return True

    def open_heads(self, origin: str, limit: int) -> list[Head]:
        """Return the signed trees that no data have settled yet, smallest first."""
        return [each.head for each in self.unsettled(origin, limit)]

    def unsettled(self, origin: str, limit: int) -> list[Unsettled]:
        """Return the same trees with who showed each first, and when. Time alone settles none."""
        with self._reading() as database:
            rows = database.execute(
                "SELECT first_seq, source, received_ms FROM head JOIN observation ON seq = first_seq"
                " WHERE head.origin = ? AND state IN ('open', 'convicted') ORDER BY head.size LIMIT ?",
                (origin, limit),
            ).fetchall()
            return [Unsettled(self._head(seq), source, since_ms) for seq, source, since_ms in rows]

    def apart(self, origin: str, limit: int) -> list[Apart]:
        """Return what a log has signed on another branch than the one that we follow, largest first."""
        with self._reading() as database:
            rows = database.execute(
                "SELECT head.size, head.root, state = 'refuted', source, received_ms FROM head"
                " JOIN observation ON seq = first_seq"
                " WHERE head.origin = ? AND state IN ('refuted', 'convicted') ORDER BY head.size DESC LIMIT ?",
                (origin, limit),
            )
            return [Apart(size, root, bool(refuted), source, ms) for size, root, refuted, source, ms in rows]

    def beyond(self, origin: str, size: int) -> bool:
        """Say whether the log has signed a larger tree than `size` that is not refuted."""
        with self._reading() as database:
            query = "SELECT 1 FROM head WHERE origin = ? AND size > ? AND state != ? LIMIT 1"
            return database.execute(query, (origin, size, REFUTED)).fetchone() is not None

    def state(self, origin: str, size: int, root: bytes) -> str | None:
        """Return what became of a signed tree: OPEN, CONVICTED, AGREED, REFUTED, or None when never seen."""
        with self._reading() as database:
            row = database.execute(
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
            "SELECT type, time_ms FROM head_time WHERE seq = ? ORDER BY type, time_ms", (seq,)
        )
        return Head(origin, size, root, tuple((KeyType(kind), time) for kind, time in times), note, raw, bool(complete))

    # --- verified ------------------------------------------------------------------------------------------

    def verified(self, origin: str) -> Verified | None:
        """Return how far a log was rebuilt, or None before the first head."""
        with self._reading() as database:
            row = database.execute(
                "SELECT seq, frontier, verified_ms FROM verified WHERE origin = ?", (origin,)
            ).fetchone()
            return None if row is None else Verified(self._head(row[0]), row[1], row[2])

    def advance(
        self,
        head: Head,
        frontier: bytes,
        settled: Sequence[tuple[Head, str]],
        now_ms: int,
        latest: Mapping[int, tuple[int, int]] = MappingProxyType({}),
    ) -> None:
        """Record, in one transaction, that `head` (observed before) was rebuilt, and what that settles.

        `latest` says at sizes on the way there (time in ms, index) of the latest leaf since the tree before: `head` and
        what is settled were held against these.
        """
        digest = hashlib.sha256(head.note).digest()
        with self._transaction() as database:
            row = database.execute(
                "SELECT seq FROM observation WHERE origin = ? AND digest = ?", (head.origin, digest)
            ).fetchone()
            old = database.execute("SELECT size FROM verified WHERE origin = ?", (head.origin,)).fetchone()
            if row is None or (old is not None and old[0] > head.size):
                raise AssertionError("only an observed head that is no smaller can be the verified one")
            self._arrive(database, head.origin, 0 if old is None else old[0], head.size)
            database.execute(
                "INSERT OR REPLACE INTO verified VALUES (?, ?, ?, ?, ?)",
                (head.origin, head.size, frontier, row[0], now_ms),
            )
            self._settle(database, [(head, AGREED), *settled])
            if latest:
                self._keep_latest(database, head.origin, latest)
                self._have_read(database, [head, *(each for each, _ in settled)])

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

    def convict(self, evidence: Evidence, head: Head, verdict: str, limit: int, alerts: Sequence[Alert] = ()) -> bool:
        """Keep evidence, what it makes of `head` (REFUTED, or CONVICTED while its tree is not settled), and alerts.

        All in one transaction: what is proven is told, whatever happens next. False when it was there already.
        """
        with self._transaction() as database:
            if verdict == REFUTED or self.state(head.origin, head.size, head.root) == OPEN:
                self._settle(database, [(head, verdict)])
            return self.keep_evidence(evidence, limit, alerts)

    def keep_evidence(self, evidence: Evidence, limit: int, alerts: Sequence[Alert] = ()) -> bool:
        """Keep evidence and what is to be told of it. False when it was there already, or there is too much."""
        with self._transaction() as database:
            query = "SELECT count(*) FROM evidence WHERE origin = ? AND kind != ?"
            (count,) = database.execute(query, (evidence.origin, Kind.UNREPRODUCIBLE.value)).fetchone()
            if count >= limit:
                return False
            return self._add_evidence(database, evidence, alerts)

    def _add_evidence(self, database: sqlite3.Connection, evidence: Evidence, alerts: Sequence[Alert]) -> bool:
        made = database.execute(
            "INSERT OR IGNORE INTO evidence VALUES (?, ?, ?, ?, ?)",
            (evidence.id, evidence.kind.value, evidence.origin, evidence.object, evidence.found_ms),
        )
        if made.rowcount == 1:
            self.raise_alerts(alerts, evidence.found_ms)
        return made.rowcount == 1

    def evidence(self, origin: str) -> list[Evidence]:
        """Return what a log, or a chain of governance, is convicted of, oldest first."""
        with self._reading() as database:
            rows = database.execute(
                "SELECT id, kind, object, found_ms FROM evidence WHERE origin = ? ORDER BY found_ms, id", (origin,)
            )
            return [Evidence(row[0], Kind(row[1]), origin, row[2], row[3]) for row in rows]

    def evidence_of(self, kind: Kind) -> list[Evidence]:
        """Return everything of one kind, oldest first."""
        with self._reading() as database:
            rows = database.execute(
                "SELECT id, origin, object, found_ms FROM evidence WHERE kind = ? ORDER BY found_ms, id", (kind.value,)
            )
            return [Evidence(row[0], kind, row[1], row[2], row[3]) for row in rows]

    def all_evidence(self) -> list[Evidence]:
        """Return everything that anybody is convicted of, oldest first."""
        with self._reading() as database:
            rows = database.execute("SELECT id, kind, origin, object, found_ms FROM evidence ORDER BY found_ms, id")
            return [Evidence(row[0], Kind(row[1]), row[2], row[3], row[4]) for row in rows]

    def proven_ids(self) -> list[bytes]:
        """Return the ids of what is proven, oldest first."""
        with self._reading() as database:
            query = "SELECT id FROM evidence WHERE kind != ? ORDER BY found_ms, id"
            return [row[0] for row in database.execute(query, (Kind.UNREPRODUCIBLE.value,))]

    def evidence_by_id(self, id_: bytes) -> Evidence | None:
        """Return one object."""
        with self._reading() as database:
            query = "SELECT id, kind, origin, object, found_ms FROM evidence WHERE id = ?"
            row = database.execute(query, (id_,)).fetchone()
            return None if row is None else Evidence(row[0], Kind(row[1]), row[2], row[3], row[4])

    def met(self, note: bytes) -> tuple[str, int] | None:
        """Return where and when (ms) a head was met first, by its log's own lines; None for one that never was."""
        origin = note.partition(b"\n")[0].decode("utf-8", "replace")
        with self._reading() as database:
            row: tuple[str, int] | None = database.execute(
                "SELECT source, received_ms FROM observation WHERE origin = ? AND digest = ?",
                (origin, hashlib.sha256(note).digest()),
            ).fetchone()
            return row

    # --- looking -------------------------------------------------------------------------------------------

    def counts(self, origin: str) -> Counts:
        """Return how much is known of a log. It takes no longer, the more is known (`schema`)."""
        with self._reading() as database:
            row = database.execute("SELECT observations, open FROM tally WHERE origin = ?", (origin,)).fetchone()
            (largest,) = database.execute(
                "SELECT coalesce(max(size), 0) FROM head WHERE origin = ?", (origin,)
            ).fetchone()
            return Counts(0, 0, 0) if row is None else Counts(row[0], largest, row[1])

    def met_ms(self, origin: str) -> int | None:
        """Return when the first head of a log came to us, or None."""
        with self._reading() as database:
            (met_ms,) = database.execute(
                "SELECT received_ms FROM observation WHERE origin = ? ORDER BY seq LIMIT 1", (origin,)
            ).fetchone() or (None,)
            return met_ms

    def raw_notes(self, origin: str) -> list[bytes]:
        """Return every head of a log as it came, in the order in which it came."""
        with self._reading() as database:
            rows = database.execute("SELECT raw FROM observation WHERE origin = ? ORDER BY seq", (origin,))
            return [row[0] for row in rows]
