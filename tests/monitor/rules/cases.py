"""Cases for each rule that a certificate and the lists suffice for: such as fire it, and near misses.

Certificates are written by `log.demo.ca`. Two lists, one a side, agree: the P-256 branch issues `hk-org`, the P-384
branch `gd-org`; a third CA is listed and issues no type, a fourth is of a jurisdiction outside the scheme.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from random import Random

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from log.certs import der
from log.certs.certificate import EXTENDED_KEY_USAGE
from log.certs.trustlist import TrustList
from log.certs.trustlist_rows import CertType, Issuer
from log.demo import ca, issuing
from log.demo.issuing import CA, Key, Profile
from monitor.rules.reading import SERVER_AUTH
from tests.support.odd_certificates import MD5, SHA1, explicit

NOW_MS = 1_767_225_600_000  # 2026-01-01
DAY_MS = 86_400_000
POLICY = ca.MUTUAL_RECOGNITION
LISTED_MS = NOW_MS - 3 * 365 * DAY_MS
PERSONAL, ORGANISATIONAL = "Hongkong Post e-Cert (Personal)", "Hongkong Post e-Cert (Organisational)"
COMPANY = "Sample Trading Limited"


@dataclass(frozen=True)
class World:
    """The CAs."""

    hk: CA
    gd: CA
    bare: CA  # listed, and issues no type
    far: CA  # listed for a jurisdiction that is not of the scheme
    unlisted: CA
    old: CA  # ends in 30 days
    key: Key
    rsa1024: bytes  # SubjectPublicKeyInfo
    base: TrustList = field(repr=False)

    def profile(self, under: CA | None = None, *subject: tuple[str, str]) -> Profile:
        """Return the profile of a certificate in which nothing is wrong."""
        country = "CN" if under is self.gd else "HK"
        name = issuing.distinguished(*(subject or (("C", country), ("O", COMPANY), ("CN", COMPANY))))
        validity = (NOW_MS, NOW_MS + 365 * DAY_MS)
        return ca.leaf_profile(name, self.key.spki, (under or self.hk).key.spki, 1 << 70, validity)


@cache
def world() -> World:
    """Return the CAs, made once."""
    rng = Random(3)
    made = {
        name: CA.root(
            "p256", issuing.distinguished(("C", "HK"), ("CN", f"{name} {ca.MARK}")), rng.getrandbits(70), NOW_MS
        )
        for name in ("hk", "gd", "bare", "far", "unlisted", "old")
    }
    old = made["old"]
    validity = (NOW_MS - DAY_MS, NOW_MS + 30 * DAY_MS)
    profile = Profile(old.name, old.key.spki, 1 << 70, *validity, issuing.ca_extensions(old.key.spki))
    made["old"] = CA(old.key, old.name, old.issue(profile))
    small = rsa.generate_private_key(65537, 1024).public_key()  # noqa: S505 - weak on purpose
    spki = small.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return World(**made, key=Key.generate("p256"), rsa1024=spki, base=_list(made))


def _list(made: dict[str, CA]) -> TrustList:
    def issuer(name: str) -> Issuer:
        certificate = made[name].certificate
        return Issuer(name, certificate, name, LISTED_MS, None, None, "", False, "", "", False)

    types = (
        CertType("hk-org", "hk", ORGANISATIONAL, (POLICY,), "HK", LISTED_MS, None),
        CertType("gd-org", "gd", "GD Organisation", (POLICY,), "CN-GD", LISTED_MS, None),
        CertType("sd-org", "far", "SD Organisation", (POLICY,), "CN-SD", LISTED_MS, None),
    )
    return TrustList(3, LISTED_MS, tuple(issuer(name) for name in ("hk", "gd", "bare", "far", "old")), types)


Change = Callable[[TrustList], TrustList]


@dataclass(frozen=True)
class Sample:
    """A certificate, and the codes that it must fire: all of them, and no others."""

    name: str
    codes: str  # separated by spaces
    build: Callable[[World], bytes]
    hk: Change = lambda listed: listed  # what Hong Kong's list says otherwise
    both: bool = False  # whether the other list says so too
    issuers: Callable[[World], list[bytes]] = lambda w: [
        each.certificate for each in (w.hk, w.gd, w.bare, w.far, w.unlisted, w.old)
    ]


def usual(**changes: object) -> Callable[[World], bytes]:
    """Issue the usual certificate, changed."""
    return lambda w: w.hk.issue(replace(w.profile(), **changes))  # type: ignore[arg-type]


def under(name: str) -> Callable[[World], bytes]:
    """Issue the usual certificate under another CA."""
    return lambda w: getattr(w, name).issue(w.profile(getattr(w, name)))


def named(*subject: tuple[str, str]) -> Callable[[World], bytes]:
    """Issue a certificate to somebody."""
    return lambda w: w.hk.issue(w.profile(None, *subject))


def extended(*indexes: int, more: tuple[bytes, ...] = ()) -> Callable[[World], bytes]:
    """Issue the usual certificate with these of its extensions, and more."""

    def build(w: World) -> bytes:
        profile = w.profile()
        return w.hk.issue(replace(profile, extensions=(*(profile.extensions[i] for i in indexes), *more)))

    return build


def keyed(spki: Callable[[World], bytes]) -> Callable[[World], bytes]:
    """Issue the usual certificate to another key."""
    return lambda w: w.hk.issue(replace(w.profile(), spki=spki(w)))


def signed(algorithm: bytes, not_before_ms: int = NOW_MS) -> Callable[[World], bytes]:
    """Issue a certificate that names this algorithm; its signature is not looked at."""

    def build(w: World) -> bytes:
        profile = replace(w.profile(), not_before_ms=not_before_ms, not_after_ms=not_before_ms + 300 * DAY_MS)
        return issuing.assemble(profile.tbs(w.hk.name, algorithm), algorithm, lambda _: b"no signature")

    return build


def valid(days: float, more_ms: int = 0) -> Callable[[World], bytes]:
    """Issue a certificate valid for so long."""
    return usual(not_after_ms=NOW_MS + int(days * DAY_MS) + more_ms)


def alternative(tag: int, raw: bytes) -> bytes:
    """Return a subjectAltName with one name."""
    return issuing.extension(der.oid("2.5.29.17"), der.encode(der.SEQUENCE, der.encode(tag, raw)))


def _country(tag: int) -> Callable[[World], bytes]:
    """Issue a certificate whose country is a string of this type."""

    def build(w: World) -> bytes:
        profile = w.profile()
        other = profile.subject.replace(b"\x13\x02HK", bytes((tag, 2)) + b"HK")
        return w.hk.issue(replace(profile, subject=other))

    return build


def _issuer(name: str, **changes: object) -> Change:
    def change(listed: TrustList) -> TrustList:
        rows = tuple(
            replace(each, **changes) if each.id == name else each  # type: ignore[arg-type]
            for each in listed.issuers
        )
        return replace(listed, issuers=rows)

    return change


def _type(name: str, **changes: object) -> Change:
    def change(listed: TrustList) -> TrustList:
        rows = tuple(
            replace(each, **changes) if each.id == name else each  # type: ignore[arg-type]
            for each in listed.types
        )
        return replace(listed, types=rows)

    return change


_SERVER = issuing.extension(
    EXTENDED_KEY_USAGE, der.encode(der.SEQUENCE, der.encode(der.OBJECT_IDENTIFIER, SERVER_AUTH))
)
_NO_POLICY = (0, 1, 2, 4)
_ORG = (("C", "HK"), ("O", ORGANISATIONAL), ("OU", COMPANY), ("OU", "0001234567"), ("CN", "Chan Tai Man"))
_PERSON = (("C", "HK"), ("O", PERSONAL), ("OU", "0001234567"), ("CN", "CHAN TAI MAN"))
_OTHER_POLICY = issuing.known(
    x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier("1.2.3.4"), None)])
)
_SINCE = {"from_ms": None, "unknown": True}
_BEFORE_LISTED = LISTED_MS - 1_000

SAMPLES = (
    Sample("nothing wrong, Hong Kong", "", usual()),
    Sample("nothing wrong, Guangdong", "", under("gd")),
    # P01 and J01: the policy under whom.
    Sample("P01 J01: nobody lists the issuer", "P01 J01", under("unlisted")),
    Sample("P01: the issuer is listed, for no type", "P01", under("bare")),
    Sample("P01: one list has not got the type", "P01", usual(), lambda each: replace(each, types=each.types[1:])),
    Sample(
        "P01: a second before the type begins", "P01",
        usual(not_before_ms=_BEFORE_LISTED, not_after_ms=LISTED_MS + DAY_MS),
        _issuer("hk", from_ms=LISTED_MS - DAY_MS),
    ),
    Sample("not P01: the second in which it begins", "",
           usual(not_before_ms=LISTED_MS, not_after_ms=LISTED_MS + DAY_MS)),
    Sample("not P01: another policy under an unlisted issuer", "", lambda w: w.unlisted.issue(
        replace(w.profile(), extensions=(*(w.profile().extensions[i] for i in (0, 1, 2)), _OTHER_POLICY)))),
    Sample("not P01: nobody knows since when", "", usual(not_before_ms=_BEFORE_LISTED, not_after_ms=LISTED_MS + DAY_MS),
           lambda each: _issuer("hk", **_SINCE)(_type("hk-org", **_SINCE)(each)), both=True),
    Sample("J01: a jurisdiction outside the scheme", "J01", under("far")),
    # P02
    Sample("P02: a recognised type without the policy", "P02", lambda w: w.hk.issue(
        replace(w.profile(None, *_ORG), extensions=tuple(w.profile().extensions[i] for i in _NO_POLICY)))),
    Sample("not P02: another type without the policy", "", extended(*_NO_POLICY)),
    Sample("not P02: a recognised type with the policy", "", named(*_ORG)),
    # P04
    Sample("P04: organisational, and only a number", "P04", named(_ORG[0], _ORG[1], _ORG[3], _ORG[4])),
    Sample("P04: personal, and a company", "P04", named(*_PERSON[:3], ("CN", "SAMPLE TRADING LIMITED"))),
    Sample("P04: personal, and a company in Chinese", "P04", named(*_PERSON[:3], ("CN", "样例科技有限公司"))),
    Sample("P04: personal, with a second unit", "P04", named(*_PERSON[:3], ("OU", COMPANY), _PERSON[3])),
    Sample("not P04: personal", "", named(*_PERSON)),
    Sample("not P04: personal, and a name that only has the word", "", named(*_PERSON[:3], ("CN", "LIMITED CHAN TAI"))),
    Sample("not P04: no type that is known", "", named(("C", "HK"), ("O", "e-Cert (Personal)"), ("CN", COMPANY))),
    # P09
    Sample("P09: a second longer than three years and a day", "P09", valid(1097, 1_000)),
    Sample("not P09: three years of which one is a leap year, and a day", "", valid(1097)),
    Sample("P09: a second longer than the issuer", "P09", lambda w: w.old.issue(replace(
        w.profile(w.old), not_after_ms=NOW_MS + 30 * DAY_MS + 1_000,
        extensions=(*w.profile().extensions[:3], _OTHER_POLICY)))),
    Sample("not P09: as long as the issuer", "", lambda w: w.old.issue(replace(
        w.profile(w.old), not_after_ms=NOW_MS + 30 * DAY_MS, extensions=(*w.profile().extensions[:3], _OTHER_POLICY)))),
    Sample("not P09: a CA", "", lambda w: w.unlisted.certificate),
    # P10
    Sample("P10: RSA of 1024 bits", "P10", keyed(lambda w: w.rsa1024)),
    Sample("P10: a curve that is spelt out", "P10", keyed(lambda w: explicit(w.key.spki))),
    Sample("P10: a curve that is not allowed", "P10", keyed(
        lambda w: w.key.spki.replace(der.oid("1.2.840.10045.3.1.7"), der.oid("1.2.840.10045.3.1.6")))),
    Sample("not P10: P-384", "", keyed(lambda _: Key.generate("p384").spki)),
    Sample("not P10: RSA of 2048 bits", "", keyed(lambda _: Key.generate("rsa2048").spki)),
    # P11
    Sample("P11: SHA-1", "P11", signed(SHA1)),
    Sample("P11: MD5", "P11", signed(MD5)),
    Sample("P11: SHA-1 by RSA-PSS", "P11", signed(issuing.rsa_pss("1.3.14.3.2.26", salt=32))),
    Sample("not P11: SHA-1 a second before the cut-off date", "P01", signed(SHA1, 1_451_606_399_000)),
    Sample("P11: SHA-1 on the cut-off date", "P01 P11", signed(SHA1, 1_451_606_400_000)),
    Sample("not P11: SHA-256 by RSA-PSS", "", signed(issuing.ALGORITHMS["rsapss"])),
    # P13
    Sample("P13: signs and enciphers data", "P13", extended(0, 2, 3, 4, more=(issuing.key_usage(0x90),))),
    Sample("P13: signs and enciphers keys", "P13", extended(0, 2, 3, 4, more=(issuing.key_usage(0xE0),))),
    Sample("P13: enciphers only", "P13", extended(0, 2, 3, 4, more=(issuing.key_usage(0x38),))),
    Sample("not P13: a server's", "", extended(0, 2, 3, 4, more=(issuing.key_usage(0xA0), _SERVER))),
    Sample("not P13: signs and agrees on keys", "", extended(0, 2, 3, 4, more=(issuing.key_usage(0x88),))),
    Sample("not P13: says nothing", "", extended(0, 2, 3, 4)),
    # P16
    Sample("P16: zero", "P16", usual(serial=0)),
    Sample("P16: negative", "P16", usual(serial=-(1 << 70))),
    Sample("P16: 21 octets", "P16", usual(serial=1 << 161)),
    Sample("P16: 47 bits", "P16", usual(serial=(1 << 47) - 1)),
    Sample("not P16: 48 bits", "", usual(serial=1 << 47)),
    Sample("not P16: 20 octets", "", usual(serial=(1 << 159) - 1)),
    # P19
    Sample("P19: a DNS name with a space", "P19", extended(0, 1, 2, 3, 4, more=(alternative(0x82, b"a b.example"),))),
    Sample("P19: a DNS name with a NUL", "P19", extended(0, 1, 2, 3, 4, more=(alternative(0x82, b"a.hk\0.example"),))),
    Sample("P19: a country in UTF-8", "P19", _country(0x0C)),
    Sample("P19: a country of another jurisdiction", "P19", named(("C", "CN"), ("O", COMPANY))),
    Sample("not P19: a usual DNS name", "", extended(0, 1, 2, 3, 4, more=(alternative(0x82, b"*.example.hk"),))),
    Sample("not P19: no country", "", named(("O", COMPANY), ("CN", COMPANY))),
    # J03
    Sample("J03: withdrawn on that second", "J03", usual(), _issuer("hk", withdrawn_ms=NOW_MS)),
    Sample("not J03: withdrawn a second later", "", usual(), _issuer("hk", withdrawn_ms=NOW_MS + 1_000)),
    Sample("J03: suspended", "J03", usual(), lambda each: replace(each, suspended_issuers=frozenset({"hk"}))),
    Sample("J03: its type suspended", "J03", usual(),
           lambda each: replace(each, suspended_types=frozenset({("hk-org", "hk")}))),
    Sample("J03: ended", "J03 P01", usual(), _issuer("hk", to_ms=NOW_MS)),
    Sample("not J03: another CA is suspended", "", usual(),
           lambda each: replace(each, suspended_issuers=frozenset({"gd"}))),
    # What cannot be read
    Sample("UNPARSABLE: no certificate", "UNPARSABLE", lambda _: b"\x30\x03abc"),
    Sample("UNPARSABLE: extensions", "UNPARSABLE", extended(0, 1, 2, 3, 4, more=(b"\x31\x03abc",))),
    Sample("UNPARSABLE: a key usage", "UNPARSABLE", extended(0, 2, 3, 4, more=(
        issuing.extension(der.oid("2.5.29.15"), b"\xff\xff"),))),
    Sample("UNPARSABLE: a subject", "UNPARSABLE", usual(subject=b"\x30\x02\x31\x05")),
)  # fmt: skip
