"""A synthetic hierarchy of CAs of both sides, for the demonstration, the tests and the benchmarks.

Six branches, one a suite, each a root, an issuing CA and what it issues to organisations; names follow the
layouts of the real CAs and all end in `(synthetic)`. How a certificate is written, `issuing` knows.

Serials and names follow from `rng` and the number of a certificate; keys are new each time.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Self

from cryptography import x509

from log.certs import der
from log.certs.certificate import EXTENDED_KEY_USAGE, PRECERT_SIGNING, SCT_LIST
from log.crypto.sm2 import sm2_available
from log.demo.issuing import (
    ALGORITHMS,
    CA,
    DIGITAL_SIGNATURE,
    HK_SUITES,
    NON_REPUDIATION,
    POISON_EXTENSION,
    SUITES,
    YEAR_MS,
    Key,
    Profile,
    Suite,
    assemble,
    authority_key_identifier,
    distinguished,
    extension,
    key_identifier,
    key_usage,
    known,
)

# The certificate policy of mutual recognition, version 1.1 of 2018.
MUTUAL_RECOGNITION = "2.16.344.8.2.2008.810.2.2018.1.1"
MARK = "(synthetic)"  # the end of every name
_DAY_MS = 86_400_000


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
            (self.now_ms - _DAY_MS, not_after_ms or self.now_ms + YEAR_MS),
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
        validity = (now_ms - _DAY_MS, now_ms + YEAR_MS)
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
        key_usage(DIGITAL_SIGNATURE | NON_REPUDIATION),
        known(x509.SubjectKeyIdentifier(key_identifier(spki))),
        known(x509.CertificatePolicies([policy])),
        authority_key_identifier(issuer_spki),
    )
    return Profile(subject, spki, serial, *validity, extensions)


def _serial(rng: Random) -> int:
    return rng.getrandbits(63) | 1 << 63  # nine bytes with their sign, never zero
