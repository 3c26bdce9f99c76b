"""Folders whose names survive a power cut.

Syncing a file makes its bytes durable and not its name (POSIX, fsync): a name is part of the folder that holds it,
and a folder's own name of the one above. Whoever creates, renames or removes what must still be so after a power cut
syncs the folder besides.
"""

import os
from pathlib import Path


def sync_names(path: Path) -> None:
    """Make durable which files a folder holds. Raises OSError."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def make_folder(path: Path) -> None:
    """Make a folder, and those above it that are not there, for their owner alone; their names are durable then.

    What is there already stays as it is. Raises OSError.
    """
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)
    sync_names(path.parent)


def write_private(path: Path, data: bytes) -> None:
    """Write a file for its owner alone (0600), whole or not at all, durable with its name. Raises OSError."""
    part = path.with_name(path.name + ".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, 0o600)
        file.write(data)
        file.flush()
        os.fsync(descriptor)
    part.replace(path)
    sync_names(path.parent)
