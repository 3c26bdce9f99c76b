"""The authorities of both sides, on one machine for once: their keys, a genesis, and actions that they sign.

In earnest each key lies with another person, and actions travel as files (`twinlog governance draft | sign | submit`).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from log.client.actions import GENESIS_FILE, Folder
from log.crypto import keys
from log.crypto.keys import Kind
from log.crypto.notes import NoteSigner, sign_note
from log.formats.action import JOINT, Action
from log.formats.genesis import Authorities, Genesis, Initial
from log.formats.note import KeyType
from log.governance.fold import check_genesis

KEYS_OF_A_SIDE = 3
THRESHOLD = 2

Row = tuple[str, dict[str, Any]]  # type and payload of an action


@dataclass(frozen=True, slots=True)
class Council:
    """All authorities, and the folder in which genesis and actions lie."""

    path: Path
    time_s: Callable[[], float] = time.time  # when they sign, seconds since 1970

    @property
    def genesis_file(self) -> Path:
        return (self.path / GENESIS_FILE).resolve()

    def genesis(self) -> Genesis:
        """Return the genesis that was begun with."""
        return Folder(self.path).genesis()

    def begin(self, sides: Sequence[str], initial: Mapping[str, Sequence[Row]], notice_s: int = 0) -> Genesis:
        """Make the keys of the sides and the genesis; `initial` holds by chain what is so from the beginning."""
        self.path.mkdir(parents=True)
        for side in sides:
            for number in range(KEYS_OF_A_SIDE):
                keys.generate_key(self._key(side, number), Kind.ED25519)
        made = Genesis(
            int(self.time_s()) * 1000,
            notice_s,
            {side: Authorities(tuple(each.vkey for each in self._signers(side)), THRESHOLD) for side in sides},
            {chain: tuple(Initial(*row) for row in initial.get(chain, ())) for chain in (*sides, JOINT)},
        )
        check_genesis(made)
        self.genesis_file.write_bytes(made.encode())
        return made

    async def sign(self, chain: str, kind: str, payload: dict[str, Any], effective_ms: int | None = None) -> bytes:
        """Return the next action of a chain as a note with just enough lines, and keep it in the folder."""
        folder = Folder(self.path)
        now_ms = int(self.time_s()) * 1000
        draft = folder.draft(chain, kind, payload, now_ms if effective_ms is None else effective_ms)
        action = Action.parse(draft.read_bytes())
        draft.unlink()
        sides = tuple(self.genesis().sides) if chain == JOINT else (chain,)
        signers = [each for side in sides for each in self._signers(side)[:THRESHOLD]]
        note = await sign_note(action.encode(), 0, signers)
        folder.keep(action, note.signatures)
        return note.encode()

    def _signers(self, side: str) -> list[NoteSigner]:
        return [
            NoteSigner.make(
                f"{side}.authority.example/{number}", KeyType.ED25519, keys.load_ed25519(self._key(side, number))
            )
            for number in range(KEYS_OF_A_SIDE)
        ]

    def _key(self, side: str, number: int) -> Path:
        return self.path / f"{side}-{number}.pem"
