"""What HTTP counts, and the page that it shows together with the node's own numbers, for `/metrics`.

What a request adds is a few plain integers that only the event loop touches; the client library sees them when
somebody scrapes, for its own counters cost more than a tile.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Mapping

from log.api.exposition import METRICS
from log.api.limits import Bodies, Lane, Places
from log.api.metrics_node import put_log, put_node
from log.api.served import ServedNode
from log.serving.sheet import Sheet
from log.serving.vitals import Vitals
from log.tally import SECONDS, Spread

__all__ = ["METRICS", "NO_ROUTE", "Meter", "Metrics"]

NO_ROUTE = "none"  # the label of requests that no route took, and of logs that are none: one for all
MAX_REASONS = 64  # words for which refusals are counted; this code has fewer
OTHER = "other"


class Meter:
    """The counts of one route."""

    __slots__ = ("seconds", "sent_bytes", "statuses")

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.seconds = Spread()
        self.sent_bytes = 0

    def count(self, status: int, seconds: float, sent_bytes: int) -> None:
        self.statuses[status] += 1
        spread = self.seconds  # `Spread.add` written out: of what a tile costs, every call is felt
        spread.buckets[bisect_left(SECONDS, seconds)] += 1
        spread.total += seconds
        self.sent_bytes += sent_bytes


class Metrics:
    """All meters, and what the node says of itself when somebody asks."""

    def __init__(self, node: ServedNode, vitals: Vitals) -> None:
        self._node = node
        self._vitals = vitals
        self._meters: dict[tuple[str, str], Meter] = {}
        self._refused: defaultdict[str, Counter[str]] = defaultdict(Counter)  # by log; there are no more than logs
        self._places: Mapping[Lane, Places] = {}
        self._bodies: Mapping[Lane, Bodies] = {}

    def meter(self, method: str, pattern: str) -> Meter:
        """Return the meter of a route, the same one each time."""
        return self._meters.setdefault((method, pattern), Meter())

    def watch(self, places: Mapping[Lane, Places], bodies: Mapping[Lane, Bodies]) -> None:
        """Show these lanes from now on."""
        self._places, self._bodies = places, bodies

    def refused(self, log: str, reason: str) -> str:
        """Count a submission that was refused; return the log's name, `NO_ROUTE` for one that is not here."""
        known = log if log in self._node.logs else NO_ROUTE
        counts = self._refused[known]
        counts[reason if reason in counts or len(counts) < MAX_REASONS else OTHER] += 1
        return known

    async def exposition(self) -> bytes:
        """Return everything in the Prometheus text format."""
        reading = await self._node.reading()
        sheet = Sheet(METRICS)
        self._put_http(sheet)
        for name, hosted in self._node.logs.items():
            put_log(sheet, hosted.status(), hosted.reading(), reading)
            self._put_refused(sheet, name)
        self._put_refused(sheet, NO_ROUTE)
        put_node(sheet, reading)
        self._vitals.put(sheet)
        return sheet.encode()

    def _put_http(self, sheet: Sheet) -> None:
        for labels, meter in self._meters.items():
            for status, count in sorted(meter.statuses.items()):
                sheet.put("twinlog_http_requests_total", count, *labels, str(status))
            sheet.spread("twinlog_http_request_seconds", meter.seconds, *labels)
            sheet.put("twinlog_http_sent_bytes_total", meter.sent_bytes, *labels)
        sheet.put("twinlog_http_held_bytes", sum(held.held_bytes for held in self._bodies.values()))
        for lane, places in self._places.items():
            sheet.put("twinlog_http_busy_total", places.busy, lane)
            sheet.put("twinlog_http_places_total", places.limit, lane)
            sheet.put("twinlog_http_lane_refused_total", places.refused, lane)

    def _put_refused(self, sheet: Sheet, log: str) -> None:
        for reason, count in self._refused[log].items():
            sheet.put("twinlog_log_submissions_total", count, log, "refused", reason)
