"""`add_chain_in_company`: add-chain at 1,000/s while others use the node too, as they do all day.

Beside it run readers of tiles at a fixed rate, and an audit of the whole log from outside, again and again: all on the
same cores. design.md section 7 has a batch of events there too, for which this node has no members.
"""

import asyncio
import sys

from log import keyring
from log.merkle.tiles import TILE_WIDTH, Tile
from log.sequencer.clock import SystemClock
from tests.bench import limits, load, requests
from tests.bench.client import Job, Outcome
from tests.bench.cpu import Watch
from tests.bench.ground import Ground, fill
from tests.bench.node import LOG, ORIGIN, LoneNode, Server
from tests.bench.row_add_chain import WARM_UP_S, at_rate
from tests.bench.rows import Result
from tests.bench.stats import median, percentile

TILES_PER_S = 500.0


async def latency(ground: Ground) -> Result:
    """Measure the 99th percentile at a fixed rate, from the moment at which a request was due."""
    scale = ground.scale
    node = await ground.empty_node("company")
    await fill(node, scale.few_entries, scale.entry_bytes)
    server = await node.start()
    stop = asyncio.Event()
    seconds = 2 * scale.seconds
    around_s = seconds + 2 * load.START_S  # longer at both ends than what is measured
    try:
        await at_rate(ground, server, ground.chains, scale.rate, WARM_UP_S)
        watch = Watch(server.pid)
        auditing = asyncio.create_task(_audits(node, server, stop))
        outcome, read = await asyncio.gather(
            at_rate(ground, server, ground.chains, scale.rate, seconds),
            _tiles(ground, server, around_s),
        )
        spent = watch.stop()
        stop.set()
        audits = await auditing
    finally:
        await server.stop()
    limit = limits.commit_ms(ground.folder)
    beside = f"{TILES_PER_S:,.0f} tile reads/s and {audits} audits of {scale.few_entries:,} entries and more"
    errors = outcome.errors + read.errors
    if errors or not outcome.latencies_ms:
        return Result(None, limit, f"beside {beside}; errors: {load.describe(errors)}. {spent}")
    taken = outcome.latencies_ms
    detail = (
        f"open loop at {scale.rate:,.0f}/s beside {beside}. {len(taken):,} answers, p50 {median(taken):.1f} ms, p99.9 "
        f"{percentile(taken, 99.9):.1f} ms, max {max(taken):.1f} ms. {spent}"
    )
    return Result(percentile(taken, 99), limit, detail, f"all of them share the cores ({spent})")


async def _tiles(ground: Ground, server: Server, seconds: float) -> Outcome:
    paths = [f"/{LOG}/{Tile(0, n).path()}" for n in range(ground.scale.few_entries // TILE_WIDTH)]
    count = int(TILES_PER_S * seconds)
    file = requests.write(
        ground.folder / "company.requests", [requests.get(paths[n % len(paths)]) for n in range(count)]
    )
    return await load.spread(Job(server.port, str(file), connections=64, seconds=seconds, rate=TILES_PER_S))


async def _audits(node: LoneNode, server: Server, stop: asyncio.Event) -> int:
    """Audit the log from outside until it is enough; return how many audits found all in order."""
    vkeys = keyring.public_keys(node.settings, SystemClock())[ORIGIN]
    command = [sys.executable, "-m", "log", "audit", f"http://127.0.0.1:{server.port}/{LOG}"]
    count = 0
    while not stop.is_set():
        process = await asyncio.create_subprocess_exec(
            *command, *(word for vkey in vkeys for word in ("--vkey", vkey)), stdout=asyncio.subprocess.DEVNULL
        )
        if await process.wait():
            raise AssertionError("an audit found something amiss")
        count += 1
    return count
