"""Programs in Go by other people, which have never heard of Twinlog and speak to a node as to any log.

`.ci/run` builds pinned versions of them into one folder and names it in INTEROP_TOOLS; by hand that variable does
the same, or they stand on the PATH under the names below. A test that needs one is skipped where it is absent; in
CI only the absence of Go itself is a reason (tests/conftest.py).
"""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

VARIABLE = "INTEROP_TOOLS"  # a folder; no TWINLOG_ variable, for a node refuses those that it does not know
DEADLINE_S = 180.0  # a tool that has not ended by then never will


def tool(name: str) -> str:
    """Return the path of a tool, or skip the test that asks."""
    folder = os.environ.get(VARIABLE)
    found = shutil.which(name, path=folder) if folder else shutil.which(name)
    if found is None:
        where = f"in {VARIABLE}" if folder else "on the PATH"
        pytest.skip(
            "Go absent" if shutil.which("go") is None else f"{name} is not {where}; .ci/run shows how to get it"
        )
    return found


def surroundings(home: Path) -> dict[str, str]:
    """Return an environment in which a tool finds nothing of ours, and writes nowhere but below `home`."""
    return {"HOME": str(home), "PATH": os.environ["PATH"], "TZ": "UTC"}


async def run(home: Path, *words: str) -> tuple[int, str]:
    """Run a tool to its end; return its exit code and all that it wrote."""
    process = await asyncio.create_subprocess_exec(
        *words, env=surroundings(home), cwd=home, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(DEADLINE_S):
            written, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        written, _ = await process.communicate()
        raise AssertionError(
            f"{Path(words[0]).name} does not end: {written.decode(errors='replace')[-2000:]}"
        ) from None
    assert process.returncode is not None
    return process.returncode, written.decode(errors="replace")


@asynccontextmanager
async def running(home: Path, output: Path, *words: str) -> AsyncIterator[None]:
    """Run a tool inside the block, its output in a file; after it, end it by SIGTERM and expect exit code 0."""
    with output.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            *words, env=surroundings(home), cwd=home, stdout=file, stderr=file
        )
    try:
        yield
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(DEADLINE_S):
            code = await process.wait()
        assert code == 0, await asyncio.to_thread(output.read_text, errors="replace")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
