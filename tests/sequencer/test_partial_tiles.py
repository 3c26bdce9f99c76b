"""Only completed tiles are stored, and partial ones of every size can be had (promise 7; contract, Stores)."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from log.client import prover
from log.crypto.notes import open_head
from log.formats.family import X509, Parts
from log.merkle.hashing import leaf_hash
from log.merkle.proof import verify_consistency
from log.merkle.tiles import TILE_WIDTH, Tile, tile_at
from log.service.log import Log
from log.storage import Batch
from log.storage.memory import MemoryData
from tests.support.engine import Engine, FolderPlace, MemoryPlace, certificate, log_signers

HEADS = 1_000


@dataclass(slots=True)
class TileReader:
    """Reads a log as the tiles of one size, as any HTTP client does."""

    hosted: Log

    async def hashes(self, level: int, start: int, end: int, size: int) -> bytes:
        tile = tile_at(level, start // TILE_WIDTH, size)
        assert isinstance(tile, Tile)
        served = await self.hosted.tiles.hash_tile(tile.level, tile.n, tile.width)
        assert len(served) == 32 * tile.width
        first = tile.n * TILE_WIDTH
        return served[32 * (start - first) : 32 * (end - first)]


async def test_each_of_a_thousand_heads_verifies_from_the_partial_tiles_of_its_size() -> None:
    engine = Engine(MemoryPlace())
    await engine.create()
    hosted = await engine.start()
    notes = []
    for _ in range(HEADS):
        await engine.submit_some(1)
        notes.append(await hosted.checkpoint())
    assert len(engine.commits) == HEADS
    vkeys = [signer.vkey for signer in log_signers()]
    reader = TileReader(hosted)
    for size, note in enumerate(notes, 1):
        opened = open_head(note, vkeys)
        assert opened.checkpoint.size == size
        assert await prover.root(reader, size) == opened.checkpoint.root  # type: ignore[arg-type]
        if size % 7:  # the entries behind the hashes, now and then
            continue
        width = (size - 1) % TILE_WIDTH + 1
        rows = X509.split(await hosted.tiles.entry_tile("data", (size - 1) // TILE_WIDTH, width))
        assert len(rows) == width
        newest = leaf_hash(X509.leaf_input(rows[-1]))
        assert await reader.hashes(0, size - 1, size, size) == newest
    old = open_head(notes[699], vkeys).checkpoint
    new = open_head(notes[-1], vkeys).checkpoint
    proof = await prover.consistency(reader, 700, HEADS)  # type: ignore[arg-type]
    verify_consistency(700, HEADS, old.root, new.root, proof)
    await engine.audited()
    await engine.stop()


async def test_only_full_tiles_are_ever_stored() -> None:
    engine = Engine(MemoryPlace())
    await engine.create()
    await engine.start()
    for count in (200, 55, 1, 1, 300):
        await engine.submit_some(count)
        disk = engine.place.disk  # type: ignore[attr-defined]
        assert sorted(disk.tiles) == [(0, n) for n in range(engine.size // TILE_WIDTH)]
    await engine.audited()
    await engine.stop()


def _large(number: int) -> Parts:
    return certificate(number, 1_470)


async def test_a_thousand_single_commits_write_at_most_three_times_their_entries(tmp_path: Path) -> None:
    """LevelDB writes an entry to its log and once more to a table. Files that it has dropped count too."""
    engine = Engine(FolderPlace(tmp_path), make=_large)
    await engine.create()
    hosted = await engine.start()
    folder = tmp_path / "data"
    largest: dict[str, int] = {}

    def measure() -> None:
        for file in folder.iterdir():
            with suppress(FileNotFoundError):  # LevelDB's own thread drops a log that it has written to a table
                largest[file.name] = max(largest.get(file.name, 0), file.stat().st_size)

    for _ in range(HEADS):
        await engine.submit_some(1)
        measure()
    rows = await hosted.entries(0, HEADS, HEADS)
    assert len(engine.commits) == HEADS
    assert sum(largest.values()) <= 3 * sum(map(len, rows))
    await engine.audited()
    await engine.stop()


async def test_what_a_chain_repeats_is_written_once() -> None:
    blobs: list[Sequence[tuple[bytes, bytes]]] = []

    class Place(MemoryPlace):
        def open(self, faults):  # type: ignore[no-untyped-def]
            _, heads, index = super().open(faults)

            class Data(MemoryData):
                async def commit(self, batch: Batch) -> None:
                    blobs.append(batch.blobs)
                    await super().commit(batch)

            return Data(self.disk), heads, index

    engine = Engine(Place())
    await engine.create()
    await engine.start()
    for _ in range(3):
        await engine.submit_some(2)
    await engine.audited()
    assert [len(each) for each in blobs] == [1, 0, 0]
    await engine.stop()
