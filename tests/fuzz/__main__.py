"""Fuzz parsers by coverage: `python -m tests.fuzz [--seconds N] [--jobs N] [parser …]`; needs the extra `fuzz`.

Each parser runs in a process of its own, a fork of one a job, which ends at its time or at a finding. What covers more
is kept in `build/fuzz/<parser>`, outside the repository; `--keep` merges the least of it that covers as much into the
corpus. A finding goes to the corpus at once, so that the suite fails until it is mended. Exit 1 when there was one.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.fuzz.parsers import CORPUS, MAX_BYTES, PARSERS

CHECKOUT = Path(__file__).resolve().parents[2]
GROWN = CHECKOUT / "build" / "fuzz"
LONGEST_S = 10  # one input
MOST_MIB = 1024  # of memory


class Worker:
    """A process that fuzzes one parser after the other, and where each says what it does."""

    def __init__(self, folder: Path) -> None:
        surroundings = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
        surroundings.pop("FUZZED", None)
        command = [sys.executable, str(CHECKOUT / "tests" / "fuzz" / "worker.py")]
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as started:
            self._process = subprocess.Popen(
                command,
                cwd=CHECKOUT,
                env=surroundings,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=started,
                text=True,
            )
        self._started = Path(started.name)
        self._output = self._started.with_suffix(".said")

    def fuzz(self, name: str, seconds: int, *, keep: bool) -> bool:
        """Fuzz one parser; return whether nothing was found."""
        corpus, grown = CORPUS / name, GROWN / name
        grown.mkdir(parents=True, exist_ok=True)
        bounds = [f"-max_len={MAX_BYTES}", f"-timeout={LONGEST_S}", f"-rss_limit_mb={MOST_MIB}"]
        run = [str(grown), str(corpus), f"-max_total_time={seconds}", f"-artifact_prefix={corpus}/", *bounds]
        clean = self._order(name, run) == 0
        said = self._output.read_text("utf-8", "replace")
        if keep and clean and self._order(name, ["-merge=1", "-max_len=4096", str(corpus), str(grown)]):
            raise RuntimeError(f"{name}: the corpora did not merge")
        last = [line for line in said.splitlines() if " exec/s:" in line][-1:] or ["did not start"]
        print(f"{name}: {'nothing' if clean else 'FOUND'}; {last[0]}", flush=True)
        if not clean:
            print(said[-8000:], flush=True)
        return clean

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def _order(self, name: str, arguments: list[str]) -> int:
        """Return the exit code of one run."""
        if self._process.stdin is None or self._process.stdout is None:
            raise AssertionError("made with pipes")
        order = {"parser": name, "arguments": arguments, "output": str(self._output)}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        if not (answer := self._process.stdout.readline()):
            raise RuntimeError(f"the worker ended: {self._started.read_text('utf-8', 'replace')[-2000:]}")
        return int(answer)


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.fuzz")
    options.add_argument("--seconds", type=int, default=60, help="for each parser")
    options.add_argument("--jobs", type=int, default=1, help="parsers at once")
    options.add_argument("--keep", action="store_true", help="merge what covers more into the corpus")
    options.add_argument("parsers", nargs="*", metavar="parser", help=", ".join(PARSERS))
    chosen = options.parse_args()
    if unknown := set(chosen.parsers) - set(PARSERS):
        options.error(f"no parser is called {', '.join(sorted(unknown))}")
    names = chosen.parsers or list(PARSERS)
    turns = iter(names)

    def work(worker: Worker) -> bool:
        clean = [worker.fuzz(name, chosen.seconds, keep=chosen.keep) for name in turns]
        worker.close()
        return all(clean)

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(chosen.jobs) as jobs:
        clean = list(jobs.map(work, [Worker(Path(folder)) for _ in range(chosen.jobs)]))
    return 0 if all(clean) else 1


if __name__ == "__main__":
    sys.exit(main())
