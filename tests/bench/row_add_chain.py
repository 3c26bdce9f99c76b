"""`add_chain_*`: add-chain as fast as it goes, by suite; how long it takes at 1,000/s; what it costs as a log grows."""

from log.demo.issuing import Suite
from tests.bench import limits, load, requests
from tests.bench.client import Job, Outcome
from tests.bench.cpu import Spent, Watch
from tests.bench.ground import Ground
from tests.bench.load import Load
from tests.bench.node import Server
from tests.bench.requests import Chains
from tests.bench.rows import Result
from tests.bench.stats import median, percentile

ALONE = "one node alone with guards = [], no monitor beside it"
WARM_UP_S = 2.0
AHEAD_PER_S = 6000  # requests prepared for a second before the rate is known
SCT_BYTES = 300  # about the JSON of an SCT, for the bare server's answer


async def throughput(ground: Ground, suite: Suite = "p256") -> Result:
    """Measure answers a second, several times on one growing log."""
    chains = ground.chains if suite == "p256" else Chains(suite)
    node = await ground.empty_node(f"add-chain-{suite}", chains)
    server = await node.start()
    try:
        first, _ = await run(ground, server, chains, WARM_UP_S, AHEAD_PER_S)
        ahead_per_s = first.rate * 1.6 + 500
        runs = [
            await run(ground, server, chains, ground.scale.seconds, ahead_per_s) for _ in range(ground.scale.repeats)
        ]
    finally:
        await server.stop()
    errors = [done.errors for done in (first, *(done for done, _ in runs)) if done.errors]
    answered = first.answers + sum(done.answers for done, _ in runs)
    logged = await node.size()
    done, spent = sorted(runs, key=lambda each: each[0].rate)[(len(runs) - 1) // 2]
    cpu_us = spent.per(done.answers) * 1e6
    per_core, raw = limits.verify_rate_per_core(suite, 1.0), limits.verify_rate(suite, 2.0, 2)
    bare = await _tool_alone(ground)
    detail = (
        f"{done.tool}; bodies from a file, alone it reaches {bare.rate:,.0f}/s against bare ASGI; {ALONE}. "
        f"Median of {', '.join(f'{each.rate:,.0f}' for each, _ in runs)}/s; p50 {done.p50_ms:.0f} ms, "
        f"p99 {done.p99_ms:.0f} ms; {cpu_us:.0f} us of server CPU a request, "
        f"{spent.rate(done.answers):,.0f} requests a CPU-second. Raw verify {per_core:,.0f} a "
        f"CPU-second, so {spent.rate(done.answers) / per_core:.2f} of that. "
        f"{logged:,} entries in the log for {answered:,} answers. {spent}"
    )
    why = (
        f"{cpu_us:.0f} us of server CPU a request, of which a raw verify is {1e6 / per_core:.0f} us; server and load "
        f"tool share the machine ({spent})"
    )
    if errors:
        return Result(None, raw, f"errors: {'; '.join(errors)}. {detail}")
    if logged < answered:
        return Result(None, raw, f"fewer entries than answers. {detail}")
    return Result(done.rate, raw, detail, why)


async def growth(ground: Ground) -> Result:
    """Measure what an answer costs the server over a big log, against a small one, in turn."""
    nodes = (await ground.node_of("few", ground.scale.few_entries), await ground.big_node())
    costs: tuple[list[float], list[float]] = [], []
    errors = []
    for _ in range(ground.scale.repeats):
        for node, cost in zip(nodes, costs, strict=True):
            server = await node.start()
            try:
                await run(ground, server, ground.chains, 1.0, AHEAD_PER_S)
                done, spent = await run(ground, server, ground.chains, ground.scale.seconds / 2, AHEAD_PER_S)
            finally:
                await server.stop()
            cost.append(spent.per(done.answers) * 1e6)
            errors += [done.errors] if done.errors else []
    few, many = (median(cost) for cost in costs)
    detail = (
        f"add-chain, {many:.0f} us of server CPU an answer over {ground.scale.entries:,} entries, {few:.0f} us over "
        f"{ground.scale.few_entries:,}; medians of {ground.scale.repeats}"
    )
    if errors:
        return Result(None, 1.0, f"errors: {'; '.join(errors)}. {detail}")
    return Result(many / few, 1.0, detail, "see the two costs")


async def latency(ground: Ground) -> Result:
    """Measure the 99th percentile at a fixed rate, from the moment at which a request was due."""
    scale = ground.scale
    node = await ground.empty_node("add-chain-at-rate")
    server = await node.start()
    try:
        await at_rate(ground, server, ground.chains, scale.rate, WARM_UP_S)
        watch = Watch(server.pid)
        outcome = await at_rate(ground, server, ground.chains, scale.rate, 2 * scale.seconds)
        spent = watch.stop()
    finally:
        await server.stop()
    limit = limits.commit_ms(ground.folder)
    tool = f"own raw-socket client, {load.CLIENTS} processes, open loop at {scale.rate:,.0f}/s; {ALONE}"
    if outcome.errors or not outcome.latencies_ms:
        return Result(None, limit, f"{tool}. errors: {load.describe(outcome.errors)}. {spent}")
    taken = outcome.latencies_ms
    detail = (
        f"{tool}. {len(taken):,} answers, p50 {median(taken):.1f} ms, p99.9 {percentile(taken, 99.9):.1f} ms, "
        f"max {max(taken):.1f} ms; {spent.per(len(taken)) * 1e6:.0f} us of server CPU a request. {spent}"
    )
    return Result(
        percentile(taken, 99), limit, detail, f"not told apart here: commits, checks, waiting for a core ({spent})"
    )


async def run(ground: Ground, server: Server, chains: Chains, seconds: float, per_s: float) -> tuple[Load, Spent]:
    """Load a server with new chains, of which `per_s` are made ready for each second."""
    count = int(per_s * seconds) + 2 * ground.scale.connections
    file = requests.write(ground.folder / "add-chain.requests", chains.requests(count))
    watch = Watch(server.pid)
    return await ground.closed(server, file, again=False, seconds=seconds), watch.stop()


async def at_rate(ground: Ground, server: Server, chains: Chains, rate: float, seconds: float) -> Outcome:
    """Load a server with new chains at a fixed rate, whatever comes back."""
    file = requests.write(ground.folder / "at-rate.requests", chains.requests(int(rate * seconds) + load.CLIENTS))
    return await load.spread(
        Job(server.port, str(file), connections=ground.scale.connections, seconds=seconds, rate=rate)
    )


async def _tool_alone(ground: Ground) -> Load:
    file = requests.write(ground.folder / "alone.requests", ground.chains.requests(1000))
    async with ground.bare(SCT_BYTES) as server:
        return await ground.closed(server, file, again=True, seconds=min(3.0, ground.scale.seconds))
