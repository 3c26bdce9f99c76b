"""What time it is, and whether that may be believed (monitoring.md §5.5, clock skew and clock jump).

Intervals run on the monotonic clock. Two things take the trust away from the wall clock:

- it parts from the monotonic one by more than `clock_jump_s` (set by hand, a leap, a machine that slept): until
  `clock_settle_s` have passed;
- most of those who tell us theirs, two at least, put us more than `clock_offset_s` off to the same side: until they
  no longer do. One alone is never believed.

While it is not trusted no verdict rests on time: no head is stale, no promise late, no witness behind.
"""

from collections.abc import Callable, Iterable
from email.utils import parsedate_to_datetime
from statistics import median
from urllib.parse import urlsplit

from monitor.limits import Limits

HEARD_S = 300.0  # how long the word of somebody about the time counts
MAX_HEARD = 256  # who are listened to at a time
DATE_MS = 1_000  # a Date header has whole seconds
HELD_UP_S = 0.1  # from one look at the clocks to the next, a process that was not stopped takes less
READINGS = 5  # of both clocks; the last one stands


class Clock:
    """The wall clock, watched. Called from the event loop only; `now_ms` and `trusted` from anywhere."""

    def __init__(self, limits: Limits, wall: Callable[[], int], monotonic: Callable[[], float]) -> None:
        """`wall` is in ms since 1970, `monotonic` in seconds from some moment on."""
        self._limits = limits
        self._wall = wall
        self.monotonic_s = monotonic
        self._last = self.both()
        self._settled_s = monotonic()  # from then on it is trusted again
        self._heard: dict[str, tuple[float, float]] = {}  # by whom: offset of theirs to ours in ms, heard when

    def now_ms(self) -> int:
        """Return POSIX time in milliseconds."""
        return self._wall()

    def both(self) -> tuple[int, float]:
        """Return ms of the wall clock and s of the monotonic one, read anew where the process was held up between."""
        for _ in range(READINGS):
            monotonic, wall = self.monotonic_s(), self._wall()
            if self.monotonic_s() - monotonic < HELD_UP_S:
                break
        return wall, monotonic

    def trusted(self) -> bool:
        """Say whether a verdict may rest on `now_ms`."""
        return self.monotonic_s() >= self._settled_s and self.parted_ms() is None and self.offset_ms() is None

    def fit_to_sign(self) -> bool:
        """Say whether a signature may bear `now_ms`: nobody speaks against it, and after a jump most speak for it."""
        if self.offset_ms() is not None or self.parted_ms() is not None:
            return False
        voices = self._voices()
        near = [each for each in voices if abs(each) <= self._limits.clock_offset_s * 1000]
        return self.monotonic_s() >= self._settled_s or (len(near) >= 2 and 2 * len(near) > len(voices))

    # --- jumps -----------------------------------------------------------------------------------------------

    def parted_ms(self) -> int | None:
        """Return by how much wall and monotonic clock have parted since the last `tick`, if it is a jump."""
        (wall, monotonic), (last_wall, last_monotonic) = self.both(), self._last
        parted = wall - last_wall - round((monotonic - last_monotonic) * 1000)
        return parted if abs(parted) > self._limits.clock_jump_s * 1000 else None

    def tick(self) -> int | None:
        """Look at both clocks; return the jump in ms since the last look, if there was one: trust is gone then."""
        parted = self.parted_ms()
        if parted is not None:
            self.distrust()
        self._last = self.both()
        return parted

    def distrust(self) -> None:
        """Take the trust away until the clock has settled; what others said of it was about the time before."""
        self._settled_s = self.monotonic_s() + self._limits.clock_settle_s
        self._heard.clear()

    # --- what others say -------------------------------------------------------------------------------------

    def heard(self, url: str, theirs_ms: float) -> None:
        """Take in what somebody's clock shows just now. A host is one voice, whatever it says and by what signature."""
        who = urlsplit(url).netloc
        now = self.monotonic_s()
        if who not in self._heard and len(self._heard) >= MAX_HEARD:
            return
        self._heard[who] = (theirs_ms - self._wall(), now)

    def heard_date(self, url: str, header: str) -> None:
        """Take in a Date header field (RFC 9110 §6.6.1); one that cannot be read says nothing."""
        try:
            date = parsedate_to_datetime(header)
        except (ValueError, TypeError, OverflowError):
            return
        if date.tzinfo is not None:
            self.heard(url, date.timestamp() * 1000 + DATE_MS / 2)

    def offset_ms(self) -> int | None:
        """Return by how much most others' clocks are ahead of ours, if that is too much; None while all is well."""
        return offset(self._voices(), self._limits.clock_offset_s)

    def _voices(self) -> list[float]:
        since = self.monotonic_s() - HEARD_S
        return [each for each, at in list(self._heard.values()) if at >= since]


def offset(offsets_ms: Iterable[float], limit_s: float) -> int | None:
    """Return the median where it is beyond the limit and most, two at least, are beyond it to the same side."""
    held = list(offsets_ms)
    ahead, behind = ([each for each in held if sign * each > limit_s * 1000] for sign in (1, -1))
    for side in (ahead, behind):
        if len(side) >= 2 and 2 * len(side) > len(held):
            return round(median(side))
    return None
