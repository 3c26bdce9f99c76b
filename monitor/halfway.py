"""The way to a signed head that is longer than one look (`look_entries`).

A look stops on the way and keeps where it stands, so that a round ends however much a log has signed; the next look
goes on from there. Nothing of this is verified: the verified head moves when the way has led to the root of a signed
one, and not before. Where anybody has the hash tiles of that head, each stop is held against them, so that what does
not lead there is met where it lies, and not at the end. Where nobody has them, the end tells.
"""

import asyncio
from collections.abc import Callable

from log.client import LogReader, prover
from log.errors import BadProof
from log.evidence import prefix
from log.evidence.heads import Head
from log.merkle.frontier import Frontier
from monitor.limits import Limits
from monitor.logs import FollowedLog
from monitor.outcome import BEHIND, Finding, Outcome
from monitor.rebuild import Latest, Stage
from monitor.sources import UNREAD, Further, first
from monitor.store import Halfway, Store


class Stages:
    """The stops on the way to the heads of one log. One task at a time calls it."""

    def __init__(
        self, followed: FollowedLog, store: Store, limits: Limits, now_ms: Callable[[], int], further: Further
    ) -> None:
        """`further` are others than the log itself that may have its hash tiles."""
        self._log = followed
        self._store = store
        self._limits = limits
        self._now_ms = now_ms
        self._further = further

    async def begin(self, verified: Frontier, head: Head) -> Stage:
        """Return where the way from the verified tree to a head is to be gone on: there, or at the last stop."""
        kept = await asyncio.to_thread(self._store.halfway, self._log.origin)
        if kept is None or kept.begun != verified.size or kept.size > head.size:
            return Stage(verified)
        last = None if kept.last is None else Latest(*kept.last)
        return Stage(Frontier.decode(kept.size, kept.frontier), last)

    async def stop(self, verified: Head) -> tuple[int, bytes]:
        """Return size and root of the last stop behind the verified head; of that head where there is none."""
        kept = await asyncio.to_thread(self._store.halfway, self._log.origin)
        if kept is None or kept.begun != verified.size:
            return verified.size, verified.root
        return kept.size, Frontier.decode(kept.size, kept.frontier).root()

    async def keep(self, reader: LogReader, verified: Frontier, stage: Stage, head: Head) -> Finding:
        """Keep a stop on the way from the verified tree to a head, and say so.

        `BadProof` when hash tiles of that head show that its tree does not begin so.
        """
        size = stage.frontier.size
        try:
            leads = await self._leads(reader, stage.frontier, head)
        except UNREAD:
            leads = True  # as far as anybody shows
        if not leads:
            raise BadProof(f"entries up to {size} are not those of the tree of size {head.size}")
        last = None if stage.last is None else (stage.last.index, stage.last.time_ms, stage.last.leaf)
        kept = Halfway(verified.size, size, stage.frontier.encode(), last, head.size, self._now_ms())
        await asyncio.to_thread(self._store.keep_halfway, self._log.origin, kept, stage.roots, stage.times)
        text = f"read up to entry {size} of {head.size}: more than one look takes in, the next one goes on"
        return Finding(Outcome.UNREACHED, self._log.origin, BEHIND, text, "entries")

    async def doubt(self, reader: LogReader, stage: Stage, verified: Frontier, head: Head) -> bool:
        """Forget the stop from which no entries led to a head, unless hash tiles bear it out: it may be what is wrong.

        Another head may have been signed on another branch, or what was read before was not held against anything.
        Return True where the tiles show that it is wrong, whoever gave it: what came behind it is then no fault.
        """
        if stage.frontier.size == verified.size:
            return False
        try:
            leads = await self._leads(reader, stage.frontier, head)
        except UNREAD:
            await asyncio.to_thread(self._store.drop_halfway, self._log.origin)
            return False
        if not leads:
            await asyncio.to_thread(self._store.drop_halfway, self._log.origin)
        return not leads

    async def _leads(self, reader: LogReader, frontier: Frontier, head: Head) -> bool:
        """Say whether a tree begins so; one of `UNREAD` when nobody shows."""
        left, right = prefix.spans(frontier.size, head.size)

        async def compare(source: LogReader) -> bool:
            read = await prover.read_spans(source, [*left, *right], head.size)
            hashes = prefix.gather(frontier.size, head.size, read)
            verdict = prefix.compare(frontier.size, head.size, frontier.root(), head.root, hashes)
            return verdict is prefix.Prefix.SAME

        return await first([reader, *self._further(self._log.origin)], compare)
