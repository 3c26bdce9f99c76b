"""How late the leaves of a log are, and which signed heads are still to be held against them (E6).

`latest_leaf` says at some sizes of the tree that we rebuilt which leaf below is the latest: at each that was verified,
and at regular ones between. A head with times is in `unread` until it was held against the leaves of its tree.
"""

import hashlib
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from log.evidence.heads import Head
from log.evidence.promises import is_later
from monitor.store.database import Database


@dataclass(frozen=True, slots=True)
class LatestLeaf:
    """The latest of the leaves below `size`, the first of those."""

    size: int
    time_ms: int
    index: int


class LeafTimeRows(Database):
    """The rows about times of leaves."""

    def latest_leaf(self, origin: str, size: int) -> LatestLeaf | None:
        """Return what is known of the leaves below the largest size up to `size` of which it is known, or None."""
        with self._reading() as database:
            return _latest(database, origin, size)

    def unread(self, origin: str, size: int, limit: int) -> list[tuple[int, int]]:
        """Return heads of trees up to `size` that are settled and were not held against their leaves, smallest first.

        Each by its size and the `seq` of its observation. Heads that are open still cost nothing here.
        """
        with self._reading() as database:
            rows = database.execute(
                "SELECT size, seq FROM unread INDEXED BY unread_settled WHERE origin = ? AND size <= ? AND settled = 1"
                " ORDER BY size, seq LIMIT ?",
                (origin, size, limit),
            )
            return [(row[0], row[1]) for row in rows]

    def have_read(self, origin: str, read: Sequence[tuple[int, int]]) -> None:
        """Record that heads (size, seq) were held against the leaves of their trees."""
        with self._transaction() as database:
            query = "DELETE FROM unread WHERE origin = ? AND size = ? AND seq = ?"
            database.executemany(query, [(origin, *each) for each in read])

    @staticmethod
    def _await_leaves(database: sqlite3.Connection, head: Head, seq: int) -> None:
        """Record that a head is to be held against the leaves, unless that is done by what is known of them."""
        known = _latest(database, head.origin, head.size)
        if known is None or known.size != head.size or is_later(known.time_ms, head):
            database.execute(
                "INSERT INTO unread SELECT origin, size, ?, root, state IN ('agreed', 'refuted') FROM head"
                " WHERE origin = ? AND size = ? AND root = ?",
                (seq, head.origin, head.size, head.root),
            )

    @staticmethod
    def _have_read(database: sqlite3.Connection, heads: Iterable[Head]) -> None:
        database.executemany(
            "DELETE FROM unread WHERE origin = ?1 AND size = ?2 AND seq ="
            " (SELECT seq FROM observation WHERE origin = ?1 AND digest = ?3)",
            [(head.origin, head.size, hashlib.sha256(head.note).digest()) for head in heads],
        )

    @staticmethod
    def _keep_latest(database: sqlite3.Connection, origin: str, latest: Mapping[int, tuple[int, int]]) -> None:
        """Keep the latest leaves (time in ms, index) at sizes beyond all that are kept: of all that are below."""
        last = _latest(database, origin, min(latest))
        best = (-1, 0) if last is None else (last.time_ms, last.index)
        rows = []
        for size in sorted(latest):
            best = latest[size] if latest[size][0] > best[0] else best
            rows.append((origin, size, *best))
        database.executemany("INSERT OR REPLACE INTO latest_leaf VALUES (?, ?, ?, ?)", rows)


def _latest(database: sqlite3.Connection, origin: str, size: int) -> LatestLeaf | None:
    row = database.execute(
        "SELECT size, time_ms, idx FROM latest_leaf WHERE origin = ? AND size <= ? ORDER BY size DESC LIMIT 1",
        (origin, size),
    ).fetchone()
    return None if row is None else LatestLeaf(*row)
