"""Witnesses that others wrote, as processes: litewitness of filippo.io/torchwood, omniwitness of transparency-dev.

Both are Go programs; `.ci/go-tools` says in which versions they are tried.
"""

import asyncio
import base64
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from log.demo.ports import own_port
from log.formats.note import KeyType, VKey
from tests.support import plain
from tests.support.engine import mldsa_signer
from tests.support.go_tools import tool
from tests.support.nodes import eventually
from tests.support.ssh_agent import fingerprint, ssh_agent

NAME = "outside.example/witness"
SEED = bytes([90]) * 32
EMPTY_ROOT = base64.b64encode(sha256(b"").digest()).decode()


@dataclass(slots=True)
class GoWitness:
    """A witness that runs."""

    url: str
    vkeys: tuple[VKey, ...]
    process: asyncio.subprocess.Process
    output: Path
    unknown: int  # its status for an origin that it does not know


@asynccontextmanager
async def litewitness(folder: Path, known: Mapping[str, VKey]) -> AsyncIterator[GoWitness]:
    """Run litewitness; `known` holds the 0x01 key of each origin."""
    binary, port, key = tool("litewitness"), own_port(), Ed25519PrivateKey.from_private_bytes(SEED)
    vkey = VKey.make(NAME, KeyType.COSIGNATURE, key.public_key().public_bytes_raw())
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(ssh_agent(folder / "agent", key))
        arguments = [f"-name={NAME}", f"-ssh-agent={folder / 'agent'}", f"-key={fingerprint(key)}"]
        arguments += [f"-db={folder / 'lite.db'}", f"-listen=127.0.0.1:{port}"]
        running = await stack.enter_async_context(_run(folder, binary, arguments))
        await _answers(f"http://127.0.0.1:{port}/", running)
        with closing(sqlite3.connect(folder / "lite.db")) as database, database:  # what its `witnessctl` does
            for origin, log_key in known.items():
                database.execute("INSERT INTO log VALUES (?, 0, ?)", (origin, EMPTY_ROOT))
                database.execute("INSERT INTO key VALUES (?, ?)", (origin, log_key.encode()))
        yield GoWitness(f"http://127.0.0.1:{port}", (vkey,), running, folder / "litewitness.out", 403)


@asynccontextmanager
async def omniwitness(folder: Path, known: Mapping[str, VKey], *more: str) -> AsyncIterator[GoWitness]:
    """Run omniwitness with an Ed25519 and an ML-DSA-44 key; `known` holds the 0x01 key of each origin."""
    binary, port = tool("omniwitness"), own_port()
    public = Ed25519PrivateKey.from_private_bytes(SEED).public_key().public_bytes_raw()
    note_key, second = VKey.make(NAME, KeyType.ED25519, public), mldsa_signer(NAME, SEED[0]).vkey
    arguments = [f"--listen=127.0.0.1:{port}", "--metrics_listen=", f"--db_file={folder / 'omni.db'}", *more]
    for vkey in (note_key, second):
        path = folder / f"{vkey.type:02x}.key"
        private = base64.b64encode(bytes([vkey.type]) + SEED).decode()
        path.write_text(f"PRIVATE+KEY+{NAME}+{vkey.key_id.hex()}+{private}")
        arguments.append(f"--private_key_path={path}")
    logs = [
        f'  - Origin: "{origin}"\n    PublicKey: "{vkey.encode()}"\n    URL: ""\n' for origin, vkey in known.items()
    ]
    (folder / "logs.yaml").write_text("Logs:\n" + "".join(logs))
    async with _run(folder, binary, [*arguments, f"--additional_logs={folder / 'logs.yaml'}"]) as running:
        await _answers(f"http://127.0.0.1:{port}/", running)
        cosigner = VKey.make(NAME, KeyType.COSIGNATURE, public)
        yield GoWitness(
            f"http://127.0.0.1:{port}", (cosigner, second), running, folder / "omniwitness.out", 500
        )  # with a database


@asynccontextmanager
async def _run(folder: Path, binary: str, arguments: list[str]) -> AsyncIterator[asyncio.subprocess.Process]:
    with (folder / f"{Path(binary).name}.out").open("wb") as output:
        process = await asyncio.create_subprocess_exec(binary, *arguments, cwd=folder, stdout=output, stderr=output)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _answers(url: str, process: asyncio.subprocess.Process) -> None:
    async with plain.client(trust_env=False) as client:

        async def answered() -> bool:
            assert process.returncode is None, "the witness ended"
            try:
                await client.get(url)
            except httpx.HTTPError:
                return False
            return True

        await eventually(f"{url} answers", answered)
