"""The marker that tells a store's folder from any other (design.md section 4, item 3: missing is not empty).

A folder is marked once its database exists. So an empty folder, such as the mount point of a disk that is not
there, is not taken for a new store, nor a store whose database is gone for one.
"""

import os
from pathlib import Path

from log.errors import StateRefused
from log.folders import sync_names

MARKER = "TWINLOG"

_LAYOUTS = {"data": 2}  # the number of a store's layout; 1 where none stands here


def is_marked(path: Path, kind: str) -> bool:
    """Whether the folder holds a store of this kind. Raises StateRefused when it holds one of another kind."""
    try:
        marking = (path / MARKER).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return False
    if marking == _marking(kind):
        return True
    if marking.startswith(f"twinlog {kind} ".encode()):
        raise StateRefused(
            f"{path} was written by another version of this program, in a layout that this one cannot read"
        )
    raise StateRefused(f"{path} is marked as another kind of store than {kind}")


def mark(path: Path, kind: str) -> None:
    """Mark the folder; it and its name are on the disk on return."""
    draft = path / f"{MARKER}.new"
    with draft.open("wb") as file:
        file.write(_marking(kind))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path / MARKER)
    sync_names(path)
    sync_names(path.parent)


def _marking(kind: str) -> bytes:
    return f"twinlog {kind} {_LAYOUTS.get(kind, 1)}\n".encode()
