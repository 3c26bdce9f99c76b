"""A lost log rebuilt from a copy (design.md §6): under the same origin at exactly the head it signed last, or not.

A log that went on from anything smaller would sign another tree at a size that it has signed already. So the head store
decides: only when it is there, and the copy reaches exactly its head, is anything written, and nothing is signed here.
"""

from collections.abc import Sequence
from hashlib import sha256

from log.client import LogReader
from log.client.audit import Report, audit
from log.errors import BadProof, Malformed, Mismatch
from log.formats.family import Family
from log.formats.note import VKey
from log.merkle.frontier import Frontier
from log.merkle.hashing import leaf_hash
from log.merkle.tiles import TILE_WIDTH, Edge
from log.sequencer.dedup import catch_up
from log.sequencer.head import Head, Published
from log.service.tree import StoredTree
from log.storage import Batch, DataStore, Index
from log.storage.edge import load_edge

CHUNK_ENTRIES = 16 * TILE_WIDTH  # read, written and dropped at a time


def why_closed(head: Head | None, size: int, root: bytes) -> str:
    """Return why a copy of this tree does not let the log go on, or "" when it does. `head` is the head store's."""
    if head is None:
        return "the head store holds no head of this log: nobody can say what it signed last"
    if size < head.size:
        return f"the copy ends at {size}, and the log has signed {head.size}: {head.size - size} entries are in no copy"
    if size > head.size:
        return f"the copy holds {size}, and the head store says {head.size}: the head store was set back"
    if root != head.root:
        return f"at size {size} the copy has another root than the head store: two trees were signed"
    return ""


async def rebuild(
    source: LogReader, family: Family, vkeys: Sequence[VKey], head: Head, data: DataStore, index: Index
) -> Report:
    """Fill empty stores up to `head`. Raises `BadProof` where the source does not lead to it, `Mismatch` after it.

    1. rows, the tiles they complete and the issuers they name, chunk by chunk; the root must be the head's
    2. the index, by the replay of a node that starts
    3. an audit of what was stored: the second path
    """
    edge = Edge()
    known: set[bytes] = set()
    for start in range(0, head.size, CHUNK_ENTRIES):
        end = min(start + CHUNK_ENTRIES, head.size)
        rows = await source.entries(start, end, head.size)
        if len(rows) != end - start:
            raise Malformed(f"{len(rows)} entries where {end - start} must be, from {start} on")
        blobs = []
        for digest in sorted({each for row in rows for each in family.fingerprints(row)} - known):
            issuer = await source.blob(digest)
            if issuer is None or sha256(issuer).digest() != digest:
                has = "nothing" if issuer is None else sha256(issuer).hexdigest()
                raise Mismatch(f"issuer/{digest.hex()}", 0, f"SHA-256 {digest.hex()}", has)
            blobs.append((digest, issuer))
            known.add(digest)
        edge, tiles = edge.grow([leaf_hash(family.leaf_input(row)) for row in rows])
        await data.commit(Batch(start, tuple(rows), tuple(tiles), tuple(blobs)))
    if edge.root() != head.root:
        raise BadProof(f"the entries of the copy do not lead to the signed root of size {head.size}")
    await catch_up(family, data, index, head.size)
    stored = Published(head, await load_edge(family, data, head.size), Frontier.empty())
    return await audit(StoredTree(data, lambda: stored), family, vkeys)
