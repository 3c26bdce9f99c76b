"""Checkpoints: the text that a log signs for each tree head (C2SP tlog-checkpoint).

    <origin>
    <size, decimal>
    <root, base64 of 32 bytes>
    [<extension line>]*

A Twinlog log never writes extension lines; a reader meets them in the checkpoints of others.
"""

from dataclasses import dataclass
from typing import Self

from log.errors import Malformed
from log.formats import text as txt
from log.formats.names import REHEARSAL
from log.formats.note import Note

ROOT_SIZE = 32  # bytes


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The origin, size and root of one tree head."""

    origin: str  # one line; identity of a log, never to be used as a URL
    size: int  # leaves, 0 <= size < 2**63
    root: bytes  # RFC 6962 Merkle tree hash
    extensions: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """Read the text of a note (signatures are not part of it), or raise `Malformed`."""
        lines = txt.decode_lines(text)
        if len(lines) < 3 or "" in lines:
            raise Malformed("checkpoint with an empty line or less than three")
        origin, size, root, *extensions = lines
        checkpoint = cls(origin, txt.decimal(size), txt.b64decode(root, ROOT_SIZE), tuple(extensions))
        if checkpoint.encode() != text:
            raise Malformed("checkpoint with another spelling than the canonical one")
        return checkpoint

    def encode(self) -> bytes:
        return txt.encode_lines([self.origin, str(self.size), txt.b64encode(self.root), *self.extensions])


def is_rehearsal(origin: str) -> bool:
    """Say whether a log is for rehearsal, by its origin: nothing in it counts, whoever signs it."""
    return origin.startswith(REHEARSAL)


def parse_signed(raw: bytes) -> tuple[Note, Checkpoint]:
    """Read a note whose text is a checkpoint, or raise `Malformed`. No signature is verified."""
    note = Note.parse(raw)
    return note, Checkpoint.parse(note.text)
