"""How far the way to a signed head was gone that is longer than one look, and what was passed on it.

Nothing here is verified yet. It belongs to the tree that was verified last (`begun`): when a head behind it is
verified, what was passed counts; when another one is, all of it is gone (`VerifiedRows.advance`).
"""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from monitor.store.leaf_times import LeafTimeRows


@dataclass(frozen=True, slots=True)
class Halfway:
    """Where the last look stopped."""

    begun: int  # the verified size from which the way leads
    size: int
    frontier: bytes  # log.merkle.frontier encoding at `size`
    last: tuple[int, int, bytes] | None  # index, time in ms and bytes of the latest leaf since `begun`, where told
    goal: int  # size of the signed head to which it leads
    kept_ms: int


class HalfwayRows(LeafTimeRows):
    """The rows about ways that were not gone to their end."""

    def halfway(self, origin: str) -> Halfway | None:
        """Return where the last look at a log stopped, or None when it did not stop on the way."""
        with self._reading() as database:
            row = database.execute(
                "SELECT begun, size, frontier, goal, kept_ms, idx, time_ms, leaf FROM halfway WHERE origin = ?",
                (origin,),
            ).fetchone()
            if row is None:
                return None
            begun, size, frontier, goal, kept_ms, *last = row
            return Halfway(begun, size, frontier, None if last[0] is None else (*last,), goal, kept_ms)

    def keep_halfway(
        self, origin: str, kept: Halfway, roots: Mapping[int, bytes], times: Mapping[int, tuple[int, int]]
    ) -> None:
        """Record where a look stopped, with what it passed since the last stop, in one transaction.

        `roots` are those of our tree at sizes at which signed heads wait; `times` say at sizes which leaf is the
        latest (time in ms, index) since `begun`.
        """
        with self._transaction() as database:
            held = database.execute("SELECT begun, size FROM halfway WHERE origin = ?", (origin,)).fetchone()
            if held is not None and (held[0] != kept.begun or held[1] >= kept.size):
                _drop(database, origin)
            database.execute(
                "INSERT OR REPLACE INTO halfway VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (origin, kept.begun, kept.size, kept.frontier, kept.goal, kept.kept_ms, *(kept.last or (None,) * 3)),
            )
            database.executemany(
                "INSERT OR REPLACE INTO passed_root VALUES (?, ?, ?)", [(origin, *each) for each in roots.items()]
            )
            database.executemany(
                "INSERT OR REPLACE INTO passed_leaf VALUES (?, ?, ?, ?)",
                [(origin, size, *latest) for size, latest in times.items()],
            )

    def drop_halfway(self, origin: str) -> None:
        """Forget it: the next look begins at the verified tree."""
        with self._transaction() as database:
            _drop(database, origin)

    def _arrive(self, database: sqlite3.Connection, origin: str, old: int, size: int) -> None:
        """Count what was passed on the way from size `old` to a head of `size` that is verified now.

        Heads that were passed at our root are a prefix of it. They are held against their leaves later (`unread`).
        """
        row = database.execute("SELECT begun, size FROM halfway WHERE origin = ?", (origin,)).fetchone()
        if row is None or size == old:
            return
        if row[0] == old and row[1] <= size:
            leaves = database.execute("SELECT size, time_ms, idx FROM passed_leaf WHERE origin = ?", (origin,))
            latest = {each[0]: (each[1], each[2]) for each in leaves}
            if latest:
                self._keep_latest(database, origin, latest)
            database.execute(
                "UPDATE head SET state = 'agreed' WHERE origin = ? AND state IN ('open', 'convicted') AND"
                " (size, root) IN (SELECT size, root FROM passed_root WHERE passed_root.origin = head.origin)",
                (origin,),
            )
        _drop(database, origin)


def _drop(database: sqlite3.Connection, origin: str) -> None:
    for table in ("halfway", "passed_root", "passed_leaf"):
        database.execute(f"DELETE FROM {table} WHERE origin = ?", (origin,))  # noqa: S608 - our own names
