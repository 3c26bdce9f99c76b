"""Starting and ending the demonstration's processes: real ones, each ended by its process id."""

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO

from log.errors import Unreachable

START_TIMEOUT_S = 120.0  # a process that ends is noticed at once; a busy machine is waited for
STOP_TIMEOUT_S = 60.0


class Process:
    """`twinlog serve` or `twinlog-monitor run` as a child process; its output goes to a file."""

    def __init__(self, package: str, arguments: list[str], output: Path) -> None:
        self._command = [sys.executable, "-m", package, *arguments]
        self._output = output
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise AssertionError("not started")
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit code, or None while it runs or before it was started."""
        return None if self._process is None else self._process.returncode

    async def start(self, ready: str) -> None:
        """Start, and return once `ready` stands in what the process wrote. `Unreachable` when it does not."""
        with self._output.open("ab") as output:
            begin = output.tell()
            self._process = await self._spawn(output)
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                while ready not in self._output.read_bytes()[begin:].decode(errors="replace"):
                    if self._process.returncode is not None:
                        raise Unreachable(f"{self._command[2]} ended with {self._process.returncode}: {self.tail()}")
                    await asyncio.sleep(0.02)
        except TimeoutError as error:
            raise Unreachable(f"{self._command[2]} did not start: {self.tail()}") from error

    async def _spawn(self, output: IO[bytes]) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(*self._command, stdout=output, stderr=output)

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, wait for the end, return the exit code. A process that ended before is left alone."""
        if self._process is None:
            return 0
        if self._process.returncode is None:
            # Not `send_signal`: of a process that has just ended it takes the exit code, and asyncio then finds none.
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, number)
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                return await self._process.wait()
        except TimeoutError:
            self._process.kill()
            return await self._process.wait()

    def tail(self) -> str:
        """Return the last lines of what the process wrote."""
        return "\n".join(self._output.read_text(errors="replace").splitlines()[-8:])
