"""What the page says: the state of each log, alerts and findings, as plain values.

Heads, sizes, cosignatures and evidence are for everybody. Alerts and findings concern organisations: they are for those
who are let in.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from log.evidence.heads import Kind
from monitor.judging import JUDGED
from monitor.limits import Limits
from monitor.logs import FollowedLog
from monitor.rules.table import BY_CODE
from monitor.store import Apart, Evidence, KeptAlert, KeptFinding, Store


@dataclass(frozen=True, slots=True)
class Vouching:
    """What one witness says of a log."""

    name: str
    size: int | None  # None: it has vouched for nothing yet
    time_ms: int | None
    ours: bool = False


@dataclass(frozen=True, slots=True)
class LogRow:
    """How one log stands."""

    origin: str
    announced: int  # entries of the largest signed head that is not among those `apart`
    verified: int | None
    verified_ms: int | None
    judged: int | None  # None: this family has no rules
    signed_ms: int | None  # when the head that is verified was signed
    age_s: int | None  # of that head
    vouching: Sequence[Vouching]
    evidence: Sequence[Evidence]
    apart: Sequence[Apart]  # what it has signed on another branch than the one that we follow
    closed: bool
    unread: bool  # its entries are not for us

    @property
    def proven(self) -> bool:
        """Whether there is proof of a lie among the evidence."""
        return any(each.kind.proven for each in self.evidence)


@dataclass(frozen=True, slots=True)
class Asked:
    """Which findings are wanted."""

    code: str = ""
    severity: str = ""
    before: int | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some findings, newest first, and where the next ones begin."""

    findings: Sequence[KeptFinding]
    before: int | None


class Board:
    """Reads the state for whoever shows it. Functions block."""

    def __init__(
        self,
        store: Store,
        logs: Callable[[], Iterable[FollowedLog]],
        limits: Limits,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._store = store
        self._logs = logs
        self._limits = limits
        self._now_ms = now_ms

    @property
    def now_ms(self) -> int:
        """The time of what is shown."""
        return self._now_ms()

    def logs(self) -> list[LogRow]:
        """Return how each log stands."""
        return [self._row(followed) for followed in self._logs()]

    def others(self) -> list[Evidence]:
        """Return the evidence against witnesses and authorities, who are no logs."""
        return [*self._store.evidence_of(Kind.COSIGNED_BOTH), *self._store.evidence_of(Kind.SAME_SEQ)]

    def alerts(self) -> list[KeptAlert]:
        """Return the gravest alerts that last."""
        return self._store.gravest(self._limits.page_rows)

    def alert_count(self) -> int:
        """Return how many alerts last."""
        return sum(self._store.alert_counts().values())

    def findings(self, asked: Asked) -> Page:
        """Return a page of findings."""
        rows = self._limits.page_rows
        found = self._store.findings(code=asked.code, severity=asked.severity, before=asked.before, limit=rows + 1)
        return Page(found[:rows], found[rows - 1].seq if len(found) > rows else None)

    def counts(self) -> dict[str, int]:
        """Return how many findings there are, by code."""
        return self._store.finding_counts()

    def _row(self, followed: FollowedLog) -> LogRow:
        store, origin = self._store, followed.origin
        verified, counts, judged = store.verified(origin), store.counts(origin), store.judged(origin)
        signed_ms = None if verified is None else verified.head.time_ms
        own = store.witness(origin)
        vouching = [Vouching("this monitor", None if own is None else own[0], None, ours=True)]
        for witness in followed.witnesses:
            found = store.cosigned(origin, witness.vkey.encode())
            size, time_ms = (None, None) if found is None else (found.size, found.time_s * 1000)
            vouching.append(Vouching(witness.vkey.name, size, time_ms))
        return LogRow(
            origin,
            counts.announced,
            None if verified is None else verified.head.size,
            None if verified is None else verified.verified_ms,
            judged.size if followed.family in JUDGED and not followed.unread else None,
            signed_ms,
            None if signed_ms is None else max(0, (self._now_ms() - signed_ms) // 1000),
            vouching,
            store.evidence(origin),
            store.apart(origin, self._limits.page_rows),
            followed.closed,
            followed.unread,
        )


def as_json(kept: KeptFinding) -> dict[str, Any]:
    """Return a finding as it is handed on."""
    finding, rule = kept.finding, BY_CODE[kept.finding.code]
    place = finding.place
    return {
        "id": kept.seq,
        "code": finding.code,
        "rule": rule.title,
        "severity": finding.severity,
        "class": finding.cls.value,
        "text": finding.text,
        "about": finding.about.hex(),
        "certificate": finding.fingerprint.hex(),
        "issuer": finding.issuer.hex(),
        "log": "" if place is None else place.origin,
        "index": None if place is None else place.index,
        "logged_ms": None if place is None else place.time_ms,
        "evidence": dict(finding.evidence),
        "produced": dict(finding.produced),
        "found_ms": kept.found_ms,
    }
