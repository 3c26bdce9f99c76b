"""The rows of design.md section 7 that can be measured now, in the order in which they run."""

from functools import partial

from tests.bench import (
    row_add_chain,
    row_audit,
    row_company,
    row_get_entries,
    row_monitor,
    row_proof_reads,
    row_start,
    row_storm,
    row_tile_reads,
    row_vouch,
)
from tests.bench.rows import Row

_COMMIT = "one synced LevelDB batch of ten entries and one head swap, median"
_BARE = "bare ASGI with a body of that size, a CPU-second"
_COPY = "stored entries scanned, hashed and put into another LevelDB, one thread"
_RSA = partial(row_add_chain.throughput, suite="rsa2048")
_SM2 = partial(row_add_chain.throughput, suite="sm2")

ROWS = (
    Row("add_chain_p256", "/s", 3000, "raw P-256 verify on 2 threads", row_add_chain.throughput),
    Row("add_chain_rsa2048", "/s", None, "raw RSA-2048 verify on 2 threads", _RSA),
    Row("add_chain_sm2", "/s", 3000, "raw SM2 verify on 2 threads", _SM2),
    Row("add_chain_p99_at_1000", "ms", 100, _COMMIT, row_add_chain.latency),
    Row("add_chain_in_company", "ms", 30, _COMMIT, row_company.latency),
    Row(
        "storm_p99",
        "ratio",
        None,
        "the others' p99 with the same storm at another node",
        row_storm.others,
    ),
    Row("tile_reads", "/s", 20_000, "bare ASGI with a body of 8 KiB, a CPU-second", row_tile_reads.reads),
    Row("proof_reads", "/s", 10_000, _BARE, row_proof_reads.reads),
    Row("get_entries", "/s", None, _BARE, row_get_entries.reads),
    Row("audit", "/s", 100_000, "raw LevelDB scan and leaf hash on one thread", row_audit.whole),
    Row("start_1m", "s", 1, "the bare server's start", row_start.start),
    Row("memory_1m", "MB", 300, "the bare server", row_start.memory),
    Row("growth_1m", "ratio", 1.2, "the same cost", row_add_chain.growth),
    Row("monitor_verify", "/s", 200_000, "one leaf and one node hashed for each, one thread", row_monitor.verify),
    Row("monitor_follow", "/s", 80_000, _COPY, row_monitor.follow),
    Row("monitor_memory", "MB", 300, "the bare server", row_monitor.memory),
    Row("monitor_pipeline", "/s", 8_000, "certificates loaded by `cryptography`, one thread", row_monitor.pipeline),
    Row("vouch_p99", "s", 5, _COMMIT, row_vouch.vouched),
)
