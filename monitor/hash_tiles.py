"""Does a log serve the hash tiles of the tree that its entries lead to? (monitoring.md §6, rows 14 and 15)

Following needs no hash tile, so a wrong one would be noticed by nobody but those who are refused a proof. Each check
reads the incomplete tile of every level, which must fold to our own frontier, and some full tiles of level 0, each of
which must fold to its hash in the tile above; in time, all of them. What was wrong is read again until it is right,
over restarts too: it is on record as E8. A tile that came whole and is another one is told of at once. One that is not
there, or not whole, may have been lost on the way: it is on record when it was so twice in a row, and an alert when
`in_a_row` times.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import suppress

from log.client import LogReader
from log.errors import LogError, Malformed, Unreachable
from log.evidence.heads import Head, Kind
from log.formats import jcs
from log.merkle.frontier import Frontier
from log.merkle.tiles import TILE_WIDTH, parse_tile, tile_at
from monitor.charges import Charges
from monitor.limits import Limits
from monitor.logs import FollowedLog, read_head
from monitor.outcome import HASHES, HASHES_LOST, Finding, Outcome
from monitor.store import Store
from monitor.tree_tiles import Place, TreeTiles, edges


class HashTiles:
    """Those of one log. One task at a time calls `check`."""

    def __init__(
        self, followed: FollowedLog, reader: LogReader, store: Store, charges: Charges, limits: Limits
    ) -> None:
        self._log = followed
        self._reader = reader
        self._store = store
        self._charges = charges
        self._limits = limits
        self._next = 0  # number of the full tile of level 0 that is read next
        self._wrong: set[Place] | None = None  # read again each time; None before the first check
        self._lost: frozenset[Place] = frozenset()  # of these, what did not come whole at the last check

    async def check(self) -> list[Finding]:
        """Read some; say when one is not the tree's."""
        origin = self._log.origin
        verified = await asyncio.to_thread(self._store.verified, origin)
        if verified is None or not verified.head.size:
            return []
        if self._wrong is None:
            self._wrong = set(await asyncio.to_thread(self._on_record))
        head = verified.head
        tree = TreeTiles(self._reader, Frontier.decode(head.size, verified.frontier))
        full = head.size // TILE_WIDTH
        end = min(full, self._next + self._limits.hash_tiles)
        places = [*edges(head.size), *self._wrong, *((0, n) for n in range(self._next, end))]
        try:
            unsure = {at for at in places if await tree.tile(*at) is None}  # wrong, or below one that is
        except Unreachable as e:
            return [Finding(Outcome.UNREACHED, origin, "tiles", str(e))]
        before, self._lost = self._lost, frozenset(tree.lost)
        if not tree.wrong and not tree.lost:
            self._wrong, self._next = unsure, end
            return []
        if self._wrong.isdisjoint(unsure) and not await self._serves(head):
            return []  # it may have gone over to another tree: a look says so, and the next check waits for its end
        self._wrong = unsure
        findings = []
        if tree.wrong:
            text = "serves {} otherwise than its entries have it"
            findings.append(await self._found(head, HASHES, text, tree.wrong))
        if tree.lost:
            on_record = not before.isdisjoint(tree.lost)
            findings.append(await self._found(head, HASHES_LOST, "does not serve {}", tree.lost, on_record=on_record))
        return findings

    async def _found(
        self, head: Head, code: str, text: str, tiles: Mapping[Place, bytes], *, on_record: bool = True
    ) -> Finding:
        (place, data), *others = [(tile_at(*at, head.size), data) for at, data in tiles.items()]
        if place is None:
            raise AssertionError("a tile beyond the tree was read")
        kept = await self._charges.wrong_tile(self._log, head, place.path(), data) if on_record else None
        text = text.format(f"{place.path()}{f' and {len(others)} more' if others else ''}")
        return Finding(Outcome.UNVERIFIED, self._log.origin, code, text, evidence="" if kept is None else kept.hex())

    async def _serves(self, head: Head) -> bool:
        """Say whether this is still the tree that the log shows."""
        try:
            shown, _ = read_head(await self._reader.checkpoint(), self._log)
        except LogError:
            return False
        return (shown.size, shown.root) == (head.size, head.root)

    def _on_record(self) -> Iterator[Place]:
        """Return the hash tiles that were wrong once."""
        for kept in self._store.evidence(self._log.origin):
            if kept.kind is not Kind.UNREPRODUCIBLE:
                continue
            value = jcs.parse(kept.object)
            for path in str(value["place"]).split() if isinstance(value, dict) else []:
                match path.split("/", 2):
                    case ["tile", level, number] if level.isdecimal():
                        with suppress(Malformed):  # the last of many is cut off
                            tile = parse_tile(level, number)
                            yield tile.level, tile.n
