"""An ssh-agent that holds one Ed25519 key (draft-miller-ssh-agent): what litewitness asks for its signatures.

It answers two requests: which keys there are (11, answered by 12), and to sign (13, answered by 14).
"""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_ALGORITHM = b"ssh-ed25519"


def _string(data: bytes) -> bytes:
    return len(data).to_bytes(4) + data


def _blob(key: Ed25519PrivateKey) -> bytes:
    """Return the public key as SSH writes it (RFC 8709)."""
    return _string(_ALGORITHM) + _string(key.public_key().public_bytes_raw())


def fingerprint(key: Ed25519PrivateKey) -> str:
    """Return the key's fingerprint as `ssh-keygen -l` prints it."""
    return "SHA256:" + base64.b64encode(sha256(_blob(key)).digest()).decode().rstrip("=")


@asynccontextmanager
async def ssh_agent(path: Path, key: Ed25519PrivateKey) -> AsyncIterator[None]:
    """Listen on a Unix socket; its path must be short (about 100 bytes)."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = await reader.readexactly(int.from_bytes(await reader.readexactly(4)))
                writer.write(_string(_answer(key, request)))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_unix_server(serve, path)
    try:
        yield
    finally:
        server.close()


def _answer(key: Ed25519PrivateKey, request: bytes) -> bytes:
    match request[0]:
        case 11:
            return bytes([12]) + (1).to_bytes(4) + _string(_blob(key)) + _string(b"test")
        case 13:
            asked = 5 + int.from_bytes(request[1:5])
            size = int.from_bytes(request[asked : asked + 4])
            message = request[asked + 4 : asked + 4 + size]
            if request[5:asked] == _blob(key):
                return bytes([14]) + _string(_string(_ALGORITHM) + _string(key.sign(message)))
    return bytes([5])  # failure
