"""A program of the operator's, with the alert's JSON on its standard input. Exit code 0 says that it was told.

It gets an argument list, no shell, and a process group of its own, which ends with it: by itself or at the time limit.
"""

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import suppress

from log.errors import Unreachable
from monitor.store import KeptAlert


class Command:
    """One program."""

    def __init__(self, name: str, words: Sequence[str]) -> None:
        self.name = name
        self._words = tuple(words)

    async def send(self, kept: KeptAlert, body: bytes) -> None:  # noqa: ARG002 - the body says all
        """Run it once."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self._words,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        except (OSError, ValueError) as e:
            raise Unreachable(f"cannot be started, {type(e).__name__}") from e
        try:
            await process.communicate(body + b"\n")
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # what it left behind, too
            await process.wait()
        if process.returncode != 0:
            raise Unreachable(f"exited with {process.returncode}")
