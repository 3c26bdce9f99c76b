"""One contract, every driver: what log/storage/__init__.py promises, asked of each store of each kind.

What only one driver can do or suffer is in test_leveldb.py and test_sqlite_heads.py.
"""

import asyncio
from collections.abc import Coroutine
from hashlib import sha256
from typing import Any

import pytest

from log.errors import StorageError, StoreFailed, StoreMissing
from log.merkle.tiles import TILE_BYTES, completed
from log.storage import Batch, DataStore, Filed, HeadStore, Index, RecordStore, Swap
from tests.storage.engines import Store

PAST_TWO_LEVELS = 2**16 + 300  # entries 65,000 to here complete tiles of levels 0 and 1


def row(index: int) -> bytes:
    """An entry that says where it belongs."""
    return b"entry %d" % index


def tile(level: int, n: int) -> bytes:
    """A tile that says where it belongs, each hash another."""
    return b"".join(sha256(b"%d %d %d" % (level, n, i)).digest() for i in range(256))


def batch(start: int, end: int, *blobs: bytes) -> Batch:
    """The entries start <= i < end and the tiles they complete."""
    return Batch(
        start,
        tuple(row(i) for i in range(start, end)),
        tuple((level, n, tile(level, n)) for level in range(3) for n in completed(level, start, end)),
        tuple((sha256(blob).digest(), blob) for blob in blobs),
    )


async def cut_off(write: Coroutine[Any, Any, object]) -> None:
    """Cancel a write that has begun, so that nobody hears how it ended."""
    task = asyncio.ensure_future(write)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


class TestData:
    async def test_what_was_committed_is_there_for_every_later_driver(self, data: Store[DataStore]) -> None:
        store = await data.open()
        await store.commit(batch(0, 300, b"issuer", b""))
        await store.commit(batch(300, 520))
        for _ in range(3):
            assert await store.entries(0, 520) == [row(i) for i in range(520)]
            assert await store.hashes(0, 0, 512) == tile(0, 0) + tile(0, 1)
            assert await store.blob(sha256(b"issuer").digest()) == b"issuer"
            assert await store.blob(sha256(b"").digest()) == b""
            store = await data.open()

    @pytest.mark.parametrize(("start", "end"), [(0, 0), (7, 8), (0, 4), (3, 8), (0, 16), (5, 22), (0, 99)])
    async def test_a_range_of_any_length_is_read_in_order(self, data: Store[DataStore], start: int, end: int) -> None:
        store = await data.open()
        await store.commit(batch(0, 100))
        assert await store.entries(start, end) == [row(i) for i in range(start, end)]

    @pytest.mark.parametrize(("start", "end"), [(3, 4), (0, 6), (0, 40), (2, 300)])
    async def test_an_absent_entry_is_named(self, data: Store[DataStore], start: int, end: int) -> None:
        store = await data.open()
        for index in (*range(3), *range(4, 300)):
            await store.commit(batch(index, index + 1))
        with pytest.raises(StoreMissing, match="entry 3 is absent"):
            await store.entries(start, end)

    async def test_an_entry_beyond_the_end_is_missing(self, data: Store[DataStore]) -> None:
        store = await data.open()
        with pytest.raises(StoreMissing, match="entry 0 "):
            await store.entries(0, 1)
        await store.commit(batch(0, 10))
        with pytest.raises(StoreMissing, match="entry 10 "):
            await store.entries(0, 11)

    @pytest.mark.parametrize(("start", "end"), [(0, 0), (256, 256), (5, 6), (0, 256), (255, 257), (3, 700), (0, 2560)])
    async def test_hashes_are_cut_from_full_tiles(self, data: Store[DataStore], start: int, end: int) -> None:
        store = await data.open()
        await store.commit(Batch(0, (), tuple((1, n, tile(1, n)) for n in range(10))))
        level = b"".join(tile(1, n) for n in range(10))
        assert await store.hashes(1, start, end) == level[32 * start : 32 * end]

    async def test_hashes_of_a_tile_that_is_not_full_are_missing(self, data: Store[DataStore]) -> None:
        store = await data.open()
        await store.commit(batch(0, 300))
        for level, start, end in ((0, 256, 257), (0, 255, 257), (1, 0, 1), (7, 0, 1), (0, 0, 4096)):
            with pytest.raises(StoreMissing, match="absent"):
                await store.hashes(level, start, end)

    async def test_a_blob_that_was_never_committed_is_none(self, data: Store[DataStore]) -> None:
        assert await (await data.open()).blob(bytes(32)) is None

    async def test_an_entry_that_was_not_published_is_overwritten(self, data: Store[DataStore]) -> None:
        store = await data.open()
        await store.commit(batch(0, 5))
        await store.commit(Batch(3, (b"other", b"still another"), ()))
        assert await store.entries(0, 5) == [row(0), row(1), row(2), b"other", b"still another"]

    async def test_one_tile_may_be_committed_twice_with_the_same_bytes(self, data: Store[DataStore]) -> None:
        store = await data.open()
        await store.commit(batch(0, 256))
        await store.commit(batch(0, 256))
        assert await store.hashes(0, 0, 256) == tile(0, 0)

    @pytest.mark.parametrize("size", [65_000, 65_279, 65_280, 65_535, 65_536, 65_537, 65_800, PAST_TWO_LEVELS])
    async def test_truncation_leaves_what_is_full_at_the_size(self, data: Store[DataStore], size: int) -> None:
        store = await data.open()
        await store.commit(batch(65_000, PAST_TWO_LEVELS, b"issuer"))
        await store.truncate(size)
        for _ in range(2):
            assert await store.entries(65_000, size) == [row(i) for i in range(65_000, size)]
            for index in {size, size + 1, PAST_TWO_LEVELS - 1} - set(range(size)):
                with pytest.raises(StoreMissing):
                    await store.entries(index, index + 1)
            for level in range(3):
                for n in completed(level, 65_000, PAST_TWO_LEVELS):
                    if (n + 1) * 256 ** (level + 1) <= size:
                        assert await store.hashes(level, 256 * n, 256 * (n + 1)) == tile(level, n)
                    else:
                        with pytest.raises(StoreMissing):
                            await store.hashes(level, 256 * n, 256 * n + 1)
            assert await store.blob(sha256(b"issuer").digest()) == b"issuer"
            store = await data.open()

    async def test_truncation_finds_what_lies_beyond_a_gap(self, data: Store[DataStore]) -> None:
        store = await data.open()
        await store.commit(batch(0, 10))
        await store.commit(batch(2**40, 2**40 + 2))
        await store.commit(Batch(10, (), ((5, 2**14, tile(5, 0)),)))
        await store.truncate(10)
        assert await store.entries(0, 10) == [row(i) for i in range(10)]
        with pytest.raises(StoreMissing):
            await store.entries(2**40, 2**40 + 1)
        with pytest.raises(StoreMissing):
            await store.hashes(5, 2**22, 2**22 + 1)
        with pytest.raises(StoreMissing):
            await store.hashes(7, 2**58, 2**58 + 1)

    async def test_what_was_truncated_can_be_committed_with_other_bytes(self, data: Store[DataStore]) -> None:
        store = await data.open()
        await store.commit(batch(0, 256))
        await store.truncate(255)
        await store.commit(Batch(255, (b"other",), ((0, 0, tile(9, 9)),)))
        assert await store.hashes(0, 0, 256) == tile(9, 9)
        assert await store.entries(255, 256) == [b"other"]

    async def test_reads_go_on_beside_a_commit(self, data: Store[DataStore]) -> None:
        store = await data.open()
        await store.commit(batch(0, 600))
        _, *reads = await asyncio.gather(
            store.commit(batch(600, 1200)), *(store.entries(i, i + 40) for i in range(500))
        )
        assert reads == [[row(j) for j in range(i, i + 40)] for i in range(500)]

    async def test_after_a_write_that_nobody_heard_of_nothing_is_written(self, data: Store[DataStore]) -> None:
        store = await data.open()
        await store.commit(batch(0, 10))
        await cut_off(store.commit(batch(10, 20)))
        for write in (store.commit(batch(30, 40)), store.truncate(5), store.commit(batch(50, 51))):
            with pytest.raises(StoreFailed):
                await write
        assert await store.entries(0, 10) == [row(i) for i in range(10)]
        reopened = await data.open()
        assert await reopened.entries(0, 10) == [row(i) for i in range(10)]
        for index in (30, 50):
            with pytest.raises(StoreMissing):
                await reopened.entries(index, index + 1)
        await reopened.truncate(10)
        await reopened.commit(batch(10, 30))
        assert await reopened.entries(0, 30) == [row(i) for i in range(30)]

    async def test_a_closed_store_says_so(self, data: Store[DataStore]) -> None:
        store = await data.open()
        await store.close()
        await store.close()
        for call in (
            store.entries(0, 1),
            store.entries(0, 100),
            store.hashes(0, 0, 1),
            store.blob(bytes(32)),
            store.commit(batch(0, 1)),
            store.truncate(0),
        ):
            with pytest.raises(StorageError, match="closed"):
                await call

    async def test_a_range_that_is_none_is_a_bug(self, data: Store[DataStore]) -> None:
        store = await data.open()
        for call in (store.entries(-1, 1), store.entries(2, 1), store.hashes(0, 2, 1), store.truncate(-1)):
            with pytest.raises(AssertionError):
                await call


@pytest.mark.parametrize(
    ("start", "tiles", "blobs"),
    [
        (-1, (), ()),
        (0, ((0, 0, bytes(TILE_BYTES - 32)),), ()),
        (0, (), ((b"short", b"blob"),)),
    ],
)
def test_a_batch_of_the_wrong_shape_is_a_bug(
    start: int, tiles: tuple[tuple[int, int, bytes], ...], blobs: tuple[tuple[bytes, bytes], ...]
) -> None:
    with pytest.raises(AssertionError):
        Batch(start, (), tiles, blobs)


class TestHeads:
    async def test_a_name_begins_absent_and_is_created_once(self, heads: Store[HeadStore]) -> None:
        store = await heads.open()
        assert await store.load("log/a") is None
        assert await store.replace("log/a", b"", b"x") is Swap.STALE
        assert await store.replace("log/a", b"x", b"x") is Swap.STALE
        assert await store.replace("log/a", None, b"1") is Swap.OK
        assert await store.replace("log/a", None, b"2") is Swap.STALE
        assert await store.load("log/a") == b"1"

    async def test_a_swap_takes_the_place_of_exactly_the_old_value(self, heads: Store[HeadStore]) -> None:
        store = await heads.open()
        assert await store.replace("log/a", None, b"1") is Swap.OK
        assert await store.replace("log/b", None, b"1") is Swap.OK
        assert await store.replace("log/a", b"0", b"2") is Swap.STALE
        assert await store.load("log/a") == b"1"
        assert await store.replace("log/a", b"1", b"2") is Swap.OK
        assert await store.replace("log/a", b"1", b"3") is Swap.STALE
        assert await store.replace("log/a", b"2", b"2") is Swap.OK
        for _ in range(3):
            assert await store.load("log/a") == b"2"
            assert await store.load("log/b") == b"1"
            store = await heads.open()

    @pytest.mark.parametrize("value", [b"", b"\0", bytes(range(256)), b"x" * 100_000])
    async def test_a_value_is_any_bytes(self, heads: Store[HeadStore], value: bytes) -> None:
        store = await heads.open()
        assert await store.replace("n", None, value) is Swap.OK
        assert await store.load("n") == value
        assert await store.replace("n", value, b"after") is Swap.OK
        assert await store.load("n") == b"after"

    async def test_names_are_found_by_prefix_and_sorted(self, heads: Store[HeadStore]) -> None:
        store = await heads.open()
        names = ["log/b", "log/a", "log/Z", "log", "l_g/a", "a log/a", "log/é", "LOG/a", "witness", "log/%"]
        for name in names:
            assert await store.replace(name, None, b"1") is Swap.OK
        for prefix in ("log/", "", "l_g", "log/%", "LOG", "log/é", "none"):
            assert await store.names(prefix) == sorted(n for n in names if n.startswith(prefix))

    async def test_of_two_drivers_exactly_one_wins_each_round(self, heads: Store[HeadStore]) -> None:
        first, second = heads.join(), heads.join()
        old = None
        for turn in range(50):
            values = (b"first %d" % turn, b"second %d" % turn)
            swaps = await asyncio.gather(
                first.replace("log/a", old, values[0]), second.replace("log/a", old, values[1])
            )
            assert sorted(swaps, key=str) == [Swap.OK, Swap.STALE]
            old = values[swaps.index(Swap.OK)]
            assert await first.load("log/a") == await second.load("log/a") == old

    async def test_after_a_swap_that_nobody_heard_of_nothing_is_written(self, heads: Store[HeadStore]) -> None:
        store = await heads.open()
        assert await store.replace("a", None, b"1") is Swap.OK
        await cut_off(store.replace("a", b"1", b"2"))
        for name, old in (("a", b"1"), ("a", b"2"), ("b", None)):
            with pytest.raises(StoreFailed):
                await store.replace(name, old, b"3")
        assert await store.load("b") is None
        reopened = await heads.open()
        value = await reopened.load("a")
        assert value in {b"1", b"2"}
        assert await reopened.load("b") is None
        assert await reopened.replace("a", value, b"3") is Swap.OK

    async def test_a_stale_swap_does_no_harm(self, heads: Store[HeadStore]) -> None:
        store = await heads.open()
        for _ in range(3):
            assert await store.replace("a", b"never", b"x") is Swap.STALE
        assert await store.replace("a", None, b"1") is Swap.OK

    async def test_a_closed_store_says_so(self, heads: Store[HeadStore]) -> None:
        store = await heads.open()
        await store.close()
        await store.close()
        for call in (store.load("a"), store.replace("a", None, b"1"), store.names("")):
            with pytest.raises(StorageError, match="closed"):
                await call


class TestIndex:
    async def test_a_new_index_is_empty(self, index: Store[Index]) -> None:
        store = await index.open()
        assert await store.size() == 0
        assert await store.get(b"d" + bytes(32)) is None

    async def test_keys_are_found_at_once_and_after_a_sync_for_ever(self, index: Store[Index]) -> None:
        store = await index.open()
        await store.put([(b"d1", 0), (b"d2", 2**40)], 1)
        await store.put([(b"l1", 2**64 - 1)], 2**63)
        for _ in range(3):
            assert await store.get(b"d1") == 0
            assert await store.get(b"d2") == 2**40
            assert await store.get(b"l1") == 2**64 - 1
            assert await store.get(b"d") is None
            assert await store.get(b"d11") is None
            assert await store.size() == 2**63
            await store.sync()
            store = await index.open()

    async def test_a_size_that_survives_covers_no_key_that_is_lost(self, index: Store[Index]) -> None:
        store = await index.open()
        for i in range(10):
            await store.put([(b"k%d" % i, i)], i + 1)
            if i == 4:
                await store.sync()
        reopened = await index.open()
        size = await reopened.size()
        assert 5 <= size <= 10
        found = [await reopened.get(b"k%d" % i) for i in range(10)]
        assert found[:size] == list(range(size))
        assert all(value in {i, None} for i, value in enumerate(found))

    async def test_the_last_put_counts(self, index: Store[Index]) -> None:
        store = await index.open()
        await store.put([(b"k", 1), (b"k", 2)], 3)
        assert await store.get(b"k") == 2
        await store.put([(b"k", 1)], 4)
        await store.sync()
        assert await (await index.open()).get(b"k") == 1

    async def test_a_put_without_keys_moves_the_size(self, index: Store[Index]) -> None:
        store = await index.open()
        await store.put([], 7)
        await store.sync()
        await store.sync()
        assert await (await index.open()).size() == 7

    @pytest.mark.parametrize("key", [b"", b"\0", b"\0size"])
    async def test_a_reserved_key_is_a_bug_and_harms_nothing(self, index: Store[Index], key: bytes) -> None:
        store = await index.open()
        for call in (store.get(key), store.put([(b"k", 1), (key, 1)], 1)):
            with pytest.raises(AssertionError):
                await call
        assert await store.size() == 0
        await store.put([(b"k", 1)], 1)
        assert await store.get(b"k") == 1

    async def test_after_a_put_that_nobody_heard_of_nothing_is_written(self, index: Store[Index]) -> None:
        store = await index.open()
        await store.put([(b"a", 0)], 1)
        await store.sync()
        await cut_off(store.put([(b"b", 1)], 2))
        for write in (store.put([(b"c", 2)], 3), store.sync()):
            with pytest.raises(StoreFailed):
                await write
        assert await store.get(b"c") is None
        reopened = await index.open()
        assert (await reopened.size(), await reopened.get(b"b")) in {(1, None), (1, 1), (2, 1)}
        assert await reopened.get(b"c") is None
        assert await reopened.get(b"a") == 0

    async def test_a_closed_index_says_so(self, index: Store[Index]) -> None:
        store = await index.open()
        await store.close()
        await store.close()
        for call in (store.size(), store.get(b"k"), store.put([(b"k", 1)], 1), store.sync()):
            with pytest.raises(StorageError, match="closed"):
                await call


def filed(number: int, member: str = "hk/a") -> Filed:
    """A request that says which it is."""
    return Filed(member, number, b"record %d of %s" % (number, member.encode()), b"plan %d" % number)


class TestRecords:
    async def test_what_was_filed_is_there_for_every_later_driver(self, records: Store[RecordStore]) -> None:
        store = await records.open()
        for number in (1, 2, 2**63 - 1):
            await store.file(filed(number), b"body")
        await store.finish("hk/a", 2, b"outcome")
        for _ in range(3):
            for number in (1, 2, 2**63 - 1):
                assert await store.find("hk/a", number) == filed(number)
                assert await store.body("hk/a", number) == b"body"
                assert await store.record(sha256(filed(number).record).digest()) == filed(number).record
            assert [await store.outcome("hk/a", number) for number in (1, 2, 3)] == [None, b"outcome", None]
            store = await records.open()

    async def test_members_and_numbers_are_told_apart(self, records: Store[RecordStore]) -> None:
        store = await records.open()
        await store.file(filed(1, "hk/a"), b"body")
        for member, number in (("hk/a", 2), ("gd/a", 1), ("hk/a-b", 1), ("hk/", 1)):
            assert await store.find(member, number) is None
            assert await store.body(member, number) is None
        assert await store.record(bytes(32)) is None

    async def test_requests_are_listed_in_order_from_any_of_them_on(self, records: Store[RecordStore]) -> None:
        store = await records.open()
        names = [("gd/z", 1), ("hk/a", 1), ("hk/a", 2), ("hk/a", 300), ("hk/a-b", 1), ("hk/b", 7)]
        for member, number in reversed(names):
            await store.file(filed(number, member), b"body")
            await store.finish(member, number, b"outcome")
        assert await store.names(("", 0), 99) == names
        assert await store.names(("", 0), 2) == names[:2]
        for at, name in enumerate(names):
            assert await store.names(name, 99) == names[at + 1 :]

    async def test_after_a_write_that_nobody_heard_of_nothing_is_written(self, records: Store[RecordStore]) -> None:
        store = await records.open()
        await store.file(filed(1), b"body")
        await cut_off(store.file(filed(2), b"body"))
        for write in (store.file(filed(3), b"body"), store.finish("hk/a", 1, b"outcome")):
            with pytest.raises(StoreFailed):
                await write
        assert await store.find("hk/a", 1) == filed(1)
        store = await records.open()
        assert await store.find("hk/a", 3) is None
        assert await store.outcome("hk/a", 1) is None

    async def test_a_closed_store_says_so(self, records: Store[RecordStore]) -> None:
        store = await records.open()
        await store.close()
        await store.close()
        for call in (
            store.find("hk/a", 1),
            store.file(filed(1), b"body"),
            store.names(("", 0), 1),
            store.record(bytes(32)),
        ):
            with pytest.raises(StorageError):
                await call
