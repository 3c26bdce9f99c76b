"""The four things that certspotter gets wrong (monitoring.md §0), shown: `python -m tests.catalogue certspotter`.

For each: two real nodes (`tests.support.forkable`), a real `twinlog-monitor run` with a fresh state, one lie, and what
the monitor had to say about it. Where a `certspotter` is in INTEROP_TOOLS or on the PATH, it follows the same log and
what it said is printed below. Exit 1 when the monitor of Twinlog missed one.
"""

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from log.formats.family import X509
from log.formats.note import KeyType
from monitor import settings
from monitor.alert import Class
from monitor.store import KeptAlert, Store
from tests.catalogue.harness import O, P, S
from tests.catalogue.real import CHECKOUT
from tests.support.go_tools import VARIABLE, surroundings
from tests.support.lying_log import signers_of

ORIGIN = "hk.example/x509"
DAYS_40_S = 40 * 86_400
WAIT_S = 180.0
LISTENS_S = 6.0  # how long certspotter is given after the lie


@dataclass(frozen=True)
class Miss:
    """One thing to be noticed."""

    row: int
    what: str
    cls: Class
    code: str
    before: tuple[Mapping[str, Any], ...]  # said to the nodes before anybody looks
    lie: tuple[Mapping[str, Any], ...]


MISSES = (
    Miss(1, "same size, other root", P, "fork", (), ({"do": "fork", "at": 511, "count": 1},)),
    Miss(3, "smaller size, forged root", P, "fork", (), ({"do": "show", "at": 200, "count": 56, "ahead_s": -3600},)),
    Miss(10, "head 40 days stale", O, "head-old", ({"do": "freeze"}, {"do": "sign", "ahead_s": -DAYS_40_S}), ()),
    Miss(
        19, "head 40 days in the future", S, "future-head", ({"do": "freeze"},), ({"do": "sign", "ahead_s": DAYS_40_S},)
    ),
)


def found(name: str = "certspotter") -> str | None:
    """Return where the program is, or None."""
    return shutil.which(name, path=os.environ.get(VARIABLE) or None)


@dataclass
class Nodes:
    """The process of the two nodes."""

    process: subprocess.Popen[str]
    settings: Path
    urls: dict[str, str]

    def do(self, said: Mapping[str, Any]) -> None:
        """Say what the log is to do, and wait until it has."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(said) + "\n")
        self.process.stdin.flush()
        json.loads(self.process.stdout.readline())


@contextmanager
def nodes(folder: Path) -> Iterator[Nodes]:
    """Start the nodes."""
    words = [sys.executable, "-m", "tests.support.forkable", str(folder)]
    with subprocess.Popen(words, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            told = json.loads(process.stdout.readline())
            yield Nodes(process, Path(told["settings"]), told["urls"])
        finally:
            process.kill()


@contextmanager
def program(
    words: Sequence[str], output: Path, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program inside the block; what it says is in `output`."""
    with (
        output.open("wb") as file,
        subprocess.Popen(words, cwd=CHECKOUT, stdout=file, stderr=file, env=environment) as started,
    ):
        try:
            yield started
        finally:
            started.kill()


def until(state: Path, holds: Any) -> Any:
    """Look into a monitor's state until something of use is there; None when it never is."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        store = Store.read(state)
        try:
            if (value := holds(store)) is not None:
                return value
        finally:
            store.close()
        time.sleep(0.05)  # another process writes it, and tells nobody
    return None


def alert(store: Store, code: str) -> KeptAlert | None:
    """Return what was told with this code."""
    return next((kept for kept in store.alerts() if kept.alert.code == code), None)


def show(miss: Miss, folder: Path, spotter: str | None) -> tuple[bool, list[str]]:
    """Show one in a folder of its own; return whether our monitor has noticed, and the lines that say so."""
    folder.mkdir()
    with nodes(folder) as there:
        for said in miss.before:
            there.do(said)
        state = settings.load(there.settings).state
        monitor = [sys.executable, "-m", "monitor", "run", "--settings", str(there.settings)]
        theirs = certspotter(folder, there.urls["hk"]) if spotter else []
        with program(monitor, folder / "monitor.out"):
            until(state, lambda store: store.verified(ORIGIN))
            if spotter:
                listen(folder, [spotter, *theirs], "verified position is now 512")
            for said in miss.lie:
                there.do(said)
            kept = until(state, lambda store: alert(store, miss.code))
            if spotter:
                before = len((folder / "certspotter.out").read_text(errors="replace"))
                listen(folder, [spotter, *theirs], "")
                complaint = complaints(folder, before)
    ours = "MISSED" if kept is None else f"{kept.alert.cls.value}, {kept.alert.code}: {kept.alert.text}"
    lines = [f"row {miss.row}: {miss.what}", f"  twinlog-monitor: {ours}"]
    if spotter:
        lines.append(f"  certspotter: {complaint}")
    return kept is not None and kept.alert.cls is miss.cls, lines


# --- certspotter ----------------------------------------------------------------------------------------------


def certspotter(folder: Path, url: str) -> list[str]:
    """Write what it must be told of the log; return its arguments."""
    [key] = [each.vkey.key for each in signers_of(ORIGIN, X509) if each.vkey.type is KeyType.TREE_HEAD]
    entry = {
        "description": "Twinlog (synthetic)",
        "log_id": base64.b64encode(sha256(key).digest()).decode(),
        "key": base64.b64encode(key).decode(),
        "mmd": 60,
        "submission_url": f"{url}/x509/",
        "monitoring_url": f"{url}/x509/",
    }
    logs, watched = folder / "logs.json", folder / "watchlist"
    logs.write_text(json.dumps({"operators": [{"name": "Twinlog (synthetic)", "tiled_logs": [entry]}]}))
    watched.write_text(".harbour.example\n")
    words = ["-verbose", "-stdout", "-logs", str(logs), "-state_dir", str(folder / "spotted")]
    return [*words, "-watchlist", str(watched)]


def listen(folder: Path, words: list[str], wanted: str) -> None:
    """Run certspotter for a while, or until it has said this; what it says is added to a file."""
    output, end = folder / "certspotter.part", time.monotonic() + LISTENS_S
    with program(words, output, surroundings(folder)):
        while time.monotonic() < end and not (wanted and wanted in output.read_text(errors="replace")):
            time.sleep(0.05)  # it writes without being asked
    with (folder / "certspotter.out").open("a") as file:
        file.write(output.read_text(errors="replace"))


def complaints(folder: Path, before: int) -> str:
    """Return what certspotter has said or written down since, in one line."""
    said = (folder / "certspotter.out").read_text(errors="replace")[before:]
    lines = [line for line in said.splitlines() if "rror" in line or "unable" in line]
    lines = [line for line in lines if "X.509" not in line]  # the entries of this log are no certificates
    written = "".join(path.read_text() for path in (folder / "spotted").glob("logs/*/errors/*"))
    return " / ".join(dict.fromkeys([*lines, *written.splitlines()])) or "nothing"


def main() -> int:
    """Show all, at the same time: each waits for what others have to say."""
    spotter = found()
    if spotter is None:
        print(f"certspotter is neither in {VARIABLE} nor on the PATH: only Twinlog's monitor is shown\n")
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(len(MISSES)) as threads:
        shown = list(threads.map(lambda miss: show(miss, Path(folder) / str(miss.row), spotter), MISSES))
    for _, lines in shown:
        print("\n".join(lines))
    return 0 if all(noticed for noticed, _ in shown) else 1
