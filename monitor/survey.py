"""What the log itself, and whoever has our own line, knows of heads that were cosigned."""

import asyncio
from collections.abc import Iterable

from log.client import LogReader
from log.errors import BadSignature, LogError, Malformed, StorageError
from log.formats.note import VKey
from monitor.follower import Follower, unfit
from monitor.ledger import Ledger
from monitor.logs import FollowedLog
from monitor.outcome import Finding, Outcome
from monitor.own_witness import OwnWitness
from monitor.store import Store
from monitor.vouched import keep_lines


class Survey:
    """Asks after one log. One task at a time calls it."""

    def __init__(self, reader: LogReader, follower: Follower, own: OwnWitness, ledger: Ledger, store: Store) -> None:
        self._reader = reader
        self._follower = follower
        self._own = own
        self._ledger = ledger
        self._store = store

    async def witnessed(self, followed: FollowedLog, witnesses: Iterable[VKey]) -> list[Finding]:
        """Take the log's own witnessed head: it bears the lines of witnesses, and ours. Logs of others have none."""
        if not followed.node:
            return []
        if (busy := self._follower.resting()) is not None:
            return [busy]
        try:
            raw = await self._reader.witnessed()
        except StorageError:
            raise
        except LogError as e:
            return [self._follower.refused(e)]
        if raw is None:
            return []
        try:
            _, opened, findings = await self._ledger.take(followed, raw, "log, witnessed")
            await keep_lines(self._store, followed, opened, [*witnesses, self._own.vkey], required=False)
        except (Malformed, BadSignature) as e:
            code = unfit(raw, "witnessed")
            return [Finding(Outcome.UNVERIFIED, followed.origin, code, f"its witnessed head does not verify: {e}")]
        return findings

    async def restored(self, origin: str) -> list[Finding]:
        """Say when somebody has shown us a head under our own line that our state does not know: it is an old copy.

        That head is kept like any other, and as long as no data lead from our verified tree to it, or show that it is
        a prefix of it, nothing of this log is signed; once they do, it is what we go on from.
        """
        shown = await asyncio.to_thread(self._store.cosigned, origin, self._own.vkey.encode())
        held = await self._own.held(origin)
        size = 0 if held is None else held.size
        if shown is None or (shown.size, shown.root) == (size, held and held.root) or shown.size < size:
            return []
        text = (
            f"we cosigned size {shown.size}, but our state says {size}: was it restored from a copy? We sign nothing of"
            " this log until its data lead from the one to the other, or the newest state is back"
        )
        return [Finding(Outcome.OWN, origin, "restored", text)]
