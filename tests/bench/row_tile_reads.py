"""`tile_reads`: full hash tiles of a big log, at random, for each CPU-second of the server."""

from pathlib import Path

from log.merkle.tiles import TILE_BYTES, TILE_WIDTH, Tile
from tests.bench import requests
from tests.bench.cpu import Spent, Watch
from tests.bench.ground import Ground
from tests.bench.load import Load
from tests.bench.node import LOG, Server
from tests.bench.rows import Result
from tests.bench.stats import median, per_million


async def reads(ground: Ground) -> Result:
    """Measure in turn the node and a bare ASGI application that answers with a body of the same length."""
    node = await ground.big_node()
    tiles = [Tile(0, n) for n in range(ground.scale.entries // TILE_WIDTH)]
    tiles += [Tile(1, n) for n in range(len(tiles) // TILE_WIDTH)]
    file = requests.write(ground.folder / "tiles.requests", [requests.get(f"/{LOG}/{tile.path()}") for tile in tiles])
    ours: list[tuple[Load, Spent]] = []
    theirs: list[tuple[Load, Spent]] = []
    server = await node.start()
    try:
        async with ground.bare(TILE_BYTES) as bare:
            await ground.closed(server, file, again=True, seconds=1.0)
            for _ in range(ground.scale.repeats):
                ours.append(await _run(ground, server, file))
                theirs.append(await _run(ground, bare, file))
    finally:
        await server.stop()
    value, limit = median([_per_core(run) for run in ours]), median([_per_core(run) for run in theirs])
    errors = [done.errors for done, _ in (*ours, *theirs) if done.errors]
    walls = ", ".join(f"{done.rate:,.0f}" for done, _ in ours)
    detail = (
        f"{ours[0][0].tool}, {len(tiles)} tiles of {TILE_BYTES} bytes at random; by the wall {walls}/s, alone the tool "
        f"reaches {median([done.rate for done, _ in theirs]):,.0f}/s against bare ASGI; {per_million(value):.0f} us of "
        f"server CPU a read, bare {per_million(limit):.0f} us. {ours[0][1]}"
    )
    if errors:
        return Result(None, limit, f"errors: {'; '.join(errors)}. {detail}")
    return Result(value, limit, detail, f"{per_million(value) - per_million(limit):.0f} us a read above bare ASGI")


async def _run(ground: Ground, server: Server, file: Path) -> tuple[Load, Spent]:
    watch = Watch(server.pid)
    return await ground.closed(server, file, again=True), watch.stop()


def _per_core(run: tuple[Load, Spent]) -> float:
    done, spent = run
    return spent.rate(done.answers)
