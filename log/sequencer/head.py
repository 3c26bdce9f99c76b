"""The head of a log as the head store keeps it, and as the process publishes it.

The stored value is the head's time in decimal milliseconds, LF, then the signed note byte for byte. The time
is kept beside the note because a family without an RFC 6962 line (0x05) signs whole seconds only, and head
times must rise strictly in milliseconds (RFC 6962 section 3.5).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from log.crypto.notes import open_note
from log.errors import Malformed, StateRefused, VerificationError
from log.formats.note import VKey
from log.formats.text import decimal
from log.merkle.frontier import Frontier
from log.merkle.tiles import Edge


def store_name(origin: str) -> str:
    """Return the head store's name for the head of `origin`."""
    return f"log/{origin}"


@dataclass(frozen=True, slots=True)
class Head:
    """A signed tree head: `size` leaves with `root` at `timestamp_ms`, as the raw `note`."""

    size: int
    root: bytes
    timestamp_ms: int
    note: bytes

    def encode(self) -> bytes:
        return b"%d\n" % self.timestamp_ms + self.note


@dataclass(frozen=True, slots=True)
class Published:
    """What the log stands behind: nothing beyond `head.size` is ever served.

    `edge` and `frontier` hold the same tree in two shapes, kept apart so that one can check the other.
    """

    head: Head
    edge: Edge
    frontier: Frontier


def decode_head(value: bytes, origin: str, vkeys: Sequence[VKey]) -> Head:
    """Read a stored head back. Every one of the log's own keys must have signed it; else `StateRefused`."""
    time_text, _, note = value.partition(b"\n")
    try:
        timestamp_ms = decimal(time_text.decode("ascii"))
        opened = open_note(note, vkeys)
    except (UnicodeDecodeError, Malformed, VerificationError) as error:
        raise StateRefused(f"head store: the head of {origin} does not verify: {error}") from error
    checkpoint = opened.checkpoint
    signed = {line.vkey.encode() for line in opened.verified}
    if checkpoint.origin != origin or signed != {vkey.encode() for vkey in vkeys}:
        raise StateRefused(f"head store: the head of {origin} is not signed by all keys of this log")
    return Head(checkpoint.size, checkpoint.root, timestamp_ms, note)
