"""The way into a log of events: requests that members signed, receipts out (design.md section 5).

A request, whose signature was verified before its body was read (`log.api.auth`), passes these in order:

    1. the log takes entries at all (410)
    2. its client's rate
    3. its body is a batch (400), and of the member that signed
    4. alone among requests of its member and seq; if that number is known the same body goes on where it stands,
       another one is 409
    5. whether the log takes anything now, its member's rate and share, the log's rate
    6. each event is judged (`event_judge`)
    7. WRITE: the record, the body and those verdicts, synced
    8. WRITE: the entries that were not refused, a commit or several
    9. WRITE: their places and the head that covers them, synced
    10. the answer, made from what 7 to 9 wrote

Whatever ends the process between two of these, the same body again goes on from the last write: 7 fixed what each
entry says, so 8 finds those that are there, and 9 fixed the answer to the byte. What was cut off before 7 left nothing.

Reading and writing JSON and verifying proofs takes a tenth of a second and more for a thousand events. That is done in
a thread, one request at a time, and the rest in pieces between which the loop serves others.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TypeVar

from log.errors import (
    Conflict,
    Denied,
    LogError,
    Malformed,
    NotFound,
    StorageError,
    TooLarge,
    Unavailable,
)
from log.fair.rates import Rate, Rates
from log.formats.checkpoint import parse_signed
from log.formats.event import event_entry
from log.formats.event_batch import EventBatch, EventResults, Result
from log.formats.event_codes import Standing
from log.formats.family import EVENTS, Parts
from log.formats.logged_event import MAX_EVENTS, LoggedEvent
from log.formats.names import EXTRA_ENTRY
from log.formats.submission import Submission
from log.formats.tlog_proof import TlogProof
from log.sequencer.clock import Clock
from log.service.admission import Admission
from log.service.event_judge import PIECE, EventJudge
from log.service.event_plan import Outcome, Refusal, Verdict, encode_plan, parse_plan
from log.service.log import Log
from log.storage import Filed, RecordStore

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class EventLimits:
    """Bounds of what may be asked of a log of events."""

    max_events: int = MAX_EVENTS  # of one request
    max_rate_per_s: int = 20_000  # events a second, of all together


@dataclass(frozen=True, slots=True)
class EventAnswer:
    """What a request came to."""

    body: bytes  # `EventResults`
    refused: tuple[str, ...] = ()  # a word for each event that was refused now, for the metrics


class EventIntake:
    """The write side of one log of events. Only the event loop touches it."""

    def __init__(
        self,
        hosted: Log,
        records: RecordStore,
        judge: EventJudge,
        admission: Admission,
        clock: Clock,
        limits: EventLimits,
        on_failure: Callable[[LogError], None],
    ) -> None:
        self._log = hosted
        self._records = records
        self._judge = judge
        self._admission = admission
        self._clock = clock
        self._limits = limits
        self._on_failure = on_failure
        rate = Rate("max_rate_per_s", limits.max_rate_per_s, "events a second, all together")
        self._rate: Rates[None] = Rates(rate, clock.mono_ms, 1)
        self._busy: dict[tuple[str, int], asyncio.Event] = {}  # requests under way; one at a time for each number
        self._running: set[asyncio.Task[EventAnswer]] = set()
        self._worker = ThreadPoolExecutor(1, f"events-{hosted.name}")

    def arrive(self, client: str) -> None:
        """Let a client's request in, whatever its body holds: `Closed` or `RateLimited`."""
        self._log.check_open()  # 1
        self._admission.clients.take(client)  # 2

    async def add(self, signed: Submission, body: bytes, client: str = "") -> EventAnswer:
        """Take a request whose signature and body were verified; the same answer for the same body, to the byte.

        `Malformed`, `TooLarge`; `Denied` for events of another member; `Conflict` for another body under a known seq;
        `RateLimited`, `Unavailable`: then nothing of it is refused for ever, and the same body may come again.
        """
        work = asyncio.create_task(self._add(signed, body, client), name=f"events {self._log.name}")
        self._running.add(work)
        work.add_done_callback(self._ran)
        return await asyncio.shield(work)  # a client that goes away cuts off no write

    async def _add(self, signed: Submission, body: bytes, client: str) -> EventAnswer:
        batch = await self._in_thread(EventBatch.parse, body)  # 3
        if len(batch.events) > self._limits.max_events:
            raise TooLarge(f"a request has at most max_events = {self._limits.max_events} events")
        if batch.member != signed.member:
            raise Denied("a member sends its own events: the batch names another than the signature")
        refused: tuple[str, ...] = ()
        async with self._alone(batch.member, batch.seq):  # 4
            with self._storing():
                filed = await self._records.find(batch.member, batch.seq)
                outcome = await self._records.outcome(batch.member, batch.seq)
            if filed is None:
                filed, refused = await self._file(signed, batch, body, client)
            elif _read_back(Submission.parse, filed.record).base.digest != signed.base.digest:
                raise Conflict(f"another request of this member was taken in under the number {batch.seq}")
            verdicts = _read_back(parse_plan, filed.plan)
            if outcome is None:
                outcome = await self._log_all(filed, batch, verdicts)
        return EventAnswer(await self._answer(verdicts, _read_back(Outcome.parse, outcome)), refused)  # 10

    async def record(self, digest: bytes) -> bytes | None:
        """Return the submission record with this SHA-256 (32 bytes), or None."""
        return await self._records.record(digest)

    async def close(self) -> None:
        """Let go of the store, once what is under way has ended. The log must still take entries, or refuse them."""
        await asyncio.gather(*self._running, return_exceptions=True)
        self._worker.shutdown()
        await self._records.close()

    # --- 5 to 7 -------------------------------------------------------------------------------------------------

    async def _file(
        self, signed: Submission, batch: EventBatch, body: bytes, client: str
    ) -> tuple[Filed, tuple[str, ...]]:
        """Judge a new request and file it; return it with a word for each event that was refused."""
        with self._charged(batch, client, len(body)):  # 5
            verdicts = await self._verdicts(batch)  # 6
            filed = Filed(batch.member, batch.seq, signed.encode(), encode_plan(verdicts))
            with self._storing():
                await self._records.file(filed, body)  # 7
        return filed, tuple(verdict.word for verdict in verdicts if isinstance(verdict, Refusal))

    @contextmanager
    def _charged(self, batch: EventBatch, client: str, size: int) -> Iterator[None]:
        """Take tokens and a share for a request, or raise `RateLimited` or `Unavailable`.

        The log's tokens come last: they are everybody's, and who is over what is its own takes none.
        """
        count = len(batch.events)
        self._log.check_takes()
        self._admission.members.take(batch.member, count)
        try:
            self._admission.enter(client, batch.member.encode(), size, count)
            try:
                self._rate.take(None, count)
                yield
            finally:
                self._admission.leave(client, batch.member.encode(), size, count)
        except BaseException:
            self._admission.members.give_back(batch.member, count)
            raise

    async def _verdicts(self, batch: EventBatch) -> list[Verdict]:
        verdicts = await self._judge.here(batch)
        rest = [each for each, verdict in zip(batch.events, verdicts, strict=True) if verdict is None]
        foreign = iter(await self._in_thread(self._judge.elsewhere, rest) if rest else ())
        return [next(foreign) if verdict is None else verdict for verdict in verdicts]

    # --- 8 and 9 ------------------------------------------------------------------------------------------------

    async def _log_all(self, filed: Filed, batch: EventBatch, verdicts: Sequence[Verdict]) -> bytes:
        """Make entries of what was not refused, and keep where they stand; return that."""
        parts = await self._in_thread(_entries, filed, batch, verdicts)
        places: list[asyncio.Task[int]] = []
        for number, each in enumerate(parts):
            if number % PIECE == 0:
                await asyncio.sleep(0)
            places.append(asyncio.create_task(self._submit(each)))
        done = await asyncio.gather(*places, return_exceptions=True)  # 8
        for failed in done:
            if isinstance(failed, BaseException):
                raise failed
        head = self._log.published.head
        outcome = Outcome(head.note, tuple(index for index in done if isinstance(index, int))).encode()
        with self._storing():
            await self._records.finish(filed.member, filed.seq, outcome)  # 9
        return outcome

    async def _submit(self, parts: Parts) -> int:
        return (await self._log.submit(parts)).index

    # --- 10 -----------------------------------------------------------------------------------------------------

    async def _answer(self, verdicts: Sequence[Verdict], outcome: Outcome) -> bytes:
        _, head = _read_back(parse_signed, outcome.head)
        indices = iter(outcome.indices)
        results: list[Result] = []
        for number, verdict in enumerate(verdicts):
            if number % PIECE == 0:
                await asyncio.sleep(0)
            if isinstance(verdict, Refusal):
                results.append(Result(None, verdict.reason))
            else:
                results.append(Result(await self._receipt(next(indices), head.size, outcome.head)))
        return await self._in_thread(EventResults(tuple(results)).encode)

    async def _receipt(self, index: int, size: int, head: bytes) -> bytes:
        try:
            [row] = await self._log.entries(index, index + 1, size)
        except NotFound as error:
            raise StorageError(f"records: {self._log.origin} is said to have an entry {index}") from error
        hashes = await self._log.inclusion(index, size)
        return TlogProof(index, tuple(hashes), head, bytes([EXTRA_ENTRY]) + row).encode()

    def _ran(self, work: asyncio.Task[EventAnswer]) -> None:
        self._running.discard(work)
        if not work.cancelled():
            work.exception()  # whoever asked and went away does not retrieve it

    # --- around all ---------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _alone(self, member: str, seq: int) -> AsyncIterator[None]:
        """Wait until no other request has this number."""
        name = member, seq
        while name in self._busy:
            await self._busy[name].wait()
        done = self._busy[name] = asyncio.Event()
        try:
            yield
        finally:
            del self._busy[name]
            done.set()

    async def _in_thread(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._worker, work, *arguments)

    @contextmanager
    def _storing(self) -> Iterator[None]:
        """End the node when its records fail: what is written after that would be lost."""
        try:
            yield
        except StorageError as error:
            self._on_failure(error)
            raise Unavailable("a store of this log failed; the node restarts", reason="store-failed") from error


def _read_back(parse: Callable[[bytes], T], kept: bytes) -> T:
    """Read what was kept of a request. Where that cannot be done the store is at fault, not who sends it again."""
    try:
        return parse(kept)
    except Malformed as error:
        raise StorageError(f"records: what was kept of a request cannot be read: {error}") from error


def _entries(filed: Filed, batch: EventBatch, verdicts: Sequence[Verdict]) -> list[Parts]:
    """Return the entries of a request. The same for the same record and plan, whenever they are made."""
    record = Submission.parse(filed.record).hash
    parts = []
    for line, (submitted, verdict) in enumerate(zip(batch.events, verdicts, strict=True)):
        if isinstance(verdict, Standing):
            logged = LoggedEvent(submitted.event, record, batch.seq, line, verdict)
            parts.append(EVENTS.parts(event_entry(0, batch.member, logged).encode())[0])
    return parts
