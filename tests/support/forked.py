"""Our programs as processes that do not each load themselves anew: forks of one process that has loaded them.

`python -m log serve` spends half a second of a core, and `python -m monitor run` more, on reading modules that the
process of the test before has read. Here one process for each worker of the suite reads them, runs nothing, and forks
itself for each program that a test wants (`multiprocessing`'s fork server). What a test gets is a process as any
other: its own id, memory, files, signals, environment and exit code. Only how the interpreter begins is not tried;
that is tried where a program is started as a user starts it (tests/README.md says where).
"""

import asyncio
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import chdir, suppress
from functools import cache
from multiprocessing import forkserver
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerContext
from pathlib import Path
from types import TracebackType
from typing import IO, Self, cast

from log.demo import processes

# What our programs read at a start; not what is run by name, which a run reads for itself.
LOADED = [
    *("log.cli.node", "log.cli.audit", "log.cli.client", "log.cli.governance", "log.cli.restore", "log.cli.trust"),
    *("monitor.cli", "tests.support.members", "tests.support.nodes"),
]
CHECKOUT = Path(__file__).resolve().parents[2]
WAIT_S = 120.0  # for a command to end, on a busy machine

_one_at_a_time = threading.Lock()  # whoever starts a process of `multiprocessing` looks after all the others


@cache
def _loaded() -> ForkServerContext:
    """Start the process that loads all, from this checkout wherever a test stands; return what forks it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LOADED)
    with chdir(CHECKOUT):
        forkserver.ensure_running()
    return context


class Program:
    """`python -m PACKAGE ARGUMENTS`, forked. What it writes is added to files; it ends with the block at the latest."""

    def __init__(self, words: list[str], stdout: Path, stderr: Path | None = None) -> None:
        outputs = str(stdout), str(stderr or stdout)
        with _one_at_a_time:
            self._process = _loaded().Process(
                target=_run, args=(words, Path.cwd(), dict(os.environ), outputs), daemon=True, name=words[0]
            )
            self._process.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()
        self.wait()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Return its exit code, minus the number of the signal that ended it, or None while it runs."""
        with _one_at_a_time:
            return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.returncode is None:
            with suppress(ProcessLookupError):  # it ended just now
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End it by SIGKILL, unless it has ended."""
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout_s: float = WAIT_S) -> int:
        """Wait until it has ended; return its exit code, or raise `TimeoutError`."""
        wait([self._process.sentinel], timeout_s)
        code = self.returncode
        if code is None:
            raise TimeoutError(f"{self._process.name} has not ended within {timeout_s} s")
        return code

    async def ended(self) -> int:
        """Wait until it has ended, and let others run meanwhile; return its exit code."""
        if (code := self.returncode) is not None:
            return code
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._process.sentinel, over.set)
        try:
            await over.wait()
        finally:
            loop.remove_reader(self._process.sentinel)
        return self.wait()


class Process(processes.Process):
    """A process of `log.demo` that is forked."""

    async def _spawn(self, output: IO[bytes]) -> asyncio.subprocess.Process:
        return cast(asyncio.subprocess.Process, _Awaited(Program(self._command[2:], Path(output.name))))


class _Awaited:
    """A program as asyncio has its own."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self.pid, self.kill, self.wait = program.pid, program.kill, program.ended

    @property
    def returncode(self) -> int | None:
        return self._program.returncode


def run(*words: str, timeout_s: float = WAIT_S) -> subprocess.CompletedProcess[str]:
    """Run `python -m WORDS` to its end; return what `subprocess.run` would."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        with Program(list(words), out, err) as program:
            code = program.wait(timeout_s)
        return subprocess.CompletedProcess(words, code, out.read_text(), err.read_text())


def _run(words: list[str], folder: Path, environment: Mapping[str, str], outputs: tuple[str, str]) -> None:
    """Be the program, in the process that was forked."""
    for number, name in enumerate(outputs, 1):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = list(words)
    runpy.run_module(words[0], run_name="__main__", alter_sys=True)
