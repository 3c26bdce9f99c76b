"""A whole log rebuilt from its entries and compared with what it serves (design.md section 4, promise 9).

From the entries alone follow every leaf hash, every hash tile and the root. An audit walks them once:

1. each row reads as an entry, stands at the index that it names, is no younger than the head, and every
   issuer fingerprint in it resolves to bytes with that SHA-256; a deep audit derives the TBS of each
   precertificate entry anew,
2. the leaf hashes are those of level 0,
3. the tiles they complete are those of the levels above, and at the end the partial ones too,
4. the root is the one that the head's signature covers.

What is wrong first ends it, as a `Mismatch` that names the byte; `NotFound` or `StorageError` come through
where something is not there at all. The memory it takes does not grow with the log.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import groupby
from typing import NoReturn, Protocol

from log.certs import certificate, precert
from log.client import LogReader, prover
from log.crypto.notes import Opened, open_note
from log.errors import LogError, Malformed, Mismatch
from log.formats.checkpoint import Checkpoint
from log.formats.family import X509, Family
from log.formats.note import KeyType, VKey
from log.formats.tile_leaf import PRECERT_ENTRY, TileLeaf
from log.merkle import proof, tiles
from log.merkle.hashing import HASH_SIZE
from log.merkle.tiles import TILE_WIDTH, Edge

SHOWN = 8  # bytes that a Mismatch shows of either side

_FOREVER_MS = 2**64 - 1  # the latest time that an entry can name


@dataclass(frozen=True, slots=True)
class Limits:
    """What an audit holds in memory."""

    tiles_per_read: int = 4  # native tiles of 256 rows
    issuers: int = 1_000  # issuer certificates kept after they have resolved


@dataclass(frozen=True, slots=True)
class Report:
    """What was found in order."""

    origin: str
    size: int  # of the signed head
    root: bytes  # of the signed head
    timestamp_ms: int | None  # no entry is younger; None when the head's signatures tell no time
    entries: int  # rows read and rebuilt: all of them
    bytes: int  # in those rows
    issuers: int  # issuer certificates that resolved; anew after every limits.issuers of them


class IndexReader(Protocol):
    """What an audit asks of an index; `log.storage.Index` has it."""

    async def size(self) -> int:
        """Return the tree size that the index has reached."""

    async def get(self, key: bytes) -> int | None:
        """Return the entry index under a key."""


async def audit(
    reader: LogReader,
    family: Family,
    vkeys: Sequence[VKey],
    *,
    deep: bool = False,
    limits: Limits | None = None,
) -> Report:
    """Check the log behind `reader` at its newest checkpoint, which one of `vkeys` must have signed.

    `deep` also derives the TBS of each precertificate entry from the precertificate and its chain. Raises
    `Mismatch` for the first wrong byte, `BadSignature` or `Malformed` for a checkpoint without trust.
    """
    opened = open_note(await reader.checkpoint(), vkeys)
    walk = _Walk(reader, family, opened, deep=deep and family.name == X509.name, limits=limits or Limits())
    return await walk.run()


async def audit_index(reader: LogReader, family: Family, index: IndexReader) -> int:
    """Check every key of every entry that the index has reached; return how many keys those are.

    Run after `audit`: the rows are taken as they come. Where two entries share a key, the
    index may name either. Raises `Mismatch` with the key as the place.
    """
    size = await index.size()
    count = 0
    step = Limits().tiles_per_read * TILE_WIDTH
    for start in range(0, size, step):
        for at, row in enumerate(await reader.entries(start, min(start + step, size), size), start):
            for key in family.keys(row):
                found = await index.get(key)
                if found != at and not await _shared(reader, family, key, found, size):
                    raise Mismatch(f"index/{key.hex()}", 0, str(at), str(found))
                count += 1
    return count


async def _shared(reader: LogReader, family: Family, key: bytes, found: int | None, size: int) -> bool:
    """Tell whether the entry at `found` has the key as well."""
    if found is None or not 0 <= found < size:
        return False
    [row] = await reader.entries(found, found + 1, size)
    return key in family.keys(row)


class _Walk:
    """One audit under way."""

    def __init__(self, reader: LogReader, family: Family, opened: Opened, *, deep: bool, limits: Limits) -> None:
        self._reader = reader
        self._family = family
        self._head = opened.checkpoint
        self._size = opened.checkpoint.size
        self._newest_ms = _time_ms(opened)
        self._deep = deep
        self._limits = limits
        self._issuers: dict[bytes, bytes] = {}  # SHA-256 -> certificate; at most limits.issuers and one chain
        self._chains: set[bytes] = set()  # rows of fingerprints, end to end, that are all in _issuers
        self._resolved = 0

    async def run(self) -> Report:
        edge = Edge()
        total = 0
        step = self._limits.tiles_per_read * TILE_WIDTH
        for start in range(0, self._size, step):
            end = min(start + step, self._size)
            rows = await self._reader.entries(start, end, self._size)
            if len(rows) != end - start:
                raise Malformed(f"{len(rows)} entries in the place of {end - start}")
            total += sum(map(len, rows))
            leaf_hashes = await self._leaf_hashes(start, rows)
            await self._compare_leaves(start, rows, b"".join(leaf_hashes))
            edge, completed = edge.grow(leaf_hashes)
            for level, run in groupby(completed, key=lambda tile: tile[0]):
                if level > 0:
                    numbers, data = zip(*((n, tile) for _, n, tile in run), strict=True)
                    await self._compare(level, numbers[0] * TILE_WIDTH, b"".join(data))
        for level, hashes in enumerate(edge.levels):
            if level > 0 and hashes:
                await self._compare(level, self._size >> tiles.TILE_HEIGHT * level & -TILE_WIDTH, hashes)
        if edge.root() != self._head.root:
            rebuilt = Checkpoint(self._head.origin, self._size, edge.root(), self._head.extensions)
            _differ("checkpoint", 0, rebuilt.encode(), self._head.encode())
        return Report(
            self._head.origin,
            self._size,
            self._head.root,
            self._newest_ms,
            edge.size,
            total,
            self._resolved,
        )

    # --- entries ------------------------------------------------------------------------------------------

    async def _leaf_hashes(self, start: int, rows: Sequence[bytes]) -> list[bytes]:
        """Check rows one by one and return their leaf hashes. Most of an audit's time goes here."""
        measure, chains = self._family.measure, self._chains
        newest_ms = _FOREVER_MS if self._newest_ms is None else self._newest_ms
        hashes = []
        for index, row in enumerate(rows, start):
            try:
                leaf, timestamp_ms, named, chain = measure(row)
            except Malformed as e:
                where, offset = self._place(start, rows, index)
                raise Mismatch(where, offset, "an entry", row[:SHOWN].hex()) from e
            if timestamp_ms > newest_ms or (named != index and named is not None):
                parts, _, _ = self._family.parts(row)
                placed = self._family.place(parts, index, min(timestamp_ms, newest_ms))
                _differ(*self._place(start, rows, index), placed.row, row)
            if chain not in chains:
                await self._resolve(chain)
            if self._deep:
                self._derive(start, rows, index)
            hashes.append(sha256(b"\x00" + leaf).digest())  # RFC 6962 §2.1
        return hashes

    async def _resolve(self, chain: bytes) -> None:
        """Read the certificates of a new chain; static-ct-api: every fingerprint of an entry resolves."""
        if len(self._issuers) >= self._limits.issuers or len(self._chains) >= self._limits.issuers:
            self._issuers.clear()
            self._chains.clear()
        for at in range(0, len(chain), HASH_SIZE):
            digest = chain[at : at + HASH_SIZE]
            if digest in self._issuers:
                continue
            found = await self._reader.blob(digest)
            if found is None:
                raise Mismatch(f"issuer/{digest.hex()}", 0, "a certificate", "nothing")
            if sha256(found).digest() != digest:
                raise Mismatch(f"issuer/{digest.hex()}", 0, f"SHA-256 {digest.hex()}", sha256(found).hexdigest())
            self._issuers[digest] = found
            self._resolved += 1
        self._chains.add(chain)

    def _derive(self, start: int, rows: Sequence[bytes], index: int) -> None:
        row = rows[index - start]
        try:
            derived = _derived(row, self._issuers)
        except Malformed as e:
            where, offset = self._place(start, rows, index)
            raise Mismatch(where, offset, "a precertificate that leads to its entry", str(e)) from e
        if derived != row:
            _differ(*self._place(start, rows, index), derived, row)

    def _place(self, start: int, rows: Sequence[bytes], index: int) -> tuple[str, int]:
        """Return the native tile that an entry stands in, and the offset of its first byte there."""
        n = index // TILE_WIDTH
        width = min(TILE_WIDTH, self._size - n * TILE_WIDTH)
        join = self._family.join
        row = rows[index - start]
        prefix = len(join([row])) - len(row)  # an entry bundle has a length before each entry
        before = rows[n * TILE_WIDTH - start : index - start]
        return f"tile/{self._family.tile}/{tiles.numbered(n, width)}", len(join(before)) + prefix

    # --- hashes -------------------------------------------------------------------------------------------

    async def _compare_leaves(self, start: int, rows: Sequence[bytes], expected: bytes) -> None:
        found = await self._hashes(0, start, len(expected))
        if found == expected:
            return
        index = start + _first_difference(expected, found) // HASH_SIZE
        at = HASH_SIZE * (index - start)
        # Entry and tile contradict each other. The one that leads to the signed root is right.
        served = found[at : at + HASH_SIZE]
        if await self._vouched(index, served):
            rebuilt = expected[at : at + HASH_SIZE]
            where, offset = self._place(start, rows, index)
            raise Mismatch(where, offset, f"an entry with leaf hash {served.hex()}", rebuilt.hex())
        self._differ_in_tile(0, start, expected, found)

    async def _compare(self, level: int, start: int, expected: bytes) -> None:
        found = await self._hashes(level, start, len(expected))
        if found != expected:
            self._differ_in_tile(level, start, expected, found)

    async def _hashes(self, level: int, start: int, length: int) -> bytes:
        found = await self._reader.hashes(level, start, start + length // HASH_SIZE, self._size)
        if len(found) != length:
            raise Malformed(f"{len(found)} bytes of hashes of level {level} in the place of {length}")
        return found

    async def _vouched(self, index: int, leaf: bytes) -> bool:
        try:
            path = await prover.inclusion(self._reader, index, self._size)
            proof.verify_inclusion(index, self._size, leaf, path, self._head.root)
        except LogError:  # BadProof, or a tile of the path is not there: nobody vouches for the leaf
            return False
        return True

    def _differ_in_tile(self, level: int, start: int, expected: bytes, found: bytes) -> NoReturn:
        """Raise `Mismatch`; `start` hashes of the level, in full tiles, come before the ones given."""
        n = (start + _first_difference(expected, found) // HASH_SIZE) // TILE_WIDTH
        tile = tiles.tile_at(level, n, self._size)
        if tile is None:
            raise AssertionError("a hash outside the tree was compared")
        first = (n * TILE_WIDTH - start) * HASH_SIZE
        _differ(tile.path(), 0, expected[first:], found[first:])


def _time_ms(opened: Opened) -> int | None:
    """Return the last millisecond that the log's own signatures allow; a 0x04 line tells whole seconds."""
    times = [
        line.timestamp_ms + (999 if line.vkey.type is KeyType.COSIGNATURE else 0)
        for line in opened.verified
        if line.timestamp_ms is not None
    ]
    return min(times, default=None)


def _derived(row: bytes, certificates: Mapping[bytes, bytes]) -> bytes:
    """Return the row as it follows from its own precertificate and chain; any other row as it is."""
    leaf = TileLeaf.parse(row)
    if leaf.entry_type != PRECERT_ENTRY:
        return row
    issuers = [certificate.parse(certificates[digest]) for digest in leaf.fingerprints]
    key_hash, tbs = precert.defang(certificate.parse(leaf.precert), issuers)
    return replace(leaf, issuer_key_hash=key_hash, signed_entry=tbs).encode()


def _first_difference(expected: bytes, found: bytes) -> int:
    pairs = zip(expected, found, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(expected), len(found)))


def _differ(where: str, base: int, expected: bytes, found: bytes) -> NoReturn:
    """Raise `Mismatch` for two byte strings that differ; `base` is the offset of their first byte."""
    at = _first_difference(expected, found)
    raise Mismatch(where, base + at, expected[at : at + SHOWN].hex(), found[at : at + SHOWN].hex())
