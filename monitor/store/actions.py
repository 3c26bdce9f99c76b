"""Governance actions that count, each with the proof under which it came, and what each node holds of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from monitor.alert import Alert
from monitor.store.alerts import AlertRows
from monitor.store.evidence import Evidence


@dataclass(frozen=True, slots=True)
class KeptAction:
    """One action as it came."""

    hash: bytes  # SHA-256 of the action's text
    chain: str
    seq: int
    note: bytes  # the signed note
    proof: bytes  # the tlog-proof that bears it, on a head of the governance log `source`
    source: str  # that log's origin


@dataclass(frozen=True, slots=True)
class Holding:
    """What a governance log held when we looked last, and what of it we brought there."""

    count: int
    seen_ms: int
    carried: int


class ActionRows(AlertRows):
    """The rows about governance. Actions belong to a genesis, by its SHA-256; none is ever removed."""

    def keep_actions(
        self,
        genesis: bytes,
        actions: Iterable[KeptAction],
        proofs: Iterable[Evidence],
        now_ms: int,
        alerts: Sequence[Alert] = (),
    ) -> None:
        """Keep actions, what they prove and alerts, in one transaction. What is there already stays as it came first.

        The alerts are raised only where some proof is new.
        """
        with self._transaction() as database:
            database.executemany(
                "INSERT OR IGNORE INTO action VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [(genesis, a.hash, a.chain, a.seq, a.note, a.proof, a.source, now_ms) for a in actions],
            )
            made = database.executemany(
                "INSERT OR IGNORE INTO evidence VALUES (?, ?, ?, ?, ?)",
                [(proof.id, proof.kind.value, proof.origin, proof.object, proof.found_ms) for proof in proofs],
            )
            if made.rowcount > 0:
                self.raise_alerts(alerts, now_ms)

    def actions(self, genesis: bytes) -> list[KeptAction]:
        """Return every action of a genesis, in the order in which they came."""
        with self._reading() as database:
            rows = database.execute(
                "SELECT hash, chain, seq, note, proof, source FROM action WHERE genesis = ? ORDER BY rowid", (genesis,)
            )
            return [KeptAction(*row) for row in rows]

    def keep_holding(self, origin: str, count: int, now_ms: int) -> None:
        """Keep how many actions a governance log holds now."""
        with self._transaction() as database:
            database.execute("INSERT OR REPLACE INTO holding VALUES (?, ?, ?)", (origin, count, now_ms))

    def keep_carried(self, origin: str, action: bytes, now_ms: int) -> None:
        """Keep that we brought an action, by its hash, to a governance log."""
        with self._transaction() as database:
            database.execute("INSERT OR IGNORE INTO carried VALUES (?, ?, ?)", (origin, action, now_ms))

    def holding(self, origin: str) -> Holding | None:
        """Return what a governance log held last, or None when it was never asked."""
        with self._reading() as database:
            row = database.execute("SELECT count, seen_ms FROM holding WHERE origin = ?", (origin,)).fetchone()
            (carried,) = database.execute("SELECT count(*) FROM carried WHERE origin = ?", (origin,)).fetchone()
            return None if row is None else Holding(row[0], row[1], carried)
