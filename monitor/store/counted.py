"""How many there are of what is told, by words of this code and of the settings: what /metrics shows.

Each is one statement, over rows that are few or indexed, and none reads what rows hold.
"""

from collections.abc import Sequence

from log.evidence.heads import Kind
from monitor.alert import Class
from monitor.store.database import Database


class CountedRows(Database):
    """Counts."""

    def alert_counts(self) -> dict[tuple[Class, str, bool], int]:
        """Return how many alerts last, by (class, severity, whether a person has acknowledged them)."""
        query = (
            "SELECT class, severity, acknowledged_by IS NOT NULL AS seen, COUNT(*) FROM alert WHERE ended_ms IS NULL"
            " GROUP BY class, severity, seen"
        )
        with self._reading() as database:
            return {(Class(row[0]), row[1], bool(row[2])): row[3] for row in database.execute(query)}

    def certificate_alerts(self) -> int:
        """Return how many grave alerts about certificates, or such as somebody watches for, nobody has acknowledged."""
        query = (
            "SELECT COUNT(*) FROM alert WHERE ended_ms IS NULL AND acknowledged_by IS NULL AND"
            " (key GLOB 'watch *' OR (key GLOB 'rule *' AND severity IN ('critical', 'error')))"
        )
        with self._reading() as database:
            (count,) = database.execute(query).fetchone()
            return int(count)

    def evidence_counts(self) -> dict[Kind, int]:
        """Return how many evidence objects are kept, by kind."""
        with self._reading() as database:
            rows = database.execute("SELECT kind, COUNT(*) FROM evidence GROUP BY kind")
            return {Kind(row[0]): row[1] for row in rows}

    def delivery_counts(self, channels: Sequence[str]) -> dict[tuple[str, str], int]:
        """Return how many alerts these channels have not been told, by (channel, whether waiting or given up)."""
        marks = ", ".join("?" * len(channels))
        query = (
            f"SELECT channel, state, COUNT(*) FROM outbox WHERE state != 'sent' AND channel IN ({marks}) GROUP BY 1, 2"  # noqa: S608
        )
        with self._reading() as database:
            return {(row[0], row[1]): row[2] for row in database.execute(query, tuple(channels))}
