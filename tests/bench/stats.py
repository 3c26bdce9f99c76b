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


def median(values: Sequence[float]) -> float:
    """Return the 50th percentile by nearest rank; of an even number the lower middle one."""
    return percentile(values, 50)
