"""The rows of design.md section 7 that can be measured now, in the order in which they run."""

from tests.bench import row_add_chain, row_audit, row_tile_reads, row_vouch
from tests.bench.rows import Row

_COMMIT = "one synced LevelDB batch of ten entries and one head swap, median"

ROWS = (
    Row("add_chain_p256", "/s", 3000, "raw P-256 verify on 2 threads", row_add_chain.throughput),
    Row("add_chain_p99_at_1000", "ms", 100, _COMMIT, row_add_chain.latency),
    Row("tile_reads", "/s", 20_000, "bare ASGI with a body of 8 KiB, a CPU-second", row_tile_reads.reads),
    Row("audit", "/s", 100_000, "raw LevelDB scan and leaf hash on one thread", row_audit.whole),
    Row("vouch_p99", "s", 5, _COMMIT, row_vouch.vouched),
)
