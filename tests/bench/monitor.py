"""One monitor alone, that follows one log of a lone node, with all that it does by default: copy, record, judge."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from log import keyring as node_keyring
from log.certs.trustlist import TrustList
from log.crypto import keys
from log.crypto.keys import Kind
from log.crypto.notes import NoteSigner, sign_note
from log.demo.processes import Process
from log.formats.note import KeyType
from log.sequencer.clock import SystemClock
from monitor import keyring, main
from monitor.settings import Settings, load
from monitor.store import Store
from tests.bench.cpu import Spent, Watch, anonymous_mb, of_server
from tests.bench.node import LOG, ORIGIN, LoneNode, Server

POLL_S = 0.02  # between two looks at how far it has come
PATIENCE_S = 1_800.0


@dataclass(frozen=True, slots=True)
class Reached:
    """What it took until the monitor had come to the end of the log."""

    entries: int
    spent: Spent  # `server` is the monitor
    node: float  # CPU-seconds of the node that it followed
    peak_mb: float  # RssAnon of the monitor, the largest of all looks

    @property
    def rate(self) -> float:
        """Entries a second by the wall."""
        return self.entries / self.spent.wall

    def __str__(self) -> str:
        monitor, node = self.spent.per(self.entries) * 1e6, self.node / self.entries * 1e6
        return (
            f"{monitor:.1f} us of CPU an entry, {self.spent.rate(self.entries):,.0f} entries a CPU-second; the node "
            f"beside it {node:.1f} us an entry; RssAnon at most {self.peak_mb:.0f} MB. {self.spent}"
        )


@dataclass(frozen=True, slots=True)
class LoneMonitor:
    """A monitor's folder. Every limit has its default."""

    folder: Path

    @property
    def settings(self) -> Settings:
        """The settings, read from their file."""
        return load(self.folder / "monitor.toml")

    async def create(self, node: LoneNode, server: Server, listed: TrustList | None = None) -> None:
        """Make settings, keys, a signed trust list where there is to be one, and the empty state."""
        self.folder.mkdir()
        url = json.dumps(f"http://127.0.0.1:{server.port}")
        vkeys = node_keyring.public_keys(node.settings, SystemClock())[ORIGIN]
        lines = [
            'name = "monitor.bench.twinlog.example"',
            'state = "state.sqlite"',
            'keys = "keys"',
            'near = ["BENCH"]',
            "[[nodes]]",
            f'name = "BENCH"\nurl = {url}\nguard = false',
            "[[nodes.logs]]",
            f'name = "{LOG}"\nfamily = "{LOG}"\norigin = "{ORIGIN}"\nurl = {url[:-1]}/{LOG}"',
            f"vkeys = {json.dumps(list(vkeys))}",
            f"policy = {json.dumps(str((node.folder / f'{LOG}.policy').resolve()))}",
        ]
        if listed is not None:
            signer = await self._sign(listed)
            lines += ["[[trustlists]]", f'side = "hk"\npath = "list"\nsigners = {json.dumps([signer])}']
        (self.folder / "monitor.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
        keyring.make(self.settings)
        main.create_state(self.settings)

    async def _sign(self, listed: TrustList) -> str:
        """Write a trust list and its note; return the vkey of its signer."""
        keys.generate_key(self.folder / "signer.pem", Kind.ED25519)
        key = keys.load_ed25519(self.folder / "signer.pem")
        signer = NoteSigner.make("authority.twinlog.example", KeyType.ED25519, key)
        (self.folder / "list").mkdir()
        (self.folder / "list" / "trustlist.json").write_bytes(listed.encode())
        note = await sign_note(listed.note_text(), 0, [signer])
        (self.folder / "list" / "trustlist.note").write_bytes(note.encode())
        return signer.vkey.encode()

    def findings(self) -> dict[str, int]:
        """How many findings there are on record, by code."""
        store = Store.read(self.settings.state)
        try:
            return store.finding_counts()
        finally:
            store.close()

    async def reach(self, server: Server, size: int, how_far: Callable[[Store], int]) -> Reached:
        """Start it beside a running node, wait until it has come to `size`, and end it."""
        arguments = ["run", "--settings", str(self.folder / "monitor.toml")]
        process = Process("monitor", arguments, self.folder / "run.out")
        await process.start('"started"')
        watch, node = Watch(process.pid), of_server(server.pid)
        until, peak_mb = time.monotonic() + PATIENCE_S, 0.0
        store = Store.read(self.settings.state)
        try:
            while (reached := how_far(store)) < size:
                if process.returncode is not None or time.monotonic() > until:
                    raise AssertionError(f"the monitor came to {reached} of {size}: {process.tail()}")
                peak_mb = max(peak_mb, anonymous_mb(process.pid))
                await asyncio.sleep(POLL_S)
            return Reached(size, watch.stop(), of_server(server.pid) - node, max(peak_mb, anonymous_mb(process.pid)))
        finally:
            store.close()
            await process.stop()


def verified(store: Store) -> int:
    """How many entries are verified."""
    held = store.verified(ORIGIN)
    return 0 if held is None else held.head.size


def judged(store: Store) -> int:
    """How many entries are judged."""
    return store.judged(ORIGIN).size
