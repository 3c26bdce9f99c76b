"""The identity of a log: its origin and all its keys, in one statement (design.md section 3).

    twinlog/identity@v1
    <origin>
    <vkey>                     one line a key, the keys in the order of their type bytes

This is the text of a note that each of the keys signs which can sign any text at all. Heads of a log are
compared per identity: two heads that contradict each other are a fork also when different keys signed them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from log.errors import Malformed
from log.formats import text as txt
from log.formats.names import IDENTITY
from log.formats.note import VKey, check_name


def _order(vkey: VKey) -> tuple[int, bytes]:
    return vkey.type, vkey.key_id


@dataclass(frozen=True, slots=True)
class Identity:
    """One log. Every key bears the origin as its name; no two keys have the same type and id."""

    origin: str
    vkeys: tuple[VKey, ...]  # at least one, ascending in (type, key id)

    @classmethod
    def make(cls, origin: str, vkeys: Iterable[VKey]) -> Self:
        """Put the keys in order; raise `Malformed` where they cannot be those of one log."""
        check_name(origin)
        ordered = sorted(vkeys, key=_order)
        if not ordered or any(vkey.name != origin for vkey in ordered):
            raise Malformed("identity without keys, or with a key of another name than its origin")
        if len(set(map(_order, ordered))) != len(ordered):
            raise Malformed("identity with one key twice")
        return cls(origin, tuple(ordered))

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """Read the text of an identity note, or raise `Malformed`."""
        lines = txt.decode_lines(text)
        if len(lines) < 3 or lines[0] != IDENTITY:
            raise Malformed("not an identity of version 1")
        identity = cls.make(lines[1], [VKey.parse(line) for line in lines[2:]])
        if identity.encode() != text:
            raise Malformed("identity with another spelling than the canonical one")
        return identity

    def encode(self) -> bytes:
        """Write the text that the keys sign."""
        return txt.encode_lines([IDENTITY, self.origin, *(vkey.encode() for vkey in self.vkeys)])
