"""GET /metrics: every described metric and no other, what it counts, and labels that no stranger chooses."""

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from monitor.alert import Alert, Class
from monitor.web.metrics import METRICS
from tests.monitor.conftest import Monitor

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def scraped(monitor: Monitor) -> Series:
    assert monitor.app is not None
    async with httpx.AsyncClient(transport=httpx.ASGITransport(monitor.app), base_url="http://m") as client:
        found = await client.get("/metrics")
    assert (found.status_code, found.headers["cache-control"]) == (200, "no-store")
    assert found.headers["content-type"].startswith("text/plain; version=")
    families = list(text_string_to_metric_families(found.text))
    shown = {family.name for family in families} | {f"{family.name}_total" for family in families}
    assert set(METRICS) <= shown
    assert all(family.name in METRICS or f"{family.name}_total" in METRICS for family in families)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def value(series: Series, name: str, **labels: str) -> float:
    return series[f"twinlog_monitor_{name}", frozenset(labels.items())]


async def test_how_each_log_stands_who_vouches_and_how_the_monitor_itself_does(monitor: Monitor) -> None:
    await monitor.once()
    monitor.world.time_ms += 7_000
    series = await scraped(monitor)
    assert [value(series, f"{name}_total") for name in ("ok", "clock_trusted", "state_writable")] == [1, 1, 1]
    at = {"log": "hk.example/x509"}
    for name in ("announced", "verified", "cosigned"):
        assert value(series, f"{name}_entries_total", **at) == 300
    assert value(series, "judged_entries_total", **at) == 0
    assert value(series, "vouched_entries_total", **at, witness="gd.example/witness") == 300
    assert 7 <= value(series, "vouched_age_seconds", **at, witness="gd.example/witness") < 9
    assert value(series, "head_age_seconds", **at) == 8
    assert value(series, "looked_seconds", **at) == 7
    assert value(series, "open_heads_total", **at) == 0


@pytest.mark.parametrize(("at", "time_ms", "kind", "open_heads"), [(200, 0, "E2", 0), (300, -5_000, "E3", 1)])
async def test_a_larger_head_that_is_proven_a_lie_is_nothing_that_we_are_behind(
    monitor: Monitor, at: int, time_ms: int, kind: str, open_heads: int
) -> None:
    """Else the alert rule for entries that are withheld would page until somebody silences it."""
    await monitor.once()
    truth = monitor.world.hk_x509
    lie = await truth.branch(at, 350 - at)
    await lie.sign(time_ms=monitor.world.time_ms + time_ms)
    monitor.world.hk.logs[truth.name] = lie
    await monitor.once()
    series = await scraped(monitor)
    assert value(series, "evidence_total", kind=kind) == 1
    at_log = {"log": truth.origin}
    for name in ("announced", "verified"):
        assert value(series, f"{name}_entries_total", **at_log) == 300
    assert value(series, "open_heads_total", **at_log) == open_heads, "a tree that no data have settled stays one"


async def test_evidence_and_alerts_are_counted_and_an_acknowledged_one_apart(monitor: Monitor) -> None:
    await monitor.once()
    labels = {"class": "proven", "severity": "critical"}
    before = await scraped(monitor)
    assert value(before, "alerts_total", acknowledged="no", **labels) == 0
    assert value(before, "evidence_total", kind="E1") == 0
    truth = monitor.world.hk_x509
    fork = await truth.branch(299, 1)
    await fork.sign()
    monitor.world.hk.logs[truth.name] = fork
    await monitor.once()
    series = await scraped(monitor)
    assert value(series, "evidence_total", kind="E1") == 1
    assert value(series, "alerts_total", acknowledged="no", **labels) == 1
    assert monitor.store is not None
    [proven] = [each for each in monitor.store.alerts(lasting=True) if each.alert.cls is Class.PROVEN]
    assert monitor.store.acknowledge(proven.alert.key, "Chan", 1)
    after = await scraped(monitor)
    assert value(after, "alerts_total", acknowledged="no", **labels) == 0
    assert value(after, "alerts_total", acknowledged="yes", **labels) == 1


async def test_what_channels_were_not_told_is_counted_by_channel(monitor: Monitor) -> None:
    channel = '[[channels]]\nname = "hook"\nkind = "command"\ncommand = ["false"]\n'
    monitor.path.write_text(monitor.path.read_text().replace("[limits]", f"{channel}[limits]"))
    monitor.start()
    assert monitor.store is not None
    monitor.store.raise_alerts([Alert("k", Class.OWN, "error", "s", "c", "t")], 1)
    series = await scraped(monitor)
    assert value(series, "undelivered_total", channel="hook", state="waiting") == 1
    assert value(series, "undelivered_total", channel="hook", state="given-up") == 0
