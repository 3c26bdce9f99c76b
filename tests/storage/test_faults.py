"""The fault tool itself: every write of a small writer fails, in both halves, and again while recovering."""

from itertools import product

import pytest

from log.errors import StoreFailed, StoreMissing
from log.merkle.tiles import completed
from log.storage import Batch, DataStore, HeadStore, Index, Swap
from log.storage.memory import Disk, MemoryData, MemoryHeads, MemoryIndex
from tests.storage.test_contract import tile
from tests.support.faults import Faults

FIRST = 250  # where the writer begins, so that few entries complete a tile
STEPS = (252, 256, 260)  # sizes that it commits, one after the other


def drivers(disk: Disk, faults: Faults) -> tuple[DataStore, HeadStore, Index]:
    """Open the stores of one process; each put of the data store is a write."""
    data = MemoryData(disk, faults.carry)
    return data, faults.heads(MemoryHeads(disk)), faults.index(MemoryIndex(disk))


async def write_on(disk: Disk, faults: Faults, attempt: int) -> bool:
    """Recover, then commit what is left of STEPS; False when the process ended at the fault.

    Entries tell the attempt, as time stamps do, so that what an ended attempt left behind is no use.
    """
    data, heads, index = drivers(disk, faults)
    try:
        old = await heads.load("size")
        size = int(old or b"%d" % FIRST)
        await data.truncate(size)
        for step in STEPS:
            if step <= size:
                continue
            rows = tuple(b"%d in attempt %d" % (i, attempt) for i in range(size, step))
            tiles = tuple((0, n, tile(attempt, n)) for n in completed(0, size, step))
            await data.commit(Batch(size, rows, tiles))
            new = b"%d" % step
            if await heads.replace("size", old, new) is not Swap.OK:
                return False
            old, size = new, step
            await index.put([(b"k%d" % step, step)], step)
            await index.sync()
    except StoreFailed:
        return False
    return True


def check(disk: Disk, attempts: int) -> None:
    """Whatever happened, the disk holds one history."""
    assert disk.heads == {"size": b"260"}
    assert sorted(disk.entries) == list(range(FIRST, 260))
    assert list(disk.tiles) == [(0, 0)]
    for start, end in zip((FIRST, *STEPS), STEPS, strict=False):
        attempt = disk.entries[start].split()[-1]
        assert int(attempt) <= attempts
        assert {disk.entries[i] for i in range(start, end)} == {
            b"%d in attempt %s" % (i, attempt) for i in range(start, end)
        }
    assert disk.tiles[0, 0] == tile(int(disk.entries[255].split()[-1]), 0)


async def count_writes() -> int:
    """How many writes a run without a fault makes."""
    faults = Faults(0, written=False)
    assert await write_on(Disk(), faults, 1)
    return faults.count


async def test_a_fault_at_any_write_leaves_one_history() -> None:
    writes = await count_writes()
    assert writes == 10 + 1 + 3 * 3  # entries, a tile, and a swap, a put and a sync for each step
    for at, written in product(range(1, writes + 1), (False, True)):
        disk, faults = Disk(), Faults(at, written=written)
        assert not await write_on(disk, faults, 1)
        assert faults.count == at, "a writer that ended writes no more"
        assert await write_on(disk, Faults(0, written=False), 2)
        check(disk, 2)
    assert await write_on(Disk(), Faults(writes + 1, written=False), 1)


async def test_a_fault_while_recovering_leaves_one_history() -> None:
    writes = await count_writes()
    for first, second in product(range(1, writes + 1), range(1, 2 * writes, 3)):
        for written, written_again in product((False, True), repeat=2):
            disk = Disk()
            assert not await write_on(disk, Faults(first, written=written), 1)
            again = Faults(second, written=written_again)
            assert await write_on(disk, again, 2) is not again.hit
            assert await write_on(disk, Faults(0, written=False), 3)
            check(disk, 3)


@pytest.mark.parametrize("written", [False, True])
async def test_a_fault_is_a_lost_write_or_a_lost_answer(written: bool) -> None:
    disk = Disk()
    heads = Faults(1, written=written).heads(MemoryHeads(disk))
    assert await heads.replace("a", None, b"1") is Swap.UNKNOWN
    assert await heads.load("a") == (b"1" if written else None)
    data = Faults(1, written=written).data(MemoryData(disk))
    with pytest.raises(StoreFailed):
        await data.commit(Batch(0, (b"row",), ()))
    assert disk.entries == ({0: b"row"} if written else {})
    index = Faults(2, written=written).index(MemoryIndex(disk))
    await index.put([(b"k", 1)], 1)
    with pytest.raises(StoreFailed):
        await index.sync()
    assert disk.index == ({b"k": 1} if written else {})


async def test_a_store_is_poisoned_by_its_fault_and_the_others_are_not() -> None:
    disk = Disk()
    faults = Faults(1, written=False)
    data, heads = faults.data(MemoryData(disk)), faults.heads(MemoryHeads(disk))
    for _ in range(3):
        with pytest.raises(StoreFailed):
            await data.commit(Batch(0, (b"row",), ()))
    assert await heads.replace("a", None, b"1") is Swap.OK
    assert faults.count == 2
    with pytest.raises(StoreMissing):
        await data.entries(0, 1)


async def test_tiles_of_an_object_store_are_made_once() -> None:
    disk = Disk()
    await MemoryData(disk).commit(Batch(0, (), ((0, 0, tile(0, 0)),)))
    data = MemoryData(disk)
    with pytest.raises(StoreFailed, match="other bytes"):
        await data.commit(Batch(0, (), ((0, 0, tile(0, 1)),)))
    with pytest.raises(StoreFailed, match="earlier"):
        await data.truncate(0)
    assert disk.tiles == {(0, 0): tile(0, 0)}


async def test_a_cut_commit_leaves_tiles_without_entries_and_entries_beyond_a_gap() -> None:
    disk = Disk()
    rows = tuple(b"%d" % i for i in range(256))
    with pytest.raises(StoreFailed):
        await MemoryData(disk, Faults(4, written=True).carry).commit(Batch(0, rows, ((0, 0, tile(0, 0)),)))
    assert list(disk.tiles) == [(0, 0)]
    assert sorted(disk.entries) == [253, 254, 255]


async def test_what_an_index_did_not_sync_is_lost_with_its_driver() -> None:
    disk = Disk()
    index = MemoryIndex(disk)
    await index.put([(b"a", 1)], 1)
    await index.sync()
    await index.put([(b"a", 2), (b"b", 2)], 2)
    assert await index.get(b"a") == 2
    again = MemoryIndex(disk)
    assert (await again.size(), await again.get(b"a"), await again.get(b"b")) == (1, 1, None)
