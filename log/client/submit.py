"""Submitting certificates to a log over HTTP (RFC 6962 section 4.1), politely and resumably.

A log that is busy (429, 503) says when to come back, and is asked again; every other refusal is final and kept
with its reason. What was answered stands in a folder, one file a certificate, so that a second run goes on
where the first ended.
"""

import asyncio
import csv
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx

from log.certs import certificate
from log.client.exchange import Answer, exchange, printable
from log.errors import LogError, Malformed, Refused, Unreachable
from log.formats.text import b64decode, b64encode


@dataclass(frozen=True, slots=True)
class SubmitLimits:
    """How patient and how eager a submitter is."""

    attempts: int = 20  # tries of one certificate while the log is busy or away
    max_wait_s: float = 30.0  # longest wait that a Retry-After can ask for
    deadline_s: float = 60.0  # one request
    answer_bytes: int = 64 << 10  # an SCT, or why there is none
    roots_bytes: int = 64 << 20  # every root of a log, in base64
    parallel: int = 32  # requests in flight


class Submitter:
    """Sends chains to the log at `url` (its prefix, with the log's name)."""

    def __init__(self, url: str, client: httpx.AsyncClient, limits: SubmitLimits | None = None) -> None:
        self._url = url.rstrip("/")
        self._client = client
        self._limits = limits or SubmitLimits()

    async def roots(self) -> int:
        """Return how many roots the log takes certificates under. `Unreachable`; `Malformed` when it is no log."""
        answer = await exchange(
            self._client,
            "GET",
            f"{self._url}/ct/v1/get-roots",
            self._url,
            max_bytes=self._limits.roots_bytes,
            deadline_s=self._limits.deadline_s,
        )
        if answer.status != httpx.codes.OK:
            raise Unreachable(f"{self._url}: get-roots answers {answer.status}")
        try:
            return len(json.loads(answer.body)["certificates"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise Malformed(f"{self._url}: the answer is not that of get-roots") from error

    async def submit(self, chain: Sequence[bytes]) -> dict[str, Any]:
        """Return the add-chain or add-pre-chain answer for a chain in DER, leaf first.

        `Refused` with the log's own words; `Unreachable` when it stayed busy or away.
        """
        precert = certificate.parse(chain[0]).is_precert
        url = f"{self._url}/ct/v1/{'add-pre-chain' if precert else 'add-chain'}"
        body = json.dumps({"chain": [b64encode(der) for der in chain]}).encode()
        why = "no answer"
        for attempt in range(self._limits.attempts):
            wait_s = min(0.1 * 2**attempt, self._limits.max_wait_s)
            try:
                answer = await self._post(url, body)
            except Unreachable as error:
                why = str(error)
            else:
                if answer.status == httpx.codes.OK:
                    return _answer(answer.body)
                why = f"{answer.status}: {_reason(answer.body)}"
                if answer.status not in (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE):
                    raise Refused(why, str(answer.status))
                wait_s = _retry_after(answer, self._limits.max_wait_s)
            await asyncio.sleep(wait_s)
        raise Unreachable(f"{self._url}: {why}")

    async def _post(self, url: str, body: bytes) -> Answer:
        limits = self._limits
        return await exchange(
            self._client,
            "POST",
            url,
            "add-chain",
            max_bytes=limits.answer_bytes,
            deadline_s=limits.deadline_s,
            body=body,
        )

    async def submit_all(self, chains: Iterable[Sequence[bytes]]) -> AsyncIterator["Outcome"]:
        """Submit many chains, `parallel` at a time; yield each outcome as it comes."""
        waiting: set[asyncio.Task[Outcome]] = set()
        try:
            for chain in chains:
                waiting.add(asyncio.create_task(self._outcome(chain)))
                if len(waiting) >= self._limits.parallel:
                    done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        yield task.result()
            for finished in asyncio.as_completed(waiting):
                yield await finished
        finally:
            for task in waiting:
                task.cancel()

    async def _outcome(self, chain: Sequence[bytes]) -> "Outcome":
        try:
            return Outcome(chain[0], await self.submit(chain), "")
        except LogError as error:
            return Outcome(chain[0], None, str(error))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one certificate: the log's answer, or why it was refused."""

    certificate: bytes  # DER
    answer: dict[str, Any] | None
    refusal: str


class Receipts:
    """A folder of answers: `<SHA-256 of the certificate>.sct.json`, and in `refused.csv` what this run was refused."""

    def __init__(self, folder: Path, url: str) -> None:
        self._folder = folder
        self._url = url.rstrip("/")
        self.refused = folder / "refused.csv"
        folder.mkdir(parents=True, exist_ok=True)
        self.refused.unlink(missing_ok=True)  # of an earlier run: what was refused then is tried again

    def has(self, der: bytes) -> bool:
        """Say whether this certificate was answered before."""
        return self._path(der).exists()

    def refuse(self, source: Path, fingerprint: str, why: str) -> None:
        """Write down that what came from `source` is not logged."""
        with self.refused.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow([source, fingerprint, why])

    def keep(self, outcome: Outcome, source: Path) -> None:
        """Write an answer or a refusal down. A file that is there is whole."""
        if outcome.answer is None:
            self.refuse(source, sha256(outcome.certificate).hexdigest(), outcome.refusal)
            return
        path = self._path(outcome.certificate)
        receipt = {"log": self._url, "certificate": b64encode(outcome.certificate), "sct": outcome.answer}
        unfinished = path.with_suffix(".part")
        unfinished.write_text(json.dumps(receipt, indent=1) + "\n", encoding="utf-8")
        unfinished.rename(path)

    def _path(self, der: bytes) -> Path:
        return self._folder / f"{sha256(der).hexdigest()}.sct.json"


def read_receipt(path: Path) -> tuple[bytes, str]:
    """Return the certificate (DER) of a receipt and the URL of the log that gave it; `Malformed`."""
    return parse_receipt(path.read_bytes())


def parse_receipt(data: bytes) -> tuple[bytes, str]:
    """Return what `read_receipt` does, out of the bytes of the file."""
    try:
        receipt = json.loads(data)
        return b64decode(receipt["certificate"]), str(receipt["log"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Malformed("not a receipt of `submit`") from error


def _answer(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise Malformed("the log's answer is not JSON") from error
    if not isinstance(body, dict) or not {"id", "timestamp", "extensions", "signature"} <= body.keys():
        raise Malformed("the log's answer is not that of add-chain")
    return body


def _reason(body: bytes) -> str:
    """Return the second line of an error body, or the first."""
    lines = [line for line in body.decode("utf-8", "replace").splitlines() if line] or ["no reason given"]
    return printable(lines[min(1, len(lines) - 1)])


def _retry_after(answer: Answer, max_wait_s: float) -> float:
    text = answer.fields.get("Retry-After", "")
    return min(float(text), max_wait_s) if text.isascii() and text.isdigit() else 1.0
