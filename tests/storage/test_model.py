"""Any sequence of commits, truncations and reopenings, against a dictionary: both data stores."""

import asyncio
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from log.errors import StoreFailed, StoreMissing
from log.merkle.tiles import completed
from log.storage import Batch, DataStore
from log.storage.memory import Disk, MemoryData
from tests.storage.engines import Store, data_store
from tests.support.faults import Faults

LEVELS = 3
FIRST = 256**3 - 700  # the first entry; soon after it tiles of three levels become full


class DataMachine(RuleBasedStateMachine):
    """A data store and a model of it; each change is made to both, each invariant compares them."""

    engine = ""  # set by the subclasses

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = TemporaryDirectory()
        self.store: Store[DataStore] = self.make()
        self.driver = self.runner.run(self.store.open())
        self.size = FIRST
        self.rows: dict[int, bytes] = {}
        self.tiles: dict[tuple[int, int], bytes] = {}
        self.blobs: dict[bytes, bytes] = {}
        self.writes = 0

    def make(self) -> Store[DataStore]:
        return data_store(self.engine, Path(self.folder.name) / "data")

    def batch(self, count: int) -> Batch:
        """New entries, tiles and a blob, with bytes that no other batch has."""
        self.writes += 1
        salt = b"%d " % self.writes
        rows = tuple(salt + b"%d" % i for i in range(count))
        tiles = tuple(
            (level, n, sha256(salt + b"%d %d" % (level, n)).digest() * 256)
            for level in range(LEVELS)
            for n in completed(level, self.size, self.size + count)
        )
        return Batch(self.size, rows, tiles, ((sha256(salt).digest(), salt),))

    @rule(count=st.sampled_from([0, 1, 2, 5, 90, 255, 256, 700]))
    def commit(self, count: int) -> None:
        batch = self.batch(count)
        self.runner.run(self.driver.commit(batch))
        self.rows.update(enumerate(batch.entries, self.size))
        self.tiles.update({(level, n): data for level, n, data in batch.tiles})
        self.blobs.update(batch.blobs)
        self.size += count

    @rule(share=st.floats(0, 1))
    def truncate(self, share: float) -> None:
        self.size = FIRST + round(share * (self.size - FIRST))
        self.runner.run(self.driver.truncate(self.size))
        self.rows = {i: row for i, row in self.rows.items() if i < self.size}
        self.tiles = {
            (level, n): data for (level, n), data in self.tiles.items() if (n + 1) * 256 ** (level + 1) <= self.size
        }

    @rule()
    def reopen(self) -> None:
        self.driver = self.runner.run(self.store.open())

    @rule(cut=st.floats(0, 1))
    def read_a_range(self, cut: float) -> None:
        start = FIRST + round(cut * (self.size - FIRST))
        expected = [self.rows[i] for i in range(start, self.size)]
        assert self.runner.run(self.driver.entries(start, self.size)) == expected

    @invariant()
    def the_ends_agree(self) -> None:
        for index in {FIRST, self.size - 1, self.size, self.size + 300}:
            if index in self.rows:
                assert self.runner.run(self.driver.entries(index, index + 1)) == [self.rows[index]]
            else:
                with pytest.raises(StoreMissing):
                    self.runner.run(self.driver.entries(index, index + 1))

    @invariant()
    def every_tile_agrees(self) -> None:
        for level in range(LEVELS):
            for n in completed(level, FIRST, self.size + 700):
                if (level, n) in self.tiles:
                    got = self.runner.run(self.driver.hashes(level, 256 * n, 256 * n + 256))
                    assert got == self.tiles[level, n]
                else:
                    with pytest.raises(StoreMissing):
                        self.runner.run(self.driver.hashes(level, 256 * n, 256 * n + 1))

    @invariant()
    def every_blob_agrees(self) -> None:
        for digest, blob in self.blobs.items():
            assert self.runner.run(self.driver.blob(digest)) == blob

    def teardown(self) -> None:
        self.runner.run(self.store.close())
        self.runner.close()
        self.folder.cleanup()


class LevelDataMachine(DataMachine):
    """LevelDB in a folder."""

    engine = "leveldb"


class MemoryDataMachine(DataMachine):
    """An object store in memory, whose commits and truncations also break off at any put."""

    def make(self) -> Store[DataStore]:
        self.disk = Disk()
        return Store(lambda: MemoryData(self.disk))

    @rule(count=st.integers(1, 600), at=st.integers(1, 600), written=st.booleans())
    def crash_in_a_commit(self, count: int, at: int, written: bool) -> None:
        faults = Faults(at, written=written)
        batch = self.batch(count)
        try:
            self.runner.run(MemoryData(self.disk, faults.carry).commit(batch))
        except StoreFailed:
            assert faults.hit
        self.blobs.update((digest, blob) for digest, blob in batch.blobs if digest in self.disk.blobs)
        self.recover()

    @rule(share=st.floats(0, 1), at=st.integers(1, 600), written=st.booleans())
    def crash_in_a_truncation(self, share: float, at: int, written: bool) -> None:
        size = FIRST + round(share * (self.size - FIRST))
        with suppress(StoreFailed):
            self.runner.run(MemoryData(self.disk, Faults(at, written=written).carry).truncate(size))
        self.size = size
        self.recover()

    def recover(self) -> None:
        self.reopen()
        self.truncate(1)


@pytest.mark.parametrize("machine", [LevelDataMachine, MemoryDataMachine])
def test_any_sequence_of_calls_agrees_with_a_dictionary(machine: type[DataMachine]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=25,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
