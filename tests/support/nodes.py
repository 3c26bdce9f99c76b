"""Nodes as processes for tests: a place for them, a client that keeps every promise, and the reckoning after.

The reckoning is the same everywhere: each SCT that was handed out is at its index, an audit rebuilds the whole log,
and among all notes that were ever seen no two name one size with different roots.
"""

import asyncio
import base64
import json
import os
import shutil
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx

from log.client.audit import Report, audit
from log.client.http import HttpLog
from log.demo.ca import MassIssuer
from log.demo.deployment import Anchors, Deployment, NodeSite
from log.errors import Unreachable
from log.formats.checkpoint import Checkpoint
from log.formats.family import X509, x509_parts
from log.formats.note import Note
from log.formats.policy import Policy
from log.formats.sct import SCT
from tests.support import forked, plain
from tests.support.forked import Process

DEADLINE_S = 90.0  # long enough for a machine that others keep busy


async def eventually(what: str, check: Callable[[], Awaitable[Any]], deadline_s: float = DEADLINE_S) -> Any:
    """Return the first true answer of `check`; fail when there is none within the deadline."""
    until = time.monotonic() + deadline_s
    answer: Any = None
    while time.monotonic() < until:
        answer = await check()
        if answer:
            return answer
        await asyncio.sleep(0.05)
    raise AssertionError(f"not within {deadline_s:.0f} s: {what}; last answer {answer!r}")


@dataclass(slots=True)
class Heads:
    """Every note of a log that was seen, by origin and size."""

    roots: dict[tuple[str, int], bytes] = field(default_factory=dict)

    def saw(self, raw: bytes) -> Checkpoint:
        """Remember a note; two roots of one size are the end of a log."""
        checkpoint = Checkpoint.parse(Note.parse(raw).text)
        held = self.roots.setdefault((checkpoint.origin, checkpoint.size), checkpoint.root)
        assert held == checkpoint.root, f"two roots of {checkpoint.origin} at size {checkpoint.size}"
        return checkpoint

    def saw_store(self, heads_file: Path) -> None:
        """Remember what a head store holds."""
        for name, value in rows(heads_file).items():
            if name.startswith("log/"):
                self.saw(value.partition(b"\n")[2])


@dataclass(slots=True)
class Promises:
    """What a submitter holds: each certificate with the SCT it got."""

    issuer: MassIssuer
    scts: dict[int, tuple[bytes, dict[str, Any]]] = field(default_factory=dict)  # number -> (DER, answer)
    refused: list[tuple[int, int, str]] = field(default_factory=list)  # (number, status or 0, text)
    number: int = 0

    def body(self, der: bytes) -> dict[str, list[str]]:
        return {"chain": [base64.b64encode(part).decode() for part in (der, *self.issuer.issuers)]}

    async def submit(self, client: httpx.AsyncClient, url: str, certificate: tuple[int, bytes] | None = None) -> int:
        """Submit a new certificate, or this one again; return the status, 0 when nobody answered."""
        if certificate is None:
            number = self.number
            self.number += 1
            certificate = number, self.issuer.certificate(number)
        number, der = certificate
        try:
            answer = await client.post(f"{url}/x509/ct/v1/add-chain", json=self.body(der), timeout=DEADLINE_S)
        except httpx.HTTPError:
            self.refused.append((number, 0, ""))
            return 0
        if answer.status_code == httpx.codes.OK:
            held = self.scts.setdefault(number, (der, answer.json()))
            assert held == (der, answer.json()), "the same submission got another SCT"
        else:
            self.refused.append((number, answer.status_code, answer.text))
        return answer.status_code

    async def load(self, client: httpx.AsyncClient, url: str, stop: asyncio.Event, workers: int = 8) -> None:
        """Submit without a pause until `stop`, or until the node is gone."""

        async def work() -> None:
            while not stop.is_set():
                if await self.submit(client, url) == 0:
                    return

        await asyncio.gather(*(work() for _ in range(workers)))

    async def kept(self, reader: HttpLog, size: int) -> None:
        """Check that each SCT's leaf is at the index that the SCT names."""
        for der, answer in self.scts.values():
            sct = SCT.from_json(answer)
            assert sct.index < size
            [row] = await reader.entries(sct.index, sct.index + 1, size)
            parts = x509_parts(der, [sha256(issuer).digest() for issuer in self.issuer.issuers])
            assert row == X509.place(parts, sct.index, sct.timestamp_ms).row


@dataclass(slots=True)
class World:
    """A deployment with its processes, and what was seen of it."""

    deployment: Deployment
    promises: Promises
    heads: Heads = field(default_factory=Heads)
    processes: dict[str, Process] = field(default_factory=dict)

    def site(self, side: str = "hk") -> NodeSite:
        return self.deployment.sites[side]

    def process(self, side: str = "hk") -> Process:
        return self.processes[side]

    def heads_file(self, side: str = "hk") -> Path:
        return self.site(side).folder / "heads" / "heads.sqlite"

    def data_folder(self, side: str = "hk") -> Path:
        return self.site(side).folder / "data"

    async def start(self, side: str = "hk", module: str = "log") -> Process:
        """Start a node and wait until it listens."""
        site = self.site(side)
        process = Process(module, ["serve", "--settings", str(site.settings)], self.deployment.folder / f"{side}.out")
        self.processes[side] = process
        await process.start("listening on")
        return process

    async def start_monitor(self) -> Process:
        arguments = ["run", "--settings", str(self.deployment.monitor_settings)]
        self.processes["monitor"] = process = Process("monitor", arguments, self.deployment.folder / "monitor.out")
        await process.start("")
        return process

    async def health(self, client: httpx.AsyncClient, side: str = "hk") -> tuple[int, dict[str, Any]]:
        """Return status and body of /healthz, (0, {}) when nobody answers."""
        try:
            answer = await client.get(f"{self.site(side).url}/healthz", timeout=DEADLINE_S)
        except httpx.HTTPError:
            return 0, {}
        return answer.status_code, answer.json()

    async def healthy(self, client: httpx.AsyncClient, side: str = "hk") -> None:
        """Wait until /healthz says 200."""
        await self.says(client, httpx.codes.OK, "", side)

    async def says(self, client: httpx.AsyncClient, status: int, problem: str, side: str = "hk") -> dict[str, Any]:
        """Wait until /healthz has this status, and a problem with these words in it; return its body."""
        last: tuple[int, dict[str, Any]] = 0, {}

        async def said() -> bool:
            nonlocal last
            last = await self.health(client, side)
            return last[0] == status and (not problem or any(problem in each for each in last[1]["problems"]))

        try:
            await eventually("", said)
        except AssertionError:
            raise AssertionError(f"{side}: /healthz does not say {status} {problem!r}, but {last}") from None
        return last[1]

    async def submits(self, client: httpx.AsyncClient, count: int, side: str = "hk") -> None:
        """Submit so many new certificates, together; each must be taken."""
        url = self.site(side).url
        answers = await asyncio.gather(*(self.promises.submit(client, url) for _ in range(count)))
        assert set(answers) == {httpx.codes.OK}, self.promises.refused[-count:]

    async def ended(self, side: str = "hk") -> int:
        """Wait until a node has ended by itself; return its exit code."""

        async def over() -> bool:
            return self.process(side).returncode is not None

        await eventually(f"{side} ends", over)
        code = self.process(side).returncode
        assert code is not None
        return code

    async def ends(self, side: str = "hk", settings: Path | None = None) -> tuple[int, str]:
        """Start a node that must end by itself; return its exit code and its last words."""
        arguments = ["serve", "--settings", str(settings or self.site(side).settings)]
        process = Process("log", arguments, self.deployment.folder / f"{side}-ends.out")
        try:
            await process.start("listening on")
        except Unreachable:
            assert process.returncode is not None
            return process.returncode, process.tail()
        await process.stop()
        raise AssertionError("the node serves")

    def stored_head(self, side: str = "hk", family: str = "x509") -> "StoredHead":
        """Return the head that counts now."""
        value = rows(self.heads_file(side))[f"log/{self.site(side).origin(family)}"]
        time_text, _, note = value.partition(b"\n")
        return StoredHead(int(time_text), self.heads.saw(note).size, note)

    async def witnessed(self, client: httpx.AsyncClient, size: int, side: str = "hk") -> None:
        """Wait until the other side and the monitor have vouched for so many entries."""

        async def vouched() -> bool:
            try:
                answer = await client.get(f"{self.site(side).url}/x509/checkpoint/witnessed")
            except httpx.HTTPError:
                return False
            return answer.status_code == httpx.codes.OK and self.heads.saw(answer.content).size >= size

        await eventually(f"{size} entries of {side} are witnessed", vouched)

    def copy(self, folder: Path, side: str = "hk") -> "Image":
        """Copy a stopped node's stores."""
        image = Image(folder / "data", folder / "heads")
        shutil.copytree(self.data_folder(side), image.data)
        shutil.copytree(self.heads_file(side).parent, image.heads)
        return image

    def restore_data(self, image: "Image", side: str = "hk") -> None:
        """Put a copy in the place of a stopped node's data folder."""
        shutil.rmtree(self.data_folder(side))
        shutil.copytree(image.data, self.data_folder(side))

    def restore_heads(self, image: "Image", side: str = "hk") -> None:
        """Put a copy in the place of a stopped node's head store."""
        shutil.rmtree(self.heads_file(side).parent)
        shutil.copytree(image.heads, self.heads_file(side).parent)

    async def reckon(self, client: httpx.AsyncClient, side: str = "hk") -> Report:
        """Audit the running log, check every promise, and that no size ever had two roots."""
        site = self.site(side)
        policy = Policy.parse(site.policy("x509").read_bytes())
        vkeys = [line.vkey for line in policy.logs]
        reader = HttpLog(f"{site.url}/x509", X509, client)
        self.heads.saw(await reader.checkpoint())
        self.heads.saw_store(self.heads_file(side))
        report = await audit(reader, X509, vkeys)
        await self.promises.kept(reader, report.size)
        return report


@dataclass(frozen=True, slots=True)
class StoredHead:
    """The head of a log as its head store holds it."""

    timestamp_ms: int
    size: int
    note: bytes


@dataclass(frozen=True, slots=True)
class Image:
    """A copy of a node's stores: its data folder, and the folder of its head store."""

    data: Path
    heads: Path


def monitor(command: str, settings: Path) -> str:
    """Run a command of the monitor, forked; return what it prints."""
    done = forked.run("monitor", command, "--settings", str(settings))
    assert done.returncode == 0, done.stderr
    return done.stdout


@asynccontextmanager
async def world(
    folder: Path,
    node_lines: Mapping[str, object] | None = None,
    limits: Mapping[str, int] | None = None,
    *,
    governed: bool = False,
    page: bool = False,
) -> AsyncIterator[World]:
    """Make a deployment whose trust lists admit one mass issuer; end every process that was started in it."""
    issuer = MassIssuer("p256", now_ms=int(time.time()) * 1000)
    deployment = Deployment(folder, node_lines or {}, limits or {}, governed, page=page, run_monitor=monitor)
    anchors = Anchors((issuer.issuers[-1],))
    await deployment.create({"hk": anchors, "gd": anchors})
    made = World(deployment, Promises(issuer))
    try:
        yield made
    finally:
        await asyncio.gather(*(process.stop() for process in made.processes.values()))


def monitor_lines(w: World) -> list[dict[str, Any]]:
    """Return what the monitor has logged so far."""
    return logged(w.deployment.folder / "monitor.out")


def logged(output: Path) -> list[dict[str, Any]]:
    """Return the lines of JSON in what a program has written; one of which a part is written is not there yet."""
    text = output.read_bytes().rpartition(b"\n")[0]
    return [json.loads(line) for line in text.split(b"\n") if line.startswith(b"{")]


def unguard(site: NodeSite) -> None:
    """Take the guards out of a node's settings: it then signs from its start on."""
    lines = site.settings.read_text(encoding="utf-8").splitlines()
    begin = lines.index("[[guards]]")
    end = next(i for i in range(begin + 1, len(lines)) if lines[i].startswith("["))
    site.settings.write_text("\n".join(["guards = []", *lines[:begin], *lines[end:]]) + "\n", encoding="utf-8")


def rows(heads_file: Path) -> dict[str, bytes]:
    """Return what a head store holds; its node may be running."""
    with closing(sqlite3.connect(f"{heads_file.as_uri()}?mode=ro", uri=True)) as store:
        return {name: bytes(value) for name, value in store.execute("SELECT name, value FROM head")}


def put_row(heads_file: Path, name: str, value: bytes | None) -> None:
    """Overwrite a row of a stopped node's head store, or delete it."""
    with closing(sqlite3.connect(heads_file)) as store, store:
        store.execute("DELETE FROM head WHERE name = ?", (name,))
        if value is not None:
            store.execute("INSERT INTO head VALUES (?, ?)", (name, value))


@contextmanager
def stopped(process: Process) -> Iterator[None]:
    """Hold a process still (SIGSTOP) inside the block."""
    os.kill(process.pid, signal.SIGSTOP)
    try:
        state = Path(f"/proc/{process.pid}/stat")
        until = time.monotonic() + DEADLINE_S
        while state.read_text().rpartition(")")[2].split()[0] != "T":
            assert time.monotonic() < until, "the process does not stop"
        yield
    finally:
        os.kill(process.pid, signal.SIGCONT)


def client() -> httpx.AsyncClient:
    """Return a client that keeps connections to many submitters' workers apart."""
    return plain.client(limits=httpx.Limits(max_connections=64))
