"""What an operator sees of a real node: every metric with a sensible value, and lines without a secret."""

import asyncio
import base64
import json
import secrets
import socket
import sys
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from log.api.exposition import METRICS
from log.demo.ca import MassIssuer
from tests.support.nodes import World, client, eventually, unguard, world
from tests.support.plain import PATIENCE_S

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
            return held if beaten and looked and cosigned and not any(absent(held, name) for name in METRICS) else {}

        series = await eventually("heads, cosignatures and looks at the loop", all_there)
        _, health = await w.health(http)
        used = _size(w.data_folder() / "x509" / "data")
    check_that_all_are_there(series)
    check_the_log(series)
    check_the_node(series, health, used)


NEVER = {"twinlog_log_window_end_seconds"}  # these logs have no window


def logs_of(name: str) -> set[str]:
    """Return which logs a metric of logs is to be there for."""
    return {"x509"} if "scts" in name else LOGS


def absent(series: Series, name: str) -> bool:
    """Say of a metric that it is not there yet, or not of every log."""
    held = series.get(name) or series.get(f"{name}_count") or []
    if name in NEVER:
        return False
    if "log" in METRICS[name].labels:
        return {labels["log"] for labels, _ in held} != logs_of(name)
    return not held


def check_that_all_are_there(series: Series) -> None:
    for name, described in METRICS.items():
        held = series.get(name) or series.get(f"{name}_count")
        assert bool(held) == (name not in NEVER), name
        for labels, value in held or ():
            assert set(labels) == set(described.labels), name
            assert value >= 0, name
        if "log" in described.labels and held:
            assert {labels["log"] for labels, _ in held} == logs_of(name), name


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
    assert one(series, "twinlog_intake_held_total") == 0
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


async def raw(port: int, data: bytes) -> None:
    """Send bytes that are no HTTP, and read until the node closes."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(data)
        connection.settimeout(PATIENCE_S)
        await asyncio.to_thread(connection.recv, 65536)


async def test_no_secret_and_nothing_of_a_stranger_is_in_a_line_even_at_debug(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("env", "token", "guess", "cookie", "header", "query", "path", "body", "name", "method", "line")
    words = {name: f"{name}{secrets.token_hex(8)}" for name in names}
    token_digest = sha256(words["token"].encode()).hexdigest()
    monkeypatch.setenv("SOME_PASSWORD", words["env"])
    token = {"name": "bank", "role": "relying-party", "side": "gd", "expires": "2999-01-01", "sha256": token_digest}
    monkeypatch.setenv("TWINLOG_TOKENS", json.dumps([token]))
    node_lines: dict[str, Any] = {"log_level": "debug", "heartbeat_s": 1}
    async with world(tmp_path / "d", node_lines) as w, client() as http:
        unguard(w.site())
        w.site().settings.write_text(w.site().settings.read_text().replace('"public"', '"members"'))
        await w.start()
        url = w.site().url
        await w.submits(http, 3)
        await refused(http, url)
        der, _ = w.promises.scts[0]
        for word in (words["token"], words["guess"]):
            headers = {"authorization": f"Bearer {word}", "cookie": words["cookie"], "x-request-id": words["header"]}
            answer = await http.get(f"{url}/x509/tile/data/000.p/3", headers=headers)
            assert answer.status_code == (httpx.codes.OK if word == words["token"] else httpx.codes.UNAUTHORIZED)
            body = {"chain": [base64.b64encode(words["body"].encode()).decode()]}
            await http.post(f"{url}/x509/ct/v1/add-chain", json=body, headers=headers)
        for path in (f"/x509/checkpoint?{words['query']}", f"/{words['path']}", f"/{words['path']}/ct/v1/add-chain"):
            await http.get(url + path)
            await http.post(url + path, content=words["body"])
        for target in ("/guard", "/witness/add-checkpoint", "/x509/add-cosignatures"):
            await http.post(url + target, content=f"{words['body']}\n\n— {words['name']} AAAA\n")
        await http.request(words["method"].upper(), url + "/healthz")
        await raw(w.site().port, words["line"].encode() + b" no HTTP\r\n\r\n")
        lost = await http.get(f"{url}/x509/tile/0/999")
        assert await w.process().stop() == 0
        keys = [file.read_text() for file in (w.site().folder / "keys").glob("*.pem")]
        printed = (tmp_path / "d" / "hk.out").read_text()
    said = [json.loads(line) for line in printed.splitlines() if not line.startswith("listening on ")]
    for word in (*words.values(), token_digest, words["method"].upper()):
        assert word not in printed
    for key in keys:
        assert not any(line in printed for line in key.splitlines() if "KEY" not in line)
    assert base64.b64encode(der).decode()[:64] not in printed
    assert "synthetic" not in printed  # the names of all subjects and issuers here end so
    messages = {line["message"] for line in said}
    assert {"serving", "recovered", "request", "submission refused", "stopping", "stopped"} <= messages
    assert any(message.startswith("Started server process") for message in messages)  # uvicorn's own
    assert {"request", "method", "route", "status"} <= set(next(line for line in said if line["message"] == "request"))
    assert {line["reason"] for line in said if line["message"] == "submission refused"} >= {"malformed", "unknown-root"}
    assert any(line.get("request") == lost.headers["x-request-id"] for line in said)


async def test_a_flood_of_refusals_is_counted_instead_of_written(tmp_path: Path) -> None:
    async with world(tmp_path / "d", limits={"log_repeats_per_minute": 5}) as w, client() as http:
        unguard(w.site())
        await w.start()
        target = f"{w.site().url}/x509/ct/v1/add-chain"
        for _ in range(40):
            assert (await http.post(target, content=b"{")).status_code == httpx.codes.BAD_REQUEST
        series = await scraped(http, w.site().url)
        assert one(series, "twinlog_log_submissions_total", log="x509", outcome="refused", reason="malformed") == 40
        assert await w.process().stop() == 0
        printed = (tmp_path / "d" / "hk.out").read_text()
    said = [json.loads(line) for line in printed.splitlines() if not line.startswith("listening on ")]
    written = [line for line in said if line["message"] == "submission refused"]
    left_out = [line["left_out"] for line in said if line.get("of") == "submission refused"]
    assert len(written) + sum(left_out) == 40
    assert len(written) <= 10  # a minute may end in between


async def test_the_announcement_stands_alone_on_standard_output(tmp_path: Path) -> None:
    async with world(tmp_path / "d") as w:
        unguard(w.site())
        process = await asyncio.create_subprocess_exec(
            *_serve(w), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        first = await process.stdout.readline()
        process.terminate()
        rest, errors = await process.communicate()
    assert (first, rest) == (f"listening on {w.site().url}\n".encode(), b"")
    assert [json.loads(line)["message"] for line in errors.splitlines()][-2:] == ["stopping", "stopped"]


def _serve(w: World) -> list[str]:
    return [sys.executable, "-m", "log", "serve", "--settings", str(w.site().settings)]
