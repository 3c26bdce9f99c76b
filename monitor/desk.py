"""Where findings come in: told as lines at once, and as alerts when their time has come (monitoring.md §5.3, §6).

A source (a look at a log, the feeding of one witness, …) reports all that it finds, each time. What it found before
and finds no longer is over for it; an alert ends when no source finds it. What is being found is on record, so that
a restart neither tells an alert twice nor forgets one.
"""

import asyncio
import logging
from collections.abc import Collection, Sequence

from monitor.clock import Clock
from monitor.limits import Limits
from monitor.outcome import Finding, alert_of, class_of, patience, severity_of
from monitor.store import Fault, Store

logger = logging.getLogger("monitor")

_LEVELS = {"critical": logging.CRITICAL, "error": logging.ERROR, "warning": logging.WARNING, "info": logging.INFO}


class Desk:
    """All findings of one monitor. One report of a source at a time."""

    def __init__(self, store: Store, limits: Limits, clock: Clock) -> None:
        self._store = store
        self._limits = limits
        self._clock = clock
        self._told: dict[str, tuple[Finding, ...]] = {}
        self._faults: dict[str, dict[str, Fault]] = {}  # by source and key; `since_ms` is on the monotonic clock
        self._raised: set[tuple[str, str]] = set()  # (source, key) of what is an alert already
        now_ms, wall_ms = self._now_ms(), clock.now_ms()
        for fault in store.faults():
            since_ms = now_ms - max(0, wall_ms - fault.since_ms)
            self._faults.setdefault(fault.source, {})[fault.key] = Fault(fault.key, fault.source, since_ms, fault.times)

    async def report(self, source: str, findings: Sequence[Finding]) -> None:
        """Take in all that a source finds now: tell what is new, raise what is due, end what is over."""
        findings = tuple(dict.fromkeys(findings))
        self._tell(source, findings)
        before = self._faults.get(source, {})
        if not findings and not before:
            return
        after, changed, alerts = {}, [], []
        for finding in {each.key: each for each in reversed(findings)}.values():
            fault, ripe = self._weigh(source, finding, before.get(finding.key))
            after[finding.key] = fault
            if (source, finding.key) in self._raised:
                continue
            changed.append(self._on_record(fault))
            if ripe:
                alerts.append(alert_of(finding))
        gone = [(key, source) for key in before if key not in after]
        if changed or gone:
            await asyncio.to_thread(self._store.keep_faults, changed, gone, alerts, self._clock.now_ms())
        self._raised |= {(source, alert.key) for alert in alerts}
        self._raised -= {(source, key) for key, _ in gone}
        self._faults[source] = after

    async def keep_only(self, sources: Collection[str]) -> None:
        """Let go of what sources found that are no longer asked."""
        for source in [each for each in self._faults if each not in sources]:
            await self.report(source, ())
            self._faults.pop(source, None)

    def settle(self) -> None:
        """Begin anew to wait, where something was not found long enough yet: how long it was is not known any more."""
        now_ms = self._now_ms()
        for source, faults in self._faults.items():
            for key, fault in faults.items():
                if (source, key) not in self._raised:
                    faults[key] = Fault(key, source, now_ms, fault.times)

    def _weigh(self, source: str, finding: Finding, held: Fault | None) -> tuple[Fault, bool]:
        """Return what is known of a finding with this time, and whether it is an alert."""
        now_ms = self._now_ms()
        fault = Fault(
            finding.key, source, now_ms if held is None else held.since_ms, 1 if held is None else held.times + 1
        )
        given = patience(finding.outcome, finding.code, self._limits)
        return fault, fault.times >= given.times and now_ms - fault.since_ms >= given.seconds * 1000

    def _on_record(self, fault: Fault) -> Fault:
        since_ms = self._clock.now_ms() - (self._now_ms() - fault.since_ms)
        return Fault(fault.key, fault.source, since_ms, fault.times)

    def _now_ms(self) -> int:
        return round(self._clock.monotonic_s() * 1000)

    # --- lines -----------------------------------------------------------------------------------------------

    def _tell(self, source: str, findings: tuple[Finding, ...]) -> None:
        before = self._told.get(source, ())
        keys = {finding.key for finding in before}
        for finding in findings:
            if finding.key not in keys:
                _line(finding)
        if before and not findings:
            logger.info("well again", extra={"fields": {"event": "recovered", "source": source}})
        self._told[source] = findings


def _line(finding: Finding) -> None:
    fields = {
        "event": "finding",
        "class": class_of(finding.outcome, finding.code).value,
        "outcome": finding.outcome.name.lower(),
        "code": finding.code,
        "subject": finding.subject,
    }
    logger.log(_LEVELS[severity_of(finding.outcome, finding.code)], finding.text, extra={"fields": fields})
