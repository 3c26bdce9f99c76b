"""A copy as a `LogReader`: what was verified, and nothing beyond it."""

from log.errors import NotFound, StorageError
from log.merkle.tiles import TILE_HEIGHT
from log.storage.edge import read_hashes
from monitor.copy.mirror import Kept, Mirror


class CopyReader:
    """Reads of one log's copy. `NotFound` for all that lies beyond the verified head, and while there is none."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror

    @property
    def size(self) -> int:
        """How many entries may be read; 0 while nothing is verified here."""
        return 0 if self._mirror.kept is None else self._mirror.kept.edge.size

    async def checkpoint(self) -> bytes:
        """Return the verified head, as the log signed it."""
        return self._kept().head.note

    async def witnessed(self) -> bytes | None:
        """Return None: who vouches is asked of the log."""
        return None

    async def entries(self, start: int, end: int, size: int) -> list[bytes]:
        """Return the rows start <= i < end."""
        self._within(end, size)
        return await self._mirror.data.entries(start, end)

    async def hashes(self, level: int, start: int, end: int, size: int) -> bytes:
        """Return the hashes start <= i < end of a tile level, 32 bytes each."""
        self._within(end << (TILE_HEIGHT * level), size)
        return await read_hashes(self._mirror.data, self._kept().edge, level, start, end)

    async def blob(self, digest: bytes) -> bytes | None:
        """Return the issuer certificate with this SHA-256, or None."""
        self._kept()
        return await self._mirror.data.blob(digest)

    def _kept(self) -> Kept:
        kept = self._mirror.kept
        if kept is None:
            raise NotFound("the copy of this log is not verified yet")
        return kept

    def _within(self, end: int, size: int) -> None:
        if end > size or size > self._kept().edge.size:
            raise NotFound("beyond what is verified here")


class Lent(CopyReader):
    """The same for who has others to ask, or can do without: what the disk does not give is not had."""

    async def entries(self, start: int, end: int, size: int) -> list[bytes]:
        """Return the rows start <= i < end."""
        try:
            return await super().entries(start, end, size)
        except StorageError as e:
            raise NotFound(f"our copy cannot be read: {e}") from e

    async def hashes(self, level: int, start: int, end: int, size: int) -> bytes:
        """Return the hashes start <= i < end of a tile level, 32 bytes each."""
        try:
            return await super().hashes(level, start, end, size)
        except StorageError as e:
            raise NotFound(f"our copy cannot be read: {e}") from e

    async def blob(self, digest: bytes) -> bytes | None:
        """Return the issuer certificate with this SHA-256, or None."""
        try:
            return await super().blob(digest)
        except StorageError as e:
            raise NotFound(f"our copy cannot be read: {e}") from e
