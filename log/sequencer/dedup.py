"""Was this submitted before? Exact answers from a rebuildable index.

The index maps the keys of `Family.keys` to entry indexes and carries the size it has reached; what it lacks
is replayed from the entries. A hit is compared with the stored entry, so a wrong index can cost a duplicate
entry but can never hand out another entry's place.
"""

from log.errors import Malformed, StateRefused, StorageError
from log.formats.family import DEDUP_KEY, Family
from log.sequencer.pool import Placement
from log.storage import DataStore, Index

REPLAY_ENTRIES = 4096  # entries read at once while catching up


async def catch_up(family: Family, data: DataStore, index: Index, size: int) -> int:
    """Replay entries into `index` until it has reached `size`; return how many were replayed."""
    reached = await index.size()
    if reached > size:
        # The index ran ahead of a data store that was set back: its extra rows point beyond `size`, where
        # readers stop, and new entries overwrite what they point at.
        await index.put([], size)
        await index.sync()  # or what is put from here on could be lost behind the old, larger size
        return 0
    for start in range(reached, size, REPLAY_ENTRIES):
        end = min(start + REPLAY_ENTRIES, size)
        rows = await data.entries(start, end)
        try:
            keys = [(key, start + offset) for offset, row in enumerate(rows) for key in family.keys(row)]
        except Malformed as error:
            raise StateRefused(f"data store: a row from {start} to {end} is no entry") from error
        await index.put(keys, end)
    await index.sync()
    return size - reached


async def find(family: Family, data: DataStore, index: Index, key: bytes, size: int) -> Placement | None:
    """Return where the entry with dedup key `key` stands below `size`, or None."""
    found = await index.get(DEDUP_KEY + key)
    if found is None or found >= size:
        return None
    (row,) = await data.entries(found, found + 1)
    try:
        parts, timestamp_ms, _ = family.parts(row)
    except Malformed as error:  # the store's fault, not the submitter's
        raise StorageError(f"data store: entry {found} is no entry") from error
    if family.dedup(parts) != key:
        return None
    return Placement(found, timestamp_ms)
