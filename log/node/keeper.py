"""Brings up shards and closes logs when their time has come, while the node runs (`calendar` says when).

A shard comes before its time when governance names it (`log-add`), with the keys that this node has for it.

Both are for ever, so neither is done on the word of this machine's clock alone: a guard must have spoken for what
this node hosts since the last start or parting, and must bear the clock out (`Guard.permit_for_ever`). Without
guards the clock is all there is.

What cannot be done now is tried again at the next look. Keys that are missing are a problem, which `/healthz` shows;
waiting for a guard is a note there.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from log.errors import SettingsError, Unavailable
from log.node import calendar, closing, shards
from log.node.guard import Guard
from log.node.looking import Looking
from log.sequencer.clock import Clock
from log.service.log import Log
from log.storage import HeadStore

logger = logging.getLogger("twinlog.shards")


@dataclass(frozen=True, slots=True)
class Series:
    """The yearly shards of one certificate log."""

    name: str
    origin: str
    first_year: int
    closed: bool  # by its settings: no shard is created any more

    def shard_origin(self, year: int) -> str:
        return f"{self.origin}-{year}"


@dataclass(frozen=True, slots=True)
class Timing:
    """When shards come and close, in days."""

    ahead_days: int = 92
    close_after_days: int = 7


@dataclass(frozen=True, slots=True)
class Term:
    """What the settings say of one log's end."""

    window: tuple[int, int] | None  # notAfter, POSIX milliseconds
    is_shard: bool
    closed: bool


class Keeper(Looking):
    """One task that looks, every second. `logs` and `term` tell what the node hosts."""

    def __init__(
        self,
        series: Sequence[Series],
        timing: Timing,
        heads: HeadStore,
        guard: Guard,
        clock: Clock,
        logs: Callable[[], Iterable[Log]],
        term: Callable[[str], Term],
        bring_up: Callable[[Series, int], Awaitable[None]],
        on_closed: Callable[[], None] = lambda: None,
        named: Callable[[], Collection[str]] = frozenset,
    ) -> None:
        """`named` tells the origins of this node's logs that governance has: a shard among them comes when it says."""
        super().__init__()
        self._series = series
        self._timing = timing
        self._heads = heads
        self._guard = guard
        self._clock = clock
        self._logs = logs
        self._term = term
        self._bring_up = bring_up
        self._on_closed = on_closed
        self._named = named
        self._written: set[str] = set()  # origins of logs that were closed since the start
        self._looking = asyncio.Lock()
        self.problems: list[str] = []  # what an operator has to do
        self.notes: list[str] = []  # what is waited for

    def awaited(self, hosted: Log) -> str:
        """Say why a log needs no guard yet, "" when it does: it is a shard, empty, and its window has not begun."""
        term = self._term(hosted.name)
        if not term.is_shard or term.window is None or hosted.size or self._clock.wall_ms() >= term.window[0]:
            return ""
        return f"a new shard, whose window begins on {calendar.date(term.window[0])}"

    async def look(self) -> None:
        """Do what is due, one look at a time. `StateRefused` and `StoreFailed` end the node."""
        async with self._looking:
            await self._look()

    async def _look(self) -> None:
        problems: list[str] = []
        notes: list[str] = []
        now_ms = self._clock.wall_ms()
        hosted = {log_.origin: log_ for log_ in self._logs()}
        for log_ in hosted.values():
            why = self._closing(log_, now_ms)
            if why and self._permitted(f"{log_.origin} is to be closed", notes):
                await self._close(log_, why)
        for series in self._series:
            due = calendar.due_years(series.first_year, now_ms, self._timing.ahead_days)
            years = sorted({*due, *self._years_named(series)})
            for year in () if series.closed else years:
                origin = series.shard_origin(year)
                if origin not in hosted and self._permitted(f"{origin} is to be created", notes):
                    await self._create(series, year, problems, notes)
        self.problems, self.notes = problems, notes

    def _years_named(self, series: Series) -> set[int]:
        begin = f"{series.origin}-"
        tails = {origin.removeprefix(begin) for origin in self._named() if origin.startswith(begin)}
        years = {int(tail) for tail in tails if len(tail) == shards.YEAR_DIGITS and tail.isascii() and tail.isdigit()}
        return {year for year in years if series.first_year <= year <= calendar.LAST_YEAR}

    def _closing(self, hosted: Log, now_ms: int) -> str:
        """Return why a log must close now, or ""."""
        term = self._term(hosted.name)
        if hosted.origin in self._written or (hosted.closed and not term.closed):
            return ""
        if term.closed:
            return f"closed by its operator on {calendar.date(now_ms)}"
        if not term.is_shard or term.window is None:
            return ""
        end_ms = term.window[1]
        if now_ms < calendar.closes_ms(end_ms, self._timing.close_after_days):
            return ""
        return f"closed on {calendar.date(now_ms)}: its window ended on {calendar.date(end_ms)}"

    def _permitted(self, what: str, notes: list[str]) -> bool:
        try:
            self._guard.permit_for_ever([log_.origin for log_ in self._logs() if not self.awaited(log_)])
        except Unavailable as error:
            notes.append(f"{what}, but not yet: {error}")
            return False
        return True

    async def _close(self, hosted: Log, why: str) -> None:
        await closing.close(self._heads, hosted.origin, why)
        hosted.closed = await closing.reason(self._heads, hosted.origin)
        self._written.add(hosted.origin)
        logger.info("%s: %s", hosted.origin, hosted.closed)
        self._on_closed()

    async def _create(self, series: Series, year: int, problems: list[str], notes: list[str]) -> None:
        origin = series.shard_origin(year)
        try:
            await self._bring_up(series, year)
        except SettingsError as error:
            problems.append(f"{origin} cannot be created; where its keys are missing, run `twinlog keygen`: {error}")
        except Unavailable as error:
            notes.append(f"{origin} is to be created, but not yet: {error}")
        else:
            logger.info("%s: created", origin)
