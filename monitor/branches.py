"""The other branch of a fork, read for certificates that stand there alone (monitoring.md §5.5, "Fork").

Of every head that data have refuted the entries are read from whoever gives what leads to its signed root: the log
while it shows that branch, the same log through another egress, its sources. Each block is verified against that root
before anything is recorded. Reading begins at the largest signed tree of our own branch that the other one begins with,
which nobody need be believed for, and goes on at the next look where it stood. A certificate whose fold our branch does
not hold is marked, once and for good; each branch is one alert.

It runs beside the following, vouches for nothing, and what nobody gives is no finding.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256

from log.client import LogReader, prover
from log.errors import Malformed
from log.evidence import prefix
from log.formats.family import X509
from monitor import outcome
from monitor.alert import Class
from monitor.checked import CheckedReader
from monitor.limits import Limits
from monitor.logs import FollowedLog
from monitor.outcome import Outcome
from monitor.rules import engine, table
from monitor.rules.case import Case, FixedLists, Place, Unreadable, of_row
from monitor.rules.engine import Engine
from monitor.sources import UNREAD, first
from monitor.store import Branch, BranchEntry, Store

OTHER_BRANCH = "other-branch"  # the alert's code
_NEAR = 4  # trees read before that are held against a new one

Readers = Callable[[FollowedLog], Sequence[LogReader]]  # all who may have a branch


class Branches:
    """Reads them, and marks what stands there alone. Shared by all logs; of each log one task at a time calls it."""

    def __init__(
        self, store: Store, readers: Readers, judge: Engine, limits: Limits, now_ms: Callable[[], int]
    ) -> None:
        self._store = store
        self._readers = readers
        self._judge = judge
        self._limits = limits
        self._now_ms = now_ms

    async def look(self, followed: FollowedLog) -> list[outcome.Finding]:
        """Read on, at most `branch_entries` of a branch and `branch_heads` branches; say what has new marks."""
        if followed.family is not X509 or followed.unread:
            return []
        findings = await asyncio.to_thread(self._mark, followed.origin)
        limits = self._limits
        heads = await asyncio.to_thread(self._store.branches_to_read, followed.origin, limits.branch_heads)
        read = False
        for head in heads:
            room = limits.branch_marks - await asyncio.to_thread(self._store.branch_entries)
            if room <= 0:
                break
            try:
                await self._read(followed, head, min(room, limits.branch_entries))
                read = True
            except UNREAD:
                await asyncio.to_thread(self._store.miss_branch, head, self._now_ms())
        return findings + (await asyncio.to_thread(self._mark, followed.origin) if read else [])

    # --- reading ---------------------------------------------------------------------------------------------

    async def _read(self, followed: FollowedLog, head: Branch, limit: int) -> None:
        """Read the next entries of a tree; one of `UNREAD` when nobody gives them."""
        readers = self._readers(followed)
        branch = head if head.read is not None else await self._begun(readers, head)
        start = branch.read or 0
        end = min(branch.size, start + limit)
        if start == end:
            await asyncio.to_thread(self._store.keep_branch, branch)
            return

        async def entries(source: LogReader) -> list[bytes]:
            checked = CheckedReader(source, followed.family, branch.size, branch.root)
            return await checked.entries(start, end, branch.size)

        rows = await first(readers, entries)
        found = await asyncio.to_thread(self._entries, followed.origin, start, rows)
        await asyncio.to_thread(self._store.keep_branch, replace(branch, read=end), found)

    async def _begun(self, readers: Sequence[LogReader], head: Branch) -> Branch:
        """Return a tree with the place to begin: behind what it shares with ours, or with one that was read before."""
        low, high = 0, head.size - 1  # the trees agree up to `low`, and above `high` no signed one of ours does
        while (ours := await asyncio.to_thread(self._store.agreed_between, head.origin, low, high)) is not None:
            size, root = ours
            same = await _begins(readers, (size, root), head)
            low, high = (size, high) if same else (low, size - 1)
        name = f"{head.size} {head.root.hex()[:16]}"
        for known in await asyncio.to_thread(self._store.branches_read, head.origin, head.size, _NEAR):
            if known.size > head.size and await _begins(readers, (head.size, head.root), known, quiet=True):
                return replace(head, name=known.name, read=head.size)
            if low < known.size < head.size and await _begins(readers, (known.size, known.root), head):
                return replace(head, name=known.name, read=known.size)
        return replace(head, name=name, read=low)

    def _entries(self, origin: str, start: int, rows: Sequence[bytes]) -> list[BranchEntry]:
        """Return the certificates in verified rows, and what cannot be read as one."""
        found = []
        for index, row in enumerate(rows, start):
            try:
                case = of_row(row, origin, {}, FixedLists(), self._judge.limits)
            except Malformed as e:
                case = Unreadable(row, sha256(row).digest(), Place(origin, index, 0), str(e))
            time_ms = 0 if case.place is None else case.place.time_ms
            if isinstance(case, Case):
                issuer = case.issuer_digest or b""
                found.append(BranchEntry(index, time_ms, case.fingerprint, case.fold, issuer))
            else:
                found.append(BranchEntry(index, time_ms, case.fold, case.fold, b""))
        return found

    # --- marking ---------------------------------------------------------------------------------------------

    def _mark(self, origin: str) -> list[outcome.Finding]:
        limit = self._limits.branch_entries
        found = self._store.mark_branches(
            origin, limit, self._finding, lambda each: outcome.alert_of(_told(each)), self._now_ms()
        )
        return [_told(branch) for branch in found]

    def _finding(self, branch: Branch, entry: BranchEntry, judged: int) -> engine.Finding:
        rule = table.OTHER_BRANCH
        text = (
            f"entry {entry.index} of the tree of {branch.size} entries, root {branch.root.hex()}, which the log has"
            f" signed besides the branch that we follow: none of the first {judged} entries there is the same"
        )
        return engine.Finding(
            rule.code,
            sha256(branch.origin.encode() + b"\n" + entry.fold).digest(),
            rule.severity,
            Class.PROVEN,
            entry.fingerprint,
            entry.issuer,
            Place(branch.origin, entry.index, entry.time_ms),
            text,
            {"branch": branch.name, "size": branch.size, "root": branch.root.hex(), "fold": entry.fold.hex()},
            self._judge.produced(None),
        )


def _told(branch: Branch) -> outcome.Finding:
    text = (
        f"certificates stand on another branch alone, in the tree of {branch.size} entries, root {branch.root.hex()}:"
        f" findings of code {table.OTHER_BRANCH.code} name each"
    )
    return outcome.Finding(Outcome.PROVEN, branch.origin, OTHER_BRANCH, text, branch.name)


async def _begins(
    readers: Sequence[LogReader], small: tuple[int, bytes], large: Branch, *, quiet: bool = False
) -> bool:
    """Say whether a tree begins with a smaller one. When nobody shows: one of `UNREAD`, or False if `quiet`."""
    size, root = small
    left, right = prefix.spans(size, large.size)

    async def compare(source: LogReader) -> bool:
        read = await prover.read_spans(source, [*left, *right], large.size)
        hashes = prefix.gather(size, large.size, read)
        return prefix.compare(size, large.size, root, large.root, hashes) is prefix.Prefix.SAME

    try:
        return await first(readers, compare)
    except UNREAD:
        if quiet:
            return False
        raise
