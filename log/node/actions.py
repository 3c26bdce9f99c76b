"""Actions of governance as a node takes them in: into its governance log first, then into what it goes by.

    1. examine: the action follows its chain and is signed by enough of the keys of its seq
    2. commit it as an entry of the governance log
    3. hold it: from here on it counts, and whoever asks is told
    4. bring the node in line with it; only then is it answered

One at a time. A node that ends between 2 and 3 finds the action in its log when it starts: the log is all that is
kept, and everything that holds is folded from its entries, the first one first.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from log.client.entries import verify_entry
from log.errors import Denied, Malformed, NotFound, StateRefused, VerificationError
from log.formats.event import Entry, action_entry, is_action
from log.formats.family import GOVERNANCE
from log.formats.names import EntryType
from log.formats.note import VKey
from log.formats.tlog_proof import PROOF_HEADER
from log.governance.chains import Signed
from log.governance.ledger import Ledger
from log.merkle.hashing import leaf_hash
from log.sequencer.clock import Clock
from log.service.log import Log

logger = logging.getLogger("twinlog.governance")

READ_AT_ONCE = 256  # entries of the log, at the start


class Actions:
    """The ledger of one node, and the governance log in which all of it stands."""

    def __init__(
        self,
        hosted: Log,
        ledger: Ledger,
        submitter: bytes,
        vkeys_of: Callable[[str], Sequence[VKey]],
        clock: Clock,
        on_change: Callable[[], Awaitable[None]],
    ) -> None:
        """`vkeys_of` gives the keys of another node's governance log by its origin, none when it has no such log."""
        self._log = hosted
        self._submitter = submitter
        self._vkeys_of = vkeys_of
        self._clock = clock
        self._on_change = on_change
        self._taking = asyncio.Lock()
        self._leaves: dict[bytes, bytes] = {}  # leaf hash of the entry by hash of the action
        self.ledger = ledger

    @property
    def log_name(self) -> str:
        return self._log.name

    async def load(self) -> None:
        """Read every action out of the log. `StateRefused` for an entry that this version cannot read."""
        size = self._log.size
        found: list[Signed] = []
        for start in range(0, size, READ_AT_ONCE):
            rows = await self._log.entries(start, min(start + READ_AT_ONCE, size), size)
            for index, row in enumerate(rows, start):
                signed = _action(row, f"{self._log.origin} entry {index}")
                if signed is not None:
                    self._leaves.setdefault(signed.hash, leaf_hash(row))
                    found.append(signed)
        self.ledger.load(found)

    async def add(self, raw: bytes) -> bytes:
        """Take an action, alone or with the proof that another node's governance log has it; return its receipt.

        `Malformed`; `Denied` when signatures do not suffice; `OutOfTurn`; and what `Log.submit` raises.
        """
        carried = raw.startswith(PROOF_HEADER)
        signed = self._carried(raw) if carried else Signed.parse(raw)
        async with self._taking:
            if self.ledger.find(signed.hash) is None:
                with_it = await asyncio.to_thread(self.ledger.examine, signed)  # 1
                if not carried:
                    self.ledger.check_notice(signed, self._clock.wall_ms())
                parts, _, _ = GOVERNANCE.parts(action_entry(0, self._submitter, signed.note).encode())
                placed = await self._log.submit(parts)  # 2
                row = GOVERNANCE.place(parts, placed.index, placed.timestamp_ms).row
                self._leaves[signed.hash] = leaf_hash(row)
                self.ledger.take(signed, with_it)  # 3
                self._tell(signed)
                await self._on_change()  # 4
        return await self.proof(signed.hash)

    def _carried(self, raw: bytes) -> Signed:
        try:
            origin, _, entry = verify_entry(raw, self._vkeys_of)
        except VerificationError as error:
            raise Denied(str(error)) from error
        if entry.entry_type is not EntryType.GOVERNANCE_ACTION:
            raise Malformed(f"an entry of {origin} that is no action")
        return Signed.parse(entry.content)

    def _tell(self, signed: Signed) -> None:
        action, chain = signed.action, self.ledger.chains.chains[signed.action.chain]
        fields = {"chain": action.chain, "seq": action.seq, "type": action.type, "hash": signed.hash.hex()}
        logger.info("an action of governance", extra={"fields": fields})
        if chain.disputed:
            logger.error("a seq of governance is signed twice", extra={"fields": {**fields, "seq": chain.next_seq}})

    async def proof(self, action_hash: bytes) -> bytes:
        """Return the tlog-proof of an action on the newest head, with its entry. `NotFound`."""
        leaf = self._leaves.get(action_hash)
        if leaf is None:
            raise NotFound("no action with that hash")
        return await self._log.tlog_proof(leaf=leaf, fingerprint=None, newest=True)


def _action(row: bytes, where: str) -> Signed | None:
    """Return the action in an entry of a governance log, None for an entry that is something else."""
    if not is_action(row):
        return None
    try:
        return Signed.parse(Entry.parse(row).content)
    except Malformed as error:
        raise StateRefused(f"{where} cannot be read by this version: {error}") from error
