"""ct-go's ct_hammer (Google) writes and reads a log by RFC 6962 at once, rightly and wrongly, and finds nothing amiss.

It submits certificates and precertificates of a CA of its own, repeats a tenth of them and wants the same SCT, follows
the heads by consistency proofs, and finds entries by their hash once the merge delay is over. One request in three is
out of order on purpose: a range beyond the tree, a number or base64 that is none, an empty chain, one without its
issuer, a certificate at the precertificates' door. Each must be refused.
"""

import re
from base64 import b64decode
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.interop.test_hammers import authority
from tests.support.foreign import Foreign, foreign
from tests.support.go_tools import run, tool

OPERATIONS = 300  # right ones; a wrong one besides for every two
READS = ("get_sth", "get_sth_consistency", "get_proof_by_hash", "get_entries")  # as often as a third of the writes each
PASSWORD = b"babelfish"  # the tool's, with which it opens the key of its CA
ROOT, ISSUING = "Hammer Root (synthetic)", "Hammer CA (synthetic)"
COUNTED = re.compile(r"total=(\d+) invalid=(\d+) errs=(\d+)")


def leaf(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """Return the certificate after whose pattern the tool makes its own."""
    now = datetime.now(UTC)
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in ("Hammer (synthetic)", ISSUING)]
    builder = x509.CertificateBuilder().subject_name(names[0]).issuer_name(names[1]).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=90))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("hammer.example")]), critical=False)
    keys = (
        x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
        x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()),
    )
    for identifier in keys:
        builder = builder.add_extension(identifier, critical=False)
    return builder.sign(key, SHA256())


def material(folder: Path, issuing: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Path:
    """Write what the tool issues from: a leaf with its issuer, and the issuer's key."""
    folder.mkdir()
    chain = [each.public_bytes(Encoding.PEM) for each in (leaf(key), issuing)]
    (folder / "leaf01.chain").write_bytes(b"".join(chain))
    private = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(PASSWORD))
    (folder / "int-ca.privkey.pem").write_bytes(private)
    return folder


async def configuration(node: Foreign) -> Path:
    """Write what CTFE's own settings say of a log: its path, its key, its merge delay."""
    key = "".join(f"\\x{byte:02x}" for byte in b64decode(await node.key()))
    text = f'config {{ log_id: 1 prefix: "x509" public_key: {{ der: "{key}" }} expected_merge_delay_sec: 1 }}\n'
    return node.write("ct_hammer.cfg", text)


async def test_ct_hammer_finds_nothing_amiss(tmp_path: Path) -> None:
    hammer = tool("ct_hammer")
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root, issuing = authority(ROOT, root_key, ROOT, root_key), authority(ISSUING, key, ROOT, root_key)
    async with foreign(tmp_path, root.public_bytes(Encoding.DER)) as node:
        words = ["-ct_http_servers", node.url.removeprefix("http://"), "-log_config", str(await configuration(node))]
        words += ["-testdata_dir", str(material(node.home / "material", issuing, key)), "-rate_limit", "0"]
        words += ["-leaf_not_after", (datetime.now(UTC) + timedelta(days=90)).strftime("%Y-%m-%dT%H:%M:%SZ")]
        words += ["-operations", str(OPERATIONS), "-invalid_chance", "3", "-duplicate_chance", "10"]
        words += [word for read in READS for word in (f"-{read}", "8")]
        words += ["-oversized_get_entries", "-banner=false", "-logtostderr"]
        code, said = await run(node.home, hammer, *words)
        assert code == 0, said[-4000:]
        assert f"completed {OPERATIONS} operations" in said
        assert "no errors; done" in said
        assert all(errors == "0" for _, _, errors in COUNTED.findall(said)), said[-4000:]
        answers = Counter(re.findall(r'status="(\d+)"', (await node.http.get(f"{node.url}/metrics")).text))
        assert {"200", "400"} <= set(answers)
        assert (await node.sth())["tree_size"] > OPERATIONS // 4
