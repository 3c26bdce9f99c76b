"""What a log serves: tiles, bundles, look-ups and proofs, never beyond what is published (promises 2 and 7)."""

import gzip
from collections.abc import AsyncIterator
from hashlib import sha256

import pytest

from log.errors import NotFound, StorageError
from log.formats.bundle import split_bundle
from log.formats.checkpoint import Checkpoint
from log.formats.event import event_entry
from log.formats.event_codes import Standing
from log.formats.family import EVENTS, LEAF_KEY, X509
from log.formats.logged_event import LoggedEvent
from log.formats.note import Note
from log.formats.tlog_proof import EntryExtra, TlogProof
from log.merkle.hashing import leaf_hash
from log.merkle.proof import verify_inclusion
from tests.support.engine import BLOBS, CHAIN, Engine, MemoryPlace
from tests.support.members import event

ENTRIES = 300


@pytest.fixture
async def place() -> MemoryPlace:
    return MemoryPlace()


@pytest.fixture
async def engine(place: MemoryPlace) -> AsyncIterator[Engine]:
    engine = Engine(place)
    await engine.create()
    await engine.start()
    await engine.submit_some(ENTRIES)
    yield engine
    await engine.stop()


async def rows(engine: Engine) -> list[bytes]:
    return await engine.running.entries(0, ENTRIES, ENTRIES)


async def test_tiles_hold_the_leaf_hashes_of_the_entries(engine: Engine) -> None:
    hashes = [leaf_hash(X509.leaf_input(row)) for row in await rows(engine)]
    for n, width in ((0, 256), (0, 1), (0, 255), (1, 44), (1, 7)):
        start = 256 * n
        assert await engine.running.tiles.hash_tile(0, n, width) == b"".join(hashes[start : start + width])
        data = await engine.running.tiles.entry_tile("data", n, width)
        assert X509.split(data) == (await rows(engine))[start : start + width]
        bundle = split_bundle(await engine.running.tiles.entry_tile("entries", n, width))
        assert [leaf_hash(leaf) for leaf in bundle] == hashes[start : start + width]


@pytest.mark.parametrize(
    ("level", "n", "width"), [(0, 1, 45), (0, 1, 256), (0, 2, 1), (1, 0, 2), (1, 0, 256), (2, 0, 1), (63, 0, 1)]
)
async def test_no_hash_tile_reaches_beyond_the_published_tree(engine: Engine, level: int, n: int, width: int) -> None:
    with pytest.raises(NotFound):
        await engine.running.tiles.hash_tile(level, n, width)


async def test_no_entry_tile_reaches_beyond_the_published_tree(engine: Engine) -> None:
    for kind in ("data", "entries"):
        with pytest.raises(NotFound):
            await engine.running.tiles.entry_tile(kind, 1, 45)
        with pytest.raises(NotFound):
            await engine.running.tiles.entry_tile_gzip(kind, 1)
    with pytest.raises(NotFound):
        await engine.running.tiles.entry_tile("names", 0, 1)


async def test_a_full_tile_is_compressed_once(engine: Engine) -> None:
    packed = await engine.running.tiles.entry_tile_gzip("data", 0)
    assert gzip.decompress(packed) == await engine.running.tiles.entry_tile("data", 0, 256)
    assert await engine.running.tiles.entry_tile_gzip("data", 0) is packed
    assert await engine.running.tiles.entry_tile_gzip("entries", 0) != packed


async def test_a_proof_by_leaf_hash_and_by_fingerprint_verifies(engine: Engine) -> None:
    row = (await rows(engine))[270]
    keys = X509.keys(row)
    leaf = next(key[1:] for key in keys if key[:1] == LEAF_KEY)
    fingerprint = next(key[1:] for key in keys if key[:1] == b"f")
    for asked in ({"leaf": leaf}, {"fingerprint": fingerprint}):
        found = TlogProof.parse(await engine.running.tlog_proof(**asked, newest=True))
        checkpoint = Checkpoint.parse(Note.parse(found.checkpoint).text)
        assert (found.index, checkpoint.size) == (270, ENTRIES)
        verify_inclusion(270, ENTRIES, leaf, found.hashes, checkpoint.root)
    with pytest.raises(NotFound):
        await engine.running.tlog_proof(leaf=b"\x01" * 32, newest=True)


async def test_an_index_that_lies_makes_nothing_appear(engine: Engine, place: MemoryPlace) -> None:
    await engine.crash()
    place.disk.index[LEAF_KEY + b"\x01" * 32] = 5
    place.disk.index[LEAF_KEY + b"\x02" * 32] = 5_000
    place.disk.index[LEAF_KEY + b"\x03" * 32] = 299  # in the tile that is not full
    await engine.start()
    for leaf in (b"\x01" * 32, b"\x02" * 32, b"\x03" * 32):
        with pytest.raises(NotFound):
            await engine.running.tlog_proof(leaf=leaf, newest=True)
        with pytest.raises(NotFound):
            await engine.running.index_of(leaf)
    for index, row in enumerate(await rows(engine)):
        assert await engine.running.index_of(leaf_hash(X509.leaf_input(row))) == index


async def test_issuers_are_served_by_their_digest(engine: Engine) -> None:
    assert await engine.running.blob(CHAIN[0]) == BLOBS[0][1]
    assert await engine.running.blob(bytes(32)) is None


async def test_a_spoilt_entry_is_the_stores_fault_and_not_the_submitters(engine: Engine, place: MemoryPlace) -> None:
    place.disk.entries[3] = b"\xff"
    assert await engine.submit(3) is None
    assert isinstance(engine.refused[-1], StorageError)


async def test_an_event_is_found_by_the_digest_of_its_signature() -> None:
    engine = Engine(MemoryPlace(), family=EVENTS)
    await engine.create()
    await engine.start()
    for number in range(3):
        logged = LoggedEvent(event(number), b"r" * 32, 1, number, Standing.NOT_LOGGED)
        await engine.running.submit(EVENTS.parts(event_entry(0, "hk/iam-smart", logged).encode())[0])
    proof = TlogProof.parse(await engine.running.event_proof(sha256(b"signature 1").digest(), newest=True))
    entry = EntryExtra.parse(proof.extra or b"").entry
    checkpoint = Checkpoint.parse(Note.parse(proof.checkpoint).text)
    assert entry.logged_event().event.sig_digest == sha256(b"signature 1").digest()
    verify_inclusion(proof.index, checkpoint.size, leaf_hash(entry.encode()), proof.hashes, checkpoint.root)
    with pytest.raises(NotFound):
        await engine.running.event_proof(sha256(b"signature 3").digest(), newest=True)
    await engine.stop()
