"""How far each log was rebuilt from its entries, and what that settles."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from log.evidence.heads import Head
from monitor.store.halfway import HalfwayRows
from monitor.store.heads import AGREED, HeadRows


@dataclass(frozen=True, slots=True)
class Verified:
    """How far a log's tree was rebuilt."""

    head: Head
    frontier: bytes  # log.merkle.frontier encoding at head.size
    verified_ms: int


class VerifiedRows(HalfwayRows, HeadRows):
    """The rows about what was verified."""

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
