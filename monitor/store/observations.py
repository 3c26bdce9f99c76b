"""All signed heads that were observed: a chain that is only appended to, each raw as it came."""

import hashlib

from log.errors import StateRefused
from log.evidence.heads import Head
from log.formats.note import KeyType
from monitor.observation import GENESIS, Observation
from monitor.store.leaf_times import LeafTimeRows

OPEN = "open"  # what becomes of a tree that is seen for the first time: `heads`


class ObservationRows(LeafTimeRows):
    """The rows about observations."""

    def check_chain(self, rows: int) -> None:
        """Raise `StateRefused` unless the newest observations are those that were written, each after the other."""
        chained = self._database.execute(
            "SELECT seq, origin, source, received_ms, raw, previous, hash FROM observation ORDER BY seq DESC LIMIT ?",
            (rows,),
        )
        expected, count = None, 0
        for seq, origin, source, received_ms, raw, previous, digest in chained:
            count += 1
            link = Observation(seq, origin, source, received_ms, raw, previous, digest)
            if (expected is not None and digest != expected) or not link.holds:
                raise StateRefused(f"the chain of observations is broken at {seq}")
            expected = previous
        if 0 < count < rows and expected != GENESIS:
            raise StateRefused("the chain of observations does not begin at its beginning")

    def observe(self, head: Head, source: str, now_ms: int, *, timed: bool = True) -> bool:
        """Append a validly signed head. False when these very lines were there already.

        A tree not seen before is `open` from then on. Where leaves of its log tell their time (`timed`) the head is to
        be held against them, see `LeafTimeRows`.
        """
        digest = hashlib.sha256(head.note).digest()
        with self._transaction() as database:
            known = database.execute(
                "SELECT 1 FROM observation WHERE origin = ? AND digest = ?", (head.origin, digest)
            ).fetchone()
            if known:
                return False
            last = database.execute("SELECT seq, hash FROM observation ORDER BY seq DESC LIMIT 1").fetchone()
            seq, previous = (last[0] + 1, last[1]) if last else (1, GENESIS)
            link = Observation.make(previous, seq, head.origin, source, now_ms, head.raw)
            database.execute(
                "INSERT INTO observation VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    seq,
                    head.origin,
                    head.size,
                    head.root,
                    head.note,
                    head.raw,
                    head.complete,
                    digest,
                    source,
                    now_ms,
                    previous,
                    link.hash,
                ),
            )
            database.execute(
                "INSERT OR IGNORE INTO head VALUES (?, ?, ?, ?, ?)", (head.origin, head.size, head.root, OPEN, seq)
            )
            database.executemany(
                "INSERT INTO head_time VALUES (?, ?, ?, ?, ?)",
                [(head.origin, kind, time, head.size, seq) for kind, time in head.times],
            )
            if timed and head.times:
                self._await_leaves(database, head, seq)
            return True

    def newest(self, origin: str, limit: int) -> list[Head]:
        """Return the heads of a log that were observed last, in the order in which they came."""
        with self._reading():
            seqs = self._seqs("SELECT seq FROM observation WHERE origin = ? ORDER BY seq DESC LIMIT ?", origin, limit)
            return [self._head(seq) for seq in reversed(seqs)]

    def observed(self, seq: int) -> Head:
        """Return one observation; there must be one."""
        with self._reading():
            return self._head(seq)

    def met(self, note: bytes) -> tuple[str, int] | None:
        """Return where and when (ms) a head was met first, by its log's own lines; None for one that never was."""
        origin = note.partition(b"\n")[0].decode("utf-8", "replace")
        with self._reading() as database:
            row: tuple[str, int] | None = database.execute(
                "SELECT source, received_ms FROM observation WHERE origin = ? AND digest = ?",
                (origin, hashlib.sha256(note).digest()),
            ).fetchone()
            return row

    def met_ms(self, origin: str) -> int | None:
        """Return when the first head of a log came to us, or None."""
        with self._reading() as database:
            (met_ms,) = database.execute(
                "SELECT received_ms FROM observation WHERE origin = ? ORDER BY seq LIMIT 1", (origin,)
            ).fetchone() or (None,)
            return met_ms

    def raw_notes(self, origin: str) -> list[bytes]:
        """Return every head of a log as it came, in the order in which it came."""
        with self._reading() as database:
            rows = database.execute("SELECT raw FROM observation WHERE origin = ? ORDER BY seq", (origin,))
            return [row[0] for row in rows]

    def _seqs(self, query: str, *values: object) -> list[int]:
        return [row[0] for row in self._database.execute(query, values)]

    def _head(self, seq: int) -> Head:
        origin, size, root, note, raw, complete = self._database.execute(
            "SELECT origin, size, root, note, raw, complete FROM observation WHERE seq = ?", (seq,)
        ).fetchone()
        times = self._database.execute(
            "SELECT type, time_ms FROM head_time WHERE seq = ? ORDER BY type, time_ms", (seq,)
        )
        return Head(origin, size, root, tuple((KeyType(kind), time) for kind, time in times), note, raw, bool(complete))
