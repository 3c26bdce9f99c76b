"""What the figures were measured on: cores, versions, how long the disk takes to sync."""

import math
import os
import platform
import shutil
import subprocess
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cryptography.hazmat.backends.openssl import backend

from tests.bench.stats import median, percentile

LIBRARIES = ("cryptography", "uvicorn", "uvloop", "httptools", "msgspec", "fastapi")
SYNCS = 100  # of the disk, for its time
SYNCED_BYTES = 4096
LOOPS, TURNS = 20, 20_000  # of the interpreter, for its speed


def describe(folder: Path) -> dict[str, Any]:
    """Return what is printed at the top; `folder` is on the disk that the stores will use."""
    syncs_ms = sync_times_ms(folder)
    return {
        "cores": os.cpu_count(),
        "cpu": _cpu_model(),
        "load average": [round(load, 2) for load in os.getloadavg()],
        "system": platform.platform(),
        "python": f"{platform.python_version()}, {turn_ns():.0f} ns a turn of a loop",
        "libraries": {name: version(name) for name in (*LIBRARIES, _plyvel())},
        "openssl": backend.openssl_version_text(),
        "load tool": load_tool(),
        "disk sync ms": {"p50": round(median(syncs_ms), 3), "p99": round(percentile(syncs_ms, 99), 3)},
    }


def turn_ns() -> float:
    """Return how long this interpreter takes for a turn of a loop, at its best.

    A CPython built without its profile (`--enable-optimizations`) takes half as long again as a distribution's, and
    so do our rows: figures of two machines are compared beside this one.
    """
    best = math.inf
    for _ in range(LOOPS):
        began, value = time.process_time_ns(), 0
        for turn in range(TURNS):
            value += turn * turn
        best = min(best, (time.process_time_ns() - began) / TURNS)
    return best


def load_tool() -> str:
    """Return which tool makes closed-loop load."""
    if shutil.which("wrk") is None:
        return "own raw-socket client (wrk is not installed)"
    # wrk prints its version with its usage, and calls that a failure.
    printed = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False).stdout
    return " ".join(printed.split()[:2])


def sync_times_ms(folder: Path) -> list[float]:
    """Return how long each of `SYNCS` appends takes to reach the disk."""
    times = []
    path = folder / "sync"
    with path.open("wb", buffering=0) as file:
        for _ in range(SYNCS):
            began = time.perf_counter()
            file.write(bytes(SYNCED_BYTES))
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - began) * 1000)
    path.unlink()
    return times


def _plyvel() -> str:
    return "plyvel" if platform.python_version_tuple() < ("3", "13") else "plyvel-next"


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
