"""How far a submission is: a bar at a terminal, a line every ten seconds elsewhere."""

import asyncio
import contextlib
import sys
import time
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from log.client.backlog import Backlog

BAR_S = 0.5  # between two looks at the counters
LINE_S = 10.0


class Meter:
    """Counts outcomes, and shows them with the rate and the time left while it is entered.

    How far it is follows from the bytes of the files: they are summed up beside the submission, which does not wait.
    """

    def __init__(self, backlog: Backlog, console: Console | None = None, line_s: float = LINE_S) -> None:
        """`console` is standard error by default; lines are written there where it is no terminal."""
        self._backlog = backlog
        self._console = console or Console(file=sys.stderr)
        self._line_s = line_s
        self._total: int | None = None  # bytes of all files, once they are known
        self._seen = (time.monotonic(), 0, 0)  # when the rate was told, certificates and bytes then
        self._tasks: list[asyncio.Task[None]] = []
        self.logged = 0
        self.refused = 0

    def __str__(self) -> str:
        return f"{self.logged} logged, {self._backlog.logged_before} logged before, {self.refused} refused"

    def count(self, *, logged: bool) -> None:
        """Count one outcome."""
        self.logged += logged
        self.refused += not logged

    async def __aenter__(self) -> "Meter":
        show = self._bar() if self._console.is_terminal else self._lines()
        self._tasks = [asyncio.create_task(show), asyncio.create_task(self._measure())]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._backlog.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _measure(self) -> None:
        with contextlib.suppress(OSError):  # a folder that went away: there is no total, and the submission says why
            self._total = await asyncio.to_thread(self._backlog.measure)

    async def _bar(self) -> None:
        columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
        with Progress(*columns, console=self._console, transient=True) as bar:
            task = bar.add_task("", total=None)
            while True:
                rate, _ = self._rate()
                bar.update(
                    task, completed=self._backlog.read_bytes, total=self._total, description=f"{self}; {rate:.0f}/s"
                )
                await asyncio.sleep(BAR_S)

    async def _lines(self) -> None:
        while True:
            await asyncio.sleep(self._line_s)
            self._console.print(self.line(), soft_wrap=True, highlight=False)

    def line(self) -> str:
        """Return the counts, the rate since the last line, how far it is and the time left."""
        rate, bytes_rate = self._rate()
        told = f"{self}; {rate:.0f}/s"
        if self._total:
            read = self._backlog.read_bytes
            told += f", {min(100 * read // self._total, 100)} % read"
            if bytes_rate > 0:
                left = timedelta(seconds=round(max(self._total - read, 0) / bytes_rate))
                told += f", about {left} left"
        return told

    def _rate(self) -> tuple[float, float]:
        """Return certificates and bytes a second since this was asked last."""
        now = (time.monotonic(), self.logged + self.refused + self._backlog.logged_before, self._backlog.read_bytes)
        lasted_s = max(now[0] - self._seen[0], 1e-9)
        rates = (now[1] - self._seen[1]) / lasted_s, (now[2] - self._seen[2]) / lasted_s
        self._seen = now
        return rates
