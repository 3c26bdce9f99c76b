"""The distinct trees that a log has signed: what became of each, and which may contradict another one."""

import hashlib
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from log.evidence.heads import Head
from monitor.store.observations import ObservationRows

CONVICTED, AGREED, REFUTED = "convicted", "agreed", "refuted"  # besides OPEN

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
_ANNOUNCED = "SELECT coalesce(max(size), 0) FROM head WHERE origin = ? AND state IN ('open', 'agreed')"


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
class Counts:
    """How much is known of a log."""

    observations: int
    announced: int  # entries of the largest signed tree that is on no other branch than ours, as far as is known
    open: int  # trees that no data have settled


class HeadRows(ObservationRows):
    """The rows about signed trees."""

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

    def counts(self, origin: str) -> Counts:
        """Return how much is known of a log. It takes no longer, the more is known (`schema`)."""
        with self._reading() as database:
            row = database.execute("SELECT observations, open FROM tally WHERE origin = ?", (origin,)).fetchone()
            (announced,) = database.execute(_ANNOUNCED, (origin,)).fetchone()
            return Counts(0, 0, 0) if row is None else Counts(row[0], announced, row[1])

    def settle(self, head: Head, state: str) -> None:
        """Record that data have settled a tree."""
        with self._transaction() as database:
            self._settle(database, [(head, state)])

    def _settle(self, database: sqlite3.Connection, settled: Iterable[tuple[Head, str]]) -> None:
        database.executemany(
            "UPDATE head SET state = ? WHERE origin = ? AND size = ? AND root = ?",
            [(state, head.origin, head.size, head.root) for head, state in settled],
        )
