"""What only LevelDB can do or suffer: locks, folders, damage, and writes that fail in their middle."""

import asyncio
import shutil
from pathlib import Path
from typing import cast

import pytest

from log.errors import StateRefused, StorageError, StoreFailed, StoreLocked, StoreMissing
from log.merkle.hashing import leaf_hash
from log.merkle.tiles import TILE_BYTES, TILE_WIDTH, Edge
from log.storage import Batch
from log.storage.folder import MARKER
from log.storage.level_database import Database, LevelLimits
from log.storage.leveldb import DATA, LevelData, LevelIndex, LevelRecords, _tile_key
from tests.storage.children import BATCH_ROWS, big_batch, big_row, child, line, rest, tell
from tests.storage.small_disk import small_disk

MIB = 2**20


def contents(folder: Path) -> dict[str, bytes]:
    """Every byte below a folder."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


async def make(folder: Path, batches: int = 0) -> None:
    """Make a data store with some batches in it."""
    store = LevelData(folder, create=True)
    for number in range(batches):
        await store.commit(big_batch(number))
    await store.close()


@pytest.mark.parametrize("kind", [LevelData, LevelIndex, LevelRecords])
class TestFolder:
    def test_a_folder_that_is_missing_or_empty_is_not_a_lost_store(
        self, tmp_path: Path, kind: type[LevelData | LevelIndex | LevelRecords]
    ) -> None:
        (tmp_path / "empty").mkdir()
        for folder in (tmp_path / "missing", tmp_path / "empty"):
            with pytest.raises(StateRefused, match="holds no"):
                kind(folder)
        assert contents(tmp_path) == {}
        assert not (tmp_path / "missing").exists()

    async def test_a_store_is_made_when_asked_and_then_opened_either_way(
        self, tmp_path: Path, kind: type[LevelData | LevelIndex | LevelRecords]
    ) -> None:
        for create in (True, False, True):
            await kind(tmp_path / "a" / "b", create=create).close()
        assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700

    async def test_a_marked_folder_without_its_database_is_a_lost_store(
        self, tmp_path: Path, kind: type[LevelData | LevelIndex | LevelRecords]
    ) -> None:
        await kind(tmp_path / "store", create=True).close()
        for file in (tmp_path / "store").iterdir():
            if file.name != MARKER:
                file.unlink()
        for create in (False, True):
            with pytest.raises(StateRefused, match="gone"):
                kind(tmp_path / "store", create=create)
        assert set(contents(tmp_path / "store")) == {MARKER}

    async def test_making_a_store_can_be_resumed_after_a_crash(
        self, tmp_path: Path, kind: type[LevelData | LevelIndex | LevelRecords]
    ) -> None:
        await kind(tmp_path / "store", create=True).close()
        (tmp_path / "store" / MARKER).unlink()
        with pytest.raises(StateRefused, match="holds no"):
            kind(tmp_path / "store")
        await kind(tmp_path / "store", create=True).close()
        await kind(tmp_path / "store").close()

    async def test_a_driver_lets_no_second_one_in_until_it_is_closed(
        self, tmp_path: Path, kind: type[LevelData | LevelIndex | LevelRecords]
    ) -> None:
        first = kind(tmp_path / "store", create=True)
        for create in (False, True):
            with pytest.raises(StoreLocked):
                kind(tmp_path / "store", create=create)
        await first.close()
        await kind(tmp_path / "store").close()

    def test_a_folder_that_cannot_be_made_is_an_error_of_ours(
        self, tmp_path: Path, kind: type[LevelData | LevelIndex | LevelRecords]
    ) -> None:
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(StoreFailed):
            kind(tmp_path / "file" / "store", create=True)


async def test_a_folder_that_goes_away_under_a_store_is_a_store_that_failed(tmp_path: Path) -> None:
    store = LevelData(tmp_path / "store", create=True)
    shutil.rmtree(tmp_path / "store")
    for _ in range(2):
        with pytest.raises(StoreFailed):
            await store.commit(Batch(0, (b"row",), ()))
    await store.close()


async def test_an_index_is_not_opened_as_data_nor_data_as_an_index(tmp_path: Path) -> None:
    await LevelData(tmp_path / "data", create=True).close()
    await LevelIndex(tmp_path / "index", create=True).close()
    for create in (False, True):
        with pytest.raises(StateRefused, match="another kind"):
            LevelData(tmp_path / "index", create=create)
        with pytest.raises(StateRefused, match="another kind"):
            LevelIndex(tmp_path / "data", create=create)


async def test_data_in_a_later_layout_are_not_read(tmp_path: Path) -> None:
    await make(tmp_path / "store", batches=1)
    (tmp_path / "store" / MARKER).write_bytes(b"twinlog data 3\n")
    with pytest.raises(StateRefused, match="newer version"):
        LevelData(tmp_path / "store", create=True)


@pytest.mark.parametrize("moved", [0, 100, 258])
async def test_the_tiles_of_the_first_layout_are_renamed_also_after_a_stop_in_the_middle(
    tmp_path: Path, moved: int
) -> None:
    folder, size = tmp_path / "store", (TILE_WIDTH + 1) * TILE_WIDTH  # 257 tiles, and one above them
    rows = tuple(b"%d" % index for index in range(size))
    _, tiles = Edge().grow([leaf_hash(row) for row in rows])
    store = LevelData(folder, create=True)
    await store.commit(Batch(0, rows, tuple(tiles)))
    await store.close()
    database = Database(folder, DATA, LevelLimits(), create=False)
    for level, n, tile in list(tiles)[moved:]:
        old = b"t" + level.to_bytes(1) + n.to_bytes(8)
        await database.write([(old, tile), (_tile_key(level, n), None)], sync=False)
    await database.close()
    (folder / MARKER).write_bytes(b"twinlog data 1\n")

    for _ in range(2):
        store = LevelData(folder)
        assert await store.entries(0, size) == list(rows)
        for level, n, tile in tiles:
            assert await store.hashes(level, n * TILE_WIDTH, (n + 1) * TILE_WIDTH) == tile
        assert store._db.keys(b"t", b"u") == []
        await store.close()
        assert (folder / MARKER).read_bytes() == b"twinlog data 2\n"


async def test_a_renaming_that_was_lost_with_a_damaged_log_is_made_again(tmp_path: Path) -> None:
    folder, rows = tmp_path / "store", tuple(b"%d" % index for index in range(TILE_WIDTH))
    _, [(level, n, tile)] = Edge().grow([leaf_hash(row) for row in rows])
    store = LevelData(folder, create=True)
    await store.commit(Batch(0, rows, ((level, n, tile),)))
    await store.close()
    database = Database(folder, DATA, LevelLimits(), create=False)
    await database.write([(b"t" + level.to_bytes(1) + n.to_bytes(8), tile), (_tile_key(level, n), None)], sync=True)
    await database.close()
    (folder / "000001.damaged").write_bytes(b"what LevelDB skipped")
    store = LevelData(folder)
    assert await store.hashes(0, 0, TILE_WIDTH) == tile
    await store.close()


async def test_from_the_moment_it_is_closed_nothing_is_read(tmp_path: Path) -> None:
    store = LevelData(tmp_path / "store", create=True)
    closing = asyncio.ensure_future(store.close())
    await asyncio.sleep(0)
    with pytest.raises(StorageError, match="closed"):
        await store.blob(bytes(32))
    await closing


async def test_every_commit_lies_behind_those_before_it(tmp_path: Path) -> None:
    """So that no compaction writes a row again: LevelDB moves whole tables that overlap with no other."""
    limits = LevelLimits(write_buffer_bytes=64 << 10)
    store, edge = LevelData(tmp_path / "store", limits, create=True), Edge()
    for start in range(0, 5_120, 512):
        rows = tuple(big_row(i) for i in range(start, start + 512))
        edge, tiles = edge.grow([leaf_hash(row) for row in rows])
        await store.commit(Batch(start, rows, tuple(tiles)))
    assert await store.entries(0, 5_120) == [big_row(i) for i in range(5_120)]
    await store.close()
    told = (tmp_path / "store" / "LOG").read_text()
    assert "Level-0 table" in told
    assert "Compacting" not in told


async def test_a_database_with_rows_and_no_marker_is_not_adopted(tmp_path: Path) -> None:
    await make(tmp_path / "store", batches=1)
    (tmp_path / "store" / MARKER).unlink()
    with pytest.raises(StateRefused, match="not marked"):
        LevelData(tmp_path / "store", create=True)


async def test_a_second_process_is_turned_away_at_once_and_harms_nothing(tmp_path: Path) -> None:
    await make(tmp_path / "store")
    with child("hold", tmp_path / "store") as holder:
        assert line(holder) == "open"
        with pytest.raises(StoreLocked):  # whoever waited here would wait for ever
            LevelData(tmp_path / "store")
        with child("lock", tmp_path / "store") as second:
            assert line(second) == "locked"
        for _ in range(3):
            tell(holder, "commit")
            assert line(holder) == "committed"
    store = LevelData(tmp_path / "store")  # the kernel lets go of a killed process's lock
    assert await store.entries(0, 3 * BATCH_ROWS) == [big_row(i) for i in range(3 * BATCH_ROWS)]
    await store.close()


async def test_a_tile_of_another_length_is_an_error_and_not_served(tmp_path: Path) -> None:
    store = LevelData(tmp_path / "data", create=True)
    await store._db.write([(_tile_key(0, 0), bytes(TILE_BYTES - 32))], sync=True)
    with pytest.raises(StorageError, match=f"tile 0/0 has {TILE_BYTES - 32} bytes"):
        await store.hashes(0, 0, 1)
    await store.close()


async def test_a_truncation_beyond_the_end_writes_nothing(tmp_path: Path) -> None:
    store = LevelData(tmp_path / "store", create=True)
    await store.commit(Batch(0, (b"row",) * 256, ((0, 0, bytes(8192)),)))
    before = contents(tmp_path / "store")
    for size in (256, 257, 2**40):
        await store.truncate(size)
    assert contents(tmp_path / "store") == before
    await store.truncate(255)
    assert contents(tmp_path / "store") != before
    await store.close()


async def test_a_write_queued_behind_one_that_fails_is_not_done(tmp_path: Path) -> None:
    store = LevelData(tmp_path / "store", create=True)
    no_row = cast(bytes, 7)
    first = asyncio.ensure_future(store.commit(Batch(0, (b"row", no_row), ())))
    second = asyncio.ensure_future(store.commit(big_batch(1)))
    await asyncio.sleep(0)  # both stand in the writer's queue
    store._db._writer.submit(int).result()  # and both end before the event loop hears of the first
    with pytest.raises(TypeError):
        await first
    with pytest.raises(StoreFailed):
        await second
    for index in (0, BATCH_ROWS):
        with pytest.raises(StoreMissing):
            await store.entries(index, index + 1)
    await store.close()


async def test_a_sync_without_a_put_writes_nothing(tmp_path: Path) -> None:
    index = LevelIndex(tmp_path / "store", create=True)
    await index.sync()
    await index.put([(b"k", 1)], 1)
    await index.sync()
    before = contents(tmp_path / "store")
    await index.sync()
    assert contents(tmp_path / "store") == before
    await index.close()


async def test_a_flipped_bit_is_an_error_and_not_another_row(tmp_path: Path) -> None:
    await make(tmp_path / "store", batches=20)
    await make(tmp_path / "store")  # opening moves the rows from the write-ahead log to a table
    (table,) = (tmp_path / "store").glob("*.ldb")
    damaged = bytearray(table.read_bytes())
    damaged[damaged.index(big_row(17)) + 700] ^= 4
    table.write_bytes(damaged)
    store = LevelData(tmp_path / "store")
    for start, end in ((17, 18), (0, 20), (0, 400)):
        with pytest.raises(StorageError, match="could not read"):
            await store.entries(start, end)
    assert await store.entries(300, 400) == [big_row(i) for i in range(300, 400)]
    await store.close()


async def commit_until_it_fails(store: LevelData) -> list[int]:
    """Return the numbers of the batches that were acknowledged."""
    for number in range(1000):
        try:
            await store.commit(big_batch(number))
        except StoreFailed:
            return [*range(number)]
    raise AssertionError("the disk is not small")


async def check_batches(folder: Path, acknowledged: list[int], asked: int) -> None:
    """Every acknowledged batch is there, and of any other all rows or none."""
    store = LevelData(folder)
    for number in range(asked):
        start = number * BATCH_ROWS
        try:
            rows = await store.entries(start, start + BATCH_ROWS)
        except StoreMissing:
            assert number not in acknowledged
            for index in range(start, start + BATCH_ROWS):
                with pytest.raises(StoreMissing):
                    await store.entries(index, index + 1)
        else:
            assert rows == list(big_batch(number).entries)
    await store.close()


def newest_log(folder: Path) -> Path:
    """The write-ahead log of a LevelDB."""
    return max(folder.glob("*.log"))


@pytest.mark.parametrize("lost", [1, 100, 20_000])
async def test_a_torn_end_takes_whole_batches_and_none_before_it(tmp_path: Path, lost: int) -> None:
    await make(tmp_path / "store", batches=4)
    torn = newest_log(tmp_path / "store")
    torn.write_bytes(torn.read_bytes()[:-lost])  # as when the fourth batch was on its way at a power cut
    await check_batches(tmp_path / "store", [0, 1, 2], 4)
    store = LevelData(tmp_path / "store")
    with pytest.raises(StoreMissing, match=f"entry {3 * BATCH_ROWS} "):
        await store.entries(0, 4 * BATCH_ROWS)
    await store.commit(big_batch(3))
    await store.close()
    await check_batches(tmp_path / "store", [0, 1, 2, 3], 4)


def damage(file: Path, start: int, length: int) -> None:
    """Overwrite some bytes with zeros, as a sector that was never written."""
    content = bytearray(file.read_bytes())
    content[start : start + length] = bytes(length)
    file.write_bytes(content)


async def test_a_hole_in_the_last_batch_takes_that_batch_alone(tmp_path: Path) -> None:
    await make(tmp_path / "store", batches=4)
    log_file = newest_log(tmp_path / "store")
    damage(log_file, log_file.stat().st_size - 9000, 4096)
    await check_batches(tmp_path / "store", [0, 1, 2], 4)
    store = LevelData(tmp_path / "store")
    await store.commit(big_batch(3))
    await store.close()
    await check_batches(tmp_path / "store", [0, 1, 2, 3], 4)


@pytest.mark.parametrize("batch", [0, 1])
async def test_a_hole_before_the_last_batch_is_a_lost_entry_and_refused(tmp_path: Path, batch: int) -> None:
    await make(tmp_path / "store", batches=5)
    log_file = newest_log(tmp_path / "store")
    damage(log_file, log_file.read_bytes().index(big_row(batch * BATCH_ROWS + 10)), 1)
    for create in (False, True, False):
        with pytest.raises(StateRefused, match=f"lost entry {batch * BATCH_ROWS};"):
            LevelData(tmp_path / "store", create=create)
    (kept,) = (tmp_path / "store").glob("*.damaged")
    assert big_row(batch * BATCH_ROWS + 11) in kept.read_bytes()


async def test_a_damaged_index_begins_anew(tmp_path: Path) -> None:
    index = LevelIndex(tmp_path / "store", create=True)
    for i in range(100):
        await index.put([(b"key %d" % i, i)], i + 1)
    await index.close()
    log_file = newest_log(tmp_path / "store")
    damage(log_file, log_file.read_bytes().index(b"key 50"), 1)
    index = LevelIndex(tmp_path / "store")
    assert await index.size() == 0
    assert await index.get(b"key 10") is None
    await index.put([(b"key", 1)], 1)
    await index.sync()
    await index.close()
    index = LevelIndex(tmp_path / "store")
    assert await index.size() == 1
    await index.close()


@pytest.mark.parametrize("garbage", [bytes(5000), b"\xff" * 5000, b"x"])
async def test_garbage_after_the_end_is_passed_over(tmp_path: Path, garbage: bytes) -> None:
    await make(tmp_path / "store", batches=3)
    with newest_log(tmp_path / "store").open("ab") as log_file:
        log_file.write(garbage)
    await check_batches(tmp_path / "store", [0, 1, 2], 4)


async def test_after_a_batch_cut_in_its_middle_nothing_is_acknowledged_that_a_crash_loses(
    tmp_path: Path,
) -> None:
    with child("cut", tmp_path / "store") as process:
        lines = []
        while (event := line(process)) != "done":
            assert event, "the child ended early"
            lines.append(event)
    assert lines[:10] == [str(i) for i in range(10)]
    assert lines[10] == "failed"
    assert len(lines) == 51
    acknowledged = [int(event) for event in lines if event != "failed"]
    await check_batches(tmp_path / "store", acknowledged, 51)
    assert acknowledged == list(range(10))  # LevelDB itself would take the forty that came after


async def test_after_a_full_disk_nothing_is_written_though_there_is_room_again(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 8 * MIB) as disk:
        ballast = disk / "ballast"
        store = LevelData(disk / "store", LevelLimits(write_buffer_bytes=MIB), create=True)
        ballast.write_bytes(bytes(2 * MIB))
        acknowledged = await commit_until_it_fails(store)
        assert acknowledged
        ballast.unlink()
        asked = acknowledged[-1] + 40
        for number in range(acknowledged[-1] + 1, asked):
            with pytest.raises(StoreFailed):
                await store.commit(big_batch(number))
        assert await store.entries(0, BATCH_ROWS) == [big_row(i) for i in range(BATCH_ROWS)]
        await store.close()
        await check_batches(disk / "store", acknowledged, asked)


async def test_rows_that_were_acknowledged_survive_a_killed_process(tmp_path: Path) -> None:
    await make(tmp_path / "store")
    with child("hold", tmp_path / "store") as process:
        assert line(process) == "open"
        for _ in range(200):
            tell(process, "commit")
        while line(process) != "committed":
            pass
        process.kill()
        acknowledged = [*range(1 + rest(process).count("committed"))]
    await check_batches(tmp_path / "store", acknowledged, 200)
