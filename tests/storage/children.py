"""Processes that use a store and are killed, cut off or raced against by the tests of this folder.

Run as `python -m tests.storage.children VERB PATH` by `child`. Each line on standard output is one event.
"""

import asyncio
import contextlib
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from log.errors import StoreFailed, StoreLocked
from log.storage import Batch, Swap
from log.storage.leveldb import LevelData
from log.storage.sqlite_heads import HeadLimits, SqliteHeads

ROOT = Path(__file__).parents[2]
ROW_BYTES = 1500
BATCH_ROWS = 20


@contextlib.contextmanager
def child(verb: str, path: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a process; it is killed with SIGKILL at the end of the block at the latest."""
    command = [sys.executable, "-m", "tests.storage.children", verb, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def line(process: subprocess.Popen[str]) -> str:
    """Return the next line of a child, waiting for it."""
    if process.stdout is None:
        raise AssertionError("a child has a pipe")
    return process.stdout.readline().rstrip("\n")


def tell(process: subprocess.Popen[str], words: str) -> None:
    """Send a child a line."""
    if process.stdin is None:
        raise AssertionError("a child has a pipe")
    process.stdin.write(f"{words}\n")
    process.stdin.flush()


def rest(process: subprocess.Popen[str]) -> list[str]:
    """Return the complete lines that a child had written before it ended."""
    if process.stdout is None:
        raise AssertionError("a child has a pipe")
    lines = process.stdout.read().split("\n")
    return lines[:-1]  # what follows the last line feed is empty, or was cut off


def big_row(index: int) -> bytes:
    """A row of the usual size that says where it belongs."""
    return (b"%d " % index).ljust(ROW_BYTES, b"x")


def big_batch(number: int) -> Batch:
    """The `number`-th batch of BATCH_ROWS rows."""
    start = number * BATCH_ROWS
    return Batch(start, tuple(big_row(i) for i in range(start, start + BATCH_ROWS)), ())


def say(event: object) -> None:
    """Write a line that is out before anything else happens."""
    sys.stdout.write(f"{event}\n")
    sys.stdout.flush()


def limit_files(size: int | None) -> None:
    """Let no file of this process grow beyond a size in bytes; None lifts the limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard if size is None else size, hard))


def log_size(path: Path) -> int:
    """Return the size of the write-ahead log of a LevelDB."""
    return max(file.stat().st_size for file in path.glob("*.log"))


async def hold(path: Path) -> None:
    """Hold a data store, and commit one batch for each line of standard input."""
    store = LevelData(path)
    say("open")
    for number, _ in enumerate(sys.stdin):
        await store.commit(big_batch(number))
        say("committed")
    await store.close()


async def lock(path: Path) -> None:
    """Try to open a data store."""
    try:
        store = LevelData(path)
    except StoreLocked:
        say("locked")
    else:
        await store.close()
        say("opened")


async def cut(path: Path) -> None:
    """Commit ten batches, the eleventh into a full file, and after making room forty more."""
    store = LevelData(path, create=True)
    for number in range(10):
        await store.commit(big_batch(number))
        say(number)
    for number in range(10, 51):
        if number == 10:
            limit_files(log_size(path) + ROW_BYTES * BATCH_ROWS // 2)
        try:
            await store.commit(big_batch(number))
        except StoreFailed:
            say("failed")
        else:
            say(number)
        limit_files(None)
    say("done")
    sys.stdin.readline()  # until killed


async def count(path: Path) -> None:
    """Raise a counter in a head store for ever, saying each value that is surely there."""
    heads = SqliteHeads(path)
    old = await heads.load("counter")
    number = int(old or b"0")
    while True:
        number += 1
        new = b"%d" % number
        swap = await heads.replace("counter", old, new)
        if swap is not Swap.OK:
            raise AssertionError(swap)
        say(number)
        old = new


async def race(path: Path) -> None:
    """Look at a value at a line of standard input, and at the next one put another in its place, saying how it went."""
    heads = SqliteHeads(path, HeadLimits(busy_timeout_ms=90_000))
    number = 0
    while sys.stdin.readline():
        old = await heads.load("value")
        say("seen")
        sys.stdin.readline()
        number += 1
        say((await heads.replace("value", old, b"%d of %d" % (number, os.getpid()))).name)
    await heads.close()


if __name__ == "__main__":
    verbs = {verb.__name__: verb for verb in (hold, lock, cut, count, race)}
    asyncio.run(verbs[sys.argv[1]](Path(sys.argv[2])))
