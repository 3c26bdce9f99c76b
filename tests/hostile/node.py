"""A node under attack: a real process on real stores, and what must hold of it after each attack."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from log.client.audit import audit
from log.client.http import HttpLog
from log.formats.family import X509
from log.formats.policy import Policy
from tests.support import plain
from tests.support.nodes import World, eventually, unguard, world

RSS_ANON_BYTES = 300 << 20  # of the node's process after an attack; one that was left in peace has about 60 MiB
TILED = 260  # entries: a full tile and a partial one


@dataclass(slots=True)
class Target:
    """The node, and an honest client beside the attackers."""

    world: World
    http: httpx.AsyncClient

    @property
    def url(self) -> str:
        return self.world.site().url

    @property
    def pid(self) -> int:
        return self.world.process().pid

    async def serves(self) -> None:
        """Read and write as an honest client."""
        checkpoint = await self.http.get(f"{self.url}/x509/checkpoint")
        assert checkpoint.status_code == httpx.codes.OK
        await self.world.submits(self.http, 1)

    async def unharmed(self) -> None:
        """Nothing is wrong, nothing is held, and all is still answered."""
        assert self.world.process().returncode is None, self.world.process().tail()
        await self.world.healthy(self.http)
        await self.serves()
        vkeys = [line.vkey for line in Policy.parse(self.world.site().policy("x509").read_bytes()).logs]
        await audit(HttpLog(f"{self.url}/x509", X509, self.http), X509, vkeys)
        assert rss_anon_bytes(self.pid) < RSS_ANON_BYTES
        await self.held_nothing()

    async def held_nothing(self) -> None:
        """Wait until nothing is held any more: that a connection is gone, the node learns in its own time."""

        async def nothing() -> bool:
            return await self.held_bytes() == 0

        await eventually("nothing is held of any body", nothing)

    async def held_bytes(self) -> float:
        text = (await self.http.get(f"{self.url}/metrics")).text
        return float(text.partition("\ntwinlog_http_held_bytes ")[2].partition("\n")[0])

    async def connections(self, count: int) -> None:
        """Wait until so many connections to the node are open, or fewer; the honest client's are among them."""

        async def few() -> bool:
            return sockets(self.pid) <= count

        await eventually(f"{count} sockets or fewer, now {sockets(self.pid)}", few)


@asynccontextmanager
async def target(folder: Path, limits: dict[str, int], entries: int = 1) -> AsyncIterator[Target]:
    """Start a node with these limits and some entries."""
    # A connection is let go long before the node would: not a race between an honest request and a short limit.
    bounds = httpx.Limits(max_connections=16, keepalive_expiry=0.5)
    async with world(folder, {"stop_timeout_s": 5}, limits) as made, plain.client(limits=bounds) as http:
        unguard(made.site())
        await made.start()
        await made.submits(http, entries)
        yield Target(made, http)
        if made.process().returncode is None:
            await made.reckon(http)


def rss_anon_bytes(pid: int) -> int:
    """Return the memory of a process that no file stands behind."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.partition("RssAnon:")[2].split()[0]) << 10


def sockets(pid: int) -> int:
    """Return how many sockets a process has open."""
    folder = Path(f"/proc/{pid}/fd")
    count = 0
    for entry in folder.iterdir():
        try:
            count += str(entry.readlink()).startswith("socket:")
        except FileNotFoundError:  # closed since it was listed
            continue
    return count
