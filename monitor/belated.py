"""Heads that come when our own tree has long passed them: by gossip, by pollination, as a witness's last word.

While the tree grows, each head on the way is settled by the roots and held against the leaves that go by (`follower`).
One that comes later is settled by our own copy, without asking anybody, and held against the latest leaf below it (E6):
what is known of that at the sizes where we looked, and the entries from the last such size on.
"""

import asyncio
from collections.abc import Callable, Sequence

from log.client import prover
from log.errors import NotFound
from log.evidence.heads import Head
from log.evidence.promises import is_later
from monitor.charges import Charges
from monitor.copy.reader import Lent
from monitor.limits import Limits
from monitor.logs import FollowedLog
from monitor.outcome import Finding
from monitor.rebuild import Latest
from monitor.sources import UNREAD
from monitor.store import AGREED, CONVICTED, OPEN, Store

CopyOf = Callable[[FollowedLog], Lent | None]  # our verified copy of a log; None: there are no copies


class Belated:
    """Settles them, and holds them against the leaves. Shared by all logs; of each log one task at a time calls it."""

    def __init__(self, store: Store, charges: Charges, limits: Limits, copy_of: CopyOf) -> None:
        self._store = store
        self._charges = charges
        self._limits = limits
        self._copy_of = copy_of

    async def settle(self, followed: FollowedLog) -> None:
        """Close every open head that is a prefix of our copy. Those that are none are for the ledger to convict."""
        for head in await asyncio.to_thread(self._store.open_heads, followed.origin, self._limits.late_heads):
            await self.settle_one(followed, head)

    async def settle_one(self, followed: FollowedLog, head: Head) -> None:
        """Close one head, if it is open and a prefix of our copy."""
        state = await asyncio.to_thread(self._store.state, head.origin, head.size, head.root)
        if state in {OPEN, CONVICTED} and await self.is_ours(followed, head):
            await asyncio.to_thread(self._store.settle, head, AGREED)

    async def look(self, followed: FollowedLog) -> list[Finding]:
        """Hold heads that were settled later than their tree was rebuilt against its leaves; say which lie (E6).

        What our copy does not give now is asked of it again.
        """
        copy = self._copy_of(followed)
        if copy is None:
            return []
        waiting = await asyncio.to_thread(self._store.unread, followed.origin, copy.size, self._limits.late_heads)
        findings: list[Finding] = []
        read: list[tuple[int, int]] = []
        for size, seq in waiting:
            head = await asyncio.to_thread(self._store.observed, seq)
            state = await asyncio.to_thread(self._store.state, head.origin, head.size, head.root)
            try:
                late = await self.later_leaf(followed, head) if state == AGREED else None  # else its tree is not ours
                if late is not None:
                    findings.append(await self._charges.time_lie(followed, copy, head, late))
            except UNREAD:
                continue
            read.append((size, seq))
        if read:
            await asyncio.to_thread(self._store.have_read, followed.origin, read)
        return findings

    async def is_ours(self, followed: FollowedLog, head: Head) -> bool:
        """Say whether our copy reaches a head and leads to its root."""
        copy = self._copy_of(followed)
        if copy is None or head.size > copy.size:
            return False
        try:
            return await prover.root(copy, head.size) == head.root
        except UNREAD:
            return False

    async def later_leaf(self, followed: FollowedLog, head: Head) -> Latest | None:
        """Return a leaf of a tree, which is a prefix of our copy, of a later time than the head over it; or None.

        At most `late_entries` are read from the copy. `NotFound` for what it does not give.
        """
        if followed.leaf_time_ms is None:
            return None
        copy = self._copy_of(followed)
        if copy is None:
            raise NotFound("there are no copies")
        known = await asyncio.to_thread(self._store.latest_leaf, followed.origin, head.size)
        begin = 0 if known is None else known.size
        if known is not None and is_later(known.time_ms, head):
            rows = await copy.entries(known.index, known.index + 1, copy.size)
            return Latest(known.index, known.time_ms, followed.family.leaf_input(rows[0]))
        start = max(begin, head.size - self._limits.late_entries)
        if start >= head.size:
            return None
        rows = await copy.entries(start, head.size, copy.size)
        latest = await asyncio.to_thread(_latest, followed, start, rows)
        return latest if is_later(latest.time_ms, head) else None


def _latest(followed: FollowedLog, start: int, rows: Sequence[bytes]) -> Latest:
    """Return the latest of the leaves of these rows, the first of those."""
    time_of = followed.leaf_time_ms
    if time_of is None:
        raise AssertionError("leaves that tell no time")
    leaves = [followed.family.leaf_input(row) for row in rows]
    times = list(map(time_of, leaves))
    at = times.index(max(times))
    return Latest(start + at, times[at], leaves[at])
