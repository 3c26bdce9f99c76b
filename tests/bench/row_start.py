"""`start_1m` and `memory_1m`: how long a node with a big log takes to listen, and what it holds under load."""

import time

from log.api.limits import HttpLimits, Lane
from log.merkle.tiles import TILE_WIDTH, Tile
from tests.bench import cpu, requests, row_add_chain
from tests.bench.ground import Ground
from tests.bench.node import LOG
from tests.bench.rows import Result
from tests.bench.stats import median

STARTS = 5


async def start(ground: Ground) -> Result:
    """Measure from the start of the process to the line that says where it listens."""
    node = await ground.big_node()
    times, bare = [], []
    for _ in range(STARTS):
        began = time.perf_counter()
        server = await node.start()
        times.append(time.perf_counter() - began)
        await server.stop()
        began = time.perf_counter()
        async with ground.bare(1):
            bare.append(time.perf_counter() - began)
    detail = (
        f"{await node.size():,} entries; median of {', '.join(f'{each:.2f}' for each in times)} s; bare: interpreter, "
        f"uvicorn and the imports of a handler"
    )
    return Result(median(times), median(bare), detail, "the interpreter and its imports stand for most of it")


async def memory(ground: Ground) -> Result:
    """Measure anonymous memory of a node and its checking process after submissions, tiles and entries."""
    node = await ground.big_node()
    chosen = range(0, ground.scale.entries // TILE_WIDTH, 3)
    tiles = [requests.get(f"/{LOG}/{Tile(0, n).path()}") for n in chosen]
    bodies = [requests.get(f"/{LOG}/tile/data/{Tile(0, n).path().removeprefix('tile/0/')}") for n in chosen]
    server = await node.start()
    try:
        at_first = cpu.anonymous_mb(server.pid)
        done, _ = await row_add_chain.run(
            ground, server, ground.chains, ground.scale.seconds / 2, row_add_chain.AHEAD_PER_S
        )
        for some in (tiles, bodies):
            file = requests.write(ground.folder / "memory.requests", some)
            # No more readers than a lane has places: those that are refused hold nothing.
            readers = min(ground.scale.connections, HttpLimits().places(Lane.ENTRIES))
            loaded = await ground.closed(
                server, file, again=True, seconds=ground.scale.seconds / 2, connections=readers
            )
            if loaded.errors:
                return Result(None, None, f"errors: {loaded.errors}")
        held = cpu.anonymous_mb(server.pid)
    finally:
        await server.stop()
    async with ground.bare(1) as bare:
        limit = cpu.anonymous_mb(bare.pid)
    detail = (
        f"RssAnon of node and checking process with {await node.size():,} entries in one log, after {done.requests:,} "
        f"submissions, hash tiles and data tiles at full speed; {at_first:.0f} MB after the start"
    )
    return Result(held, limit, detail, "see the limits on caches in log/README.md")
