"""One node with a sharded log, on real stores, with a clock that the test moves."""

import datetime as dt
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx

from log import keyring, main, state
from log.api.app import Options, create_app
from log.certs.trustlist import TrustList
from log.certs.trustlist_rows import Issuer
from log.crypto.notes import NoteSigner, cosign, sign_note
from log.demo.authorities import Council
from log.demo.ca import MassIssuer
from log.formats.guard_push import GuardPush
from log.formats.note import KeyType, Note
from log.node.keeper import Keeper
from log.node.node import Node
from log.settings import NodeSettings
from tests.support.engine import FakeClock, ed25519, witness_signer

ORIGIN = "hk.example/x509"
AUTHORITY = NoteSigner.make("hk.authority.example", KeyType.ED25519, ed25519(50))
GUARD = witness_signer("hk.example/monitor", 31)
PUSH = NoteSigner.make("hk.example/monitor", KeyType.ED25519, ed25519(32))
GUARDS = f'[[guards]]\nname = "monitor"\ncosigner = "{GUARD.vkey.encode()}"\npush = "{PUSH.vkey.encode()}"\n'


def ms(year: int, month: int = 1, day: int = 1) -> int:
    return int(dt.datetime(year, month, day, tzinfo=dt.UTC).timestamp() * 1000)


@dataclass(slots=True)
class Place:
    """A node's folder and its clock, over restarts. `issuer(year)` makes certificates that expire in that July."""

    folder: Path
    clock: FakeClock = field(default_factory=lambda: FakeClock(ms(2026, 8)))
    issuers: dict[int, MassIssuer] = field(default_factory=dict)
    table: str = 'shards = "yearly"\nfirst_year = 2025\n'  # lines of the log's table
    top: str = ""  # lines before it
    guarded: bool = False
    governed: bool = False  # by a genesis that lists the same issuers, instead of a signed list
    chains: dict[tuple[int, int], list[bytes]] = field(default_factory=dict)  # signed once

    async def make(self) -> None:
        """Write settings, policy and trust list; no keys, no state."""
        self.folder.mkdir(exist_ok=True)
        self.issuers = {year: MassIssuer(now_ms=ms(year - 1, 7)) for year in (2025, 2026, 2027, 2030)}
        rows = [
            Issuer(f"ca-{year}", issuer.issuers[-1], f"ca-{year}", 0, None, None, "", False, "", "", False)
            for year, issuer in self.issuers.items()
        ]
        listed = TrustList(1, 0, tuple(rows), ())
        (self.folder / "list").mkdir()
        (self.folder / "list" / "trustlist.json").write_bytes(listed.encode())
        note = await sign_note(listed.note_text(), 0, [AUTHORITY])
        (self.folder / "list" / "trustlist.note").write_bytes(note.encode())
        (self.folder / "policy").write_text("quorum none\n")
        if self.governed:
            self.council.begin(("hk", "gd"), {"hk": [("trust-list", {"list": listed.value()})]})
        self.write()

    @property
    def council(self) -> Council:
        return Council(self.folder / "authorities", lambda: self.clock.wall_ms() / 1000)

    def _lists(self) -> str:
        if not self.governed:
            return f'[[trustlists]]\nside = "hk"\npath = "list"\nsigners = {json.dumps([AUTHORITY.vkey.encode()])}\n'
        pin = sha256(self.council.genesis_file.read_bytes()).hexdigest()
        return f'[governance]\ngenesis = "authorities/genesis.json"\nsha256 = "{pin}"\n'

    def write(self) -> None:
        """Write the settings file as it is to be now."""
        text = [
            f'node = "HK"\nheartbeat_s = 1\n{self.top}',
            GUARDS if self.guarded else "",
            f'[[logs]]\nname = "x509"\nfamily = "x509"\norigin = "{ORIGIN}"\npolicy = "policy"\n{self.table}',
            'bodies = "public"\n',
            '[[logs]]\nname = "governance"\nfamily = "governance"\norigin = "hk.example/gov"\npolicy = "policy"\n',
            self._lists(),
        ]
        if not self.guarded:
            text.insert(0, "guards = []\n")
        (self.folder / "twinlog.toml").write_text("".join(text))

    @property
    def settings(self) -> NodeSettings:
        return NodeSettings.load(self.folder / "twinlog.toml")

    def chain(self, year: int, n: int = 1) -> list[bytes]:
        """Return the chain of certificate `n` of those that expire in a year, the same each time."""
        return self.chains.setdefault((year, n), self.issuers[year].chain(n))

    async def create(self) -> None:
        """What an operator does once."""
        await self.make()
        keyring.keygen(self.settings, self.clock)
        await state.init(self.settings, self.clock)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Running"]:
        """Build and start the node, a second later on its clock; stop it at the end."""
        self.clock.advance(1_000)
        node = await main.build(self.settings, self.clock, "http://node")
        try:
            await node.start()
            transport = httpx.ASGITransport(create_app(node, Options(), self.clock))
            async with httpx.AsyncClient(transport=transport, base_url="http://node", timeout=30) as http:
                yield Running(self, node, http)
        finally:
            await node.stop()


@dataclass(slots=True)
class Running:
    """A node that runs."""

    place: Place
    node: Node
    http: httpx.AsyncClient

    @property
    def keeper(self) -> Keeper:
        keeper = self.node._keeper
        assert keeper is not None
        return keeper

    @property
    def names(self) -> list[str]:
        return [name for name in self.node.logs if name != "governance"]

    async def submit(self, name: str, year: int, n: int = 1) -> httpx.Response:
        """Submit certificate `n` of those that expire in a year."""
        chain = [b64encode(der).decode() for der in self.place.chain(year, n)]
        return await self.http.post(f"/{name}/ct/v1/add-chain", json={"chain": chain})

    async def health(self) -> tuple[int, dict[str, Any]]:
        answer = await self.http.get("/healthz")
        return answer.status_code, answer.json()

    async def push(self, *held: str | bytes) -> dict[str, Any]:
        """Push as the guard that holds these heads, or those of these logs as they are served now."""
        time_s = self.place.clock.wall_ms() // 1000
        notes = []
        for each in held:
            note = Note.parse(each if isinstance(each, bytes) else await self.node.logs[each].checkpoint())
            notes.append(note.with_signatures([*note.signatures, await cosign(note.text, time_s, GUARD)]).encode())
        text = GuardPush("HK", time_s, tuple(notes), ()).encode()
        return await self.node.hear_guard((await sign_note(text, 0, [PUSH])).encode())


def digest(der: bytes) -> str:
    return sha256(der).hexdigest()
