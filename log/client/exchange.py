"""One request to a stranger, and what it may cost: its answer is bounded in bytes and time, whatever it does.

A redirect is an answer like any other and is not followed, because an origin is its URL. Nothing is asked for but
gzip, and an answer is unpacked no further than one byte over its limit. Informational answers, fields without end and
bytes that drip are all within the one deadline.
"""

import asyncio
import ssl
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import httpx

from log.errors import Malformed, Unreachable

GZIP = "gzip, identity"
PLAIN = "identity"
_NO_FIELDS: Mapping[str, str] = {}
_SECONDS_DIGITS = 9  # of a Retry-After that is read
MAX_WORDS = 200  # characters of what the other end says, in messages


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of whatever status."""

    status: int
    body: bytes
    fields: Mapping[str, str] = field(default_factory=dict)  # found in any case of letters

    @property
    def content_type(self) -> str:
        """The media type without parameters, in lower case."""
        return self.fields.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def retry_after_s(self) -> int:
        """The seconds of Retry-After; 0 for none, and for a date."""
        text = self.fields.get("retry-after", "")
        return int(text) if text.isascii() and text.isdigit() and len(text) <= _SECONDS_DIGITS else 0

    @property
    def reason(self) -> str:
        """The start of the body as one printable line, for messages."""
        return f"{self.status} {printable(self.body[:MAX_WORDS].decode('utf-8', 'replace'))}".strip()


def printable(text: str) -> str:
    """Return the start of what a stranger says as one line that cannot spoil a report or a terminal."""
    line = text[:MAX_WORDS].strip().replace("\n", " / ")
    return "".join(c if c.isprintable() else "?" for c in line)


async def exchange(
    client: httpx.AsyncClient,
    method: str,
    url: str,
    what: str,
    *,
    max_bytes: int,
    deadline_s: float,
    body: bytes | None = None,
    content_type: str = "application/json",
    accept: str = PLAIN,
    fields: Mapping[str, str] = _NO_FIELDS,
    wanted: Callable[[int], bool] = lambda _: True,
) -> Answer:
    """Return the answer; its body is empty where its status is not `wanted`, and then not read either.

    `fields` are further header fields. `what` names the request in messages, where a URL may hold a password.
    `Unreachable` when there is no whole answer within `deadline_s`; `Malformed` when it is over `max_bytes` once
    unpacked, or packed in another way than was asked for.
    """
    typed = {} if body is None else {"Content-Type": content_type}
    headers = {"Accept-Encoding": accept, **typed, **fields}
    try:
        async with (
            asyncio.timeout(deadline_s),
            client.stream(
                method, url, content=body, headers=headers, follow_redirects=False, timeout=deadline_s
            ) as answer,
        ):
            if not wanted(answer.status_code):
                return Answer(answer.status_code, b"", answer.headers)
            unpacked = _Body(answer.headers.get("Content-Encoding", PLAIN), accept, max_bytes)
            async for chunk in answer.aiter_raw():
                unpacked.add(chunk)
            return Answer(answer.status_code, unpacked.finish(), answer.headers)
    except TimeoutError as e:
        raise Unreachable(f"no whole answer within {deadline_s} s: {what}") from e
    except (httpx.HTTPError, httpx.InvalidURL) as e:
        raise _unanswered(e, what) from e
    except Malformed as e:
        raise Malformed(f"{e}: {what}") from e


def _unanswered(error: httpx.HTTPError | httpx.InvalidURL, what: str) -> Unreachable:
    """Return what to say of a request without an answer; some cannot be sent at all."""
    if isinstance(error, (httpx.UnsupportedProtocol, httpx.InvalidURL)):
        return Unreachable(f"a URL begins with https:// or http://, and a host follows: {what}")
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Unreachable(f"no answer, its certificate is not one to trust, {cause.verify_message}: {what}")
        cause = cause.__cause__ or cause.__context__
    return Unreachable(f"no answer, {type(error).__name__}: {what}")


def exchange_blocking(
    client: httpx.Client,
    method: str,
    url: str,
    what: str,
    *,
    max_bytes: int,
    deadline_s: float,
    body: bytes | None = None,
) -> Answer:
    """Do as `exchange` does, in a thread.

    A head that drips is bounded for each of its bytes only: whoever waits for the thread has to stop waiting.
    """
    fields = {"Accept-Encoding": PLAIN} | ({} if body is None else {"Content-Type": "application/json"})
    until_s = time.monotonic() + deadline_s
    try:
        with client.stream(
            method, url, content=body, headers=fields, follow_redirects=False, timeout=deadline_s
        ) as answer:
            unpacked = _Body(answer.headers.get("Content-Encoding", PLAIN), PLAIN, max_bytes)
            for chunk in answer.iter_raw():
                unpacked.add(chunk)
                if time.monotonic() > until_s:
                    raise Unreachable(f"no whole answer within {deadline_s} s: {what}")
            return Answer(answer.status_code, unpacked.finish(), answer.headers)
    except (httpx.HTTPError, httpx.InvalidURL) as e:
        raise _unanswered(e, what) from e
    except Malformed as e:
        raise Malformed(f"{e}: {what}") from e


class _Body:
    """An answer's body, decompressed no further than one byte over its limit, however well it was packed."""

    def __init__(self, encoding: str, accept: str, limit: int) -> None:
        packed = encoding.lower() == "gzip"
        if encoding.lower() not in {PLAIN, ""} and not (packed and accept == GZIP):
            raise Malformed("a Content-Encoding that was not asked for")
        self._gzip = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS) if packed else None
        self._limit = limit
        self._parts: list[bytes] = []  # joined once: of a body that came in one, no byte is copied
        self._size = 0

    def add(self, chunk: bytes) -> None:
        if self._gzip is not None:
            try:
                chunk = self._gzip.decompress(chunk, self._limit + 1 - self._size)
            except zlib.error as e:
                raise Malformed("not gzip") from e
            if self._gzip.unused_data:
                raise Malformed("bytes after the gzip stream")
        self._parts.append(chunk)
        self._size += len(chunk)
        if self._size > self._limit:
            raise Malformed(f"longer than {self._limit} bytes")

    def finish(self) -> bytes:
        if self._gzip is not None and not self._gzip.eof:
            raise Malformed("half a gzip stream")
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
