"""A leaf named from outside its log: what entries and events refer to."""

from dataclasses import dataclass
from typing import Any

from log.formats.text import b64encode
from log.formats.wire import opaque8, u64

HASH_SIZE = 32


@dataclass(frozen=True, slots=True)
class Ref:
    """A leaf of this or another log."""

    origin: str
    index: int  # 0 <= index < 2**64
    leaf_hash: bytes  # 32 bytes

    def encode(self) -> bytes:
        return opaque8(self.origin.encode()) + u64(self.index) + self.leaf_hash

    def to_json(self) -> dict[str, Any]:
        """Return the reference as an event has it."""
        return {"origin": self.origin, "index": self.index, "leaf_hash": b64encode(self.leaf_hash)}
