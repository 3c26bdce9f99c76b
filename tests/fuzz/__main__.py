"""Fuzz parsers by coverage: `python -m tests.fuzz [--seconds N] [--jobs N] [parser …]`; needs the extra `fuzz`.

Each parser runs in a process of its own, which ends at its time or at a finding. What covers more is kept in
`build/fuzz/<parser>`, outside the repository; `--keep` merges the least of it that covers as much into the corpus. A
finding goes to the corpus at once, so that the suite fails until it is mended. Exit 1 when there was one.
"""

import argparse
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.fuzz.parsers import CORPUS, MAX_BYTES, PARSERS

CHECKOUT = Path(__file__).resolve().parents[2]
GROWN = CHECKOUT / "build" / "fuzz"
LONGEST_S = 10  # one input
MOST_MIB = 1024  # of memory


def fuzz(name: str, seconds: int, *, keep: bool) -> bool:
    """Fuzz one parser; return whether nothing was found."""
    corpus, grown = CORPUS / name, GROWN / name
    grown.mkdir(parents=True, exist_ok=True)
    bounds = [f"-max_len={MAX_BYTES}", f"-timeout={LONGEST_S}", f"-rss_limit_mb={MOST_MIB}"]
    command = [sys.executable, str(CHECKOUT / "tests" / "fuzz" / "worker.py")]
    surroundings = {**os.environ, "PYTHONPATH": str(CHECKOUT), "FUZZED": name}
    run = [*command, str(grown), str(corpus), f"-max_total_time={seconds}", f"-artifact_prefix={corpus}/", *bounds]
    done = subprocess.run(run, cwd=CHECKOUT, env=surroundings, capture_output=True, text=True, check=False)
    if keep and done.returncode == 0:
        merge = [*command, "-merge=1", "-max_len=4096", str(corpus), str(grown)]
        subprocess.run(merge, cwd=CHECKOUT, env=surroundings, capture_output=True, check=True)
    last = [line for line in done.stderr.splitlines() if " exec/s:" in line][-1:] or ["did not start"]
    print(f"{name}: {'nothing' if done.returncode == 0 else 'FOUND'}; {last[0]}", flush=True)
    if done.returncode != 0:
        print(done.stdout[-4000:], done.stderr[-4000:], sep="\n", flush=True)
    return done.returncode == 0


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
    with ThreadPoolExecutor(chosen.jobs) as workers:
        clean = list(workers.map(lambda name: fuzz(name, chosen.seconds, keep=chosen.keep), names))
    return 0 if all(clean) else 1


if __name__ == "__main__":
    sys.exit(main())
