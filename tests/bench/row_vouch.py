"""`vouch_p99`: from an SCT to the head, vouched for by both sides, that covers it. A real pair with its monitor."""

import asyncio
import bisect
import json
import time
from collections.abc import Sequence

import httpx

from log.demo.deployment import SIDES, Anchors, Deployment, NodeSite
from log.demo.processes import Process
from log.formats.checkpoint import parse_signed
from log.formats.sct import SCT
from tests.bench import limits, load, requests
from tests.bench.client import Job, Outcome
from tests.bench.ground import Ground
from tests.bench.rows import Result
from tests.bench.stats import median, percentile

POLL_S = 0.02
KEEP = 10  # of every so many SCTs one is followed
PATIENCE_S = 30.0  # for guards at the start, and for the last head at the end

Sight = tuple[float, int]  # monotonic moment, size of the witnessed head


async def vouched(ground: Ground) -> Result:
    """Submit to one node at a moderate rate; watch its witnessed head."""
    scale = ground.scale
    deployment = Deployment(ground.folder / "pair")
    await deployment.create({side: Anchors((ground.chains.root,)) for side in SIDES})
    processes = [
        Process("log", ["serve", "--settings", str(site.settings)], ground.folder / f"{side}.out")
        for side, site in deployment.sites.items()
    ]
    monitor = Process("monitor", ["run", "--settings", str(deployment.monitor_settings)], ground.folder / "monitor.out")
    count = int(scale.vouch_rate * scale.vouch_seconds) + load.CLIENTS
    file = requests.write(ground.folder / "vouch.requests", ground.chains.requests(count))
    try:
        await asyncio.gather(*(process.start("listening on") for process in processes))
        await monitor.start("")
        outcome, sights = await _follow(ground, deployment.sites["hk"], str(file))
    finally:
        await asyncio.gather(*(process.stop() for process in (monitor, *processes)))
    tool = (
        f"own raw-socket client, open loop at {scale.vouch_rate:,.0f}/s for {scale.vouch_seconds:.0f} s, to one of two "
        f"nodes with one monitor for both; the witnessed head polled every {POLL_S * 1000:.0f} ms"
    )
    limit = limits.commit_ms(ground.folder) / 1000
    if outcome.errors:
        return Result(None, limit, f"{tool}. errors: {load.describe(outcome.errors)}")
    waits = waits_s([(moment, _index(body)) for moment, body in outcome.kept], sights)
    if waits is None or not waits:
        return Result(None, limit, f"{tool}. not every SCT was covered by a witnessed head in time")
    detail = (
        f"{tool}. {len(waits)} SCTs followed: p50 {median(waits):.2f} s, max {max(waits):.2f} s; "
        f"{len(sights)} witnessed heads seen; add-chain p99 {percentile(outcome.latencies_ms, 99):.0f} ms"
    )
    return Result(
        percentile(waits, 99), limit, detail, "not told apart here: the node, the rounds of the monitor, the other node"
    )


def waits_s(promises: Sequence[Sight], sights: Sequence[Sight]) -> list[float] | None:
    """Return for each (moment, index) how long until a sight of a head that covers it; None if there was none.

    A head seen before the answer came covers it at once.
    """
    sizes = [size for _, size in sights]
    waits = []
    for moment, index in promises:
        at = bisect.bisect_right(sizes, index)  # the first head with a size over the index
        if at == len(sights):
            return None
        waits.append(max(0.0, sights[at][0] - moment))
    return waits


def _index(body: str) -> int:
    return SCT.from_json(json.loads(body)).index


async def _follow(ground: Ground, site: NodeSite, file: str) -> tuple[Outcome, list[Sight]]:
    """Run the load while polling the witnessed head, and go on until that covers everything."""
    scale = ground.scale
    sights: list[Sight] = []
    job = Job(site.port, file, connections=64, seconds=scale.vouch_seconds, rate=scale.vouch_rate, keep=KEEP)
    async with httpx.AsyncClient() as client:
        await _open(client, site)
        loading = asyncio.create_task(load.spread(job))
        last = -1
        give_up = float("inf")
        while time.monotonic() < give_up:
            answer = await client.get(f"{site.url}/x509/checkpoint/witnessed")
            if answer.status_code == 200:
                size = parse_signed(answer.content)[1].size
                if size > last:
                    sights.append((time.monotonic(), size))
                    last = size
            if loading.done():
                give_up = min(give_up, time.monotonic() + PATIENCE_S)
                if last >= len(loading.result().latencies_ms):
                    break
            await asyncio.sleep(POLL_S)
    return await loading, sights


async def _open(client: httpx.AsyncClient, site: NodeSite) -> None:
    """Wait until the node's logs are guarded and the first head of the log is witnessed."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            health = (await client.get(f"{site.url}/healthz")).json()
            if all(log["guarded"] and log["witnessed_size"] is not None for log in health["logs"]):
                return
            await asyncio.sleep(0.1)
