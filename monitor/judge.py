"""PURE: what a signed head says against another one of the same log (monitoring.md §5.4, §5.5).

Nothing here looks at tree data; every verdict follows from two signed texts and their signed times. What an
honest log can never do, at whatever speed it runs:

    E1   sign two roots for one size
    E3   sign a smaller size at a later time          (times of one signature type)
    E3b  sign two heads at one and the same time      (0x05 only: its times are milliseconds and strictly rising;
                                                       0x04 and 0x06 have whole seconds, in which a tree may grow)
"""

from dataclasses import dataclass
from enum import Enum

from log.formats.note import KeyType


@dataclass(frozen=True, slots=True)
class Head:
    """One validly signed tree head of a log."""

    origin: str
    size: int
    root: bytes
    times: tuple[tuple[KeyType, int], ...]  # signed times in ms, by signature type: 0x04, 0x05, 0x06
    note: bytes  # the text under the log's own lines that verified, re-encoded
    raw: bytes  # the note as it came, byte for byte
    complete: bool = True  # whether every signature type that the family owes is among the lines

    @property
    def time_ms(self) -> int | None:
        """The finest signed time, or None when no line carries one."""
        return max((time for _, time in self.times), default=None)


class Kind(Enum):
    """Kinds of evidence that this monitor makes; E2 needs hashes and is folded in `prefix`."""

    SAME_SIZE = "E1"
    CROSS_SIZE = "E2"
    ROLLBACK = "E3"
    SAME_TIME = "E3b"
    SAME_SEQ = "E9"  # of a chain of governance, not of a log: see `evidence`


class Place(Enum):
    """Where a head that a log serves now stands against the one we verified last."""

    FIRST = "first"
    LARGER = "larger"
    SAME = "same"  # same tree, signed at the same time or later
    OLDER = "older"  # same tree, signed before the note that we hold
    SMALLER = "smaller"
    OTHER = "other"  # same size, other root


def contradiction(one: Head, two: Head) -> Kind | None:
    """Return how two heads of one log contradict each other by their signatures alone, or None."""
    if one.size == two.size and one.root != two.root:
        return Kind.SAME_SIZE
    for kind, time in one.times:
        for other_kind, other in two.times:
            if kind != other_kind:
                continue
            if (time < other and one.size > two.size) or (other < time and two.size > one.size):
                return Kind.ROLLBACK
            if kind is KeyType.TREE_HEAD and time == other and one.size != two.size:
                return Kind.SAME_TIME
    return None


def place(head: Head, held: Head | None) -> Place:
    """Return where `head` stands against `held`, our verified head, or None before the first."""
    if held is None:
        return Place.FIRST
    if head.size != held.size:
        return Place.LARGER if head.size > held.size else Place.SMALLER
    if head.root != held.root:
        return Place.OTHER
    return Place.OLDER if signed_before(head, held) else Place.SAME


def signed_before(one: Head, two: Head) -> bool:
    """Whether some signature type says that `one` was signed before `two`, and none says the opposite."""
    pairs = [(a, b) for kind, a in one.times for other, b in two.times if kind == other]
    return any(a < b for a, b in pairs) and all(a <= b for a, b in pairs)
