"""Fetching finished proofs, and making vouched proofs out of provisional ones.

A log answers 202 while its witnesses have not vouched for an entry yet; whoever asks waits and asks again.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import TypeVar
from urllib.parse import urlencode

import httpx

from log.client import LogReader
from log.client.exchange import exchange
from log.client.prover import inclusion
from log.errors import BadProof, Denied, Malformed, NotFound, NotYet, Unreachable
from log.formats.checkpoint import Checkpoint
from log.formats.note import Note
from log.formats.tlog_proof import TlogProof

DEADLINE_S = 30.0  # one request
MAX_PROOF_BYTES = 1 << 20

Proven = TypeVar("Proven")


class ProofSource:
    """The finished proofs of the log at `url` (its prefix, with the log's name)."""

    def __init__(
        self,
        url: str,
        client: httpx.AsyncClient,
        deadline_s: float = DEADLINE_S,
        sign: Callable[[str], Mapping[str, str]] = lambda _: {},
    ) -> None:
        """`sign` returns the header fields by which a member may read what a URL holds."""
        self._url = url.rstrip("/")
        self._client = client
        self._deadline_s = deadline_s
        self._sign = sign

    async def by_certificate(self, certificate: bytes, *, newest: bool = False, patience_s: float = 0) -> bytes:
        """Return the proof for a certificate (DER). `NotFound`; `NotYet` when `patience_s` is over."""
        parameters = {"fingerprint": sha256(certificate).hexdigest(), **_head(newest)}
        return await self._patiently(f"tlog-proof?{urlencode(parameters)}", patience_s)

    async def by_signature(self, signature: bytes, *, newest: bool = False, patience_s: float = 0) -> bytes:
        """Return the proof, with its entry, of an event of this signature (its value); raises as `by_certificate`.

        `Denied` for whoever may not read entries.
        """
        query = urlencode(_head(newest))
        path = f"event/{sha256(signature).hexdigest()}"
        return await self._patiently(f"{path}?{query}" if query else path, patience_s)

    async def _patiently(self, path: str, patience_s: float) -> bytes:
        until = time.monotonic() + patience_s
        while True:
            try:
                return await self._get(f"{self._url}/{path}")
            except NotYet as error:
                if time.monotonic() + error.retry_after_s > until:
                    raise
                await asyncio.sleep(error.retry_after_s)

    async def _get(self, url: str) -> bytes:
        answer = await exchange(
            self._client,
            "GET",
            url,
            "tlog-proof",
            max_bytes=MAX_PROOF_BYTES,
            deadline_s=self._deadline_s,
            fields=self._sign(url),
        )
        match answer.status:
            case httpx.codes.OK:
                return answer.body
            case httpx.codes.ACCEPTED:
                raise NotYet("logged, not vouched for by the witnesses yet")
            case httpx.codes.NOT_FOUND:
                raise NotFound("this log has no such entry")
            case httpx.codes.UNAUTHORIZED | httpx.codes.FORBIDDEN:
                raise Denied(f"{self._url}: {answer.reason}")
            case httpx.codes.TOO_MANY_REQUESTS | httpx.codes.SERVICE_UNAVAILABLE:
                raise Unreachable(f"{self._url}: {answer.status}")
        raise Malformed(f"{self._url}: {answer.status}")


def _head(newest: bool) -> dict[str, str]:
    return {"head": "newest"} if newest else {}


async def upgrade(raw: bytes, verify: Callable[[bytes, bool], Proven], reader: LogReader) -> tuple[bytes, Proven]:
    """Return a proof of the same entry on the log's witnessed head, and what it proves.

    `verify` takes a proof, and whether the word of one side will do (`verify_proof`, `verify_receipt`). The old proof
    is verified first: what it does not prove is not carried over. `NotYet` when the witnessed head does not cover the
    entry; else the errors of `verify`.
    """
    verify(raw, True)
    old = TlogProof.parse(raw)
    note = await reader.witnessed()
    size = 0 if note is None else Checkpoint.parse(Note.parse(note).text).size
    if note is None or size <= old.index:
        raise NotYet(f"the witnesses have vouched for {size} entries so far")
    if Checkpoint.parse(Note.parse(note).text).origin != Checkpoint.parse(Note.parse(old.checkpoint).text).origin:
        raise BadProof("this is another log")
    hashes = await inclusion(reader, old.index, size)
    new = TlogProof(old.index, tuple(hashes), note, old.extra).encode()
    return new, verify(new, False)
