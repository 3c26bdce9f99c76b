"""A log that governance has closed: followed to its end, and still asked whether it has signed on since.

What it or anybody else shows of it is held against its tree as while it was open: a lie stays one.

A head that is signed after the closing, on more than the final head or on another tree of its size, is refused and
kept (monitoring.md §5.5, log key rotation; §6, row 41). `ledger` does so whoever brings it; here the log itself is
asked. It is suspected and not proven: a closing holds from a date on, which may lie before the moment at which an
honest node has got it, and an honest log never gives evidence (design.md §6).
"""

from log.client import LogReader
from log.errors import LogError, StorageError
from monitor.belated import Belated
from monitor.charges import Charges
from monitor.ledger import Ledger
from monitor.logs import FollowedLog
from monitor.outcome import Finding


class Coda:
    """One closed log. One task at a time calls `look`."""

    def __init__(
        self, followed: FollowedLog, reader: LogReader, ledger: Ledger, charges: Charges, belated: Belated
    ) -> None:
        self.log = followed
        self._reader = reader
        self._ledger = ledger
        self._charges = charges
        self._belated = belated

    async def look(self) -> list[Finding]:
        """Ask for its head, and hold what was shown of it against its tree.

        That it serves none, or nothing of use, is as good as a log that is over.
        """
        findings = await self._asked()
        await self._belated.settle(self.log)
        findings += await self._belated.look(self.log)
        findings += await self._ledger.compare_open(self.log, self._reader)
        return findings + await self._charges.witnesses(self.log, self._reader)

    async def _asked(self) -> list[Finding]:
        try:
            raw = await self._reader.checkpoint()
            _, _, findings = await self._ledger.take(self.log, raw, "log, closed")
        except StorageError:
            raise
        except LogError:
            return []
        return findings
