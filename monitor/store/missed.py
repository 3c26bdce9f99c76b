"""What witnesses missed of each log while they were away, and how far that was audited again."""

import hashlib
from dataclasses import dataclass

from log.evidence.heads import Head
from log.merkle.hashing import EMPTY_ROOT
from monitor.store.observations import ObservationRows

_OURS = "SELECT size, root FROM head WHERE origin = ? AND size <= ? AND state = 'agreed' ORDER BY size DESC LIMIT 1"
_IS = (
    "origin = ?1 AND size = ?2 AND root = ?3 AND seq = (SELECT seq FROM observation WHERE origin = ?1 AND digest = ?4)"
)


@dataclass(frozen=True, slots=True)
class Window:
    """The entries of a log between two of its trees, to be read again."""

    size: int  # of the smaller one
    root: bytes
    head: Head  # of the larger one
    at: int | None = None  # size up to which they were read again; None: not begun
    frontier: bytes = b""  # log.merkle.frontier encoding there


class MissedRows(ObservationRows):
    """The rows about such windows, one for each log, and about who is away."""

    def away(self, origin: str) -> dict[str, int]:
        """Return which witnesses of a log are away, by name, with the size that each vouched for last."""
        with self._reading() as database:
            return dict(database.execute("SELECT witness, size FROM away WHERE origin = ?", (origin,)).fetchall())

    def keep_away(self, origin: str, witness: str, size: int) -> None:
        """Keep that a witness is away that vouched for `size` entries last; the first such size stays."""
        with self._transaction() as database:
            database.execute("INSERT OR IGNORE INTO away VALUES (?, ?, ?)", (origin, witness, size))

    def missed(self, origin: str) -> Window | None:
        """Return what is to be audited again of a log, or None."""
        with self._reading() as database:
            row = database.execute(
                "SELECT size, root, seq, at, frontier FROM missed WHERE origin = ?", (origin,)
            ).fetchone()
            return None if row is None else Window(row[0], row[1], self._head(row[2]), row[3], row[4])

    def keep_missed(self, size: int, head: Head, witness: str) -> None:
        """Keep what a witness missed that vouched for `size` entries last, and for `head` (observed before) now.

        It is no longer away. The window begins with the largest tree of ours that is no larger, for theirs may be
        another one. What is kept of that log already is widened by it, and read from its beginning if that is another.
        """
        with self._transaction() as database:
            row = database.execute(_OURS, (head.origin, size)).fetchone()
            (begin, root), kept = row or (0, EMPTY_ROOT), self.missed(head.origin)
            window = Window(begin, root, head)
            if kept is not None:
                goal = max((kept.head, head), key=lambda each: each.size)
                begun = kept if kept.size <= window.size else window
                window = Window(begun.size, begun.root, goal, begun.at, begun.frontier)
            database.execute(
                "INSERT OR REPLACE INTO missed SELECT ?1, ?3, ?4, seq, ?5, ?6 FROM observation"
                " WHERE origin = ?1 AND digest = ?2",
                (*_key(window), window.size, window.root, window.at, window.frontier),
            )
            database.execute("DELETE FROM away WHERE origin = ? AND witness = ?", (head.origin, witness))

    def keep_audited(self, window: Window, at: int | None, frontier: bytes) -> None:
        """Record up to which size a window was read again, unless it is another one by now; None: not begun."""
        with self._transaction() as database:
            database.execute(f"UPDATE missed SET at = ?5, frontier = ?6 WHERE {_IS}", (*_named(window), at, frontier))  # noqa: S608

    def have_audited(self, window: Window) -> None:
        """Forget a window that was read again to its end, unless it is another one by now."""
        with self._transaction() as database:
            database.execute(f"DELETE FROM missed WHERE {_IS}", _named(window))  # noqa: S608


def _key(window: Window) -> tuple[str, bytes]:
    return window.head.origin, hashlib.sha256(window.head.note).digest()


def _named(window: Window) -> tuple[str, int, bytes, bytes]:
    origin, digest = _key(window)
    return origin, window.size, window.root, digest
