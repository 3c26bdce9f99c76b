"""Governance as this monitor knows it: every action that counts from the pinned genesis on, kept raw.

Whoever brings an action is not believed: `arrange` says which count, and only those are kept and carried. That a
seq is signed twice is evidence (E9) from the moment at which both are here.
"""

import asyncio
import threading
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256

from log.errors import StateRefused
from log.formats.genesis import Genesis
from log.governance import fold
from log.governance.chains import Chain, Chains, Signed, arrange
from log.governance.fold import State
from monitor import evidence
from monitor.judge import Kind
from monitor.limits import Limits
from monitor.outcome import Finding, Outcome
from monitor.store import Evidence, KeptAction, Store

Brought = tuple[Signed, bytes, str]  # an action, the proof that bears it, the origin of the log that the proof is of


class Governed:
    """The actions of one genesis. `load` first; after that `take` alone adds to them."""

    def __init__(self, genesis: Genesis, store: Store, limits: Limits, now_ms: Callable[[], int]) -> None:
        self.genesis = genesis
        self.chains: Chains = arrange(genesis, ())
        self.digest = digest(())
        self.findings: tuple[Finding, ...] = ()  # which seqs are signed twice; of each there is evidence
        self._kept: dict[bytes, KeptAction] = {}
        self._store = store
        self._limits = limits
        self._now_ms = now_ms
        self._taking = asyncio.Lock()
        self._folding = threading.Lock()
        self._state: State | None = None
        self._state_until_ms: int | None = None  # when the next action takes effect

    def load(self) -> None:
        """Arrange what the state holds. `StateRefused` when it holds more than it may."""
        rows = self._store.actions(self.genesis.hash)
        if len(rows) > self._limits.actions_held:
            raise StateRefused(f"the state holds {len(rows)} actions; actions_held allows {self._limits.actions_held}")
        self._set(arrange(self.genesis, (Signed.parse(row.note) for row in rows)), {row.hash: row for row in rows})

    def holds(self, action: bytes) -> bool:
        """Say whether an action, by its hash, is here."""
        return action in self._kept

    @property
    def hashes(self) -> frozenset[bytes]:
        """The hashes of all actions that are here."""
        return frozenset(self._kept)

    @property
    def count(self) -> int:
        """How many actions are here."""
        return len(self._kept)

    def kept(self, action: bytes) -> KeptAction:
        """Return an action that is here."""
        return self._kept[action]

    async def take(self, brought: Sequence[Brought]) -> tuple[int, list[tuple[Signed, str]]]:
        """Keep of these what counts; return how many are new, and the others, each with the reason.

        Several at a time, because one may count by another that comes with it.
        """
        async with self._taking:
            fresh = {signed.hash: (signed, proof, source) for signed, proof, source in brought}
            fresh = {key: value for key, value in fresh.items() if key not in self._kept}
            room = self._limits.actions_held - len(self._kept)
            if not fresh:
                return 0, []
            if len(fresh) > room:
                return 0, [(signed, "no room: see actions_held") for signed, _, _ in fresh.values()]
            return await asyncio.to_thread(self._take, fresh)

    def _take(self, fresh: dict[bytes, Brought]) -> tuple[int, list[tuple[Signed, str]]]:
        held = [Signed.parse(row.note) for row in self._kept.values()]
        chains = arrange(self.genesis, [*held, *(signed for signed, _, _ in fresh.values())])
        counting = {signed.hash for chain in chains.chains.values() for signed in everything(chain)}
        rows = [
            KeptAction(key, signed.action.chain, signed.action.seq, signed.note.encode(), proof, source)
            for key, (signed, proof, source) in fresh.items()
            if key in counting
        ]
        if rows:
            proofs = [self._prove(chains, pair) for pair in chains.double_signed()]
            self._store.keep_actions(self.genesis.hash, rows, proofs, self._now_ms())
            self._set(chains, self._kept | {row.hash: row for row in rows})
        return len(rows), [(signed, "does not count") for key, (signed, _, _) in fresh.items() if key not in counting]

    def _set(self, chains: Chains, kept: dict[bytes, KeptAction]) -> None:
        with self._folding:
            self.chains, self._state = chains, None
        self._kept = kept
        self.digest = digest(kept)
        self.findings = tuple(self._finding(self._prove(chains, pair)) for pair in chains.double_signed())

    def _prove(self, chains: Chains, pair: tuple[Signed, Signed]) -> Evidence:
        """Return the evidence of a seq signed twice: that which is kept, else new, and seen to prove what it says."""
        subject = f"chain {pair[0].action.chain} seq {pair[0].action.seq}"
        for held in self._store.evidence(subject):
            return held
        data = evidence.encode_actions(chains, pair)
        evidence.check_actions(data, self.genesis.hash)
        return Evidence(evidence.identify(data), Kind.SAME_SEQ, subject, data, self._now_ms())

    def _finding(self, proof: Evidence) -> Finding:
        text = f"two actions of one seq are signed (E9, evidence {proof.id.hex()[:16]})"
        return Finding(Outcome.PROVEN, proof.origin, "double-signed", text)

    def state(self) -> State:
        """Return what holds now."""
        now_ms = self._now_ms()
        with self._folding:
            due = self._state_until_ms is not None and now_ms >= self._state_until_ms
            if self._state is None or due or now_ms < self._state.date_ms:
                self._state = fold.at(self.chains, now_ms)
                ahead = [
                    signed.action.effective_ms
                    for chain in self.chains.chains.values()
                    for signed in everything(chain)
                    if signed.action.effective_ms > now_ms
                ]
                ahead += [self.genesis.created_ms] if self.genesis.created_ms > now_ms else []
                self._state_until_ms = min(ahead, default=None)
            return self._state


def everything(chain: Chain) -> Sequence[Signed]:
    """Return all that counts of a chain, by seq."""
    return (*chain.actions, *chain.disputed)


def digest(actions: Iterable[bytes]) -> str:
    """Return the hex SHA-256 over the sorted hashes of actions: equal where the same are held."""
    return sha256(b"".join(sorted(actions))).hexdigest()
