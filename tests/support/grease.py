"""Lines that nobody knows, on checkpoints in any order: what Sunlight adds to its own, and every reader must ignore.

Of each kind that could be mistaken for something: a stranger's name, the log's own name under another key id, a known
key id under another name; of the length of every type of line.
"""

from collections.abc import Sequence
from random import Random

from log.client import LogReader
from log.formats.note import Note, Signature

LENGTHS = (1, 64, 72, 80, 2428)  # bytes after the key id, as lines of 0x01, 0x04, 0x05 and 0x06 have them


def lines(note: Note, count: int, random: Random, lengths: Sequence[int] = LENGTHS) -> list[Signature]:
    """Return so many lines that no key of the note owns."""
    known = {(line.name, line.key_id) for line in note.signatures}
    own = note.text.split(b"\n", 1)[0].decode()
    found: list[Signature] = []
    while len(found) < count:
        name = random.choice([own, "grease.invalid", f"grease.invalid/{random.randrange(1 << 32)}"])
        key_id = random.choice([random.randbytes(4), random.choice(note.signatures).key_id])
        if (name, key_id) not in known:
            found.append(Signature(name, key_id, random.randbytes(random.choice(lengths))))
    return found


def greased(raw: bytes, total: int = 16, seed: int = 1, lengths: Sequence[int] = LENGTHS) -> bytes:
    """Return a note of `total` lines: its own and unknown ones, shuffled. The same for the same seed."""
    note, random = Note.parse(raw), Random(seed)
    every = [*note.signatures, *lines(note, total - len(note.signatures), random, lengths)]
    random.shuffle(every)
    return Note(note.text, tuple(every)).encode()


class GreasedReader:
    """A log's reads whose heads bear such lines; all else as it is."""

    def __init__(self, reader: LogReader, total: int = 16) -> None:
        self._reader = reader
        self._total = total
        self._seed = 0

    def _grease(self, raw: bytes) -> bytes:
        self._seed += 1
        return greased(raw, self._total, self._seed)

    async def checkpoint(self) -> bytes:
        return self._grease(await self._reader.checkpoint())

    async def witnessed(self) -> bytes | None:
        raw = await self._reader.witnessed()
        return None if raw is None else self._grease(raw)

    async def entries(self, start: int, end: int, size: int) -> list[bytes]:
        return await self._reader.entries(start, end, size)

    async def hashes(self, level: int, start: int, end: int, size: int) -> bytes:
        return await self._reader.hashes(level, start, end, size)

    async def blob(self, digest: bytes) -> bytes | None:
        return await self._reader.blob(digest)
