"""A node as one object: its logs, its witness, its guard, and the tasks that keep them alive.

`main` builds it, `api` serves it, tests hold it in their hand. A store that fails ends the whole process: the
node refuses what waits, says why in `failure`, and whoever started it lets it begin anew through recovery.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from log.authority import FixedMembers, Members
from log.checking.pool import Pool
from log.crypto.sm2 import sm2_available
from log.errors import LogError, NotFound, StateRefused
from log.node import description
from log.node.actions import Actions
from log.node.disk import Disk, Footprint
from log.node.governance import Governance
from log.node.governed import Governed
from log.node.guard import Guard
from log.node.halts import Halts
from log.node.keeper import Keeper
from log.node.log_list import MIN_MMD_S, log_list_entry
from log.node.pushes import Pushes
from log.node.reading import ChecksReading, NodeReading
from log.node.witness import NodeWitness
from log.service.admission import Admission
from log.service.events import EventIntake
from log.service.intake import CertificateIntake, OpenIntake
from log.service.log import Log, LogStatus
from log.storage import HeadStore

logger = logging.getLogger("twinlog.node")

STALE_BEATS = 3  # a head older than this many heartbeats makes the node unhealthy


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """What a node says of itself."""

    name: str
    public_url: str  # without a final slash
    heartbeat_ms: int


class Node:
    """Everything one process of one side does."""

    def __init__(
        self,
        config: NodeConfig,
        logs: Sequence[Log],
        intakes: Mapping[str, CertificateIntake],
        open_intakes: Mapping[str, OpenIntake],
        witness: NodeWitness,
        guard: Guard,
        halts: Halts,
        heads: HeadStore,
        governance: Sequence[Governance],
        disk: Disk,
        checks: Pool,
        admission: Admission,
        footprint: Footprint,
        keeper: Keeper | None = None,
        governed: tuple[Actions, Governed] | None = None,
        windows: Mapping[str, tuple[int, int] | None] | None = None,
        events: Mapping[str, EventIntake] | None = None,
        members: Members | None = None,
    ) -> None:
        """`windows` are the notAfter dates that logs take, by name, POSIX milliseconds."""
        self._config = config
        self.logs = {hosted.name: hosted for hosted in logs}
        self.intakes = dict(intakes)
        self.open_intakes = open_intakes
        self.events = dict(events or {})
        self._keeper = keeper
        self._windows = dict(windows or {})
        self.witness = witness
        self._guard = guard
        self._halts = halts
        self._heads = heads
        self._governance = governance
        self._governed = governed
        self.members: Members = members or FixedMembers()
        self._disk = disk
        self._checks = checks
        self._admission = admission
        self._footprint = footprint
        self._by_origin = {hosted.origin: hosted for hosted in logs}
        self._pushes = Pushes(self.name, self._by_origin, witness, guard, halts, self.fail)
        self._tasks: list[asyncio.Task[None]] = []
        self._looking: list[asyncio.Task[None]] = []  # tasks that are never cut off in the middle of a look
        self._ended = asyncio.Event()
        self.failure: LogError | None = None

    @property
    def name(self) -> str:
        return self._config.name

    @property
    def version(self) -> str:
        """Of Twinlog, as it is installed."""
        return _version()

    @property
    def actions(self) -> dict[str, Actions]:
        """The actions of governance by the name of their log; none where no genesis is pinned."""
        return {} if self._governed is None else {self._governed[0].log_name: self._governed[0]}

    @property
    def guards(self) -> tuple[str, ...]:
        """Names of the configured guards; without any, nothing protects against a restored image."""
        return tuple(key.name for key in self._guard.keys)

    async def add(self, hosted: Log, intake: CertificateIntake | None, window: tuple[int, int] | None) -> None:
        """Take up a log that came into being while the node runs: start it, then serve it on all routes."""
        await hosted.start()
        await self._checks.start()
        self._by_origin[hosted.origin] = hosted
        self._windows[hosted.name] = window
        if intake is not None:
            self.intakes[hosted.name] = intake
        self.logs[hosted.name] = hosted

    async def start(self) -> None:
        """Recover every log, then begin to sequence. `StateRefused` when any state is not what it must be."""
        await self._halts.load()
        await self.witness.load()
        await self._checks.start()
        for hosted in self.logs.values():
            await hosted.start()
        if self._governed is not None:
            actions, governed = self._governed
            await actions.load()
            await governed.look()
            self._looking.append(asyncio.create_task(self._tend(governed.run, "governed"), name="governed"))
        if self._keeper is not None:
            await self._keeper.look()
            self._looking.append(asyncio.create_task(self._tend(self._keeper.run, "keeper"), name="keeper"))
        self._tasks = [
            asyncio.create_task(self._tend(part.run, "governance"), name=f"governance {self.name}")
            for part in self._governance
        ]

    async def _tend(self, work: Callable[[], Awaitable[None]], what: str) -> None:
        """Wait for a task's work; an error in it ends the node."""
        try:
            await work()
        except LogError as error:
            self.fail(error)
        except Exception as error:
            logger.exception("the %s task failed", what)
            self.fail(StateRefused(f"{what} of {self.name}: {type(error).__name__}"))

    async def stop(self) -> None:
        """Answer what was accepted, let go of every store."""
        for looker in (self._keeper, self._governed and self._governed[1]):
            if looker is not None:
                looker.stop()
        await asyncio.gather(*self._looking)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(intake.close() for intake in self.events.values()))
        await asyncio.gather(*(hosted.stop() for hosted in self.logs.values()))
        await self._checks.stop()
        await self._heads.close()

    def fail(self, error: LogError) -> None:
        """A store failed or contradicts another: this process has to end. The first reason is the one kept."""
        if self.failure is None:
            logger.error("the node stops: %s", error)
            self.failure = error
        self._ended.set()

    async def ended(self) -> None:
        """Return when `fail` was called."""
        await self._ended.wait()

    async def hear_guard(self, raw: bytes) -> dict[str, Any]:
        """Take a guard's push and say what it opened; see `Pushes.hear`."""
        return await self._pushes.hear(raw)

    # --- what the node says of itself -------------------------------------------------------------------------

    def well_known(self) -> dict[str, Any]:
        """Return `/.well-known/twinlog.json`."""
        url = self._config.public_url
        logs = [description.of_log(hosted, url, self._windows.get(hosted.name)) for hosted in self.logs.values()]
        witness = description.of_witness(self.witness, url)
        return {"node": self.name, "version": _version(), "logs": logs, "witness": witness}

    def log_list_entry(self, name: str) -> dict[str, Any]:
        """Return what a CT log list says of a log; `NotFound` unless it holds certificates."""
        hosted = self.logs.get(name)
        key = None if hosted is None else hosted.identity.tree_head
        if key is None:
            raise NotFound("this node has no log of certificates of that name")
        # Entries are merged before their SCT leaves; what may be this old is a head, before /healthz complains.
        mmd_s = max(MIN_MMD_S, STALE_BEATS * self._config.heartbeat_ms // 1000)
        url = f"{self._config.public_url}/{name}"
        return log_list_entry(f"{self.name} {name}", key.key, url, mmd_s, self._windows.get(name))

    def health(self) -> tuple[bool, dict[str, Any]]:
        """Return whether all is well, and the condition of each log."""
        statuses = [hosted.status() for hosted in self.logs.values()]
        awaited = self._awaited()
        problems = [problem for status in statuses if status.name not in awaited for problem in self._problems(status)]
        notes = [
            f"{self.logs[name].origin}: no guard has spoken for it yet; it is {why}" for name, why in awaited.items()
        ]
        if self._keeper is not None:
            problems += self._keeper.problems
            notes += self._keeper.notes
        if self._governed is not None:
            problems += self._governed[1].problems
        problems += [f"{halted.origin}: {halted.why}" for halted in self._halts.all()]
        try:
            self._disk.check()
        except LogError as error:
            problems.append(str(error))
        if not self._checks.working():
            problems.append("no process checks chains now")
        if self.failure is not None:
            problems.append(str(self.failure))
        body = {
            "node": self.name,
            "ok": not problems,
            "problems": problems,
            "notes": notes,
            "disk_free_bytes": self._disk.free_bytes(),
            "sm2": sm2_available(),
            "guards": self.guards,
            "clock_partings": self._guard.partings,
            "logs": [description.of_status(status) for status in statuses],
        }
        return not problems, body

    def _awaited(self) -> dict[str, str]:
        """Return the logs, by name, that no guard has spoken for and that need none yet, with why."""
        if self._keeper is None:
            return {}
        unguarded = [hosted for hosted in self.logs.values() if not self._guard.guarded(hosted.origin)]
        return {hosted.name: why for hosted in unguarded if (why := self._keeper.awaited(hosted))}

    async def reading(self) -> NodeReading:
        """Return the numbers of this moment, for the metrics."""
        running, busy = self._checks.busy
        checks = self._checks
        return NodeReading(
            version=self.version,
            failed=self.failure is not None,
            halted=frozenset(halted.origin for halted in self._halts.all()),
            guard=self._guard.reading(),
            witness=self.witness.reading(),
            checks=ChecksReading(checks.waiting, checks.limit, running, busy, checks.restarts, checks.seconds),
            held=self._admission.held,
            scts={name: intake.scts_signed for name, intake in self.intakes.items()},
            window_ends_ms={name: window[1] for name, window in self._windows.items() if window is not None},
            disk_free_bytes=self._disk.free_bytes(),
            disk_watermark_bytes=self._disk.watermark_bytes,
            store_bytes=await self._footprint.used_bytes(tuple(self.logs)),
        )

    def _problems(self, status: LogStatus) -> list[str]:
        problems = []
        if status.head_age_ms > STALE_BEATS * self._config.heartbeat_ms:
            problems.append(f"{status.origin}: the head is {status.head_age_ms} ms old")
        if not status.guarded:
            problems.append(f"{status.origin}: no guard has spoken since the last start")
        elif status.last_error:
            problems.append(f"{status.origin}: {status.last_error}")
        return problems


def _version() -> str:
    try:
        return version("twinlog")
    except PackageNotFoundError:
        return "unknown"  # run from a checkout that was not installed
