"""The branches of a fork that we do not follow: how far each was read, and the certificates that stand there alone.

What is read waits in `branch_entry` until our own branch was judged as far as it was verified when the reading began:
only then is it known which certificates are on it. What is marked is a finding, and stays one.
"""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from monitor.alert import Alert
from monitor.rules.engine import Finding
from monitor.rules.table import OTHER_BRANCH
from monitor.store.evidence import EvidenceRows
from monitor.store.judged import Looked

# The state is asked twice: by the first the few heads of the index `head_apart` are looked through, and no others.
_HEADS = (
    "SELECT head.size, head.root, branch.name, branch.read FROM head LEFT JOIN branch"
    " ON branch.origin = head.origin AND branch.size = head.size AND branch.root = head.root"
    " WHERE head.origin = ? AND state IN ('refuted', 'convicted') AND state = 'refuted'"
)
_AGREED = "SELECT size, root FROM head WHERE origin = ? AND state = 'agreed' AND size > ? AND size <= ? ORDER BY size"


@dataclass(frozen=True, slots=True)
class Branch:
    """A signed tree on another branch than the one that we follow."""

    origin: str
    size: int
    root: bytes
    name: str = ""  # which branch: its head that was read first; "" before that
    read: int | None = None  # entries below are read, or stand on our branch too; None: not begun


@dataclass(frozen=True, slots=True)
class BranchEntry:
    """A certificate or precertificate in such a tree, or what cannot be read as one. Digests are 32 bytes."""

    index: int
    time_ms: int  # the leaf's
    fingerprint: bytes  # SHA-256 of it as it was met
    fold: bytes  # of a certificate and its precertificate; of what cannot be read, SHA-256
    issuer: bytes  # SHA-256 of the issuer's certificate, b"" where nobody knows


class BranchRows(EvidenceRows):
    """The rows about other branches."""

    def branches_to_read(self, origin: str, limit: int) -> list[Branch]:
        """Return refuted heads that are not read whole: first those under way, last those that nobody had lately."""
        where = "(branch.read IS NULL OR branch.read < head.size)"
        order = "ORDER BY coalesce(branch.tried_ms, 1), head.size DESC"
        return self._branches(f"{_HEADS} AND {where} {order} LIMIT ?", origin, limit)

    def branches_read(self, origin: str, size: int, limit: int) -> list[Branch]:
        """Return those that are read whole, first the nearest to a size."""
        order = "ORDER BY abs(head.size - ?)"
        return self._branches(f"{_HEADS} AND branch.read = head.size {order} LIMIT ?", origin, size, limit)

    def _branches(self, query: str, origin: str, *values: object) -> list[Branch]:
        with self._reading() as database:
            rows = database.execute(query, (origin, *values))
            return [Branch(origin, size, root, name or "", read) for size, root, name, read in rows]

    def agreed_between(self, origin: str, low: int, high: int) -> tuple[int, bytes] | None:
        """Return size and root of a signed tree of ours, low < size <= high, near the middle; None: there is none."""
        middle = (low + high + 1) // 2
        with self._reading() as database:
            below = database.execute(f"{_AGREED} DESC LIMIT 1", (origin, low, middle)).fetchone()
            row = below or database.execute(f"{_AGREED} LIMIT 1", (origin, middle, high)).fetchone()
            return None if row is None else (row[0], row[1])

    def keep_branch(self, branch: Branch, entries: Iterable[BranchEntry] = ()) -> None:
        """Record how far a tree was read, with what was read, in one transaction."""
        with self._transaction() as database:
            database.execute(
                "INSERT INTO branch SELECT ?, ?, ?, ?, ?, 0,"
                " coalesce((SELECT size FROM verified WHERE origin = ?), 0) WHERE true"
                " ON CONFLICT (origin, size, root) DO UPDATE SET"
                " name = excluded.name, read = excluded.read, tried_ms = 0,"
                " judged = CASE WHEN read IS NULL THEN excluded.judged ELSE judged END",
                (branch.origin, branch.size, branch.root, branch.name, branch.read, branch.origin),
            )
            database.executemany(
                "INSERT OR IGNORE INTO branch_entry VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (branch.origin, branch.size, branch.root, each.index, each.time_ms, each.fingerprint, each.fold,
                     each.issuer)
                    for each in entries
                ],
            )  # fmt: skip

    def miss_branch(self, branch: Branch, now_ms: int) -> None:
        """Record that nobody gave a tree now: others have their turn first."""
        with self._transaction() as database:
            database.execute(
                "INSERT INTO branch VALUES (?, ?, ?, '', NULL, ?, 0)"
                " ON CONFLICT (origin, size, root) DO UPDATE SET tried_ms = excluded.tried_ms",
                (branch.origin, branch.size, branch.root, max(2, now_ms)),
            )

    def branch_entries(self) -> int:
        """Return how many entries of other branches are marked, or wait for that, of all logs."""
        with self._reading() as database:
            query = "SELECT coalesce((SELECT findings FROM finding_tally WHERE code = ?), 0)"
            (marked,) = database.execute(query, (OTHER_BRANCH.code,)).fetchone()
            (waiting,) = database.execute("SELECT count(*) FROM branch_entry").fetchone()
            return int(marked) + int(waiting)

    def mark_branches(
        self,
        origin: str,
        limit: int,
        finding_of: Callable[[Branch, BranchEntry, int], Finding],
        alert_of: Callable[[Branch], Alert],
        now_ms: int,
    ) -> list[Branch]:
        """Mark what our own branch does not hold of the entries that wait, at most `limit` of them; one transaction.

        Nothing before our branch is judged far enough. `finding_of` is given how far that is. Return the branches of
        which something is new.
        """
        with self._transaction() as database:
            (judged,) = database.execute(
                "SELECT coalesce(max(size), 0) FROM judged WHERE origin = ?", (origin,)
            ).fetchone()
            index, found = Looked(database), dict[str, Branch]()
            for branch, entry in _waiting(database, origin, judged, limit):
                held = index.logged_in(origin, entry.fold) or index.unreadable_in(origin, entry.fold)
                if not held and index.keep(finding_of(branch, entry, judged), now_ms):
                    found.setdefault(branch.name, branch)
                database.execute(
                    "DELETE FROM branch_entry WHERE origin = ? AND size = ? AND root = ? AND idx = ?",
                    (origin, branch.size, branch.root, entry.index),
                )
            self.raise_alerts(map(alert_of, found.values()), now_ms)
            return list(found.values())


def _waiting(
    database: sqlite3.Connection, origin: str, judged: int, limit: int
) -> Sequence[tuple[Branch, BranchEntry]]:
    rows = database.execute(
        "SELECT size, root, name, read, idx, time_ms, fingerprint, fold, issuer FROM branch_entry"
        " JOIN branch USING (origin, size, root) WHERE origin = ? AND judged <= ? LIMIT ?",
        (origin, judged, limit),
    ).fetchall()
    return [(Branch(origin, *row[:4]), BranchEntry(*row[4:])) for row in rows]
