"""Stores that fail under a running node: a batch cut in its middle, a head store out of reach, a full disk.

After any error from a write a node never writes through that store again: it answers 503, ends with 4 by itself
and starts anew through recovery. LevelDB would go on acknowledging synced writes that its next opening drops.
"""

import asyncio
import json
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.support.nodes import World, client, eventually, unguard, world

MORE = 40  # submissions tried after the cut
BATCH = 48
# Large batches; bodies may be held back; a small disk is no low disk.
CUT_LIMITS = {"linger_ms": 500, "body_timeout_s": 600, "disk_watermark_bytes": 0}
ENDS = {"stop_timeout_s": 600}  # the node waits for what is held back until it comes, however late
AHEAD_BYTES = 48 << 10
CUT_BYTES = 5_000  # of the batch that is cut, so many still fit: a few of its entries
MIB = 1 << 20
PAGE_BYTES = 4096  # what a file system in memory gives at once


def largest(folder: Path, pattern: str) -> int:
    return max((file.stat().st_size for file in folder.rglob(pattern)), default=0)


@contextmanager
def files_end_at(pid: int, size: int) -> Iterator[None]:
    """Let no file of a process grow beyond `size` bytes: a write stops there in its middle, the next one fails."""
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        with suppress(ProcessLookupError):  # it has ended
            resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


class HeldBack:
    """Submissions whose heads the node has, and whose bodies come when the test lets them.

    A node that ends takes no new connection, so this is how to try it after its store has failed.
    """

    def __init__(self, w: World, http: httpx.AsyncClient) -> None:
        self._w = w
        self._http = http
        self._go = asyncio.Event()
        self._bodies: list[bytes] = []
        self._tasks: list[asyncio.Task[int]] = []

    async def begin(self, count: int) -> None:
        promises = self._w.promises
        for _ in range(count):
            body = json.dumps(promises.body(promises.issuer.certificate(promises.number))).encode()
            promises.number += 1
            self._bodies.append(body)
            self._tasks.append(asyncio.create_task(self._post(body)))
        wanted = sum(len(body) // 2 for body in self._bodies)

        async def held() -> bool:
            text = (await self._http.get(f"{self._w.site().url}/metrics")).text
            [line] = [line for line in text.splitlines() if line.startswith("twinlog_http_held_bytes ")]
            return float(line.split()[1]) >= wanted

        await eventually("the node holds half of each body", held)

    async def end(self) -> list[int]:
        """Send what is missing; return the statuses, 0 where nobody answered."""
        self._go.set()
        return await asyncio.gather(*self._tasks)

    async def _post(self, body: bytes) -> int:
        async def halves() -> AsyncIterator[bytes]:
            yield body[: len(body) // 2]
            await self._go.wait()
            yield body[len(body) // 2 :]

        url = f"{self._w.site().url}/x509/ct/v1/add-chain"
        try:
            return (await self._http.post(url, content=halves())).status_code
        except httpx.HTTPError:
            return 0


@dataclass(frozen=True, slots=True)
class CutFile:
    """Where the data store's log ended when its last batch was cut."""

    folder: Path
    end: int

    def untouched(self) -> bool:
        return largest(self.folder, "*.log") == self.end


CUTS = pytest.mark.parametrize("by", ["a limit on files", "a full disk"])


@asynccontextmanager
async def cut_in_a_batch(folder: Path, by: str) -> AsyncIterator[tuple[World, httpx.AsyncClient, HeldBack, CutFile]]:
    """A node whose data store was cut in the middle of a batch, and has room again."""
    with ExitStack() as stack:
        disk = stack.enter_context(small_disk(folder / "disk", 16 * MIB)) if by == "a full disk" else None
        async with world(folder / "d", ENDS, CUT_LIMITS) as w, client() as http, client() as other:
            unguard(w.site())
            if disk is not None:
                move_to(disk, w.data_folder())
            node = await w.start()
            data = w.data_folder() / "x509" / "data"
            held = HeldBack(w, other)
            await w.submits(http, BATCH)
            # Until the data store's log is the largest file by more than a batch, so that a limit cuts nothing else.
            while disk is None and largest(data, "*.log") < largest(w.heads_file().parent, "*") + AHEAD_BYTES:
                await w.submits(http, BATCH)
            await held.begin(MORE)
            before = largest(data, "*.log")
            with files_end_at(node.pid, before + CUT_BYTES) if disk is None else little_room(disk, CUT_BYTES):
                statuses = await asyncio.gather(*(w.promises.submit(http, w.site().url) for _ in range(BATCH)))
                cut = CutFile(data, largest(data, "*.log"))
            assert httpx.codes.SERVICE_UNAVAILABLE in statuses
            assert set(statuses) <= {httpx.codes.OK, httpx.codes.SERVICE_UNAVAILABLE, 0}
            assert before < cut.end <= before + CUT_BYTES + PAGE_BYTES
            assert cut.untouched()
            yield w, http, held, cut


async def recovers(w: World, http: httpx.AsyncClient) -> None:
    """Start the node again: it takes submissions, and what was promised is there."""
    w.heads.saw_store(w.heads_file())
    await w.start()
    for number, (der, _) in list(w.promises.scts.items())[-5:]:
        assert await w.promises.submit(http, w.site().url, (number, der)) == httpx.codes.OK
    await w.submits(http, 5)
    await w.reckon(http)


@CUTS
async def test_after_a_cut_write_nothing_is_promised_and_the_node_ends_with_4(tmp_path: Path, by: str) -> None:
    async with cut_in_a_batch(tmp_path, by) as (w, http, held, cut):
        assert await held.end() == [httpx.codes.SERVICE_UNAVAILABLE] * MORE
        tried = await asyncio.gather(*(w.promises.submit(http, w.site().url) for _ in range(MORE)))
        assert set(tried) <= {httpx.codes.SERVICE_UNAVAILABLE, 0}
        assert await w.ended() == 4
        assert cut.untouched()
        await recovers(w, http)


@CUTS
async def test_after_a_cut_write_a_kill_loses_nothing_that_was_promised(tmp_path: Path, by: str) -> None:
    async with cut_in_a_batch(tmp_path, by) as (w, http, held, cut):
        tried = await asyncio.gather(*(w.promises.submit(http, w.site().url) for _ in range(MORE)))
        assert set(tried) <= {httpx.codes.SERVICE_UNAVAILABLE, 0}
        assert w.process().returncode is None  # what is held back keeps it
        assert await w.process().stop(signal.SIGKILL) == -signal.SIGKILL
        assert set(await held.end()) == {0}
        assert cut.untouched()
        await recovers(w, http)


async def test_a_head_store_that_cannot_be_written_ends_the_node(tmp_path: Path) -> None:
    """No submission is needed: a heartbeat finds out."""
    async with world(tmp_path / "d", {"heartbeat_s": 1}) as w, client() as http:
        unguard(w.site())
        node = await w.start()
        await w.submits(http, 3)
        with files_end_at(node.pid, 1):
            assert await w.ended() == 4
        await recovers(w, http)


async def test_a_head_store_that_another_process_locks_ends_the_node(tmp_path: Path) -> None:
    async with world(tmp_path / "d", limits={"head_busy_ms": 200}) as w, client() as http:
        unguard(w.site())
        await w.start()
        await w.submits(http, 3)
        other = sqlite3.connect(w.heads_file(), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        assert await w.promises.submit(http, w.site().url) in {httpx.codes.SERVICE_UNAVAILABLE, 0}
        assert await w.ended() == 4
        other.execute("ROLLBACK")
        other.close()
        await recovers(w, http)


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """A file system of its own in memory; skips where that is not allowed."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except OSError:
        pytest.skip("mounting is not allowed")
    if done.returncode != 0:
        pytest.skip("mounting is not allowed")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(ballast: Path, size: int | None = None) -> None:
    """Write so many bytes, or until nothing goes in any more."""
    with ballast.open("ab", buffering=0) as file:
        written = 0
        try:
            while size is None or written < size:
                written += file.write(bytes(PAGE_BYTES))
        except OSError:
            assert size is None


@contextmanager
def little_room(disk: Path, size: int) -> Iterator[None]:
    """Fill a small disk up to about so many bytes, and make room again."""
    ballast = disk / "ballast"
    fill(ballast)
    os.truncate(ballast, ballast.stat().st_size - size // PAGE_BYTES * PAGE_BYTES)
    try:
        yield
    finally:
        ballast.unlink()


def move_to(disk: Path, *places: Path) -> None:
    """Put folders on a small disk."""
    for place in places:
        shutil.copytree(place, disk / place.name)
        shutil.rmtree(place)
        place.symlink_to(disk / place.name)


async def test_below_the_watermark_a_node_is_read_only_and_its_heartbeats_go_on(tmp_path: Path) -> None:
    limits = {"disk_watermark_bytes": 8 * MIB}
    with small_disk(tmp_path / "disk", 32 * MIB) as disk:
        async with world(tmp_path / "d", {"heartbeat_s": 1}, limits) as w, client() as http:
            unguard(w.site())
            move_to(disk, w.data_folder(), w.heads_file().parent)  # as one machine has them
            await w.start()
            await w.submits(http, 5)
            await w.healthy(http)
            ballast = disk / "ballast"
            fill(ballast, 26 * MIB)
            await w.says(http, httpx.codes.SERVICE_UNAVAILABLE, "read-only")
            last = w.stored_head()
            assert await w.promises.submit(http, w.site().url) == httpx.codes.SERVICE_UNAVAILABLE
            assert "read-only" in w.promises.refused[-1][2]
            number, (der, _) = next(iter(w.promises.scts.items()))
            assert await w.promises.submit(http, w.site().url, (number, der)) == httpx.codes.OK  # known: same answer

            async def beats() -> bool:
                return w.stored_head().timestamp_ms > last.timestamp_ms + 2_000

            await eventually("heartbeats go on", beats)
            assert w.stored_head().size == last.size
            ballast.unlink()
            await w.healthy(http)
            await w.submits(http, 5)
            await w.reckon(http)


async def test_a_full_disk_loses_nothing_that_was_promised(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 16 * MIB) as disk:
        async with world(tmp_path / "d", limits={"disk_watermark_bytes": 0}) as w, client() as http:
            unguard(w.site())
            move_to(disk, w.data_folder(), w.heads_file().parent)  # as one machine has them
            await w.start()
            await w.submits(http, 20)
            fill(disk / "ballast")
            await w.promises.load(http, w.site().url, asyncio.Event(), workers=4)  # until the node is gone
            assert await w.ended() == 4
            fill(disk / "ballast")  # what the node let go of when it ended
            code, words = await w.ends()  # there is no room to recover in either: a store fails, no state refuses
            assert code == 4, words
            (disk / "ballast").unlink()
            await recovers(w, http)
