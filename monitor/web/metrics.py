"""GET /metrics: for Prometheus, what `status` and the page say, as numbers. Open to all: it names logs and no finding.

Labels hold origins, witnesses and channels of the settings and of governance, and words of this code, never what a
stranger sent. Alerts and findings are counted here; what they are about stands on the page, for those who are let in.
"""

import asyncio
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from itertools import product

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from log.evidence.heads import Kind
from log.serving.sheet import Sheet, gauge
from log.serving.vitals import PROCESS, Vitals
from monitor.alert import SEVERITIES, Class
from monitor.board import Board, LogRow
from monitor.health import Health
from monitor.rules.table import BY_CODE
from monitor.store import GIVEN_UP, WAITING, Store

METRICS = {
    "twinlog_monitor_ok_total": gauge("1 while /healthz is 200, else 0."),
    "twinlog_monitor_clock_trusted_total": gauge("1 while our clock is trusted, else 0."),
    "twinlog_monitor_state_writable_total": gauge("1 while our state can be written, else 0."),
    "twinlog_monitor_announced_entries_total": gauge(
        "Entries of the largest signed head seen that is not convicted or refuted; absent of a closed log.", "log"
    ),
    "twinlog_monitor_verified_entries_total": gauge("Entries read and verified.", "log"),
    "twinlog_monitor_judged_entries_total": gauge("Verified entries that went through the rules.", "log"),
    "twinlog_monitor_head_age_seconds": gauge(
        "Age of the head verified last; absent before the first, and of a closed log.", "log"
    ),
    "twinlog_monitor_looked_seconds": gauge("Time since a look ended; absent before the first.", "log"),
    "twinlog_monitor_open_heads_total": gauge("Signed heads that no data have settled.", "log"),
    "twinlog_monitor_cosigned_entries_total": gauge("Entries of the head that we cosigned last.", "log"),
    "twinlog_monitor_vouched_entries_total": gauge(
        "Entries of the largest head that a witness has cosigned.", "log", "witness"
    ),
    "twinlog_monitor_vouched_age_seconds": gauge("Age of that cosignature; absent before the first.", "log", "witness"),
    "twinlog_monitor_alerts_total": gauge("Alerts that last.", "class", "severity", "acknowledged"),
    "twinlog_monitor_evidence_total": gauge("Evidence objects kept.", "kind"),
    "twinlog_monitor_findings_total": gauge("Findings of a rule.", "code"),
    "twinlog_monitor_undelivered_total": gauge("Alerts that a channel was not told.", "channel", "state"),
    "twinlog_monitor_build_total": gauge("1, with what runs here as labels.", "version", "python"),
    **PROCESS,
}


class Numbers:
    """Reads them. `exposition` blocks."""

    def __init__(self, board: Board, health: Health, store: Store, channels: Sequence[str], vitals: Vitals) -> None:
        """`channels` are names of the settings."""
        self._board = board
        self._health = health
        self._store = store
        self._channels = channels
        self._vitals = vitals

    def exposition(self) -> bytes:
        """Return everything in the Prometheus text format."""
        sheet = Sheet(METRICS)
        ok, report = self._health.report()
        sheet.put("twinlog_monitor_ok_total", ok)
        sheet.put("twinlog_monitor_clock_trusted_total", report["clock_trusted"])
        sheet.put("twinlog_monitor_state_writable_total", report["state_writable"])
        for row in report["logs"]:
            sheet.put("twinlog_monitor_looked_seconds", row["looked_s"], row["origin"])
            sheet.put("twinlog_monitor_open_heads_total", row["open"], row["origin"])
        for log_row in self._board.logs():
            self._put_log(sheet, log_row)
        self._put_counts(sheet)
        sheet.put("twinlog_monitor_build_total", 1, _version(), platform.python_version())
        self._vitals.put(sheet)
        return sheet.encode()

    def _put_log(self, sheet: Sheet, row: LogRow) -> None:
        """Write what is known of a log. Of a closed one nothing grows older, and nothing more is to come."""
        if not row.closed:
            sheet.put("twinlog_monitor_announced_entries_total", row.announced, row.origin)
            sheet.put("twinlog_monitor_head_age_seconds", row.age_s, row.origin)
        sheet.put("twinlog_monitor_verified_entries_total", row.verified or 0, row.origin)
        sheet.put("twinlog_monitor_judged_entries_total", row.judged, row.origin)
        for each in row.vouching:
            if each.ours:
                sheet.put("twinlog_monitor_cosigned_entries_total", each.size or 0, row.origin)
                continue
            sheet.put("twinlog_monitor_vouched_entries_total", each.size or 0, row.origin, each.name)
            if row.closed:
                continue
            age_s = None if each.time_ms is None else max(0, self._board.now_ms - each.time_ms) / 1000
            sheet.put("twinlog_monitor_vouched_age_seconds", age_s, row.origin, each.name)

    def _put_counts(self, sheet: Sheet) -> None:
        """Write what is counted; what there is none of is 0, so that an alert rule sees it come."""
        alerts, evidence = self._store.alert_counts(), self._store.evidence_counts()
        for cls, severity, seen in product(Class, SEVERITIES, (False, True)):
            labels = (cls.value, severity, "yes" if seen else "no")
            sheet.put("twinlog_monitor_alerts_total", alerts.get((cls, severity, seen), 0), *labels)
        for kind in Kind:
            sheet.put("twinlog_monitor_evidence_total", evidence.get(kind, 0), kind.value)
        found = self._board.counts()
        for rule in filter(lambda each: each.judged, BY_CODE.values()):
            sheet.put("twinlog_monitor_findings_total", found.get(rule.code, 0), rule.code)
        waiting = self._store.delivery_counts(self._channels)
        for channel, state in product(self._channels, (WAITING, GIVEN_UP)):
            sheet.put("twinlog_monitor_undelivered_total", waiting.get((channel, state), 0), channel, state)


def _version() -> str:
    try:
        return version("twinlog")
    except PackageNotFoundError:
        return "unknown"


def router(numbers: Numbers) -> APIRouter:
    """Return the route."""
    routes = APIRouter()

    @routes.get("/metrics")
    async def metrics() -> Response:
        text = await asyncio.to_thread(numbers.exposition)
        return Response(text, headers={"Cache-Control": "no-store", "Content-Type": CONTENT_TYPE_LATEST})

    return routes
