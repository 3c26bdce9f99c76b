"""A monitor in this process between two nodes in this process."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from log.formats.checkpoint import parse_signed
from log.formats.note import VKey
from monitor import keyring, main, settings
from monitor.copy.folder import Copies
from monitor.crew import Crew
from monitor.outcome import Finding, Outcome, worst
from monitor.rounds import Rounds
from monitor.sources import Further, nobody
from monitor.store import Store
from monitor.watch import Watch
from tests.support.lying_log import LyingLog
from tests.support.lying_world import World


@dataclass
class Monitor:
    """A monitor that can be stopped and started again on the same state."""

    world: World
    path: Path  # of the settings
    client: httpx.AsyncClient
    limits: str = ""
    further: Further = nobody
    store: Store | None = None
    rounds: Rounds | None = None
    assembled: main.Monitor | None = None
    copies: Copies | None = None  # None: nothing is copied
    outside: Mapping[str, httpx.AsyncClient] = field(default_factory=dict)  # by egress
    wall: Callable[[], int] | None = None  # our clock, where it is not the world's

    @property
    def app(self) -> FastAPI:
        """What the monitor that was started last serves."""
        assert self.assembled is not None
        return self.assembled.app

    @property
    def key(self) -> VKey:
        return keyring.load(settings.load(self.path)).witness.vkey

    def start(self) -> Rounds:
        loaded = settings.load(self.path)
        signing = keyring.load(loaded)
        self.store = Store.open(loaded.state, signing.witness.vkey.encode(), 10_000)
        made = main.assemble(
            loaded,
            signing,
            self.store,
            self.client,
            self.wall or self.world.clock,
            lambda: self.world.time_ms / 1000,
            outside=self.outside,
            further=self.further,
            copies=self.copies,
        )
        self.assembled, self.rounds = made, made.rounds
        return self.rounds

    def stop(self) -> None:
        if self.store is not None:
            self.store.close()
            self.store = None

    async def once(self) -> tuple[Outcome, list[Finding]]:
        """One `run --once`: a process of its own, as far as state goes."""
        self.stop()
        self.world.time_ms += 1_000
        findings = await self.start().once()
        return worst(finding.outcome for finding in findings), findings

    @property
    def crew(self) -> Crew:
        assert self.assembled is not None
        return self.assembled.crew

    def watch(self, followed: LyingLog) -> Watch:
        [found] = [watch for watch in self.crew.watches if watch.log.origin == followed.origin]
        return found

    def held(self, followed: LyingLog) -> tuple[object, object]:
        """What must not move under a fault: the verified position and the head that we cosigned."""
        assert self.store is not None
        return self.store.verified(followed.origin), self.store.witness(followed.origin)

    def cosigned(self, followed: LyingLog) -> list[tuple[int, bytes]]:
        """Every (size, root) of a log that bears a cosignature of ours, wherever it was handed to."""
        notes = list(followed.handed) + [raw for node in self.world.nodes for push in node.pushes for raw in push.own]
        found, key = [], self.key
        for raw in notes:
            note, checkpoint = parse_signed(raw)
            if checkpoint.origin == followed.origin and any(key.owns(line) for line in note.signatures):
                found.append((checkpoint.size, checkpoint.root))
        return found


@pytest.fixture
async def monitor(tmp_path: Path) -> AsyncIterator[Monitor]:
    world = World()
    await world.begin()
    path = world.write(tmp_path, {"hk": "http://hk", "gd": "http://gd"}, limits="request_s = 60\n")
    main.create_state(settings.load(path))
    async with world.client() as client:
        monitor = Monitor(world, path, client)
        yield monitor
        monitor.stop()
