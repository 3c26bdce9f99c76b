"""PURE: how often, how long, how much, in plain numbers that one task adds to and a scrape of /metrics reads.

A measured time is counted here and decides nothing, so whoever measures one reads `perf_counter` and needs no
`Clock`.
"""

from bisect import bisect_left

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
BYTES = tuple(float(1 << shift) for shift in range(10, 27, 2))  # 1 KiB to 64 MiB


class Spread:
    """A histogram: how many values were at most each of its bounds, how many there were, and their sum."""

    __slots__ = ("bounds", "buckets", "total")

    def __init__(self, bounds: tuple[float, ...] = SECONDS) -> None:
        self.bounds = bounds
        self.buckets = [0] * (len(bounds) + 1)  # values up to each bound and over the one before; the last has none
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        self.buckets[bisect_left(self.bounds, value)] += 1
        self.total += value

    @property
    def count(self) -> int:
        """How many values were counted."""
        return sum(self.buckets)

    def cumulative(self) -> list[tuple[str, float]]:
        """Return (bound, how many values were at most that), as Prometheus writes a histogram; the last is +Inf."""
        pairs = []
        count = 0
        for bound, inside in zip((*map(str, self.bounds), "+Inf"), self.buckets, strict=True):
            count += inside
            pairs.append((bound, float(count)))
        return pairs
