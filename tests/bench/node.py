"""One node alone, by default with one log of certificates: no guard, no witness, no monitor beside it on the cores."""

import asyncio
import json
import re
import time
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from log import keyring, state
from log.certs.trustlist import TrustList
from log.certs.trustlist_rows import Issuer
from log.crypto import keys
from log.crypto.keys import Kind
from log.crypto.notes import NoteSigner, sign_note
from log.demo.processes import Process
from log.formats.family import TILES
from log.formats.note import KeyType
from log.sequencer.clock import SystemClock
from log.settings import NodeSettings

HOST = "bench.twinlog.example"
LOG = "x509"
ORIGIN = f"{HOST}/{LOG}"


@dataclass(frozen=True, slots=True)
class LoneNode:
    """A node's folder. Every limit has its default."""

    folder: Path
    families: tuple[str, ...] = (LOG,)  # a log of each, by its family's name
    host: str = HOST  # what the origins of its logs begin with

    @property
    def settings(self) -> NodeSettings:
        """The settings, read from their file."""
        return NodeSettings.load(self.folder / "twinlog.toml")

    async def create(self, *roots: bytes) -> None:
        """Make keys, settings, a trust list with these roots (DER), and the empty state."""
        self.folder.mkdir()
        keys.generate_key(self.folder / "signer.pem", Kind.ED25519)
        key = keys.load_ed25519(self.folder / "signer.pem")
        signer = NoteSigner.make("authority.twinlog.example", KeyType.ED25519, key)
        now_ms = int(time.time()) * 1000
        listed = TrustList(1, now_ms, tuple(_issuer(root, now_ms) for root in roots), ())
        (self.folder / "list").mkdir()
        (self.folder / "list" / "trustlist.json").write_bytes(listed.encode())
        note = await sign_note(listed.note_text(), 0, [signer])
        (self.folder / "list" / "trustlist.note").write_bytes(note.encode())
        lines = [
            'node = "BENCH"',
            'listen = "127.0.0.1:0"',
            "guards = []",
            *(line for family in self.families for line in _log_table(self.host, family)),
            "[[trustlists]]",
            'side = "hk"',
            'path = "list"',
            f"signers = {json.dumps([signer.vkey.encode()])}",
        ]
        (self.folder / "twinlog.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
        keyring.keygen(self.settings, SystemClock())
        public = keyring.public_keys(self.settings, SystemClock())
        for family in self.families:
            logs = "".join(f"log {vkey}\n" for vkey in public[f"{self.host}/{family}"])
            (self.folder / f"{family}.policy").write_text(f"{logs}quorum none\n", encoding="utf-8")
        await state.init(self.settings, SystemClock())

    async def size(self) -> int:
        """Return how many entries the log of the stopped node has."""
        sizes = [stored.reader.published().head.size async for stored in state.stopped_logs(self.settings)]
        return sizes[0]

    async def root(self) -> bytes:
        """Return the root of the stopped node's log, as it is signed."""
        roots = [stored.reader.published().head.root async for stored in state.stopped_logs(self.settings)]
        return roots[0]

    async def start(self) -> "Server":
        """Start `twinlog serve`."""
        arguments = ["serve", "--settings", str(self.folder / "twinlog.toml")]
        return await Server.start(Process("log", arguments, self.folder / "serve.out"), self.folder / "serve.out")


def _log_table(host: str, family: str) -> list[str]:
    lines = ["[[logs]]", f'name = "{family}"', f'family = "{family}"', f'origin = "{host}/{family}"']
    lines.append('bodies = "public"')
    return [*lines, f'policy = "{family}.policy"', *(["open_add = true"] if family == TILES.name else [])]


def _issuer(root: bytes, now_ms: int) -> Issuer:
    name = f"ca-{sha256(root).hexdigest()[:16]}"
    return Issuer(name, root, name, now_ms, None, None, "", False, "", "", False)


@dataclass(frozen=True, slots=True)
class Server:
    """A process that listens on 127.0.0.1."""

    process: Process
    port: int

    @classmethod
    async def start(cls, process: Process, output: Path) -> "Server":
        """Start a process that prints where it listens, last of all when it is started anew."""
        await process.start("listening on http://")
        printed = await asyncio.to_thread(output.read_text, encoding="utf-8")
        ports: list[str] = re.findall(r"listening on http://127\.0\.0\.1:(\d+)", printed)
        return cls(process, int(ports[-1]))

    @property
    def pid(self) -> int:
        return self.process.pid

    async def stop(self) -> None:
        """End it by its process id."""
        await self.process.stop()
