"""PURE: where a head that a log serves now stands against the one that we verified last (monitoring.md §5.5)."""

from enum import Enum

from log.evidence.heads import Head


class Place(Enum):
    """Where a head that a log serves now stands against the one we verified last."""

    FIRST = "first"
    LARGER = "larger"
    SAME = "same"  # same tree, signed at the same time or later
    OLDER = "older"  # same tree, signed before the note that we hold
    SMALLER = "smaller"
    OTHER = "other"  # same size, other root


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
