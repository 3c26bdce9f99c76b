"""Metrics are bounded by the settings whatever strangers send, and each refusal is counted by its word."""

import asyncio
import base64
import json
import logging
import math
from collections.abc import Iterator
from random import Random

import pytest
from prometheus_client.parser import text_string_to_metric_families

from log.api.app import COLD, Options, create_app
from log.api.edge import HOT, Asgi
from log.api.errors import STATUS, word_of
from log.api.exposition import METRICS
from log.api.limits import HttpLimits, Lane
from log.api.metrics import MAX_REASONS, NO_ROUTE, Metrics
from log.errors import Closed, Malformed, NotFound, RateLimited, Refused, StoreFailed, TooLarge, Unavailable
from log.serving.sheet import Sheet
from log.serving.vitals import Vitals
from tests.api.conftest import ask, connect
from tests.support.fake_node import FakeNode

CHAIN = b'{"chain":["MAA="]}'
TARGET = "/x509/ct/v1/add-chain"
Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def scraped(app: Asgi) -> Series:
    """Return every sample of a scrape, by name and labels."""
    text = (await ask(app, "GET", "/metrics")).body.decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(series: Series, name: str, **labels: str) -> float:
    return series[name, frozenset(labels.items())]


def strangers(rng: Random) -> Iterator[tuple[str, str, bytes]]:
    """Yield requests that nobody here expects: methods, paths, names of logs, bodies."""

    def word() -> str:
        return "".join(rng.choice("abcdefgh0123456789-_.") for _ in range(rng.randrange(1, 30)))

    routes = [route.pattern for route in (*HOT, *COLD)]
    while True:
        pattern = rng.choice(routes)
        path = "/".join(word() if part.startswith("{") else part for part in pattern.split("/"))
        body = rng.choice([rng.randbytes(rng.randrange(60)), json.dumps({"chain": [word()]}).encode(), CHAIN])
        yield rng.choice(["GET", "POST", "HEAD", "PUT", "OPTIONS", word().upper()]), f"{path}?{word()}={word()}", body
        yield "POST", f"/{word()}/ct/v1/add-chain", body
        yield "GET", f"/{word()}/{word()}", b""


async def test_what_strangers_send_makes_no_series(node: FakeNode) -> None:
    app = create_app(node, Options())
    routes = {route.pattern for route in (*HOT, *COLD)} | {NO_ROUTE}
    words = {"", "malformed", "not-found", "bad-signature", "unauthenticated"}
    requests = strangers(Random(20261128))
    for number in range(600):
        method, target, body = next(requests)
        if number % 10 == 0:
            node.intakes["x509"].refusal = Refused("no", "bad-signature")
        await ask(app, method, target, chunks=[body])
    series = await scraped(app)
    seen: dict[str, set[str]] = {}
    for _, labels in series:
        for label, said in labels:
            seen.setdefault(label, set()).add(said)
    assert seen["route"] <= routes
    assert seen["method"] <= {"GET", "POST", NO_ROUTE}
    assert seen["log"] == {*node.logs, NO_ROUTE}
    assert seen["reason"] <= words
    assert seen["lane"] == set(Lane)
    assert {int(status) for status in seen["status"]} <= {200, 404, 405, 500, *STATUS.values()}
    assert set(seen) <= {"le", "generation", *(label for each in METRICS.values() for label in each.labels)}
    assert all(not math.isnan(number) for number in series.values())
    for _ in range(50):
        method, target, body = next(requests)
        await ask(app, method, target, chunks=[body])
    later = {key for key in await scraped(app) if key not in series}
    assert {name for name, _ in later} <= {"twinlog_http_requests_total", "twinlog_log_submissions_total"}


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (Refused("x", "unknown-root"), "unknown-root"),
        (Malformed("x"), "malformed"),
        (TooLarge("x"), "too-large"),
        (Closed("x"), "closed"),
        (RateLimited("x"), "rate"),
        (Unavailable("x", reason="pool-full"), "pool-full"),
        (NotFound("x"), "not-found"),
        (StoreFailed("x"), "store-failed"),
    ],
)
async def test_a_refused_submission_is_counted_and_logged_by_its_word(
    node: FakeNode, caplog: pytest.LogCaptureFixture, error: Exception, word: str
) -> None:
    app = create_app(node, Options(slow_request_ms=600_000))
    node.intakes["x509"].refusal = error
    with caplog.at_level(logging.INFO, "twinlog.http"):
        answer = await ask(app, "POST", TARGET, chunks=[CHAIN])
        await ask(app, "GET", "/x509/tile/0/999")  # a read that is refused is no line
    labels = {"log": "x509", "outcome": "refused", "reason": word}
    assert value(await scraped(app), "twinlog_log_submissions_total", **labels) == 1
    [record] = caplog.records
    assert (record.getMessage(), record.levelno) == ("submission refused", logging.INFO)
    assert vars(record)["fields"] == {
        "request": answer.headers["x-request-id"],
        "method": "POST",
        "route": "/{log}/ct/v1/add-chain",
        "log": "x509",
        "status": answer.status,
        "reason": word,
    }


async def test_refusals_before_the_handler_are_counted_too(node: FakeNode) -> None:
    app = create_app(node, Options(limits=HttpLimits(max_body_bytes=5)))
    await ask(app, "POST", TARGET, chunks=[CHAIN])
    await ask(app, "POST", "/who-asked/ct/v1/add-chain", chunks=[CHAIN])
    series = await scraped(app)
    assert value(series, "twinlog_log_submissions_total", log="x509", outcome="refused", reason="too-large") == 1
    assert value(series, "twinlog_log_submissions_total", log=NO_ROUTE, outcome="refused", reason="too-large") == 1


def test_words_of_refusals_are_bounded_whoever_invents_them(node: FakeNode) -> None:
    metrics = Metrics(node, Vitals(0))
    for number in range(3 * MAX_REASONS):
        metrics.refused("x509", f"word-{number}")
    assert metrics.refused("no log", "x") == NO_ROUTE
    sheet = Sheet(METRICS)
    metrics._put_refused(sheet, "x509")
    [family] = [family for family in sheet.collect() if family.name == "twinlog_log_submissions"]
    assert len(family.samples) == MAX_REASONS + 1
    assert sum(sample.value for sample in family.samples) == 3 * MAX_REASONS


def test_every_error_has_a_word() -> None:
    words = {word_of(kind("x")) for kind in STATUS}
    assert all(word == word.lower() and word.replace("-", "").isalpha() for word in words)


async def test_a_lane_shows_who_is_in_it_and_whom_it_refused(node: FakeNode) -> None:
    app = create_app(node, Options(limits=HttpLimits(submit=1)))
    intake = node.intakes["x509"]
    intake.hold = asyncio.Event()
    async with connect(app) as client, asyncio.TaskGroup() as group:
        group.create_task(client.post(TARGET, content=CHAIN))
        await intake.arrivals.get()
        assert (await client.post(TARGET, content=CHAIN)).status_code == 503
        series = await scraped(app)
        intake.hold.set()
    assert value(series, "twinlog_http_busy_total", lane="submit") == 1
    assert value(series, "twinlog_http_busy_total", lane="status") == 1  # the scrape itself
    assert value(series, "twinlog_http_places_total", lane="submit") == 1
    assert value(series, "twinlog_http_lane_refused_total", lane="submit") == 1
    assert value(series, "twinlog_http_lane_refused_total", lane="read") == 0
    assert value(await scraped(app), "twinlog_http_busy_total", lane="submit") == 0


async def test_errors_bear_an_id_that_no_request_chooses(app: Asgi) -> None:
    asked = [(b"x-request-id", b"chosen")]
    answers = [
        await ask(app, method, target, headers=asked, chunks=[b"{"])
        for method, target in (
            ("GET", "/x509/tile/0/999"),
            ("GET", "/nowhere"),
            ("PUT", "/healthz"),
            ("GET", "/%41"),
            ("POST", TARGET),
        )
    ]
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert [answer.status for answer in answers] == [404, 404, 405, 404, 400]
    assert len(set(ids)) == len(ids)
    assert all(len(each) == 16 and int(each, 16) for each in ids)
    assert len({each[:8] for each in ids}) == 1
    assert "x-request-id" not in (await ask(app, "GET", "/healthz", headers=asked)).headers


async def test_a_slow_request_is_a_line_and_at_debug_every_one_is(
    node: FakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "twinlog.http"):
        await ask(create_app(node, Options(slow_request_ms=0)), "GET", "/x509/checkpoint?token=secret")
        await ask(create_app(node, Options(slow_request_ms=10**9)), "GET", "/x509/checkpoint?token=secret")
    with caplog.at_level(logging.DEBUG, "twinlog.http"):
        await ask(create_app(node, Options(slow_request_ms=10**9)), "GET", "/x509/checkpoint?token=secret")
    assert [record.getMessage() for record in caplog.records] == ["slow request", "request"]
    for record in caplog.records:
        fields = vars(record)["fields"]
        assert (fields["method"], fields["route"], fields["status"]) == ("GET", "/{log}/checkpoint", 200)
        assert "secret" not in str(fields)


async def test_a_certificate_is_no_line(node: FakeNode, caplog: pytest.LogCaptureFixture) -> None:
    """A refusal's message may quote what was sent; its line does not."""
    app = create_app(node, Options())
    marker = "Chan Tai Man"
    node.intakes["x509"].refusal = Refused(f"{marker} is nobody here", "unknown-root")
    body = json.dumps({"chain": [base64.b64encode(marker.encode()).decode()]}).encode()
    with caplog.at_level(logging.DEBUG):
        answer = await ask(app, "POST", TARGET, chunks=[body])
    assert marker in answer.body.decode()
    assert all(marker not in f"{record.getMessage()} {vars(record)}" for record in caplog.records)


async def test_vitals_look_at_the_loop_and_at_collections() -> None:
    import gc

    vitals = Vitals(1_700_000_000_000)
    with vitals.watched():
        gc.collect()
    hooks = list(gc.callbacks)
    sheet = Sheet(METRICS)
    vitals.put(sheet)
    shown = {sample.name: sample.value for family in sheet.collect() for sample in family.samples}
    assert shown["twinlog_process_start_seconds"] == 1_700_000_000
    assert shown["twinlog_process_gc_runs_total"] >= 1  # the last generation's
    assert shown["twinlog_process_gc_longest_seconds"] > 0
    assert shown["twinlog_process_open_files_total"] > 2
    assert shown["twinlog_process_resident_bytes"] > 1 << 20
    assert vitals._collecting not in hooks
