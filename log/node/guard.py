"""What lets a node sign: a guard that knows what it signed before (design.md section 4, promises 3 and 4).

A restored disk image looks to the process like its own past. Only somebody outside can know better. So after
each start, and after wall and monotonic clock part, nothing is signed until a guard has shown the largest
head it holds of each log, cosigned after that moment. A larger head than ours, or another root, halts the log.
The same holds for the witness: the guard shows what this node's witness cosigned last for each peer.

This file decides; `pushes` reads the push and compares heads. Times: `*_s` are whole seconds of
POSIX time, `*_ms` milliseconds.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from log.errors import Conflict, Unavailable
from log.formats.note import VKey
from log.node.halts import Halts
from log.node.reading import GuardReading
from log.sequencer.clock import Clock

logger = logging.getLogger("twinlog.guard")


@dataclass(frozen=True, slots=True)
class GuardKey:
    """A configured guard: the 0x04 key by which it cosigns heads, and the 0x01 key that signs its pushes."""

    name: str
    cosigner: VKey
    push: VKey


@dataclass(frozen=True, slots=True)
class GuardLimits:
    """When clocks are believed."""

    parting_ms: int = 2_000  # wall and monotonic clock may differ by this much between two looks
    heard_ms: int = 60_000  # guards heard within this time say what time it is
    clock_error_ms: int = 60_000  # how far our clock may be from the guard that agrees best


@dataclass(frozen=True, slots=True)
class _Opinion:
    time_s: int  # of the guard's newest cosignature
    mono_ms: int  # when it came


class Guard:
    """The node's gate. Without configured guards it watches clocks and halts only."""

    def __init__(
        self,
        clock: Clock,
        guards: Iterable[GuardKey],
        halts: Halts,
        room: Callable[[str], None],
        limits: GuardLimits,
    ) -> None:
        """`room` raises `Unavailable` when an origin of ours can take no submission for another reason."""
        self.keys = tuple(guards)
        self._clock = clock
        self._halts = halts
        self._room = room
        self._limits = limits
        self._opinions: dict[str, _Opinion] = {}
        self._guarded: set[str] = set()
        self._peers: set[str] = set()
        self._heard = False  # whether a push was taken to its end since the last start or parting
        self._sealed = False
        self._parting_ms = self._apart()
        self._since_s = clock.wall_ms() // 1000
        self.partings = 0  # how often the clocks parted since the start

    # --- asked before taking and before signing ---------------------------------------------------------------

    def admit(self, origin: str) -> None:
        """Raise `Unavailable` unless a submission for `origin` may be taken: as `permit`, and there is room for it."""
        self.permit(origin)
        self._room(origin)

    def permit(self, origin: str) -> None:
        """Raise `Unavailable` unless a head of our own `origin` may be signed now."""
        self._check(origin, self._guarded)

    def permit_witness(self, origin: str) -> None:
        """Raise `Unavailable` unless our witness may cosign a head of the foreign `origin` now."""
        self._check(origin, self._peers, retry_after_s=1)  # a guard speaks every second, and who feeds us keeps to it

    def permit_for_ever(self, origins: Iterable[str]) -> None:
        """Raise `Unavailable` unless what cannot be undone may be done: log begun, log closed.

        A guard must have spoken since the last start or parting, some guard for each of our `origins`, and the clock
        must be theirs.
        """
        self._look()
        if self.keys and not self._heard:
            raise Unavailable("no guard has spoken since the last start", reason="unguarded")
        for origin in origins:
            self._check(origin, self._guarded)
        self._check_clock()

    def guarded(self, origin: str) -> bool:
        """Say whether a guard has spoken for `origin` since the last start or parting."""
        self._look()
        return not self._sealed and (not self.keys or origin in self._guarded or origin in self._peers)

    def _check(self, origin: str, spoken_for: set[str], retry_after_s: int = 5) -> None:
        self._halts.check(origin)
        self._look()
        if self._sealed:
            raise Unavailable("governance has not been read yet", 1, reason="unguarded")
        if self.keys and origin not in spoken_for:
            why = f"no guard has spoken for {origin} since the last start"
            raise Unavailable(why, retry_after_s, reason="unguarded")
        self._check_clock()

    def _apart(self) -> int:
        return self._clock.wall_ms() - self._clock.mono_ms()

    def _look(self) -> None:
        """Begin anew, unguarded, when the clocks have parted since the last look: we may be a restored image."""
        apart_ms = self._apart()
        if abs(apart_ms - self._parting_ms) > self._limits.parting_ms:
            parted_ms = apart_ms - self._parting_ms
            logger.warning("the clocks parted: nothing is signed until a guard speaks", extra=_fields(by_ms=parted_ms))
            self._guarded.clear()
            self._peers.clear()
            self._heard = False
            self._since_s = self._clock.wall_ms() // 1000
            self.partings += 1
        self._parting_ms = apart_ms

    def _check_clock(self) -> None:
        error_ms = self._clock_error_ms()
        if error_ms is not None and error_ms > self._limits.clock_error_ms:
            raise Unavailable(f"our clock is {error_ms // 1000} s away from every guard's", reason="clock")

    def _clock_error_ms(self) -> int | None:
        """Return how far our clock is from the guard, of those heard lately, that agrees best; None before any."""
        if not self._opinions:
            return None
        now_ms = self._clock.mono_ms()
        heard = [o for o in self._opinions.values() if now_ms - o.mono_ms <= self._limits.heard_ms]
        if not heard:
            heard = [max(self._opinions.values(), key=lambda opinion: opinion.mono_ms)]
        return min(abs(self._clock.wall_ms() - (o.time_s * 1000 + now_ms - o.mono_ms)) for o in heard)

    def reading(self) -> GuardReading:
        """Return what the metrics show of the guards."""
        now_ms = self._clock.mono_ms()
        opinions = [(key.name, self._opinions.get(key.name)) for key in self.keys]
        error_ms = self._clock_error_ms()
        return GuardReading(
            {name: None if said is None else (now_ms - said.mono_ms) / 1000 for name, said in opinions},
            None if error_ms is None else error_ms / 1000,
            self.partings,
        )

    def seal(self) -> None:
        """Let nothing be signed before `appoint` has said who the guards are."""
        self._sealed = True

    def appoint(self, guards: Iterable[GuardKey]) -> None:
        """Let these be the guards from now on. What others showed stays shown; what time it is they say no more."""
        self.keys = tuple(guards)
        names = {key.name for key in self.keys}
        self._opinions = {name: said for name, said in self._opinions.items() if name in names}
        self._sealed = False

    # --- told by a push ---------------------------------------------------------------------------------------

    def check_fresh(self, time_s: int) -> None:
        """Raise `Conflict` unless `time_s` lies after the last start or parting, in whole seconds of our clock."""
        self._look()
        if time_s <= self._since_s:
            raise Conflict(f"signed at {time_s}, not after this node's start at {self._since_s}")

    def hear(self, guard: GuardKey, time_s: int) -> None:
        """Note what time the guard had when it cosigned; an older time than its last one says nothing.

        Unless that last one came longer than `heard_ms` ago: then the guard's clock was ahead and has been set back.
        """
        held, now_ms = self._opinions.get(guard.name), self._clock.mono_ms()
        if held is None or time_s > held.time_s or now_ms - held.mono_ms > self._limits.heard_ms:
            self._opinions[guard.name] = _Opinion(time_s, now_ms)

    def end_push(self, time_s: int) -> None:
        """All that a guard's push of `time_s` showed was compared. `Conflict` when the clocks parted meanwhile."""
        self.check_fresh(time_s)
        self._heard = True

    def open(self, origin: str, time_s: int) -> None:
        """A guard has shown its largest head of our own `origin`, cosigned at `time_s`; our tree bears it out.

        `Conflict` when the clocks parted while the tree was compared.
        """
        self.check_fresh(time_s)
        if origin not in self._guarded:
            logger.info("a guard has spoken for a log of ours", extra=_fields(origin=origin))
        self._guarded.add(origin)

    def open_peer(self, origin: str, time_s: int) -> None:
        """A guard has shown, at `time_s`, what our witness cosigned last for `origin`; our state bears it out."""
        self.check_fresh(time_s)
        if origin not in self._peers:
            logger.info("a guard has spoken for what our witness cosigned", extra=_fields(origin=origin))
        self._peers.add(origin)


def _fields(**fields: object) -> dict[str, object]:
    return {"fields": fields}
