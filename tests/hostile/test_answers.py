"""A node that means harm to those who read it: no reader takes more bytes or time than its limits say."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace

import httpx
import pytest

from log.client import submit as submitting
from log.client.exchange import MAX_WORDS
from log.client.http import HttpLog, Limits
from log.client.proofs import ProofSource
from log.client.submit import SubmitLimits, Submitter
from log.demo.ca import MassIssuer
from log.errors import LogError, Malformed, Refused, Unreachable
from log.formats.family import X509
from monitor.peer import Peer
from tests.support import plain
from tests.support.hostile import packed_zeros

DEADLINE_S = 0.3  # several drips
BOUND_S = 120.0  # in which a reader must have given up, on any machine
LIMIT = 64 << 10
OK = b"HTTP/1.1 200 OK\r\n"
CHAIN = MassIssuer().chain(0)

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]
Read = Callable[[str, httpx.AsyncClient, float], Awaitable[object]]


class Liar:
    """A server of raw bytes. It counts what its readers let it send."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.asked: list[bytes] = []
        self.tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reading: asyncio.StreamReader, writing: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            self.asked.append(await reading.readuntil(b"\r\n\r\n"))
            await self._answer(writing)
        writing.transport.abort()


@asynccontextmanager
async def lying(answer: Answer) -> AsyncIterator[tuple[str, Liar]]:
    liar = Liar(answer)
    server = await asyncio.start_server(liar.serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", liar
        for task in liar.tasks:
            task.cancel()
        await asyncio.gather(*liar.tasks, return_exceptions=True)


async def _log(url: str, client: httpx.AsyncClient, deadline_s: float) -> object:
    limits = Limits(deadline_s, checkpoint_bytes=LIMIT, entries_bytes=LIMIT, certificate_bytes=LIMIT)
    return await HttpLog(url, X509, client, limits).checkpoint()


async def _tile(url: str, client: httpx.AsyncClient, deadline_s: float) -> object:
    return await HttpLog(url, X509, client, Limits(deadline_s, entries_bytes=LIMIT)).entries(0, 256, 256)


async def _proof(url: str, client: httpx.AsyncClient, deadline_s: float) -> object:
    return await ProofSource(url, client, deadline_s).by_certificate(CHAIN[0])


async def _submit(url: str, _client: httpx.AsyncClient, deadline_s: float) -> object:
    async with Submitter(url, SubmitLimits(patience_s=0, deadline_s=deadline_s)) as submitter:
        return await submitter.submit(CHAIN)


async def _roots(url: str, _client: httpx.AsyncClient, deadline_s: float) -> object:
    async with Submitter(url, SubmitLimits(deadline_s=deadline_s, roots_bytes=LIMIT)) as submitter:
        return await submitter.roots()


async def _peer(url: str, client: httpx.AsyncClient, deadline_s: float) -> object:
    return await Peer(client, deadline_s, LIMIT).post(url, b"note")


READS: dict[str, Read] = {
    "checkpoint": _log,
    "tile": _tile,
    "proof": _proof,
    "submit": _submit,
    "roots": _roots,
    "peer": _peer,
}
each_reader = pytest.mark.parametrize("read", READS.values(), ids=READS)


async def refused(read: Read, answer: Answer, deadline_s: float = BOUND_S) -> tuple[LogError, Liar]:
    """Read; return the error that must come in time, however the client was configured."""
    async with plain.client(trust_env=False, follow_redirects=True) as client, lying(answer) as (url, liar):
        async with asyncio.timeout(BOUND_S):
            with pytest.raises((Malformed, Unreachable, Refused)) as caught:
                await read(url, client, deadline_s)
    return caught.value, liar


class Pour:
    """An answer without end: it counts what was taken of it."""

    def __init__(self, head: bytes, part: bytes) -> None:
        self.sent = 0
        self._head = head
        self._part = part

    async def __call__(self, writing: asyncio.StreamWriter) -> None:
        writing.write(self._head)
        while True:
            writing.write(self._part)
            await writing.drain()
            self.sent += len(self._part)


BOMB_MIB = 1024
ENDLESS = {
    "a length of a terabyte": (OK + b"Content-Length: 1000000000000\r\n\r\n", bytes(1 << 16)),
    "no length": (OK + b"\r\n", bytes(1 << 16)),
    "chunks": (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + bytes(1 << 16) + b"\r\n"),
    "fields": (OK, b"X-Field: " + b"x" * 1000 + b"\r\n"),
    "one field": (OK + b"X-Field: ", b"x" * 10_000),
    "chunk extensions": (OK + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x" * 10_000),
    "fields behind": (OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n", b"X-Field: x\r\n" * 1000),
}


@each_reader
@pytest.mark.parametrize(("head", "part"), ENDLESS.values(), ids=ENDLESS)
async def test_an_answer_without_end_is_left(read: Read, head: bytes, part: bytes) -> None:
    pour = Pour(head, part)
    await refused(read, pour)
    assert pour.sent < 64 << 20


@each_reader
async def test_a_bomb_is_not_unpacked(read: Read) -> None:
    async def answer(writing: asyncio.StreamWriter) -> None:
        bomb = packed_zeros(BOMB_MIB)
        writing.write(OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb) + bomb)
        await writing.drain()

    error, _ = await refused(read, answer)
    assert "longer than" in str(error) or "not asked for" in str(error)


@each_reader
@pytest.mark.parametrize(
    "drip",
    [
        (OK, b"X-Field: x\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (OK + b"Content-Length: 100000\r\n\r\n", b"."),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"", b""),
    ],
    ids=["fields", "informational", "body", "chunks", "silence"],
)
async def test_an_answer_that_drips_ends_at_the_deadline(read: Read, drip: tuple[bytes, bytes]) -> None:
    async def answer(writing: asyncio.StreamWriter) -> None:
        writing.write(drip[0])
        while True:
            writing.write(drip[1])
            await writing.drain()
            await asyncio.sleep(0.05)

    error, _ = await refused(read, answer, DEADLINE_S)
    assert isinstance(error, Unreachable)


@each_reader
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(read: Read, status: int) -> None:
    followed: list[bytes] = []

    async def elsewhere(writing: asyncio.StreamWriter) -> None:
        followed.append(b"")
        writing.write(OK + b"Content-Length: 2\r\n\r\n{}")

    async with lying(elsewhere) as (url, _):

        async def answer(writing: asyncio.StreamWriter) -> None:
            location = url.encode()
            writing.write(b"HTTP/1.1 %d Moved\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % (status, location))
            await writing.drain()

        if read is _peer:  # every status is an answer to it
            async with plain.client(trust_env=False, follow_redirects=True) as client, lying(answer) as (here, _):
                assert (await Peer(client, BOUND_S, LIMIT).get(here)).status == status
        else:
            await refused(read, answer)
    assert not followed


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 60_000,
        b'{"id":' * 10_000,
        b"9" * 60_000,
        b'{"certificates":1}',
        b"null",
        b"\xff\xfe\x00",
        b'{"id":"\xff"}',
        gzip.compress(b"{}", mtime=0),
        json.dumps({"certificates": "x"}).encode()[:-1],
    ],
)
@pytest.mark.parametrize("read", [_submit, _roots])
async def test_json_of_another_form_is_malformed(read: Read, body: bytes) -> None:
    async def answer(writing: asyncio.StreamWriter) -> None:
        writing.write(OK + b"Content-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writing.drain()

    error, _ = await refused(read, answer)
    assert isinstance(error, Malformed)


async def test_what_a_log_says_cannot_write_to_a_terminal() -> None:
    body = b"Bad Request\n\x1b]0;title\x07\x1b[2J\xe2\x80\xaeevil" + b"x" * 10_000

    async def answer(writing: asyncio.StreamWriter) -> None:
        writing.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writing.drain()

    error, _ = await refused(_submit, answer)
    assert isinstance(error, Refused)
    assert str(error).isprintable()
    assert len(str(error)) < MAX_WORDS + 20


@pytest.mark.parametrize("retry_after", [b"9" * 400, b"-1", b"1e9", b"inf", b"Fri, 31 Dec 9999 23:59:59 GMT", b""])
async def test_a_log_cannot_make_a_submitter_wait_for_ever(retry_after: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(writing: asyncio.StreamWriter) -> None:
        writing.write(b"HTTP/1.1 503 Busy\r\nRetry-After: %s\r\nContent-Length: 0\r\n\r\n" % retry_after)
        await writing.drain()

    async with lying(answer) as (url, liar):
        # An answer takes a fifth of a second, however long it takes.
        monkeypatch.setattr(submitting, "time", SimpleNamespace(monotonic=lambda: 0.2 * len(liar.asked)))
        limits = SubmitLimits(patience_s=0.5, max_wait_s=0.01, deadline_s=BOUND_S)
        async with asyncio.timeout(BOUND_S), Submitter(url, limits) as submitter:
            with pytest.raises(Unreachable):
                await submitter.submit(CHAIN)
        assert len(liar.asked) == 3
