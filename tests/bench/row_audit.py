"""`audit`: a stopped node's log rebuilt from its entries and compared, as `twinlog audit --data` does it."""

import time

from log import state
from log.client.audit import audit
from tests.bench import limits
from tests.bench.cpu import Watch
from tests.bench.ground import Ground
from tests.bench.node import LOG
from tests.bench.rows import Result
from tests.bench.stats import median, per_million


async def whole(ground: Ground) -> Result:
    """Measure leaves, tiles and head of the big log."""
    node = await ground.big_node()
    rates, cpu = [], 0.0
    watch = Watch(None)
    for _ in range(ground.scale.repeats):
        async for stored in state.stopped_logs(node.settings):
            began, cpu_began = time.perf_counter(), time.process_time()
            report = await audit(stored.reader, stored.family, stored.vkeys)
            rates.append(report.entries / (time.perf_counter() - began))
            cpu += (time.process_time() - cpu_began) / report.entries
    spent = watch.stop()
    data = node.settings.data_dir / LOG / "data"
    scans = [limits.scan_rates(data) for _ in range(ground.scale.repeats)]
    limit, per_cpu_s = (median(each) for each in zip(*scans, strict=True))
    cpu_us = cpu / ground.scale.repeats * 1e6
    detail = (
        f"{ground.scale.entries:,} entries of {ground.scale.entry_bytes} bytes, put in through the sequencer at "
        f"{ground.fill_rate:,.0f}/s, read out of LevelDB with the system's cache warm; median of "
        f"{', '.join(f'{rate:,.0f}' for rate in rates)}/s; {cpu_us:.1f} us of CPU an entry, "
        f"{per_million(cpu_us):,.0f} entries a CPU-second, "
        f"{per_million(cpu_us) / per_cpu_s:.2f} of the limit's {per_cpu_s:,.0f}. {spent}"
    )
    return Result(median(rates), limit, detail, f"{cpu_us:.1f} us of CPU an entry, and the cores are shared ({spent})")
