"""What others exchange with us: our chain of observations, how far we read those of other monitors, what evidence
they have.
"""

from collections.abc import Collection

from log.evidence.heads import Kind
from monitor.observation import Observation
from monitor.store.database import Database
from monitor.store.evidence import Evidence

_COLUMNS = "seq, origin, source, received_ms, raw, previous, hash"


class GossipRows(Database):
    """The rows about other monitors."""

    def observations(self, after: int, rows: int, max_bytes: int) -> list[Observation]:
        """Return the observations that follow `after`, at most so many, of so many raw bytes, and always two.

        The first is where the reader stands, so each page brings at least one that is new.
        """
        page: list[Observation] = []
        with self._reading() as database:
            query = f"SELECT {_COLUMNS} FROM observation WHERE seq > ? ORDER BY seq LIMIT ?"  # noqa: S608 - our words
            for row in database.execute(query, (after, rows)):
                max_bytes -= len(row[4])
                if len(page) > 1 and max_bytes < 0:
                    break
                page.append(Observation(*row))
        return page

    def link(self, seq: int | None = None) -> tuple[int, bytes] | None:
        """Return (seq, hash) of one observation, of the newest by default; None when there is none."""
        with self._reading() as database:
            where = "ORDER BY seq DESC LIMIT 1" if seq is None else "WHERE seq = ?"
            query = f"SELECT seq, hash FROM observation {where}"  # noqa: S608 - our own words
            row: tuple[int, bytes] | None = database.execute(query, () if seq is None else (seq,)).fetchone()
            return row

    def read_of(self, peer: str) -> tuple[int, bytes] | None:
        """Return (seq, hash) up to which a peer's chain was read, or None."""
        with self._reading() as database:
            row: tuple[int, bytes] | None = database.execute(
                "SELECT seq, hash FROM peer WHERE vkey = ?", (peer,)
            ).fetchone()
            return row

    def keep_read(self, peer: str, seq: int, hash_: bytes) -> None:
        """Keep how far a peer's chain was read."""
        with self._transaction() as database:
            database.execute("INSERT OR REPLACE INTO peer VALUES (?, ?, ?)", (peer, seq, hash_))

    def heed(self, peer: str, origins: Collection[str]) -> tuple[set[str], tuple[int, bytes] | None]:
        """Keep whose heads are taken from a peer's chain from now on: of these logs, and no others.

        Return those of them whose earlier heads there were passed over, and (seq, hash) up to which the chain was read
        again for them: None at its beginning, which is where a new one among them takes it back to.
        """
        with self._transaction() as database:
            fresh = database.execute("SELECT 1 FROM peer WHERE vkey = ?", (peer,)).fetchone() is None
            held = dict(database.execute("SELECT origin, whole FROM heeded WHERE vkey = ?", (peer,)).fetchall())
            gone = [(peer, origin) for origin in held.keys() - set(origins)]
            database.executemany("DELETE FROM heeded WHERE vkey = ? AND origin = ?", gone)
            new = [(peer, origin, fresh) for origin in set(origins) - held.keys()]
            database.executemany("INSERT INTO heeded VALUES (?, ?, ?)", new)
            if new:
                database.execute("DELETE FROM reread WHERE vkey = ?", (peer,))
            rows = database.execute("SELECT origin FROM heeded WHERE vkey = ? AND whole = 0", (peer,)).fetchall()
            place = database.execute("SELECT seq, hash FROM reread WHERE vkey = ?", (peer,)).fetchone()
            return {origin for (origin,) in rows}, place

    def keep_reread(self, peer: str, seq: int, hash_: bytes) -> None:
        """Keep how far a peer's chain was read again."""
        with self._transaction() as database:
            database.execute("INSERT OR REPLACE INTO reread VALUES (?, ?, ?)", (peer, seq, hash_))

    def have_reread(self, peer: str) -> None:
        """Keep that nothing of the logs that are heeded was passed over."""
        with self._transaction() as database:
            database.execute("UPDATE heeded SET whole = 1 WHERE vkey = ?", (peer,))
            database.execute("DELETE FROM reread WHERE vkey = ?", (peer,))

    def unrelayed(self, peer: str, limit: int) -> list[Evidence]:
        """Return proven evidence that a peer was not given by us, oldest first."""
        with self._reading() as database:
            rows = database.execute(
                "SELECT id, kind, origin, object, found_ms FROM evidence WHERE NOT EXISTS"
                " (SELECT 1 FROM relayed WHERE relayed.id = evidence.id AND relayed.vkey = ?) AND kind != ?"
                " ORDER BY found_ms, id LIMIT ?",
                (peer, Kind.UNREPRODUCIBLE.value, limit),
            )
            return [Evidence(row[0], Kind(row[1]), row[2], row[3], row[4]) for row in rows]

    def keep_relayed(self, peer: str, evidence: bytes) -> None:
        """Keep that a peer has it: from us, or we from him."""
        with self._transaction() as database:
            database.execute("INSERT OR IGNORE INTO relayed VALUES (?, ?)", (peer, evidence))
