"""What the rows of one run share: a folder, how much of everything, a big log, the bare server."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from log import main
from log.demo.processes import Process
from log.formats.family import Parts, x509_parts
from log.sequencer.clock import SystemClock
from tests.bench import load
from tests.bench.load import Load
from tests.bench.monitor import Reached
from tests.bench.node import LOG, LoneNode, Server
from tests.bench.requests import Chains


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of everything."""

    seconds: float = 10.0  # of one measurement
    repeats: int = 3  # measurements of a rate; the median counts
    entries: int = 1_000_000  # of the big log
    few_entries: int = 100_000  # of the log that it is compared with
    entry_bytes: int = 1500  # its certificates with what stands around them
    judged_entries: int = 50_000  # certificates that a monitor judges
    connections: int = 256  # of a closed loop
    rate: float = 1000.0  # requests a second of the latency row
    calm_rate: float = 100.0  # of those who submit beside a storm
    vouch_rate: float = 100.0
    vouch_seconds: float = 60.0


@dataclass(slots=True)
class Ground:
    """One run's folder and what was made in it."""

    folder: Path
    scale: Scale = field(default_factory=Scale)
    chains: Chains = field(default_factory=Chains)
    fill_rate: float = 0.0  # entries a second at which the big log was filled
    followed: Reached | None = None  # what it took a monitor to follow the big log, once it has
    _big: LoneNode | None = None

    async def empty_node(self, name: str, *chains: Chains) -> LoneNode:
        """Make a new node of its own that admits these chains, or else `self.chains`."""
        node = LoneNode(self.folder / name)
        await node.create(*(each.root for each in chains or (self.chains,)))
        return node

    async def node_of(self, name: str, entries: int) -> LoneNode:
        """Make a new node whose log holds so many entries, put in through its sequencer."""
        node = await self.empty_node(name)
        await fill(node, entries, self.scale.entry_bytes)
        return node

    async def big_node(self) -> LoneNode:
        """Return the stopped node whose log is big, filled through the sequencer when it is first asked for."""
        if self._big is None:
            began = time.monotonic()
            self._big = await self.node_of("big", self.scale.entries)
            self.fill_rate = self.scale.entries / (time.monotonic() - began)
        return self._big

    @asynccontextmanager
    async def bare(self, size: int) -> AsyncIterator[Server]:
        """Run the bare server with a body of `size` bytes."""
        output = self.folder / "bare.out"
        server = await Server.start(Process("tests.bench.bare", [str(size)], output), output)
        try:
            yield server
        finally:
            await server.stop()

    async def closed(
        self,
        server: Server,
        requests: Path,
        *,
        again: bool,
        seconds: float | None = None,
        connections: int | None = None,
    ) -> Load:
        """Load a server in a closed loop for one measurement."""
        return await load.closed(
            server.port,
            requests,
            again=again,
            connections=connections or self.scale.connections,
            seconds=seconds or self.scale.seconds,
        )


async def fill(node: LoneNode, entries: int, entry_bytes: int) -> None:
    """Put distinct entries through a stopped node's own sequencer, in this process."""
    issuers = (b"an issuer's certificate", b"a root's certificate")
    blobs = tuple((sha256(issuer).digest(), issuer) for issuer in issuers)
    chain = [digest for digest, _ in blobs]
    settings = node.settings
    opened = await main.build(settings, SystemClock(), "http://127.0.0.1")
    await opened.start()
    hosted = opened.logs[LOG]
    step = settings.limits.batch_entries
    around = len(x509_parts(b"", chain).head + x509_parts(b"", chain).tail) + 18  # timestamp and extensions

    def parts() -> Parts:
        return x509_parts(os.urandom(entry_bytes - around), chain)

    starts = iter(range(0, entries, step))

    async def feed() -> None:
        for start in starts:
            count = min(step, entries - start)
            await asyncio.gather(*(hosted.submit(parts(), blobs) for _ in range(count)))

    await asyncio.gather(feed(), feed())  # two, so that one batch is made ready while the other is committed
    await opened.stop()
