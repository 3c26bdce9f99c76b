"""One node as software sees it that has never heard of Twinlog: a URL, a key, and certificates that Go can parse.

What a tool must be told of a log (its key, its ID, its URLs) it is told from `log.v3.json`, as whoever keeps a list
of logs would write it down.
"""

import asyncio
import base64
import json
import textwrap
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
from cryptography import x509

from log import keyring
from log.demo import ca, issuing
from log.formats.note import KeyType, VKey
from log.formats.sct import SCT
from log.sequencer.clock import SystemClock
from tests.bench.node import HOST, LoneNode, Server
from tests.support import plain

FAMILIES = ("x509", "governance", "tlog-tiles")
BATCH = 64  # submissions under way at once


@dataclass(slots=True)
class Foreign:
    """A node with a log of each family, its process, and a P-256 CA that its trust list names."""

    home: Path  # for what tools read and write
    node: LoneNode
    issuer: issuing.CA
    http: httpx.AsyncClient
    server: Server | None = None
    serial: int = 1000
    leaf_key: issuing.Key = field(default_factory=lambda: issuing.Key.generate("p256"))

    @property
    def url(self) -> str:
        assert self.server is not None
        return f"http://127.0.0.1:{self.server.port}"

    async def start(self) -> None:
        self.server = await self.node.start()

    async def stop(self) -> None:
        if self.server is not None:
            await self.server.stop()
            self.server = None

    # --- certificates in --------------------------------------------------------------------------------------

    def chain(self, *names: str, extensions: Iterable[issuing.Extension] = ()) -> list[bytes]:
        """Issue a certificate (DER), for these DNS names and with these extensions; return it with its issuers."""
        self.serial += 1
        now_ms = int(time.time()) * 1000
        validity = (now_ms - 86_400_000, now_ms + 180 * 86_400_000)
        subject = issuing.distinguished(("C", "HK"), ("O", f"Harbour Sample Trading {self.serial} {ca.MARK}"))
        profile = ca.leaf_profile(subject, self.leaf_key.spki, self.issuer.key.spki, self.serial, validity)
        more = [*extensions]
        if names:
            more.append(issuing.known(x509.SubjectAlternativeName([x509.DNSName(name) for name in names])))
        profile = replace(profile, extensions=(*profile.extensions, *more))
        return [self.issuer.issue(profile), *self.issuer.issuers]

    async def submit(self, chain: Sequence[bytes]) -> SCT:
        """Submit a chain, which must be taken."""
        body = {"chain": [base64.b64encode(certificate).decode() for certificate in chain]}
        answer = await self.http.post(f"{self.url}/x509/ct/v1/add-chain", json=body)
        assert answer.status_code == httpx.codes.OK, answer.text
        return SCT.from_json(answer.json())

    async def fill(self, size: int) -> None:
        """Submit certificates until the log of certificates has so many entries."""
        missing = size - (await self.sth())["tree_size"]
        while missing > 0:
            await asyncio.gather(*(self.submit(self.chain()) for _ in range(min(missing, BATCH))))
            missing -= BATCH
        assert (await self.sth())["tree_size"] == size

    async def add(self, count: int) -> None:
        """Add so many entries to the open log."""
        for start in range(0, count, BATCH):
            entries = [b"entry %d" % number for number in range(start, min(start + BATCH, count))]
            answers = await asyncio.gather(
                *(self.http.post(f"{self.url}/tlog-tiles/add", content=each) for each in entries)
            )
            assert {answer.status_code for answer in answers} == {httpx.codes.OK}

    async def sth(self) -> dict[str, Any]:
        answer = await self.http.get(f"{self.url}/x509/ct/v1/get-sth")
        sth: dict[str, Any] = answer.raise_for_status().json()
        return sth

    # --- what tools are told ----------------------------------------------------------------------------------

    async def listed(self) -> dict[str, Any]:
        """Return what the log of certificates says of itself for lists of logs."""
        answer = await self.http.get(f"{self.url}/x509/log.v3.json")
        entry: dict[str, Any] = answer.raise_for_status().json()
        return entry

    async def log_list(self, *, tiled: bool) -> Path:
        """Write a list of one log, to be read as tiles or by RFC 6962; return its path."""
        entry = await self.listed()
        if not tiled:
            entry["url"] = entry.pop("submission_url")
            del entry["monitoring_url"]
        kind = "tiled_logs" if tiled else "logs"
        return self.write(f"{kind}.json", json.dumps({"operators": [{"name": "Twinlog (synthetic)", kind: [entry]}]}))

    async def key(self) -> str:
        """Return the 0x05 key of the log of certificates: base64 of its SubjectPublicKeyInfo."""
        return str((await self.listed())["key"])

    async def key_file(self) -> Path:
        """Write that key as PEM."""
        lines = "\n".join(textwrap.wrap(await self.key(), 64))
        return self.write("key.pem", f"-----BEGIN PUBLIC KEY-----\n{lines}\n-----END PUBLIC KEY-----\n")

    def vkey(self, family: str) -> str:
        """Return the 0x01 key of a log."""
        vkeys = keyring.public_keys(self.node.settings, SystemClock())[f"{HOST}/{family}"]
        (found,) = [vkey for vkey in vkeys if VKey.parse(vkey).type is KeyType.ED25519]
        return found

    def write(self, name: str, text: str) -> Path:
        path = self.home / name
        path.write_text(text, encoding="utf-8")
        return path


@asynccontextmanager
async def foreign(folder: Path, *more_roots: bytes) -> AsyncIterator[Foreign]:
    """Start a node in `folder` that admits one P-256 CA and these roots (DER); stop it after the block."""
    now_ms = int(time.time()) * 1000
    root = issuing.CA.root("p256", issuing.distinguished(("C", "HK"), ("CN", f"Interop Root {ca.MARK}")), 1, now_ms)
    issuer = root.subordinate(issuing.distinguished(("C", "HK"), ("CN", f"Interop Issuing CA {ca.MARK}")), 2, now_ms)
    home = folder / "home"
    home.mkdir(parents=True)
    node = LoneNode(folder / "node", FAMILIES)
    await node.create(root.certificate, *more_roots)
    # A connection kept alive may be closed by the node at the moment it is used again: each request has its own.
    limits = httpx.Limits(max_connections=BATCH, max_keepalive_connections=0)
    async with plain.client(limits=limits, timeout=60) as http:
        made = Foreign(home, node, issuer, http)
        try:
            await made.start()
            yield made
        finally:
            await made.stop()
