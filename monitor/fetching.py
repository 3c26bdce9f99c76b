"""The entries of a log, from a tree that is known up to a signed head: read, hashed and copied side by side.

While a chunk is hashed, the next one comes in and the last one is copied. Nothing here decides what is true of a log:
entries lead to the root of the head, or they do not. Where entries are not for us, it is their hashes that do.
"""

import asyncio
from collections.abc import Sequence

from log.client import LogReader
from log.errors import BadProof, Malformed
from log.evidence.heads import Head
from log.merkle.frontier import Frontier
from log.merkle.hashing import split_hashes
from log.merkle.tiles import TILE_WIDTH
from monitor.clock import Clock
from monitor.copy.mirror import Mirror
from monitor.limits import Limits
from monitor.logs import FollowedLog
from monitor.rebuild import Grown, Rebuild, Stage


class Fetcher:
    """Reads the entries of one log, from itself or from whoever else has them."""

    def __init__(self, followed: FollowedLog, limits: Limits, clock: Clock) -> None:
        self.went_on_s: float | None = None  # when entries were taken in last (monotonic)
        self._log = followed
        self._family = None if followed.unread else followed.family
        self._limits = limits
        self._clock = clock

    async def lead(
        self,
        reader: LogReader,
        head: Head,
        frontier: Frontier,
        milestones: Sequence[int],
        copy: Mirror | None = None,
        sought: int | None = None,
    ) -> Grown:
        """Return what the entries behind `frontier` lead to; `BadProof` when that is not the root of `head`.

        At the sizes of `milestones` roots are kept; of the leaf `sought` the inclusion path is made on the way.
        """
        every = self._limits.late_entries  # a head that comes later needs no more of them
        rebuild = Rebuild(frontier, head.size, milestones, self._family, every, sought)
        if rebuild.missing:
            await self._feed(rebuild, reader, head.size, frontier.size, head.size, copy)
        return _finished(rebuild, head)

    async def stretch(
        self, reader: LogReader, head: Head, begin: Stage, milestones: Sequence[int], copy: Mirror | None = None
    ) -> Grown | Stage:
        """Go on from a stage; return the next one where it is further to `head` than `look_entries`."""
        every, start = self._limits.late_entries, begin.frontier.size
        rebuild = Rebuild(begin.frontier, head.size, milestones, self._family, every, last=begin.last)
        end = (start + max(TILE_WIDTH, self._limits.look_entries)) // TILE_WIDTH * TILE_WIDTH
        if rebuild.missing:
            await self._feed(rebuild, reader, head.size, start, min(end, head.size), copy)
        return rebuild.stage() if rebuild.missing else _finished(rebuild, head)

    async def _feed(
        self, rebuild: Rebuild, reader: LogReader, tree: int, begin: int, size: int, copy: Mirror | None
    ) -> None:
        """Take in the entries below `size`, in a tree of `tree` entries."""
        at = begin // TILE_WIDTH * TILE_WIDTH  # the tile of the frontier comes whole: all of it is checked
        reading = asyncio.ensure_future(self._chunk(reader, at, size, tree))
        copying: asyncio.Future[None] | None = None
        try:
            while rebuild.missing > tree - size:
                start, rows = at, await reading
                at += len(rows)
                ahead = at < size and sum(map(len, rows)) <= self._limits.ahead_bytes
                if ahead:
                    reading = asyncio.ensure_future(self._chunk(reader, at, size, tree))
                fed = await asyncio.to_thread(rebuild.feed, start, rows)
                self.went_on_s = self._clock.monotonic_s()
                if copying is not None:
                    await copying
                if copy is not None:
                    copying = asyncio.ensure_future(copy.add(reader, start, rows, fed.leaves, fed.chains))
                if at < size and not ahead:
                    reading = asyncio.ensure_future(self._chunk(reader, at, size, tree))
            if copying is not None:
                await copying
        finally:
            reading.cancel()
            await asyncio.gather(reading, *([] if copying is None else [copying]), return_exceptions=True)

    async def _chunk(self, reader: LogReader, at: int, size: int, tree: int) -> Sequence[bytes]:
        """Return the rows from a tile's beginning on, as many as a chunk has; leaf hashes where no entry is for us."""
        end = min(size, at // TILE_WIDTH * TILE_WIDTH + self._limits.chunk_entries)
        if self._log.unread:
            rows: Sequence[bytes] = split_hashes(await reader.hashes(0, at, end, tree))
        else:
            rows = await reader.entries(at, end, tree)
        if len(rows) != end - at:
            raise Malformed(f"{len(rows)} entries where {end - at} must be, from {at} on")
        return rows


def _finished(rebuild: Rebuild, head: Head) -> Grown:
    grown = rebuild.finish()
    if grown.root != head.root:
        raise BadProof(f"entries do not lead to the signed root of size {head.size}")
    return grown
