"""A monitor between nodes that answer without end: a round ends, says so, and takes no more memory than its limits."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from monitor import main, settings
from tests.hostile.test_answers import BOMB_MIB, OK, Answer, Pour, lying
from tests.support.hostile import packed_zeros
from tests.support.lying_world import World

CHECKOUT = Path(__file__).resolve().parents[2]
WAIT_S = 120
PEAK_BYTES = 300 << 20  # a monitor that has seen nothing has about 60 MiB


async def bomb(writing: asyncio.StreamWriter) -> None:
    packed = packed_zeros(BOMB_MIB)
    writing.write(OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed) + packed)
    await writing.drain()


async def silence(_: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


# A process begins with the peak of the one that started it, and that one may have run a thousand tests: so a small
# process in between starts the monitor and tells what it used.
BETWEEN = (
    "import resource, subprocess, sys; "
    "code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode; "
    "print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
)


def once(path: Path) -> tuple[int, int]:
    """Run one round; return the exit code and the most memory it had, in bytes."""
    monitor = [sys.executable, "-m", "monitor", "run", "--once", "--settings", str(path)]
    told = subprocess.run([sys.executable, "-c", BETWEEN, *monitor], cwd=CHECKOUT, capture_output=True, check=True)
    code, peak_kb = map(int, told.stdout.split())
    return code, peak_kb << 10


@pytest.mark.parametrize(
    ("answer", "code"),
    [(Pour(OK + b"\r\n", bytes(1 << 16)), {2, 4}), (bomb, {2, 4}), (silence, {2})],
    ids=["without end", "bomb", "silence"],
)
async def test_a_round_ends_whatever_nodes_answer(tmp_path: Path, answer: Answer, code: set[int]) -> None:
    world = World(main.now_ms)
    await world.begin()
    async with lying(answer) as (url, _):
        path = world.write(tmp_path, {"hk": url, "gd": url}, limits="request_s = 2\n")
        main.create_state(settings.load(path))
        async with asyncio.timeout(WAIT_S):
            returned, peak = await asyncio.to_thread(once, path)
    assert returned in code
    assert peak < PEAK_BYTES
