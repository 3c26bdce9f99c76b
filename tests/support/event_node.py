"""A node with a log of certificates and one of events, whose members stand in a file that a test can change.

`python -m tests.support.event_node serve --settings F` is `twinlog serve` with the clock of `node_process` and the
members of `members.json` beside the settings, read anew at each request. With `KILL` in its environment the process
kills itself right before or after it writes a record, or what a request came to.
"""

import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import httpx
import uvloop

from log import keyring, process, state
from log.authority import FixedMembers, Membership
from log.certs.trustlist import TrustList
from log.certs.trustlist_rows import Issuer
from log.crypto.notes import NoteSigner, sign_note
from log.demo.authorities import Council
from log.demo.ca import MassIssuer
from log.demo.ports import own_port
from log.folders import make_folder
from log.formats.note import KeyType, VKey
from log.sequencer.clock import SystemClock
from log.settings import NodeSettings
from log.storage.leveldb import LevelRecords
from tests.support import plain
from tests.support.engine import ed25519, log_signers
from tests.support.forked import Process
from tests.support.members import AUTHORITY, Sender
from tests.support.node_process import NAME, FileClock, set_clock
from tests.support.nodes import eventually

MODULE = "tests.support.event_node"
KILL = "TEST_KILL"
FOREIGN = "gd.example/x509"
FOREIGN_SIGNERS = log_signers(FOREIGN, 3)
SIGNER = NoteSigner.make("hk.authority.example", KeyType.ED25519, ed25519(5))


class FileMembers:
    """Members as a file says at each look."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def _now(self) -> FixedMembers:
        rows = json.loads(self._path.read_text(encoding="utf-8"))
        return FixedMembers(
            {name: Membership(row["role"], tuple(map(VKey.parse, row["keys"]))) for name, row in rows.items()}
        )

    def keys(self, member: str, date_ms: int) -> Sequence[VKey]:
        return self._now().keys(member, date_ms)

    def role(self, member: str, date_ms: int) -> str | None:
        return self._now().role(member, date_ms)


@dataclass
class EventNode:
    """The node as its members see it."""

    folder: Path
    port: int
    process: Process
    http: httpx.AsyncClient
    issuer: MassIssuer

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def settings(self) -> Path:
        return self.folder / "twinlog.toml"

    def let_in(self, *senders: Sender, suspended: Sequence[Sender] = ()) -> None:
        """Say who is a member from now on."""
        rows = {
            each.member: {"role": each.role, "keys": [] if each in suspended else [each.key.vkey.encode()]}
            for each in senders
        }
        draft = self.folder / "members.new"
        draft.write_text(json.dumps(rows), encoding="utf-8")
        draft.replace(self.folder / "members.json")

    async def start(self, kill: str = "") -> None:
        """Start the node, which kills itself at a moment of its writes."""
        os.environ[KILL] = kill
        try:
            await self.process.start("listening on")
        finally:
            del os.environ[KILL]

    async def ended(self) -> int:
        """Wait until the node has ended by itself; return its exit code."""

        async def over() -> bool:
            return self.process.returncode is not None

        await eventually("the node ends", over)
        assert self.process.returncode is not None
        return self.process.returncode

    async def send(
        self, sender: Sender, body: bytes, created_s: int | None = None, path: str = "/events/add-events"
    ) -> httpx.Response:
        """Send a signed request with events."""
        url = f"{self.url}{path}"
        headers = sender.headers("POST", url, body, int(time.time()) if created_s is None else created_s)
        return await self.http.post(url, content=body, headers=headers)

    async def read(self, sender: Sender, path: str) -> httpx.Response:
        """Read by a signed request."""
        url = f"{self.url}{path}"
        return await self.http.get(url, headers=sender.headers("GET", url, None, int(time.time())))


@asynccontextmanager
async def event_node(
    folder: Path, lines: str = "", table: str = "", council: Council | None = None
) -> AsyncIterator[EventNode]:
    """Make a node, not started; end it afterwards. Without guards, so that it signs at once.

    With a council it is `twinlog serve` itself, and its members are those of governance.
    """
    make_folder(folder)
    port = own_port()
    issuer = MassIssuer("p256", now_ms=int(time.time()) * 1000)
    await _trust(folder / "list", issuer.issuers[-1])
    peer = json.dumps([signer.vkey.encode() for signer in FOREIGN_SIGNERS])
    text = f"""\
node = "HK"
side = "hk"
authority = "{AUTHORITY}"
listen = "127.0.0.1:{port}"
guards = []
{lines}
[[logs]]
name = "x509"
family = "x509"
origin = "hk.example/x509"
policy = "policy"
[[logs]]
name = "events"
family = "events"
origin = "hk.example/events"
policy = "policy"
{table}
[[witnessed]]
origin = "{FOREIGN}"
vkeys = {peer}
{_trusted(council)}"""
    (folder / "twinlog.toml").write_text(text, encoding="utf-8")
    (folder / "policy").write_text("quorum none\n", encoding="utf-8")
    set_clock(folder, wall_ms=0)
    settings = NodeSettings.load(folder / "twinlog.toml")
    keyring.keygen(settings, SystemClock())
    await state.init(settings, SystemClock())
    arguments = ["serve", "--settings", str(folder / "twinlog.toml")]
    process = Process("log" if council else MODULE, arguments, folder / "node.out")
    async with plain.client(timeout=90) as http:
        node = EventNode(folder, port, process, http, issuer)
        node.let_in()
        try:
            yield node
        finally:
            await process.stop()


def _trusted(council: Council | None) -> str:
    """Return what a node goes by: a trust list in a file, or a genesis."""
    if council is None:
        return f'[[trustlists]]\nside = "hk"\npath = "list"\nsigners = ["{SIGNER.vkey.encode()}"]\n'
    pin = sha256(council.genesis_file.read_bytes()).hexdigest()
    governance = 'name = "governance"\nfamily = "governance"\norigin = "hk.example/governance"\npolicy = "policy"\n'
    return f'[[logs]]\n{governance}[governance]\ngenesis = "{council.genesis_file}"\nsha256 = "{pin}"\n'


async def _trust(folder: Path, root: bytes) -> None:
    """Sign a trust list that names one root."""
    make_folder(folder)
    listed = TrustList(
        1, 0, (Issuer("hongkong-post", root, "hongkong-post", 0, None, None, "", False, "", "", False),), ()
    )
    (folder / "trustlist.json").write_bytes(listed.encode())
    (folder / "trustlist.note").write_bytes((await sign_note(listed.note_text(), 0, [SIGNER])).encode())


def _kill_at(moment: str) -> None:
    """Let the process end itself at one of its writes of records."""

    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    file, finish = LevelRecords.file, LevelRecords.finish

    async def filing(self: LevelRecords, *arguments: object) -> None:
        if moment == "before the record":
            die()
        await file(self, *arguments)  # type: ignore[arg-type]
        if moment == "after the record":
            die()

    async def finishing(self: LevelRecords, *arguments: object) -> None:
        if moment == "before the outcome":
            die()
        await finish(self, *arguments)  # type: ignore[arg-type]
        if moment == "after the outcome":
            die()

    LevelRecords.file, LevelRecords.finish = filing, finishing  # type: ignore[method-assign,assignment]


def run(settings: Path) -> int:
    """Serve until the node ends; return its exit code."""
    _kill_at(os.environ.get(KILL, ""))
    loaded = NodeSettings.load(settings)
    clock, members = FileClock(settings.parent / NAME), FileMembers(settings.parent / "members.json")
    return uvloop.run(process.serve(loaded, clock, lambda url: print(f"listening on {url}", flush=True), members))


if __name__ == "__main__":
    raise SystemExit(run(Path(sys.argv[3])))
