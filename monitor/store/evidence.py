"""What logs, witnesses and sides are convicted or suspected of: objects kept for ever, each with its alerts."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from log.evidence.heads import Head, Kind
from monitor.alert import Alert
from monitor.store.alerts import AlertRows
from monitor.store.heads import REFUTED, HeadRows
from monitor.store.observations import OPEN


@dataclass(frozen=True, slots=True)
class Evidence:
    """A contradiction, kept for ever."""

    id: bytes  # SHA-256 of `object`
    kind: Kind
    origin: str  # of the log; of governance `chain <name> seq <seq>`
    object: bytes  # log.evidence
    found_ms: int


class EvidenceRows(HeadRows, AlertRows):
    """The rows about evidence."""

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
