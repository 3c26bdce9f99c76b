"""How much room is left, and when that is too little to take anything in.

Below the watermark a node is read-only; what is left serves the head store, whose heartbeats go on.
"""

import asyncio
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from log.errors import Unavailable
from log.sequencer.clock import Clock

logger = logging.getLogger("twinlog.disk")

LOOK_MS = 1000  # the file system is asked at most this often


class Disk:
    """The file system under a folder."""

    def __init__(self, folder: Path, watermark_bytes: int, clock: Clock) -> None:
        self._folder = folder
        self._watermark_bytes = watermark_bytes
        self._clock = clock
        self._free_bytes = 0
        self._looked_ms: int | None = None

    def free_bytes(self) -> int:
        """Return the free bytes, as they were within the last second; none where the file system does not tell."""
        now_ms = self._clock.mono_ms()
        if self._looked_ms is None or now_ms - self._looked_ms >= LOOK_MS:
            try:
                self._free_bytes = shutil.disk_usage(self._folder).free
            except OSError as error:
                logger.warning("the file system does not tell its room", extra={"fields": {"why": error.strerror}})
                self._free_bytes = 0
            self._looked_ms = now_ms
        return self._free_bytes

    @property
    def watermark_bytes(self) -> int:
        """Free bytes below which the node is read-only."""
        return self._watermark_bytes

    def check(self) -> None:
        """Raise `Unavailable` below the watermark."""
        if self.free_bytes() < self._watermark_bytes:
            raise Unavailable(f"less than {self._watermark_bytes} bytes are free: read-only", reason="disk")


class Footprint:
    """What stores take on disk, by (log name or "", store): the files in a folder, or those whose names begin alike."""

    def __init__(self, stores: Callable[[Iterable[str]], Mapping[tuple[str, str], Path]]) -> None:
        """`stores` says where they lie, given the names of the logs there are."""
        self._stores = stores

    async def used_bytes(self, names: Iterable[str]) -> dict[tuple[str, str], int]:
        """Add up the files, off the event loop: a large LevelDB has thousands. What cannot be listed is left out."""
        stores = self._stores(names)
        return await asyncio.to_thread(_used_by, stores)


def _used_by(stores: Mapping[tuple[str, str], Path]) -> dict[tuple[str, str], int]:
    used = {}
    for key, path in stores.items():
        with suppress(OSError):
            used[key] = _used_bytes(path)
    return used


def _used_bytes(path: Path) -> int:
    """Return the bytes in a folder's files, or in a file and those beside it that continue its name (SQLite's -wal)."""
    folder, prefix = (path, "") if path.is_dir() else (path.parent, path.name)
    used = 0
    with os.scandir(folder) as files:
        for file in files:
            if file.name.startswith(prefix):
                with suppress(FileNotFoundError):  # compacted away since the folder was read
                    used += file.stat(follow_symlinks=False).st_size
    return used
