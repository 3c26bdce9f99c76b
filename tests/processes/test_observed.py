"""What an operator sees of a real node: every metric with a sensible value."""

import asyncio
import base64
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from log.api.exposition import METRICS
from log.demo.ca import MassIssuer
from tests.support.nodes import client, eventually, world

Series = dict[str, list[tuple[dict[str, str], float]]]
LOGS = {"x509", "governance"}
MIB = 1 << 20


async def scraped(http: httpx.AsyncClient, url: str) -> Series:
    """Return the samples of each metric, a histogram's under its own name with the suffix."""
    text = (await http.get(f"{url}/metrics")).text
    series: Series = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            series.setdefault(sample.name, []).append((sample.labels, sample.value))
    return series


def one(series: Series, name: str, **labels: str) -> float:
    """Return the one sample with these labels."""
    [value] = [value for held, value in series[name] if labels.items() <= held.items()]
    return value


async def refused(http: httpx.AsyncClient, url: str) -> None:
    """Submit under a root that nobody listed."""
    chain = MassIssuer("rsa2048", now_ms=int(time.time()) * 1000).chain(1)
    body = {"chain": [base64.b64encode(part).decode() for part in chain]}
    answer = await http.post(f"{url}/x509/ct/v1/add-chain", json=body)
    assert answer.status_code == httpx.codes.BAD_REQUEST, answer.text


async def test_every_metric_is_there_and_says_what_happened(tmp_path: Path) -> None:
    lines: dict[str, Any] = {"heartbeat_s": 1}
    async with world(tmp_path / "d", lines) as w, client() as http:
        await asyncio.gather(w.start("hk"), w.start("gd"))
        await w.start_monitor()
        await asyncio.gather(w.healthy(http, "hk"), w.healthy(http, "gd"))
        url = w.site().url
        await w.submits(http, 7)
        number, (der, _) = next(iter(w.promises.scts.items()))
        assert await w.promises.submit(http, url, (number, der)) == httpx.codes.OK
        await refused(http, url)
        await w.witnessed(http, 7)
        proof = f"{url}/x509/tlog-proof?fingerprint={sha256(der).hexdigest()}"
        assert (await http.get(proof)).status_code == httpx.codes.OK

        async def all_there() -> Series:
            held = await scraped(http, url)
            beaten = one(held, "twinlog_log_heartbeats_total", log="x509") > 0
            looked = one(held, "twinlog_process_loop_lag_seconds_count") > 0
            cosigned = len(held.get("twinlog_witness_cosigned_age_seconds", [])) == 2
            return held if beaten and looked and cosigned else {}

        series = await eventually("heads, cosignatures and looks at the loop", all_there)
        _, health = await w.health(http)
        used = _size(w.data_folder() / "x509" / "data")
    check_that_all_are_there(series)
    check_the_log(series)
    check_the_node(series, health, used)


def check_that_all_are_there(series: Series) -> None:
    absent = {"twinlog_log_window_end_seconds"}  # this log has no window
    for name, described in METRICS.items():
        held = series.get(name) or series.get(f"{name}_count")
        assert bool(held) == (name not in absent), name
        for labels, value in held or ():
            assert set(labels) == set(described.labels), name
            assert value >= 0, name
        if "log" in described.labels and held:
            families = {"x509"} if "scts" in name else LOGS
            assert {labels["log"] for labels, _ in held} == families, name


def check_the_log(series: Series) -> None:
    x509 = {"log": "x509"}
    assert one(series, "twinlog_log_entries_total", **x509) == 7
    assert one(series, "twinlog_log_witnessed_entries_total", **x509) == 7
    assert one(series, "twinlog_log_submissions_total", **x509, outcome="accepted") == 7
    assert one(series, "twinlog_log_submissions_total", **x509, outcome="duplicate") == 1
    assert one(series, "twinlog_log_submissions_total", **x509, outcome="refused", reason="unknown-root") == 1
    assert one(series, "twinlog_log_dedup_hits_total", **x509, where="index") == 1
    assert one(series, "twinlog_log_dedup_hits_total", **x509, where="pool") == 0
    assert one(series, "twinlog_log_scts_signed_total", **x509) == 9  # the proof holds one
    commits = one(series, "twinlog_log_commit_seconds_count", **x509)
    assert 1 <= commits <= 7
    assert one(series, "twinlog_log_commit_entries_total", **x509) == 7
    assert 1 <= one(series, "twinlog_log_batch_total", **x509) <= 7
    assert one(series, "twinlog_log_commit_bytes_count", **x509) == commits
    assert 7 * 500 < one(series, "twinlog_log_commit_bytes_sum", **x509) < 7 * 10_000
    phases = {
        labels["phase"]: value
        for labels, value in series["twinlog_log_commit_phase_seconds_total"]
        if labels["log"] == "x509"
    }
    assert set(phases) == {"plan", "write", "read_back", "sign", "swap", "index"}
    assert all(value > 0 for value in phases.values())
    assert sum(phases.values()) <= one(series, "twinlog_log_commit_seconds_sum", **x509)
    assert one(series, "twinlog_log_waiting_total", **x509) == one(series, "twinlog_log_waiting_bytes", **x509) == 0
    assert one(series, "twinlog_log_waiting_limit_total", **x509) == 4096
    assert one(series, "twinlog_log_index_lag_total", **x509) == 0
    assert one(series, "twinlog_log_index_unsynced_total", **x509) <= 7
    assert one(series, "twinlog_log_guarded_total", **x509) == 1
    assert one(series, "twinlog_log_stopped_total", **x509) == one(series, "twinlog_log_halted_total", **x509) == 0
    assert one(series, "twinlog_log_heartbeat_failures_total", **x509) >= 1  # before the guard spoke
    for witness in ("GD", "monitor"):
        assert one(series, "twinlog_log_cosignatures_total", **x509, witness=witness) >= 1
        assert one(series, "twinlog_log_cosigned_age_seconds", **x509, witness=witness) < 3600
    assert one(series, "twinlog_log_cache_misses_total", **x509, cache="gzip") == 0


def check_the_node(series: Series, health: dict[str, Any], used: int) -> None:
    assert one(series, "twinlog_guard_heard_seconds", guard="monitor") < 60
    assert one(series, "twinlog_guard_clock_error_seconds") < 60
    assert one(series, "twinlog_guard_partings_total") == 0
    origins = {labels["origin"] for labels, _ in series["twinlog_witness_guarded_total"]}
    assert origins == {"gd.twinlog.example/x509", "gd.twinlog.example/governance"}
    assert {value for _, value in series["twinlog_witness_guarded_total"]} == {1}
    answers = {
        labels["origin"]: value
        for labels, value in series["twinlog_witness_answers_total"]
        if labels["status"] == "200"
    }
    assert set(answers) == origins
    assert one(series, "twinlog_checking_check_seconds_count") == 9
    assert one(series, "twinlog_checking_processes_total") == 1
    assert one(series, "twinlog_checking_restarts_total") == one(series, "twinlog_checking_waiting_total") == 0
    assert one(series, "twinlog_disk_watermark_bytes") == 256 * MIB
    assert abs(one(series, "twinlog_disk_free_bytes") - health["disk_free_bytes"]) < 1 << 34
    assert used / 2 < one(series, "twinlog_log_store_bytes", log="x509", store="data") < used * 2
    assert one(series, "twinlog_heads_store_bytes") >= 4096
    assert one(series, "twinlog_node_failed_total") == 0
    assert one(series, "twinlog_node_build_total") == 1
    assert abs(time.time() - one(series, "twinlog_process_start_seconds")) < 3600
    assert MIB < one(series, "twinlog_process_resident_bytes") < 4096 * MIB
    assert 0 < one(series, "twinlog_process_cpu_seconds_total") < 3600
    open_files, limit = (one(series, f"twinlog_process_open_files{word}_total") for word in ("", "_limit"))
    assert 5 < open_files < limit
    route = {"method": "POST", "route": "/{log}/ct/v1/add-chain"}
    assert one(series, "twinlog_http_requests_total", **route, status="200") == 8
    assert one(series, "twinlog_http_requests_total", **route, status="400") == 1
    assert one(series, "twinlog_http_busy_total", lane="status") >= 1


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())
