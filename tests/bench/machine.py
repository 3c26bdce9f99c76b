"""What the figures were measured on: cores, versions, how long the disk takes to sync."""

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


def describe(folder: Path) -> dict[str, Any]:
    """Return what is printed at the top; `folder` is on the disk that the stores will use."""
    syncs_ms = sync_times_ms(folder)
    return {
        "cores": os.cpu_count(),
        "cpu": _cpu_model(),
        "load average": [round(load, 2) for load in os.getloadavg()],
        "system": platform.platform(),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in (*LIBRARIES, _plyvel())},
        "openssl": backend.openssl_version_text(),
        "load tool": load_tool(),
        "disk sync ms": {"p50": round(median(syncs_ms), 3), "p99": round(percentile(syncs_ms, 99), 3)},
    }


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
