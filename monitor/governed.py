"""Governance as this monitor knows it: every action that counts from the pinned genesis on, kept raw.

Whoever brings an action is not believed: `arrange` says which count, and only those are kept and carried. That a
seq is signed twice is evidence (E9) from the moment at which both are here.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from log.certs.trustlist import TrustList
from log.errors import StateRefused
from log.evidence import actions
from log.evidence import objects as evidence
from log.evidence.heads import Kind
from log.formats.genesis import Genesis
from log.governance.chains import Chain, Chains, Signed, arrange
from log.governance.fold import State
from log.governance.ledger import Ledger
from log.governance.timeline import Timeline
from monitor.limits import Limits
from monitor.outcome import Finding, Outcome, alert_of
from monitor.rules.case import with_suspensions
from monitor.store import Evidence, KeptAction, Store

Brought = tuple[Signed, bytes, str]  # an action, the proof that bears it, the origin of the log that the proof is of


class Governed:
    """The actions of one genesis. `load` first; after that `take` alone adds to them."""

    def __init__(self, genesis: Genesis, store: Store, limits: Limits, now_ms: Callable[[], int]) -> None:
        self.genesis = genesis
        self.findings: tuple[Finding, ...] = ()  # which seqs are signed twice; of each there is evidence
        self._kept: dict[bytes, KeptAction] = {}
        self._ledger = Ledger(genesis)  # replaced as a whole, never changed: others may be reading it
        self._timeline = Timeline(self._ledger.chains)
        self._store = store
        self._limits = limits
        self._now_ms = now_ms
        self._taking = asyncio.Lock()

    def load(self) -> None:
        """Arrange what the state holds. `StateRefused` when it holds more than it may."""
        rows = self._store.actions(self.genesis.hash)
        if len(rows) > self._limits.actions_held:
            raise StateRefused(f"the state holds {len(rows)} actions; actions_held allows {self._limits.actions_held}")
        self._set({row.hash: row for row in rows}, [Signed.parse(row.note) for row in rows])

    @property
    def chains(self) -> Chains:
        """What counts."""
        return self._ledger.chains

    @property
    def digest(self) -> bytes:
        """The SHA-256 over the sorted hashes of all actions that are here: whoever has the same holds the same."""
        return self._ledger.digest

    @property
    def hashes(self) -> frozenset[bytes]:
        """The hashes of all actions that are here."""
        return frozenset(self._kept)

    @property
    def count(self) -> int:
        """How many actions are here."""
        return len(self._kept)

    def holds(self, action: bytes) -> bool:
        """Say whether an action, by its hash, is here."""
        return action in self._kept

    def kept(self, action: bytes) -> KeptAction:
        """Return an action that is here."""
        return self._kept[action]

    def state(self) -> tuple[Chains, State]:
        """Return what counts, and what holds by it now."""
        timeline = self._timeline
        return timeline.chains, timeline.at(self._now_ms())

    def at(self, date_ms: int) -> Mapping[str, TrustList]:
        """Return each side's trust list as it speaks of a date: the newest version, with what was suspended then."""
        timeline = self._timeline
        newest = timeline.at(self._now_ms()).trust_lists
        then = timeline.at(date_ms).trust_lists
        return {side: with_suspensions(each, then[side]) for side, each in newest.items()}

    async def take(self, brought: Sequence[Brought]) -> tuple[int, list[tuple[Signed, str]]]:
        """Keep of these what counts; return how many are new, and the others, each with the reason.

        Several at a time, because one may count by another that comes with it.
        """
        async with self._taking:
            fresh = {signed.hash: (signed, proof, source) for signed, proof, source in brought}
            fresh = {key: value for key, value in fresh.items() if key not in self._kept}
            if not fresh:
                return 0, []
            if len(fresh) > self._limits.actions_held - len(self._kept):
                return 0, [(signed, "no room: see actions_held") for signed, _, _ in fresh.values()]
            return await asyncio.to_thread(self._take, fresh)

    def _take(self, fresh: dict[bytes, Brought]) -> tuple[int, list[tuple[Signed, str]]]:
        held = list(self._ledger)
        chains = arrange(self.genesis, [*held, *(signed for signed, _, _ in fresh.values())])
        counting = {signed.hash for chain in chains.chains.values() for signed in everything(chain)}
        rows = [
            KeptAction(key, signed.action.chain, signed.action.seq, signed.note.encode(), proof, source)
            for key, (signed, proof, source) in fresh.items()
            if key in counting
        ]
        if rows:
            proofs = [self._prove(chains, pair) for pair in chains.double_signed()]
            alerts = [alert_of(_finding(proof)) for proof in proofs]
            self._store.keep_actions(self.genesis.hash, rows, proofs, self._now_ms(), alerts)
            new = [signed for key, (signed, _, _) in fresh.items() if key in counting]
            self._set(self._kept | {row.hash: row for row in rows}, [*held, *new])
        return len(rows), [(signed, "does not count") for key, (signed, _, _) in fresh.items() if key not in counting]

    def _set(self, kept: dict[bytes, KeptAction], actions: Sequence[Signed]) -> None:
        ledger = Ledger(self.genesis)
        ledger.load(actions)
        self._kept, self._ledger, self._timeline = kept, ledger, Timeline(ledger.chains)
        pairs = ledger.chains.double_signed()
        self.findings = tuple(_finding(self._prove(ledger.chains, pair)) for pair in pairs)

    def _prove(self, chains: Chains, pair: tuple[Signed, Signed]) -> Evidence:
        """Return the evidence of a seq signed twice: that which is kept, else new, and seen to prove what it says."""
        subject = f"chain {pair[0].action.chain} seq {pair[0].action.seq}"
        for held in self._store.evidence(subject):
            return held
        data = actions.encode(chains, pair)
        actions.check(data, self.genesis.hash)
        return Evidence(evidence.identify(data), Kind.SAME_SEQ, subject, data, self._now_ms())


def _finding(proof: Evidence) -> Finding:
    text = f"two actions of one seq are signed (E9, evidence {proof.id.hex()[:16]})"
    return Finding(Outcome.PROVEN, proof.origin, "double-signed", text, evidence=proof.id.hex())


def everything(chain: Chain) -> Sequence[Signed]:
    """Return all that counts of a chain, by seq."""
    return (*chain.actions, *chain.disputed)
