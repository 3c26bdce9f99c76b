"""What the metrics show of a node beside its logs: a value made when somebody asks, out of what its parts count."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from log.tally import Spread


@dataclass(frozen=True, slots=True)
class GuardReading:
    """What guards said of the time. Seconds."""

    heard_s: Mapping[str, float | None] = field(default_factory=dict)  # since each guard spoke; None before it did
    clock_error_s: float | None = None  # how far our clock is from the guard that agrees best; None before any
    partings: int = 0  # of wall and monotonic clock


@dataclass(frozen=True, slots=True)
class WitnessReading:
    """What this node's witness did. By foreign origin; "none" stands for all that it does not know."""

    answers: Mapping[tuple[str, int], int] = field(default_factory=dict)  # (origin, HTTP status) -> how many
    cosigned_age_ms: Mapping[str, int] = field(default_factory=dict)  # of the newest cosignature; absent before one
    guarded: Mapping[str, bool] = field(default_factory=dict)  # whether it may cosign: a guard has spoken
    forked: Mapping[str, bool] = field(default_factory=dict)  # whether two heads of one size are kept


@dataclass(frozen=True, slots=True)
class ChecksReading:
    """The processes that check chains."""

    waiting: int = 0  # chains, those being checked too
    limit: int = 0  # chains that may wait
    processes: int = 0  # that run
    busy: int = 0  # of those, that have a chain
    restarts: int = 0  # processes that ended and were replaced
    seconds: Spread = field(default_factory=Spread)  # from the question to its answer


@dataclass(frozen=True, slots=True)
class NodeReading:
    """The numbers of one node."""

    version: str = "unknown"
    failed: bool = False  # a store failed: the process is about to end
    halted: frozenset[str] = frozenset()  # origins, own and foreign, for which signing is stopped until it is cleared
    guard: GuardReading = field(default_factory=GuardReading)
    witness: WitnessReading = field(default_factory=WitnessReading)
    checks: ChecksReading = field(default_factory=ChecksReading)
    held: int = 0  # submissions that wait because others submit too
    scts: Mapping[str, int] = field(default_factory=dict)  # signed, by log name
    window_ends_ms: Mapping[str, int] = field(default_factory=dict)  # by log name: where its notAfter window ends
    disk_free_bytes: int = 0
    disk_watermark_bytes: int = 0
    store_bytes: Mapping[tuple[str, str], int] = field(default_factory=dict)  # (log name or "", store) -> on disk
