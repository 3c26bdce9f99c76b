"""Every metric that a node shows, and the sheet on which one scrape writes their values (Prometheus text format).

Names follow contract.md: `twinlog_…`, ending in `_total`, `_seconds` or `_bytes`. Labels hold words of the settings and
of this code, never what a stranger sent: the number of series is bounded by the node's own configuration.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from log.tally import Spread


@dataclass(frozen=True, slots=True)
class Described:
    """One metric: what it is, by which labels, in words."""

    family: type[CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily]
    labels: tuple[str, ...]
    text: str


def _counter(text: str, *labels: str) -> Described:
    return Described(CounterMetricFamily, labels, text)


def _gauge(text: str, *labels: str) -> Described:
    return Described(GaugeMetricFamily, labels, text)


def _histogram(text: str, *labels: str) -> Described:
    return Described(HistogramMetricFamily, labels, text)


METRICS = {
    "twinlog_http_requests_total": _counter("Requests answered.", "method", "route", "status"),
    "twinlog_http_request_seconds": _histogram("Time from the head of a request to its answer.", "method", "route"),
    "twinlog_http_sent_bytes_total": _counter("Bytes of bodies answered.", "method", "route"),
    "twinlog_http_held_bytes": _gauge("Bytes of request bodies in memory now."),
    "twinlog_http_busy_total": _gauge("Requests in progress now, by lane.", "lane"),
    "twinlog_http_places_total": _gauge("Requests that may be in progress, by lane.", "lane"),
    "twinlog_http_lane_refused_total": _counter("Requests refused because their lane was full.", "lane"),
    "twinlog_log_entries_total": _counter("Entries under the newest head.", "log"),
    "twinlog_log_head_age_seconds": _gauge("Age of the newest head.", "log"),
    "twinlog_log_witnessed_entries_total": _counter("Entries under the witnessed head.", "log"),
    "twinlog_log_witnessed_age_seconds": _gauge("Age of the witnessed head; absent before the first.", "log"),
    "twinlog_log_cosignatures_total": _counter("Cosignatures taken, by witness of the policy.", "log", "witness"),
    "twinlog_log_cosigned_age_seconds": _gauge(
        "Age of the newest cosignature of a witness; absent before the first.", "log", "witness"
    ),
    "twinlog_log_guarded_total": _gauge("1 once a guard has spoken, or none is configured; else 0.", "log"),
    "twinlog_log_halted_total": _gauge("1 while signing waits for an operator to clear a halt, else 0.", "log"),
    "twinlog_log_stopped_total": _gauge("1 while heads are not signed, for whatever reason, else 0.", "log"),
    "twinlog_log_heartbeats_total": _counter("Unchanged heads signed anew.", "log"),
    "twinlog_log_heartbeat_failures_total": _counter("Heads that were due and not signed.", "log"),
    "twinlog_log_submissions_total": _counter(
        "Submissions accepted, known before (duplicate), refused and for what reason.", "log", "outcome", "reason"
    ),
    "twinlog_log_dedup_hits_total": _counter("Submissions known before, by where they were found.", "log", "where"),
    "twinlog_log_scts_signed_total": _counter("SCTs signed, repeated ones and those in proofs too.", "log"),
    "twinlog_log_waiting_total": _gauge("Submissions that wait for the next commit.", "log"),
    "twinlog_log_waiting_limit_total": _gauge("Submissions that may wait.", "log"),
    "twinlog_log_waiting_bytes": _gauge("Bytes of the submissions that wait.", "log"),
    "twinlog_log_commit_seconds": _histogram("Time of a commit, from its batch to its answers.", "log"),
    "twinlog_log_commit_bytes": _histogram("Bytes of a commit's submissions.", "log"),
    "twinlog_log_commit_entries_total": _counter("Entries of all commits.", "log"),
    "twinlog_log_commit_phase_seconds_total": _counter("Time spent in each phase of all commits.", "log", "phase"),
    "twinlog_log_batch_total": _gauge("Entries of the newest commit.", "log"),
    "twinlog_log_index_lag_total": _gauge("Published entries that the index does not know yet.", "log"),
    "twinlog_log_index_unsynced_total": _gauge("Entries that a start after a crash would index again.", "log"),
    "twinlog_log_store_bytes": _gauge("Bytes of a store's files.", "log", "store"),
    "twinlog_log_cache_bytes": _gauge("Bytes kept by a cache of reads.", "log", "cache"),
    "twinlog_log_cache_hits_total": _counter("Reads that a cache answered.", "log", "cache"),
    "twinlog_log_cache_misses_total": _counter("Reads that a cache took in.", "log", "cache"),
    "twinlog_log_window_end_seconds": _gauge(
        "POSIX time at which the notAfter window ends; absent without one.", "log"
    ),
    "twinlog_guard_heard_seconds": _gauge("Time since a guard was heard; absent before the first time.", "guard"),
    "twinlog_guard_clock_error_seconds": _gauge("How far our clock is from the guard that agrees best."),
    "twinlog_guard_partings_total": _counter("How often wall and monotonic clock parted."),
    "twinlog_witness_answers_total": _counter("Answers to heads brought for cosigning.", "origin", "status"),
    "twinlog_witness_cosigned_age_seconds": _gauge("Age of our newest cosignature; absent before one.", "origin"),
    "twinlog_witness_guarded_total": _gauge("1 once a guard has spoken for what we cosigned, else 0.", "origin"),
    "twinlog_witness_halted_total": _gauge("1 while cosigning waits for an operator, else 0.", "origin"),
    "twinlog_checking_waiting_total": _gauge("Chains that wait for their check, those being checked too."),
    "twinlog_checking_limit_total": _gauge("Chains that may wait for their check."),
    "twinlog_checking_processes_total": _gauge("Checking processes that run."),
    "twinlog_checking_busy_total": _gauge("Checking processes that have a chain."),
    "twinlog_checking_restarts_total": _counter("Checking processes that ended and were replaced."),
    "twinlog_checking_check_seconds": _histogram("Time from handing a chain over to the answer of its check."),
    "twinlog_disk_free_bytes": _gauge("Free bytes under the data folder."),
    "twinlog_disk_watermark_bytes": _gauge("Free bytes below which the node is read-only."),
    "twinlog_heads_store_bytes": _gauge("Bytes of the head store's files."),
    "twinlog_node_failed_total": _gauge("1 after a store failed: the process is about to end; else 0."),
    "twinlog_node_build_total": _gauge("1, with what runs here as labels.", "version", "python"),
    "twinlog_process_start_seconds": _gauge("POSIX time at which the node was started."),
    "twinlog_process_resident_bytes": _gauge("Memory of the process that is no file's (RssAnon)."),
    "twinlog_process_open_files_total": _gauge("Open file descriptors."),
    "twinlog_process_open_files_limit_total": _gauge("File descriptors that may be open."),
    "twinlog_process_cpu_seconds_total": _counter("CPU time of the process, without the checking processes."),
    "twinlog_process_gc_seconds_total": _counter("Time in Python's cyclic garbage collection.", "generation"),
    "twinlog_process_gc_runs_total": _counter("Runs of Python's cyclic garbage collection.", "generation"),
    "twinlog_process_gc_longest_seconds": _gauge("Longest such run since the process began."),
    "twinlog_process_loop_lag_seconds": _histogram("How late the event loop woke a task, looked at every half second."),
}


class Sheet(Collector):
    """The values of one scrape. Every metric is described, those without a value too."""

    def __init__(self) -> None:
        self._numbers: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        self._histograms: dict[str, HistogramMetricFamily] = {}
        for name, each in METRICS.items():
            family = each.family(name, each.text, labels=each.labels)
            if isinstance(family, HistogramMetricFamily):
                self._histograms[name] = family
            else:
                self._numbers[name] = family

    def put(self, name: str, value: float | None, *labels: str) -> None:
        """Write a value, its labels in the order of the table; None is no value."""
        if value is not None:
            self._numbers[name].add_metric(labels, value)

    def spread(self, name: str, spread: Spread, *labels: str) -> None:
        """Write a histogram."""
        self._histograms[name].add_metric(labels, spread.cumulative(), spread.total)

    def collect(self) -> Iterable[Metric]:
        families = {**self._numbers, **self._histograms}
        return [families[name] for name in METRICS]

    def describe(self) -> Iterable[Metric]:
        """Claim no name: a registry holds one sheet."""
        return ()

    def encode(self) -> bytes:
        """Return everything in the Prometheus text format."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return generate_latest(registry)
