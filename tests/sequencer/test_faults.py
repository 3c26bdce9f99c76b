"""A fault at every write of a run, in both halves, also during the recovery that follows (trait 24).

The run completes a tile, so that entries, tiles, blobs, heads, index rows and index syncs are all among the
writes. After a fault the process must not go on: it refuses, and the next process recovers. Each case ends in an
audit: nothing acknowledged is missing, and no two roots of one size ever left or stood in the head store.
"""

import copy
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from log.errors import StateRefused, StoreFailed, StoreLocked, Unavailable
from log.formats.family import Parts
from log.storage.memory import Disk
from tests.storage.small_disk import small_disk
from tests.support.engine import Engine, FolderPlace, MemoryPlace, Place, Record, certificate
from tests.support.faults import Faults

BEFORE = 253  # entries before the run: one below a full tile after its first commit


async def prepared(place: Place) -> Engine:
    """A log that was stopped in order."""
    engine = Engine(place)
    await engine.create()
    await engine.start()
    await engine.submit_some(BEFORE)
    await engine.stop()
    return engine


def fork(engine: Engine, place: Place) -> Engine:
    """The same log on a copy of its disk, with a record and a memory of its own."""
    record = Record()
    record.roots, record.times = dict(engine.record.roots), dict(engine.record.times)
    return Engine(place, record=record, acknowledged=dict(engine.acknowledged), numbers=engine.numbers)


async def run(engine: Engine, faults: Faults) -> None:
    """The scripted run: a restart, commits of one, of five (which complete a tile) and of two, and duplicates."""
    try:
        await engine.start(faults)
    except (StoreFailed, StateRefused):
        await engine.crash()
        return
    for count in (1, 5, 2):
        await engine.submit_some(count)
        await engine.submit(BEFORE)  # again, and through whatever state the store is in
        engine.clock.advance(1_500)  # the index sync falls due
    failed = engine.running.sequencer.failed is not None
    assert failed == (faults.hit and faults.at <= faults.count), "a fault was passed over"
    if failed:
        count = faults.count
        with pytest.raises(Unavailable):
            await engine.running.submit(engine.make(10_000))
        assert faults.count == count, "a store was written to after it failed"
        assert engine.failures, "nobody was told"
    await engine.crash()


async def check(engine: Engine, *, twice: bool = True) -> None:
    """Recover without faults, audit, go on, and audit again, also after one more restart when `twice`."""
    await engine.start()
    await engine.audited()
    for number in list(engine.acknowledged)[-9:]:
        assert await engine.submit(number) is not None
    await engine.submit_some(3)
    await engine.audited()
    if twice:
        await engine.restart()
        await engine.audited()
    await engine.stop()


def writes() -> Iterator[int]:
    yield from range(1, 200)


@pytest.mark.parametrize("written", [False, True], ids=["lost", "done"])
async def test_a_fault_at_any_write_leaves_one_log(written: bool) -> None:
    origin = MemoryPlace()
    engine = await prepared(origin)
    count = 0
    for at in writes():
        faulty = fork(engine, MemoryPlace(copy.deepcopy(origin.disk)))
        faults = Faults(at, written=written)
        await run(faulty, faults)
        if not faults.hit:
            break
        count += 1
        await check(faulty)
    assert count > 15, f"only {count} writes were found"


@pytest.mark.parametrize("again_written", [False, True], ids=["then lost", "then done"])
@pytest.mark.parametrize("written", [False, True], ids=["lost", "done"])
async def test_a_fault_during_the_recovery_from_a_fault_leaves_one_log(written: bool, again_written: bool) -> None:
    origin = MemoryPlace()
    engine = await prepared(origin)
    recoveries = 0
    for at in writes():
        first = fork(engine, MemoryPlace(copy.deepcopy(origin.disk)))
        faults = Faults(at, written=written)
        await run(first, faults)
        if not faults.hit:
            break
        disk: Disk = first.place.disk  # type: ignore[attr-defined]
        for again in writes():
            second = fork(first, MemoryPlace(copy.deepcopy(disk)))
            faults = Faults(again, written=again_written)
            try:
                await second.start(faults)
            except StoreFailed:
                assert faults.hit
            await second.crash()
            if not faults.hit:
                break
            recoveries += 1
            await check(second)
    assert recoveries > 30, f"only {recoveries} recoveries were disturbed"


@pytest.mark.parametrize("written", [False, True], ids=["lost", "done"])
async def test_a_fault_at_any_write_of_leveldb_and_sqlite_leaves_one_log(written: bool, tmp_path: Path) -> None:
    count = 0
    for at in writes():
        place = FolderPlace(tmp_path / str(at))
        engine = Engine(place)
        await engine.create()
        faults = Faults(at, written=written)
        await small_run(engine, faults)
        if not faults.hit:
            break
        count += 1
        await check(engine, twice=False)
    assert count > 6, f"only {count} writes were found"


async def small_run(engine: Engine, faults: Faults) -> None:
    try:
        await engine.start(faults)
    except StoreFailed:
        await engine.crash()
        return
    for count in (1, 2):
        await engine.submit_some(count)
        engine.clock.advance(1_500)
    await engine.crash()


async def test_a_full_disk_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """Data, heads and index share four MiB. What fits is kept, the rest refused, and a larger disk goes on."""
    with small_disk(tmp_path / "small", 4 << 20) as folder:
        engine = Engine(FolderPlace(folder), make=_large)
        await engine.create()
        await engine.start()
        while not engine.refused:
            await engine.submit_some(40)
        assert engine.running.sequencer.failed is not None
        assert isinstance(engine.failures[0], StoreFailed)
        await engine.crash()
        shutil.copytree(folder, tmp_path / "large")
    assert len(engine.acknowledged) > 100
    engine.place = FolderPlace(tmp_path / "large")
    engine.refused.clear()
    await check(engine)
    assert not engine.refused


def _large(number: int) -> Parts:
    return certificate(number, 1_470)


async def test_a_second_process_on_a_folder_is_locked_out_and_harms_nothing(tmp_path: Path) -> None:
    engine = Engine(FolderPlace(tmp_path))
    await engine.create()
    await engine.start()
    await engine.submit_some(3)
    with pytest.raises(StoreLocked):
        engine.place.open(Faults(0, written=False))
    await engine.submit_some(3)
    await engine.crash()
    await check(engine)


async def test_a_failed_store_refuses_all_that_waits() -> None:
    engine = await prepared(MemoryPlace())
    await engine.start(Faults(3, written=False))  # the start's heartbeat is the first write
    await engine.submit_some(4)
    assert len(engine.refused) == 4
    assert all(isinstance(error, Unavailable) for error in engine.refused)
    await engine.crash()
    await check(engine)
