"""RSA-PSS and Ed25519 against two other readers: `cryptography`'s certificates, and the openssl command line."""

import datetime as dt
import shutil
import subprocess
from contextlib import suppress
from functools import cache
from itertools import product
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from log.certs import certificate as certs
from log.certs.chain import Anchor, ChainChecker
from log.client import pem
from log.crypto import pss
from log.crypto.suites import load_issuer_key, suite_of, weak_hash
from log.demo import issuing
from log.errors import BadSignature, Refused
from tests.support.odd_certificates import NOW_MS, world

OPENSSL = shutil.which("openssl")
HASHES = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}
OIDS = {"sha224": "04", "sha256": "01", "sha384": "02", "sha512": "03"}


@cache
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def certificate(digest: hashes.HashAlgorithm, scheme: padding.PSS) -> x509.Certificate:
    """Have `cryptography` write a self-signed certificate."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Oracle (synthetic)")])
    builder = x509.CertificateBuilder(name, name, key().public_key(), 5)
    begins = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    builder = builder.not_valid_before(begins).not_valid_after(begins + dt.timedelta(days=365))
    return builder.sign(key(), digest, rsa_padding=scheme)  # type: ignore[arg-type]


@pytest.mark.parametrize("salt", [0, 1, 20, 32, 48, 127, 128, 190, padding.PSS.DIGEST_LENGTH])
@pytest.mark.parametrize("digest", HASHES.values(), ids=HASHES.keys())
def test_what_cryptography_writes_is_read_as_it_reads_it(digest: hashes.HashAlgorithm, salt: int) -> None:
    made = certificate(digest, padding.PSS(padding.MGF1(digest), salt))
    mine = certs.parse(made.public_bytes(Encoding.DER))
    theirs = made.signature_algorithm_parameters
    assert isinstance(theirs, padding.PSS)
    suite = suite_of(mine.signature_algorithm)
    assert (suite.hash.name, suite.salt) == (digest.name, theirs._salt_length)
    load_issuer_key(mine.spki).verify(mine.signature_algorithm, mine.tbs, mine.signature)
    with pytest.raises(BadSignature):
        load_issuer_key(mine.spki).verify(mine.signature_algorithm, mine.tbs + b"\0", mine.signature)


@pytest.mark.parametrize(("digest", "mask"), list(product(HASHES, ["sha224", *HASHES])))
def test_hash_and_mask_must_be_one(digest: str, mask: str) -> None:
    made = certificate(HASHES[digest], padding.PSS(padding.MGF1({**HASHES, "sha224": hashes.SHA224()}[mask]), 20))
    parsed = certs.parse(made.public_bytes(Encoding.DER))
    if digest == mask:
        load_issuer_key(parsed.spki).verify(parsed.signature_algorithm, parsed.tbs, parsed.signature)
        return
    with pytest.raises(Refused, match=f"mask with {mask} what {digest} hashed") as refused:
        suite_of(parsed.signature_algorithm)
    assert refused.value.reason == "pss-parameters"


# --- every spelling, written here a second time -----------------------------------------------------------


def tlv(tag: int, content: bytes) -> bytes:
    return bytes((tag, len(content))) + content


_NULLS = st.sampled_from([b"", b"\x05\x00"])
_NAMES = st.sampled_from(["sha1", *OIDS])


def hashed(name: str, null: bytes) -> bytes:
    return tlv(0x30, bytes.fromhex("06096086480165030402" + OIDS[name]) + null)


def integer(n: int) -> bytes:
    return tlv(2, n.to_bytes(n.bit_length() // 8 + 1))


@given(_NAMES, _NAMES, _NULLS, _NULLS, st.none() | st.integers(0, 32767), st.sampled_from([b"", tlv(0xA3, integer(1))]))
def test_every_spelling_is_read_and_says_what_it_says(
    digest: str, mask: str, null: bytes, masks_null: bytes, salt: int | None, trailer: bytes
) -> None:
    mgf1 = bytes.fromhex("06092a864886f70d010108")
    content = b"" if digest == "sha1" else tlv(0xA0, hashed(digest, null))
    content += b"" if mask == "sha1" else tlv(0xA1, tlv(0x30, mgf1 + hashed(mask, masks_null)))
    content += b"" if salt is None else tlv(0xA2, integer(salt))
    parameters = tlv(0x30, content + trailer)
    algorithm = tlv(0x30, pss.OID + parameters)
    assert weak_hash(algorithm) == (digest == mask == "sha1")
    if digest != mask or digest == "sha224":
        with pytest.raises(Refused) as refused:
            pss.read(parameters)
        assert refused.value.reason == "pss-parameters"
        return
    read = pss.read(parameters)
    assert (read.hash.name, read.salt) == (digest, 20 if salt is None else salt)
    assert (suite_of(algorithm).hash.name, suite_of(algorithm).salt) == (digest, read.salt)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("a203020100a2030201", id="cut short"),
        pytest.param("a2040202007f", id="a salt that is not minimal"),
        pytest.param("a2030201ff", id="a negative salt"),
        pytest.param("a205 0203 010000", id="a salt of three bytes"),
        pytest.param("a303020102", id="another trailer"),
        pytest.param("a303020101a203020120", id="in another order"),
        pytest.param("a20302012000", id="a byte too many"),
        pytest.param("a203020120a400", id="another field"),
        pytest.param("a00b300906052b0e03021a0500", id="the default hash said"),
    ],
)
def test_other_spellings_are_refused(content: str) -> None:
    with pytest.raises(Refused, match="cannot be read"):
        pss.read(tlv(0x30, bytes.fromhex(content)))
    for header in ("", "30", "3000", "3080", "31"):
        with pytest.raises(Refused, match=r"cannot be read|missing"):
            pss.read(bytes.fromhex(header) + b"\xa2\x03\x02\x01\x20" * bool(header))


@given(st.binary(max_size=300))
def test_any_bytes_are_parameters_or_refused(parameters: bytes) -> None:
    with suppress(Refused):
        pss.read(parameters)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_whatever_two_readers_can_read_they_read_alike(choose: st.DataObject) -> None:
    good = issuing.rsa_pss("2.16.840.1.101.3.4.2.1", salt=32)
    mutated = bytearray(good)
    for _ in range(choose.draw(st.integers(1, 3))):
        mutated[choose.draw(st.integers(0, len(good) - 1))] = choose.draw(st.integers(0, 255))
    algorithm = bytes(mutated)
    w = world()
    try:
        suite = suite_of(algorithm)
        der = issuing.assemble(w.profile().tbs(w.ca.name, algorithm), algorithm, lambda _: b"?")
        theirs = x509.load_der_x509_certificate(der).signature_algorithm_parameters
    except (Refused, ValueError):
        return
    if isinstance(theirs, padding.PSS):
        assert (suite.salt, suite.hash.name) == (theirs._salt_length, theirs._mgf._algorithm.name)


# --- openssl ----------------------------------------------------------------------------------------------


def openssl(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    assert OPENSSL is not None
    return subprocess.run([OPENSSL, *arguments], cwd=folder, capture_output=True, text=True, check=False)


_PSS = ("-sigopt", "rsa_padding_mode:pss")
_KEYS: dict[str, tuple[str, ...]] = {
    "ed25519": ("ed25519",),
    "p521": ("EC", "-pkeyopt", "ec_paramgen_curve:P-521"),
    "rsa": ("RSA",),
    "pss": ("RSA-PSS",),
    "pss-sha384-40": (
        "RSA-PSS",
        *("-pkeyopt", "rsa_pss_keygen_md:sha384"),
        *("-pkeyopt", "rsa_pss_keygen_mgf1_md:sha384"),
        *("-pkeyopt", "rsa_pss_keygen_saltlen:40"),
    ),
}
# Kind of key, how openssl signs with it, and what the log says: None for admitted.
_MADE: list[tuple[str, tuple[str, ...], str | None]] = [
    ("ed25519", (), None),
    ("p521", ("-sha512",), None),
    ("rsa", ("-sha256", *_PSS, "-sigopt", "rsa_pss_saltlen:32"), None),
    ("rsa", ("-sha512", *_PSS, "-sigopt", "rsa_pss_saltlen:max"), None),
    ("rsa", ("-sha256", *_PSS, "-sigopt", "rsa_pss_saltlen:20"), None),
    ("rsa", ("-sha256", *_PSS, "-sigopt", "rsa_mgf1_md:sha1"), "pss-parameters"),
    ("rsa", ("-sha224", *_PSS), "pss-parameters"),
    ("rsa", ("-sha1", *_PSS, "-sigopt", "rsa_pss_saltlen:20"), None),
    ("pss", ("-sha256",), None),
    ("pss", ("-sha384", "-sigopt", "rsa_pss_saltlen:0"), None),
    ("pss-sha384-40", ("-sha384", "-sigopt", "rsa_pss_saltlen:40"), None),
    ("pss-sha384-40", ("-sha384", "-sigopt", "rsa_pss_saltlen:48"), None),
]


@pytest.mark.skipif(OPENSSL is None, reason="no openssl command")
@pytest.mark.parametrize(("kind", "options", "reason"), _MADE)
def test_what_openssl_issues_is_admitted(
    kind: str, options: tuple[str, ...], reason: str | None, tmp_path: Path
) -> None:
    algorithm, *more = _KEYS[kind]
    assert openssl("genpkey", "-algorithm", algorithm, *more, "-out", "key", folder=tmp_path).returncode == 0
    made = openssl(
        *("req", "-x509", "-new", "-key", "key", "-subj", "/CN=Oracle (synthetic)", "-days", "9", "-out", "root"),
        *("-config", "/dev/null", "-addext", "basicConstraints=critical,CA:TRUE", *options),
        folder=tmp_path,
    )
    assert made.returncode == 0, made.stderr
    (root,) = pem.read(tmp_path / "root")
    parsed = certs.parse(root)
    try:
        load_issuer_key(parsed.spki).verify(parsed.signature_algorithm, parsed.tbs, parsed.signature)
        found = None
    except Refused as refused:
        found = refused.reason
    assert found == reason
    assert weak_hash(parsed.signature_algorithm) == ("-sha1" in options)


@pytest.mark.skipif(OPENSSL is None, reason="no openssl command")
@pytest.mark.parametrize("suite", ["ed25519", "rsapss"])
def test_openssl_verifies_what_the_synthetic_authorities_issue(suite: issuing.Suite, tmp_path: Path) -> None:
    chain = world().tree.issue(suite, 77)
    names = ("leaf", "issuing", "root")
    for name, der in zip(names, chain.submitted, strict=True):
        (tmp_path / f"{name}.der").write_bytes(der)
        converted = openssl("x509", "-inform", "DER", "-in", f"{name}.der", "-out", f"{name}.pem", folder=tmp_path)
        assert converted.returncode == 0
    arguments = ("-CAfile", "root.pem", "-untrusted", "issuing.pem", "-attime", str(NOW_MS // 1000), "leaf.pem")
    verified = openssl("verify", *arguments, folder=tmp_path)
    assert verified.returncode == 0, verified.stderr
    checker = ChainChecker([Anchor(chain.issuers[-1])], allow_precert_signing=True)
    assert checker.check(chain.submitted, precert=False).leaf.der == chain.leaf
