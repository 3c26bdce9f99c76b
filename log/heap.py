"""How often Python looks for cycles of garbage: seldom, and not among what a process keeps for ever.

Requests leave hardly a cycle behind, but hundreds of them in progress are tens of thousands of objects, and each
look goes through them again (https://docs.python.org/3/library/gc.html): every 700 of them by default.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# Objects more than went since the last look at the youngest; looks at them before one at the next generation.
THRESHOLDS = (20_000, 20, 20)


@contextmanager
def settled() -> Iterator[None]:
    """Set apart all that a process has made until now, and look at what comes less often, while the block lasts."""
    usual = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*usual)
        gc.unfreeze()
