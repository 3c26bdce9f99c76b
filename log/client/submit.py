"""Submitting certificates to a log over HTTP (RFC 6962 section 4.1), politely and many at a time.

A log that is busy (429, 503) says when to come back, and is asked again then; every other refusal is final and keeps
its status and the log's own words. How many requests are in flight follows from the answers (`log.client.pace`). A
log that gives no final answer to anything for `patience_s` is `Unreachable`, and the submission ends; one that answers
others but not this certificate has refused it after `attempts`.
"""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from itertools import islice
from typing import Any, Self, TypeVar

import httpx

from log.certs import certificate
from log.client.backlog import Job
from log.client.exchange import exchange_blocking, printable
from log.client.pace import Pace
from log.client.receipts import SCT_MEMBERS
from log.client.senders import Senders
from log.errors import Malformed, Refused, Unreachable
from log.formats.text import b64encode

T = TypeVar("T")
Keep = Callable[[bytes, dict[str, Any]], None]

# Not now: of the log, or of a proxy before it. Everything else is final.
BUSY = frozenset({408, 429, 502, 503, 504})

_BATCH = 32  # jobs read at once, in a thread
_MAX_BACKOFF_S = 5.0  # between two tries when nobody says how long to wait


@dataclass(frozen=True, slots=True)
class SubmitLimits:
    """How patient and how eager a submitter is."""

    attempts: int = 10  # tries of one certificate while others are answered
    patience_s: float = 120.0  # without a final answer to anything
    max_wait_s: float = 300.0  # longest wait that a Retry-After can ask for
    deadline_s: float = 30.0  # one request
    answer_bytes: int = 64 << 10  # an SCT, or why there is none
    roots_bytes: int = 64 << 20  # every root of a log, in base64
    parallel: int = 64  # requests in flight, and chains in memory


class Submitter:
    """Sends chains to the log at `url` (its prefix, with the log's name). Left, it has no connection any more."""

    def __init__(
        self, url: str, limits: SubmitLimits | None = None, transport: httpx.BaseTransport | None = None
    ) -> None:
        """`transport` takes the place of the network, for tests."""
        self._url = url.rstrip("/")
        self._limits = limits or SubmitLimits()
        self._senders = Senders(self._limits.parallel, transport)
        self._pace = Pace(self._limits.parallel)
        self._answered_s = time.monotonic()  # the newest final answer

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._senders.close()

    async def roots(self) -> int:
        """Return how many roots the log takes certificates under. `Unreachable`; `Malformed` when it is no log."""
        ask = partial(
            exchange_blocking,
            method="GET",
            url=f"{self._url}/ct/v1/get-roots",
            what=self._url,
            max_bytes=self._limits.roots_bytes,
            deadline_s=self._limits.deadline_s,
        )
        answer = await self._in_time(ask)
        if answer.status != httpx.codes.OK:
            raise Unreachable(
                f"{self._url}: get-roots answers {answer.reason}. Is it the URL of a log of certificates, with its "
                "name, like https://hk.example/x509?"
            )
        try:
            return len(json.loads(answer.body)["certificates"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise Malformed(f"{self._url}: the answer is not that of get-roots") from error

    async def submit(self, chain: Sequence[bytes], keep: Keep | None = None) -> dict[str, Any]:
        """Return the add-chain or add-pre-chain answer for a chain in DER, leaf first.

        `keep` is called in a thread with the certificate and the answer. `Refused` with the log's own words, the HTTP
        status its reason; `Unreachable` when the log stays busy or away for everything; `Malformed` for a chain or an
        answer that is none.
        """
        ask = partial(_ask, self._url, chain, self._limits, keep)
        first_s = time.monotonic()
        attempt = 0
        while True:
            attempt += 1
            answer = await self._once(ask)
            if not isinstance(answer, _Busy):
                return answer
            now_s = time.monotonic()
            if now_s - max(self._answered_s, first_s) > self._limits.patience_s:
                raise Unreachable(f"{self._url}: {answer.why}")
            if attempt >= self._limits.attempts and self._answered_s > first_s:
                raise Refused(f"{answer.why}, after {attempt} tries", answer.status)
            wait_s = min(0.1 * 2**attempt, _MAX_BACKOFF_S) if answer.wait_s is None else answer.wait_s
            await asyncio.sleep(min(wait_s, self._limits.max_wait_s))

    async def _once(self, ask: "Callable[[httpx.Client], _Busy | dict[str, Any]]") -> "_Busy | dict[str, Any]":
        """Ask when there is a place, and let the pace and the patience know what came of it."""
        async with self._pace as begun_s:
            try:
                answer = await self._in_time(ask)
            except Unreachable as error:
                answer = _Busy("", str(error), None)
            except (Refused, Malformed):
                self._answered()
                raise
            if isinstance(answer, _Busy):
                self._pace.busy(begun_s)
            else:
                self._answered()
            return answer

    async def _in_time(self, ask: Callable[[httpx.Client], T]) -> T:
        """Ask in a thread; `Unreachable` when nothing came of it within the deadline, whatever the thread waits for."""
        try:
            async with asyncio.timeout(self._limits.deadline_s):
                return await self._senders.run(ask)
        except TimeoutError as error:
            raise Unreachable(f"{self._url}: no whole answer within {self._limits.deadline_s} s") from error

    def _answered(self) -> None:
        self._answered_s = time.monotonic()
        self._pace.answered()

    async def submit_all(self, jobs: Iterable[Job], keep: Keep | None = None) -> AsyncGenerator["Outcome", None]:
        """Submit many chains; yield each outcome as it comes. `Unreachable` ends it.

        `jobs` is gone through in a thread, so it may read files, and no further ahead than needed. `keep` is called
        in a thread with each certificate (DER) and its answer, before that outcome is yielded.
        """
        ahead = iter(jobs)
        waiting: set[asyncio.Task[Outcome]] = set()
        try:
            while batch := await asyncio.to_thread(lambda: list(islice(ahead, _BATCH))):
                for job in batch:
                    waiting.add(asyncio.create_task(self._outcome(job, keep)))
                    if len(waiting) >= self._limits.parallel:
                        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                        for task in done:
                            yield task.result()
            while waiting:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    yield task.result()
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def _outcome(self, job: Job, keep: Keep | None) -> "Outcome":
        if job.unreadable:
            return Outcome(job, None, "", job.unreadable)
        try:
            return Outcome(job, await self.submit(job.chain, keep), "", "")
        except Refused as error:
            return Outcome(job, None, error.reason, str(error))
        except Malformed as error:
            return Outcome(job, None, "", str(error))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one certificate: the log's answer, or why it was refused."""

    job: Job
    answer: dict[str, Any] | None
    status: str  # of HTTP when the log refused, else ""
    refusal: str


@dataclass(frozen=True, slots=True)
class _Busy:
    """The log is busy or away."""

    status: str  # of HTTP, "" when nobody answered
    why: str
    wait_s: float | None  # how long it wants to be left alone


def _ask(
    url: str, chain: Sequence[bytes], limits: SubmitLimits, keep: Keep | None, client: httpx.Client
) -> _Busy | dict[str, Any]:
    """Send a chain once. `Refused` for a final refusal, `Malformed` for an answer of another form, `Unreachable`."""
    endpoint = "add-pre-chain" if certificate.parse(chain[0]).is_precert else "add-chain"
    answer = exchange_blocking(
        client,
        "POST",
        f"{url}/ct/v1/{endpoint}",
        endpoint,
        max_bytes=limits.answer_bytes,
        deadline_s=limits.deadline_s,
        body=json.dumps({"chain": [b64encode(der) for der in chain]}).encode(),
    )
    if answer.status in BUSY:
        return _Busy(
            str(answer.status),
            _reason(answer.body),
            retry_after(answer.fields.get("Retry-After", ""), datetime.now(UTC)),
        )
    if answer.status != httpx.codes.OK:
        raise Refused(_reason(answer.body), str(answer.status))
    sct = parse_sct(answer.body)
    if keep is not None:
        keep(chain[0], sct)
    return sct


def parse_sct(body: bytes) -> dict[str, Any]:
    """Read an answer of add-chain, or raise `Malformed`. What is in it is for whoever uses it to read."""
    try:
        sct = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Malformed("the log's answer is not JSON") from error
    if not isinstance(sct, dict) or not sct.keys() >= SCT_MEMBERS:
        raise Malformed("the log's answer is not that of add-chain")
    return sct


def retry_after(value: str, now: datetime) -> float | None:
    """Return the seconds to wait by a Retry-After (RFC 9110 section 10.2.3), None when it says nothing."""
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds())


def _reason(body: bytes) -> str:
    """Return the second line of an error body, or the first."""
    lines = [line for line in body.decode("utf-8", "replace").splitlines() if line] or ["no reason given"]
    return printable(lines[min(1, len(lines) - 1)])
