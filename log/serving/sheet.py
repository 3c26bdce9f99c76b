"""The sheet on which one scrape of /metrics writes values (Prometheus text format), and how a metric is described.

Names follow contract.md: `twinlog_…`, ending in `_total`, `_seconds` or `_bytes`. Labels hold words of settings,
of governance and of this code, never what a stranger sent: who runs it bounds the number of series.
"""

from collections.abc import Iterable, Mapping
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


def counter(text: str, *labels: str) -> Described:
    """Describe what only grows while the process lasts."""
    return Described(CounterMetricFamily, labels, text)


def gauge(text: str, *labels: str) -> Described:
    """Describe what goes up and down."""
    return Described(GaugeMetricFamily, labels, text)


def histogram(text: str, *labels: str) -> Described:
    """Describe a `Spread`."""
    return Described(HistogramMetricFamily, labels, text)


class Sheet(Collector):
    """The values of one scrape. Every metric is described, those without a value too."""

    def __init__(self, metrics: Mapping[str, Described]) -> None:
        """Take all that may be put, by name."""
        self._metrics = metrics
        self._numbers: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        self._histograms: dict[str, HistogramMetricFamily] = {}
        for name, each in metrics.items():
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
        return [families[name] for name in self._metrics]

    def describe(self) -> Iterable[Metric]:
        """Claim no name: a registry holds one sheet."""
        return ()

    def encode(self) -> bytes:
        """Return everything in the Prometheus text format."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return generate_latest(registry)
