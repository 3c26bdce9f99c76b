"""What a look at a log, a node or a witness came to, and the exit codes (contract.md, "Monitor's exit codes")."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum


class Outcome(IntEnum):
    """The value is the exit code of `run --once`."""

    VOUCHED = 0  # verified, cosigned, and the policy is met
    PROVEN = 1  # a contradiction under the log's own signatures: evidence is kept
    UNREACHED = 2  # a log or witness did not answer, or will not vouch
    OWN = 3  # our own state or settings
    UNVERIFIED = 4  # reached, but what came does not verify, or is older than what we hold


_WORST_FIRST = (Outcome.PROVEN, Outcome.OWN, Outcome.UNVERIFIED, Outcome.UNREACHED, Outcome.VOUCHED)


@dataclass(frozen=True, slots=True)
class Finding:
    """One plain statement about one subject."""

    outcome: Outcome
    subject: str  # an origin, a node's name or a witness's name
    code: str  # a stable word for machines: `fork`, `stale`, `data`, …
    text: str  # a sentence for people

    def __str__(self) -> str:
        return f"{self.outcome.name.lower()} {self.code} {self.subject}: {self.text}"


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """Return the outcome that counts: 1 before 3 before 4 before 2; VOUCHED for none at all."""
    return min(outcomes, key=_WORST_FIRST.index, default=Outcome.VOUCHED)
