"""PURE: which actions count. Chains of signed actions, the keys of each seq, and seqs signed twice (E9).

An action counts when enough authorities of its chain signed it, and when it names the hash of the action before.
Whose keys those are depends on the action's seq alone, never on a clock or on what came first:

- `joint` is signed by every side. An `authority-keys` action in it gives a side new keys, for `joint` from the
  next seq on, for the side's own chain from the seq that it names (`from_seq`).
- A side's action of a seq is signed by the keys that hold from the largest `from_seq` up to it.

So a key that fell into the wrong hands is answered by new keys from the first seq that it forged: what it signed
there never counted, and the chain goes on from the seq before.

Two actions of one seq that both count prove that the authority speaks with two tongues. From that seq on the chain
is *disputed*: what restricts holds, from every branch; what relaxes does not. New keys from that seq end the dispute.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import islice
from typing import Any, Self

from log.crypto.notes import verify_note
from log.errors import BadSignature, Malformed, PolicyNotMet
from log.formats.action import JOINT, MAX_SEQ, Action
from log.formats.fields import identifier, members, typed
from log.formats.genesis import Authorities, Genesis
from log.formats.note import Note
from log.governance import lists, logs, parties
from log.governance.draft import Draft, Payload
from log.governance.kinds import Kind, Where

AUTHORITY_KEYS = "authority-keys"
VERDICTS = (
    1 << 14
)  # notes of which it is remembered whether these keys signed them: chains are arranged again and again


@dataclass(frozen=True, slots=True)
class NewKeys:
    """The payload of `authority-keys`: a side's keys from a seq of its own chain on."""

    side: str
    from_seq: int
    authorities: Authorities

    @classmethod
    def of(cls, payload: Any) -> Self:
        """Read the payload, or raise `Malformed`."""
        fields = members(payload, "side", "from_seq", "authorities", "threshold")
        from_seq = typed(fields["from_seq"], int)
        if not 1 <= from_seq <= MAX_SEQ:
            raise Malformed("keys hold from a seq of 1 or more on")
        return cls(identifier(fields["side"]), from_seq, Authorities.of(fields["authorities"], fields["threshold"]))


def _take_keys(_draft: Draft, payload: Payload, _effective_ms: int) -> None:
    """Keys are no part of a draft: `arrange` has looked at them before anything is folded."""
    NewKeys.of(payload)


KINDS: dict[str, Kind] = {
    **lists.KINDS,
    **parties.KINDS,
    **logs.KINDS,
    AUTHORITY_KEYS: Kind(Where.JOINT, False, _take_keys),
}


@dataclass(frozen=True, slots=True)
class Signed:
    """An action with the note that bears it."""

    action: Action
    note: Note
    hash: bytes  # of the action

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read a note that is an action of a known kind and in a chain of its kind, or raise `Malformed`."""
        note = Note.parse(raw)
        action = Action.parse(note.text)
        check_kind(action.type, action.chain, action.payload, action.effective_ms)
        return cls(action, note, action.hash)


def check_kind(kind_name: str, chain: str, payload: Payload, effective_ms: int) -> Kind:
    """Return the kind of an action; `Malformed` unless it exists, may stand in this chain and has such a payload."""
    kind = KINDS.get(kind_name)
    if kind is None:
        raise Malformed(f"no action is called {kind_name}")
    if kind.where is not Where.ANY and (kind.where is Where.JOINT) != (chain == JOINT):
        raise Malformed(f"an action of type {kind_name} stands in no chain called {chain}")
    kind.take(Draft(), payload, effective_ms)
    return kind


@dataclass(frozen=True, slots=True)
class Chain:
    """One chain, as far as it counts."""

    actions: tuple[Signed, ...]  # undisputed, seq 1 first
    disputed: tuple[Signed, ...] = ()  # everything that counts from the first seq signed twice on, by seq and hash

    @property
    def next_seq(self) -> int:
        """Return the seq that an action brought now must have; of a disputed chain that of the dispute."""
        return len(self.actions) + 1

    def next_previous(self, genesis: Genesis) -> bytes:
        """Return the hash that the next action must name."""
        return self.actions[-1].hash if self.actions else genesis.hash


@dataclass(frozen=True, slots=True)
class Chains:
    """All chains of a genesis, with the keys by which they count."""

    genesis: Genesis
    chains: Mapping[str, Chain]
    keys: Mapping[str, tuple[NewKeys, ...]]  # by side, the genesis' first, ascending as `joint` gave them

    def authorities(self, chain: str, seq: int) -> tuple[Authorities, ...]:
        """Return whose signatures an action of this chain and seq takes: of each set its threshold."""
        if chain == JOINT:
            return tuple(given[-1].authorities for given in self.keys.values())
        return _of_side(self.keys[chain], seq)

    def check_genesis(self, signed: Signed) -> None:
        """Raise `Malformed` for an action of another genesis, or of a chain that is not there."""
        if signed.action.genesis != self.genesis.hash or signed.action.chain not in self.chains:
            raise Malformed("an action of another genesis, or of a chain that is not there")

    def check(self, signed: Signed) -> None:
        """Raise unless the signatures of an action suffice: `Malformed`, `BadSignature`, `PolicyNotMet`.

        Meant for an action that is brought now; of `joint` the seq must be the next one.
        """
        self.check_genesis(signed)
        require(signed.note, self.authorities(signed.action.chain, signed.action.seq))

    def counts(self, signed: Signed) -> bool:
        """Say whether an action counts, in whatever note: undisputed, or as one of several of a disputed seq."""
        chain = self.chains.get(signed.action.chain)
        return chain is not None and any(other.hash == signed.hash for other in (*chain.actions, *chain.disputed))

    def double_signed(self) -> tuple[tuple[Signed, Signed], ...]:
        """Return a pair for each chain that has a seq signed twice with different content: evidence E9."""
        pairs = []
        for chain in self.chains.values():
            first = [signed for signed in chain.disputed if signed.action.seq == chain.next_seq]
            if first:
                pairs.append((first[0], first[1]))
        return tuple(pairs)


def require(note: Note, authorities: Iterable[Authorities]) -> None:
    """Raise `BadSignature` or `PolicyNotMet` unless enough keys of each set signed."""
    sets = tuple(authorities)
    verified = {line.vkey for line in verify_note(note, dict.fromkeys(key for each in sets for key in each.keys))}
    for each in sets:
        count = sum(key in verified for key in each.keys)
        if count < each.threshold:
            raise PolicyNotMet(f"{count} signatures of a side whose threshold is {each.threshold}")


def arrange(genesis: Genesis, brought: Iterable[Signed]) -> Chains:
    """Put actions that came in any order, any number of times, into chains; those that do not count are left out."""
    found: dict[str, _BySeq] = {chain: {} for chain in genesis.chains}
    for signed in brought:
        action = signed.action
        if action.genesis == genesis.hash and action.chain in found:
            found[action.chain].setdefault(action.seq, {}).setdefault(signed.hash, []).append(signed)
    keys = {side: [NewKeys(side, 1, first)] for side, first in genesis.sides.items()}
    joint = _Walk(genesis.hash, found[JOINT], lambda _: tuple(given[-1].authorities for given in keys.values()))
    for signed in joint.undisputed():
        if signed.action.type == AUTHORITY_KEYS:
            new = NewKeys.of(signed.action.payload)
            if new.side in keys:
                keys[new.side].append(new)
    chains = {JOINT: joint.chain()}
    for side, given in keys.items():
        chains[side] = _Walk(genesis.hash, found[side], partial(_of_side, given)).chain()
    return Chains(
        genesis, {name: chains[name] for name in genesis.chains}, {side: tuple(given) for side, given in keys.items()}
    )


def _of_side(given: Sequence[NewKeys], seq: int) -> tuple[Authorities, ...]:
    """Return the keys of a seq of a side's own chain: the last ones given that hold from it, or from before it, on."""
    return (next(new.authorities for new in reversed(given) if new.from_seq <= seq),)


_BySeq = dict[int, dict[bytes, list[Signed]]]  # seq -> hash -> the notes that bear this action


class _Walk:
    """Goes along one chain from seq to seq."""

    def __init__(
        self, genesis_hash: bytes, by_seq: _BySeq, authorities: Callable[[int], tuple[Authorities, ...]]
    ) -> None:
        self._by_seq = by_seq
        self._authorities = authorities
        self._heads = {genesis_hash}
        self._actions: list[Signed] = []

    def undisputed(self) -> Iterator[Signed]:
        """Yield action after action while there is exactly one; the keys of the next may depend on each."""
        while len(counting := self._counting(len(self._actions) + 1)) == 1:
            self._actions += counting
            self._heads = {counting[0].hash}
            yield counting[0]

    def chain(self) -> Chain:
        """Go to the end and return the chain."""
        for _ in self.undisputed():
            pass
        disputed: list[Signed] = []
        seq = len(self._actions) + 1
        while counting := self._counting(seq):
            disputed += counting
            self._heads = {signed.hash for signed in counting}
            seq += 1
        return Chain(tuple(self._actions), tuple(disputed))

    def _counting(self, seq: int) -> list[Signed]:
        """Return the actions of this seq that count, one note each, by hash."""
        counting = []
        for _, notes in sorted(self._by_seq.get(seq, {}).items()):
            if notes[0].action.previous in self._heads:
                enough = (signed for signed in notes if _suffices(signed.note, self._authorities(seq)))
                counting += list(islice(enough, 1))
        return counting


@lru_cache(VERDICTS)
def _suffices(note: Note, authorities: tuple[Authorities, ...]) -> bool:
    try:
        require(note, authorities)
    except (BadSignature, PolicyNotMet):
        return False
    return True
