"""The socket of a node: what other machines reach speaks TLS, or the node does not start."""

import asyncio
import contextlib
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from log import sockets
from log.api import server
from log.api.app import Options, create_app
from log.errors import SettingsError
from log.serving.connections import ConnectionLimits, Connections
from log.sockets import Tls
from tests.support.fake_node import FakeNode


@pytest.fixture
def tls(tmp_path: Path) -> Tls:
    """A certificate for 127.0.0.1, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "node (synthetic)")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    made = Tls(tmp_path / "certificate.pem", tmp_path / "key.pem")
    made.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
    made.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return made


async def test_handshakes_that_nobody_goes_on_with_give_way(tls: Tls) -> None:
    """Each holds a file of the process, of which the stores need some."""
    few = ConnectionLimits(max_handshakes=4, head_timeout_s=3600)  # none of them ends by itself
    listener = sockets.listen("127.0.0.1:0")
    port, url = listener.getsockname()[1], sockets.url_of(listener, tls)
    ready, end = asyncio.Event(), asyncio.Event()
    failed = asyncio.create_task(_until(end))
    serving = asyncio.create_task(
        server.serve(create_app(FakeNode(), Options()), listener, 1, failed, ready.set, tls, few)
    )
    await ready.wait()
    silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
    async with asyncio.timeout(60):
        for reader, _ in silent[:16]:
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
    assert not any(reader.at_eof() for reader, _ in silent[16:])
    trusting = ssl.create_default_context(cafile=str(tls.certificate))
    async with httpx.AsyncClient(verify=trusting, timeout=60) as client:
        assert (await client.get(f"{url}/healthz")).status_code == httpx.codes.OK
    for _, writer in silent:
        writer.close()
    end.set()
    await serving


async def test_a_node_speaks_tls_with_its_own_certificate(tls: Tls) -> None:
    listener = sockets.listen("127.0.0.1:0")
    url = sockets.url_of(listener, tls)
    assert url.startswith("https://127.0.0.1:")
    ready, end = asyncio.Event(), asyncio.Event()
    failed = asyncio.create_task(_until(end))
    serving = asyncio.create_task(server.serve(create_app(FakeNode(), Options()), listener, 1, failed, ready.set, tls))
    await ready.wait()
    trusting = ssl.create_default_context(cafile=str(tls.certificate))
    async with httpx.AsyncClient(verify=trusting, timeout=60) as client:
        assert (await client.get(f"{url}/healthz")).status_code == httpx.codes.OK
    end.set()
    await serving


async def _until(end: asyncio.Event) -> None:
    await end.wait()


async def test_a_key_that_does_not_go_with_the_certificate_is_a_settings_error(tls: Tls, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    key = ec.generate_private_key(ec.SECP256R1())
    other.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    listener = sockets.listen("127.0.0.1:0")
    never = asyncio.create_task(_until(asyncio.Event()))
    app, mixed = create_app(FakeNode(), Options()), Tls(tls.certificate, other)
    with listener, pytest.raises(SettingsError, match="tls_certificate"):
        await server.serve(app, listener, 1, never, lambda: None, mixed)
    never.cancel()


async def test_a_server_whose_connections_nobody_bounds_any_more_ends_and_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def broken(_: Connections) -> None:
        raise AssertionError("told by the test")

    monkeypatch.setattr(Connections, "sweep", broken)
    never = asyncio.create_task(_until(asyncio.Event()))
    with sockets.listen("127.0.0.1:0") as listener, pytest.raises(AssertionError, match="told by the test"):
        await server.serve(create_app(FakeNode(), Options()), listener, 1, never, lambda: None)
    never.cancel()


def test_only_loopback_stays_here() -> None:
    with sockets.listen("127.0.0.1:0") as here, sockets.listen("0.0.0.0:0") as everywhere:
        assert sockets.stays_here(here)
        assert not sockets.stays_here(everywhere)
        assert sockets.url_of(here, None).startswith("http://127.0.0.1:")
