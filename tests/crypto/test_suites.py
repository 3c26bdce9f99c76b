"""What issuers sign with: real certificates of Hong Kong and Guangdong, and every suite with keys made here."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from hypothesis import given
from hypothesis import strategies as st

from log.certs import certificate as certs
from log.crypto.sm2 import Sm2PrivateKey, sm2_available
from log.crypto.suites import SUITES, Limits, load_issuer_key, suite_of, weak_hash
from log.errors import BadSignature, Refused
from tests.support.shared import data

SHA1_RSA, SHA256_RSA, SHA384_RSA, SHA512_RSA = (
    bytes.fromhex(f"300d06092a864886f70d0101{last}0500") for last in ("05", "0b", "0c", "0d")
)
MD5_RSA = bytes.fromhex("300d06092a864886f70d0101040500")
SHA256_ECDSA, SHA384_ECDSA, SHA512_ECDSA = (
    bytes.fromhex(f"300a06082a8648ce3d0403{last}") for last in ("02", "03", "04")
)
SM3_SM2 = bytes.fromhex("300a06082a811ccf55018375")
ED25519 = bytes.fromhex("300506032b6570")
PSS_SHA256_32, PSS_SHA512_20 = (
    bytes.fromhex(f"30{size}06092a864886f70d01010a30{inner}a00f300d06096086480165030402{digest}0500")
    + bytes.fromhex(f"a11c301a06092a864886f70d010108300d06096086480165030402{digest}0500{salt}")
    for size, inner, digest, salt in (("41", "34", "01", "a203020120"), ("3c", "2f", "03", ""))
)

Sign = Callable[[bytes], bytes]


def spki(public: object) -> bytes:
    assert isinstance(
        public,
        rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | ed448.Ed448PublicKey,
    )
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


RSA = rsa.generate_private_key(65537, 2048)
P256, P384 = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP384R1())
P521 = ec.generate_private_key(ec.SECP521R1())
EDWARDS = ed25519.Ed25519PrivateKey.generate()


def rsa_sign(digest: hashes.HashAlgorithm) -> Sign:
    return lambda message: RSA.sign(message, padding.PKCS1v15(), digest)


def pss_sign(digest: hashes.HashAlgorithm, salt: int) -> Sign:
    return lambda message: RSA.sign(message, padding.PSS(padding.MGF1(digest), salt), digest)


def ec_sign(key: ec.EllipticCurvePrivateKey, digest: hashes.HashAlgorithm) -> Sign:
    return lambda message: key.sign(message, ec.ECDSA(digest))


def without_parameters(algorithm: bytes) -> bytes:
    return bytes([0x30, algorithm[1] - 2]) + algorithm[2:-2]


def with_null(algorithm: bytes) -> bytes:
    return bytes([0x30, algorithm[1] + 2]) + algorithm[2:] + b"\x05\x00"


def _tlv(tag: int, *contents: bytes) -> bytes:
    content = b"".join(contents)
    size = bytes([len(content)]) if len(content) < 0x80 else b"\x82" + len(content).to_bytes(2)
    if 0x80 <= len(content) <= 0xFF:
        size = bytes([0x81, len(content)])
    return bytes([tag]) + size + content


def rsa_pss(parameters: bytes = b"") -> bytes:
    """Return the RSA key as one that signs by RSA-PSS alone (RFC 4055 section 1.2)."""
    algorithm = _tlv(0x30, bytes.fromhex("06092a864886f70d01010a"), parameters)
    return _tlv(0x30, algorithm, spki(RSA.public_key())[-275:])  # the BIT STRING


CASES: list[tuple[bytes, bytes, Sign]] = [
    (SHA1_RSA, spki(RSA.public_key()), rsa_sign(hashes.SHA1())),  # noqa: S303
    (SHA256_RSA, spki(RSA.public_key()), rsa_sign(hashes.SHA256())),
    (SHA384_RSA, spki(RSA.public_key()), rsa_sign(hashes.SHA384())),
    (SHA512_RSA, spki(RSA.public_key()), rsa_sign(hashes.SHA512())),
    (without_parameters(SHA256_RSA), spki(RSA.public_key()), rsa_sign(hashes.SHA256())),
    (SHA256_ECDSA, spki(P256.public_key()), ec_sign(P256, hashes.SHA256())),
    (with_null(SHA256_ECDSA), spki(P256.public_key()), ec_sign(P256, hashes.SHA256())),
    (SHA384_ECDSA, spki(P256.public_key()), ec_sign(P256, hashes.SHA384())),
    (SHA384_ECDSA, spki(P384.public_key()), ec_sign(P384, hashes.SHA384())),
    (SHA512_ECDSA, spki(P384.public_key()), ec_sign(P384, hashes.SHA512())),
    (SHA512_ECDSA, spki(P521.public_key()), ec_sign(P521, hashes.SHA512())),
    (ED25519, spki(EDWARDS.public_key()), EDWARDS.sign),
    (PSS_SHA256_32, spki(RSA.public_key()), pss_sign(hashes.SHA256(), 32)),
    (PSS_SHA512_20, spki(RSA.public_key()), pss_sign(hashes.SHA512(), 20)),
    (PSS_SHA256_32, rsa_pss(), pss_sign(hashes.SHA256(), 32)),
]
if sm2_available():
    SM2 = Sm2PrivateKey.generate()
    CASES += [(SM3_SM2, SM2.spki(), SM2.sign), (with_null(SM3_SM2), SM2.spki(), SM2.sign)]


@pytest.mark.parametrize(("algorithm", "key", "sign"), CASES, ids=map(str, range(len(CASES))))
def test_every_suite_verifies_and_no_other_takes_its_signature(algorithm: bytes, key: bytes, sign: Sign) -> None:
    issuer = load_issuer_key(key)
    signature = sign(b"to be signed")
    issuer.verify(algorithm, b"to be signed", signature)
    for other in (*SUITES, PSS_SHA256_32, PSS_SHA512_20):
        if suite_of(other) is not suite_of(algorithm):
            with pytest.raises(BadSignature):
                issuer.verify(other, b"to be signed", signature)
    for wrong in (b"", signature[:-1], signature + b"\0", signature[:-1] + bytes([signature[-1] ^ 1])):
        with pytest.raises(BadSignature):
            issuer.verify(algorithm, b"to be signed", wrong)
    with pytest.raises(BadSignature):
        issuer.verify(algorithm, b"to be signee", signature)


@pytest.mark.parametrize(
    ("name", "issuer"),
    [
        ("netca-tsa-2020", "netca-server-classa-ca"),  # SHA-1
        ("netca-server-classa-ca", "netca-root-classa"),  # SHA-1
        ("gdca-root-ca-2004", "gdca-root-ca-2004"),  # RSA of 1024 bits
        ("szca-root-2013", "szca-root-2013"),  # RSA of 1024 bits
        ("hkpost-root-ca-2", "hkpost-root-ca-2"),  # RSA of 4096 bits
        ("gdca-trustauth-e5-root-ecc", "gdca-trustauth-e5-root-ecc"),  # P-384
        pytest.param(
            "sheca-sm2-by-nrcac",
            "nrcac-rootca-sm2",
            marks=pytest.mark.skipif(not sm2_available(), reason="no SM2 here"),
        ),
    ],
)
def test_real_certificates_verify(name: str, issuer: str) -> None:
    certificate, key = real(name), load_issuer_key(real(issuer).spki)
    key.verify(certificate.signature_algorithm, certificate.tbs, certificate.signature)
    with pytest.raises(BadSignature):
        key.verify(certificate.signature_algorithm, certificate.tbs + b"\0", certificate.signature)


def test_weak_is_said_and_md5_refused() -> None:
    netca, szca = real("netca-tsa-2020"), real("szca-root-2003-md5")
    assert weak_hash(netca.signature_algorithm)
    assert not weak_hash(real("hkpost-root-ca-2").signature_algorithm)
    with pytest.raises(Refused) as refused:
        load_issuer_key(szca.spki).verify(szca.signature_algorithm, szca.tbs, szca.signature)
    assert refused.value.reason == "md5"


@given(algorithm=st.binary(max_size=40))
def test_an_unknown_algorithm_is_refused_by_that_name(algorithm: bytes) -> None:
    with pytest.raises(Refused) as refused:
        suite_of(algorithm)
    assert refused.value.reason == "unsupported-suite"
    assert not weak_hash(algorithm)


@pytest.mark.parametrize(
    "algorithm",
    [
        "300706032b65700500",  # Ed25519 with NULL
        "300506032b6571",  # Ed448
        "300906072a8648ce3d0401",  # ECDSA with SHA-1
        SHA256_RSA.hex() + "00",
        "300e06092a864886f70d01010b050000",
    ],
)
def test_other_algorithms_are_refused_not_misread(algorithm: str) -> None:
    with pytest.raises(Refused) as refused:
        load_issuer_key(spki(RSA.public_key())).verify(bytes.fromhex(algorithm), b"", b"")
    assert refused.value.reason == "unsupported-suite"


def _unsigned(value: int) -> bytes:
    return _tlv(2, value.to_bytes(value.bit_length() // 8 + 1))


# P-256 with its parameters spelled out (RFC 3279 SpecifiedECDomain), and generator as public point.
PRIME = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B


def explicit_p256() -> bytes:
    point = ec.derive_private_key(1, ec.SECP256R1()).public_key()
    generator = point.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    field = _tlv(0x30, bytes.fromhex("06072a8648ce3d0101"), _unsigned(PRIME))
    curve = _tlv(0x30, _tlv(4, (PRIME - 3).to_bytes(32)), _tlv(4, B.to_bytes(32)))
    parameters = _tlv(0x30, _unsigned(1), field, curve, _tlv(4, generator), _unsigned(ORDER), _unsigned(1))
    algorithm = _tlv(0x30, bytes.fromhex("06072a8648ce3d0201"), parameters)
    return _tlv(0x30, algorithm, _tlv(3, b"\0", generator))


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (b"", "issuer-key"),
        (b"no key", "issuer-key"),
        (spki(RSA.public_key())[:-1], "issuer-key"),
        (explicit_p256(), "issuer-key"),
        (spki(ed448.Ed448PrivateKey.generate().public_key()), "unsupported-suite"),
        (spki(ec.generate_private_key(ec.SECP256K1()).public_key()), "unsupported-suite"),
        (_tlv(0x30, _tlv(0x30, bytes.fromhex("06032b65700500")), _tlv(3, bytes(33))), "issuer-key"),
        (rsa_pss(bytes.fromhex("0500")), "issuer-key"),
        (rsa_pss(bytes.fromhex("3012a110300e06092a864886f70d01010830010500")), "issuer-key"),
    ],
    ids=["nothing", "text", "cut", "explicit", "ed448", "secp256k1", "ed25519-null", "pss-null", "pss-rubbish"],
)
def test_keys_that_issue_nothing_are_refused(key: bytes, reason: str) -> None:
    with pytest.raises(Refused) as refused:
        load_issuer_key(key)
    assert refused.value.reason == reason


def test_the_library_alone_would_take_an_explicit_curve_and_an_rsa_pss_key() -> None:
    assert isinstance(load_der_public_key(explicit_p256()), ec.EllipticCurvePublicKey)
    assert isinstance(load_der_public_key(rsa_pss()), rsa.RSAPublicKey)


def test_a_real_key_with_explicit_parameters_is_refused_as_such() -> None:
    with pytest.raises(Refused) as refused:
        load_issuer_key(real("eseal-platform-sm2-explicit-curve").spki)
    assert refused.value.reason == "issuer-key"


@given(key=st.binary(max_size=200))
def test_any_bytes_give_a_key_or_a_refusal(key: bytes) -> None:
    with pytest.raises(Refused):
        load_issuer_key(key)


def test_the_size_of_an_rsa_key_is_bounded() -> None:
    key = spki(RSA.public_key())
    assert load_issuer_key(key, Limits(rsa_bits=2048)).bits == 2048
    with pytest.raises(Refused, match="rsa_bits"):
        load_issuer_key(key, Limits(rsa_bits=2047))


def test_a_key_too_short_for_the_hash_is_a_bad_signature() -> None:
    small = rsa.RSAPublicNumbers(65537, (1 << 511) | 1).public_key()  # 64 bytes hold no SHA-512 DigestInfo
    with pytest.raises(BadSignature):
        load_issuer_key(spki(small)).verify(SHA512_RSA, b"", bytes(64))


def test_keys_are_parsed_once() -> None:
    p256 = spki(P256.public_key())
    assert load_issuer_key(p256) is load_issuer_key(bytes(bytearray(p256)))


def real(name: str) -> certs.Certificate:
    path: Path = data(f"certs/{name}.der")
    return certs.parse(path.read_bytes())
