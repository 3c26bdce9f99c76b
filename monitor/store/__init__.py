"""What the monitor remembers: one SQLite database (monitoring.md §5.3).

    observation   every validly signed head, raw, append-only; each row's hash covers the row before it
    head          the distinct trees (size, root) that a log has signed, and what became of each:
                  `open` until data settle it, then `agreed` (a prefix of what we verified) or `refuted`;
                  `convicted` is open too, but its signatures alone have proven a lie already
    head_time     the signed times of each observation, to find contradictions in time
    verified      per log: how far its root was rebuilt from its entries, with the frontier to go on from
    witness       per log: the head that *we* cosigned last; only a compare-and-swap changes it
    cosigned      per log and witness: the largest head that bears this witness's cosignature
    vouching      per log and witness: the heads by which it may yet be proven to have vouched for two histories
    evidence      contradictions, as objects that anyone can check
    charge        about what else than two heads evidence was made
    action        governance actions that count, raw, each with the proof under which it came
    holding       per governance log: how many actions it held last
    halfway       per log: where the last look stopped on the way to a head that is further than one look goes
    passed_root   per log: the roots of our tree at signed sizes that were passed on that way
    passed_leaf   per log: the latest leaves there, as `latest_leaf` has them once that head is verified
    latest_leaf   per log, at some sizes: the latest leaf below
    unread        heads that are still to be held against the leaves of their trees, once these are settled
    brought       per log and day: how many heads relying parties brought
    spare         beyond what is kept of a day: per tree the earliest and the latest head that they brought
    missed        per log: what a witness missed, and how far that was audited again
    tally         per log: how much is known of it, counted as it is written
    carried       per governance log: which actions we brought there
    promise       SCTs that were handed to us, and what became of each
    peer          per other monitor: how far its chain of observations was read
    heeded        per other monitor: the logs whose heads were taken from its chain; `whole` when from its beginning on
    reread        per other monitor: how far its chain was read again for the logs that are not `whole`
    relayed       per other monitor: which evidence it has
    alert         what was to be told, when it was raised and when it ended
    outbox        which channel was told, or not yet
    judged        per log: how far its entries were judged
    issued        per certificate in a log: what rules look up (fingerprint, issuer and serial, fold)
    unreadable    per log: what in it cannot be read as a certificate, by its SHA-256
    first_use     per certificate that an event names: the first one
    finding       what rules have found, once for each rule and certificate; `finding_tally` counts them by code
    branch        per refuted head: how far its tree was read, when nobody gave it last (`tried_ms`: 0 while it is
                  read), and how far our own branch is to be judged before anything of it is marked
    branch_entry  what was read there and is not held against our own branch yet
    fault         what sources find now, since when: an alert lasts while one of them finds it
    clock         how wall and monotonic clock stood to each other, per boot

Positions are two: the largest signed head seen (`head`) and the largest rebuilt (`verified`). A state belongs to one
process at a time (a lock file that the kernel frees), and to one witness key. In reading order:

    schema        the tables
    database      the file: made once, held by one process, written in one way
    leaf_times    how late leaves are, and which heads wait to be held against them
    observations  signed heads, raw, as they came
    heads         the distinct trees among them, and what became of each
    halfway       a way that is longer than one look
    verified      how far a log was rebuilt
    missed        what is to be audited again
    evidence      what anybody is convicted of
    charges       evidence about a leaf, a witness, or what was served
    cosignatures  who cosigned what
    gossip        other monitors
    spare         heads for which others stand
    promises      SCTs
    actions       governance, and who holds how much of it
    alerts        what is to be told, and what was
    judged        what was judged, and what came of it
    branches      the branches of a fork that we do not follow
    clock         our own clock
    counted       how many there are of what is told
"""

from pathlib import Path
from typing import Self

from monitor.store.actions import ActionRows, Holding, KeptAction
from monitor.store.alerts import GIVEN_UP, SENT, WAITING, Delivery, Fault, KeptAlert
from monitor.store.branches import Branch, BranchEntry, BranchRows
from monitor.store.charges import ChargeRows
from monitor.store.clock import ClockRows
from monitor.store.cosignatures import CosignatureRows, Vouched
from monitor.store.counted import CountedRows
from monitor.store.database import FOLD_WRITES
from monitor.store.evidence import Evidence
from monitor.store.gossip import GossipRows
from monitor.store.halfway import Halfway
from monitor.store.heads import AGREED, CONVICTED, REFUTED, Apart, Counts, Unsettled
from monitor.store.judged import JudgedRows, KeptFinding, Looked, Position
from monitor.store.missed import MissedRows, Window
from monitor.store.observations import OPEN
from monitor.store.promises import Promise, PromiseRows
from monitor.store.spare import SpareRows
from monitor.store.verified import Verified, VerifiedRows

__all__ = [
    "AGREED", "CONVICTED", "GIVEN_UP", "OPEN", "REFUTED", "SENT", "WAITING",
    "Apart", "Branch", "BranchEntry", "Counts", "Delivery", "Evidence", "Fault", "Halfway", "Holding", "KeptAction",
    "KeptAlert", "KeptFinding", "Looked", "Position", "Promise", "Store", "Unsettled", "Verified", "Vouched",
    "Window",
]  # fmt: skip


class Store(
    GossipRows,
    VerifiedRows,
    MissedRows,
    SpareRows,
    PromiseRows,
    ChargeRows,
    CosignatureRows,
    ActionRows,
    ClockRows,
    BranchRows,
    JudgedRows,
    CountedRows,
):
    """The open state."""

    @classmethod
    def open(cls, path: Path, witness: str, chain_rows: int, fold_writes: int = FOLD_WRITES) -> Self:
        """Open for writing. `StateRefused` when missing, damaged or another key's; `StoreLocked` when in use."""
        store = cls.hold(path, witness, fold_writes)
        try:
            store.check_chain(chain_rows)
        except BaseException:
            store.close()
            raise
        return store
