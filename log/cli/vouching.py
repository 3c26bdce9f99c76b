"""In words: who stands behind a head, since when, and who does not (design.md §3, two published heads).

During a partition that is all that a relying party has to go by: one side's word of today, or both sides' of before.
"""

from collections import Counter
from collections.abc import Sequence

from log.formats import dates


def who(
    origin: str, size: int, signed_ms: int | None, witnesses: Sequence[tuple[str, int]], missing: Sequence[str]
) -> str:
    """Say which side signed a head and which vouch for it, each with its time; times in ms."""
    signed = f"the head of size {size} is signed by {origin}{_at(signed_ms)}"
    lines = Counter(f"{name}{_at(ms)}" for name, ms in witnesses)  # a witness may sign with Ed25519 and ML-DSA at once
    names = ", ".join(line if keys == 1 else f"{line} with {keys} keys" for line, keys in lines.items())
    vouched = f"vouched for by {names}" if names else "vouched for by no witness"
    absent = ", ".join(missing)
    return f"{signed}, {vouched}" + (f", not by {absent}" if absent else "")


def date(time_ms: int) -> str:
    """Return a moment as commands print it, to the second, in UTC."""
    return dates.date(time_ms, dates.RFC3339)


def _at(time_ms: int | None) -> str:
    return f" at {date(time_ms)}" if time_ms else ""
