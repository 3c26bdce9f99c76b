"""What a monitor can do: verify entries at hand, follow a node and store, and all that with its rules on top."""

import asyncio
import time
from hashlib import sha256

from log import main as node_main
from log.certs.trustlist import TrustList
from log.certs.trustlist_rows import CertType, Issuer
from log.demo.ca import MUTUAL_RECOGNITION, MassIssuer
from log.formats.family import X509, x509_parts
from log.merkle.frontier import Frontier
from log.merkle.tiles import TILE_WIDTH
from log.sequencer.clock import SystemClock
from log.storage.leveldb import LevelData
from monitor.limits import Limits
from monitor.rebuild import Rebuild
from tests.bench import limits
from tests.bench.cpu import anonymous_mb
from tests.bench.ground import Ground
from tests.bench.monitor import LoneMonitor, Reached, judged, verified
from tests.bench.node import LOG, LoneNode
from tests.bench.rows import Result
from tests.bench.stats import median, per_million

LOADED = 2_000  # certificates for the limit


async def verify(ground: Ground) -> Result:
    """Measure the way from data tiles at hand to the root: cut, hash, rebuild, compare. One thread of this process."""
    node = await ground.big_node()
    folder = node.settings.data_dir / LOG / "data"
    size, signed = await node.size(), await node.root()
    rates, read_rates, cpu_us = [], [], []
    for _ in range(ground.scale.repeats):
        spent = cpu = read = 0.0
        data = LevelData(folder)
        try:
            rebuild = Rebuild(Frontier.empty(), size, (), X509)
            for start in range(0, size, Limits().chunk_entries):
                began = time.perf_counter()
                rows = await data.entries(start, min(size, start + Limits().chunk_entries))
                read += time.perf_counter() - began
                tiles = [b"".join(rows[at : at + TILE_WIDTH]) for at in range(0, len(rows), TILE_WIDTH)]
                began, cpu_began = time.perf_counter(), time.process_time()
                rebuild.feed(start, [row for tile in tiles for row in X509.split(tile)])
                spent, cpu = spent + time.perf_counter() - began, cpu + time.process_time() - cpu_began
            root = rebuild.finish().root
        finally:
            await data.close()
        if root != signed:
            return Result(None, None, "the entries do not lead to the signed root")
        rates.append(size / spent)
        read_rates.append(size / (spent + read))
        cpu_us.append(cpu / size * 1e6)
    limit = median([limits.hash_rate(ground.scale.entry_bytes, size) for _ in range(ground.scale.repeats)])
    detail = (
        f"{size:,} entries of {ground.scale.entry_bytes} bytes, one thread; median of "
        f"{', '.join(f'{rate:,.0f}' for rate in rates)}/s; {median(cpu_us):.2f} us of CPU an entry, "
        f"{per_million(median(cpu_us)):,.0f} entries a CPU-second; with reading them from the disk "
        f"{median(read_rates):,.0f}/s"
    )
    return Result(median(rates), limit, detail, f"{median(cpu_us):.2f} us of CPU an entry, and the cores are shared")


async def follow(ground: Ground) -> Result:
    """Measure a monitor that meets the big log: fetched, verified, copied, recorded."""
    reached = await _followed(ground)
    node = await ground.big_node()
    rates = [
        limits.copy_rate(node.settings.data_dir / LOG / "data", ground.folder) for _ in range(ground.scale.repeats)
    ]
    detail = f"{reached.entries:,} entries of {ground.scale.entry_bytes} bytes over HTTP on 127.0.0.1; {reached}"
    return Result(reached.rate, median(rates), detail, "the node, the disk and the monitor share the cores")


async def memory(ground: Ground) -> Result:
    """Tell what the monitor of `follow` held in memory at most."""
    reached = await _followed(ground)
    detail = f"RssAnon, the largest of all looks while it followed {reached.entries:,} entries"
    async with ground.bare(1) as bare:
        limit = anonymous_mb(bare.pid)
    return Result(reached.peak_mb, limit, detail, "see the limits in monitor/limits.py")


async def pipeline(ground: Ground) -> Result:
    """Measure the same with judgement: certificates that are well, all rules, index, findings and position kept."""
    issuer = MassIssuer(now_ms=int(time.time()) * 1000)
    count = ground.scale.judged_entries
    node = LoneNode(ground.folder / "judged")
    await node.create(issuer.issuers[-1])
    await _log(node, issuer, count)
    server = await node.start()
    try:
        monitor = LoneMonitor(ground.folder / "judge")
        await monitor.create(node, server, listed(issuer))
        reached = await monitor.reach(server, count, judged)
    finally:
        await server.stop()
    limit = limits.load_rate([issuer.certificate(n) for n in range(min(count, LOADED))])
    detail = f"{count:,} P-256 certificates over HTTP on 127.0.0.1; {reached}"
    if found := monitor.findings():
        return Result(None, limit, f"findings about certificates that are well: {found}. {detail}")
    return Result(reached.rate, limit, detail, "see what rules cost, in monitor/README.md")


async def _followed(ground: Ground) -> Reached:
    """Return what following the big log took, measured when it is first asked for."""
    if ground.followed is None:
        node = await ground.big_node()
        size = await node.size()
        server = await node.start()
        try:
            monitor = LoneMonitor(ground.folder / "follow")
            await monitor.create(node, server)
            ground.followed = await monitor.reach(server, size, verified)
        finally:
            await server.stop()
    return ground.followed


async def _log(node: LoneNode, issuer: MassIssuer, count: int) -> None:
    """Put certificates through a stopped node's own sequencer, in this process."""
    opened = await node_main.build(node.settings, SystemClock(), "http://127.0.0.1")
    await opened.start()
    hosted, step = opened.logs[LOG], node.settings.limits.batch_entries
    blobs = tuple((sha256(each).digest(), each) for each in issuer.issuers)
    chain = [digest for digest, _ in blobs]
    for start in range(0, count, step):
        made = [x509_parts(issuer.certificate(n), chain) for n in range(start, min(count, start + step))]
        await asyncio.gather(*(hosted.submit(parts, blobs) for parts in made))
    await opened.stop()


def listed(issuer: MassIssuer) -> TrustList:
    """Return a list that has the issuer, for the type and the policy that its certificates name."""
    now_ms = int(time.time()) * 1000
    names = [f"ca-{sha256(each).hexdigest()[:16]}" for each in issuer.issuers]
    rows = tuple(
        Issuer(name, der, names[-1], now_ms - 86_400_000 * 30, None, None, "", False, "", "", False)
        for name, der in zip(names, issuer.issuers, strict=True)
    )
    kind = CertType("digi-sign-id", names[0], "Digi-Sign ID-Cert", (MUTUAL_RECOGNITION,), "HK", rows[0].from_ms, None)
    return TrustList(1, now_ms, rows, (kind,))
