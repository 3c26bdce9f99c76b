"""What a witness missed while it was away: audited again from its entries, once it is back (monitoring.md §5.5).

The window is kept in the state and read a stretch at a time, as the way to a head is that is longer than one look
(`look_entries`): each stretch goes on where the last one stopped, after a restart too, and the end tells.
"""

import asyncio
import logging

from log.client import LogReader, prover
from log.errors import BadProof, LogError, StorageError, Unreachable
from log.evidence.heads import Head
from log.merkle.frontier import Frontier
from log.merkle.proof import root_spans
from monitor.clock import Clock
from monitor.fetching import Fetcher
from monitor.limits import Limits
from monitor.logs import FollowedLog
from monitor.outcome import Finding, Outcome
from monitor.rebuild import Stage
from monitor.store import Store, Vouched, Window

logger = logging.getLogger("monitor")


class Missed:
    """The window of one log that is to be audited again, if there is one. One task at a time calls `audit`."""

    def __init__(self, followed: FollowedLog, reader: LogReader, store: Store, limits: Limits, clock: Clock) -> None:
        self.more = False  # whether the last audit stopped on the way
        self._origin = followed.origin
        self._reader = reader
        self._fetcher = Fetcher(followed, limits, clock)
        self._store = store
        self._limits = limits
        self._clock = clock
        self._wrong: list[Finding] = []  # what was found last, until all of the window was right

    async def note(self, witness: str, before: Vouched | None) -> None:
        """Note from where on a witness, before it is asked, misses what this log does, if it has not vouched for long.

        Before: once it has answered, others may tell us of its line, and after a crash it would never have been away.
        """
        if before is None or not self._clock.trusted():
            return
        if self._clock.now_ms() - before.time_s * 1000 > self._limits.degraded_s * 1000:
            await asyncio.to_thread(self._store.keep_away, self._origin, witness, before.size)

    async def returned(self, witness: str, head: Head) -> None:
        """Keep the window that a witness missed, if it was away until it vouched for this head."""
        size = (await asyncio.to_thread(self._store.away, self._origin)).get(witness)
        if size is not None:
            await asyncio.to_thread(self._store.keep_missed, min(size, head.size), head, witness)

    async def audit(self) -> list[Finding]:
        """Audit the next stretch of what a witness missed, if there is any: does the log still serve what it served?

        Nothing moves. What could not be read is asked for again, and what is wrong is read again from the beginning.
        """
        self.more = False
        window = await asyncio.to_thread(self._store.missed, self._origin)
        if window is None:
            return []
        try:
            stage = await self._stretch(window)
        except Unreachable as e:
            return [*self._wrong, Finding(Outcome.UNREACHED, self._origin, "entries", str(e))]
        except StorageError:
            raise
        except LogError as e:
            if isinstance(e, BadProof):  # which stretch is wrong nothing tells
                await asyncio.to_thread(self._store.keep_audited, window, None, b"")
            text = f"audited again from size {window.size}: {e}"
            self._wrong = [Finding(Outcome.UNVERIFIED, self._origin, "data", text)]
            return self._wrong
        if stage is not None:
            at, frontier = stage.frontier.size, stage.frontier.encode()
            await asyncio.to_thread(self._store.keep_audited, window, at, frontier)
            self.more = True
            return self._wrong
        await asyncio.to_thread(self._store.have_audited, window)
        self._wrong = []
        fields = {"event": "audited-again", "subject": self._origin, "from": window.size, "to": window.head.size}
        logger.info("the window that a witness missed was audited again", extra={"fields": fields})
        return []

    async def _stretch(self, window: Window) -> Stage | None:
        """Read the next stretch; return where it stopped on the way, None where it led to the root of the head.

        The way begins with the perfect subtrees of the smaller tree, which must fold to its root, else `BadProof`.
        """
        if window.at is None:
            spans = await prover.read_spans(self._reader, root_spans(window.size), window.head.size)
            begin = Frontier.decode(window.size, b"".join(spans))
            if begin.root() != window.root:
                raise BadProof("hash tiles no longer lead to its root")
        else:
            begin = Frontier.decode(window.at, window.frontier)
        read = await self._fetcher.stretch(self._reader, window.head, Stage(begin), ())
        return read if isinstance(read, Stage) else None
