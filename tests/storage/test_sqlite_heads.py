"""What only SQLite can do or suffer: files, other processes, and a COMMIT that fails."""

import sqlite3
from pathlib import Path
from typing import cast

import pytest

from log.errors import StateRefused, StoreFailed
from log.storage import Swap
from log.storage.sqlite_heads import HeadLimits, SqliteHeads
from tests.storage.children import child, limit_files, line, rest, tell
from tests.storage.small_disk import small_disk

KIB = 2**10


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """A head store with nothing in it."""
    path = tmp_path / "heads.sqlite"
    await SqliteHeads(path, create=True).close()
    return path


def sizes(folder: Path) -> dict[str, int]:
    """The size of each file in a folder, in bytes."""
    return {file.name: file.stat().st_size for file in folder.iterdir()}


def test_a_missing_file_is_refused_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(StateRefused, match=r"no head store at .*twinlog init"):
        SqliteHeads(tmp_path / "heads.sqlite")
    assert list(tmp_path.iterdir()) == []


async def test_making_a_store_again_keeps_what_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "heads %?#.sqlite"
    for old, new in ((None, b"1"), (b"1", b"2")):
        heads = SqliteHeads(path, create=True)
        assert await heads.replace("a", old, new) is Swap.OK
        await heads.close()
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("create", [False, True])
async def test_a_file_that_is_no_head_store_is_refused_and_not_touched(tmp_path: Path, create: bool) -> None:
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE head (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID")
    db.close()
    text = tmp_path / "text"
    text.write_text("not a database, and longer than a header " * 10)
    for file in (other, text):
        before = file.read_bytes()
        with pytest.raises(StateRefused, match="not a head store"):
            SqliteHeads(file, create=create)
        assert file.read_bytes() == before


async def test_an_empty_file_becomes_a_store_only_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "heads.sqlite"
    path.touch()  # as a crash while it was made leaves it
    with pytest.raises(StateRefused, match="not a head store"):
        SqliteHeads(path)
    await SqliteHeads(path, create=True).close()
    await SqliteHeads(path).close()


def test_a_damaged_file_is_refused(path: Path) -> None:
    damaged = bytearray(path.read_bytes())
    damaged[:16] = b"SQLite format 9\0"
    path.write_bytes(damaged)
    with pytest.raises(StateRefused):
        SqliteHeads(path)


def test_a_folder_that_cannot_be_made_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreFailed):
        SqliteHeads(tmp_path / "file" / "heads.sqlite", create=True)


async def test_every_commit_is_synced(path: Path) -> None:
    heads = SqliteHeads(path)
    assert heads._db.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    assert heads._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    await heads.close()


async def test_heartbeats_without_end_leave_small_files(tmp_path: Path) -> None:
    heads = SqliteHeads(tmp_path / "heads.sqlite", HeadLimits(fold_swaps=32), create=True)
    old = None
    for beat in range(1500):
        new = b"%d\n" % beat + bytes(600)
        assert await heads.replace("log/a", old, new) is Swap.OK
        old = new
    assert sizes(tmp_path)["heads.sqlite"] <= 16 * KIB
    assert sizes(tmp_path)["heads.sqlite-wal"] <= 2 * 32 * 4 * KIB
    await heads.close()


async def test_a_lock_that_another_process_keeps_is_a_failure_that_wrote_nothing(path: Path) -> None:
    heads = SqliteHeads(path, HeadLimits(busy_timeout_ms=10))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreFailed, match="locked"):
        await heads.replace("a", None, b"1")
    other.execute("ROLLBACK")
    other.close()
    with pytest.raises(StoreFailed, match="earlier"):
        await heads.replace("a", None, b"1")
    assert await heads.load("a") is None
    await heads.close()


async def test_a_failure_before_the_commit_wrote_nothing_and_lets_the_lock_go(path: Path) -> None:
    heads = SqliteHeads(path)
    other = SqliteHeads(path, HeadLimits(busy_timeout_ms=10))
    no_value = cast(bytes, object())
    with pytest.raises(StoreFailed, match="could not be written"):
        await heads.replace("a", None, no_value)
    with pytest.raises(StoreFailed, match="earlier"):
        await heads.replace("a", None, b"1")
    assert await heads.load("a") is None
    assert await other.replace("a", None, b"2") is Swap.OK
    await heads.close()
    await other.close()


async def test_a_commit_that_fails_is_unknown_and_the_lock_is_let_go(path: Path) -> None:
    heads = SqliteHeads(path)
    other = SqliteHeads(path, HeadLimits(busy_timeout_ms=10))
    assert await heads.replace("a", None, b"1") is Swap.OK
    limit_files(sizes(path.parent)["heads.sqlite-wal"])
    try:
        swap = await heads.replace("a", b"1", b"2")
    finally:
        limit_files(None)
    assert swap is Swap.UNKNOWN
    with pytest.raises(StoreFailed):
        await heads.replace("a", b"1", b"3")
    assert await heads.load("a") in {b"1", b"2"}
    value = await other.load("a")
    assert value in {b"1", b"2"}
    assert await other.replace("a", value, b"4") is Swap.OK
    await heads.close()
    await other.close()


async def test_on_a_full_disk_no_acknowledged_value_is_lost(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 512 * KIB) as disk:
        ballast = disk / "ballast"
        heads = SqliteHeads(disk / "heads.sqlite", create=True)
        ballast.write_bytes(bytes(128 * KIB))
        old, turn, swap = None, 0, Swap.OK
        while swap is Swap.OK:
            new = b"%d" % turn + bytes(9000)
            try:
                swap = await heads.replace("a", old, new)
            except StoreFailed:
                break
            if swap is Swap.OK:
                old, turn = new, turn + 1
        assert turn
        ballast.unlink()
        with pytest.raises(StoreFailed):
            await heads.replace("a", old, b"after")
        await heads.close()
        reopened = SqliteHeads(disk / "heads.sqlite")
        assert await reopened.load("a") in ({old, new} if swap is Swap.UNKNOWN else {old})
        await reopened.close()


async def test_of_two_processes_exactly_one_wins_each_round(path: Path) -> None:
    with child("race", path) as first, child("race", path) as second:
        both = [first, second]
        for _ in range(200):
            for words, said in (("look", ["seen", "seen"]), ("swap", ["OK", "STALE"])):
                for process in both:
                    tell(process, words)
                assert sorted(line(process) for process in both) == said
            both.reverse()


async def test_a_killed_process_loses_no_value_that_it_acknowledged(path: Path) -> None:
    last = 0
    for kill_after in (1, 2, 17, 90, 150):
        with child("count", path) as process:
            for _ in range(kill_after):
                last = int(line(process))
            process.kill()
            last = max([last, *map(int, rest(process))])
        heads = SqliteHeads(path)
        assert int(await heads.load("counter") or b"0") in {last, last + 1}
        await heads.close()
