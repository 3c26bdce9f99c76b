"""How wall and monotonic clock stood to each other, per run of the machine."""

from monitor.store.database import Database

BOOTS_KEPT = 16


class ClockRows(Database):
    """The rows about our own clock. Both in ms."""

    def keep_clock(self, boot_id: str, wall_ms: int, monotonic_ms: int) -> None:
        """Keep what both show now; of old runs only the latest are kept."""
        with self._transaction() as database:
            database.execute("INSERT OR REPLACE INTO clock VALUES (?, ?, ?)", (boot_id, wall_ms, monotonic_ms))
            database.execute(
                "DELETE FROM clock WHERE boot_id NOT IN (SELECT boot_id FROM clock ORDER BY wall_ms DESC LIMIT ?)"
                " AND boot_id != ?",
                (BOOTS_KEPT, boot_id),
            )

    def clock(self, boot_id: str) -> tuple[int, int] | None:
        """Return what wall and monotonic clock showed last in a run of the machine, or None."""
        with self._reading() as database:
            row = database.execute("SELECT wall_ms, monotonic_ms FROM clock WHERE boot_id = ?", (boot_id,)).fetchone()
            return None if row is None else (row[0], row[1])

    def latest_clock(self) -> int | None:
        """Return the latest time that the wall clock ever showed, or None."""
        with self._reading() as database:
            (wall_ms,) = database.execute("SELECT max(wall_ms) FROM clock").fetchone()
            return None if wall_ms is None else int(wall_ms)
