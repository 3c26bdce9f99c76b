"""The log file that a LevelDB appends to, watched for the moment at which it begins another.

LevelDB syncs its log when a write asks for it. It begins a new one when its write buffer is full, and then syncs
neither the name of the new one, without which a synced write in it is lost with the power (POSIX, fsync), nor what
unsynced writes left at the end of the old one. Each write makes the log longer; when it did not, it went to a new one.
"""

import os
from contextlib import suppress
from pathlib import Path

from log.folders import sync_names


class LogFile:
    """The newest log in the folder of an open LevelDB. Belongs to the thread that writes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file, self._size = self._newest()

    def follow(self) -> None:
        """Look after each write; when it began a new log, make the old one and the new name durable.

        Raises OSError.
        """
        try:
            size = self._file.stat().st_size
        except FileNotFoundError:  # LevelDB removes a log once its rows are in a synced table
            size = 0
        if size > self._size:
            self._size = size
            return
        with suppress(FileNotFoundError), self._file.open("rb") as old:
            os.fdatasync(old.fileno())
        self._file, self._size = self._newest()
        sync_names(self._path)

    def _newest(self) -> tuple[Path, int]:
        newest = max(self._path.glob("*.log"), key=lambda file: int(file.stem), default=None)
        if newest is None:
            raise FileNotFoundError(f"{self._path} holds no log of LevelDB's any more")
        return newest, newest.stat().st_size
