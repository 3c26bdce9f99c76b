"""`storm_p99`: how long others wait while one issuer submits as fast as it is answered.

The storm is a closed loop of one issuer, the others an open loop of another issuer at a fixed rate, all from one
address: what tells them apart is the issuer alone. Every limit has its default, under which the storm may take what
the machine has. The load tools, and a storm's own work, keep the machine busy whoever is asked; so the others are held
against what they wait for while the same storm is at another node of this machine.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench import load, requests
from tests.bench.client import Outcome
from tests.bench.ground import Ground
from tests.bench.node import Server
from tests.bench.requests import Chains
from tests.bench.row_add_chain import AHEAD_PER_S, ALONE, WARM_UP_S, at_rate
from tests.bench.rows import Result
from tests.bench.stats import median, percentile


async def others(ground: Ground) -> Result:
    """Measure the others' 99th percentile in calm, in storm, and with the storm elsewhere, in turn, each as often."""
    scale, calm, storm = ground.scale, Chains(), Chains()
    nodes = [await ground.empty_node(name, calm, storm) for name in ("storm", "elsewhere")]
    servers: list[Server] = []
    without: list[Outcome] = []
    within = _Beside([], [])
    elsewhere = _Beside([], [])
    try:
        servers += [await node.start() for node in nodes]
        await at_rate(ground, servers[0], calm, scale.calm_rate, WARM_UP_S)
        for server in servers:
            await _storm(ground, server, storm, WARM_UP_S)  # from here on its claim is known
        for _ in range(scale.repeats):
            without.append(await at_rate(ground, servers[0], calm, scale.calm_rate, scale.seconds))
            for server, beside in zip(servers, (within, elsewhere), strict=True):
                outcome, raged = await asyncio.gather(
                    at_rate(ground, servers[0], calm, scale.calm_rate, scale.seconds),
                    # Longer at both ends than what it is to disturb.
                    _storm(ground, server, storm, scale.seconds + 2 * load.START_S),
                )
                beside.others.append(outcome)
                beside.storms.append(raged)
    finally:
        for server in servers:
            await server.stop()
    calm_ms, here_ms, there_ms = _ms(without), _ms(within.others), _ms(elsewhere.others)
    detail = (
        f"others at {scale.calm_rate:,.0f}/s: {_shown(here_ms)} in a storm {within}, {_shown(there_ms)} with the storm "
        f"at another node {elsewhere}, {_shown(calm_ms)} without; medians of {scale.repeats}; "
        f"{within.storms[0].tool}; {ALONE}"
    )
    errors = load.describe(load.merged([*without, *within.others, *elsewhere.others]).errors)
    if errors or here_ms is None or there_ms is None:
        return Result(None, None, f"errors: {errors or 'no answers'}. {detail}")
    return Result(here_ms[1] / there_ms[1], 1.0, detail)


@dataclass(frozen=True, slots=True)
class _Beside:
    """What became of the others, and of the storms beside them."""

    others: list[Outcome]
    storms: list[load.Load]

    def __str__(self) -> str:
        return f"that got {', '.join(f'{raged.rate:,.0f}' for raged in self.storms)} answers/s"


def _ms(outcomes: Sequence[Outcome]) -> tuple[float, float] | None:
    """Return the medians of the 50th and of the 99th percentiles; None when nothing was answered."""
    taken = [outcome.latencies_ms for outcome in outcomes if outcome.latencies_ms]
    if not taken:
        return None
    return median([median(each) for each in taken]), median([percentile(each, 99) for each in taken])


def _shown(both: tuple[float, float] | None) -> str:
    return "no answers" if both is None else f"p99 {both[1]:.1f} ms (p50 {both[0]:.1f})"


async def _storm(ground: Ground, server: Server, chains: Chains, seconds: float) -> load.Load:
    count = int(AHEAD_PER_S * seconds) + 2 * ground.scale.connections
    file = requests.write(ground.folder / "storm.requests", chains.requests(count))
    return await ground.closed(server, file, again=False, seconds=seconds)
