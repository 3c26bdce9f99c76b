"""How the process itself does: memory, files, CPU, garbage collection, and how late the event loop runs.

Linux tells through /proc; where that is absent these values are left out.
"""

import asyncio
import gc
import math
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from log.serving.sheet import Sheet, counter, gauge, histogram
from log.tally import Spread

PROCESS = {
    "twinlog_process_start_seconds": gauge("POSIX time at which the process was started."),
    "twinlog_process_resident_bytes": gauge("Memory of the process that is no file's (RssAnon)."),
    "twinlog_process_open_files_total": gauge("Open file descriptors."),
    "twinlog_process_open_files_limit_total": gauge("File descriptors that may be open."),
    "twinlog_process_cpu_seconds_total": counter("CPU time of the process, without those that it started."),
    "twinlog_process_gc_seconds_total": counter("Time in Python's cyclic garbage collection.", "generation"),
    "twinlog_process_gc_runs_total": counter("Runs of Python's cyclic garbage collection.", "generation"),
    "twinlog_process_gc_longest_seconds": gauge("Longest such run since the process began."),
    "twinlog_process_loop_lag_seconds": histogram("How late the event loop woke a task, looked at every half second."),
}

LOOK_S = 0.5  # how often the event loop is looked at
_PROC = Path("/proc/self")
_GENERATIONS = 3


class Vitals:
    """What is counted while `watched`, and what the system tells when somebody asks."""

    def __init__(self, started_ms: int) -> None:
        self._started_ms = started_ms  # POSIX milliseconds
        self._lag = Spread()
        self._gc_begun = 0.0
        self._gc_runs = [0] * _GENERATIONS
        self._gc_seconds = [0.0] * _GENERATIONS
        self._gc_longest = 0.0

    @contextmanager
    def watched(self) -> Iterator["Vitals"]:
        """Look at the running event loop and at garbage collection while the block lasts."""
        gc.callbacks.append(self._collecting)
        looking = asyncio.get_running_loop().create_task(self._look(), name="vitals")
        try:
            yield self
        finally:
            looking.cancel()
            gc.callbacks.remove(self._collecting)

    async def _look(self) -> None:
        while True:
            due = time.perf_counter() + LOOK_S
            await asyncio.sleep(LOOK_S)
            self._lag.add(max(0.0, time.perf_counter() - due))

    def _collecting(self, phase: str, info: dict[str, Any]) -> None:
        """Take the time of a run: Python calls this before and after each."""
        if phase == "start":
            self._gc_begun = time.perf_counter()
            return
        seconds = time.perf_counter() - self._gc_begun
        generation = info["generation"]
        self._gc_runs[generation] += 1
        self._gc_seconds[generation] += seconds
        self._gc_longest = max(self._gc_longest, seconds)

    def put(self, sheet: Sheet) -> None:
        """Write the metrics of the process."""
        sheet.put("twinlog_process_start_seconds", self._started_ms / 1000)
        sheet.put("twinlog_process_resident_bytes", _anonymous_bytes())
        sheet.put("twinlog_process_open_files_total", _open_files())
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        endless = limit == resource.RLIM_INFINITY
        sheet.put("twinlog_process_open_files_limit_total", math.inf if endless else limit)
        sheet.put("twinlog_process_cpu_seconds_total", time.process_time())
        for generation in range(_GENERATIONS):
            sheet.put("twinlog_process_gc_seconds_total", self._gc_seconds[generation], str(generation))
            sheet.put("twinlog_process_gc_runs_total", self._gc_runs[generation], str(generation))
        sheet.put("twinlog_process_gc_longest_seconds", self._gc_longest)
        sheet.spread("twinlog_process_loop_lag_seconds", self._lag)


def _anonymous_bytes() -> int | None:
    try:
        status = (_PROC / "status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    words = status.partition("RssAnon:")[2].split(maxsplit=2)
    return int(words[0]) * 1024 if words else None


def _open_files() -> int | None:
    try:
        return len(list((_PROC / "fd").iterdir())) - 1  # without the one that lists them
    except OSError:
        return None
