"""The two tools that watch a process's file calls and strike at one: strace, and where it is missing a preloaded shim.

`tools()` returns those that this machine has. Both give `Call`s and take a `Fault`; they differ in what they count
(`calls.py`) and in that only the shim can kill right after a call.
"""

import errno
import functools
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tests.syscalls.calls import NAMES, UNEXPECTED, Call, numbered, parse_shim, parse_strace

SOURCE = Path(__file__).with_name("shim.c")
KINDS = {"EIO": 1, "ENOSPC": 1, "killed before": 2, "killed after": 3}  # as shim.c numbers them
WHOLE = 1 << 24  # bytes of one write that strace prints where data are wanted


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens at one call: an error in its place, or SIGKILL before or after it."""

    call: Call
    kind: str  # of KINDS

    @property
    def kills(self) -> bool:
        return self.kind.startswith("killed")

    def __str__(self) -> str:
        return f"{self.kind} at {self.call}"


class Tool(Protocol):
    """Watches one run of a forked child."""

    name: str
    kinds: tuple[str, ...]

    def environment(self) -> Mapping[str, str]:
        """Return what the server must find in its environment."""

    def request(self, folder: Path, record: Path, fault: Fault | None, *, data: bool, slow_ms: int) -> list[Any] | None:
        """Return what the child does by itself when its window opens."""

    def watching(self, pid: int, folder: Path, record: Path, fault: Fault | None, *, data: bool) -> Any:
        """A context around the window: the tool is in place when it is entered, and done when it is left."""

    def calls(self, folder: Path, record: Path) -> list[Call]:
        """Return what was written down."""


class Strace:
    """From outside, in the kernel's terms. Counts in each thread by itself."""

    name = "strace"
    kinds: tuple[str, ...] = ("EIO", "ENOSPC", "killed before")

    def environment(self) -> Mapping[str, str]:
        return {}

    def request(self, folder: Path, record: Path, fault: Fault | None, *, data: bool, slow_ms: int) -> list[Any] | None:
        assert not slow_ms, "strace cannot tell a table's file from others"
        return None

    @contextmanager
    def watching(self, pid: int, folder: Path, record: Path, fault: Fault | None, *, data: bool) -> Iterator[None]:
        command = ["strace", "-f", "-y", "-xx", "-s", str(WHOLE if data else 0), "-p", str(pid), "-o", str(record)]
        command += ["-e", "signal=none", "-e", f"trace={','.join('?' + name for name in NAMES + UNEXPECTED)}"]
        if fault is not None:
            what = "signal=KILL" if fault.kills else f"error={fault.kind}"
            command += ["-P", str(folder / fault.call.path)]  # what is not on this path is neither shown nor counted
            command += ["-e", f"inject={fault.call.name}:{what}:when={fault.call.nth}"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            said = process.stderr.readline()
            assert "attached" in said, f"strace could not attach: {said}"
            yield
            process.stderr.read()

    def calls(self, folder: Path, record: Path) -> list[Call]:
        text = record.read_text(encoding="ascii") if record.exists() else ""
        return numbered(parse_strace(text, folder), by_thread=True)


class Shim:
    """From inside, in the C library's terms. Counts over the whole process."""

    name = "shim"
    kinds: tuple[str, ...] = ("EIO", "ENOSPC", "killed before", "killed after")

    def __init__(self, library: Path) -> None:
        self._library = library

    def environment(self) -> Mapping[str, str]:
        return {"LD_PRELOAD": str(self._library)}

    def request(self, folder: Path, record: Path, fault: Fault | None, *, data: bool, slow_ms: int) -> list[Any] | None:
        if fault is None:
            return [str(folder), str(record), int(data), slow_ms, 0, 0, "", "", 0]
        number = 0 if fault.kills else getattr(errno, fault.kind)
        call = fault.call
        return [str(folder), str(record), int(data), slow_ms, KINDS[fault.kind], number, call.name, call.path, call.nth]

    @contextmanager
    def watching(self, pid: int, folder: Path, record: Path, fault: Fault | None, *, data: bool) -> Iterator[None]:
        yield

    def calls(self, folder: Path, record: Path) -> list[Call]:
        text = record.read_text(encoding="ascii") if record.exists() else ""
        return numbered(parse_shim(text), by_thread=False)


# --- what this machine has ----------------------------------------------------------------------------------------


@functools.cache
def has_strace() -> bool:
    """Whether strace is there and may trace."""
    if shutil.which("strace") is None:
        return False
    ran = subprocess.run(["strace", "-f", "-o", os.devnull, "true"], capture_output=True, check=False)
    return ran.returncode == 0


def has_compiler() -> bool:
    """Whether C can be compiled."""
    return shutil.which("cc") is not None


def compile_shim(folder: Path) -> Shim:
    """Build the shim in a folder; return the tool."""
    library = folder / "shim.so"
    if not library.exists():
        command = ["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o", str(library), str(SOURCE)]
        subprocess.run([*command, "-ldl", "-lpthread"], check=True)
    return Shim(library)


def names() -> list[str]:
    """Return the names of the tools that this machine has, the better one first."""
    return [name for name, there in (("strace", has_strace()), ("shim", has_compiler())) if there]


def tool(name: str, folder: Path) -> Tool:
    """Return the tool of this name; `folder` is for what it builds."""
    return Strace() if name == "strace" else compile_shim(folder)
