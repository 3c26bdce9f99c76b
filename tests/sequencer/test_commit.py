"""The order of writes, and that recovery is the normal path (design.md section 4, promises 1, 2 and 5)."""

import asyncio
import copy
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from log.errors import LogError, StateRefused, StorageError, StoreFailed, Unavailable
from log.formats.event import genesis_entry
from log.formats.family import GOVERNANCE, X509, Family, Parts
from log.merkle.tiles import Edge
from log.sequencer.commit import Committer, frontier_of
from log.sequencer.commit import Identity as SigningIdentity
from log.sequencer.plan import Submission, plan
from log.storage import Batch, DataStore, HeadStore, Swap
from log.storage.edge import load_edge
from log.storage.memory import Disk, MemoryData, MemoryHeads
from tests.support import rfc6962
from tests.support.engine import (
    BLOBS,
    ORIGIN,
    Engine,
    FakeClock,
    GateInHand,
    MemoryPlace,
    certificate,
    log_signers,
)

NAME = f"log/{ORIGIN}"


def submission(number: int) -> Submission:
    parts = certificate(number)
    return Submission(parts, X509.dedup(parts), BLOBS)


def committer(
    disk: Disk, data: DataStore | None = None, heads: HeadStore | None = None, clock: FakeClock | None = None
) -> Committer:
    """A committer on a disk, behind an open gate unless the stores say otherwise."""
    return Committer(
        X509,
        SigningIdentity(ORIGIN, log_signers()),
        data or MemoryData(disk),
        heads or MemoryHeads(disk),
        GateInHand(),
        clock or FakeClock(),
    )


async def recovered(
    disk: Disk, data: DataStore | None = None, heads: HeadStore | None = None, clock: FakeClock | None = None
) -> Committer:
    found = committer(disk, data, heads, clock)
    await found.recover()
    return found


async def new_disk(entries: int = 0) -> Disk:
    disk = Disk()
    await committer(disk).create()
    if entries:
        await (await recovered(disk)).commit([submission(i) for i in range(entries)])
    return disk


# --- the plan ---------------------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 200), min_size=1, max_size=4))
def test_plans_in_a_row_give_the_tree_of_all_their_leaves(counts: list[int]) -> None:
    edge, leaves, tiles = Edge(), [], {}
    number = 0
    for count in counts:
        submissions = [submission(i) for i in range(number, number + count)]
        planned = plan(X509, edge, submissions, 1000 + number)
        assert planned.batch.start == edge.size
        for index, row in enumerate(planned.batch.entries, edge.size):
            assert row == X509.place(certificate(index), index, 1000 + number).row
            leaves.append(X509.leaf_input(row))
        tiles.update({(level, n): data for level, n, data in planned.batch.tiles})
        edge, number = planned.edge, number + count
        assert planned.root == edge.root() == rfc6962.mth(leaves)
    assert sorted(n for level, n in tiles if level == 0) == list(range(number // 256))
    for n in range(number // 256):
        wanted = [rfc6962.mth([leaf]) for leaf in leaves[256 * n : 256 * n + 256]]
        assert tiles[0, n] == b"".join(wanted)


def test_a_blob_is_planned_once_and_not_again_when_it_is_stored() -> None:
    submissions = [submission(1), submission(2)]
    assert plan(X509, Edge(), submissions, 1).batch.blobs == BLOBS
    assert plan(X509, Edge(), submissions, 1, {BLOBS[0][0]}).batch.blobs == ()


@pytest.mark.parametrize("family", [X509, GOVERNANCE])
@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 511, 700])
async def test_edge_and_frontier_are_read_back_as_they_grew(family: Family, size: int) -> None:
    disk = Disk()
    make = certificate if family is X509 else _event
    edge = Edge()
    for start in range(0, size, 100):
        parts = [make(i) for i in range(start, min(start + 100, size))]
        planned = plan(family, edge, [Submission(p, family.dedup(p)) for p in parts], 5)
        await MemoryData(disk).commit(planned.batch)
        edge = planned.edge
    loaded = await load_edge(family, MemoryData(disk), size)
    assert loaded == edge
    assert frontier_of(loaded).root() == edge.root()
    assert frontier_of(loaded).size == size


def _event(number: int) -> Parts:
    return GOVERNANCE.parts(genesis_entry(0, b"test", number).encode())[0]


# --- the order of writes ----------------------------------------------------------------------------------


class Journal:
    """Writes down, in order, what the committer asks of its stores and gate."""

    def __init__(self, disk: Disk) -> None:
        self.steps: list[str] = []
        journal = self

        class Data(MemoryData):
            async def commit(self, batch: Batch) -> None:
                await super().commit(batch)
                journal.steps.append("data")

            async def entries(self, start: int, end: int) -> list[bytes]:
                journal.steps.append("read back")
                return await super().entries(start, end)

            async def truncate(self, size: int) -> None:
                await super().truncate(size)
                journal.steps.append("truncate")

        class Heads(MemoryHeads):
            async def replace(self, name: str, old: bytes | None, new: bytes) -> Swap:
                journal.steps.append("head")
                return await super().replace(name, old, new)

        class JournalGate(GateInHand):
            def permit(self, origin: str) -> None:
                journal.steps.append("gate")
                super().permit(origin)

        self.gate = JournalGate()
        self.data, self.heads = Data(disk), Heads(disk)
        self.committer = Committer(
            X509, SigningIdentity(ORIGIN, log_signers()), self.data, self.heads, self.gate, FakeClock()
        )


async def test_data_is_durable_and_read_back_before_the_gate_is_asked_and_the_head_swapped() -> None:
    journal = Journal(await new_disk())
    await journal.committer.recover()
    journal.steps.clear()
    await journal.committer.commit([submission(0)])
    assert journal.steps == ["gate", "truncate", "data", "read back", "gate", "head"]
    journal.steps.clear()
    await journal.committer.commit([submission(1)])
    assert journal.steps == ["gate", "data", "read back", "gate", "head"]


async def test_a_shut_gate_leaves_the_log_as_it_was() -> None:
    disk = await new_disk(2)
    journal = Journal(disk)
    await journal.committer.recover()
    before = copy.deepcopy(disk)
    journal.gate.closed = True
    with pytest.raises(Unavailable):
        await journal.committer.commit([submission(5)])
    assert (disk.entries, disk.tiles, disk.heads) == (before.entries, before.tiles, before.heads)
    assert journal.committer.published.head.size == 2
    journal.gate.closed = False
    await journal.committer.commit([submission(6)])
    assert journal.committer.published.head.size == 3


class WrongData(MemoryData):
    """Gives back another row than it took."""

    wrong = True

    def __init__(self, disk: Disk, row: bytes) -> None:
        super().__init__(disk)
        self._row = row

    async def commit(self, batch: Batch) -> None:
        await super().commit(replace(batch, entries=(*batch.entries[:-1], self._row)))


@pytest.mark.parametrize("row", [b"", b"\x00" * 40, X509.place(certificate(9), 0, 7).row])
async def test_rows_that_read_back_otherwise_are_never_signed(row: bytes) -> None:
    disk = await new_disk()
    found = committer(disk, WrongData(disk, row))
    await found.recover()
    head = disk.heads[NAME]
    with pytest.raises(StoreFailed):
        await found.commit([submission(0)])
    assert disk.heads[NAME] == head
    assert found.published.head.size == 0


async def test_of_two_processes_on_one_head_store_one_stops_and_no_second_head_leaves() -> None:
    disk = await new_disk(3)
    copied = copy.deepcopy(disk)
    copied.heads = disk.heads  # a copy of the data folder, the same head store
    clock = FakeClock()
    clock.advance(10)
    first, second = await recovered(disk, clock=clock), await recovered(copied, clock=clock)
    await first.commit([submission(10)])
    head = disk.heads[NAME]
    with pytest.raises(StateRefused):
        await second.commit([submission(11)])
    with pytest.raises(StateRefused):
        await second.heartbeat()
    assert disk.heads[NAME] == head
    assert second.published.head.size == 3


@pytest.mark.parametrize("written", [False, True])
async def test_a_swap_that_nobody_can_vouch_for_publishes_nothing(written: bool) -> None:
    class Unknown(MemoryHeads):
        async def replace(self, name: str, old: bytes | None, new: bytes) -> Swap:
            if written:
                await super().replace(name, old, new)
            return Swap.UNKNOWN

    disk = await new_disk()
    found = committer(disk, heads=Unknown(disk))
    await found.recover()
    with pytest.raises(StoreFailed):
        await found.commit([submission(0)])
    assert found.published.head.size == 0
    assert (await recovered(disk)).published.head.size == (1 if written else 0)


async def test_a_log_is_created_once() -> None:
    disk = await new_disk(1)
    with pytest.raises(StateRefused):
        await committer(disk).create()
    assert (await recovered(disk)).published.head.size == 1


# --- recovery ---------------------------------------------------------------------------------------------


async def test_a_head_store_without_head_is_refused_and_never_taken_for_a_new_log() -> None:
    with pytest.raises(StateRefused, match="no head"):
        await recovered(Disk())


async def test_the_first_commit_after_a_recovery_drops_what_no_head_covers() -> None:
    disk = await new_disk(250)
    edge = await load_edge(X509, MemoryData(disk), 250)
    lost = plan(X509, edge, [submission(i) for i in range(1000, 1010)], 9)
    await MemoryData(disk).commit(lost.batch)
    found = await recovered(disk)
    assert found.published.head.size == 250
    await found.commit([submission(250)])
    assert max(disk.entries) == 250
    assert disk.tiles == {}
    await found.commit([submission(i) for i in range(251, 262)])
    assert (0, 0) in disk.tiles


async def test_while_the_gate_is_shut_nothing_beyond_an_old_head_is_dropped() -> None:
    """A head store from an old copy makes history look like leavings: only a guard can tell."""
    disk = await new_disk(3)
    old = dict(disk.heads)
    await (await recovered(disk)).commit([submission(i) for i in range(3, 300)])
    disk.heads = old
    rows, tiles = dict(disk.entries), dict(disk.tiles)
    journal = Journal(disk)
    journal.gate.closed = True
    await journal.committer.recover()
    for _ in range(2):
        with pytest.raises(Unavailable):
            await journal.committer.commit([submission(1000)])
        with pytest.raises(Unavailable):
            await journal.committer.heartbeat()
    assert (disk.entries, disk.tiles, disk.heads) == (rows, tiles, old)


def _lose_row(disk: Disk) -> None:
    del disk.entries[299]


def _lose_tile(disk: Disk) -> None:
    disk.tiles.clear()


def _change_row(disk: Disk) -> None:
    disk.entries[299] = X509.place(certificate(9), 299, 7).row


def _spoil_row(disk: Disk) -> None:
    disk.entries[299] = b"\xff"


def _change_tile(disk: Disk) -> None:
    disk.tiles[0, 0] = bytes(32) + disk.tiles[0, 0][32:]


def _older(disk: Disk) -> None:
    disk.entries = {i: row for i, row in disk.entries.items() if i < 100}
    disk.tiles = {}


def _spoil_head(disk: Disk) -> None:
    disk.heads[NAME] = disk.heads[NAME].replace(b"\n300\n", b"\n301\n")


def _unsign_head(disk: Disk) -> None:
    disk.heads[NAME] = b"\n".join(disk.heads[NAME].split(b"\n")[:-2]) + b"\n"


def _untime_head(disk: Disk) -> None:
    disk.heads[NAME] = b" 1" + disk.heads[NAME]


@pytest.mark.parametrize(
    "damage",
    [
        _lose_row,
        _lose_tile,
        _change_row,
        _spoil_row,
        _change_tile,
        _older,
        _spoil_head,
        _unsign_head,
        _untime_head,
    ],
)
async def test_data_that_do_not_reproduce_the_signed_head_are_refused(damage: Callable[[Disk], None]) -> None:
    disk = await new_disk(300)
    damage(disk)
    with pytest.raises(StateRefused):
        await recovered(disk)


# --- time -------------------------------------------------------------------------------------------------


async def test_head_times_rise_strictly_when_the_clock_stands_still() -> None:
    found = await recovered(await new_disk())
    times = [found.published.head.timestamp_ms]
    for number in range(3):
        times.append((await found.commit([submission(number)]))[0].head.timestamp_ms)
        times.append((await found.heartbeat()).head.timestamp_ms)
    assert times == sorted(set(times))


async def test_no_leaf_is_younger_than_its_head() -> None:
    disk = await new_disk()
    clock = FakeClock()
    found = await recovered(disk, clock=clock)
    for number in range(3):
        clock.advance(7)
        published, _ = await found.commit([submission(number)])
        _, timestamp_ms, _ = X509.parts(disk.entries[number])
        assert timestamp_ms == published.head.timestamp_ms == clock.wall_ms()


async def test_a_clock_set_back_by_less_than_a_second_is_bridged() -> None:
    clock = FakeClock()
    found = await recovered(await new_disk(1), clock=clock)
    last = found.published.head.timestamp_ms
    clock.jump(last - 999 - clock.wall_ms())
    assert (await found.heartbeat()).head.timestamp_ms == last + 1
    clock.advance(1)
    assert (await found.commit([submission(3)]))[0].head.timestamp_ms == last + 2


async def test_a_clock_set_back_further_stops_signing_until_past_the_last_head() -> None:
    clock = FakeClock()
    disk = await new_disk(1)
    found = await recovered(disk, clock=clock)
    last = found.published.head.timestamp_ms
    clock.jump(last - 5_000 - clock.wall_ms())
    for wall_ms in (last - 5_000, last - 1_000, last - 500, last):
        clock.jump(wall_ms - clock.wall_ms())
        with pytest.raises(Unavailable, match="behind"):
            await found.heartbeat()
        with pytest.raises(Unavailable, match="behind"):
            await found.commit([submission(3)])
        assert len(disk.entries) == 1
    clock.jump(1)
    assert (await found.heartbeat()).head.timestamp_ms == last + 1


async def test_a_time_taken_before_the_clock_was_set_back_is_not_signed() -> None:
    clock = FakeClock()

    class Slow(MemoryData):
        async def commit(self, batch: Batch) -> None:
            await super().commit(batch)
            clock.jump(-3_600_000)

    disk = await new_disk(1)
    found = await recovered(disk, data=Slow(disk), clock=clock)
    clock.jump(3_600_000)  # an hour ahead, for the length of one write
    with pytest.raises(Unavailable):
        await found.commit([submission(3)])
    clock.advance(5)
    assert (await found.heartbeat()).head.timestamp_ms == clock.wall_ms()


# --- the store's own troubles -----------------------------------------------------------------------------


async def test_a_store_that_cannot_be_read_is_not_taken_for_an_empty_one() -> None:
    class Unreadable(MemoryHeads):
        async def load(self, name: str) -> bytes | None:
            raise StorageError("unreadable")

    disk = await new_disk(1)
    with pytest.raises(StorageError):
        await recovered(disk, heads=Unreadable(disk))


async def test_reads_never_go_beyond_the_published_size() -> None:
    """While a commit is under way its rows lie in the store, and nobody sees them."""
    place = MemoryPlace()
    engine = Engine(place)
    await engine.create()
    hosted = await engine.start()
    await engine.submit_some(3)
    seen: list[int] = []

    async def watch() -> None:
        while not done.is_set():
            seen.append(len(place.disk.entries) - hosted.size)
            with pytest.raises(LogError):
                await hosted.entries(0, hosted.size + 1, hosted.size + 1)
            with pytest.raises(LogError):
                await hosted.tiles.hash_tile(0, 0, hosted.size + 1)
            with pytest.raises(LogError):
                await hosted.tiles.entry_tile("data", 0, hosted.size + 1)
            await asyncio.sleep(0)

    done = asyncio.Event()
    watcher = asyncio.create_task(watch())
    await engine.submit_some(2)
    done.set()
    await watcher
    assert max(seen) > 0, "the watcher never looked during a commit"
    await engine.audited()
    await engine.stop()
