"""How much room is left, and when that is too little to take anything in.

Below the watermark a node is read-only; what is left serves the head store, whose heartbeats go on.
"""

import shutil
from pathlib import Path

from log.errors import Unavailable
from log.sequencer.clock import Clock

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
        """Return the free bytes, as they were within the last second."""
        now_ms = self._clock.mono_ms()
        if self._looked_ms is None or now_ms - self._looked_ms >= LOOK_MS:
            self._free_bytes = shutil.disk_usage(self._folder).free
            self._looked_ms = now_ms
        return self._free_bytes

    def check(self) -> None:
        """Raise `Unavailable` below the watermark."""
        if self.free_bytes() < self._watermark_bytes:
            raise Unavailable(f"less than {self._watermark_bytes} bytes are free: read-only", reason="disk")
