"""Heads that relying parties bring beyond what is kept of a day, and for which others of the same tree stand.

Of each tree and signature type the head of the earliest and the one of the latest time are kept, as the log signed it,
among the observations or here. One between them proves nothing that these do not: what contradicts it in time does
contradict one of these (`log.evidence.heads.contradiction`), a leaf later than it is later than the earliest, and what
it had to hold by its time the latest had to hold. So nothing that could be evidence is lost, and there are no more than
four rows here for each tree.
"""

from log.evidence.heads import Head
from monitor.store.database import Database

POLLINATION = "pollination"  # source of the heads that relying parties bring

_KEPT = (
    "SELECT time_ms FROM head_time JOIN observation USING (seq) WHERE head_time.origin = ? AND type = ?"
    " AND head_time.size = ? AND root = ? ORDER BY time_ms {} LIMIT 1"
)
_SPARE = "SELECT time_ms FROM spare WHERE origin = ? AND type = ? AND size = ? AND root = ? ORDER BY time_ms {} LIMIT 1"
_AGAINST = (
    "SELECT DISTINCT note FROM spare WHERE origin = ?1 AND type = ?2 AND ((time_ms > ?3 AND size < ?4)"
    " OR (time_ms < ?3 AND size > ?4) OR (time_ms = ?3 AND size != ?4)) LIMIT ?5"
)


class SpareRows(Database):
    """The rows about such heads."""

    def brought(self, origin: str, day: int) -> int:
        """Return how many heads of a log were kept on a day (since 1970, UTC) because relying parties brought them."""
        with self._reading() as database:
            row = database.execute("SELECT heads FROM brought WHERE origin = ? AND day = ?", (origin, day)).fetchone()
            return 0 if row is None else int(row[0])

    def is_earliest(self, head: Head) -> bool:
        """Say whether no head of its tree is kept that is as early, by one of its signature types."""
        return any(first is None or time < first for _, time, first, _ in self._between(head))

    def keep_spare(self, head: Head, now_ms: int) -> None:
        """Keep a head in the place of the earliest or latest one of its tree, where it is earlier or later."""
        rows = []
        for kind, time, first, last in self._between(head):
            if first is None or time < first:
                rows.append((head.origin, kind, head.size, head.root, 0, time, head.note, now_ms))
            if last is None or time > last:
                rows.append((head.origin, kind, head.size, head.root, 1, time, head.note, now_ms))
        if rows:
            with self._transaction() as database:
                database.executemany("INSERT OR REPLACE INTO spare VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def spares_against(self, head: Head, limit: int) -> list[bytes]:
        """Return notes kept here that may contradict a head in time: `contradiction` says whether they do."""
        found: dict[bytes, None] = {}
        with self._reading() as database:
            for kind, time in head.times:
                rows = database.execute(_AGAINST, (head.origin, kind, time, head.size, limit))
                found |= dict.fromkeys(row[0] for row in rows)
        return list(found)

    def newest_spares(self, origin: str, limit: int) -> list[bytes]:
        """Return the notes kept here that came last of a log, one for each place that it stands in."""
        query = "SELECT note FROM spare WHERE origin = ? ORDER BY received_ms DESC LIMIT ?"
        with self._reading() as database:
            return [row[0] for row in database.execute(query, (origin, limit))]

    def _between(self, head: Head) -> list[tuple[int, int, int | None, int | None]]:
        """Return (signature type, time in ms, earliest, latest kept of that tree) for each time of a head."""
        with self._reading() as database:

            def edge(kind: int, order: str) -> int | None:
                values = (head.origin, kind, head.size, head.root)
                rows = [database.execute(query.format(order), values).fetchone() for query in (_KEPT, _SPARE)]
                times = [row[0] for row in rows if row is not None]
                return (min if order == "ASC" else max)(times, default=None)

            return [(kind, time, edge(kind, "ASC"), edge(kind, "DESC")) for kind, time in head.times]
