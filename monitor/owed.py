"""What a log owes: entries up to a signed head that others have given, and not the log itself.

Following went on without it, and every look says so. Every `survey_s` the log is asked for them again, from where it
first gave none; what it gives then leads to the root of that head, or it owes them still.
"""

from dataclasses import dataclass, replace

from log.client import LogReader
from log.errors import LogError, StorageError, Unreachable
from log.evidence.heads import Head
from log.merkle.frontier import Frontier
from monitor.charges import Charges
from monitor.clock import Clock
from monitor.fetching import Fetcher
from monitor.limits import Limits
from monitor.logs import FollowedLog
from monitor.outcome import Finding, Outcome
from monitor.rebuild import Stage


@dataclass(frozen=True, slots=True)
class Debt:
    """Entries that are owed."""

    frontier: Frontier  # behind which they come
    head: Head  # up to which they go
    finding: Finding
    given: Stage  # how far it has given them since


class Owed:
    """What one log owes. One task at a time calls."""

    def __init__(
        self,
        followed: FollowedLog,
        reader: LogReader,
        fetcher: Fetcher,
        charges: Charges,
        limits: Limits,
        clock: Clock,
    ) -> None:
        self._log = followed
        self._reader = reader  # of the log itself
        self._fetcher = fetcher
        self._charges = charges
        self._limits = limits
        self._clock = clock
        self._debt: Debt | None = None
        self._ask_again_s = 0.0  # on the monotonic clock

    async def add(self, frontier: Frontier, begin: int, head: Head, said: LogError) -> None:
        """Others gave entries behind `frontier` on the way to `head`, and the log `said` so.

        What it serves from `begin` on, where this look began, is kept as E8.
        """
        text = f"entries up to its size {head.size} are had from others, not from the log: {said}"
        if isinstance(said, Unreachable):
            finding = Finding(Outcome.UNREACHED, self._log.origin, "entries", text)
        else:
            kept = await self._charges.unreproducible(self._log, self._reader, head, begin)
            finding = Finding(Outcome.UNVERIFIED, self._log.origin, "data", text)
            finding = finding if kept is None else replace(finding, evidence=kept.hex())
        since = frontier if self._debt is None else self._debt.frontier
        self._debt = Debt(since, head, finding, Stage(since))
        self._ask_again_s = self._clock.monotonic_s() + self._limits.survey_s

    async def still(self, *, may_ask: bool) -> Finding | None:
        """Say what is owed; None where nothing is. The log is asked for it only where it `may_ask`."""
        debt = self._debt
        if debt is None:
            return None
        if not may_ask or self._clock.monotonic_s() < self._ask_again_s:
            return debt.finding
        self._ask_again_s = self._clock.monotonic_s() + self._limits.survey_s
        try:
            given = await self._fetcher.stretch(self._reader, debt.head, debt.given, ())
        except StorageError:
            raise
        except Unreachable:
            return debt.finding  # and what it has given stays given
        except LogError:
            self._debt = replace(debt, given=Stage(debt.frontier))
            return debt.finding
        if isinstance(given, Stage):
            self._debt, self._ask_again_s = replace(debt, given=given), 0.0  # the next look goes on
            return debt.finding
        self._debt = None
        return None
