"""The few statistics that the rows need, over plain numbers."""

import math
from collections.abc import Sequence


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that at least `percent` of all values do not exceed (nearest rank).

    Never an interpolation: each percentile is something that happened. 0 < percent <= 100; values not empty.
    """
    if not values or not 0 < percent <= 100:
        raise AssertionError("a percentile is over 0, up to 100, and of something")
    ordered = sorted(values)
    return ordered[math.ceil(percent * len(ordered) / 100) - 1]


def per_million(value: float) -> float:
    """Return a rate a second from microseconds each, or these from a rate; without end for 0.

    A rate is 0 when nothing was answered, and microseconds are 0 where the kernel counts CPU time in ticks.
    """
    return a_second(1e6, value)


def a_second(count: float, seconds: float) -> float:
    """Return how many of `count` fit into a second; without end if they took no time that was counted."""
    return count / seconds if seconds else math.inf


def median(values: Sequence[float]) -> float:
    """Return the 50th percentile by nearest rank; of an even number the lower middle one."""
    return percentile(values, 50)
