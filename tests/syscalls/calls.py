"""File system calls as strace or the shim wrote them down: PURE, from text to `Call`s.

Paths are relative to the folder that was watched; calls on anything else are left out. The order is that in which
the calls ended. `nth` counts the calls of one name on one path, as the tool counts when it is told to strike:
strace in each thread by itself, the shim over the whole process.
"""

import errno
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

# What a store calls. Others that would change files (`sendfile`, `truncate`, …) are watched so that they are noticed.
NAMES = (
    "openat", "read", "pread64", "write", "pwrite64", "writev", "fsync", "fdatasync", "ftruncate", "close", "mmap",
    "fcntl", "flock", "rename", "renameat", "renameat2", "unlink", "unlinkat", "link", "linkat", "mkdir", "mkdirat",
)  # fmt: skip
UNEXPECTED = ("sendfile", "copy_file_range", "truncate", "pwritev", "fallocate", "symlink", "open", "creat", "msync")
OPENS = frozenset({"openat"})
RENAMES = frozenset({"rename", "renameat", "renameat2"})
UNLINKS = frozenset({"unlink", "unlinkat"})
LINKS = frozenset({"link", "linkat"})
MKDIRS = frozenset({"mkdir", "mkdirat"})
WRITES = frozenset({"write", "pwrite64", "writev"})
SYNCS = frozenset({"fsync", "fdatasync"})
CHANGES = WRITES | SYNCS | RENAMES | UNLINKS | LINKS | MKDIRS | {"ftruncate"}  # calls whose failure loses something


@dataclass(frozen=True, slots=True)
class Call:
    """One call that touched the watched folder."""

    thread: int
    name: str
    path: str  # "." for the folder itself
    target: str = ""  # the new name of a rename or link
    fd: int = -1  # of the call, or that an open returned
    result: int | None = 0  # negative: -errno; None: the process died in it
    offset: int = -1  # of a pwrite64; the new length of an ftruncate
    flags: str = ""  # of an open, as `O_CREAT|O_TRUNC|`
    data: bytes = b""  # what a write wrote, where that was recorded
    nth: int = 0
    injected: bool = False

    @property
    def done(self) -> bool:
        """Whether it had its effect."""
        return self.result is not None and self.result >= 0

    def __str__(self) -> str:
        return f"{self.name} of {self.path} no. {self.nth}"


def numbered(calls: Iterable[Call], *, by_thread: bool) -> list[Call]:
    """Count the calls as the tool that will strike does."""
    seen: Counter[tuple[int, str, str]] = Counter()
    found = []
    for call in calls:
        key = call.thread if by_thread else 0, call.name, call.path
        seen[key] += 1
        found.append(replace(call, nth=seen[key]))
    return found


# --- the shim's lines -------------------------------------------------------------------------------------------


def parse_shim(text: str) -> Iterator[Call]:
    """Read what shim.c wrote."""
    for line in text.splitlines():
        thread, name, path, target, fd, result, offset, flags, data = line.split("\t")
        yield Call(
            int(thread), name, path, target, int(fd), int(result), int(offset), flags, bytes.fromhex(data)
        )  # fmt: skip


# --- strace's lines ---------------------------------------------------------------------------------------------

_LINE = re.compile(r"(?P<thread>\d+) +(?:<\.\.\. (?P<resumed>\w+) resumed>(?P<rest>.*)|(?P<name>\w+)\((?P<args>.*))")
_END = re.compile(
    r"\) += (?P<result>-?\d+|0x[0-9a-f]+|\?)(?:<[^>]*>)?(?:\(deleted\))?"
    r"(?: (?P<error>E\w+) \([^)]*\))?(?P<injected> \(INJECTED\))?(?: \(DELAYED\))?$"
)
_UNFINISHED = " <unfinished ...>"
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_DESCRIPTOR = re.compile(r"(\d+)<((?:\\x[0-9a-f]{2})*)>")
_NUMBER = re.compile(r", (\d+)$")


def parse_strace(text: str, folder: Path) -> Iterator[Call]:
    """Read `strace -f -y -xx` of one process. `AssertionError` at a call that changes files in a way not known here."""
    begun: dict[int, tuple[str, str]] = {}
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            continue  # signals, exits
        thread = int(match["thread"])
        if match["resumed"]:
            name, first = begun.pop(thread)
            body = first + match["rest"]
        elif match["args"].endswith(_UNFINISHED):
            begun[thread] = match["name"], match["args"].removesuffix(_UNFINISHED)
            continue
        else:
            name, body = match["name"], match["args"]
        call = _call(thread, name, body, folder)
        if call is not None:
            yield call
    for thread, (name, body) in begun.items():
        call = _call(thread, name, body + ") = ?", folder)
        if call is not None:
            yield call


def _call(thread: int, name: str, body: str, folder: Path) -> Call | None:
    end = _END.search(body)
    assert end is not None, f"strace wrote a line that is not understood: {name}({body[-200:]}"
    args, result = body[: end.start()], _result(end)
    strings = [_text(each) for each in _STRING.findall(args)]
    descriptors = [(int(fd), _text(path).decode()) for fd, path in _DESCRIPTOR.findall(args)]
    on_path = name in OPENS | RENAMES | UNLINKS | LINKS | MKDIRS or name in UNEXPECTED
    paths = [each.decode() for each in strings] if on_path else [path for _, path in descriptors[:1]]
    inside = [below for below in (_below(path, folder) for path in paths) if below]
    if not inside:
        return None
    assert name not in UNEXPECTED, f"{name} is not in the model: {args[:200]}"
    last = _NUMBER.search(args)
    return Call(
        thread,
        name,
        inside[0],
        inside[1] if len(inside) > 1 else "",
        (result or 0) if name in OPENS else descriptors[0][0] if descriptors and not on_path else -1,
        result,
        int(last[1]) if last and name in {"pwrite64", "ftruncate"} else -1,
        args if name in OPENS else "",
        b"".join(strings) if name in WRITES else b"",
        injected=end["injected"] is not None,
    )


def _result(end: re.Match[str]) -> int | None:
    if end["error"]:
        return -int(getattr(errno, end["error"]))
    return None if end["result"] == "?" else int(end["result"], 0)


def _text(hexadecimal: str) -> bytes:
    return bytes.fromhex(hexadecimal.replace("\\x", ""))


def _below(path: str, folder: Path) -> str:
    """Return a path relative to the folder, "" when it is not below it."""
    prefix = str(folder)
    if path == prefix:
        return "."
    return path[len(prefix) + 1 :] if path.startswith(prefix + "/") else ""
