"""The heads that we cosigned last, as files below a folder: what a web server shows as our monitoring prefix.

    <folder>/<SHA-256 of the origin, hex>/checkpoint        (C2SP tlog-witness, `GET <origin hash>/checkpoint`)

The monitor has no server of its own, and a log of others takes no cosignatures back; here anyone finds them.
"""

import contextlib
from pathlib import Path

NAME = "checkpoint"


class Shelf:
    """A folder for files that are replaced whole. Functions block."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, origin_hash: str, note: bytes) -> None:
        """Replace the head of one origin. A reader sees the old or the new one; `OSError` leaves the old.

        Not synced: after a crash the next round writes it again.
        """
        place = self._folder / origin_hash
        place.mkdir(parents=True, exist_ok=True)
        scratch = place / f"{NAME}.new"
        try:
            scratch.write_bytes(note)
            scratch.replace(place / NAME)
        except OSError:
            with contextlib.suppress(OSError):
                scratch.unlink()
            raise
