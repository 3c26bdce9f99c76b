"""Rows against real servers and a real `twinlog-monitor run`: a process, sockets, and time as it is.

The scripts are those of the table. A round is over when the monitor has asked the log twice more; limits are short, so
that what takes minutes takes seconds here.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from log.evidence.heads import Kind
from monitor import main, settings
from monitor.store import KeptAlert, Store
from tests.catalogue.harness import Case, P, Row, vouched
from tests.monitor.conftest import Monitor
from tests.support.forked import Program
from tests.support.lying_world import World, served

CHECKOUT = Path(__file__).resolve().parents[2]
WAIT_S = 180.0
LIMITS = """
request_s = 1.0
retry_after_s = 0.5
survey_s = 0.3
refresh_s = 0.3
backoff_s = 0.5
stale_s = 0.5
head_warn_s = 12.0
head_alarm_s = 13.0
degraded_s = 3.0
"""


@dataclass
class RealCase(Case):
    """The same nodes on sockets, and a monitor that is a process."""

    process: Program | None = None
    begun: int = 0  # alerts up to this one are not of the row

    @property
    def store(self) -> Store:
        assert self.monitor.store is not None
        return self.monitor.store

    def alerts(self, *, lasting: bool = False) -> list[KeptAlert]:
        """Those since the fault began; what rules say of entries that are no certificates is another matter."""
        found = super().alerts(lasting=lasting)
        return [kept for kept in found if kept.seq > self.begun and not kept.alert.key.startswith("rule ")]

    async def round(self) -> None:
        """Wait until it has asked the log twice more."""
        asked = self._asked()
        await self.until("another look", lambda: self._asked() >= asked + 2)

    def _asked(self) -> int:
        return sum(each.startswith(f"GET /{self.truth.name}/checkpoint") for each in self.world.hk.seen)

    async def until(self, what: str, holds: Callable[[], bool]) -> None:
        """Wait; the process must live."""
        end = time.monotonic() + WAIT_S
        while not holds():
            assert self.process is not None
            assert self.process.returncode is None, "the monitor has ended"
            assert time.monotonic() < end, f"{what}: {[(kept.alert, kept.ended_ms) for kept in self.alerts()]}"
            await asyncio.sleep(0.02)

    def is_about(self, kept: KeptAlert) -> bool:
        """Say whether an alert is about the log that misbehaves."""
        return kept.alert.subject == self.truth.origin

    def all_vouched(self) -> bool:
        """Say whether every log is vouched for to its last entry, and nothing is wrong but what was proven."""
        lasting = {kept.alert.cls for kept in self.alerts(lasting=True)}
        return all(map(vouched, self.world.logs)) and lasting <= {P}


@asynccontextmanager
async def running(folder: Path, number: int) -> AsyncIterator[RealCase]:
    """Yield two nodes and a monitor at work, and nothing wrong."""
    world = World(main.now_ms)
    await world.begin()
    with served(world.nodes) as urls:
        path = world.write(folder, urls, "poll_s = 0.05\n", LIMITS)
        loaded = settings.load(path)
        main.create_state(loaded)
        words = ["monitor", "run", "--settings", str(path)]
        async with world.client() as client:
            case = RealCase(Monitor(world, path, client), number, real=True)
            case.monitor.store = Store.read(loaded.state)
            with Program(words, folder / "lines") as case.process:
                await case.until("all is well", case.all_vouched)
                yield case
                assert case.process.returncode is None, "the monitor has ended"
            case.monitor.stop()


async def play(case: RealCase, row: Row) -> None:
    """Play a row, and ask of the monitor what is asked in every row.

    On a busy machine an answer may be late, and a head may change on the way: what is slow, and is over, is no matter.
    """
    case.begun = max((kept.seq for kept in case.store.alerts()), default=0)
    held = case.size(case.truth)

    def told() -> bool:
        return case.codes().get(row.code) is row.cls

    async for _ in row.script(case):
        await case.round()
        assert row.moves or case.size(case.truth) == held, "moved on what does not verify"
        if row.step_ms > 1_000:  # what takes its time
            await case.until("the alert", told)
    await case.until("the alert", told)
    other = case.world.gd_x509
    for followed in (case.truth, other):
        followed.add(600)  # beyond whatever else was signed: only data settle that
        await followed.sign()
    await case.until("they are followed", lambda: all(case.size(each) == each.size for each in (case.truth, other)))
    await case.until("all is well again", case.all_vouched)
    keys = [kept.alert.key for kept in case.alerts() if kept.alert.code == row.code and case.is_about(kept)]
    assert len(keys) == 1, case.alerts()
    proven = {each.kind for each in case.store.all_evidence()} - {Kind.UNREPRODUCIBLE}
    assert bool(proven) == (row.cls is P), "which of the two heads came first, decides what is proven"
