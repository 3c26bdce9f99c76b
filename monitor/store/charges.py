"""Evidence that rests on more than two heads: a leaf (E6), a witness (E7), what was served (E8). Each is made once.

What is served anybody on the way can spoil, so objects of kind E8 have a bound of their own and crowd out no proof.
"""

from collections.abc import Sequence

from log.evidence.heads import Kind
from monitor.alert import Alert
from monitor.store.evidence import Evidence, EvidenceRows


class ChargeRows(EvidenceRows):
    """The rows that say of what evidence was made already."""

    def charge(self, evidence: Evidence, about: str, limit: int, alerts: Sequence[Alert] = ()) -> bool:
        """Keep evidence, of what it was made, and alerts, in one transaction; at most `limit` of a kind for a subject.

        False when there was some about this, or there is no place for it.
        """
        with self._transaction() as database:
            query = "SELECT count(*) FROM evidence WHERE origin = ? AND kind = ?"
            (count,) = database.execute(query, (evidence.origin, evidence.kind.value)).fetchone()
            if count >= limit:
                return False
            made = database.execute(
                "INSERT OR IGNORE INTO charge VALUES (?, ?, ?, ?)",
                (evidence.origin, evidence.kind.value, about, evidence.id),
            )
            if made.rowcount != 1:
                return False
            self._add_evidence(database, evidence, ())
            self.raise_alerts(alerts, evidence.found_ms)  # also when others have brought the object before
            return True

    def charged(self, subject: str, kind: Kind, about: str) -> bytes | None:
        """Return the id of the evidence of a kind that was made about this, or None.

        `about` is the whole text, or the first word of it.
        """
        with self._reading() as database:
            row = database.execute(
                "SELECT evidence FROM charge WHERE origin = ? AND kind = ? AND (about = ? OR about GLOB ? || ' *')",
                (subject, kind.value, about, about),
            ).fetchone()
            return None if row is None else bytes(row[0])

    def charges(self, subject: str, kind: Kind) -> set[str]:
        """Return about what evidence of a kind was made; there is no more of it than `charge` has a limit for."""
        with self._reading() as database:
            rows = database.execute("SELECT about FROM charge WHERE origin = ? AND kind = ?", (subject, kind.value))
            return {row[0] for row in rows}
