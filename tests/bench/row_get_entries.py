"""`get_entries`: entries of the RFC 6962 read API in the largest answers, for each CPU-second of the server."""

from tests.bench import requests
from tests.bench.cpu import Watch
from tests.bench.ground import Ground
from tests.bench.node import LOG
from tests.bench.rows import Result
from tests.bench.stats import median

ANSWER = 1000  # entries of one answer, the limit's default
ANSWERS = 300  # different ranges that are asked for
BYTES_AS_JSON = 2800  # of an entry in JSON: leaf_input and extra_data in base64, about


async def reads(ground: Ground) -> Result:
    """Measure whole answers from ranges spread over the big log."""
    node = await ground.big_node()
    step = max(1, ground.scale.entries // ANSWER // ANSWERS) * ANSWER
    starts = range(0, ground.scale.entries - ANSWER + 1, step)
    paths = [f"/{LOG}/ct/v1/get-entries?start={start}&end={start + ANSWER - 1}" for start in starts]
    file = requests.write(ground.folder / "get-entries.requests", map(requests.get, paths))
    rates, walls, errors = [], [], []
    server = await node.start()
    try:
        for _ in range(ground.scale.repeats):
            watch = Watch(server.pid)
            done = await ground.closed(server, file, again=True, connections=8)
            rates.append(ANSWER * watch.stop().rate(done.answers))
            walls.append(done)
            errors += [done.errors] if done.errors else []
    finally:
        await server.stop()
    async with ground.bare(ANSWER * BYTES_AS_JSON) as bare:
        watch = Watch(bare.pid)
        alone = await ground.closed(bare, file, again=True, connections=8)
        limit = ANSWER * watch.stop().rate(alone.answers)
    shown = sorted(walls, key=lambda each: each.rate)[(len(walls) - 1) // 2]
    detail = (
        f"{shown.tool}, answers of {ANSWER} entries of {ground.scale.entry_bytes} bytes from {len(starts)} ranges; by "
        f"the wall {shown.rate * ANSWER:,.0f} entries/s, an answer p50 {shown.p50_ms:.0f} ms, p99 {shown.p99_ms:.0f} ms"
    )
    if errors:
        return Result(None, limit, f"errors: {'; '.join(errors)}. {detail}")
    return Result(median(rates), limit, detail)
