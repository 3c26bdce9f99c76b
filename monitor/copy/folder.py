"""The copies of all logs: `<folder>/<origin hash>` is a LevelDB of the kind that a node keeps its data in.

The same driver and the same rows as a node's own data store, so `twinlog restore` reads a copy that lies on a disk as
it reads one that a monitor serves.
"""

import asyncio
import shutil
from functools import partial
from pathlib import Path

from log.storage import DataStore
from log.storage.level_database import LevelLimits
from log.storage.leveldb import LevelData
from monitor.copy.mirror import Mirror
from monitor.limits import Limits
from monitor.logs import FollowedLog

_LEVEL = LevelLimits(write_buffer_bytes=8 * 2**20, block_cache_bytes=2 * 2**20, max_open_files=100)  # for each log


class Copies:
    """One `Mirror` for each log that is followed, opened when it is first needed."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self._folder = folder
        self._limits = limits
        self._mirrors: dict[tuple[str, str], Mirror] = {}  # by origin hash and family

    def of(self, followed: FollowedLog) -> Mirror:
        """Return the copy of a log; the same for each call."""
        name = (followed.origin_hash, followed.family.name)
        if name not in self._mirrors:
            opening = partial(self._open, self._folder / followed.origin_hash)
            chunk, chunks = self._limits.chunk_entries, self._limits.copy_chunks
            self._mirrors[name] = Mirror(followed.family, opening, chunk, chunks, self._has_room)
        return self._mirrors[name]

    async def close(self) -> None:
        """Close all."""
        for mirror in self._mirrors.values():
            await mirror.close()

    def _has_room(self) -> bool:
        return shutil.disk_usage(self._folder).free >= self._limits.free_bytes

    async def _open(self, path: Path) -> DataStore:
        return await asyncio.to_thread(partial(LevelData, path, _LEVEL, create=True))
