# ruff: noqa: F811 - a fixture is imported by its name
"""A log that others wrote: Tessera's `posix-oneshot` feeds our node's witness, and our monitor follows what it made."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, MutableMapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from log.client.audit import audit
from log.client.http import HttpLog
from log.client.verifier import verify_checkpoint
from log.crypto.notes import open_head, open_note
from log.errors import Mismatch
from log.formats.checkpoint import Checkpoint
from log.formats.family import TILES
from log.formats.note import KeyType, Note, VKey
from log.formats.policy import Policy
from monitor.outcome import Outcome
from tests.monitor.conftest import Monitor, monitor  # noqa: F401 - the fixture
from tests.support.engine import ed25519
from tests.support.go_tools import tool
from tests.support.nodes import client, unguard, world

ORIGIN = "log.elsewhere.example/tessera"
SEED = 95
LOG = VKey.make(ORIGIN, KeyType.ED25519, ed25519(SEED).public)


class Tessera:
    """A log in a folder, made by one process a batch."""

    def __init__(self, folder: Path) -> None:
        self._binary = tool("posix-oneshot")
        self.folder = folder / "tessera"
        self._work = folder
        self._policy: list[str] = []
        self.size = 0
        private = base64.b64encode(b"\x01" + bytes([SEED]) * 32).decode()
        (folder / "log.key").write_text(f"PRIVATE+KEY+{ORIGIN}+{LOG.key_id.hex()}+{private}")

    def depend(self, vkey: VKey, url: str) -> None:
        """Publish nothing from now on that this witness has not cosigned."""
        (self._work / "witness.policy").write_text(f"witness ours {vkey.encode()} {url}\nquorum ours\n")
        self._policy = ["--witness_policy_file", str(self._work / "witness.policy")]

    async def add(self, count: int) -> str:
        """Add entries, and wait until the program has ended; return what it wrote."""
        batch = self._work / f"entries-{self.size}"
        batch.mkdir()
        for number in range(self.size, self.size + count):
            (batch / f"{number:06}").write_bytes(b"entry %d" % number)
        process = await asyncio.create_subprocess_exec(
            self._binary,
            f"--storage_dir={self.folder}",
            f"--entries={batch}/*",
            f"--private_key={self._work / 'log.key'}",
            *self._policy,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        assert process.returncode == 0, said.decode()
        self.size += count
        return said.decode()

    @property
    def checkpoint(self) -> bytes:
        return (self.folder / "checkpoint").read_bytes()


async def test_tessera_gets_its_checkpoints_cosigned_by_our_node(tmp_path: Path) -> None:
    """Its client finds its line among our two, and goes by the sizes that our 409 names: each run is a new client."""
    tessera = Tessera(tmp_path)
    async with world(tmp_path / "d") as w, client() as http:
        unguard(w.site())
        with w.site().settings.open("a") as file:
            file.write(f'[[witnessed]]\norigin = "{ORIGIN}"\nvkeys = ["{LOG.encode()}"]\n')
        await w.start()
        ours = (await http.get(f"{w.site().url}/.well-known/twinlog.json")).json()["witness"]
        vkey = VKey.parse(ours["vkey"])
        tessera.depend(vkey, ours["url"])
        policy = Policy.parse(f"log {LOG.encode()}\nwitness ours {vkey.encode()}\nquorum ours\n")
        for count in (3, 300, 1):
            said = await tessera.add(count)
            vouched = verify_checkpoint(tessera.checkpoint, policy)
            assert (vouched.checkpoint.size, vouched.satisfied) == (tessera.size, True), said
            shown = await http.get(f"{ours['url']}/{sha256(ORIGIN.encode()).hexdigest()}/checkpoint")
            opened = open_note(shown.content, [LOG, *map(VKey.parse, ours["vkeys"])])
            assert (opened.checkpoint.size, len(opened.verified)) == (tessera.size, 3)
        other = await http.post(
            f"{ours['url']}/add-checkpoint",
            content=b"old 0\n\n" + Note.parse(tessera.checkpoint).with_signatures(opened.note.signatures[:1]).encode(),
        )
        assert (other.status_code, other.text) == (409, f"{tessera.size}\n")


class Folder:
    """An ASGI application that serves files, as any web server would."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        path = self._folder / scope["path"].lstrip("/")
        found = path.is_file()
        await send({"type": "http.response.start", "status": 200 if found else 404, "headers": []})
        await send({"type": "http.response.body", "body": path.read_bytes() if found else b"404 page not found\n"})


async def test_our_monitor_follows_and_cosigns_a_log_of_tessera(tmp_path: Path, monitor: Monitor) -> None:
    tessera, world_ = Tessera(tmp_path), monitor.world
    world_.outside = Folder(tessera.folder)
    for node in world_.nodes:
        node.witness.known[ORIGIN] = (LOG,)
    text = monitor.path.read_text().replace("near =", 'publish = "shelf"\nnear =', 1)
    text += (
        f'[[logs]]\nname = "tessera"\norigin = "{ORIGIN}"\nurl = "http://out"\nvkeys = {json.dumps([LOG.encode()])}\n'
    )
    monitor.path.write_text(text)
    for count in (3, 600, 1):
        await tessera.add(count)
        assert await monitor.once() == (Outcome.VOUCHED, [])
        shown = (tmp_path / "shelf" / sha256(ORIGIN.encode()).hexdigest() / "checkpoint").read_bytes()
        assert open_head(shown, [LOG]).checkpoint == Checkpoint.parse(Note.parse(tessera.checkpoint).text)
        assert open_note(shown, [monitor.key]).checkpoint.size == tessera.size
        for node in world_.nodes:
            assert open_note(node.witness.state[ORIGIN], [node.witness.signer.vkey]).checkpoint.size == tessera.size
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=Folder(tessera.folder))) as http:
        report = await audit(HttpLog("http://out", TILES, http), TILES, [LOG])
    assert (report.size, report.entries) == (604, 604)
    tile = tessera.folder / "tile" / "entries" / "000"  # a full one: those that were partial once nobody reads any more
    data = bytearray(tile.read_bytes())
    data[-1] ^= 1
    tile.chmod(0o644)
    tile.write_bytes(data)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=Folder(tessera.folder))) as http:
        with pytest.raises(Mismatch):
            await audit(HttpLog("http://out", TILES, http), TILES, [LOG])
