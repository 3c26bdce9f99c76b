"""Evidence that rests on more than two heads (monitoring.md §5.4): each object is checked here before it is kept.

E6  a leaf of our own rebuilding is later than the head over it
E7  a witness's lines stand on two trees that exclude each other
E8  what is served does not lead to a signed root: not proven by it, but on record, with the place and the bytes
"""

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import Awaitable, Callable, Iterator, Sequence
from hashlib import sha256
from itertools import groupby

from log.client import LogReader, prover
from log.errors import Malformed, NotFound, Unreachable
from log.evidence import cosigned, objects, prefix, promises, served
from log.evidence.heads import Head, Kind
from log.formats.note import VKey
from log.merkle.hashing import leaf_hash, split_hashes
from log.merkle.proof import verify_inclusion
from log.merkle.tiles import TILE_WIDTH, numbered
from monitor.limits import Limits
from monitor.logs import FollowedLog, read_head
from monitor.outcome import Finding, Outcome, alert_of
from monitor.rebuild import Latest
from monitor.sources import UNREAD, Further, first, nobody
from monitor.store import AGREED, REFUTED, Evidence, Store, Vouched
from monitor.tree_tiles import Shown, TreeTiles, tiles_of

TIME_LIE, WITNESS_LIED, DATA = "time-lie", "witness-lied", "data"  # codes of findings
Path = Callable[[], Awaitable[Sequence[bytes]]]  # makes an inclusion proof


class Charges:
    """Makes and keeps them. Shared by all who follow logs."""

    def __init__(
        self, store: Store, limits: Limits, now_ms: Callable[[], int], vantage: str, further: Further = nobody
    ) -> None:
        """`vantage` is where we look from; `further` are others who may have a log's hash tiles."""
        self._store = store
        self._limits = limits
        self._now_ms = now_ms
        self._vantage = vantage
        self._further = further
        self._borne_out: dict[str, set[str]] = {}  # by origin: pairs that were seen to be one history after all

    # --- E6 --------------------------------------------------------------------------------------------------

    async def time_lie(
        self, followed: FollowedLog, reader: LogReader, head: Head, late: Latest, rebuilt: Path | None = None
    ) -> Finding:
        """Convict a head over a leaf that is later; one of the errors of `sources.UNREAD` when no hash tiles do.

        Where nobody has those, `rebuilt` makes the inclusion proof in another way.
        """

        async def path(source: LogReader) -> list[bytes]:
            hashes = await prover.inclusion(source, late.index, head.size)
            verify_inclusion(late.index, head.size, leaf_hash(late.leaf), hashes, head.root)
            return hashes

        try:
            hashes: Sequence[bytes] = await first([reader, *self._further(followed.origin)], path)
        except UNREAD:
            if rebuilt is None:
                raise
            hashes = await rebuilt()
        data = promises.time_lie(followed.origin, followed.vkeys, head, late.leaf, late.index, hashes)
        promises.check(data, lambda raw: read_head(raw, followed)[0], followed.vkeys)
        text = f"signed size {head.size} at {head.time_ms}, over entry {late.index} of {late.time_ms} ms"
        kind, about = Kind.TIME_LIE, note_digest(head)
        return await self._keep(kind, followed.origin, data, about, Outcome.PROVEN, TIME_LIE, text)

    # --- E7 --------------------------------------------------------------------------------------------------

    async def witnesses(self, followed: FollowedLog, reader: LogReader) -> list[Finding]:
        """Convict every witness that cosigned two trees which exclude each other. Of each pair it is said once."""
        findings = []
        for witness, one, two in await asyncio.to_thread(self._pairs, followed.origin):
            try:
                hashes = await self._between(followed, reader, one, two)
            except UNREAD:
                continue  # the larger tree's nodes are nowhere now: the lines are kept, and it is tried again
            if hashes is None:
                self._borne_out.setdefault(followed.origin, set()).add(_pair(one, two))
                continue
            data = cosigned.witness_lied(witness, (one.note, two.note), hashes)
            cosigned.check(data, witness)
            text = f"cosigned two histories of {followed.origin} that exclude each other, sizes {one.size}, {two.size}"
            kind, about = Kind.COSIGNED_BOTH, _pair(one, two)
            finding = await self._keep(
                kind, witness.name, data, about, Outcome.PROVEN, WITNESS_LIED, text, followed.origin
            )
            findings.append(finding)
        return findings

    def _pairs(self, origin: str) -> list[tuple[VKey, Vouched, Vouched]]:
        """Return, smaller first, what a witness vouched for that may exclude each other and is not charged yet."""
        found, one_history = [], set[str]()
        for name, kept in groupby(self._store.vouchings(origin), key=lambda row: row[0]):
            witness = VKey.parse(name)
            charged = self._store.charges(witness.name, Kind.COSIGNED_BOTH)
            for one, two in apart([(vouched, state) for _, vouched, state in kept]):
                about = _pair(one, two)
                if about in self._borne_out.get(origin, ()):
                    one_history.add(about)
                elif about not in charged:
                    found.append((witness, one, two))
        self._borne_out[origin] = one_history  # of those that are still kept
        return found[: self._limits.rivals]

    async def _between(
        self, followed: FollowedLog, reader: LogReader, one: Vouched, two: Vouched
    ) -> list[bytes] | None:
        """Return the hashes by which the larger tree is seen to begin otherwise, None where it does not.

        Of one size none are needed.
        """
        if one.size == two.size:
            return []

        async def hashes(source: LogReader) -> list[bytes] | None:
            left, right = prefix.spans(one.size, two.size)
            read = await prover.read_spans(source, [*left, *right], two.size)
            found = prefix.gather(one.size, two.size, read)
            verdict = prefix.compare(one.size, two.size, one.root, two.root, found)
            return None if verdict is prefix.Prefix.SAME else found

        return await first([reader, *self._further(followed.origin)], hashes)

    # --- E8 --------------------------------------------------------------------------------------------------

    async def unreproducible(self, followed: FollowedLog, reader: LogReader, head: Head, begin: int) -> bytes | None:
        """Keep what is served from leaf `begin` on and does not lead to a head; return the id of the object.

        None where it was not found again, or there are too many. Of one head the first place is kept.
        """
        known = await asyncio.to_thread(self._store.charged, followed.origin, Kind.UNREPRODUCIBLE, note_digest(head))
        if known is not None:
            return known
        try:
            found = await _spoiled(followed, reader, head, begin, begin + self._limits.look_entries)
        except Unreachable:
            return None
        if found is None:
            return None
        place, data = found
        return await self._keep_served(followed, head, place, data, f"{note_digest(head)} {place}")

    async def wrong_tile(self, followed: FollowedLog, head: Head, place: str, data: bytes) -> bytes | None:
        """Keep a hash tile that is not that of our tree; return the id of the object. Of one tile there is one."""
        about = f"{place} {sha256(data).hexdigest()}"
        known = await asyncio.to_thread(self._store.charged, followed.origin, Kind.UNREPRODUCIBLE, about)
        return known if known is not None else await self._keep_served(followed, head, place, data, about)

    async def _keep_served(
        self, followed: FollowedLog, head: Head, place: str, data: bytes, about: str
    ) -> bytes | None:
        made = served.unreproducible(followed.origin, followed.vkeys, head, place, data, [self._vantage])
        served.check(made, lambda raw: read_head(raw, followed)[0])
        kept = Evidence(objects.identify(made), Kind.UNREPRODUCIBLE, followed.origin, made, self._now_ms())
        new = await asyncio.to_thread(self._store.charge, kept, about, self._limits.unproven_per_log)
        return kept.id if new else None

    async def _keep(
        self, kind: Kind, subject: str, data: bytes, about: str, outcome: Outcome, code: str, text: str, other: str = ""
    ) -> Finding:
        kept = Evidence(objects.identify(data), kind, subject, data, self._now_ms())
        text = f"{text} ({kind.value}, evidence {kept.id.hex()[:16]})"
        finding = Finding(outcome, subject, code, text, other, kept.id.hex())
        limit = self._limits.evidence_per_log
        await asyncio.to_thread(self._store.charge, kept, about, limit, [alert_of(finding)])
        return finding


def note_digest(head: Head) -> str:
    """Return what a signing of a tree is known by: SHA-256 of the note, in hex."""
    return sha256(head.note).hexdigest()


def _pair(one: Vouched, two: Vouched) -> str:
    return f"{one.size}:{one.root.hex()}-{two.size}:{two.root.hex()}"


def apart(kept: Sequence[tuple[Vouched, str]]) -> Iterator[tuple[Vouched, Vouched]]:
    """Return pairs, smaller first, of which one is not on our branch; `kept` is in order of size and root.

    Of n heads there are fewer than 2n pairs, and every head that excludes another one is in one. Of one size it is
    paired with its neighbour. A refuted one is paired with the next larger tree of ours, which never begins with it, or
    where there is none with the largest smaller one: if it begins with that, it begins with all smaller ones.
    """
    ours = [vouched for vouched, state in kept if state == AGREED]
    sizes = [vouched.size for vouched in ours]
    for i, (vouched, state) in enumerate(kept):
        if i and kept[i - 1][0].size == vouched.size:
            yield kept[i - 1][0], vouched
        if state != REFUTED:
            continue
        larger, smaller = bisect_right(sizes, vouched.size), bisect_left(sizes, vouched.size)
        if larger < len(ours):
            yield vouched, ours[larger]
        elif smaller:
            yield ours[smaller - 1], vouched


async def _spoiled(followed: FollowedLog, reader: LogReader, head: Head, begin: int, stop: int) -> Shown | None:
    """Return the first place from leaf `begin` on, and the bytes there, that do not lead to a signed root.

    Further than leaf `stop` no look has read. None where nothing of it is wrong now.

    Entries are held against their hashes as far as these lead to the root. Where these do not, and no entry is seen to
    be wrong, it is a hash tile that is shown.
    """
    family, size = followed.family, head.size
    if not size:
        return "checkpoint", head.raw
    tree: TreeTiles | Shown | None = None
    shown: Shown | None = None
    for n in range(begin // TILE_WIDTH, -(-min(size, stop) // TILE_WIDTH)):
        start, end = n * TILE_WIDTH, min(size, (n + 1) * TILE_WIDTH)
        place = f"tile/{family.tile}/{numbered(n, end - start)}"
        rows, leaves = list[bytes](), list[bytes]()
        try:
            rows = [] if followed.unread else await reader.entries(start, end, size)
            leaves = [leaf_hash(family.leaf_input(row)) for row in rows]
        except (Malformed, NotFound):
            return place, b"".join(rows)
        if len(leaves) != end - start and not followed.unread:
            return place, b"".join(rows)
        if tree is None:
            tree = await tiles_of(reader, head)
        hashes = await tree.tile(0, n) if isinstance(tree, TreeTiles) else None
        if hashes is None:
            shown = shown or (tree.shown() if isinstance(tree, TreeTiles) else tree)
            if followed.unread:
                return shown
            continue
        for i, (leaf, said) in enumerate(zip(leaves, split_hashes(hashes), strict=False)):
            if leaf != said:
                return f"{place} entry {start + i}", rows[i]
    return shown
