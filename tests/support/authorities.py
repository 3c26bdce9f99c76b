"""Authorities with keys in hand: sides that sign actions, for tests of governance."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from log.crypto.ed25519 import Ed25519Signer
from log.crypto.notes import NoteSigner, sign_note
from log.formats.action import JOINT, Action
from log.formats.genesis import Authorities, Genesis, Initial
from log.formats.note import KeyType, Note
from log.governance.chains import Signed

CREATED_MS = 1_700_000_000_000


def signer(name: str, number: int) -> NoteSigner:
    """Return an authority's key, the same one each time."""
    seed = name.encode().ljust(31, b".") + bytes([number])
    return NoteSigner.make(name, KeyType.ED25519, Ed25519Signer(Ed25519PrivateKey.from_private_bytes(seed)))


def signers(side: str, generation: int = 0, count: int = 3) -> tuple[NoteSigner, ...]:
    """Return the keys of a side; another generation has others."""
    return tuple(signer(f"{side}.authority.example/{n}", 16 * generation + n) for n in range(count))


def authorities(keys: Sequence[NoteSigner], threshold: int = 2) -> Authorities:
    return Authorities(tuple(key.vkey for key in keys), threshold)


def genesis(initial: dict[str, Sequence[tuple[str, dict[str, Any]]]] | None = None, notice_s: int = 0) -> Genesis:
    """Return the genesis of two sides with 2 of 3 keys each."""
    rows = {chain: tuple(Initial(*row) for row in (initial or {}).get(chain, ())) for chain in ("hk", "gd", JOINT)}
    return Genesis(CREATED_MS, notice_s, {side: authorities(signers(side)) for side in ("hk", "gd")}, rows)


def signed(action: Action, keys: Sequence[NoteSigner]) -> Signed:
    """Return an action under the lines of these keys. Signing waits for nothing, so no loop is needed."""
    signing = sign_note(action.encode(), 0, keys)
    try:
        signing.send(None)
    except StopIteration as done:
        note: Note = done.value
    return Signed.parse(note.encode())


@dataclass
class Chainer:
    """Writes one chain, each action after the last."""

    genesis: Genesis
    chain: str
    keys: Sequence[NoteSigner] = ()
    written: list[Signed] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.keys:
            sides = tuple(self.genesis.sides) if self.chain == JOINT else (self.chain,)
            self.keys = [key for side in sides for key in signers(side)[:2]]

    def say(self, kind: str, payload: dict[str, Any], effective_ms: int = CREATED_MS) -> Signed:
        """Sign the next action and keep it."""
        previous = self.written[-1].hash if self.written else self.genesis.hash
        seq = len(self.written) + 1
        action = Action(self.genesis.hash, self.chain, seq, previous, kind, effective_ms, payload)
        self.written.append(signed(action, self.keys))
        return self.written[-1]

    def branch(self) -> "Chainer":
        """Return a second pen that goes on from the same place."""
        return Chainer(self.genesis, self.chain, self.keys, list(self.written))


def with_lines(one: Signed, note: Note) -> Signed:
    """Return the same action under other lines."""
    return Signed.parse(Note(one.note.text, note.signatures).encode())
