"""Commitments: what stands in a leaf instead of anything about a person or a document (design.md section 5).

    SHA-256(COMMITMENT || opaque8 field || salt[32] || value)

The salt is fresh for each commitment, so nothing can be looked up by a value, and two commitments to one
value have nothing in common. Whoever holds the *opening* (field, salt, value) shows what was committed to;
once the salt is destroyed nobody can, and the leaf still proves.

    struct { opaque field<1..255>; opaque salt[32]; opaque value<1..2^16-1>; } Opening;

A list of openings is one behind the other, sorted by field, each field once.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256

from log.errors import Malformed
from log.formats.fields import identifier
from log.formats.names import COMMITMENT
from log.formats.text import decode_text
from log.formats.wire import Reader, opaque8, opaque16

SALT_SIZE = 32
MAX_VALUE_SIZE = 65_535  # bytes of a value, all that its length can say


@dataclass(frozen=True, slots=True)
class Opening:
    """What a commitment commits to. Salt and value are secrets: they do not show in a `repr`."""

    name: str  # the field, an identifier
    salt: bytes = field(repr=False)  # SALT_SIZE bytes
    value: bytes = field(repr=False)  # 1 to MAX_VALUE_SIZE bytes

    @property
    def commitment(self) -> bytes:
        """The 32 bytes that stand in the leaf."""
        return sha256(COMMITMENT + opaque8(self.name.encode()) + self.salt + self.value).digest()

    def encode(self) -> bytes:
        return opaque8(self.name.encode()) + self.salt + opaque16(self.value)


def encode_openings(openings: Iterable[Opening]) -> bytes:
    """Write a list of openings of distinct fields, in any order."""
    return b"".join(opening.encode() for opening in sorted(openings, key=lambda opening: opening.name))


def parse_openings(data: bytes) -> tuple[Opening, ...]:
    """Read a list of openings, perhaps empty, or raise `Malformed`."""
    reader = Reader(data)
    openings: list[Opening] = []
    while reader.more():
        name = identifier(decode_text(reader.opaque8()))
        if openings and name <= openings[-1].name:
            raise Malformed("openings that are not in the order of their fields, each once")
        opening = Opening(name, reader.take(SALT_SIZE), reader.opaque16())
        if not opening.value:
            raise Malformed("an opening without a value")
        openings.append(opening)
    return tuple(openings)
