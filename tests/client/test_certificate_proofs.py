"""Proofs that go with a certificate, and the SCTs in them."""

import asyncio
import datetime as dt
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from log.client.verifier import verify_proof
from log.crypto.ecdsa import EcdsaSigner
from log.crypto.notes import NoteSigner
from log.crypto.tree_heads import verify_sct
from log.errors import BadProof, BadSignature, Malformed, PolicyNotMet, VerificationError
from log.formats.sct import SCT, digitally_signed
from log.formats.tile_leaf import PRECERT_ENTRY, X509_ENTRY, TileLeaf
from log.formats.tlog_proof import TlogProof, X509Extra
from tests.client.heads import NOTE, ORIGIN, TIME_MS, TREE_HEAD, head, leaves
from tests.client.policies import GD, OUTSIDE, cosigned, policy
from tests.support import rfc6962
from tests.support.alone import run_alone

CA_KEY, LEAF_KEY = ec.derive_private_key(5, ec.SECP256R1()), ec.derive_private_key(6, ec.SECP256R1())
CA_SPKI = CA_KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
SCT_LIST = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")


def issue(*extensions: x509.ExtensionType) -> x509.Certificate:
    """Return a certificate with these extensions between two others."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test (synthetic)")])
    start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder(name, name, LEAF_KEY.public_key(), 7, start, start.replace(year=2027))
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=isinstance(extension, x509.PrecertPoison))
    builder = builder.add_extension(x509.SubjectKeyIdentifier(bytes(20)), critical=False)
    return builder.sign(CA_KEY, hashes.SHA256(), ecdsa_deterministic=True)


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def embed(sct: bytes) -> x509.UnrecognizedExtension:
    entries = len(sct).to_bytes(2) + sct
    listed = len(entries).to_bytes(2) + entries
    size = bytes([len(listed)]) if len(listed) < 128 else bytes([0x81, len(listed)])
    return x509.UnrecognizedExtension(SCT_LIST, b"\x04" + size + listed)


@dataclass(frozen=True)
class Logged:
    """An entry, its SCT, and the log around it."""

    leaf: bytes
    sct: SCT
    extra: X509Extra
    proof: TlogProof

    def raw(self, **changes: object) -> bytes:
        return replace(self.proof, **changes).encode()  # type: ignore[arg-type]


INDEX, SIZE = 6, 11


async def log_entry(certificate: x509.Certificate, *witnesses: NoteSigner, place: int = INDEX) -> Logged:
    """Put a certificate or precertificate, which says `INDEX`, at a place of a log of `SIZE` leaves; prove it."""
    ms = TIME_MS
    try:
        certificate.extensions.get_extension_for_class(x509.PrecertPoison)
        # By another way than the code under test: the same certificate, issued without poison.
        tbs = issue().tbs_certificate_bytes
        entry = TileLeaf(ms, PRECERT_ENTRY, tbs, sha256(CA_SPKI).digest(), INDEX, der(certificate), ())
    except x509.ExtensionNotFound:
        entry = TileLeaf(ms, X509_ENTRY, der(certificate), b"", INDEX, b"", ())
    leaf = entry.merkle_tree_leaf()
    signer = TREE_HEAD.signer
    assert isinstance(signer, EcdsaSigner)
    log_id = sha256(signer.public).digest()
    sct = SCT(log_id, ms, INDEX, digitally_signed(signer.sign_now(leaf)))
    extra = X509Extra(entry.entry_type, entry.issuer_key_hash, sct.encode())
    d = [*leaves(SIZE)[:place], leaf, *leaves(SIZE)[place + 1 :]]
    note = await cosigned(await head(d), *witnesses)
    return Logged(leaf, sct, extra, TlogProof(place, tuple(rfc6962.path(place, d)), note, extra.encode()))


async def test_a_certificate_is_proven_with_its_witnesses() -> None:
    certificate = issue()
    logged = await log_entry(certificate, GD, OUTSIDE)
    proven = verify_proof(logged.raw(), der(certificate), policy())
    assert (proven.origin, proven.index, proven.size) == (ORIGIN, INDEX, SIZE)
    assert (proven.timestamp_ms, proven.entry_type, proven.issuer_key_hash) == (TIME_MS, X509_ENTRY, b"")
    assert proven.witnesses == tuple((w.vkey.name, (TIME_MS // 1000 + 100) * 1000) for w in (GD, OUTSIDE))
    assert (proven.sct, proven.sct_verified, proven.provisional) == (logged.sct, True, False)


async def test_a_precertificate_entry_is_proven_by_any_form_of_the_certificate() -> None:
    precert = issue(x509.PrecertPoison())
    logged = await log_entry(precert, GD, OUTSIDE)
    final = issue(embed(logged.sct.encode()))
    by_other_ways = issue()  # its SCT is handed out in TLS or OCSP
    for form in (precert, final, by_other_ways):
        proven = verify_proof(logged.raw(), der(form), policy())
        assert (proven.entry_type, proven.issuer_key_hash) == (PRECERT_ENTRY, sha256(CA_SPKI).digest())
    with pytest.raises(BadProof):
        verify_proof(logged.raw(), der(issue(x509.OCSPNoCheck())), policy())
    with pytest.raises(Malformed):
        verify_proof(logged.raw(), b"no certificate", policy())


async def test_another_certificate_is_not_proven() -> None:
    logged = await log_entry(issue(), GD, OUTSIDE)
    for other in (der(issue(x509.OCSPNoCheck())), der(issue())[:-1], b"", der(issue()) + b"\0"):
        with pytest.raises(BadProof):
            verify_proof(logged.raw(), other, policy())
    with pytest.raises(Malformed, match="65535"):
        verify_proof(logged.raw(), bytes(65_536), policy())


async def test_too_few_witnesses_are_said_and_allowed_only_on_demand() -> None:
    certificate = der(issue())
    for witnesses in ((), (GD,)):
        logged = await log_entry(issue(), *witnesses)
        with pytest.raises(PolicyNotMet):
            verify_proof(logged.raw(), certificate, policy())
        proven = verify_proof(logged.raw(), certificate, policy(), provisional=True)
        assert proven.provisional
        assert len(proven.witnesses) == len(witnesses)
    vouched = await log_entry(issue(), GD, OUTSIDE)
    assert not verify_proof(vouched.raw(), certificate, policy(), provisional=True).provisional
    # What is not proven is never only "not vouched for".
    lone = await log_entry(issue())
    with pytest.raises(BadProof):
        verify_proof(lone.raw(), der(issue(x509.OCSPNoCheck())), policy())


async def test_every_part_of_a_proof_matters() -> None:
    certificate = der(issue())
    logged = await log_entry(issue(), GD, OUTSIDE)
    proof = logged.proof
    tail = proof.hashes[1:]
    for changes in (
        {"index": INDEX - 1},
        {"index": INDEX + 1},
        {"index": SIZE},
        {"hashes": tail},
        {"hashes": (*proof.hashes, bytes(32))},
        {"hashes": (bytes(32), *tail)},
        {"extra": replace(logged.extra, sct=replace(logged.sct, timestamp_ms=TIME_MS + 1).encode()).encode()},
        {"extra": replace(logged.extra, sct=replace(logged.sct, index=INDEX + 1).encode()).encode()},
        {"extra": X509Extra(PRECERT_ENTRY, bytes(32), logged.extra.sct).encode()},
    ):
        with pytest.raises(BadProof):
            verify_proof(logged.raw(**changes), certificate, policy())
    for extra in (None, b"\x02", b"\x01", logged.extra.encode() + b"\0", b"\x02" + logged.extra.encode()[1:]):
        with pytest.raises(Malformed):
            verify_proof(logged.raw(extra=extra), certificate, policy())


async def test_a_leaf_that_lies_about_its_place_is_not_proven() -> None:
    logged = await log_entry(issue(), GD, OUTSIDE, place=INDEX + 1)
    with pytest.raises(BadProof, match="the SCT is of leaf 6, the proof of leaf 7"):
        verify_proof(logged.raw(), der(issue()), policy())


async def test_the_sct_in_a_proof_is_checked_where_the_policy_has_its_key() -> None:
    certificate = der(issue())
    logged = await log_entry(issue(), GD, OUTSIDE)
    signer = TREE_HEAD.signer
    assert isinstance(signer, EcdsaSigner)
    forged = replace(logged.sct, signature=digitally_signed(signer.sign_now(b"another leaf")))
    stranger = replace(logged.sct, log_id=bytes(32))
    without_key = policy(logs=(NOTE.vkey,))
    for sct in (forged, stranger):
        raw = logged.raw(extra=replace(logged.extra, sct=sct.encode()).encode())
        with pytest.raises(BadSignature):
            verify_proof(raw, certificate, policy())
        # Without the key the tree alone speaks, and the result says so.
        assert not verify_proof(raw, certificate, without_key).sct_verified


async def test_an_sct_speaks_of_one_leaf() -> None:
    logged = await log_entry(issue())
    assert verify_sct(logged.sct.encode(), logged.leaf, TREE_HEAD.vkey) == logged.sct
    other_leaf = (await log_entry(issue(x509.OCSPNoCheck()))).leaf
    for sct, leaf in (
        (logged.sct, other_leaf),
        (replace(logged.sct, timestamp_ms=TIME_MS + 1), logged.leaf),
        (replace(logged.sct, index=INDEX + 1), logged.leaf),
        (replace(logged.sct, log_id=bytes(32)), logged.leaf),
        (logged.sct, logged.leaf[:-1]),
        (logged.sct, b""),
    ):
        with pytest.raises(BadSignature):
            verify_sct(sct.encode(), leaf, TREE_HEAD.vkey)
    with pytest.raises(Malformed):
        verify_sct(b"", logged.leaf, TREE_HEAD.vkey)
    with pytest.raises(AssertionError):
        verify_sct(logged.sct.encode(), logged.leaf, NOTE.vkey)


@cache
def proof_cases() -> tuple[bytes, bytes]:
    return asyncio.run(log_entry(issue(), GD, OUTSIDE)).raw(), der(issue())


@settings(max_examples=300)
@given(st.data())
def test_a_damaged_proof_is_malformed_or_fails(data: st.DataObject) -> None:
    raw, certificate = proof_cases()
    at = data.draw(st.integers(0, len(raw) - 1))
    changed = bytearray(raw)
    changed[at] = data.draw(st.integers(0, 255))
    try:
        proven = verify_proof(bytes(changed), certificate, policy())
    except (Malformed, VerificationError):
        return
    # Only a line of the log that became a stranger's can go unnoticed: the policy asks for one of three.
    assert (proven.origin, proven.index, proven.size) == (ORIGIN, INDEX, SIZE)


SCRIPT = """
from log.client.verifier import verify_proof
from log.formats.policy import Policy
proven = verify_proof(read("proof"), read("certificate"), Policy.parse(read("policy")))
print(proven.origin, proven.index, len(proven.witnesses))
"""


def test_it_runs_with_nothing_but_cryptography(tmp_path: Path) -> None:
    """A court's machine has Python, this checkout and `cryptography`: the proof of a certificate verifies there."""
    proof, certificate = proof_cases()
    files = {"proof": proof, "certificate": certificate, "policy": policy().encode().encode()}
    assert run_alone(tmp_path, SCRIPT, files) == ([ORIGIN, str(INDEX), "2"], "")
