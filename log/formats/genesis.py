"""Genesis: what all governance begins with, one canonical JSON object, pinned by its SHA-256 (design.md section 5).

    {"created": date, "format": "twinlog/genesis@v1", "notice_s": 600,
     "sides": [{"authorities": [vkey…], "name": "hk", "threshold": 2}, …],
     "initial": {"hk": [{"payload": {…}, "type": "…"}, …], "gd": […], "joint": […]}}

`initial` holds the first members, lists, nodes and logs of each chain in the form of actions; they hold from
`created` on and need no signature, because whoever trusts the hash trusts them. Nobody signs a genesis: nodes,
monitors and verifiers pin it.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Self

from log.errors import Malformed
from log.formats import jcs
from log.formats.action import JOINT
from log.formats.fields import encode_date, identifier, members, parse_date, typed
from log.formats.names import GENESIS
from log.formats.note import KeyType, VKey

MAX_GENESIS_BYTES = 4 << 20  # it is a file that is pinned, not an entry: it holds the first trust lists whole
MAX_AUTHORITIES = 32  # keys of one side
MAX_NOTICE_S = 90 * 86_400


@dataclass(frozen=True, slots=True)
class Authorities:
    """The keys that speak for a side, and how many of them must (k of n). All are of type 0x01."""

    keys: tuple[VKey, ...]
    threshold: int  # 1 <= threshold <= len(keys)

    @classmethod
    def of(cls, keys: Any, threshold: Any) -> Self:
        """Read both out of canonical JSON, or raise `Malformed`."""
        vkeys = tuple(VKey.parse(typed(key, str)) for key in typed(keys, list))
        if not 1 <= typed(threshold, int) <= len(vkeys) <= MAX_AUTHORITIES:
            raise Malformed(f"a threshold from 1 to the number of keys, and at most {MAX_AUTHORITIES} keys")
        if any(vkey.type is not KeyType.ED25519 for vkey in vkeys):
            raise Malformed("an authority's key is of type 0x01")
        if len({vkey.key for vkey in vkeys}) < len(vkeys) or len({(v.name, v.key_id) for v in vkeys}) < len(vkeys):
            raise Malformed("an authority's key stands there twice")
        return cls(vkeys, threshold)

    def value(self) -> dict[str, Any]:
        """Write both as canonical JSON takes them."""
        return {"authorities": [vkey.encode() for vkey in self.keys], "threshold": self.threshold}


@dataclass(frozen=True, slots=True)
class Initial:
    """Something that holds from the beginning, in the form of an action."""

    type: str
    payload: dict[str, Any]

    @classmethod
    def of(cls, value: Any) -> Self:
        """Read it out of canonical JSON, or raise `Malformed`."""
        fields = members(value, "type", "payload")
        return cls(identifier(fields["type"]), typed(fields["payload"], dict))


@dataclass(frozen=True, slots=True)
class Genesis:
    """The sides with their first authorities, and what they begin with."""

    created_ms: int
    notice_s: int  # least seconds between the arrival of a relaxation and its effect
    sides: dict[str, Authorities]  # by name, in the order of the file
    initial: dict[str, tuple[Initial, ...]]  # by chain

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a genesis, or raise `Malformed`. The payloads are read by `log.governance`."""
        if len(data) > MAX_GENESIS_BYTES:
            raise Malformed(f"genesis over {MAX_GENESIS_BYTES} bytes")
        fields = members(jcs.parse(data), "created", "format", "initial", "notice_s", "sides")
        if fields["format"] != GENESIS:
            raise Malformed("not a genesis of version 1")
        sides: dict[str, Authorities] = {}
        for value in typed(fields["sides"], list):
            side = members(value, "authorities", "name", "threshold")
            name = identifier(side["name"])
            if name in sides or name == JOINT:
                raise Malformed(f"a side cannot be called {name}, or stands there twice")
            sides[name] = Authorities.of(side["authorities"], side["threshold"])
        if not sides:
            raise Malformed("genesis without a side")
        initial = {
            chain: tuple(Initial.of(row) for row in typed(rows, list))
            for chain, rows in members(fields["initial"], *sides, JOINT).items()
        }
        notice_s = typed(fields["notice_s"], int)
        if not 0 <= notice_s <= MAX_NOTICE_S:
            raise Malformed(f"a notice from 0 to {MAX_NOTICE_S} seconds")
        genesis = cls(parse_date(fields["created"]), notice_s, sides, initial)
        if genesis.encode() != data:
            raise Malformed("genesis with another spelling than the canonical one")
        return genesis

    def encode(self) -> bytes:
        """Write the bytes that are pinned."""
        return jcs.encode(
            {
                "created": encode_date(self.created_ms),
                "format": GENESIS,
                "initial": {
                    chain: [{"type": row.type, "payload": row.payload} for row in rows]
                    for chain, rows in self.initial.items()
                },
                "notice_s": self.notice_s,
                "sides": [{"name": name, **authorities.value()} for name, authorities in self.sides.items()],
            }
        )

    @property
    def hash(self) -> bytes:
        """Return the SHA-256 that is pinned."""
        return sha256(self.encode()).digest()

    @property
    def chains(self) -> tuple[str, ...]:
        """Return the names of the chains: every side's, and `joint`."""
        return (*self.sides, JOINT)
