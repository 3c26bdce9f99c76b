"""What waits for the next commit: bounded, in order, each submission once.

Two submissions with one dedup key share one place; each submitter has a future of its own, so that one who goes
away takes nothing from the other. A full pool is an answer (`Unavailable`), never a queue that grows. Only the event
loop touches a pool.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from log.errors import LogError, Unavailable
from log.sequencer.plan import Submission

ANSWERED_AT_ONCE = 16  # submissions of a batch, before whatever else the event loop has to do


@dataclass(frozen=True, slots=True)
class Placement:
    """Where an entry stands: `index` in the log, and the `timestamp_ms` in its leaf."""

    index: int
    timestamp_ms: int


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """Bounds of what may wait, and of what one commit takes."""

    pool_entries: int = 4096  # submissions waiting
    pool_bytes: int = 64 << 20  # bytes of their leaves and side files
    batch_entries: int = 1024  # submissions of one commit
    batch_bytes: int = 16 << 20  # bytes of one commit


@dataclass(frozen=True, slots=True)
class Waiting:
    """One submission with a future for each of its submitters."""

    submission: Submission
    size: int  # bytes
    futures: list[asyncio.Future[Placement]]


class Pool:
    """First in, first out."""

    def __init__(self, limits: PoolLimits) -> None:
        self._limits = limits
        self._waiting: dict[bytes, Waiting] = {}
        self._taken: dict[bytes, Waiting] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def waiting_bytes(self) -> int:
        """Bytes of what waits: leaves and side files."""
        return self._bytes

    def join(self, key: bytes) -> asyncio.Future[Placement] | None:
        """Return a future of a submission that waits or is being committed, or None."""
        held = self._waiting.get(key) or self._taken.get(key)
        if held is None:
            return None
        future: asyncio.Future[Placement] = asyncio.get_running_loop().create_future()
        held.futures.append(future)
        return future

    def add(self, submission: Submission) -> asyncio.Future[Placement]:
        """Queue a submission whose key is not here yet. `Unavailable` when the pool is full."""
        size = len(submission.parts.head) + len(submission.parts.tail)
        for _, data in submission.blobs:
            size += len(data)
        if len(self._waiting) >= self._limits.pool_entries or self._bytes + size > self._limits.pool_bytes:
            raise Unavailable("the pool is full", reason="pool-full")
        future: asyncio.Future[Placement] = asyncio.get_running_loop().create_future()
        self._waiting[submission.key] = Waiting(submission, size, [future])
        self._bytes += size
        return future

    def take(self) -> list[Waiting]:
        """Take the next batch out of the queue; its keys stay findable until `answer` or `refuse`."""
        batch: list[Waiting] = []
        batch_bytes = 0
        for waiting in self._waiting.values():
            if len(batch) >= self._limits.batch_entries:
                break
            if batch and batch_bytes + waiting.size > self._limits.batch_bytes:
                break
            batch.append(waiting)
            batch_bytes += waiting.size
        for waiting in batch:
            del self._waiting[waiting.submission.key]
            self._taken[waiting.submission.key] = waiting
        self._bytes -= batch_bytes
        return batch

    def answer(self, batch: Sequence[Waiting], first_index: int, timestamp_ms: int) -> None:
        """Tell everyone who waits for this batch where their entry stands.

        A few now, the others in the next rounds of the event loop: a batch that is answered as one holds up the
        steps of the next commit and everyone else.
        """
        for waiting in batch:
            self._taken.pop(waiting.submission.key, None)  # whoever comes now finds the entry
        self._answer(batch, first_index, timestamp_ms)

    def _answer(self, batch: Sequence[Waiting], first_index: int, timestamp_ms: int) -> None:
        for index, waiting in enumerate(batch[:ANSWERED_AT_ONCE], first_index):
            placement = Placement(index, timestamp_ms)
            for future in waiting.futures:
                if not future.done():
                    future.set_result(placement)
        if rest := batch[ANSWERED_AT_ONCE:]:
            loop = asyncio.get_running_loop()
            loop.call_soon(self._answer, rest, first_index + ANSWERED_AT_ONCE, timestamp_ms)

    def refuse(self, batch: Iterable[Waiting], error: LogError) -> None:
        """Tell everyone who waits for this batch why it did not become history."""
        for waiting in batch:
            self._taken.pop(waiting.submission.key, None)
            for future in waiting.futures:
                if not future.done():
                    future.set_exception(error)
                    future.exception()  # a submitter that went away is no unretrieved error

    def refuse_all(self, error: LogError) -> None:
        """Empty the pool, queue and batch in flight alike."""
        batch = [*self._taken.values(), *self._waiting.values()]
        self._waiting.clear()
        self._bytes = 0
        self.refuse(batch, error)
