"""What is asked of every row: the right class, one alert, nothing moved, everybody else looked at, and an end.

before    a healthy monitor between two healthy nodes
a round   the world grows a little elsewhere; the monitor looks once; now and then it is a new process
in each   what is verified is a prefix of the true tree; every other log is verified and vouched to its last entry
at last   exactly the alerts that the row names, each raised once, over all rounds and restarts
after     by itself: all is vouched, and what lasted is over, except what stays true, which a person ends
"""

import random
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from log.evidence.check import Pinned, check
from log.evidence.heads import Kind
from log.formats.checkpoint import parse_signed
from log.formats.identity import Identity
from monitor.alert import Class
from monitor.outcome import Finding
from monitor.store import KeptAlert, Store
from tests.monitor.conftest import Monitor
from tests.support.lying_log import LyingLog
from tests.support.lying_world import World

P, S, O, D, M = Class.PROVEN, Class.SUSPECTED, Class.OPERATIONAL, Class.DEGRADED, Class.OWN  # noqa: E741 - its letters

ROUNDS = range(4)  # under a fault: one more than `in_a_row`
RESTARTED = 2  # every so many rounds the monitor is a new process
HEALING = 5  # rounds in which all must be well again
SEED = 0x5EED


@dataclass
class Case:
    """A monitor between two nodes, of which one, or somebody between, is about to misbehave."""

    monitor: Monitor
    number: int
    step_ms: int = 1_000  # between two rounds
    others: list[LyingLog] = field(default_factory=list)  # logs that are nobody's fault
    real: bool = False  # whether both are processes, and time is what it is
    restarts: bool = True  # whether the monitor is a new process now and then
    grows: bool = True  # whether the log may grow after the fault
    found: list[Finding] = field(default_factory=list)  # by the last round
    rounds: int = 0

    def __post_init__(self) -> None:
        self.chance = random.Random(SEED + self.number)
        self.known = list(self.monitor.world.logs)
        self.truth = self.monitor.world.hk_x509  # what the log is when it is honest
        world = self.monitor.world
        self.others = self.others or [each for each in world.logs if each is not self.truth]

    @property
    def world(self) -> World:
        return self.monitor.world

    @property
    def store(self) -> Store:
        if self.monitor.store is None:
            self.monitor.start()
        assert self.monitor.store is not None
        return self.monitor.store

    def now_ms(self) -> int:
        """What time it is in this world."""
        return self.world.clock()

    def serve(self, other: LyingLog) -> None:
        """Serve another log in the place of the true one, under its keys."""
        other.policy = self.truth.policy
        self.world.hk.logs[self.truth.name] = other

    async def grow(self, count: int = 7) -> None:
        """Let the true log grow."""
        self.truth.add(count)
        await self.truth.sign()

    def alerts(self, *, lasting: bool = False) -> list[KeptAlert]:
        """What was told; what `once` says of a whole round besides, to whoever reads its exit code, is left out."""
        return [kept for kept in self.store.alerts(lasting=lasting) if kept.alert.code != "unvouched"]

    def codes(self, *, lasting: bool = False) -> dict[str, Class]:
        return {kept.alert.code: kept.alert.cls for kept in self.alerts(lasting=lasting)}

    def size(self, followed: LyingLog) -> int:
        """How far a log is verified; it must be a prefix of the true one."""
        verified = self.store.verified(followed.origin)
        if verified is None:
            return 0
        assert verified.head.root == followed.root_at(verified.head.size), f"{followed.origin}: moved on a lie"
        return verified.head.size

    async def round(self) -> None:
        """One look at everything; every so often as a new process."""
        if self.monitor.store is None or (self.restarts and self.rounds % RESTARTED == 0):
            self.monitor.stop()
            self.monitor.start()
        self.rounds += 1
        self.world.time_ms += self.step_ms
        assert self.monitor.rounds is not None
        self.found = await self.monitor.rounds.once()

    async def living_round(self, *, signs: bool = True) -> None:
        """A round in which other logs grow, and are followed, whatever happens here."""
        for other in self.others:
            other.add(1)
            await other.sign()
        sizes = [(other, other.size) for other in self.others]
        await self.round()
        for other, size in sizes:
            assert self.size(other) >= size, f"{other.origin} was not looked at: {self.found}"
            assert not signs or (size, other.root_at(size)) in self.monitor.cosigned(other)
        self.size(self.truth)

    async def well(self, what: str) -> None:
        """Go on until nothing is found any more, and every log is vouched for to its last entry."""
        for _ in range(HEALING):
            await self.round()
            if not self.found and all(map(vouched, (self.truth, *self.others))):
                return
        raise AssertionError(f"{what}, but: {self.found}")


Script = Callable[[Case], AsyncIterator[None]]


@dataclass(frozen=True)
class Row:
    """One row of the catalogue."""

    number: int
    fault: str
    cls: Class | None  # of its alert; None for what is no alert at all
    code: str  # of its alert
    script: Script
    kinds: tuple[Kind, ...] = ()  # of evidence that must be there, under keys that a stranger has pinned
    step_ms: int = 1_000
    moves: bool = False  # whether the true tree is still followed under the fault
    signs: bool = True  # whether we go on to cosign the others
    governed: bool = False  # whether the sides have chains of actions
    told: int = 0  # alerts in all, where it is more than one a code
    also: dict[str, Class] = field(default_factory=dict)  # alerts that the same fault brings about besides

    @property
    def alerts(self) -> dict[str, Class]:
        """Everything that is told."""
        return self.also if self.cls is None else {self.code: self.cls, **self.also}


class Theme:
    """The rows of one file."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def row(
        self, number: int, fault: str, cls: Class | None, code: str = "", **more: Any
    ) -> Callable[[Script], Script]:
        """Make a script a row."""

        def made(script: Script) -> Script:
            self.rows.append(Row(number, fault, cls, code, script, **more))
            return script

        return made


def vouched(followed: LyingLog) -> bool:
    """Say whether the witnessed head of a log covers all its entries."""
    return followed.witnessed is not None and parse_signed(followed.witnessed)[1].size == followed.size


async def play(case: Case, row: Row) -> None:
    """Play a row, and ask of the monitor what is asked in every row."""
    print(f"row {row.number}, {row.fault}: seed {SEED + row.number:#x}")
    case.step_ms = 1_000
    await case.well("nothing is wrong yet")
    assert case.alerts() == []
    case.step_ms = row.step_ms
    held = case.size(case.truth)
    async for _ in row.script(case):
        await case.living_round(signs=row.signs)
        assert row.moves or case.size(case.truth) == held, "moved on what does not verify"
    said = [(kept.alert.code, kept.alert.cls) for kept in case.alerts()]
    assert dict(said) == row.alerts, (said, case.found)
    assert len(case.alerts()) == len({kept.alert.key for kept in case.alerts()}), f"told twice: {said}"
    assert len(said) == (row.told or len(row.alerts)), f"more than one alert: {case.alerts()}"
    proven(case, row.kinds)

    case.step_ms = 1_000
    if case.grows:
        await case.grow()
    await case.well("the fault is over")
    assert case.size(case.truth) == case.truth.size, "did not catch up"
    stays = {code for code, cls in row.alerts.items() if cls is P or code == "watch"}  # a fact about an entry
    assert set(case.codes(lasting=True)) == stays
    for kept in case.alerts(lasting=True):
        assert case.store.acknowledge(kept.alert.key, "Ms Chan", case.world.time_ms)
    assert case.alerts(lasting=True) == []
    assert len(case.alerts()) == len(said), f"told again: {case.alerts()}"


def proven(case: Case, kinds: Iterable[Kind]) -> None:
    """Hold all evidence against pinned keys, as a stranger would."""
    logs = [Identity.make(each.origin, each.vkeys) for each in case.known]
    pinned = Pinned(logs, [node.witness.signer.vkey for node in case.world.nodes])
    found = [check(each.object, pinned) for each in case.store.all_evidence()]
    assert {verdict.kind for verdict in found} == set(kinds), found
    assert all(verdict.proven or verdict.kind is Kind.UNREPRODUCIBLE for verdict in found)
