"""SCTs that were handed to us, and what became of each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from log.evidence.heads import Kind
from monitor.alert import Alert
from monitor.store.evidence import Evidence, EvidenceRows


@dataclass(frozen=True, slots=True)
class Promise:
    """One verified SCT."""

    origin: str
    index: int
    sct: bytes  # serialised
    leaf: bytes  # the MerkleTreeLeaf that it signs

    @property
    def id(self) -> bytes:
        """By which it is known again."""
        return sha256(self.sct + self.leaf).digest()

    @property
    def time_ms(self) -> int:
        """The time that it names."""
        return int.from_bytes(self.leaf[2:10])


class PromiseRows(EvidenceRows):
    """The rows about promises."""

    def keep_promises(self, promises: Iterable[Promise], now_ms: int) -> None:
        """Keep promises; those that are there already stay as they are."""
        with self._transaction() as database:
            database.executemany(
                "INSERT OR IGNORE INTO promise VALUES (?, ?, ?, ?, ?, ?, ?, 'open')",
                [(each.id, each.origin, each.index, each.time_ms, each.sct, each.leaf, now_ms) for each in promises],
            )

    def open_promises(self, origin: str, size: int, signed_ms: int, limit: int) -> list[Promise]:
        """Return promises that a head of this size and time may settle: its index is covered, or it is not in time."""
        with self._reading() as database:
            rows = database.execute(
                "SELECT origin, leaf_index, sct, leaf FROM promise WHERE origin = ?"
                " AND (state IN ('open', 'late') AND leaf_index < ? OR state = 'open' AND time_ms < ?)"
                " ORDER BY leaf_index LIMIT ?",
                (origin, size, signed_ms, limit),
            )
            return [Promise(*row) for row in rows]

    def promises(self, origin: str) -> dict[str, int]:
        """Return how many promises of a log there are, by what became of them."""
        with self._reading() as database:
            found = database.execute(
                "SELECT state, COUNT(*) FROM promise WHERE origin = ? GROUP BY state ORDER BY state", (origin,)
            )
            return dict(found.fetchall())

    def settle_promise(self, promise: Promise, state: str) -> None:
        """Record what became of a promise: `kept`, `broken`, `late`."""
        with self._transaction() as database:
            database.execute("UPDATE promise SET state = ? WHERE id = ?", (state, promise.id))

    def convict_promise(self, promise: Promise, evidence: Evidence, limit: int, alerts: Sequence[Alert]) -> None:
        """Keep evidence, what is told of it, and what became of the promise, in one transaction."""
        with self._transaction():
            self.keep_evidence(evidence, limit, alerts)
            self.settle_promise(promise, "late" if evidence.kind is Kind.LATE else "broken")
