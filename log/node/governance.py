"""What a node writes into its own governance log: genesis first, then anchors of what it has seen.

Genesis names the node, the keys of its logs and the genesis of the actions that it goes by; written again it is the
same entry, so a restart adds nothing.
An anchor holds another log's head: those of this node's other logs, and those of the peers as this node's
witness cosigned them last. A fork of any of them then contradicts this log too (design.md section 3).
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence

from log.errors import Closed, Unavailable
from log.formats.event import Entry, anchor_entry, genesis_entry
from log.formats.family import GOVERNANCE
from log.formats.jcs import JSON
from log.formats.note import Note
from log.service.log import Log

logger = logging.getLogger("twinlog.governance")

RETRY_S = 0.5  # while no guard has spoken yet, or the pool is full
Heads = Callable[[], Awaitable[Sequence[bytes]]]  # the notes worth anchoring now


class Governance:
    """Writes one governance log on the node's own behalf."""

    def __init__(self, hosted: Log, submitter: bytes, genesis: JSON, heads: Heads, anchor_s: int) -> None:
        self._log = hosted
        self._submitter = submitter
        self._genesis = genesis
        self._heads = heads
        self._anchor_s = anchor_s
        self._due = asyncio.Event()

    def anchor_now(self) -> None:
        """Let the next anchors be written at once: a log was closed, and its last head is to stand in this one."""
        self._due.set()

    async def run(self) -> None:
        """Write genesis as soon as the log takes entries, then anchors until it is closed itself."""
        try:
            await self._submit(genesis_entry(0, self._submitter, self._genesis))
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._anchor_s):
                        await self._due.wait()
                self._due.clear()
                for raw in await self._heads():
                    await self._submit(anchor_entry(0, self._submitter, Note.parse(raw)))
        except Closed:
            logger.info("%s is closed and takes no anchors", self._log.origin)

    async def _submit(self, entry: Entry) -> None:
        """Submit an entry, whose time the sequencer sets, and wait out whatever keeps the log closed."""
        parts, _, _ = GOVERNANCE.parts(entry.encode())
        while True:
            try:
                await self._log.submit(parts)
            except Unavailable as error:
                logger.debug("%s: %s", self._log.origin, error)
                await asyncio.sleep(RETRY_S)
            else:
                return
