"""A backlog by hand: `python -m tests.backlog --certificates 100000`.

Makes so many certificates of one CA in nested folders (DER files, and PEM files of many), starts a node, submits them
with `twinlog submit`, kills that with SIGKILL in the middle, spoils a receipt, and goes on until all are logged. Then
audits the log, and prints how fast it was and how much memory the submitter took.
"""

import argparse
import asyncio
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from ssl import DER_cert_to_PEM_cert

from log.demo.ca import MassIssuer
from tests.support.nodes import client, unguard, world

PER_FOLDER = 1000
PER_BUNDLE = 250  # certificates of a PEM file of many
MAKERS = 2

# `twinlog submit`, which ends a process by SIGKILL once it has written so many receipts: itself where none is named.
# Nobody who looks on from outside could say where it stands by then.
DEADLY = """
import itertools, os, runpy, signal, sys
from log.client.receipts import Receipts
pid, at = int(sys.argv[1]) or os.getpid(), int(sys.argv[2])
keep, written = Receipts.keep, itertools.count(1)

def keep_and_kill(self, der, sct):
    keep(self, der, sct)
    if next(written) == at:
        os.kill(pid, signal.SIGKILL)

Receipts.keep = keep_and_kill
sys.argv = ["log", *sys.argv[3:]]
runpy.run_module("log", run_name="__main__", alter_sys=True)
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of `twinlog submit`."""

    code: int
    lasted_s: float
    max_rss_kb: int
    printed: str


def make(issuer: MassIssuer, folder: Path, numbers: Sequence[int], rng: random.Random) -> None:
    """Write these certificates below `folder`: each fourth thousand in PEM files of many, the others as DER."""
    for start in range(0, len(numbers), PER_FOLDER):
        some = numbers[start : start + PER_FOLDER]
        below = folder / f"{some[0] // (10 * PER_FOLDER):03d}" / f"{some[0]:09d}"
        below.mkdir(parents=True)
        if some[0] // PER_FOLDER % 4 == 3:
            for first in range(0, len(some), PER_BUNDLE):
                pems = (DER_cert_to_PEM_cert(issuer.certificate(n)) for n in some[first : first + PER_BUNDLE])
                (below / f"{first}.pem").write_text("".join(pems))
        else:
            for n in rng.sample(some, len(some)):  # folders list files in no order either
                (below / f"{n}.der").write_bytes(issuer.certificate(n))


def make_all(issuer: MassIssuer, folder: Path, count: int) -> None:
    """Write `count` certificates by several processes, which have the CA's key by being forked."""
    context = multiprocessing.get_context("fork")
    step = -(-count // MAKERS // PER_FOLDER) * PER_FOLDER
    shares = [range(start, min(start + step, count)) for start in range(0, count, step)]
    makers = [context.Process(target=make, args=(issuer, folder, share, random.Random(1))) for share in shares]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
        if maker.exitcode != 0:
            raise SystemExit("the certificates could not be made")


def submit(arguments: Sequence[str | Path], output: Path, kill_at: int = 0, victim: int = 0) -> Run:
    """Run `twinlog submit`; with `kill_at`, end it by SIGKILL once it has written so many receipts, or the `victim`."""
    begin = ["-c", DEADLY, str(victim), str(kill_at)] if kill_at else ["-m", "log"]
    command = [sys.executable, *begin, "submit", *map(str, arguments)]
    begun_s = time.monotonic()
    with output.open("wb") as file:
        actions = [(os.POSIX_SPAWN_DUP2, file.fileno(), 1), (os.POSIX_SPAWN_DUP2, file.fileno(), 2)]
        pid = os.posix_spawn(sys.executable, command, os.environ, file_actions=actions)
    _, status, usage = os.wait4(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    return Run(code, time.monotonic() - begun_s, usage.ru_maxrss, output.read_text(encoding="utf-8"))


def receipts(folder: Path) -> int:
    """Count the receipts in a folder."""
    return sum(1 for _ in folder.glob("*/*.sct.json"))


async def run(folder: Path, count: int) -> None:
    """The whole, with its figures on standard output."""
    async with world(folder / "d") as w, client() as http:
        unguard(w.site())
        issuer, begun_s = w.promises.issuer, time.monotonic()
        certificates, issuers, out = folder / "certificates", folder / "issuers", folder / "receipts"
        make_all(issuer, certificates, count)  # nothing runs yet that it could hold up
        issuers.mkdir()
        for n, der in enumerate(issuer.issuers):
            (issuers / f"{n}.der").write_bytes(der)
        print(f"{count} certificates made in {time.monotonic() - begun_s:.0f} s", flush=True)
        await w.start()
        arguments = (f"{w.site().url}/x509", certificates, "--out", out, "--issuers", issuers)
        first = await asyncio.to_thread(submit, arguments, folder / "first.out", count // 2)
        held = receipts(out)
        print(
            f"killed with {held} receipts after {first.lasted_s:.0f} s ({held / first.lasted_s:.0f}/s), "
            f"at most {first.max_rss_kb // 1024} MB: {first.printed.splitlines()[-1:]}",
            flush=True,
        )
        assert first.code == -signal.SIGKILL
        cut = next(out.glob("*/*.sct.json"))
        cut.write_bytes(cut.read_bytes()[:-200])
        second = await asyncio.to_thread(submit, arguments, folder / "second.out")
        more = count - held + 1
        print(
            f"went on: {more} in {second.lasted_s:.0f} s, at most {second.max_rss_kb // 1024} MB: "
            f"{second.printed.splitlines()[-1]}",
            flush=True,
        )
        assert (second.code, receipts(out)) == (0, count), second.printed
        third = await asyncio.to_thread(submit, arguments, folder / "third.out")
        print(
            f"nothing to do: {third.lasted_s:.1f} s, at most {third.max_rss_kb // 1024} MB: "
            f"{third.printed.splitlines()[-1]}"
        )
        assert third.code == 0
        report = await w.reckon(http)
        print(f"audited: {report.size} entries")
        assert report.size == count


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--certificates", type=int, default=100_000)
    parser.add_argument("--dir", type=Path, default=None, help="where to work; a temporary folder otherwise")
    options = parser.parse_args()
    folder = options.dir or Path(tempfile.mkdtemp(prefix="twinlog-backlog-"))
    asyncio.run(run(folder, options.certificates))


if __name__ == "__main__":
    main()
