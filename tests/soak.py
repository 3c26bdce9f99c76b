"""What takes longer than a suite may: by hand, from the checkout.

    python -m tests.soak --vouch [--rate 500] [--seconds 60]    a pair and its monitor under load
    python -m tests.soak --kills 1000 [--seed 1]                `kill -9` of a node under load, then the reckoning
    python -m tests.soak --monitor --kills 1000 [--seed 1]      `kill -9` of the monitor that follows a node under load
    python -m tests.soak --syscalls all [--with EIO,killed]     each file call fails, kills, is the last one with power

`--vouch` submits in an open loop: requests are due at a fixed rate whatever comes back. It prints how old the
witnessed head became and how long an SCT waited until both sides vouched for its entry. The suite runs the same
code for a shorter time (`tests/processes/test_pair.py`), and there the machine may be late. Exit 1 when a bound does
not hold.
"""

import argparse
import asyncio
import bisect
import contextlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from log.client.verifier import Proven, verify_checkpoint, verify_proof
from log.crypto.notes import open_note
from log.demo.ca import MassIssuer
from log.demo.deployment import SIDES
from log.formats.policy import Policy
from log.formats.sct import SCT
from log.formats.text import b64encode
from tests import soak_monitor
from tests.bench.requests import ADD_CHAIN, get, post
from tests.bench.stats import percentile
from tests.support.nodes import World, client, eventually, unguard, world
from tests.syscalls import exhaustive
from tests.syscalls.scenarios import SCENARIOS

RATE = 500.0  # submissions a second of `--vouch`
SECONDS = 60.0
PROVE_EVERY = 10  # of so many SCTs one is proven while the load goes on

MAX_AGE_S = 5.0  # the witnessed head under load
PROOF_WITHIN_S = 10.0  # an SCT older than this has a proof

CONNECTIONS = 64
POLL_S = 0.05  # between two looks at the witnessed head
PATIENCE_S = 90.0  # one answer; and for the last head to be vouched for


# --- a keep-alive connection ----------------------------------------------------------------------------------


class Wire:
    """One connection to a node, one request at a time: a client that costs the machine next to nothing."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader = asyncio.StreamReader()
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send a request; return status and body. A connection that the node closed for idleness is made anew."""
        if self._writer is None or self._reader.at_eof():
            await self.close()
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writer.write(request)
        async with asyncio.timeout(PATIENCE_S):
            head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or b"0")
            return int(head[9:12]), await self._reader.readexactly(length)

    async def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            with contextlib.suppress(ConnectionError):  # the other end may have closed it hard
                await self._writer.wait_closed()


@asynccontextmanager
async def wires(port: int, count: int) -> AsyncIterator[asyncio.Queue[Wire]]:
    """Make connections; a queue lends them out in turn, so that none is idle for long under load."""
    opened = [Wire(port) for _ in range(count)]
    queue: asyncio.Queue[Wire] = asyncio.Queue()
    for wire in opened:
        queue.put_nowait(wire)
    try:
        yield queue
    finally:
        await asyncio.gather(*(wire.close() for wire in opened))


# --- what is measured -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Promise:
    """An SCT, when it came (monotonic), and for which certificate."""

    moment: float
    der: bytes
    sct: SCT


@dataclass(slots=True)
class Vouching:
    """What a run of `vouching` saw."""

    latencies_s: list[float] = field(default_factory=list)  # of SCTs, from the moment at which each was due
    refusals: Counter[str] = field(default_factory=Counter)
    promises: list[Promise] = field(default_factory=list)  # in the order in which they came
    sights: list[tuple[float, int]] = field(default_factory=list)  # first sights: moment, size of the witnessed head
    ages_s: list[float] = field(default_factory=list)  # of the witnessed head, at each look under load
    proven: list[Proven] = field(default_factory=list)
    proof: tuple[bytes, bytes] = (b"", b"")  # the last one, with its certificate

    def waits_s(self) -> list[float]:
        """Return for each SCT how long until a witnessed head covered it; 0 when one did at once."""
        sizes = [size for _, size in self.sights]
        waits = []
        for promise in self.promises:
            at = bisect.bisect_right(sizes, promise.sct.index)
            assert at < len(sizes), f"entry {promise.sct.index} was never vouched for"
            waits.append(max(0.0, self.sights[at][0] - promise.moment))
        return waits

    def broken(self) -> list[str]:
        """Return which bounds do not hold."""
        return [
            *(f"{count} x {why}" for why, count in self.refusals.items()),
            *([f"witnessed head {max(self.ages_s):.1f} s old"] if max(self.ages_s) > MAX_AGE_S else []),
            *([f"an SCT waited {max(self.waits_s()):.1f} s"] if max(self.waits_s()) > PROOF_WITHIN_S else []),
        ]


async def vouching(w: World, rate: float, seconds: float, prove_every: int, late_s: float = 0.0) -> Vouching:
    """Submit to Hong Kong's node at a fixed rate; watch its witnessed head, and ask for proofs all the while.

    Every SCT of which `prove_every` takes one must have its proof `PROOF_WITHIN_S` after it came, or so much later as
    `late_s` says: the proof is verified under the log's policy.
    """
    site = w.site()
    policy = Policy.parse(site.policy("x509").read_bytes())
    chains = _requests(w.promises.issuer, int(rate * seconds))
    run = Vouching()
    over = asyncio.Event()
    async with wires(site.port, CONNECTIONS) as lent, wires(site.port, 2) as own, asyncio.TaskGroup() as tasks:
        watch = tasks.create_task(_watch(run, await own.get(), policy, over))
        prove = tasks.create_task(_prove(run, await own.get(), policy, prove_every, late_s, over))
        begin = time.monotonic() + POLL_S
        for number, (der, request) in enumerate(chains):
            due = begin + number / rate
            if (early := due - time.monotonic()) > 0:
                await asyncio.sleep(early)
            tasks.create_task(_submit(run, lent, der, request, due))

        async def answered() -> bool:
            return len(run.promises) + run.refusals.total() == len(chains)

        await eventually("every submission is answered", answered, PATIENCE_S)
        over.set()
        await asyncio.gather(watch, prove)
    return run


def _requests(issuer: MassIssuer, count: int) -> list[tuple[bytes, bytes]]:
    """Make certificates and requests before the clock runs."""
    made = []
    for number in range(count):
        chain = issuer.chain(number)
        made.append((chain[0], post(ADD_CHAIN, json.dumps({"chain": [b64encode(der) for der in chain]}).encode())))
    return made


async def _submit(run: Vouching, lent: asyncio.Queue[Wire], der: bytes, request: bytes, due: float) -> None:
    wire = await lent.get()
    status, body = await wire.ask(request)
    lent.put_nowait(wire)
    if status == 200:
        now = time.monotonic()
        run.latencies_s.append(now - due)
        run.promises.append(Promise(now, der, SCT.from_json(json.loads(body))))
    else:
        run.refusals[f"{status} {body.decode().strip()!r}"] += 1


async def _watch(run: Vouching, wire: Wire, policy: Policy, over: asyncio.Event) -> None:
    """Look at the witnessed head until it covers all; every one of them has to meet the policy.

    Its age counts from the first head that covers an SCT of this load until the load is over: an idle log signs
    only every heartbeat.
    """
    raw, signed_ms, until = b"", 0, float("inf")
    while time.monotonic() < until:
        status, body = await wire.ask(get("/x509/checkpoint/witnessed"))
        moment = time.monotonic()
        if status == 200 and body != raw:
            raw = body
            vouched = verify_checkpoint(raw, policy)
            assert vouched.satisfied
            signed_ms = _signed_ms(raw, policy)
            if not run.sights or vouched.checkpoint.size > run.sights[-1][1]:
                run.sights.append((moment, vouched.checkpoint.size))
        size = run.sights[-1][1] if run.sights else 0
        if over.is_set():
            if all(promise.sct.index < size for promise in run.promises):
                return
            until = min(until, moment + PATIENCE_S)
        elif run.promises and run.promises[0].sct.index < size:
            run.ages_s.append(time.time() - signed_ms / 1000)
        elif run.promises:
            run.ages_s.append(moment - run.promises[0].moment)  # nothing of this load is vouched for yet
        await asyncio.sleep(POLL_S)


def _signed_ms(raw: bytes, policy: Policy) -> int:
    opened = open_note(raw, [line.vkey for line in policy.logs])
    return max(line.timestamp_ms or 0 for line in opened.verified)


async def _prove(run: Vouching, wire: Wire, policy: Policy, every: int, late_s: float, over: asyncio.Event) -> None:
    """Ask for the proof of each promise that has become old enough, in their order."""
    at = 0
    while not (over.is_set() and at >= len(run.promises)):
        if at < len(run.promises) and run.promises[at].moment + PROOF_WITHIN_S <= time.monotonic():
            promise = run.promises[at]
            fingerprint = sha256(promise.der).hexdigest()
            waited_s = time.monotonic() - promise.moment
            status, proof = await wire.ask(get(f"/x509/tlog-proof?fingerprint={fingerprint}"))
            if status != 200:
                said = f"entry {promise.sct.index}: {status} {proof.decode()} after {waited_s:.1f} s"
                assert waited_s < PROOF_WITHIN_S + late_s, said
                await asyncio.sleep(POLL_S)
                continue
            proven = verify_proof(proof, promise.der, policy)
            assert (proven.index, proven.sct, proven.sct_verified) == (promise.sct.index, promise.sct, True)
            run.proven.append(proven)
            run.proof = proof, promise.der
            at += every
        else:
            await asyncio.sleep(POLL_S)


async def start_pair(w: World) -> None:
    """Start both nodes and the monitor; return once every log is guarded and has a witnessed head."""
    await asyncio.gather(*(w.start(side) for side in SIDES))
    await w.start_monitor()
    async with client() as http:

        async def open_for_all() -> bool:
            healths = [await w.health(http, side) for side in SIDES]
            logs = [log for _, health in healths for log in health.get("logs", ())]
            vouched = [log for log in logs if log["guarded"] and log["witnessed_size"] is not None]
            return len(logs) == len(vouched) > 0 and all(health for _, health in healths)

        await eventually("both nodes are guarded and vouched for", open_for_all)


# --- by hand --------------------------------------------------------------------------------------------------


async def vouch(folder: Path, rate: float, seconds: float) -> int:
    """Run a pair and its monitor under load; print figures."""
    async with world(folder / "pair") as w:
        await start_pair(w)
        before = os.getloadavg()
        run = await vouching(w, rate, seconds, PROVE_EVERY)
    print(f"{len(run.promises)} SCTs at {rate:g}/s for {seconds:g} s, {len(run.proven)} proofs verified")
    print(f"load average of the machine: {before[0]:.1f} before, {os.getloadavg()[0]:.1f} after")
    for what, values in (
        ("add-chain", run.latencies_s),
        ("age of the witnessed head", run.ages_s),
        ("from SCT to vouched", run.waits_s()),
    ):
        figures = [percentile(values, 50), percentile(values, 99), max(values)]
        print(f"{what}: p50 {figures[0]:.2f} s, p99 {figures[1]:.2f} s, max {figures[2]:.2f} s")
    return _say(run.broken())


async def kills(folder: Path, count: int, seed: int) -> int:
    """Kill a node under load again and again; every promise must stand at the end."""
    rng = random.Random(seed)
    async with world(folder / "node") as w, client() as http:
        unguard(w.site())
        for number in range(1, count + 1):
            node = await w.start()
            load = asyncio.create_task(w.promises.load(http, w.site().url, asyncio.Event()))
            least = len(w.promises.scts) + rng.randrange(1, 30)

            async def enough(least: int = least) -> bool:
                return len(w.promises.scts) >= least

            await eventually("the node answers under load", enough)
            await asyncio.sleep(rng.random() * 0.02)  # the random moment itself
            await node.stop(signal.SIGKILL)
            await load
            w.heads.saw_store(w.heads_file())
            if number % 10 == 0 or number == count:
                print(f"{number} kills, {len(w.promises.scts)} SCTs", flush=True)
        await w.start()
        report = await w.reckon(http)
        print(f"{report.size} entries, {len(w.promises.scts)} SCTs, each at its index; no size with two roots")
        lost = [] if report.size >= len(w.promises.scts) else ["fewer entries than SCTs"]
        return _say(lost)


def _say(broken: Sequence[str]) -> int:
    for each in broken:
        print(f"BROKEN: {each}")
    return 1 if broken else 0


def main() -> int:
    """Read the command line and run one of them."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=(__doc__ or "").partition("\n")[0])
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--vouch", action="store_true", help="a pair and its monitor under load")
    which.add_argument("--kills", type=int, metavar="N", help="kill a node under load N times")
    which.add_argument("--syscalls", metavar="NAMES", help=f"of {', '.join(SCENARIOS)}; or all")
    parser.add_argument("--monitor", action="store_true", help="--kills kills the monitor of the node")
    parser.add_argument("--with", dest="kinds", default="EIO,ENOSPC,killed,power", help="what --syscalls does")
    parser.add_argument("--rate", type=float, default=RATE, help="submissions a second of --vouch")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long --vouch submits")
    parser.add_argument("--seed", type=int, default=1, help="of the moments of --kills, the disks of --syscalls")
    asked = parser.parse_args()
    if asked.syscalls:
        return 1 if exhaustive.run(asked.syscalls.split(","), asked.kinds.split(","), asked.seed) else 0
    with tempfile.TemporaryDirectory(prefix="twinlog-soak-") as name:
        if asked.vouch:
            return asyncio.run(vouch(Path(name), asked.rate, asked.seconds))
        if asked.monitor:
            return _say(asyncio.run(soak_monitor.kills(Path(name) / "pair", asked.kills, asked.seed)))
        return asyncio.run(kills(Path(name), asked.kills, asked.seed))


if __name__ == "__main__":
    sys.exit(main())
