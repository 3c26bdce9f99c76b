"""The judging of logs: verified entries are read from where judging stands, judged, and what comes of it is written.

It has a position of its own per log (`judged`), reads only below the verified size, and never holds up following: the
rules run in a thread, a batch at a time, and others have their turn between two batches. Order of writes: one
transaction for each batch, with its index rows, findings, alerts, and last its position.

S11 needs to know that a certificate is *not* logged. A first use of one that is unknown stays open until every log of
certificates was judged up to a head that was signed `use_grace_s` after the use was logged.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from log.client import LogReader
from log.errors import LogError, Malformed, NotFound, StorageError
from log.formats.event import Entry
from log.formats.family import EVENTS, X509, Family
from log.formats.logged_event import EVENT_ENTRIES, LoggedEvent
from log.formats.tile_leaf import row_fingerprints
from monitor.alert import Alert, Class
from monitor.limits import Limits
from monitor.loops import Stop, pause
from monitor.rules import indexed
from monitor.rules.case import Case, EventCase, Hit, Lists, Place, Unreadable, Use, of_row
from monitor.rules.engine import Engine, Finding, disabled
from monitor.rules.watchlist import Match, WatchList
from monitor.store import Store
from monitor.store.judged import Looked, Position

logger = logging.getLogger("monitor")

JUDGED = (X509, EVENTS)  # families
UNREADABLE = "watchlist-unreadable"


@dataclass(frozen=True, slots=True)
class Source:
    """A log to judge: the entries below `size` are verified, by a head of `time_ms`."""

    origin: str
    family: Family
    reader: LogReader
    size: int
    time_ms: int


@dataclass(frozen=True, slots=True)
class _Judged:
    """One entry with what shows without the index."""

    case: Case | Unreadable
    hits: list[Hit]
    matches: list[Match]


class Judging:
    """Judges logs, one batch at a time."""

    def __init__(
        self,
        store: Store,
        engine: Engine,
        lists: Lists,
        watchlist: Callable[[], WatchList],
        limits: Limits,
        now_ms: Callable[[], int],
    ) -> None:
        """`watchlist` is asked for each batch; it may read a file, and is called in a thread."""
        self._store = store
        self._engine = engine
        self._lists = lists
        self._watchlist = watchlist
        self._limits = limits
        self._now_ms = now_ms
        self._issuers: OrderedDict[bytes, bytes] = (
            OrderedDict()
        )  # certificates by SHA-256, the one used last at the end
        self._issuer_bytes = 0  # of all of them
        self._told: set[str] = set()
        self._trouble = ""
        self._begins = True

    async def run(self, sources: Callable[[], Iterable[Source]], stop: Stop) -> None:
        """Judge what there is, again and again. Raises only what ends a monitor."""
        while not stop.is_set():
            more = await self.pass_over(sources())
            await pause(0 if more else self._limits.judge_s, stop)

    async def pass_over(self, sources: Iterable[Source]) -> bool:
        """Judge a batch of each log whose family has rules; return whether there is more to judge."""
        if self._begins:
            self._begins = False  # a rule that failed is judged again after a start
            rules = (*self._engine.by_itself, *self._engine.by_index, *self._engine.of_events)
            over = [disabled(code) for code in rules if code not in self._engine.disabled]
            await asyncio.to_thread(self._store.end_alerts, over, self._now_ms())
        more, judged = False, [each for each in sources if each.family in JUDGED]
        for source in judged:
            try:
                more = await self.step(source) or more
            except StorageError:
                raise
            except LogError as e:
                if source.origin not in self._told:
                    self._told.add(source.origin)
                    fields = {"event": "judging", "subject": source.origin}
                    logger.warning("entries to judge cannot be read: %s", e, extra={"fields": fields})
            else:
                self._told.discard(source.origin)
        await asyncio.to_thread(self._settle, [each.origin for each in judged if each.family is X509])
        return more

    async def step(self, source: Source) -> bool:
        """Judge the next batch of a log; return whether there is more. Raises `LogError` for what cannot be read."""
        held = self._store.judged(source.origin)
        start, end = held.size, min(source.size, held.size + self._limits.judge_entries)
        if start >= end:
            if source.size == start and source.time_ms > held.time_ms:
                await asyncio.to_thread(self._advance, source, held.size)
            return False
        rows = await source.reader.entries(start, end, source.size)
        if len(rows) != end - start:
            raise Malformed(f"{len(rows)} entries where {end - start} must be, from {start} on")
        if source.family is X509:
            known, count = await self._known(source.reader, rows)
            end = start + count
            judged = await asyncio.to_thread(self._judge, source.origin, start, rows[:count], known)
            await asyncio.to_thread(self._keep, source, judged, end)
        else:
            await asyncio.to_thread(self._keep_events, source, start, rows, end)
        return end < source.size

    # --- certificates --------------------------------------------------------------------------------------

    async def _known(self, reader: LogReader, rows: Sequence[bytes]) -> tuple[dict[bytes, bytes], int]:
        """Return the issuers of the first of these entries that the log has, by SHA-256, and how many entries that is.

        All, unless their issuers are more than `judge_batch_bytes`: then the batch ends before the first one too many.
        """
        known, absent, held = dict[bytes, bytes](), set[bytes](), 0
        for count, row in enumerate(rows):
            try:
                wanted = dict.fromkeys(row_fingerprints(row)[:2])
            except Malformed:
                continue  # judged as UNPARSABLE
            found = {}
            for digest in wanted.keys() - known.keys() - absent:
                data = await self._issuer(reader, digest)
                if data is None:
                    absent.add(digest)  # rules that need it do not fire; the log's audit tells of it
                else:
                    found[digest] = data
            held += sum(map(len, found.values()))
            if count and held > self._limits.judge_batch_bytes:
                return known, count
            known |= found
        return known, len(rows)

    async def _issuer(self, reader: LogReader, digest: bytes) -> bytes | None:
        """Return an issuer's certificate, or None where the log does not have it."""
        data = self._issuers.get(digest)
        if data is not None:
            self._issuers.move_to_end(digest)
            return data
        try:
            data = await reader.blob(digest)
        except NotFound:
            return None
        if data is None or sha256(data).digest() != digest:
            return None
        self._remember(digest, data)
        return data

    def _remember(self, digest: bytes, data: bytes) -> None:
        """Keep an issuer that is not kept yet; those that were not used for longest give way."""
        self._issuers[digest] = data
        self._issuer_bytes += len(data)
        while len(self._issuers) > self._limits.judge_issuers or self._issuer_bytes > self._limits.judge_issuer_bytes:
            _, gone = self._issuers.popitem(last=False)
            self._issuer_bytes -= len(gone)

    def _judge(self, origin: str, start: int, rows: Sequence[bytes], known: dict[bytes, bytes]) -> list[_Judged]:
        watchlist, found = self._watchlist(), []
        self._trouble = watchlist.trouble
        for index, row in enumerate(rows, start):
            try:
                case = of_row(row, origin, known, self._lists, self._engine.limits)
            except Malformed as e:
                case = Unreadable(row, sha256(row).digest(), Place(origin, index, 0), str(e))
            found.append(_Judged(case, self._engine.judge(case), watchlist.matches(case)))
        return found

    def _keep(self, source: Source, judged: Sequence[_Judged], end: int) -> None:
        now_ms, alerts = self._now_ms(), list[Alert]()
        with self._store.judging() as index:
            index.expect([each.case for each in judged if isinstance(each.case, Case)])
            for each in judged:
                hits = each.hits
                if isinstance(each.case, Case):
                    hits = [*hits, *self._engine.judge_indexed(each.case, index)]
                    index.add(each.case)
                    index.settle(each.case.fingerprint)
                else:
                    index.add_unreadable(source.origin, each.case.fold)
                alerts += self._new(index, [self._engine.finding(hit, each.case) for hit in hits], now_ms)
                alerts += [match.alert() for match in each.matches]
            if self._trouble:
                text = f"the watchlist is as it was before the settings were changed: {self._trouble}"
                alerts.append(Alert(UNREADABLE, Class.OWN, "error", "watch", UNREADABLE, text))
            else:
                self._store.end_alerts([UNREADABLE], now_ms)
            self._store.raise_alerts([*alerts, *self._engine.alerts()], now_ms)
            index.advance(source.origin, self._position(source, end))

    # --- events --------------------------------------------------------------------------------------------

    def _keep_events(self, source: Source, start: int, rows: Sequence[bytes], end: int) -> None:
        now_ms, alerts = self._now_ms(), list[Alert]()
        with self._store.judging() as index:
            for number, row in enumerate(rows, start):
                case = self._event(source.origin, number, row)
                if case is None or case.event.certificate is None:
                    continue
                certificate, place = case.event.certificate, case.place
                hits = self._engine.judge_event(case, index)
                made = [self._engine.event_finding(hit, certificate, place, self._lists) for hit in hits]
                alerts += self._new(index, made, now_ms)
                reference = case.event.certificate_ref
                settled = index.logged(certificate) is not None or (
                    reference is not None and index.logged_at(reference.origin, reference.index) is not None
                )
                use = Use(case.event.at_ms, place.origin, place.index)
                index.add_use(certificate, use, place, settled=settled)
            self._store.raise_alerts([*alerts, *self._engine.alerts()], now_ms)
            index.advance(source.origin, self._position(source, end))

    def _event(self, origin: str, index: int, row: bytes) -> EventCase | None:
        """Read an event; None for what is none, which is not for these rules to judge."""
        try:
            entry = Entry.parse(row)
            if entry.entry_type not in EVENT_ENTRIES:
                return None
            event = LoggedEvent.parse(entry.content).event
        except Malformed:
            return None
        return EventCase(event, Place(origin, index, entry.timestamp_ms), self._lists, self._engine.limits)

    def _settle(self, origins: Sequence[str]) -> None:
        """Say of first uses that they were of certificates which nobody has logged, as soon as that is sure."""
        if not origins or "S11" in self._engine.disabled:
            return
        covered_ms = min(self._store.judged(origin).time_ms for origin in origins)
        before_ms = covered_ms - int(self._limits.use_grace_s * 1_000)
        if before_ms <= 0:
            return
        now_ms = self._now_ms()
        with self._store.judging() as index:
            for certificate, use, place in index.unsettled(before_ms, self._limits.judge_entries):
                hit = indexed.never_logged(use)
                finding = self._engine.event_finding(hit, certificate, place, self._lists)
                self._store.raise_alerts(self._new(index, [finding], now_ms), now_ms)
                index.settle(certificate)

    # --- both ----------------------------------------------------------------------------------------------

    def _new(self, index: Looked, findings: Iterable[Finding], now_ms: int) -> list[Alert]:
        """Keep findings; return the alerts of those that are new."""
        return [finding.alert() for finding in findings if index.keep(finding, now_ms)]

    def _advance(self, source: Source, size: int) -> None:
        with self._store.judging() as index:
            index.advance(source.origin, self._position(source, size))

    def _position(self, source: Source, size: int) -> Position:
        held = self._store.judged(source.origin)
        time_ms = source.time_ms if size == source.size else held.time_ms
        return Position(size, time_ms, self._now_ms())
