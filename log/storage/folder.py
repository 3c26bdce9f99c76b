"""The marker that tells a store's folder from any other (design.md section 4, item 3: missing is not empty).

A folder is marked once its database exists. So an empty folder, such as the mount point of a disk that is not
there, is not taken for a new store, nor a store whose database is gone for one.
"""

import os
import re
from pathlib import Path

from log.errors import StateRefused
from log.folders import sync_names

MARKER = "TWINLOG"


def layout_of(path: Path, kind: str) -> int:
    """Return the layout of the folder's store, from 1; 0 for a folder that is not marked.

    Raises StateRefused when it holds a store of another kind.
    """
    try:
        marking = (path / MARKER).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return 0
    match = re.fullmatch(rb"twinlog ([a-z]+) ([1-9][0-9]{0,3})\n", marking)
    if match is None or match[1] != kind.encode():
        raise StateRefused(f"{path} is marked as another kind of store than {kind}")
    return int(match[2])


def mark(path: Path, kind: str, layout: int) -> None:
    """Mark the folder as a store of a kind, in one of its layouts; it and its name are on the disk on return."""
    draft = path / f"{MARKER}.new"
    with draft.open("wb") as file:
        file.write(f"twinlog {kind} {layout}\n".encode())
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path / MARKER)
    sync_names(path)
    sync_names(path.parent)
