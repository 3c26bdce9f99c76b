"""`twinlog serve` with a clock that a test can move: `python -m tests.support.node_process serve --settings F`.

Beside the settings file lies `clock`: two decimal numbers, by how many milliseconds the wall clock and the monotonic
clock are off; or one, which is what the wall clock shows and goes on showing. The test overwrites it while the node
runs, or while it is held by SIGSTOP. The product has no hook for this: `process.serve` is given a clock, here as
everywhere.
"""

import sys
from pathlib import Path

import uvloop

from log import process
from log.sequencer.clock import SystemClock
from log.settings import NodeSettings

MODULE = "tests.support.node_process"
NAME = "clock"


class FileClock:
    """The machine's clocks, off by what a file says at each look; or the wall clock stands still."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._system = SystemClock()

    def wall_ms(self) -> int:
        wall_ms, *moves = self._said()
        return self._system.wall_ms() + wall_ms if moves else wall_ms

    def mono_ms(self) -> int:
        return self._system.mono_ms() + sum(self._said()[1:])

    def _said(self) -> list[int]:
        return [int(word) for word in self._path.read_text(encoding="ascii").split()]


def set_clock(folder: Path, *, wall_ms: int, mono_ms: int = 0) -> None:
    """Say by how much the clocks of the node whose settings lie in `folder` are off, at one stroke."""
    _say(folder, wall_ms, mono_ms)


def hold_clock(folder: Path, wall_ms: int) -> None:
    """Let the wall clock of that node show this until `set_clock`, however long whoever asks for it is kept waiting."""
    _say(folder, wall_ms)


def _say(folder: Path, *words: int) -> None:
    draft = folder / f"{NAME}.new"
    draft.write_text(" ".join(map(str, words)) + "\n", encoding="ascii")
    draft.replace(folder / NAME)


def run(settings: Path) -> int:
    """Serve until the node ends; return its exit code."""
    loaded = NodeSettings.load(settings)
    clock = FileClock(settings.parent / NAME)
    return uvloop.run(process.serve(loaded, clock, lambda url: print(f"listening on {url}", flush=True)))


if __name__ == "__main__":
    _, command, option, path = sys.argv
    if (command, option) != ("serve", "--settings"):
        raise SystemExit(2)
    raise SystemExit(run(Path(path)))
