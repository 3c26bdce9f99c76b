"""A synthetic hierarchy of CAs of both sides, for the demonstration, the tests and the benchmarks.

Six branches, one a suite, each a root, an issuing CA and what it issues to organisations; names follow the
layouts of the real CAs and all end in `(synthetic)`. Certificates are written as DER here instead of through
a builder, because no builder knows SM2 or keys that sign by RSA-PSS alone, and so that a precertificate and its
final certificate are made from one profile, without the splicing in `log.certs.precert` that they are there to test.

Serials and names follow from `rng` and the number of a certificate; keys are new each time.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from random import Random
from typing import Literal, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from log.certs import der
from log.certs.certificate import EXTENDED_KEY_USAGE, EXTENSIONS, KEY_USAGE, POISON, PRECERT_SIGNING, SCT_LIST, VERSION
from log.crypto.sm2 import Sm2PrivateKey, sm2_available

Suite = Literal["rsa2048", "p256", "ed25519", "p384", "rsapss", "sm2"]
SUITES: tuple[Suite, ...] = ("rsa2048", "p256", "ed25519", "p384", "rsapss", "sm2")
HK_SUITES: tuple[Suite, ...] = ("rsa2048", "p256", "ed25519")  # the branches whose names follow Hong Kong's CAs
RSA_SUITES: tuple[Suite, ...] = ("rsa2048", "rsapss")

# The certificate policy of mutual recognition, version 1.1 of 2018.
MUTUAL_RECOGNITION = "2.16.344.8.2.2008.810.2.2018.1.1"
MARK = "(synthetic)"  # the end of every name

_YEAR_MS = 365 * 86_400_000
_DAY_MS = 86_400_000
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
        validity = (now_ms - 5 * _YEAR_MS, now_ms + 20 * _YEAR_MS)
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
        validity = (now_ms - 4 * _YEAR_MS, now_ms + 10 * _YEAR_MS)
        profile = Profile(name, key.spki, serial, *validity, extensions)
        return CA(key, name, self.issue(profile), self.issuers)


@dataclass(frozen=True, slots=True)
class Chain:
    """A certificate or precertificate with the certificates behind it."""

    leaf: bytes  # DER
    issuers: tuple[bytes, ...]  # DER, root last

    @property
    def submitted(self) -> list[bytes]:
        """The chain as add-chain takes it, with the root."""
        return [self.leaf, *self.issuers]


@dataclass(frozen=True, slots=True)
class Signer:
    """A certificate with its key: who can sign documents."""

    key: Key
    chain: Chain

    @property
    def certificate(self) -> bytes:
        """The certificate, DER."""
        return self.chain.leaf


@dataclass(frozen=True, slots=True)
class Precert(Chain):
    """A precertificate that remembers what its final certificate will be made from."""

    suite: Suite
    profile: Profile


@dataclass(frozen=True, slots=True)
class Tree:
    """The CAs of both sides: one root and one issuing CA a suite."""

    now_ms: int
    seed: int
    branches: dict[Suite, CA]  # the issuing CAs

    @classmethod
    def make(cls, now_ms: int, rng: Random, suites: Sequence[Suite] | None = None) -> Self:
        """Make the branches of these suites, by default all that this machine can sign with."""
        if suites is None:
            suites = [suite for suite in SUITES if suite != "sm2" or sm2_available()]
        branches: dict[Suite, CA] = {}
        for suite in suites:
            root_name, issuing_name = _CA_NAMES[suite]
            root = CA.root(suite, root_name, _serial(rng), now_ms)
            branches[suite] = root.subordinate(issuing_name, _serial(rng), now_ms)
        return cls(now_ms, rng.getrandbits(64), branches)

    @property
    def suites(self) -> tuple[Suite, ...]:
        """The suites that have a branch."""
        return tuple(self.branches)

    @property
    def roots(self) -> tuple[bytes, ...]:
        """The root certificates, DER."""
        return tuple(ca.issuers[-1] for ca in self.branches.values())

    def issue(self, suite: Suite, n: int, *, not_after_ms: int | None = None) -> Chain:
        """Issue the certificate number `n` of a branch, with a new key; by default valid for a year."""
        ca = self.branches[suite]
        return Chain(ca.issue(self._profile(suite, n, not_after_ms)), ca.issuers)

    def signer(self, suite: Suite, n: int, subject: bytes | None = None) -> Signer:
        """Issue the certificate number `n` of a branch to a subject (Name, DER), by default an organisation."""
        ca, key = self.branches[suite], Key.generate(suite)
        return Signer(key, Chain(ca.issue(self._profile(suite, n, None, key, subject)), ca.issuers))

    def precert(
        self, suite: Suite, n: int, *, signing_certificate: bool = False, not_after_ms: int | None = None
    ) -> Precert:
        """Issue a precertificate, directly or through a Precertificate Signing Certificate of its own."""
        ca = signer = self.branches[suite]
        profile = self._profile(suite, n, not_after_ms)
        poisoned = (*profile.extensions[:2], POISON_EXTENSION, *profile.extensions[2:])
        if signing_certificate:
            name = distinguished(("CN", f"Precertificate Signing {n:06d} {MARK}"))
            usage = extension(
                EXTENDED_KEY_USAGE,
                der.encode(der.SEQUENCE, der.encode(der.OBJECT_IDENTIFIER, PRECERT_SIGNING)),
                critical=True,
            )
            signer = ca.subordinate(name, self._serial(suite, n) + 1, self.now_ms, usage)
            # The precertificate names the key that signs it; the final certificate the CA's.
            poisoned = (*poisoned[:-1], authority_key_identifier(signer.key.spki))
        leaf = signer.issue(replace(profile, extensions=poisoned))
        return Precert(leaf, signer.issuers, suite, profile)

    def final(self, precert: Precert, scts: Iterable[bytes]) -> Chain:
        """Issue the certificate of a precertificate, with these serialised SCTs embedded."""
        ca, profile = self.branches[precert.suite], precert.profile
        entries = b"".join(len(sct).to_bytes(2, "big") + sct for sct in scts)
        value = der.encode(der.OCTET_STRING, len(entries).to_bytes(2, "big") + entries)
        extensions = (*profile.extensions[:2], extension(SCT_LIST, value), *profile.extensions[2:])
        return Chain(ca.issue(replace(profile, extensions=extensions)), ca.issuers)

    def _profile(
        self, suite: Suite, n: int, not_after_ms: int | None, key: Key | None = None, subject: bytes | None = None
    ) -> Profile:
        return leaf_profile(
            subject or organisation(suite, n),
            (key or Key.generate(suite)).spki,
            self.branches[suite].key.spki,
            self._serial(suite, n),
            (self.now_ms - _DAY_MS, not_after_ms or self.now_ms + _YEAR_MS),
        )

    def _serial(self, suite: Suite, n: int) -> int:
        return _serial(Random(f"{self.seed} {suite} {n}"))  # noqa: S311 -- reproducible is what it must be


class MassIssuer:
    """Distinct certificates of one CA by the thousand a second: one template, another serial and name each.

    All have one key, and validity ends a year after `now_ms`. With `precert` they are precertificates.
    """

    def __init__(self, suite: Suite = "p256", *, now_ms: int = 1_767_225_600_000, precert: bool = False) -> None:
        root_name, issuing_name = _CA_NAMES[suite]
        self._ca = CA.root(suite, root_name, 1, now_ms).subordinate(issuing_name, 2, now_ms)
        self._algorithm = ALGORITHMS[suite]
        validity = (now_ms - _DAY_MS, now_ms + _YEAR_MS)
        subject = organisation(suite, 0, digits=_MASS_DIGITS)
        profile = leaf_profile(subject, Key.generate(suite).spki, self._ca.key.spki, _MASS_SERIAL, validity)
        if precert:
            profile = replace(profile, extensions=(*profile.extensions, POISON_EXTENSION))
        template = profile.tbs(self._ca.name, self._algorithm)
        head, rest = template.split(_MASS_SERIAL.to_bytes(9, "big"))
        # The name may hold the number more than once: each place is filled.
        self._head, self._pieces = head, rest.split(b"0" * _MASS_DIGITS)

    @property
    def issuers(self) -> tuple[bytes, ...]:
        """The issuing CA's certificate and its root's, DER."""
        return self._ca.issuers

    def certificate(self, n: int) -> bytes:
        """Return the certificate number `n`, DER; 0 <= n < 10**12. Asked again it has another signature."""
        number = b"%0*d" % (_MASS_DIGITS, n)
        tbs = self._head + (_MASS_SERIAL + n).to_bytes(9, "big") + number.join(self._pieces)
        return assemble(tbs, self._algorithm, self._ca.key.sign)

    def chain(self, n: int) -> list[bytes]:
        """Return the chain of certificate `n` as it is submitted, with the root."""
        return [self.certificate(n), *self._ca.issuers]


_MASS_DIGITS = 12
_MASS_SERIAL = 1 << 64  # the smallest of nine bytes


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
    return known(x509.AuthorityKeyIdentifier(_key_identifier(spki), None, None))


def distinguished(*attributes: tuple[str, str]) -> bytes:
    """Return a Name, DER, of (short name, value) pairs in their order."""
    return x509.Name([x509.NameAttribute(_ATTRIBUTES[key], value) for key, value in attributes]).public_bytes()


def organisation(suite: Suite, n: int, digits: int = 6) -> bytes:
    """Return the Name of organisation number `n` in the layout of the side that a suite's branch is on."""
    number = f"{n:0{digits}d}"
    if suite in HK_SUITES:
        return distinguished(
            ("C", "HK"),
            ("O", "Digi-Sign ID-Cert" if suite == "p256" else "Hongkong Post e-Cert (Organisational)"),
            ("OU", f"Harbour Sample Trading {number} Limited {MARK}"),
            ("CN", f"Authorised Unit {number} {MARK}"),
        )
    city = ("广州", "深圳")[n % 2]
    return distinguished(
        ("C", "CN"),
        ("ST", "Guangdong"),
        ("L", city),
        ("O", f"{city}样例科技{number}有限公司 {MARK}"),
        ("CN", f"{city}样例科技{number}有限公司 {MARK}"),
    )


_ATTRIBUTES = {
    "C": NameOID.COUNTRY_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "L": NameOID.LOCALITY_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "CN": NameOID.COMMON_NAME,
}


def _ca_name(country: str, owner: str, name: str) -> bytes:
    return distinguished(("C", country), ("O", f"{owner} {MARK}"), ("CN", f"{name} {MARK}"))


_CA_NAMES: dict[Suite, tuple[bytes, bytes]] = {  # root, issuing CA
    "rsa2048": (
        _ca_name("HK", "Hongkong Post", "Hongkong Post Root CA 2"),
        _ca_name("HK", "Hongkong Post", "Hongkong Post e-Cert CA 2 - 15"),
    ),
    "p256": (
        _ca_name("HK", "Digi-Sign Certification Services Limited", "Digi-Sign Root CA"),
        _ca_name("HK", "Digi-Sign Certification Services Limited", "Digi-Sign ID-Cert CA"),
    ),
    "ed25519": (
        _ca_name("HK", "Hongkong Post", "Hongkong Post Root CA Ed25519"),
        _ca_name("HK", "Hongkong Post", "Hongkong Post e-Cert CA Ed25519"),
    ),
    "p384": (
        _ca_name("CN", "Global Digital Cybersecurity Authority Co., Ltd.", "GDCA TrustAUTH E5 ROOT"),
        _ca_name("CN", "Global Digital Cybersecurity Authority Co., Ltd.", "GDCA TrustAUTH E5 Organisation CA"),
    ),
    "rsapss": (
        _ca_name("CN", "Shenzhen Digital Certificate Authority Center Co., Ltd.", "SZCA RSA-PSS ROOT"),
        _ca_name("CN", "Shenzhen Digital Certificate Authority Center Co., Ltd.", "SZCA RSA-PSS Organisation CA"),
    ),
    "sm2": (
        _ca_name("CN", "NETCA Certificate Authority", "NETCA SM2 ROOT"),
        _ca_name("CN", "NETCA Certificate Authority", "NETCA SM2 Organization CA"),
    ),
}


def leaf_profile(subject: bytes, spki: bytes, issuer_spki: bytes, serial: int, validity: tuple[int, int]) -> Profile:
    """Return the profile of a signing certificate under the policy of mutual recognition."""
    policy = x509.PolicyInformation(x509.ObjectIdentifier(MUTUAL_RECOGNITION), None)
    extensions = (
        known(x509.BasicConstraints(ca=False, path_length=None), critical=True),
        key_usage(_DIGITAL_SIGNATURE | _NON_REPUDIATION),
        known(x509.SubjectKeyIdentifier(_key_identifier(spki))),
        known(x509.CertificatePolicies([policy])),
        authority_key_identifier(issuer_spki),
    )
    return Profile(subject, spki, serial, *validity, extensions)


def ca_extensions(spki: bytes) -> tuple[Extension, ...]:
    """Return what makes a certificate a CA's."""
    return (
        known(x509.BasicConstraints(ca=True, path_length=None), critical=True),
        key_usage(_KEY_CERT_SIGN | _CRL_SIGN),
        known(x509.SubjectKeyIdentifier(_key_identifier(spki))),
    )


_DIGITAL_SIGNATURE, _NON_REPUDIATION, _KEY_CERT_SIGN, _CRL_SIGN = 0x80, 0x40, 0x04, 0x02  # bits 0, 1, 5, 6


def key_usage(bits: int) -> Extension:
    """Return the extension keyUsage with some of its first eight bits."""
    unused = (bits & -bits).bit_length() - 1
    return extension(KEY_USAGE, der.encode(der.BIT_STRING, bytes((unused, bits))), critical=True)


def known(value: x509.ExtensionType, *, critical: bool = False) -> Extension:
    """Return an extension that `cryptography` knows how to write."""
    return extension(der.oid(value.oid.dotted_string), value.public_bytes(), critical=critical)


def _key_identifier(spki: bytes) -> bytes:
    """Return RFC 7093 method 1: 160 bits of SHA-256 over the key's bits."""
    start, stop = der.expect(spki, 0, len(spki), der.SEQUENCE)
    _, _, first, last = der.children(spki, start, stop)[1]
    return sha256(spki[first + 1 : last]).digest()[:20]


def _serial(rng: Random) -> int:
    return rng.getrandbits(63) | 1 << 63  # nine bytes with their sign, never zero


def rekeyed(spki: bytes, algorithm: bytes) -> bytes:
    """Return a public key under another AlgorithmIdentifier: that of RSA-PSS, for a key that signs by it alone."""
    start, stop = der.expect(spki, 0, len(spki), der.SEQUENCE)
    _, (_, bits, _, end) = der.children(spki, start, stop)
    return der.encode(der.SEQUENCE, algorithm, spki[bits:end])


def _spki(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
