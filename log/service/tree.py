"""The tree of a log as its stores hold it: rows, hashes and issuers below a published size.

Hashes of full tiles come from the data store. The rest is the right edge, which is published together with the
head, so partial tiles can be had for every size up to the newest without ever being stored.
"""

from collections.abc import Callable

from log.errors import NotFound
from log.merkle.tiles import TILE_HEIGHT
from log.sequencer.head import Published
from log.storage import DataStore
from log.storage.edge import read_hashes


class StoredTree:
    """Reads of one log below the size of `published()`. With `checkpoint` and `witnessed`, a `LogReader`."""

    def __init__(self, data: DataStore, published: Callable[[], Published]) -> None:
        self._data = data
        self.published = published

    async def checkpoint(self) -> bytes:
        """Return the published head's note."""
        return self.published().head.note

    async def witnessed(self) -> bytes | None:
        """Return None: cosignatures are not of the stores."""
        return None

    async def entries(self, start: int, end: int, size: int) -> list[bytes]:
        """Return the rows start <= i < end. `NotFound` beyond the published size."""
        self._within(end, size)
        return await self._data.entries(start, end)

    async def hashes(self, level: int, start: int, end: int, size: int) -> bytes:
        """Return the hashes start <= i < end of a tile level, 32 bytes each; only whole subtrees have one."""
        self._within(end << (TILE_HEIGHT * level), size)
        return await read_hashes(self._data, self.published().edge, level, start, end)

    async def blob(self, digest: bytes) -> bytes | None:
        """Return the issuer certificate with this SHA-256, or None."""
        return await self._data.blob(digest)

    def _within(self, end: int, size: int) -> None:
        if end > size or size > self.published().head.size:
            raise NotFound("beyond the published tree")
