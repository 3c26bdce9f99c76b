"""Submitting: what is asked again and when, what is final, and how far ahead is read. The log is a function here."""

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from log.client import submit as submitting
from log.client.backlog import Job
from log.client.pace import Pace
from log.client.submit import SubmitLimits, Submitter, retry_after
from log.errors import Malformed, Refused, Unreachable
from log.formats.text import b64encode
from tests.support.odd_certificates import world

URL = "https://hk.example/x509"
SCT: dict[str, Any] = {"sct_version": 0, "id": "aWQ=", "timestamp": 1, "extensions": "", "signature": "c2ln"}
NOW = datetime(2026, 1, 1, tzinfo=UTC)

Answer = Callable[[httpx.Request], httpx.Response]


def submitter(answer: Answer, **limits: Any) -> Submitter:
    def streamed(request: httpx.Request) -> httpx.Response:
        made = answer(request)
        return httpx.Response(made.status_code, headers=made.headers, stream=httpx.ByteStream(made.content))

    return Submitter(f"{URL}/", SubmitLimits(**limits), httpx.MockTransport(streamed))


def chain(n: int = 1) -> list[bytes]:
    return world().issue(world().profile(n))


def busy(status: int, retry: str | None = None) -> httpx.Response:
    headers = {} if retry is None else {"Retry-After": retry}
    return httpx.Response(status, headers=headers, text="Too Many Requests\nover the rate\n")


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let nobody wait, and tell how long each would have."""
    waited: list[float] = []

    class Module:
        def __getattr__(self, name: str) -> Any:
            return getattr(asyncio, name)

        async def sleep(self, seconds: float) -> None:
            waited.append(seconds)
            await asyncio.sleep(0)

    monkeypatch.setattr(submitting, "asyncio", Module())
    return waited


async def test_a_chain_goes_to_the_endpoint_that_takes_it() -> None:
    asked: list[tuple[str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((request.url.path, json.loads(request.content)))
        return httpx.Response(200, json=SCT)

    precert = world().tree.precert("p256", 8).submitted
    async with submitter(answer) as log:
        assert await log.submit(chain()) == SCT
        assert await log.submit(precert) == SCT
    assert [path for path, _ in asked] == ["/x509/ct/v1/add-chain", "/x509/ct/v1/add-pre-chain"]
    assert [len(body["chain"]) for _, body in asked] == [3, 3]


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
async def test_busy_is_asked_again_when_the_log_said(status: int, waits: list[float]) -> None:
    times = ("7", "900", None, "soon")
    answers = iter([*(busy(status, each) for each in times), httpx.Response(200, json=SCT)])
    async with submitter(lambda _: next(answers)) as log:
        assert await log.submit(chain()) == SCT
    assert waits[:2] == [7, 300]
    assert waits[2:] == [pytest.approx(0.8), pytest.approx(1.6)]


async def test_a_line_that_breaks_is_tried_again(waits: list[float]) -> None:
    tries = iter([httpx.ConnectError("refused"), httpx.ReadTimeout("late"), None])

    def answer(request: httpx.Request) -> httpx.Response:
        error = next(tries)
        if error is not None:
            raise error
        return httpx.Response(200, json=SCT)

    async with submitter(answer) as log:
        assert await log.submit(chain()) == SCT
    assert len(waits) == 2


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 410, 413, 500])
async def test_every_other_status_is_final(status: int, waits: list[float]) -> None:
    async with submitter(lambda _: httpx.Response(status, text="Status Text\nwhy it is so\nmore")) as log:
        with pytest.raises(Refused, match=r"^why it is so$") as refused:
            await log.submit(chain())
    assert (refused.value.reason, waits) == (str(status), [])


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"<html>", b'{"id": ""}'])
async def test_an_answer_of_another_form_is_malformed(body: bytes) -> None:
    async with submitter(lambda _: httpx.Response(200, content=body)) as log:
        with pytest.raises(Malformed):
            await log.submit(chain())


async def test_a_log_that_answers_nothing_is_unreachable_and_ends_everything(waits: list[float]) -> None:
    async with submitter(lambda _: busy(503), patience_s=0) as log:
        outcomes = log.submit_all(Job(chain(n)) for n in range(5))
        with pytest.raises(Unreachable, match="over the rate"):
            await anext(outcomes)


async def test_a_log_that_answers_others_has_refused_the_one_it_does_not(waits: list[float]) -> None:
    stuck = chain(77)

    def answer(request: httpx.Request) -> httpx.Response:
        is_stuck = json.loads(request.content)["chain"][0] == json_chain(stuck)[0]
        return busy(503, "0") if is_stuck else httpx.Response(200, json=SCT)

    jobs = [Job(stuck, number=77), *(Job(chain(n)) for n in range(40))]
    async with submitter(answer, parallel=4, attempts=6) as log:
        outcomes = [outcome async for outcome in log.submit_all(jobs)]
    [refused] = [outcome for outcome in outcomes if outcome.answer is None]
    assert (refused.job.number, refused.status) == (77, "503")
    assert refused.refusal.startswith("over the rate, after ")
    assert len(outcomes) == 41


def json_chain(certificates: list[bytes]) -> list[str]:
    return [b64encode(der) for der in certificates]


async def test_no_more_is_read_than_is_needed_and_each_answer_is_kept_before_it_is_told() -> None:
    read, kept, lock = 0, Counter[bytes](), threading.Lock()
    one = chain()

    def jobs() -> Iterator[Job]:
        nonlocal read
        for n in range(500):
            read += 1
            yield Job((), number=n, unreadable="no certificate") if n % 50 == 7 else Job([one[0], b"%d" % n], number=n)

    def keep(der: bytes, sct: dict[str, Any]) -> None:
        with lock:
            kept[der] += 1

    told: list[int] = []
    async with submitter(lambda _: httpx.Response(200, json=SCT), parallel=8) as log:
        async for outcome in log.submit_all(jobs(), keep):
            told.append(outcome.job.number)
            assert read <= len(told) + 8 + 32
            assert kept.total() >= sum(number % 50 != 7 for number in told)
            assert outcome.refusal == ("no certificate" if outcome.job.number % 50 == 7 else "")
    assert sorted(told) == list(range(500))
    assert kept.total() == 490


async def test_what_is_left_in_the_middle_leaves_no_task() -> None:
    async with submitter(lambda _: httpx.Response(200, json=SCT), parallel=8) as log:
        outcomes = log.submit_all(Job(chain(n)) for n in range(100))
        await anext(outcomes)
        await outcomes.aclose()
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        ("Thu, 01 Jan 2026 00:00:30 GMT", 30),
        ("Thu, 01 Jan 2026 00:00:30 +0100", 0),
        ("Wed, 31 Dec 2025 23:59:00 GMT", 0),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("\u0663", None),
        ("tomorrow", None),
        ("Thu, 01 Jan 99999999999999999999 00:00:30 GMT", None),
        ("Thu, 01 Jan 2026 00:00:30 +99999999999999999999", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float | None) -> None:
    assert retry_after(value, NOW) == seconds


@given(st.text(max_size=40))
def test_any_retry_after_is_a_time_or_nothing(value: str) -> None:
    waited = retry_after(value, NOW)
    assert waited is None or waited >= 0


async def test_the_pace_rises_by_one_a_round_and_halves_once_a_round() -> None:
    pace = Pace(most=16, start=4)
    for _ in range(4):
        pace.answered()
    assert 4 <= pace.size <= 5
    for _ in range(1000):
        pace.answered()
    assert pace.size == 16
    async with pace as begun:
        pass
    for _ in range(16):  # all of one round
        pace.busy(begun)
    assert pace.size == 8
    for size in (4, 2, 1, 1):
        async with pace as begun:
            pass
        pace.busy(begun)
        assert pace.size == size


async def test_never_more_in_flight_than_the_pace_allows() -> None:
    pace, flying, most = Pace(most=5, start=3), 0, 0
    cut = asyncio.Event()

    async def fly(n: int) -> None:
        nonlocal flying, most
        async with pace as begun:
            flying += 1
            most = max(most, flying)
            if cut.is_set():
                assert flying <= 2 or begun < pace._cut_at
            await asyncio.sleep(0)
            flying -= 1
            if n == 100:
                pace.busy(begun)
                cut.set()
            elif not cut.is_set():
                pace.answered()

    await asyncio.gather(*(fly(n) for n in range(200)))
    assert most == 5
    assert (flying, pace.size) == (0, 2)


async def test_a_log_that_is_busy_with_everything_is_waited_for_beyond_the_tries_of_one(waits: list[float]) -> None:
    answers = iter([*(busy(503, "1") for _ in range(12)), httpx.Response(200, json=SCT)])
    async with submitter(lambda _: next(answers), attempts=3) as log:
        assert await log.submit(chain()) == SCT
    assert waits == [1] * 12
