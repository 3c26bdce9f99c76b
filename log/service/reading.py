"""What the metrics show of one log: a value made when somebody asks, out of what its parts count."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from log.sequencer.loop import Counts


@dataclass(frozen=True, slots=True)
class CacheReading:
    """One cache of reads."""

    bytes: int = 0
    hits: int = 0
    misses: int = 0


@dataclass(frozen=True, slots=True)
class LogReading:
    """The numbers of one log beside its `LogStatus`, since the process began."""

    counts: Counts = field(default_factory=Counts)
    phase_seconds: Mapping[str, float] = field(default_factory=dict)  # by phase of a commit
    waiting_bytes: int = 0
    waiting_limit: int = 0  # submissions for which the pool has room
    unindexed: int = 0  # published entries that the index does not know yet
    unsynced: int = 0  # entries that a start after a crash would index again
    caches: Mapping[str, CacheReading] = field(default_factory=dict)  # by name
    cosignatures: Mapping[str, int] = field(default_factory=dict)  # taken, by the witness's name in the policy
    cosigned_age_ms: Mapping[str, int] = field(default_factory=dict)  # of the newest; absent before the first
