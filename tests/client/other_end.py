"""The other end of a connection, as tests make it, and the client that is tried against it."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from log.client.exchange import GZIP, Answer, exchange
from log.client.transport import Transport

LIMIT = 1 << 20
BIG = bytes(range(256)) * 6_000  # larger than what is held of a body
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Other:
    """The other end: what it was sent, and how many connections it has seen."""

    def __init__(self, *answers: bytes, then: Peer | None = None) -> None:
        """Each request of a connection gets the next of `answers`; after the last one comes `then`, or the end."""
        self.answers, self.then = answers, then
        self.requests: list[bytes] = []
        self.connections = 0
        self.open = 0
        self.url = ""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        try:
            for answer in self.answers:
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(answer)
                await writer.drain()
            if self.then is not None:
                await self.then(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self.open -= 1
            writer.close()


@asynccontextmanager
async def serving(other: Other, tls: ssl.SSLContext | None = None) -> AsyncIterator[Other]:
    server = await asyncio.start_server(other, "127.0.0.1", 0, ssl=tls)
    other.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield other
    finally:
        server.close()


@asynccontextmanager
async def client(connections: int = 4, local_address: str = "") -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=Transport(connections, local_address), trust_env=False) as made:
        yield made


async def ask(made: httpx.AsyncClient, url: str, limit: int = LIMIT, deadline_s: float = 30.0) -> Answer:
    return await exchange(made, "GET", url, "it", max_bytes=limit, deadline_s=deadline_s, accept=GZIP)


async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say nothing until the client goes."""
    await reader.read()


def self_signed(folder: Path, host: str) -> tuple[Path, Path]:
    """Write a certificate of this address, signed by itself, and its key; return where they are."""
    secret = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)]), datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, secret.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(host))]), critical=False)
        .sign(secret, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "c.pem").write_bytes(made.public_bytes(pem))
    private = secret.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "k.pem").write_bytes(private)
    return folder / "c.pem", folder / "k.pem"
