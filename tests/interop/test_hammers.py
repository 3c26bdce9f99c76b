"""The load tools of Tessera and TesseraCT write to a log and read it at the same time, each row until it has grown.

A hammer follows the log's heads by consistency proofs out of tiles, reads entries at random and from the beginning,
and a tenth of what it writes it wrote before. TesseraCT's recomputes besides each leaf from the certificate it sent
and the SCT it got, and proves that it is included. Whatever it finds wrong it counts, and says so once a second.
"""

import re
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from log.client.audit import audit
from log.client.http import HttpLog
from log.formats.family import FAMILIES
from log.formats.note import VKey
from tests.bench.node import HOST
from tests.support.foreign import Foreign, foreign
from tests.support.go_tools import run, tool

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

GOAL = 300  # entries that a hammer adds: more than a full tile
COUNTED = re.compile(r"\(\d+ x\) .*")  # what a hammer says of errors


@dataclass(frozen=True, slots=True)
class Rsa:
    """A root and an intermediate CA with RSA keys, under which a hammer issues."""

    root: x509.Certificate
    intermediate: x509.Certificate
    key: rsa.RSAPrivateKey

    @classmethod
    def make(cls) -> "Rsa":
        root_key, key = (rsa.generate_private_key(65537, 2048) for _ in range(2))
        root = authority("Hammer Root (synthetic)", root_key, "Hammer Root (synthetic)", root_key)
        return cls(root, authority("Hammer CA (synthetic)", key, "Hammer Root (synthetic)", root_key), key)


def authority(name: str, key: PrivateKey, issuer: str, issuer_key: PrivateKey) -> x509.Certificate:
    """Return the certificate of a CA with this key, issued by that one or by itself."""
    subject, above = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in (name, issuer))
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(above).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=3650)).not_valid_after(now + timedelta(days=3650))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return builder.add_extension(identifier, critical=False).sign(issuer_key, SHA256())


async def tessera(node: Foreign, _rsa: Rsa) -> list[str]:
    return [tool("tessera-hammer"), "-log_public_key", node.vkey("tlog-tiles")]


async def tesseract(node: Foreign, hammer: Rsa) -> list[str]:
    """Its checks of inclusion have workers of their own."""
    certificate = node.write("intermediate.pem", hammer.intermediate.public_bytes(Encoding.PEM).decode())
    private = hammer.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    key = str(node.write("intermediate.key", private.decode()))
    words = [tool("tesseract-hammer"), "-origin", f"{HOST}/x509", "-log_public_key", await node.key()]
    words += ["-intermediate_ca_cert_path", str(certificate), "-intermediate_ca_key_path", key]
    return [*words, "-cert_sign_private_key_path", key, "-num_mmd_verifiers", "2", "-mmd_duration", "60s"]


Command = Callable[[Foreign, Rsa], Coroutine[Any, Any, list[str]]]


@asynccontextmanager
async def ground(folder: Path) -> AsyncIterator[tuple[Foreign, Rsa]]:
    hammer = Rsa.make()
    async with foreign(folder, hammer.root.public_bytes(Encoding.DER)) as node:
        yield node, hammer


@pytest.mark.parametrize(
    ("command", "family"), [(tessera, "tlog-tiles"), (tesseract, "x509")], ids=["Tessera", "TesseraCT"]
)
async def test_a_hammer_finds_nothing_wrong(tmp_path: Path, command: Command, family: str) -> None:
    tool(f"{command.__name__}-hammer")
    async with ground(tmp_path) as (node, hammer):
        words = ["-show_ui=false", "-log_url", f"{node.url}/{family}/", "-leaf_write_goal", str(GOAL)]
        words += ["-num_writers", "8", "-max_write_ops", "200", "-num_readers_random", "2", "-num_readers_full", "2"]
        words += ["-max_read_ops", "50", "-dup_chance", "0.1", "-max_runtime", "150s"]
        code, said = await run(node.home, *await command(node, hammer), *words)
        assert code == 0, said
        assert f"Reached tree size goal of {GOAL}" in said
        assert COUNTED.findall(said) == []

        reader = HttpLog(f"{node.url}/{family}", FAMILIES[family], node.http)
        report = await audit(reader, FAMILIES[family], [VKey.parse(node.vkey(family))])
        assert report.size >= GOAL
