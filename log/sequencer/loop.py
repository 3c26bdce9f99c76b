"""The one task that sequences a log: commits when there is something, beats when there is nothing.

Group commit adapts itself. A submission that is alone is committed at once; as soon as several come together the
next commit starts `linger_ms` after the last one began, so batches grow with the rate and share a sync. Where
`haste` says so it does not wait for company: while submissions are held back, those that it would wait for do not come.

When a store fails, or the head store says that somebody else writes, the task refuses everything that waits,
remembers the error as `failed` and ends. It never tries again: the process ends and starts anew through
recovery.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import perf_counter

from log.errors import LogError, StateRefused, StorageError, Unavailable
from log.formats.family import Family, Parts
from log.sequencer import dedup
from log.sequencer.clock import Clock
from log.sequencer.commit import Committer
from log.sequencer.gate import Gate
from log.sequencer.head import Published
from log.sequencer.plan import Blob, Submission
from log.sequencer.pool import Placement, Pool, PoolLimits
from log.storage import DataStore, Index
from log.tally import BYTES, Spread

logger = logging.getLogger("twinlog.sequencer")


@dataclass(frozen=True, slots=True)
class SequencerConfig:
    """How one log is paced."""

    linger_ms: int = 10  # least time between the starts of two commits under load
    heartbeat_ms: int = 10_000  # an unchanged head is signed anew after this
    retry_ms: int = 500  # after the gate refused a heartbeat, ask again
    index_sync_ms: int = 1_000  # the index is synced at least this often
    pool: PoolLimits = field(default_factory=PoolLimits)


@dataclass(frozen=True, slots=True)
class Commit:
    """What one commit did, for metrics and log lines."""

    entries: int
    bytes: int  # of their leaves and side files
    seconds: float  # from the moment the batch was taken to the moment its submitters are answered


class Counts:
    """What a sequencer did since the process began."""

    def __init__(self) -> None:
        self.commit_seconds = Spread()
        self.commit_bytes = Spread(BYTES)
        self.entries = 0  # committed
        self.batch = 0  # entries of the newest commit
        self.repeats = {"pool": 0, "index": 0}  # submissions known before, by where they were found
        self.beats = 0  # heads signed anew over an unchanged tree
        self.missed_beats = 0  # heartbeats that the gate refused

    def commit(self, commit: Commit) -> None:
        """Count a commit."""
        self.commit_seconds.add(commit.seconds)
        self.commit_bytes.add(commit.bytes)
        self.entries += commit.entries
        self.batch = commit.entries


class Sequencer:
    """One log's pool and its writer. `submit` may be called by any task, `start` and `stop` by the node."""

    def __init__(
        self,
        origin: str,
        family: Family,
        committer: Committer,
        data: DataStore,
        index: Index,
        gate: Gate,
        clock: Clock,
        config: SequencerConfig,
        report: Callable[[Commit], None] = lambda _: None,
        on_failure: Callable[[LogError], None] = lambda _: None,
        haste: Callable[[], bool] = lambda: False,
    ) -> None:
        self._origin = origin
        self._family = family
        self._committer = committer
        self._data = data
        self._index = index
        self._gate = gate
        self._clock = clock
        self._config = config
        self._report = report
        self._on_failure = on_failure
        self._haste = haste
        self._pool = Pool(config.pool)
        self._looking: dict[bytes, asyncio.Event] = {}  # look-ups under way; one at a time for each key
        self._wake = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        self._unsynced = False  # the index holds keys that are not synced yet
        self._synced_ms = 0
        self._committed_ms = 0  # when the last commit began
        self._crowded = False  # whether it took more than one submission
        self._beat_due_ms = 0  # when the head must be signed again
        self._indexed = self._synced = 0  # entries that the index knows, and that it would know after a crash
        self.counts = Counts()
        self.failed: LogError | None = None
        self.refused: str = ""  # why the last head was not signed, "" when it was

    @property
    def published(self) -> Published:
        """The tree the log stands behind."""
        return self._committer.published

    @property
    def waiting(self) -> int:
        """Submissions in the pool."""
        return len(self._pool)

    @property
    def waiting_bytes(self) -> int:
        """Bytes of the submissions in the pool."""
        return self._pool.waiting_bytes

    @property
    def waiting_limit(self) -> int:
        """Submissions for which the pool has room."""
        return self._config.pool.pool_entries

    @property
    def unindexed(self) -> int:
        """Published entries that the index does not know yet."""
        return self.published.head.size - self._indexed

    @property
    def unsynced(self) -> int:
        """Published entries that a start after a crash would have to index again."""
        return self.published.head.size - self._synced

    @property
    def phase_seconds(self) -> Mapping[str, float]:
        """Seconds that all commits together spent in each of `commit.PHASES`."""
        return self._committer.phase_seconds

    async def recover(self) -> None:
        """Find the tree that counts and bring the index up to it; nothing is signed yet."""
        await self._committer.recover()
        replayed = await dedup.catch_up(self._family, self._data, self._index, self.published.head.size)
        self._indexed = self._synced = self.published.head.size
        fields = {"origin": self._origin, "size": self.published.head.size, "indexed": replayed}
        logger.info("recovered", extra={"fields": fields})

    async def start(self) -> None:
        """Recover, then begin to sequence."""
        await self.recover()
        self.begin()

    def begin(self) -> None:
        """Begin to sequence what `recover` found."""
        self._task = asyncio.create_task(self._run(), name=f"sequencer {self._origin}")

    async def stop(self) -> None:
        """Take nothing more, commit what was taken, answer it, and end. Safe to call twice."""
        self._stopping = True
        self._wake.set()
        if self._task is not None:
            await asyncio.wait([self._task])

    async def submit(self, parts: Parts, key: bytes, blobs: tuple[Blob, ...] = ()) -> Placement:
        """Return the place of the entry with dedup key `key` (32 bytes): its first one, for ever.

        Raises `Unavailable` (pool full, gate closed, stopping, store failed). When this returns, the entry is
        durable, covered by a published head, and findable. What is in the log already is answered also when
        nothing new is taken for want of room.
        """
        self._check_alive()
        self._gate.permit(self._origin)
        while key in self._looking:
            await self._looking[key].wait()
        future = self._pool.join(key)
        if future is None:
            placed = await self._look_up(key)
            if placed is not None:
                self.counts.repeats["index"] += 1
                return placed
            self._check_alive()  # the look-up may have waited; from here to the pool nothing does
            self._gate.admit(self._origin)
            if self._stopping:
                raise Unavailable("the node is stopping", reason="stopping")
            future = self._pool.add(Submission(parts, key, blobs))
            self._wake.set()
        else:
            self.counts.repeats["pool"] += 1
        return await future

    async def placed(self, key: bytes) -> Placement | None:
        """Return the place of the entry with dedup key `key`, waiting for it or published; None when there is none."""
        while key in self._looking:
            await self._looking[key].wait()
        future = self._pool.join(key)
        return await (self._look_up(key) if future is None else future)

    def check_takes(self) -> None:
        """Raise `Unavailable` unless something new would be taken, as far as is known before it comes."""
        self._check_alive()
        self._gate.permit(self._origin)
        self._gate.admit(self._origin)
        if self._stopping:
            raise Unavailable("the node is stopping", reason="stopping")

    def _check_alive(self) -> None:
        if self.failed is not None:
            raise Unavailable("a store of this log failed; the node restarts", reason="store-failed")

    async def _look_up(self, key: bytes) -> Placement | None:
        """Ask the index, alone for this key: two slow look-ups could both miss what one of them goes on to add.

        A key stays in the pool until the index has it, so what is not in the pool now is in the index, or new.
        """
        done = self._looking[key] = asyncio.Event()
        try:
            return await dedup.find(self._family, self._data, self._index, key, self.published.head.size)
        finally:
            del self._looking[key]
            done.set()

    async def _run(self) -> None:
        try:
            while True:
                if len(self._pool):
                    await self._commit()
                elif self._stopping:
                    break
                else:
                    await self._wait()
                await self._keep_house()
            await self._index.sync()
        except (StorageError, StateRefused) as error:
            self._fail(error)
        except Exception as error:
            logger.exception("%s: the sequencer failed", self._origin)
            self._fail(StateRefused(f"sequencer of {self._origin}: {type(error).__name__}"))

    def _fail(self, error: LogError) -> None:
        logger.error("%s: %s", self._origin, error)
        self.failed = error
        self._pool.refuse_all(Unavailable("a store of this log failed; the node restarts", reason="store-failed"))
        self._on_failure(error)

    async def _commit(self) -> None:
        """Take a batch, make it history, index it, answer."""
        if (self._crowded or len(self._pool) > 1) and not self._haste():
            due_ms = self._committed_ms + self._config.linger_ms
            await asyncio.sleep(max(0, due_ms - self._clock.mono_ms()) / 1000)
        self._committed_ms = self._clock.mono_ms()
        begun = perf_counter()
        batch = self._pool.take()
        self._crowded = len(batch) > 1
        first = self.published.head.size
        try:
            published, rows = await self._committer.commit([waiting.submission for waiting in batch])
        except Unavailable as error:
            self._unsigned(error)
            self._pool.refuse(batch, error)
            return
        indexing = perf_counter()
        self._signed()
        timestamp_ms = published.head.timestamp_ms
        # From here the entries are public. Until the index has them, duplicates find them in the pool.
        keys = [(key, index) for index, row in enumerate(rows, first) for key in self._family.keys(row)]
        await self._index.put(keys, published.head.size)
        self._unsynced, self._indexed = True, published.head.size
        self._pool.answer(batch, first, timestamp_ms)
        now = perf_counter()
        self._committer.phase_seconds["index"] += now - indexing
        commit = Commit(len(batch), sum(each.size for each in batch), now - begun)
        self.counts.commit(commit)
        self._report(commit)

    async def _wait(self) -> None:
        """Sleep until a submission comes, or housekeeping is due."""
        due_ms = self._beat_due_ms
        if self._unsynced:
            due_ms = min(due_ms, self._synced_ms + self._config.index_sync_ms)
        self._wake.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), max(0, due_ms - self._clock.mono_ms()) / 1000)

    async def _keep_house(self) -> None:
        """Sync the index and sign the head anew, each when it is due."""
        now_ms = self._clock.mono_ms()
        if self._unsynced and now_ms >= self._synced_ms + self._config.index_sync_ms:
            await self._index.sync()
            self._unsynced, self._synced_ms, self._synced = False, now_ms, self._indexed
        if now_ms >= self._beat_due_ms:
            try:
                await self._committer.heartbeat()
                self._signed()
                self.counts.beats += 1
            except Unavailable as error:
                self._unsigned(error)
                self.counts.missed_beats += 1
                self._beat_due_ms = now_ms + self._config.retry_ms

    def _unsigned(self, error: Unavailable) -> None:
        """Remember why no head was signed, and say so once."""
        if not self.refused:
            logger.warning("no head is signed", extra={"fields": {"origin": self._origin, "reason": error.reason}})
        self.refused = str(error)

    def _signed(self) -> None:
        if self.refused:
            logger.info("heads are signed again", extra={"fields": {"origin": self._origin}})
        self.refused = ""
        self._beat_due_ms = self._clock.mono_ms() + self._config.heartbeat_ms
