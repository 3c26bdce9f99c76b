"""`proof_reads`: inclusion proofs by leaf hash over a big log, at random, for each CPU-second of the server."""

import random
from urllib.parse import quote

from log import state
from log.formats.text import b64encode
from log.merkle.hashing import split_hashes
from log.merkle.tiles import TILE_WIDTH
from tests.bench import requests
from tests.bench.cpu import Watch
from tests.bench.ground import Ground
from tests.bench.node import LOG, LoneNode
from tests.bench.rows import Result
from tests.bench.stats import median, per_million

TILES = 4000  # tiles out of which leaves are asked for, spread over the log
EACH = 10  # leaves of a tile
PROOF_BYTES = 1200  # about twenty hashes in JSON, for the bare server's answer


async def reads(ground: Ground) -> Result:
    """Measure get-proof-by-hash, after the server has seen every tile once."""
    node = await ground.big_node()
    size = await node.size()
    hashes = await _leaves(node, size)
    paths = [
        f"/{LOG}/ct/v1/get-proof-by-hash?hash={quote(b64encode(each), safe='')}&tree_size={size}" for each in hashes
    ]
    file = requests.write(ground.folder / "proofs.requests", map(requests.get, paths))
    rates, walls, errors = [], [], []
    server = await node.start()
    try:
        first = await ground.closed(server, file, again=False, seconds=ground.scale.seconds)
        for _ in range(ground.scale.repeats):
            watch = Watch(server.pid)
            done = await ground.closed(server, file, again=True)
            rates.append(watch.stop().rate(done.answers))
            walls.append(done)
            errors += [done.errors] if done.errors else []
    finally:
        await server.stop()
    async with ground.bare(PROOF_BYTES) as bare:
        watch = Watch(bare.pid)
        alone = await ground.closed(bare, file, again=True)
        limit = watch.stop().rate(alone.answers)
    value = median(rates)
    shown = sorted(walls, key=lambda each: each.rate)[(len(walls) - 1) // 2]
    detail = (
        f"{shown.tool}, {len(hashes):,} leaves of {size:,} at random, tree_size the whole; by the "
        f"wall {shown.rate:,.0f}/s, p50 {shown.p50_ms:.1f} ms, p99 {shown.p99_ms:.1f} ms; {per_million(value):.0f} us "
        f"of CPU each, bare {per_million(limit):.0f} us; before any tile was remembered {first.rate:,.0f}/s"
    )
    if errors:
        return Result(None, limit, f"errors: {'; '.join(errors)}. {detail}")
    return Result(value, limit, detail, f"{per_million(value) - per_million(limit):.0f} us a proof above bare ASGI")


async def _leaves(node: LoneNode, size: int) -> list[bytes]:
    chosen = random.Random(1)
    tiles = [chosen.randrange(size // TILE_WIDTH) for _ in range(TILES)]
    found: list[bytes] = []
    async for stored in state.stopped_logs(node.settings):
        for n in tiles:
            hashes = await stored.reader.hashes(0, n * TILE_WIDTH, (n + 1) * TILE_WIDTH, size)
            found += chosen.sample(split_hashes(hashes), EACH)
    chosen.shuffle(found)
    return found
