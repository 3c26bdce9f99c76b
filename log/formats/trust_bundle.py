"""A trust bundle: all that an offline verifier needs of governance, in one file checked from the genesis hash on.

    {"actions": {"hk": ["<base64 of a signed note>", …], "gd": […], "joint": […]},
     "format": "twinlog/trust-bundle@v1", "genesis": "<base64 of its bytes>",
     "identities": {"<origin>": "<base64 of the log's signed statement>", …}}

Canonical JSON. Authorities, log keys and policies of any date are folded from the actions; nothing says them twice.
"""

from dataclasses import dataclass
from typing import Self

from log.errors import Malformed
from log.formats import jcs
from log.formats.action import Action
from log.formats.fields import members, typed
from log.formats.genesis import Genesis
from log.formats.names import TRUST_BUNDLE
from log.formats.note import Note, check_name
from log.formats.text import b64decode, b64encode

MAX_BUNDLE_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class TrustBundle:
    """Genesis, actions by chain in order of seq and hash, what logs say of their keys. Nothing in it is verified."""

    genesis: Genesis
    actions: dict[str, tuple[Note, ...]]  # by chain of the genesis
    identities: dict[str, bytes]  # signed notes, by origin

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a bundle, or raise `Malformed`."""
        if len(data) > MAX_BUNDLE_BYTES:
            raise Malformed(f"trust bundle over {MAX_BUNDLE_BYTES} bytes")
        fields = members(jcs.parse(data), "actions", "format", "genesis", "identities")
        if fields["format"] != TRUST_BUNDLE:
            raise Malformed("not a trust bundle of version 1")
        genesis = Genesis.parse(b64decode(typed(fields["genesis"], str)))
        actions = {
            chain: tuple(Note.parse(b64decode(typed(text, str))) for text in typed(notes, list))
            for chain, notes in members(fields["actions"], *genesis.chains).items()
        }
        for chain, notes in actions.items():
            places = [(action.seq, action.hash, action.chain) for action in (Action.parse(note.text) for note in notes)]
            if places != sorted(set(places)) or {place[2] for place in places} - {chain}:
                raise Malformed(f"trust bundle whose chain {chain} is out of order")
        identities = {}
        for origin, text in typed(fields["identities"], dict).items():
            check_name(origin)
            identities[origin] = b64decode(typed(text, str))
        bundle = cls(genesis, actions, identities)
        if bundle.encode() != data:
            raise Malformed("trust bundle with another spelling than the canonical one")
        return bundle

    def encode(self) -> bytes:
        """Write the file."""
        return jcs.encode(
            {
                "actions": {
                    chain: [b64encode(note.encode()) for note in notes] for chain, notes in self.actions.items()
                },
                "format": TRUST_BUNDLE,
                "genesis": b64encode(self.genesis.encode()),
                "identities": {origin: b64encode(raw) for origin, raw in self.identities.items()},
            }
        )
