"""Our own load client: raw sockets, keep-alive, one request at a time on each connection.

    python -m tests.bench.client     a job as JSON on standard input, what happened as JSON on standard output

A closed loop sends the next request when an answer came. An open loop sends at a fixed rate whatever comes back,
and a latency counts from the moment a request was due: a server that stalls is not spared the requests that it
kept from being sent. Moments are of the monotonic clock, which all processes of a machine share.
"""

import asyncio
import json
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import cast

import uvloop

from tests.bench.requests import read

PATIENCE_S = 20.0  # for answers that are due when the time is up


@dataclass(frozen=True, slots=True)
class Job:
    """What one client process does."""

    port: int
    requests: str  # path of a file of requests
    first: int = 0  # of the file, this process sends the requests first, first + step, …
    step: int = 1
    again: bool = False  # at the end of the file start over, else stop
    connections: int = 64
    seconds: float = 10.0
    rate: float = 0.0  # requests a second of this process; 0 is a closed loop
    start: float = 0.0  # the monotonic moment of the first request; 0 is now
    keep: int = 0  # every so manyeth answer is kept; 0 keeps none


@dataclass(slots=True)
class Outcome:
    """What came back."""

    seconds: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)  # of the answers with status 200
    errors: Counter[str] = field(default_factory=Counter)
    kept: list[tuple[float, str]] = field(default_factory=list)  # (monotonic moment, body)
    late: int = 0  # answers with status 200 after a closed loop's time: they cost the server, and count in no rate


class Connection(asyncio.Protocol):
    """One socket with at most one request under way."""

    def __init__(self, answered: Callable[["Connection", int, bytes], None], lost: Callable[[], None]) -> None:
        self._answered = answered
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self.due = 0.0  # when the request under way was to be sent; 0 when there is none

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own class is a stream without saying so

    def send(self, request: bytes, due: float) -> None:
        if self._transport is None:
            raise AssertionError("not connected")
        self.due = due
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 : end].split(b"\r\n", 1)[0]) if at >= 0 else 0
        whole = end + 4 + length
        if len(self._buffer) >= whole:
            body, self._buffer = self._buffer[end + 4 : whole], self._buffer[whole:]
            self._answered(self, int(head[9:12]), body)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.due:
            self._lost()

    def close(self) -> None:
        self.due = 0.0
        if self._transport is not None:
            self._transport.close()


class _Load:
    """One job under way."""

    def __init__(self, job: Job) -> None:
        self._job = job
        records = cycle(read_all(job)) if job.again else islice(read(Path(job.requests)), job.first, None, job.step)
        self._records: Iterator[bytes] = iter(records)
        self._idle: deque[Connection] = deque()
        self._overdue: deque[float] = deque()  # moments of requests that found no idle connection
        self._open = 0  # requests under way
        self._end = 0.0
        self._answers = 0
        self.outcome = Outcome()

    async def run(self) -> Outcome:
        job = self._job
        loop = asyncio.get_running_loop()
        connections = [
            (await loop.create_connection(lambda: Connection(self._answered, self._lost), "127.0.0.1", job.port))[1]
            for _ in range(job.connections)
        ]
        self._idle.extend(connections)
        start = max(job.start, time.monotonic())
        self._end = start + job.seconds
        await asyncio.sleep(start - time.monotonic())
        if job.rate:
            await self._at_rate(start)
        else:
            for _ in connections:
                self._send(time.monotonic())
            await asyncio.sleep(job.seconds)
        self.outcome.seconds = time.monotonic() - start
        await self._drain()
        for connection in connections:
            connection.close()
        return self.outcome

    async def _at_rate(self, start: float) -> None:
        total = int(self._job.rate * self._job.seconds)
        for n in range(total):
            due = start + n / self._job.rate
            if (wait := due - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            if self._idle:
                self._send(due)
            else:
                self._overdue.append(due)

    def _send(self, due: float) -> None:
        request = next(self._records, None)
        if request is None:
            self.outcome.errors["the prepared requests ran out"] += 1
            return
        self._open += 1
        self._idle.popleft().send(request, due)

    def _answered(self, connection: Connection, status: int, body: bytes) -> None:
        now = time.monotonic()
        if status == 200 and not self._job.rate and now >= self._end:
            self.outcome.late += 1
        elif status == 200:
            self.outcome.latencies_ms.append((now - connection.due) * 1000)
            self._answers += 1
            if self._job.keep and self._answers % self._job.keep == 0:
                self.outcome.kept.append((now, body.decode()))
        else:
            self.outcome.errors[f"status {status}: {body[-120:].decode(errors='replace').strip()}"] += 1
        connection.due = 0.0
        self._idle.append(connection)
        self._open -= 1
        if self._overdue:
            self._send(self._overdue.popleft())
        elif not self._job.rate and now < self._end:
            self._send(now)

    def _lost(self) -> None:
        self.outcome.errors["connection lost"] += 1
        self._open -= 1

    async def _drain(self) -> None:
        """Wait for the answers that are still due."""
        give_up = time.monotonic() + PATIENCE_S
        while (self._open or self._overdue) and time.monotonic() < give_up:
            await asyncio.sleep(0.01)
        if missing := self._open + len(self._overdue):
            self.outcome.errors["no answer"] += missing


def read_all(job: Job) -> list[bytes]:
    """Return every request of the job's file, begun at its own place so that clients do not march in step."""
    requests = list(read(Path(job.requests)))
    at = job.first * len(requests) // job.step
    return requests[at:] + requests[:at]


async def run(job: Job) -> Outcome:
    """Do a job in this process."""
    return await _Load(job).run()


def main() -> None:
    """Do the job on standard input."""
    job = Job(**json.load(sys.stdin))
    outcome = uvloop.run(run(job))
    # `asdict` would count the items of a Counter instead of copying them.
    json.dump({name: getattr(outcome, name) for name in Outcome.__slots__}, sys.stdout)


if __name__ == "__main__":
    main()
