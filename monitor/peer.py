"""Requests to others, bounded: one deadline for the whole exchange, a limit on the body, no redirects."""

import asyncio
from dataclasses import dataclass

import httpx

from log.errors import Unreachable

MAX_WORDS = 200  # of what a peer says, in reports; characters
_SECONDS_DIGITS = 9  # of a Retry-After that is read


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of whatever status."""

    status: int
    content_type: str  # without parameters, in lower case
    body: bytes
    retry_after_s: int = 0  # from Retry-After; 0 for none, and for a date

    @property
    def reason(self) -> str:
        """The start of the body as one printable line, for reports."""
        return f"{self.status} {printable(self.body[:MAX_WORDS].decode('utf-8', 'replace'))}".strip()


def printable(text: str) -> str:
    """Return the start of what a peer says as one line that cannot spoil a report."""
    line = text[:MAX_WORDS].strip().replace("\n", " / ")
    return "".join(c if c.isprintable() else "?" for c in line)


class Peer:
    """The only place of the monitor that speaks HTTP, apart from `log.client.http`."""

    def __init__(self, client: httpx.AsyncClient, deadline_s: float, max_bytes: int) -> None:
        self._client = client
        self._deadline_s = deadline_s
        self._max_bytes = max_bytes

    async def get(self, url: str) -> Reply:
        """Return the answer, or raise `Unreachable`."""
        return await self._ask("GET", url, None)

    async def post(self, url: str, body: bytes) -> Reply:
        """Return the answer, or raise `Unreachable`."""
        return await self._ask("POST", url, body)

    async def _ask(self, method: str, url: str, body: bytes | None) -> Reply:
        headers = {"Accept-Encoding": "identity"}
        if body is not None:
            headers["Content-Type"] = "text/plain; charset=utf-8"
        try:
            async with (
                asyncio.timeout(self._deadline_s),
                self._client.stream(method, url, content=body, headers=headers, follow_redirects=False) as answer,
            ):
                data = bytearray()
                async for chunk in answer.aiter_raw():
                    data += chunk
                    if len(data) > self._max_bytes:
                        raise Unreachable(f"an answer over {self._max_bytes} bytes from {url}")
                kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
                return Reply(answer.status_code, kind, bytes(data), _seconds(answer.headers.get("retry-after", "")))
        except TimeoutError as e:
            raise Unreachable(f"no whole answer within {self._deadline_s} s from {url}") from e
        except (httpx.HTTPError, httpx.InvalidURL) as e:
            raise Unreachable(f"{type(e).__name__} at {url}") from e


def _seconds(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _SECONDS_DIGITS else 0
