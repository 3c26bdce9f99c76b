"""Cosignatures: the head that we cosigned last of each log, the largest that every other witness did, and what else a
witness vouched for as long as that may prove it a liar.
"""

from dataclasses import dataclass

from log.evidence.heads import Head
from monitor.store.database import Database

# What a witness vouched for and our own tree bears out says nothing more than the largest such tree.
_BORNE_OUT = (
    "EXISTS (SELECT 1 FROM head WHERE head.origin = vouching.origin AND head.size = vouching.size"
    " AND head.root = vouching.root AND state = 'agreed')"
)


@dataclass(frozen=True, slots=True)
class Vouched:
    """A head of a log under a witness's cosignature."""

    size: int
    root: bytes
    time_s: int
    note: bytes  # the log's lines and this witness's


class CosignatureRows(Database):
    """The rows about cosignatures. What we cosigned changes by compare-and-swap only."""

    def witness(self, origin: str) -> tuple[int, bytes, bytes] | None:
        """Return (size, root, note) of the head that we cosigned last, or None before the first."""
        with self._reading() as database:
            row = database.execute("SELECT size, root, note FROM witness WHERE origin = ?", (origin,)).fetchone()
            return None if row is None else (row[0], row[1], row[2])

    def swap_witness(self, old: tuple[int, bytes] | None, head: Head) -> bool:
        """Replace the head that we cosigned last, if it is still `old` (size, root); False when it is not."""
        with self._transaction() as database:
            if old is None:
                made = database.execute(
                    "INSERT OR IGNORE INTO witness VALUES (?, ?, ?, ?)", (head.origin, head.size, head.root, head.note)
                )
            else:
                made = database.execute(
                    "UPDATE witness SET size = ?, root = ?, note = ? WHERE origin = ? AND size = ? AND root = ?",
                    (head.size, head.root, head.note, head.origin, *old),
                )
            return made.rowcount == 1

    def own_time(self, origin: str, now_s: int) -> int:
        """Return the time to cosign a log's head with, now kept: `now_s`, and never before the last one."""
        with self._transaction() as database:
            database.execute(
                "INSERT INTO own_time VALUES (?, ?) ON CONFLICT DO UPDATE SET time_s = max(time_s, excluded.time_s)",
                (origin, now_s),
            )
            row = database.execute("SELECT time_s FROM own_time WHERE origin = ?", (origin,)).fetchone()
            return int(row[0])

    def keep_cosigned(self, origin: str, witness: str, vouched: Vouched) -> None:
        """Keep a head that a witness cosigned, unless a larger or later one is kept already."""
        with self._transaction() as database:
            database.execute(
                "INSERT INTO cosigned VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
                " size = excluded.size, root = excluded.root, time_s = excluded.time_s, note = excluded.note"
                " WHERE (excluded.size, excluded.time_s) > (size, time_s)",
                (origin, witness, vouched.size, vouched.root, vouched.time_s, vouched.note),
            )
            if not vouched.time_s:
                return  # such a line vouches for nothing
            database.execute(
                "INSERT OR IGNORE INTO vouching VALUES (?, ?, ?, ?, ?, ?)",
                (origin, witness, vouched.size, vouched.root, vouched.time_s, vouched.note),
            )
            database.execute(
                f"DELETE FROM vouching WHERE origin = ?1 AND witness = ?2 AND {_BORNE_OUT} AND size <"  # noqa: S608
                f" (SELECT max(size) FROM vouching WHERE origin = ?1 AND witness = ?2 AND {_BORNE_OUT})",
                (origin, witness),
            )

    def vouchings(self, origin: str) -> list[tuple[str, Vouched, str]]:
        """Return (witness, what it vouched for, what became of that tree) of all that is kept of a log, by size.

        Of the trees that our own bears out only the largest of each witness is.
        """
        with self._reading() as database:
            rows = database.execute(
                "SELECT witness, vouching.size, vouching.root, time_s, note, state FROM vouching"
                " JOIN head USING (origin, size, root) WHERE origin = ? ORDER BY witness, vouching.size, vouching.root",
                (origin,),
            )
            return [(row[0], Vouched(*row[1:5]), row[5]) for row in rows]

    def cosigned(self, origin: str, witness: str) -> Vouched | None:
        """Return the largest head known to bear a witness's cosignature, or None."""
        with self._reading() as database:
            row = database.execute(
                "SELECT size, root, time_s, note FROM cosigned WHERE origin = ? AND witness = ?", (origin, witness)
            ).fetchone()
            return None if row is None else Vouched(*row)
