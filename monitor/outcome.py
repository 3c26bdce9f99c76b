"""PURE: what a look at a log, a node or a witness came to, the exit codes, and the class of each finding.

Exit codes are those of contract.md, "Monitor's exit codes"; classes those of monitoring.md §6. A finding becomes an
alert when it has lasted as long, or was made as often in a row, as its code says (`patience`): one stale replica, one
lost answer or one head that does not verify is no alarm (monitoring.md §6, rows 4, 16, 22, 30, 31).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from monitor.alert import Alert, Class
from monitor.limits import Limits


class Outcome(IntEnum):
    """The value is an exit code of `run --once`; see `exit_code`."""

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
    about: str = ""  # what else tells it apart from another of this subject and code: a witness's name
    evidence: str = field(default="", compare=False)  # hex id of the evidence that it rests on

    @property
    def key(self) -> str:
        """Which alert it is, when it is one."""
        return " ".join(filter(None, (self.code, self.subject, self.about)))

    def __str__(self) -> str:
        return f"{self.outcome.name.lower()} {self.code} {self.subject}: {self.text}"


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """Return the outcome that counts: 1 before 3 before 4 before 2; VOUCHED for none at all."""
    return min(outcomes, key=_WORST_FIRST.index, default=Outcome.VOUCHED)


IDENTITY = 5  # all else is well, and a certificate that is watched for, or is as it must not be, waits for a person
DEGRADED = 6  # what is not well is a promise to relying parties, and lasts


def exit_code(findings: Iterable[Finding], *, identity: bool) -> int:
    """Return the exit code of a round: 1, 3 and 4 before `IDENTITY`, that before `DEGRADED`, then 2, then 0."""
    found = list(findings)
    counts = worst(finding.outcome for finding in found)
    if counts in {Outcome.PROVEN, Outcome.OWN, Outcome.UNVERIFIED}:
        return counts
    if identity:
        return IDENTITY
    degraded = any(class_of(finding.outcome, finding.code) is Class.DEGRADED for finding in found)
    return DEGRADED if degraded else counts


# --- classes -------------------------------------------------------------------------------------------------

SPLIT = "split"  # a witness says that it was shown another tree than we were
STALE = "stale"  # a true prefix of what we hold, signed before it
HEAD_SLOW, HEAD_OLD, FUTURE_HEAD = "head-slow", "head-old", "future-head"
WITNESS_LAGS, NOT_CROSS_WITNESSED = "witness-lags", "not-cross-witnessed"
GARBLED = "garbled"  # what comes where a head must be is none: a page, half an answer, too much, nothing
REDIRECT = "redirect"  # a log points elsewhere
BUSY = "busy"  # a log asks to be left alone for a while
BEHIND = "behind"  # a witness has cosigned more than the log shows us, or says so: then the witness is the subject; or
# a log has signed more than one look takes in
WITNESS = "witness"  # a witness answers what does not verify
NOT_FOLLOWED = "not-followed"  # of a log nothing could be verified for long
HASHES = "hashes"  # a hash tile is not that of the tree which its entries lead to
HASHES_LOST = "hashes-lost"  # a hash tile of that tree is not served, or not the whole of it
RETIRED_KEY = "retired-key"  # a witness cosigns with no key but one that counts no more
AFTER_FINAL = "after-final"  # a head that was signed after the closing of its log, beyond the final one
ONE_PATH = "one-path"  # two egresses leave by one way
SOURCE = "source"  # the settings name a mirror of a log that is not followed
CLOCK, CHANNEL = "clock", "channel"
COPY, COPY_BEHIND = "copy", "copy-behind"  # the copy of a log takes nothing more; it lacks what is verified
DISK = "disk"  # it takes nothing while its disk is as good as full

_BY_OUTCOME: Mapping[Outcome, Class] = {
    Outcome.VOUCHED: Class.OPERATIONAL,
    Outcome.PROVEN: Class.PROVEN,
    Outcome.UNREACHED: Class.OPERATIONAL,
    Outcome.OWN: Class.OWN,
    Outcome.UNVERIFIED: Class.SUSPECTED,
}
# Where a code says more than the outcome. PROVEN and OWN are never changed.
_BY_CODE: Mapping[str, Class] = {
    STALE: Class.OPERATIONAL,  # a replica that is behind; what is newer and smaller is proven by its signatures
    GARBLED: Class.OPERATIONAL,  # whoever stands in between, or a log that is not well
    "halted": Class.OPERATIONAL,  # a node has stopped by itself, as it must
    "guard": Class.OPERATIONAL,
    HEAD_SLOW: Class.OPERATIONAL,
    HEAD_OLD: Class.OPERATIONAL,
    WITNESS_LAGS: Class.OPERATIONAL,
    NOT_CROSS_WITNESSED: Class.DEGRADED,
    NOT_FOLLOWED: Class.DEGRADED,
    ONE_PATH: Class.DEGRADED,
    "unfollowed": Class.DEGRADED,
}
_SEVERITY: Mapping[Class, str] = {
    Class.PROVEN: "critical",
    Class.SUSPECTED: "warning",
    Class.OPERATIONAL: "warning",
    Class.DEGRADED: "error",
    Class.OWN: "error",
}
_ALARMS = frozenset(
    {SPLIT, AFTER_FINAL, HEAD_OLD, FUTURE_HEAD, "unreconciled", "checkpoint"}
)  # not proven, not to be slept over


def class_of(outcome: Outcome, code: str) -> Class:
    """Return how sure a finding is."""
    held = _BY_OUTCOME[outcome]
    return held if held in {Class.PROVEN, Class.OWN} else _BY_CODE.get(code, held)


def severity_of(outcome: Outcome, code: str) -> str:
    """Return one of `alert.SEVERITIES`."""
    held = class_of(outcome, code)
    return "error" if code in _ALARMS and held is not Class.PROVEN else _SEVERITY[held]


def alert_of(finding: Finding) -> Alert:
    """Return the alert that a finding is, once its time has come."""
    return Alert(
        finding.key,
        class_of(finding.outcome, finding.code),
        severity_of(finding.outcome, finding.code),
        finding.subject,
        finding.code,
        finding.text,
        {"evidence": finding.evidence} if finding.evidence else {},
    )


@dataclass(frozen=True, slots=True)
class Patience:
    """How long, and how often in a row, something is found before it is an alert."""

    seconds: float = 0.0
    times: int = 1


def patience(outcome: Outcome, code: str, limits: Limits) -> Patience:
    """Return what a finding of this code is given. What is proven is told at once."""
    if code in {STALE, BUSY, BEHIND, SOURCE, "unreconciled"} and outcome is not Outcome.PROVEN:
        return Patience(seconds=limits.stale_s)
    if code in {HEAD_SLOW, HEAD_OLD, WITNESS_LAGS, NOT_CROSS_WITNESSED, NOT_FOLLOWED}:
        return Patience()  # that time has passed is what they say
    if code in {"checkpoint", WITNESS, HASHES_LOST} or class_of(outcome, code) is Class.OPERATIONAL:
        return Patience(times=limits.in_a_row)
    return Patience()
