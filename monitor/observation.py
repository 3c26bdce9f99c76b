"""PURE: what a monitor has seen, as a chain that it cannot rewrite without being found out (monitoring.md §5.2, F9).

Each observation is one validly signed head, raw, with where and when it was met; its hash covers that, and the hash of
the one before it. Monitors read each other's chain page by page, as canonical JSON:

    {"observations": [{"hash", "origin", "previous", "raw", "received_ms", "seq", "source"}…], "type":
     "twinlog/observations@v1"}

Who reads on from where he stood sees at once when what he has read is no longer there. Nobody signs a page: the heads
in it are signed, and all else is the word of whoever serves it.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

from log.errors import Malformed
from log.formats import jcs
from log.formats.names import OBSERVATIONS
from log.formats.text import b64decode, b64encode

GENESIS = bytes(32)  # what the first observation names as the one before it
_HASH = 32


@dataclass(frozen=True, slots=True)
class Observation:
    """One link."""

    seq: int  # from 1 on, without gaps
    origin: str
    source: str  # the vantage: whom it came from
    received_ms: int
    raw: bytes  # the note as it came
    previous: bytes
    hash: bytes

    @classmethod
    def make(cls, previous: bytes, seq: int, origin: str, source: str, received_ms: int, raw: bytes) -> Self:
        """Return the link that follows."""
        return cls(
            seq, origin, source, received_ms, raw, previous, _hash(previous, seq, origin, source, received_ms, raw)
        )

    @property
    def holds(self) -> bool:
        """Whether its hash is that of its fields."""
        return self.hash == _hash(self.previous, self.seq, self.origin, self.source, self.received_ms, self.raw)


def encode(page: Iterable[Observation]) -> bytes:
    """Write a page."""
    rows = [
        {
            "seq": each.seq,
            "origin": each.origin,
            "source": each.source,
            "received_ms": each.received_ms,
            "raw": b64encode(each.raw),
            "previous": b64encode(each.previous),
            "hash": b64encode(each.hash),
        }
        for each in page
    ]
    return jcs.encode({"type": OBSERVATIONS, "observations": rows})


def parse(data: bytes) -> list[Observation]:
    """Read a page whose links hold and follow one another, or raise `Malformed`."""
    match jcs.parse(data):
        case {"type": str(type_), "observations": [*rows], **rest} if type_ == OBSERVATIONS and not rest:
            page = [_read(row) for row in rows]
        case _:
            raise Malformed("not a page of observations")
    for one, two in pairwise(page):
        if (two.seq, two.previous) != (one.seq + 1, one.hash):
            raise Malformed(f"observation {two.seq} does not follow {one.seq}")
    if not all(each.holds for each in page):
        raise Malformed("an observation whose hash is another one's")
    return page


def _read(row: object) -> Observation:
    match row:
        case {
            "seq": int(seq),
            "origin": str(origin),
            "source": str(source),
            "received_ms": int(received_ms),
            "raw": str(raw),
            "previous": str(previous),
            "hash": str(hash_),
            **rest,
        } if not rest and seq > 0 and received_ms >= 0 and True not in (seq is True, received_ms is True):
            return Observation(
                seq, origin, source, received_ms, b64decode(raw), b64decode(previous, _HASH), b64decode(hash_, _HASH)
            )
    raise Malformed("not an observation")


def _hash(previous: bytes, seq: int, origin: str, source: str, received_ms: int, raw: bytes) -> bytes:
    """Over the link before it and every field, each with its length."""
    fields = [origin.encode(), source.encode(), raw]
    body = b"".join(len(each).to_bytes(8) + each for each in fields)
    return hashlib.sha256(previous + seq.to_bytes(8) + received_ms.to_bytes(8) + body).digest()
