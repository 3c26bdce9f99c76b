"""What a log keeps, behind four narrow protocols told apart by trust (design.md section 4, style.md 4.5).

    store       holds                                if lost                if its holder turns on us
    DataStore   entries, full hash tiles, issuers    the log is lost        the log can stop, not lie
    HeadStore   signed heads, witness state          must not start again   the log can fork, once
    Index       where a leaf or certificate stands   rebuilt from entries   one wrong answer, then found out
    Records     what members sent, and its answers   nobody can show who    a request is taken twice, and seen so:
                                                     signed for an entry    entries bear member, seq and record

Nothing above this package knows which driver it has. Rules that every driver keeps, and that the one contract
suite in tests/storage checks:

- A write that returns is durable, except `Index.put`, which `Index.sync` makes so.
- After any write that failed, or whose outcome nobody heard (a cancelled one too), the driver is *poisoned*:
  each later write raises `StoreFailed` and touches nothing (contract.md, "Stores"). Reads go on.
- Only errors of `log.errors` come out: `StoreMissing`, `StoreLocked`, `StoreFailed`, plain `StorageError` for
  a read that failed, `StateRefused` for a store that is not there or is not what it should be.
- One task writes at a time; reads may come at any time. `close` waits for what runs, and may be called twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from log.merkle.hashing import HASH_SIZE
from log.merkle.tiles import TILE_BYTES, TILE_HEIGHT, TILE_WIDTH


@dataclass(frozen=True, slots=True)
class Batch:
    """What one commit adds: new entries and whatever they complete."""

    start: int  # index of the first entry; 0 <= start
    entries: tuple[bytes, ...]  # stored rows for the indices start, start + 1, …
    tiles: tuple[tuple[int, int, bytes], ...]  # (level, n, 8,192 bytes): hash tiles that became full
    blobs: tuple[tuple[bytes, bytes], ...] = ()  # (SHA-256 of the bytes, bytes), e.g. issuer certificates

    def __post_init__(self) -> None:
        if self.start < 0 or any(len(data) != TILE_BYTES for _, _, data in self.tiles):
            raise AssertionError("a batch starts at an index and holds full tiles only")
        if any(len(digest) != HASH_SIZE for digest, _ in self.blobs):
            raise AssertionError("a blob is named by its SHA-256")


class DataStore(Protocol):
    """Entries, full hash tiles and blobs of one log. Not trusted: what it returns is checked by a head."""

    async def commit(self, batch: Batch) -> None:
        """Store the batch; durable on return. An entry already there is overwritten: it was never published.

        Whether a failed commit left all, part or nothing of the batch is open; `truncate` clears it away.
        Raises StoreFailed.
        """

    async def entries(self, start: int, end: int) -> list[bytes]:
        """Return the rows of the indices start <= i < end. Raises StoreMissing when one is absent."""

    async def hashes(self, level: int, start: int, end: int) -> bytes:
        """Return the hashes start <= i < end of a tile level, 32 bytes each, out of full tiles only.

        Raises StoreMissing when a tile is absent, as one is that is not yet full.
        """

    async def blob(self, digest: bytes) -> bytes | None:
        """Return the bytes whose SHA-256 is `digest` (32 bytes), or None. The caller hashes them."""

    async def truncate(self, size: int) -> None:
        """Drop the entries from index `size` on, and the tiles that are not full at `size`; blobs stay.

        Durable on return, writes nothing when nothing lies beyond, and may be repeated after a failure by a
        newly opened driver. Raises StoreFailed.
        """

    async def close(self) -> None:
        """Let go of the store; what was committed stays."""


class Swap(Enum):
    """The outcome of a compare-and-swap."""

    OK = "ok"  # the new value is durable
    STALE = "stale"  # another value stood there; nothing was written
    UNKNOWN = "unknown"  # asked to write, but nobody can say whether it happened; the process must end


class HeadStore(Protocol):
    """A map of names to small values with compare-and-swap. Trusted: a head counts because it stands here."""

    async def load(self, name: str) -> bytes | None:
        """Return the value, or None when the name was never written. Raises StorageError."""

    async def replace(self, name: str, old: bytes | None, new: bytes) -> Swap:
        """Put `new` in the place of exactly `old`; with `old` None only create.

        Raises StoreFailed when it could not be done and surely nothing was written. After that, as after
        UNKNOWN, the driver is poisoned.
        """

    async def names(self, prefix: str) -> list[str]:
        """Return the names that begin with `prefix`, sorted by code point."""

    async def close(self) -> None:
        """Let go of the store."""


class Index(Protocol):
    """Keys to entry indices, with the tree size they cover. Can be thrown away and rebuilt from entries."""

    async def size(self) -> int:
        """Return the size given with the newest put; after a crash one that `sync` made durable; 0 for a new index."""

    async def get(self, key: bytes) -> int | None:
        """Return the index put last under the key, or None. The caller compares the entry found there."""

    async def put(self, keys: Sequence[tuple[bytes, int]], size: int) -> None:
        """Add keys together with the size they bring the index to.

        Not durable before `sync`. After a crash the size covers no key that is lost; keys beyond it may be there.
        Keys are not empty and do not begin with a zero byte. Raises StoreFailed.
        """

    async def sync(self) -> None:
        """Make all puts so far durable; writes nothing when they are. Raises StoreFailed."""

    async def close(self) -> None:
        """Let go of the index; does not sync."""


@dataclass(frozen=True, slots=True)
class Filed:
    """A member's request: its submission record, and what was decided about it before anything of it was logged."""

    member: str  # <side>/<id>
    seq: int  # 1 <= seq < 2**63
    record: bytes  # `log.formats.submission`
    plan: bytes


class RecordStore(Protocol):
    """The requests that members sent to one log, by member and seq. Not trusted: a record verifies by itself."""

    async def file(self, filed: Filed, body: bytes) -> None:
        """Store a request with its body; durable on return. The caller has seen that its member and seq are free.

        Raises StoreFailed.
        """

    async def find(self, member: str, seq: int) -> Filed | None:
        """Return the request with this number, or None."""

    async def body(self, member: str, seq: int) -> bytes | None:
        """Return the body of the request with this number, as it was given, or None."""

    async def finish(self, member: str, seq: int, outcome: bytes) -> None:
        """Store what a request that was filed came to; durable on return. Raises StoreFailed."""

    async def outcome(self, member: str, seq: int) -> bytes | None:
        """Return what a request came to; None for one that did not, or has not yet."""

    async def record(self, digest: bytes) -> bytes | None:
        """Return the record with this SHA-256 (32 bytes), or None."""

    async def names(self, after: tuple[str, int], limit: int) -> list[tuple[str, int]]:
        """Return member and seq of up to `limit` requests behind this one, ascending; `("", 0)` begins."""

    async def close(self) -> None:
        """Let go of the store."""


def check_range(start: int, end: int) -> None:
    """Raise AssertionError unless 0 <= start <= end: a caller that asks otherwise has a bug."""
    if not 0 <= start <= end:
        raise AssertionError(f"not a range: {start} to {end}")


def check_key(key: bytes) -> None:
    """Raise AssertionError for an index key that drivers keep for themselves."""
    if not key or key[0] == 0:
        raise AssertionError("an index key is not empty and does not begin with a zero byte")


def complete_tiles(level: int, size: int) -> int:
    """Return how many tiles of a level are full in a tree of `size` entries: tile n is when n is below it."""
    return size >> TILE_HEIGHT * (level + 1)


def tile_runs(start: int, end: int) -> list[tuple[int, slice]]:
    """Cut the hashes start <= i < end of a level into (tile number, byte slice inside that tile)."""
    runs = []
    at = start
    while at < end:
        n, first = divmod(at, TILE_WIDTH)
        last = min(TILE_WIDTH, first + end - at)
        runs.append((n, slice(first * HASH_SIZE, last * HASH_SIZE)))
        at = (n + 1) * TILE_WIDTH
    return runs
