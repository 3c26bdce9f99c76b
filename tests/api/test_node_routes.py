"""The routes of the node itself: page, well-known, health, metrics, guard and witness."""

from hashlib import sha256

import pytest
from prometheus_client.parser import text_string_to_metric_families

from log.api.metrics import METRICS
from log.errors import Conflict, Denied, Unavailable
from log.formats.witness_request import AddCheckpoint
from tests.api.conftest import Client
from tests.support.fake_node import FakeNode


async def test_the_page_says_which_logs_there_are_and_how_they_do(client: Client, node: FakeNode) -> None:
    node.x509.fill(1234)
    page = (await client.get("/")).text
    assert "not protected against restored images" in page
    for word in ("fake.example/x509", "fake.example/governance", "1,234", "2 s old", "nobody yet", "in order"):
        assert word in page
    node.x509.cosigned = (1000, b"")
    node.x509.guarded = False
    node.guards = ("monitor hk",)
    page = (await client.get("/")).text
    assert "not protected" not in page
    for word in ("monitor hk", "witness.example", "1,000 entries, 1 min old", "not guarded"):
        assert word in page


async def test_the_page_quotes_and_runs_nothing(client: Client, node: FakeNode) -> None:
    node.name = node.x509.last_error = node.x509.origin = "<script>alert('&')</script>"
    node.guards = ("<b>",)
    answer = await client.get("/")
    assert "<script" not in answer.text
    assert "<b>" not in answer.text
    assert answer.text.count("&lt;script&gt;") == 4
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_well_known_and_health_are_what_the_node_says(client: Client, node: FakeNode) -> None:
    assert (await client.get("/.well-known/twinlog.json")).json() == node.well_known()
    healthy = await client.get("/healthz")
    assert (healthy.status_code, healthy.json()) == (200, {"ok": True})
    node.ok = False
    ill = await client.get("/healthz")
    assert (ill.status_code, ill.json(), ill.headers["cache-control"]) == (503, {"ok": False}, "no-store")
    assert ill.headers["content-type"] == "application/json"
    assert len(ill.headers["x-request-id"]) == 16


async def test_a_log_of_certificates_is_listed_as_ct_logs_are(client: Client, node: FakeNode) -> None:
    answer = await client.get("/x509/log.v3.json")
    assert (answer.status_code, answer.json()) == (200, node.log_list_entry("x509"))
    assert answer.headers["content-type"] == "application/json"
    assert (await client.get("/governance/log.v3.json")).status_code == 404


async def test_whoever_asks_for_a_series_is_told_its_shards(client: Client, node: FakeNode) -> None:
    for name in ("year-2027", "year-2026", "year-round", "year-2026-2027"):
        node.logs[name] = node.x509
    for answer in (
        await client.get("/year/checkpoint"),
        await client.post("/year/ct/v1/add-chain", content=b'{"chain":["MAA="]}'),
    ):
        assert answer.status_code == 404
        assert answer.text.endswith(" of that name; its shards are year-2026, year-2027\n")
    assert (await client.get("/month/checkpoint")).text.endswith("no log of that name\n")


async def test_the_page_says_which_log_is_open_to_all(client: Client) -> None:
    page = (await client.get("/")).text
    rows = [row for row in page.split("<tr>") if "takes any entry from anybody" in row]
    assert len(rows) == 1
    assert "fake.example/open" in rows[0]


async def test_metrics_count_by_route_and_never_by_what_was_asked(client: Client, node: FakeNode) -> None:
    node.x509.fill(5)
    for path in ("/x509/checkpoint", "/x509/checkpoint", "/other/checkpoint", "/who-asked", "/b", "/c%20"):
        await client.get(path)
    await client.post("/healthz")
    text = (await client.get("/metrics")).text
    checkpoint = 'method="GET",route="/{log}/checkpoint"'
    assert f'twinlog_http_requests_total{{{checkpoint},status="200"}} 2.0' in text
    assert f'twinlog_http_requests_total{{{checkpoint},status="404"}} 1.0' in text
    assert 'twinlog_http_requests_total{method="none",route="none",status="404"} 3.0' in text
    assert 'twinlog_http_requests_total{method="none",route="none",status="405"} 1.0' in text
    assert f'twinlog_http_request_seconds_bucket{{le="+Inf",{checkpoint}}} 3.0' in text
    assert f"twinlog_http_request_seconds_count{{{checkpoint}}} 3.0" in text
    sent = 2 * len(node.x509.note(5)) + len((await client.get("/other/checkpoint")).content)
    assert f"twinlog_http_sent_bytes_total{{{checkpoint}}} {float(sent)}" in text
    assert 'twinlog_log_entries_total{log="x509"} 5.0' in text
    assert 'twinlog_log_head_age_seconds{log="x509"} 2.5' in text
    assert 'twinlog_log_witnessed_age_seconds{log="x509"}' not in text
    assert "who-asked" not in text


async def test_every_metric_is_in_the_list_and_named_by_its_unit(client: Client, node: FakeNode) -> None:
    node.x509.cosigned = (0, b"")
    answer = await client.get("/metrics")
    shown = {
        line.split()[2]: line.split(maxsplit=3)[3] for line in answer.text.splitlines() if line.startswith("# HELP")
    }
    assert shown == {name: each.text for name, each in METRICS.items()}
    assert all(name.startswith("twinlog_") for name in METRICS)
    assert all(name.endswith(("_total", "_seconds", "_bytes")) for name in METRICS)
    assert list(text_string_to_metric_families(answer.text))
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")


@pytest.mark.parametrize(
    ("error", "status"), [(Denied("x"), 403), (Conflict("x"), 409), (Unavailable("x"), 503), (None, 200)]
)
async def test_a_guard_is_heard(client: Client, node: FakeNode, error: Denied | None, status: int) -> None:
    node.refusal = error
    answer = await client.post("/guard", content=b"push\n")
    assert answer.status_code == status
    if error is None:
        assert answer.json()["guarded"] is True
    assert (await client.post("/guard", content=b"push")).status_code == 400


async def test_the_witness_answers_in_its_own_words(client: Client, node: FakeNode) -> None:
    node.logs["governance"].fill(2)
    note = node.logs["governance"].note(2)
    path = f"/witness/{sha256(b'fake.example/governance').hexdigest()}/checkpoint"
    assert (await client.get(path)).status_code == 404
    assert (await client.post("/witness/add-checkpoint", content=b"old x\n")).status_code == 400
    taken = await client.post("/witness/add-checkpoint", content=AddCheckpoint(0, (), note).encode())
    assert (taken.status_code, taken.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert taken.content.startswith("— ".encode())
    stale = await client.post("/witness/add-checkpoint", content=AddCheckpoint(0, (), note).encode())
    assert (stale.status_code, stale.content) == (409, b"2\n")
    assert stale.headers["content-type"] == "text/x.tlog.size"
    assert "cache-control" not in stale.headers
    assert len(stale.headers["x-request-id"]) == 16
    latest = await client.get(path)
    assert (latest.status_code, latest.content, latest.headers["cache-control"]) == (200, note, "no-store")
    for wrong in (path.upper(), path.replace("/checkpoint", "0/checkpoint"), "/witness//checkpoint"):
        assert (await client.get(wrong)).status_code == 404
