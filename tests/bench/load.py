"""Load on a server: a closed loop by wrk or our own client, an open loop by our own client alone."""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tests.bench import wrk
from tests.bench.client import Job, Outcome
from tests.bench.stats import median, percentile

CLIENTS = 2  # processes of our own client
START_S = 1.0  # for the clients to start and connect before the first request is due


@dataclass(frozen=True, slots=True)
class Load:
    """What a closed loop reached."""

    tool: str
    rate: float  # answers a second
    requests: int  # answers in time
    p50_ms: float
    p99_ms: float
    errors: str  # "" when there were none
    late: int = 0  # answers after the time, whose cost is in the server's account; wrk does not wait for them

    @property
    def answers(self) -> int:
        """All answers: what the server's CPU time is divided by."""
        return self.requests + self.late


async def closed(port: int, requests: Path, *, again: bool, connections: int, seconds: float) -> Load:
    """Send as fast as the server answers."""
    if not wrk.available():
        job = Job(port, str(requests), again=again, connections=connections, seconds=seconds)
        return summary(await spread(job))
    told = await wrk.run(port, requests, again=again, connections=connections, seconds=seconds)
    errors = {kind: told[kind] for kind in ("status", "socket", "timeout") if told[kind]}
    rate = told["requests"] / told["seconds"]
    tool = f"wrk, 1 thread, {connections} connections"
    return Load(tool, rate, told["requests"], told["p50_ms"], told["p99_ms"], describe(errors))


async def spread(job: Job) -> Outcome:
    """Do a job with `CLIENTS` processes, which share its rate, its connections and its requests."""
    start = time.monotonic() + START_S
    jobs = [
        replace(
            job,
            first=n,
            step=CLIENTS,
            connections=max(1, job.connections // CLIENTS),
            rate=job.rate / CLIENTS,
            # The processes take turns, so that together they keep one even rhythm.
            start=start + (n / job.rate if job.rate else 0.0),
        )
        for n in range(CLIENTS)
    ]
    return merged(await asyncio.gather(*(_process(one) for one in jobs)))


async def _process(job: Job) -> Outcome:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.bench.client",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await process.communicate(json.dumps(asdict(job)).encode())
    if process.returncode != 0:
        raise RuntimeError(f"a load client ended with {process.returncode}")
    told = json.loads(printed)
    kept = [(moment, body) for moment, body in told["kept"]]
    return Outcome(told["seconds"], told["latencies_ms"], Counter(told["errors"]), kept, told["late"])


def merged(outcomes: Iterable[Outcome]) -> Outcome:
    """Return what several clients saw as one."""
    whole = Outcome()
    for outcome in outcomes:
        whole.seconds = max(whole.seconds, outcome.seconds)
        whole.latencies_ms += outcome.latencies_ms
        whole.late += outcome.late
        whole.errors += outcome.errors
        whole.kept += outcome.kept
    whole.kept.sort()
    return whole


def summary(outcome: Outcome) -> Load:
    """Return a closed loop of our own client as figures."""
    taken = outcome.latencies_ms
    return Load(
        f"own raw-socket client, {CLIENTS} processes",
        len(taken) / outcome.seconds if outcome.seconds else 0.0,
        len(taken),
        median(taken) if taken else 0.0,
        percentile(taken, 99) if taken else 0.0,
        describe(outcome.errors),
        outcome.late,
    )


def describe(errors: Mapping[str, int]) -> str:
    """Return errors as text, most frequent first."""
    return ", ".join(f"{count} x {kind}" for kind, count in Counter(errors).most_common(3))
