"""What a disk holds after a power cut: PURE, from the calls of a process to the files that survive.

A file is its content when it was last synced, and what was written since, which may be there or not, whole or torn.
A folder is its names when it was last synced, and the changes since. POSIX promises no more. One thing beyond it is
taken for granted, because LevelDB does and every file system with a journal gives it: names and the sizes of files
change on the disk in the order in which processes changed them. `Survival` says which of the possible disks is meant.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path, PurePosixPath

from tests.syscalls.calls import LINKS, MKDIRS, OPENS, RENAMES, SYNCS, UNLINKS, WRITES, Call

SECTOR = 512  # bytes that a disk writes as one
FORGOTTEN = frozenset({"LOG", "LOG.old"})  # LevelDB's diary, which stdio writes; nobody reads it


class Survival(Enum):
    """Which of the disks that a power cut may leave."""

    SYNCED = "synced"  # what was synced and nothing else, neither bytes nor names
    JOURNAL = "journal"  # the same, but any sync makes all earlier names durable, as ext4 does
    NAMES = "names"  # every name, no byte that was not synced
    CUT = "cut"  # names and sizes up to some moment; each file new up to some sector, and then as it was
    TORN = "torn"  # names and sizes up to some moment; of each file some sectors new, others zero or as they were
    ALL = "all"  # everything, as after `kill -9`


@dataclass(slots=True, eq=False)
class File:
    """A file as processes see it, and as it was when it was last synced."""

    content: bytearray = field(default_factory=bytearray)
    synced: bytes = b""
    sizes: list[tuple[int, int]] = field(default_factory=list)  # (moment, size) of each change since then

    def sync(self) -> None:
        self.synced = bytes(self.content)
        self.sizes.clear()

    def write(self, moment: int, offset: int, data: bytes) -> None:
        self.resize(moment, max(len(self.content), offset + len(data)))
        self.content[offset : offset + len(data)] = data

    def resize(self, moment: int, size: int) -> None:
        if size != len(self.content):
            self.sizes.append((moment, size))
        del self.content[size:]
        self.content.extend(bytes(size - len(self.content)))

    def surviving(self, survival: Survival, until: int, rng: random.Random) -> bytes:
        """Return what is left of it; `until`: the moment up to which names and sizes reached the disk."""
        if survival is Survival.ALL:
            return bytes(self.content)
        if survival in {Survival.SYNCED, Survival.JOURNAL, Survival.NAMES} or self.content == self.synced:
            return self.synced
        size = max((each for each in self.sizes if each[0] <= until), default=(0, len(self.synced)))[1]
        new, old = bytes(self.content[:size]).ljust(size, b"\0"), self.synced[:size].ljust(size, b"\0")
        sectors = range(0, size, SECTOR)
        if survival is Survival.CUT:
            end = rng.choice([at for at in sectors if new[at : at + SECTOR] != old[at : at + SECTOR]] + [size])
            cut = new[:end] + self.synced[end:]
            return cut[:size]
        return b"".join((new if rng.random() < 0.5 else old)[at : at + SECTOR] for at in sectors)[:size]


@dataclass(slots=True, eq=False)
class Folder:
    """Names as processes see them, and as they were when the folder was last synced."""

    names: dict[str, "File | Folder"] = field(default_factory=dict)
    synced: dict[str, "File | Folder"] = field(default_factory=dict)
    changes: list[tuple[int, "dict[str, File | Folder | None]"]] = field(default_factory=list)  # since then

    def change(self, moment: int, change: "dict[str, File | Folder | None]") -> None:
        self.changes.append((moment, change))
        _apply(self.names, change)

    def sync(self) -> None:
        self.synced = dict(self.names)
        self.changes.clear()

    def surviving(self, until: int) -> "dict[str, File | Folder]":
        """Return the names that are left, when changes reached the disk up to a moment."""
        names = dict(self.synced)
        for moment, change in self.changes:
            if moment <= until:
                _apply(names, change)
        return names


def _apply(names: "dict[str, File | Folder]", change: "Mapping[str, File | Folder | None]") -> None:
    for name, entry in change.items():
        if entry is None:
            names.pop(name, None)
        else:
            names[name] = entry


class Disk:
    """A folder tree that takes calls, and can be cut off from its power after any of them."""

    def __init__(self, folder: Path) -> None:
        self.root = _load(folder)
        self._open: dict[int, tuple[File | Folder, int, bool]] = {}  # by descriptor: what, where, appending
        self._now = 0  # calls so far
        self._journalled = 0  # when anything was synced last

    def take(self, call: Call) -> None:
        """Let a call have its effect. Calls that had none are passed over."""
        self._now += 1
        if not call.done or PurePosixPath(call.path).name in FORGOTTEN:
            return
        if call.name in OPENS:
            self._opened(call)
        elif call.name in WRITES:
            self._written(call)
        elif call.name == "ftruncate":
            self._file(call).resize(self._now, call.offset)
        elif call.name in SYNCS:
            self._held(call)[0].sync()
            self._journalled = self._now
        elif call.name in RENAMES | LINKS:
            self._renamed(call)
        elif call.name in UNLINKS:
            folder, name = self._at(call.path)
            folder.change(self._now, {name: None})
        elif call.name in MKDIRS:
            folder, name = self._at(call.path)
            folder.change(self._now, {name: Folder()})
        elif call.name == "close":
            self._open.pop(call.fd, None)

    def cut(self, survival: Survival, seed: int) -> dict[str, bytes | None]:
        """Return what is left: paths with content, None for a folder."""
        found: dict[str, bytes | None] = {}
        rng = random.Random(seed)
        until = {Survival.SYNCED: 0, Survival.JOURNAL: self._journalled}.get(survival, self._now)
        if survival in {Survival.CUT, Survival.TORN}:
            until = rng.randint(0, self._now) if rng.random() < 0.5 else self._now
        _collect(self.root, "", survival, until, rng, found)
        return found

    # --- calls ------------------------------------------------------------------------------------------------

    def _opened(self, call: Call) -> None:
        if call.path == ".":
            self._open[call.fd] = (self.root, 0, False)
            return
        folder, name = self._at(call.path)
        entry = folder.names.get(name)
        if entry is None:
            assert "O_CREAT" in call.flags, f"{call} opened what is not there"
            entry = File()
            folder.change(self._now, {name: entry})
        if "O_TRUNC" in call.flags and isinstance(entry, File):
            entry.resize(self._now, 0)
        self._open[call.fd] = (entry, 0, "O_APPEND" in call.flags)

    def _written(self, call: Call) -> None:
        entry, position, appending = self._held(call)
        assert isinstance(entry, File)
        assert call.result is not None
        data = call.data[: call.result]
        assert len(data) == call.result, f"{call}: its data were not recorded"
        if call.name == "pwrite64":
            entry.write(self._now, call.offset, data)
        else:
            entry.write(self._now, len(entry.content) if appending else position, data)
            self._open[call.fd] = (entry, position + len(data), appending)

    def _renamed(self, call: Call) -> None:
        folder, name = self._at(call.path)
        other, new = self._at(call.target)
        assert folder is other, f"{call}: between folders"
        entry = folder.names[name]
        folder.change(self._now, {new: entry} if call.name in LINKS else {name: None, new: entry})

    def _file(self, call: Call) -> File:
        entry = self._held(call)[0]
        assert isinstance(entry, File)
        return entry

    def _held(self, call: Call) -> tuple[File | Folder, int, bool]:
        assert call.fd in self._open, f"{call}: opened before the first call that was taken"
        return self._open[call.fd]

    def _at(self, path: str) -> tuple[Folder, str]:
        *folders, name = PurePosixPath(path).parts
        folder = self.root
        for each in folders:
            below = folder.names[each]
            assert isinstance(below, Folder)
            folder = below
        return folder, name


def _load(folder: Path) -> Folder:
    """Read a folder that has been on the disk for long."""
    loaded = Folder()
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            loaded.names[path.name] = _load(path)
        elif path.name not in FORGOTTEN:
            file = File(bytearray(path.read_bytes()))
            file.sync()
            loaded.names[path.name] = file
    loaded.sync()
    return loaded


def _collect(
    folder: Folder,
    prefix: str,
    survival: Survival,
    until: int,
    rng: random.Random,
    found: dict[str, bytes | None],
) -> None:
    for name, entry in sorted(folder.surviving(until).items()):
        if isinstance(entry, Folder):
            found[prefix + name] = None
            _collect(entry, f"{prefix}{name}/", survival, until, rng, found)
        elif not name.endswith("-shm"):  # shared memory; whoever comes first makes it anew
            found[prefix + name] = entry.surviving(survival, until, rng)


def write_out(files: Mapping[str, bytes | None], folder: Path) -> None:
    """Make a folder of what is left."""
    folder.mkdir(parents=True)
    for path, content in files.items():
        if content is None:
            (folder / path).mkdir()
        else:
            (folder / path).touch(mode=0o600)  # as key files must be
            (folder / path).write_bytes(content)
