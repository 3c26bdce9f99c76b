"""Group commit, back-pressure, deduplication and the heartbeat of one log (promises 1, 6 and 8)."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial

import pytest

from log.client.audit import audit_index
from log.errors import StoreFailed, Unavailable
from log.formats.family import DEDUP_KEY, X509
from log.sequencer.loop import Sequencer, SequencerConfig
from log.sequencer.pool import PoolLimits
from log.storage import Batch, DataStore, HeadStore, Index
from log.storage.memory import MemoryData
from tests.support.engine import BLOBS, CHAIN, Engine, MemoryPlace, certificate, until
from tests.support.faults import Faults


class GatedPlace(MemoryPlace):
    """A memory place whose commits wait at a gate, and whose index may answer late or wrongly."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()
        self.commits = 0
        self.lies: dict[bytes, int] = {}
        self.slow: asyncio.Event | None = None
        self.looking = 0

    def open(self, faults: Faults) -> tuple[DataStore, HeadStore, Index]:
        _, heads, index = super().open(faults)
        return GatedData(self), heads, OddIndex(self, index)


class GatedData(MemoryData):
    def __init__(self, place: GatedPlace) -> None:
        super().__init__(place.disk)
        self._place = place

    async def commit(self, batch: Batch) -> None:
        self._place.commits += 1
        await self._place.gate.wait()
        await super().commit(batch)


class OddIndex:
    """An index that tells lies when asked to, and waits when asked to."""

    def __init__(self, place: GatedPlace, index: Index) -> None:
        self._place = place
        self._index = index

    async def size(self) -> int:
        return await self._index.size()

    async def get(self, key: bytes) -> int | None:
        found = self._place.lies.get(key, await self._index.get(key))
        self._place.looking += 1
        if self._place.slow is not None:
            await self._place.slow.wait()
        return found

    async def put(self, keys: Sequence[tuple[bytes, int]], size: int) -> None:
        await self._index.put(keys, size)

    async def sync(self) -> None:
        await self._index.sync()

    async def close(self) -> None:
        await self._index.close()


@pytest.fixture
async def place() -> GatedPlace:
    return GatedPlace()


@pytest.fixture
async def engine(place: GatedPlace) -> AsyncIterator[Engine]:
    limits = PoolLimits(pool_entries=10, batch_entries=4)
    engine = Engine(place, config=SequencerConfig(linger_ms=0, pool=limits))
    await engine.create()
    await engine.start()
    yield engine
    place.gate.set()
    await engine.audited()
    await engine.stop()


async def turns(count: int = 20) -> None:
    """Let the other tasks run."""
    for _ in range(count):
        await asyncio.sleep(0)


# --- group commit and back-pressure -----------------------------------------------------------------------


async def test_a_lone_submission_is_committed_at_once(engine: Engine, place: GatedPlace) -> None:
    for done in (1, 2, 3):
        await engine.submit_some(1)
        assert place.commits == done


async def test_what_comes_during_a_commit_shares_the_next(engine: Engine, place: GatedPlace) -> None:
    place.gate.clear()
    lone = asyncio.create_task(engine.submit_some(1))
    await turns()
    rest = asyncio.create_task(engine.submit_some(4))
    await turns()
    assert place.commits == 1
    place.gate.set()
    await asyncio.gather(lone, rest)
    assert [commit.entries for commit in engine.commits] == [1, 4]


async def test_no_commit_takes_more_than_its_bounds(engine: Engine, place: GatedPlace) -> None:
    await engine.submit_some(9)
    assert [commit.entries for commit in engine.commits] == [4, 4, 1]


async def test_under_load_commits_start_no_closer_than_the_linger_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fake clock stands still, so a crowded commit waits its whole 20 ms, which here end when more has come."""
    lingered: list[float] = []
    over, sleep = asyncio.Event(), asyncio.sleep

    async def linger(seconds: float) -> None:
        if seconds:
            lingered.append(seconds)
            await over.wait()
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", linger)
    engine = Engine(MemoryPlace(), config=SequencerConfig(linger_ms=20))
    await engine.create()
    await engine.start()
    await engine.submit_some(1)
    first = asyncio.create_task(engine.submit_some(2))
    await until(lambda: lingered)
    second = asyncio.create_task(engine.submit_some(3))
    await until(lambda: engine.running.sequencer.waiting == 5)
    over.set()
    await asyncio.gather(first, second)
    assert [commit.entries for commit in engine.commits] == [1, 5]
    assert lingered == [0.02]
    await engine.audited()
    await engine.stop()


async def test_a_full_pool_answers_and_loses_nothing(engine: Engine, place: GatedPlace) -> None:
    place.gate.clear()
    held = asyncio.create_task(engine.submit_some(4))
    await turns()
    waiting = asyncio.create_task(engine.submit_some(10))
    await turns()
    assert await engine.submit_some(3) == [None] * 3
    assert [getattr(error, "reason", "") for error in engine.refused] == ["pool-full"] * 3
    assert isinstance(engine.refused[0], Unavailable)
    assert engine.refused[0].retry_after_s > 0
    assert engine.running.sequencer.waiting == 10
    place.gate.set()
    answers = [*await held, *await waiting]
    assert None not in answers
    assert engine.size == 14, "a refused submission leaves the tree as it was"


async def test_the_pool_is_bounded_in_bytes_of_leaves_and_side_files() -> None:
    part = certificate(0)
    size = len(part.head) + len(part.tail) + sum(len(data) for _, data in BLOBS)
    place = GatedPlace()
    limits = PoolLimits(pool_bytes=2 * size)
    engine = Engine(place, config=SequencerConfig(linger_ms=0, pool=limits))
    await engine.create()
    await engine.start()
    place.gate.clear()
    held = asyncio.create_task(engine.submit_some(1))
    await turns()
    waiting = asyncio.create_task(engine.submit_some(2))
    await turns()
    assert await engine.submit_some(1) == [None]
    place.gate.set()
    assert None not in [*await held, *await waiting]
    await engine.audited()
    await engine.stop()


async def test_stop_commits_and_answers_what_was_taken(engine: Engine, place: GatedPlace) -> None:
    place.gate.clear()
    held = asyncio.create_task(engine.submit_some(6))
    await turns()
    stopping = asyncio.create_task(engine.running.sequencer.stop())
    await turns()
    assert await engine.submit_some(1) == [None]
    place.gate.set()
    await stopping
    assert None not in await held
    assert engine.size == 6


async def test_a_submitter_that_goes_away_takes_nobody_with_it(engine: Engine, place: GatedPlace) -> None:
    place.gate.clear()
    gone = asyncio.create_task(engine.submit(1))
    stays = asyncio.create_task(engine.submit(1))
    await turns()
    gone.cancel()
    await turns()
    place.gate.set()
    assert await stays is not None
    assert engine.size == 1


async def test_nothing_is_acknowledged_before_its_head_stands_in_the_head_store(
    engine: Engine, place: GatedPlace
) -> None:
    before = dict(place.disk.heads)
    place.gate.clear()
    held = asyncio.create_task(engine.submit_some(1))
    await turns()
    assert not held.done()
    assert place.disk.heads == before
    place.gate.set()
    await held
    assert place.disk.heads != before


# --- deduplication ----------------------------------------------------------------------------------------


async def test_the_same_submission_at_one_time_is_one_entry(engine: Engine, place: GatedPlace) -> None:
    place.gate.clear()
    tasks = [asyncio.create_task(engine.submit(7)) for _ in range(5)]
    await turns()
    late = asyncio.create_task(engine.submit(7))  # while the first five are being committed
    await turns()
    place.gate.set()
    answers = {await task for task in [*tasks, late]}
    assert len(answers) == 1
    assert None not in answers
    assert engine.size == 1


async def test_a_committed_entry_whose_index_row_is_under_way_is_found(engine: Engine, place: GatedPlace) -> None:
    first = asyncio.create_task(engine.submit(7))
    await until(lambda: engine.size)
    assert not first.done(), "published, not yet indexed"
    second = asyncio.create_task(engine.submit(7))
    assert await first == await second
    assert engine.size == 1


async def test_look_ups_that_wait_add_no_entry_twice(engine: Engine, place: GatedPlace) -> None:
    """Two look-ups that both began before either added the entry; the second ends after the first's commit."""
    place.slow = slow = asyncio.Event()
    first = asyncio.create_task(engine.submit(7))
    await turns()
    place.slow = later = asyncio.Event()
    second = asyncio.create_task(engine.submit(7))
    await turns()
    place.slow = None
    slow.set()
    one = await first
    later.set()
    assert await second == one
    assert engine.size == 1


async def test_a_store_that_fails_during_a_look_up_leaves_nobody_waiting(place: GatedPlace) -> None:
    engine = Engine(place)
    await engine.create()
    await engine.start()
    place.slow = slow = asyncio.Event()
    waiting = asyncio.create_task(engine.submit(7))
    await turns()
    engine.running.sequencer._fail(StoreFailed("told by the test"))
    slow.set()
    assert await asyncio.wait_for(waiting, 60) is None
    place.slow = None
    await engine.restart()
    await engine.audited()
    await engine.stop()


async def test_the_same_certificate_by_another_chain_gets_the_first_answer(engine: Engine) -> None:
    placed = await engine.submit(3)
    other = X509.parts(X509.place(certificate(3), 0, 1).row)[0]
    longer = type(other)(other.head, (64).to_bytes(2) + CHAIN[0] * 2)
    assert X509.dedup(longer) == X509.dedup(other)
    assert await engine.running.submit(longer, BLOBS) == placed
    assert engine.size == 1


async def test_the_first_answer_is_given_again_after_a_crash(engine: Engine) -> None:
    first = await engine.submit_some(6)
    await engine.restart()
    assert [await engine.submit(number) for number in range(6)] == first
    assert engine.size == 6


async def test_a_lost_index_is_rebuilt_from_the_entries(engine: Engine, place: GatedPlace) -> None:
    first = await engine.submit_some(6)
    await engine.crash()
    place.disk.index.clear()
    place.disk.index_size = 0
    await engine.start()
    assert engine.stores is not None
    assert await audit_index(engine.running, X509, engine.stores[2]) == 18
    assert [await engine.submit(number) for number in range(6)] == first


async def test_an_index_of_a_longer_log_is_not_believed(engine: Engine, place: GatedPlace) -> None:
    await engine.submit_some(2)
    await engine.crash()
    lost = certificate(50)
    place.disk.index[DEDUP_KEY + X509.dedup(lost)] = 2  # of a future that a restored copy does not have
    place.disk.index_size = 9
    await engine.start()
    placed = await engine.submit(60)
    assert placed is not None
    assert placed.index == 2
    placed = await engine.submit(50)
    assert placed is not None
    assert placed.index == 3


async def test_what_is_logged_after_such_an_index_is_found_again_after_a_crash(place: GatedPlace) -> None:
    engine = Engine(place, config=SequencerConfig(linger_ms=0, index_sync_ms=10**9))
    await engine.create()
    await engine.start()
    await engine.submit_some(2)
    await engine.stop()
    place.disk.index_size = 9
    await engine.start()
    await engine.submit_some(2)
    await engine.restart()  # before the index was synced
    for number in range(4):
        await engine.submit(number)
    assert engine.size == 4
    await engine.audited()
    await engine.stop()


@pytest.mark.parametrize("index", [0, 4, 5, 2**39])
async def test_a_false_hit_hands_out_no_other_entrys_place(engine: Engine, place: GatedPlace, index: int) -> None:
    await engine.submit_some(5)
    place.lies[DEDUP_KEY + X509.dedup(certificate(77))] = index
    placed = await engine.submit(77)
    assert placed is not None
    assert placed.index == 5


async def test_a_duplicate_is_answered_when_nothing_new_is_taken(engine: Engine) -> None:
    first = await engine.submit_some(3)
    engine.gate.full = True
    assert [await engine.submit(number) for number in range(3)] == first
    assert await engine.submit_some(1) == [None]
    engine.gate.full = False


# --- the gate and the heartbeat ---------------------------------------------------------------------------


async def test_a_shut_gate_refuses_before_anything_is_written(engine: Engine, place: GatedPlace) -> None:
    await engine.submit_some(1)
    engine.gate.closed = True
    assert await engine.submit_some(2) == [None] * 2
    assert await engine.submit(0) is None, "an answer would be signed"
    assert place.commits == 1
    engine.gate.closed = False
    assert None not in await engine.submit_some(2)


async def test_a_gate_that_shuts_during_a_commit_refuses_it_and_the_log_goes_on(
    engine: Engine, place: GatedPlace
) -> None:
    place.gate.clear()
    held = asyncio.create_task(engine.submit_some(2))
    await turns()
    engine.gate.closed = True
    place.gate.set()
    assert await held == [None] * 2
    assert engine.running.sequencer.refused
    engine.gate.closed = False
    assert None not in await engine.submit_some(2)
    assert engine.size == 2
    assert not engine.running.sequencer.refused


def _younger(engine: Engine, than_ms: int) -> bool:
    return engine.running.published.head.timestamp_ms > than_ms


async def test_an_idle_log_signs_its_head_anew_when_a_heartbeat_is_due(place: GatedPlace) -> None:
    engine = Engine(place, config=SequencerConfig(heartbeat_ms=10))
    await engine.create()
    await engine.start()
    await engine.submit_some(1)
    head = engine.running.published.head
    for _ in range(3):
        engine.clock.advance(10)
        await until(partial(_younger, engine, head.timestamp_ms))
        assert engine.running.published.head.timestamp_ms == engine.clock.wall_ms()
        assert engine.running.published.head.root == head.root
        head = engine.running.published.head
    await engine.audited()
    await engine.stop()


async def test_a_bug_in_the_sequencer_ends_it_and_says_so() -> None:
    class Broken(MemoryPlace):
        def open(self, faults: Faults) -> tuple[DataStore, HeadStore, Index]:
            _, heads, index = super().open(faults)

            class Data(MemoryData):
                async def commit(self, batch: Batch) -> None:
                    raise ZeroDivisionError

            return Data(self.disk), heads, index

    engine = Engine(Broken())
    await engine.create()
    await engine.start()
    assert await engine.submit_some(2) == [None] * 2
    sequencer: Sequencer = engine.running.sequencer
    assert sequencer.failed is engine.failures[0]
    await engine.crash()
