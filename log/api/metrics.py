"""What the node counts, for `/metrics` in the Prometheus text format.

The registry is the application's own. What a request adds is a few plain integers that only the event loop
touches; the client library sees them when somebody scrapes, for its own counters cost more than a tile.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from log.api.served import LogStatus, ServedLog

METRICS = {
    "twinlog_http_requests_total": "Requests answered, by route and status.",
    "twinlog_http_request_seconds": "Time from the head of a request to its answer, by route.",
    "twinlog_http_sent_bytes_total": "Bytes of bodies answered, by route.",
    "twinlog_http_held_bytes": "Bytes of request bodies in memory now.",
    "twinlog_log_entries_total": "Entries under the newest head, by log.",
    "twinlog_log_waiting_total": "Submissions that wait for the next commit, by log.",
    "twinlog_log_head_age_seconds": "Age of the newest head, by log.",
    "twinlog_log_witnessed_entries_total": "Entries under the witnessed head, by log.",
    "twinlog_log_witnessed_age_seconds": "Age of the witnessed head, by log; absent before the first.",
}

BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
NO_ROUTE = "none"  # the label of requests that no route took: one for all, whatever they asked for


class Meter:
    """The counts of one route."""

    __slots__ = ("buckets", "seconds", "sent_bytes", "statuses")

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.buckets = [0] * (len(BUCKETS_S) + 1)  # the last one has no bound
        self.seconds = 0.0
        self.sent_bytes = 0

    def count(self, status: int, seconds: float, sent_bytes: int) -> None:
        self.statuses[status] += 1
        self.buckets[bisect_left(BUCKETS_S, seconds)] += 1
        self.seconds += seconds
        self.sent_bytes += sent_bytes


class Metrics(Collector):
    """All meters, and the logs' own numbers, read when somebody asks."""

    def __init__(self, logs: Mapping[str, ServedLog]) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self.registry.register(self)
        self.held_bytes: Callable[[], int] = lambda: 0  # set by who holds request bodies
        self._logs = logs
        self._meters: dict[tuple[str, str], Meter] = {}

    def meter(self, method: str, pattern: str) -> Meter:
        """Return the meter of a route, the same one each time."""
        return self._meters.setdefault((method, pattern), Meter())

    def exposition(self) -> bytes:
        """Return everything in the Prometheus text format."""
        return generate_latest(self.registry)

    def describe(self) -> Iterable[Metric]:
        """Name nothing beforehand: what there is follows from the logs."""
        return ()

    def collect(self) -> Iterator[Metric]:
        yield from self._http()
        yield from self._logs_now([hosted.status() for hosted in self._logs.values()])

    def _http(self) -> Iterator[Metric]:
        requests = _counter("twinlog_http_requests_total", "method", "route", "status")
        seconds = HistogramMetricFamily(*_described("twinlog_http_request_seconds"), labels=("method", "route"))
        sent = _counter("twinlog_http_sent_bytes_total", "method", "route")
        for labels, meter in self._meters.items():
            for status, count in sorted(meter.statuses.items()):
                requests.add_metric((*labels, str(status)), count)
            seconds.add_metric(labels, _cumulative(meter.buckets), meter.seconds)
            sent.add_metric(labels, meter.sent_bytes)
        held = GaugeMetricFamily(*_described("twinlog_http_held_bytes"), value=self.held_bytes())
        yield from (requests, seconds, sent, held)

    def _logs_now(self, statuses: Iterable[LogStatus]) -> Iterator[Metric]:
        entries = _counter("twinlog_log_entries_total", "log")
        waiting = GaugeMetricFamily(*_described("twinlog_log_waiting_total"), labels=("log",))
        head_age = GaugeMetricFamily(*_described("twinlog_log_head_age_seconds"), labels=("log",))
        witnessed = _counter("twinlog_log_witnessed_entries_total", "log")
        witnessed_age = GaugeMetricFamily(*_described("twinlog_log_witnessed_age_seconds"), labels=("log",))
        for status in statuses:
            entries.add_metric((status.name,), status.size)
            waiting.add_metric((status.name,), status.pool)
            head_age.add_metric((status.name,), status.head_age_ms / 1000)
            witnessed.add_metric((status.name,), status.witnessed_size or 0)
            if status.witnessed_age_ms is not None:
                witnessed_age.add_metric((status.name,), status.witnessed_age_ms / 1000)
        yield from (entries, waiting, head_age, witnessed, witnessed_age)


def _described(name: str) -> tuple[str, str]:
    return name, METRICS[name]


def _counter(name: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(*_described(name), labels=labels)


def _cumulative(buckets: list[int]) -> list[tuple[str, float]]:
    """Return Prometheus buckets: each holds all that took no longer than its bound."""
    total = 0
    pairs = []
    for bound, count in zip((*map(str, BUCKETS_S), "+Inf"), buckets, strict=True):
        total += count
        pairs.append((bound, float(total)))
    return pairs
