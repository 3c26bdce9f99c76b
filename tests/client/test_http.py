"""A log over HTTP: its paths, and what its other end may not do to a reader."""

import asyncio
import gzip
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from hashlib import sha256

import httpx
import pytest

from log.client import LogReader, prover
from log.client.audit import audit
from log.client.http import HttpLog, Limits, is_on_this_machine
from log.errors import LogError, Malformed, NotFound, Unreachable
from log.formats.family import GOVERNANCE, X509, Family, Parts
from log.formats.names import ENTRY_FORMAT
from log.formats.wire import u16
from log.merkle import tiles
from tests.support import plain
from tests.support.memory_log import ISSUERS, TREE_HEAD, MemoryLog, certificates

BASE = "http://log.example/x509"


class Site:
    """A tiled log's files, by path, as one checkpoint implies them."""

    def __init__(self, served: MemoryLog) -> None:
        family, size = served.family, served.size
        self.asked: list[str] = []
        self.files = {"checkpoint": served.note}
        for digest, blob in served.blobs.items():
            self.files[f"issuer/{digest.hex()}"] = blob
        for start in range(0, size, 256):
            rows = served.rows[start : start + 256]
            self.files[f"tile/{family.tile}/{tiles.numbered(start // 256, len(rows))}"] = family.join(rows)
        for level, data in enumerate(served.levels):
            for start in range(0, len(data), 8192):
                part = bytes(data[start : start + 8192])
                self.files[tiles.Tile(level, start // 8192, len(part) // 32).path()] = part

    def answer(self, request: httpx.Request) -> httpx.Response:
        assert request.method == "GET"
        path = str(request.url).removeprefix(f"{BASE}/")
        self.asked.append(path)
        found = self.files.get(path)
        return body(404, b"nothing here") if found is None else body(200, found)


def body(status: int, content: bytes, encoding: str = "identity") -> httpx.Response:
    """An answer as it comes from a socket: not yet read."""
    return httpx.Response(status, headers={"Content-Encoding": encoding}, stream=httpx.ByteStream(content))


Handler = Callable[[httpx.Request], httpx.Response]


@asynccontextmanager
async def reader(
    handler: Handler, *, family: Family = X509, base: str = BASE, limits: Limits | None = None
) -> AsyncIterator[HttpLog]:
    async with httpx.AsyncClient(transport=httpx.MockTransport(handler), follow_redirects=True) as client:
        yield HttpLog(base, family, client, limits)


async def site(count: int, family: Family = X509) -> tuple[MemoryLog, Site]:
    events = [Parts(u16(ENTRY_FORMAT) + u16(1), b"event %d" % i) for i in range(count)]
    served = MemoryLog(family, certificates(count) if family is X509 else events)
    await served.sign()
    return served, Site(served)


# --- paths ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", [X509, GOVERNANCE])
@pytest.mark.parametrize("base", [BASE, BASE + "/"])
async def test_every_read_is_that_of_the_log_itself(family: Family, base: str) -> None:
    served, files = await site(700, family)
    async with reader(files.answer, family=family, base=base) as remote:
        typed: LogReader = remote
        assert await typed.checkpoint() == served.note
        assert await typed.witnessed() is None
        for start, end in ((0, 700), (0, 1), (255, 257), (300, 301), (699, 700), (512, 700), (5, 5)):
            assert await typed.entries(start, end, 700) == served.rows[start:end]
        for level, start, end in ((0, 0, 700), (0, 255, 513), (0, 699, 700), (1, 0, 2), (1, 1, 2)):
            assert await typed.hashes(level, start, end, 700) == await served.hashes(level, start, end, 700)
        assert await typed.blob(sha256(ISSUERS[0]).digest()) == ISSUERS[0]
        assert await typed.blob(bytes(32)) is None
        assert (await audit(typed, family, [TREE_HEAD.vkey])).entries == 700


async def test_only_tiles_that_the_size_implies_are_asked_for() -> None:
    _, files = await site(700)
    async with reader(files.answer) as remote:
        await remote.entries(500, 690, 700)
        await remote.hashes(0, 500, 690, 700)
        await remote.hashes(1, 0, 1, 700)
        assert sorted(files.asked) == [
            "tile/0/001", "tile/0/002.p/188", "tile/1/000.p/2", "tile/data/001", "tile/data/002.p/188",
        ]  # fmt: skip
        files.asked.clear()
        await prover.inclusion(remote, 3, 700)
        assert len(files.asked) == len(set(files.asked))


async def test_a_partial_tile_that_was_dropped_is_cut_from_the_full_one() -> None:
    served, files = await site(512)
    async with reader(files.answer) as remote:
        assert await remote.entries(256, 300, 300) == served.rows[256:300]
        assert await remote.hashes(0, 256, 300, 300) == await served.hashes(0, 256, 300, 512)
        assert sorted(files.asked) == [
            "tile/0/001", "tile/0/001.p/44", "tile/data/001", "tile/data/001.p/44",
        ]  # fmt: skip


async def test_a_full_tile_is_asked_for_once() -> None:
    _, files = await site(256)
    del files.files["tile/0/000"], files.files["tile/data/000"]
    async with reader(files.answer) as remote:
        with pytest.raises(NotFound):
            await remote.hashes(0, 0, 256, 256)
        with pytest.raises(NotFound):
            await remote.entries(0, 256, 256)
    assert sorted(files.asked) == ["tile/0/000", "tile/data/000"]


async def test_the_witnessed_checkpoint_has_its_own_path() -> None:
    async with reader(lambda request: body(200, request.url.path.encode())) as remote:
        assert await remote.witnessed() == b"/x509/checkpoint/witnessed"


@pytest.mark.parametrize(("start", "end"), [(-1, 2), (2, 1), (0, 701)])
async def test_ranges_outside_the_tree_are_our_own_bug(start: int, end: int) -> None:
    async with reader((await site(0))[1].answer) as remote:
        with pytest.raises(AssertionError):
            await remote.hashes(0, start, end, 700)
        with pytest.raises(AssertionError):
            await remote.entries(start, end, 700)


# --- answers of another form ------------------------------------------------------------------------------

Read = Callable[[HttpLog], Awaitable[object]]
READS: list[Read] = [
    lambda remote: remote.checkpoint(),
    lambda remote: remote.witnessed(),
    lambda remote: remote.hashes(0, 0, 5, 5),
    lambda remote: remote.entries(0, 5, 5),
    lambda remote: remote.blob(bytes(32)),
]


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize(
    ("status", "error"),
    [
        *((status, Malformed) for status in (204, 206, 301, 304, 400, 403, 410)),
        *((status, Unreachable) for status in (429, 500, 503)),
    ],
)
async def test_any_other_status_is_no_answer_and_no_redirect_is_followed(
    read: Read, status: int, error: type[LogError]
) -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(status, headers={"Location": "http://elsewhere.example/"})

    async with reader(answer) as remote:
        with pytest.raises(error, match=str(status)):
            await read(remote)
    assert len(asked) == 1


@pytest.mark.parametrize(("cut", "added"), [(-1, b""), (None, bytes(32)), (0, b"")])
async def test_tiles_of_another_length_are_malformed(cut: int | None, added: bytes) -> None:
    _, files = await site(300)
    for path in files.files:
        files.files[path] = files.files[path][:cut] + added
    async with reader(files.answer) as remote:
        for start, end in ((0, 256), (256, 300)):
            with pytest.raises(Malformed):
                await remote.hashes(0, start, end, 300)
            with pytest.raises(Malformed):
                await remote.entries(start, end, 300)


async def test_a_native_tile_with_another_number_of_rows_is_malformed() -> None:
    served, files = await site(300)
    files.files["tile/data/000"] = X509.join(served.rows[:255])
    files.files["tile/data/001.p/44"] = X509.join(served.rows[256:302] + served.rows[:1])
    async with reader(files.answer) as remote:
        for start, end in ((0, 1), (299, 300)):
            with pytest.raises(Malformed, match="entries where"):
                await remote.entries(start, end, 300)


# --- bodies -----------------------------------------------------------------------------------------------


async def test_gzip_is_asked_for_and_read() -> None:
    served, files = await site(300)

    def answer(request: httpx.Request) -> httpx.Response:
        assert request.headers["Accept-Encoding"] == "gzip, identity"
        plain = files.answer(request)
        return body(plain.status_code, gzip.compress(plain.read()), "gzip")

    async with reader(answer) as remote:
        assert await remote.entries(0, 300, 300) == served.rows


@pytest.mark.parametrize(
    ("encoding", "content"),
    [
        ("gzip", b"plain"),
        ("gzip", gzip.compress(b"half")[:-4]),
        ("gzip", gzip.compress(b"one") + b"more"),
        ("gzip", gzip.compress(b"one") + gzip.compress(b"two")),
        ("gzip", b""),
        ("br", b"plain"),
        ("gzip, gzip", gzip.compress(gzip.compress(b"twice"))),
    ],
    ids=["plain", "cut", "more behind it", "two streams", "empty", "brotli", "twice"],
)
async def test_other_encodings_and_broken_ones_are_malformed(encoding: str, content: bytes) -> None:
    async with reader(lambda _: body(200, content, encoding)) as remote:
        with pytest.raises(Malformed):
            await remote.checkpoint()


class Endless(httpx.AsyncByteStream):
    """A body without end that counts how much of it was taken."""

    def __init__(self, first: bytes, chunk: bytes) -> None:
        self.taken = 0
        self._first = first
        self._chunk = chunk

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._first
        while True:
            self.taken += 1
            yield self._chunk


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_a_body_over_its_limit_is_dropped_at_the_limit(read: Read, encoding: str) -> None:
    bomb = gzip.compress(bytes(20_000_000))
    streams = []

    def answer(request: httpx.Request) -> httpx.Response:
        stream = Endless(*((b"", bytes(1000)) if encoding == "identity" else (bomb, b"")))
        streams.append(stream)
        return httpx.Response(200, headers={"Content-Encoding": encoding}, stream=stream)

    limits = Limits(checkpoint_bytes=10_000, entries_bytes=10_000, certificate_bytes=10_000)
    async with reader(answer, limits=limits) as remote:
        with pytest.raises(Malformed, match=r"longer than (10000|8192) bytes"):
            await read(remote)
    assert len(streams) == 1
    assert streams[0].taken <= 11


async def test_a_gzip_bomb_is_not_unpacked_further_than_the_limit() -> None:
    bomb = gzip.compress(bytes(20_000_000))
    async with reader(lambda _: body(200, bomb, "gzip"), limits=Limits(checkpoint_bytes=10_000)) as remote:
        tracemalloc.start()
        try:
            with pytest.raises(Malformed):
                await remote.checkpoint()
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 2_000_000


async def test_a_body_of_exactly_its_limit_is_read() -> None:
    for encoding, content in (("identity", bytes(10_000)), ("gzip", gzip.compress(bytes(10_000)))):
        answer = body(200, content, encoding)
        limits = Limits(checkpoint_bytes=10_000)
        async with reader(lambda _, answer=answer: answer, limits=limits) as remote:  # type: ignore[misc]
            assert await remote.checkpoint() == bytes(10_000)


async def test_no_more_answers_are_awaited_at_once_than_allowed() -> None:
    served, files = await site(2_560)
    running = most = 0

    async def answer(request: httpx.Request) -> httpx.Response:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return files.answer(request)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        remote = HttpLog(BASE, X509, client, Limits(parallel=3))
        assert await remote.entries(0, 2_560, 2_560) == served.rows
    assert most == 3


# --- sockets ----------------------------------------------------------------------------------------------


@asynccontextmanager
async def listening(answer: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[str]:
    """A server of raw bytes on a free port of this machine."""

    served: list[asyncio.Task[None] | None] = []

    async def serve(reading: asyncio.StreamReader, writing: asyncio.StreamWriter) -> None:
        served.append(asyncio.current_task())
        await reading.readuntil(b"\r\n\r\n")
        await answer(writing)
        writing.close()
        with suppress(ConnectionError):
            await writing.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
        await asyncio.gather(*(task for task in served if task is not None))


async def test_over_a_socket_an_answer_is_read_and_a_closed_port_is_unreachable() -> None:
    async def answer(writing: asyncio.StreamWriter) -> None:
        writing.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnote")

    async with plain.client(trust_env=False) as client:
        async with listening(answer) as url:
            assert await HttpLog(url, X509, client).checkpoint() == b"note"
        with pytest.raises(Unreachable, match="checkpoint"):
            await HttpLog(url, X509, client).checkpoint()


@pytest.mark.parametrize("body", [b"220 mail ready\r\n", b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"])
async def test_whoever_does_not_speak_http_or_stops_in_the_middle_is_unreachable(body: bytes) -> None:
    async def answer(writing: asyncio.StreamWriter) -> None:
        writing.write(body)

    async with plain.client(trust_env=False) as client, listening(answer) as url:
        with pytest.raises(Unreachable):
            await HttpLog(url, X509, client).checkpoint()


async def test_a_slow_answer_ends_at_the_deadline_however_it_drips() -> None:
    ended = asyncio.Event()

    async def answer(writing: asyncio.StreamWriter) -> None:
        writing.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        for _ in range(100):  # a byte now and then keeps every timeout between two reads content
            writing.write(b".")
            with suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), 0.01)

    async with plain.client(trust_env=False) as client, listening(answer) as url:
        with pytest.raises(Unreachable, match=r"0\.2 s"):
            await HttpLog(url, X509, client, Limits(deadline_s=0.2)).checkpoint()
        ended.set()


@pytest.mark.parametrize("address", ["http://user:secret@[", "http://user:secret@host:port", "gopher://secret"])
async def test_an_address_that_is_none_is_unreachable_and_its_password_is_not_told(address: str) -> None:
    async with plain.client(trust_env=False) as client:
        with pytest.raises(Unreachable) as caught:
            await HttpLog(address, X509, client).checkpoint()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:8080/x509", True),
        ("http://[::1]/x509", True),
        ("http://127.9.9.9", True),
        ("http://localhost/x509", False),
        ("https://hk.twinlog.example/x509", False),
        ("http://10.0.0.1", False),
        ("http://[", False),
    ],
)
async def test_gzip_is_not_asked_for_where_it_spares_no_network(url: str, here: bool) -> None:
    assert is_on_this_machine(url) is here
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers["accept-encoding"])
        return body(200, b"note", "identity")

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        for packed in (True, False):
            await HttpLog("http://log.example", X509, client, Limits(packed=packed)).checkpoint()
    assert asked == ["gzip, identity", "identity"]


@pytest.mark.parametrize(("status", "advice"), [(401, "holders of a bearer token"), (403, "answers 403: checkpoint")])
async def test_whoever_lacks_a_token_is_told_that_one_is_needed(status: int, advice: str) -> None:
    async with reader(lambda _: body(status, b"")) as found:
        with pytest.raises(Malformed, match=advice):
            await found.checkpoint()
