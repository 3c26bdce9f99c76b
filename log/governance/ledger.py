"""PURE: all actions that a node or a monitor holds, and which ones it takes besides.

What is brought may come from anybody, in any order and again. Taken is what counts: what follows its chain with the
signatures that its seq asks for. A second action of a seq that is there already counts as well, if its signatures
suffice: it is the proof that its side speaks with two tongues, and from then on the chain is disputed.

A relaxation must name a time far enough ahead, `notice_s` of the genesis after the first governance log took it in.
Only whoever takes it in first can check that; a genesis whose notice is 0 asks for none.
"""

from collections.abc import Iterable, Iterator
from hashlib import sha256

from log.errors import Denied, Malformed, OutOfTurn, VerificationError
from log.formats.genesis import Genesis
from log.governance.chains import KINDS, Chains, Signed, arrange

MAX_ACTIONS = 100_000  # of all chains together


class Ledger:
    """The actions by their hashes, and the chains they make. One owner changes it."""

    def __init__(self, genesis: Genesis) -> None:
        self._held: dict[bytes, Signed] = {}
        self.chains: Chains = arrange(genesis, ())
        self._digest = _digest(())

    @property
    def genesis(self) -> Genesis:
        return self.chains.genesis

    @property
    def digest(self) -> bytes:
        """Return the SHA-256 over the sorted hashes of all actions: two who have the same hold the same."""
        return self._digest

    @property
    def next(self) -> dict[str, int]:
        """Return by chain the seq that an action brought now must have."""
        return {name: chain.next_seq for name, chain in self.chains.chains.items()}

    def held(self, chain: str) -> list[Signed]:
        """Return what is held of a chain, by seq and hash."""
        found = [signed for signed in self._held.values() if signed.action.chain == chain]
        return sorted(found, key=lambda signed: (signed.action.seq, signed.hash))

    def find(self, action_hash: bytes) -> Signed | None:
        """Return the action with this hash, in the note in which it was taken."""
        return self._held.get(action_hash)

    def __iter__(self) -> Iterator[Signed]:
        return iter(self._held.values())

    def examine(self, signed: Signed) -> Chains:
        """Return the chains as they are with an action that is new, or raise: nothing is taken yet.

        `Malformed` for one of another genesis; `Denied` when its signatures do not suffice; `OutOfTurn`.
        """
        self.chains.check_genesis(signed)
        action = signed.action
        if len(self._held) >= MAX_ACTIONS:
            raise Denied(f"{MAX_ACTIONS} actions are held already")
        chain = self.chains.chains[action.chain]
        with_it = arrange(self.genesis, (*self._held.values(), signed))
        if with_it.counts(signed):
            return with_it
        last = max((each.action.seq for each in chain.disputed), default=chain.next_seq - 1)
        if action.seq > last + 1:
            raise OutOfTurn(f"the next action of {action.chain} has seq {chain.next_seq}", chain.next_seq)
        try:
            self.chains.check(signed)
        except VerificationError as error:
            raise Denied(str(error)) from error
        why = f"the next action of {action.chain} has seq {chain.next_seq} and follows the one before it"
        raise OutOfTurn(why, chain.next_seq)

    def check_notice(self, signed: Signed, now_ms: int) -> None:
        """Raise `Malformed` for a relaxation that holds sooner after now than the genesis allows."""
        action, notice_s = signed.action, self.genesis.notice_s
        if notice_s and not KINDS[action.type].restricts and action.effective_ms < now_ms + notice_s * 1000:
            raise Malformed(f"what relaxes takes effect {notice_s} s after a log has it, or later: sign a later time")

    def take(self, signed: Signed, with_it: Chains) -> None:
        """Hold an action; `with_it` is what `examine` returned for it."""
        self._held[signed.hash] = signed
        self._settle(with_it)

    def load(self, actions: Iterable[Signed]) -> None:
        """Hold what was taken before, in whatever order it comes; nothing of it is examined anew."""
        for signed in actions:
            self._held.setdefault(signed.hash, signed)
        self._settle(arrange(self.genesis, self._held.values()))

    def _settle(self, chains: Chains) -> None:
        self.chains = chains
        self._digest = _digest(self._held)


def _digest(hashes: Iterable[bytes]) -> bytes:
    return sha256(b"".join(sorted(hashes))).digest()
