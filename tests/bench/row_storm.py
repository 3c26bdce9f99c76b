"""`storm_p99`: how long others wait while one issuer submits as fast as it is answered, against how long without it.

The storm is a closed loop of one issuer, the others an open loop of another issuer at a fixed rate, all from one
address: what tells them apart is the issuer alone. Every limit has its default, under which the storm may take what
the machine has.
"""

import asyncio
from collections.abc import Sequence

from tests.bench import load, requests
from tests.bench.client import Job, Outcome
from tests.bench.ground import Ground
from tests.bench.node import Server
from tests.bench.requests import Chains
from tests.bench.row_add_chain import AHEAD_PER_S, ALONE, WARM_UP_S
from tests.bench.rows import Result
from tests.bench.stats import median, percentile


async def others(ground: Ground) -> Result:
    """Measure the others' 99th percentile in calm and in storm, in turn, each as often."""
    calm, storm = Chains(), Chains()
    node = await ground.empty_node("storm", calm, storm)
    server = await node.start()
    without: list[Outcome] = []
    within: list[Outcome] = []
    storms: list[load.Load] = []
    try:
        await _others(ground, server, calm, WARM_UP_S)
        await _storm(ground, server, storm, WARM_UP_S)  # from here on its claim is known
        for _ in range(ground.scale.repeats):
            without.append(await _others(ground, server, calm, ground.scale.seconds))
            outcome, raged = await asyncio.gather(
                _others(ground, server, calm, ground.scale.seconds),
                # Longer at both ends than what it is to disturb.
                _storm(ground, server, storm, ground.scale.seconds + 2 * load.START_S),
            )
            within.append(outcome)
            storms.append(raged)
    finally:
        await server.stop()
    calm_ms, storm_ms = _p99(without), _p99(within)
    rates = ", ".join(f"{raged.rate:,.0f}" for raged in storms)
    detail = (
        f"others at {ground.scale.calm_rate:,.0f}/s: p99 {storm_ms or 0:.1f} ms in a storm that got {rates} answers/s "
        f"({storms[0].tool}), {calm_ms or 0:.1f} ms without; medians of {ground.scale.repeats}; {ALONE}"
    )
    errors = load.describe(load.merged(without + within).errors)
    if errors or calm_ms is None or storm_ms is None:
        return Result(None, None, f"errors: {errors or 'no answers'}. {detail}")
    return Result(storm_ms / calm_ms, 1.0, detail)


def _p99(outcomes: Sequence[Outcome]) -> float | None:
    taken = [percentile(outcome.latencies_ms, 99) for outcome in outcomes if outcome.latencies_ms]
    return median(taken) if taken else None


async def _others(ground: Ground, server: Server, chains: Chains, seconds: float) -> Outcome:
    rate = ground.scale.calm_rate
    file = requests.write(ground.folder / "calm.requests", chains.requests(int(rate * seconds) + load.CLIENTS))
    return await load.spread(
        Job(server.port, str(file), connections=ground.scale.connections, seconds=seconds, rate=rate)
    )


async def _storm(ground: Ground, server: Server, chains: Chains, seconds: float) -> load.Load:
    count = int(AHEAD_PER_S * seconds) + 2 * ground.scale.connections
    file = requests.write(ground.folder / "storm.requests", chains.requests(count))
    return await ground.closed(server, file, again=False, seconds=seconds)
