"""PURE: what a signed head says against another one of the same log (monitoring.md §5.4).

Nothing here looks at tree data; every verdict follows from two signed texts and their signed times. What an
honest log can never do, at whatever speed it runs:

    E1   sign two roots for one size
    E3   sign a smaller size at a later time          (times of one signature type)
    E3b  sign two heads at one and the same time      (0x05 only: its times are milliseconds and strictly rising;
                                                       0x04 and 0x06 have whole seconds, in which a tree may grow)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from log.crypto.notes import HEAD_TYPES, Opened, open_note
from log.errors import Malformed
from log.formats.note import KeyType, VKey

MAX_TIME_MS = 2**63 - 1  # a signed time beyond it is no time


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
    """Kinds of evidence; E2 needs hashes and is folded in `prefix`."""

    SAME_SIZE = "E1"
    CROSS_SIZE = "E2"
    ROLLBACK = "E3"
    SAME_TIME = "E3b"
    BROKEN_PROMISE = "E4"  # of an SCT: another leaf stands at its index (`promises`)
    LATE = "E5"  # of an SCT: its entry was not there in time (`promises`)
    TIME_LIE = "E6"  # a leaf with a later time than the head over it (`promises`)
    COSIGNED_BOTH = "E7"  # of a witness (`cosigned`)
    UNREPRODUCIBLE = "E8"  # what was served does not lead to the signed root (`served`); by itself no proof
    SAME_SEQ = "E9"  # of a chain of governance, not of a log: see `objects`

    @property
    def proven(self) -> bool:
        """Whether signatures and hashes alone show it."""
        return self is not Kind.UNREPRODUCIBLE

    @property
    def title(self) -> str:
        """What it is, in a few words for people who know nothing of trees; `check` says it of whom, in a sentence."""
        return _TITLES[self]


_TITLES = {
    Kind.SAME_SIZE: "two different histories of the same length",
    Kind.CROSS_SIZE: "a longer history that does not contain the shorter one",
    Kind.ROLLBACK: "a shorter history signed after a longer one",
    Kind.SAME_TIME: "two histories signed for one and the same moment",
    Kind.BROKEN_PROMISE: "another entry in the place of a promised certificate",
    Kind.LATE: "a promised certificate that was not logged in time",
    Kind.TIME_LIE: "an entry later than the signature over it",
    Kind.COSIGNED_BOTH: "a witness that vouched for two histories which exclude each other",
    Kind.UNREPRODUCIBLE: "what was served does not lead to the signed history",
    Kind.SAME_SEQ: "two different decisions signed under one number",
}


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


def owed(vkeys: Sequence[VKey]) -> frozenset[KeyType]:
    """The signature types without which a head under these keys is not cosigned (design.md §3)."""
    return HEAD_TYPES & {vkey.type for vkey in vkeys}


def read_head(raw: bytes, origin: str, vkeys: Sequence[VKey]) -> tuple[Head, Opened]:
    """Read a note as a head of the log with this identity; `Malformed` or `BadSignature` when it is none.

    Cosignatures and other unknown lines are left out of `Head.note`, never out of `Head.raw`.
    """
    opened = open_note(raw, vkeys)
    checkpoint = opened.checkpoint
    if checkpoint.origin != origin:
        raise Malformed("a checkpoint of another origin")
    if checkpoint.extensions:
        raise Malformed("a checkpoint with extension lines, which are not witnessed")
    times = tuple(sorted((line.vkey.type, line.timestamp_ms) for line in opened.verified if line.timestamp_ms))
    if any(time > MAX_TIME_MS for _, time in times):
        raise Malformed("a signed time beyond all times")
    head = Head(
        origin=checkpoint.origin,
        size=checkpoint.size,
        root=checkpoint.root,
        times=times,
        note=opened.reduced().encode(),
        raw=raw,
        complete=owed(vkeys) <= {line.vkey.type for line in opened.verified},
    )
    return head, opened
