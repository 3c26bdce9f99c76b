"""How certificates are written for the demonstration, the tests and the benchmarks: keys, profiles, CAs, as DER.

DER is written here instead of through a builder, because no builder knows SM2 or keys that sign by RSA-PSS alone, and
so that a precertificate and its final certificate are made from one profile, without the splicing in
`log.certs.precert` that they are there to test.
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from log.certs import der
from log.certs.certificate import EXTENSIONS, KEY_USAGE, POISON, VERSION
from log.crypto.sm2 import Sm2PrivateKey

Suite = Literal["rsa2048", "p256", "ed25519", "p384", "rsapss", "sm2"]
SUITES: tuple[Suite, ...] = ("rsa2048", "p256", "ed25519", "p384", "rsapss", "sm2")
HK_SUITES: tuple[Suite, ...] = ("rsa2048", "p256", "ed25519")  # the branches whose names follow Hong Kong's CAs
RSA_SUITES: tuple[Suite, ...] = ("rsa2048", "rsapss")

YEAR_MS = 365 * 86_400_000
_NULL = b"\x05\x00"
_V3 = der.encode(VERSION, der.encode(der.INTEGER, b"\x02"))


def rsa_pss(digest: str, *, salt: int, mask: str | None = None) -> bytes:
    """Return the AlgorithmIdentifier of RSA-PSS (RFC 4055 section 3.1); `digest` and `mask` are OIDs with dots."""

    def hashed(oid: str) -> bytes:
        return der.encode(der.SEQUENCE, der.encode(der.OBJECT_IDENTIFIER, der.oid(oid)), _NULL)

    mgf1 = der.encode(der.OBJECT_IDENTIFIER, der.oid("1.2.840.113549.1.1.8"))
    parameters = der.encode(
        der.SEQUENCE,
        der.encode(0xA0, hashed(digest)),
        der.encode(0xA1, der.encode(der.SEQUENCE, mgf1, hashed(mask or digest))),
        der.encode(0xA2, integer(salt)) if salt != 20 else b"",  # DER leaves the default out
    )
    return der.encode(der.SEQUENCE, der.encode(der.OBJECT_IDENTIFIER, der.oid("1.2.840.113549.1.1.10")), parameters)


def integer(number: int) -> bytes:
    """Return an INTEGER."""
    return der.encode(der.INTEGER, number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True))


ALGORITHMS: dict[Suite, bytes] = {
    "rsa2048": der.encode(der.SEQUENCE, der.encode(der.OBJECT_IDENTIFIER, der.oid("1.2.840.113549.1.1.11")), _NULL),
    "p256": der.encode(der.SEQUENCE, der.encode(der.OBJECT_IDENTIFIER, der.oid("1.2.840.10045.4.3.2"))),
    "ed25519": der.encode(der.SEQUENCE, der.encode(der.OBJECT_IDENTIFIER, der.oid("1.3.101.112"))),
    "p384": der.encode(der.SEQUENCE, der.encode(der.OBJECT_IDENTIFIER, der.oid("1.2.840.10045.4.3.3"))),
    "rsapss": rsa_pss("2.16.840.1.101.3.4.2.1", salt=32),
    "sm2": der.encode(der.SEQUENCE, der.encode(der.OBJECT_IDENTIFIER, der.oid("1.2.156.10197.1.501"))),
}

Extension = bytes  # DER


@dataclass(frozen=True, slots=True)
class Key:
    """A private key of one suite."""

    suite: Suite
    spki: bytes  # SubjectPublicKeyInfo, DER
    sign: Callable[[bytes], bytes]  # message -> signature as it stands in a certificate's BIT STRING

    @classmethod
    def generate(cls, suite: Suite) -> Self:
        """Make a key; raises `SuiteUnavailable` for SM2 where libcrypto lacks it."""
        if suite == "sm2":
            sm2 = Sm2PrivateKey.generate()
            return cls(suite, sm2.spki(), sm2.sign)
        if suite == "ed25519":
            ed_key = ed25519.Ed25519PrivateKey.generate()
            return cls(suite, _spki(ed_key), ed_key.sign)
        if suite in RSA_SUITES:
            rsa_key = rsa.generate_private_key(65537, 2048)
            if suite == "rsa2048":
                return cls(suite, _spki(rsa_key), lambda m: rsa_key.sign(m, padding.PKCS1v15(), hashes.SHA256()))
            pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
            spki = rekeyed(_spki(rsa_key), ALGORITHMS["rsapss"])
            return cls(suite, spki, lambda m: rsa_key.sign(m, pss, hashes.SHA256()))
        curve, digest = (ec.SECP256R1(), hashes.SHA256()) if suite == "p256" else (ec.SECP384R1(), hashes.SHA384())
        ec_key = ec.generate_private_key(curve)
        algorithm = ec.ECDSA(digest)
        return cls(suite, _spki(ec_key), lambda m: ec_key.sign(m, algorithm))


@dataclass(frozen=True, slots=True)
class Profile:
    """What a certificate says, all but its issuer."""

    subject: bytes  # Name, DER
    spki: bytes
    serial: int
    not_before_ms: int
    not_after_ms: int
    extensions: tuple[Extension, ...]

    def tbs(self, issuer: bytes, algorithm: bytes) -> bytes:
        """Return the TBSCertificate, DER; `issuer` is a Name, `algorithm` an AlgorithmIdentifier."""
        return der.encode(
            der.SEQUENCE,
            _V3,
            integer(self.serial),
            algorithm,
            issuer,
            der.encode(der.SEQUENCE, time(self.not_before_ms), time(self.not_after_ms)),
            self.subject,
            self.spki,
            der.encode(EXTENSIONS, der.encode(der.SEQUENCE, *self.extensions)) if self.extensions else b"",
        )


@dataclass(frozen=True, slots=True)
class CA:
    """A certification authority: its key, its certificate and those above it, root last."""

    key: Key
    name: bytes  # Name, DER
    certificate: bytes  # DER
    above: tuple[bytes, ...] = ()

    @classmethod
    def root(cls, suite: Suite, name: bytes, serial: int, now_ms: int) -> Self:
        """Make a self-signed CA."""
        key = Key.generate(suite)
        validity = (now_ms - 5 * YEAR_MS, now_ms + 20 * YEAR_MS)
        profile = Profile(name, key.spki, serial, *validity, ca_extensions(key.spki))
        return cls(key, name, assemble(profile.tbs(name, ALGORITHMS[suite]), ALGORITHMS[suite], key.sign))

    @property
    def issuers(self) -> tuple[bytes, ...]:
        """The certificates behind what this CA issues: its own, then up to the root."""
        return (self.certificate, *self.above)

    def issue(self, profile: Profile) -> bytes:
        """Return a certificate, DER."""
        algorithm = ALGORITHMS[self.key.suite]
        return assemble(profile.tbs(self.name, algorithm), algorithm, self.key.sign)

    def subordinate(self, name: bytes, serial: int, now_ms: int, *more: Extension, suite: Suite | None = None) -> "CA":
        """Make a CA under this one, with `more` extensions."""
        key = Key.generate(suite or self.key.suite)
        extensions = (*ca_extensions(key.spki), authority_key_identifier(self.key.spki), *more)
        validity = (now_ms - 4 * YEAR_MS, now_ms + 10 * YEAR_MS)
        profile = Profile(name, key.spki, serial, *validity, extensions)
        return CA(key, name, self.issue(profile), self.issuers)


def assemble(tbs: bytes, algorithm: bytes, sign: Callable[[bytes], bytes]) -> bytes:
    """Return a TBSCertificate, signed: a certificate."""
    return der.encode(der.SEQUENCE, tbs, algorithm, der.encode(der.BIT_STRING, b"\0", sign(tbs)))


def time(timestamp_ms: int) -> bytes:
    """Return a Time as RFC 5280 section 4.1.2.5 wants it: UTCTime to 2049, GeneralizedTime from then on."""
    moment = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(milliseconds=timestamp_ms)
    if 1950 <= moment.year < 2050:
        return der.encode(der.UTC_TIME, f"{moment:%y%m%d%H%M%SZ}".encode())
    return der.encode(der.GENERALIZED_TIME, f"{moment:%Y%m%d%H%M%SZ}".encode())


def extension(oid: bytes, value: bytes, *, critical: bool = False) -> Extension:
    """Return an extension out of its OID's content bytes and its value."""
    flag = der.encode(der.BOOLEAN, b"\xff") if critical else b""
    identifier = der.encode(der.OBJECT_IDENTIFIER, oid)
    return der.encode(der.SEQUENCE, identifier, flag, der.encode(der.OCTET_STRING, value))


POISON_EXTENSION = extension(POISON, _NULL, critical=True)


def authority_key_identifier(spki: bytes) -> Extension:
    """Return the extension that names an issuer by its key."""
    return known(x509.AuthorityKeyIdentifier(key_identifier(spki), None, None))


def distinguished(*attributes: tuple[str, str]) -> bytes:
    """Return a Name, DER, of (short name, value) pairs in their order."""
    return x509.Name([x509.NameAttribute(_ATTRIBUTES[key], value) for key, value in attributes]).public_bytes()


_ATTRIBUTES = {
    "C": NameOID.COUNTRY_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "L": NameOID.LOCALITY_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "CN": NameOID.COMMON_NAME,
}


def ca_extensions(spki: bytes) -> tuple[Extension, ...]:
    """Return what makes a certificate a CA's."""
    return (
        known(x509.BasicConstraints(ca=True, path_length=None), critical=True),
        key_usage(KEY_CERT_SIGN | CRL_SIGN),
        known(x509.SubjectKeyIdentifier(key_identifier(spki))),
    )


DIGITAL_SIGNATURE, NON_REPUDIATION, KEY_CERT_SIGN, CRL_SIGN = 0x80, 0x40, 0x04, 0x02  # bits 0, 1, 5, 6


def key_usage(bits: int) -> Extension:
    """Return the extension keyUsage with some of its first eight bits."""
    unused = (bits & -bits).bit_length() - 1
    return extension(KEY_USAGE, der.encode(der.BIT_STRING, bytes((unused, bits))), critical=True)


def known(value: x509.ExtensionType, *, critical: bool = False) -> Extension:
    """Return an extension that `cryptography` knows how to write."""
    return extension(der.oid(value.oid.dotted_string), value.public_bytes(), critical=critical)


def key_identifier(spki: bytes) -> bytes:
    """Return RFC 7093 method 1: 160 bits of SHA-256 over the key's bits."""
    start, stop = der.expect(spki, 0, len(spki), der.SEQUENCE)
    _, _, first, last = der.children(spki, start, stop)[1]
    return sha256(spki[first + 1 : last]).digest()[:20]


def rekeyed(spki: bytes, algorithm: bytes) -> bytes:
    """Return a public key under another AlgorithmIdentifier: that of RSA-PSS, for a key that signs by it alone."""
    start, stop = der.expect(spki, 0, len(spki), der.SEQUENCE)
    _, (_, bits, _, end) = der.children(spki, start, stop)
    return der.encode(der.SEQUENCE, algorithm, spki[bits:end])


def _spki(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
