"""PURE: what is judged. A case is one certificate or precertificate, with all that a rule may ask.

A precertificate and its certificate have one *fold*: SHA-256 of the TBSCertificate less poison and SCT list, which is
what both entries speak of (RFC 6962 section 3.2). A hit is known by its rule and its fold.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from typing import Any, Protocol, TypeVar

from log.certs import certificate as certs
from log.certs.certificate import POISON, SCT_LIST, Certificate
from log.certs.precert import strip_poison, strip_sct_list
from log.certs.trustlist import TrustList
from log.certs.trustlist_rows import CertType, Status, strictest
from log.errors import Malformed
from log.formats.signature_event import Event
from log.formats.tile_leaf import PRECERT_ENTRY, TileLeaf
from monitor.rules import reading
from monitor.rules.limits import Limits
from monitor.rules.reading import Attribute

ISSUER_BYTES = 16_384  # of an issuer certificate that is kept parsed: real ones have one or two thousand
_Part = TypeVar("_Part")


class Lists(Protocol):
    """The trust lists of both sides."""

    def at(self, date_ms: int) -> Mapping[str, TrustList]:
        """Return each side's list as it speaks of a date: its newest version, with what was suspended then."""


@dataclass(frozen=True, slots=True)
class FixedLists:
    """Lists that speak of every date alike."""

    by_side: Mapping[str, TrustList] = field(default_factory=dict)

    def at(self, date_ms: int) -> Mapping[str, TrustList]:  # noqa: ARG002 - their rows have dates
        """Return them."""
        return self.by_side


@dataclass(frozen=True, slots=True)
class Place:
    """Where an entry stands."""

    origin: str
    index: int
    time_ms: int  # the leaf's


@dataclass(frozen=True, slots=True)
class Logged:
    """A certificate that is in the index."""

    origin: str
    index: int
    time_ms: int
    signs: bool  # whether its key usage lets signatures rest on it
    fold: bytes


@dataclass(frozen=True, slots=True)
class Use:
    """The first use of a certificate."""

    at_ms: int  # as the submitter claims; a whole minute
    origin: str  # of the event's leaf
    index: int


class Index(Protocol):
    """What was logged before. Digests are 32 bytes."""

    def same_serial(self, serial_key: bytes, fold: bytes) -> Logged | None:
        """Return another certificate of this issuer and serial, or None."""

    def logged(self, fingerprint: bytes) -> Logged | None:
        """Return the first entry of the certificate with this SHA-256, or None."""

    def logged_at(self, origin: str, index: int) -> Logged | None:
        """Return the certificate or precertificate at an index, or None."""

    def first_use(self, fingerprint: bytes) -> Use | None:
        """Return the first event that names the certificate, or None."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule that fires."""

    code: str
    text: str  # a sentence for people
    evidence: Mapping[str, Any]  # JSON: the fields that it rests on
    severity: str | None = None  # where it is not the rule's own
    about: bytes | None = None  # 32 bytes by which it is known, where that is not the certificate's fold


@dataclass(frozen=True)
class Case:
    """One certificate."""

    certificate: Certificate
    issuer_name: bytes  # Name, DER: of a precertificate, who will issue the certificate
    fold: bytes
    place: Place | None  # None for a certificate at hand
    precert: bool
    issuer: Certificate | None  # who issued it, or will; None where its certificate is not at hand
    issuer_digest: bytes | None  # SHA-256 of that certificate
    lists: Lists
    limits: Limits

    @cached_property
    def subject(self) -> tuple[Attribute, ...]:
        """The subject's attributes; empty when they cannot be read: `odd` says so."""
        return _or_empty(lambda: reading.attributes(self.certificate.subject))

    @cached_property
    def alternatives(self) -> tuple[tuple[int, bytes], ...]:
        """The names in subjectAltName; empty when they cannot be read."""
        return _or_empty(lambda: reading.alternatives(self.certificate))

    @cached_property
    def odd(self) -> tuple[str, ...]:
        """Say what of the certificate cannot be read."""
        certificate, found = self.certificate, list[str]()
        if certificate.extensions_error is not None:
            found.append(f"extensions: {certificate.extensions_error}")
        for part, look in _LOOKS:
            try:
                look(certificate)
            except Malformed as e:
                found.append(f"{part}: {e}")
        return tuple(found)

    @cached_property
    def usage(self) -> int | None:
        """The first eight bits of keyUsage, or None when there is none that can be read."""
        try:
            return reading.key_usage(self.certificate)
        except Malformed:
            return None

    @property
    def signs(self) -> bool:
        """Whether its key usage lets signatures rest on it."""
        return self.usage is None or bool(self.usage & (reading.DIGITAL_SIGNATURE | reading.NON_REPUDIATION))

    @cached_property
    def fingerprint(self) -> bytes:
        """SHA-256 of the certificate."""
        return self.certificate.fingerprint

    @property
    def serial_key(self) -> bytes:
        """SHA-256 of issuer and serial."""
        return sha256(self.issuer_name + self.certificate.serial).digest()

    @cached_property
    def then(self) -> Mapping[str, TrustList]:
        """The lists, as they speak of notBefore."""
        return self.lists.at(self.certificate.not_before_ms)

    @cached_property
    def recognition(self) -> tuple[str, ...]:
        """The policies of mutual recognition that the certificate names."""
        arc = self.limits.find("policy_arc", self.certificate.not_before_ms)
        return () if arc is None else tuple(p for p in self.certificate.policies if p.startswith(f"{arc.value}."))

    @property
    def standing(self) -> tuple[object, ...]:
        """All on which rest the rules about what the issuer may do, but for the names in the subject."""
        certificate, date_ms = self.certificate, self.certificate.not_before_ms
        sides = tuple([(name, side.identity, side.era(date_ms)) for name, side in self.then.items()])
        return self.issuer_digest, certificate.policies, certificate.is_ca, self.limits.on(date_ms), sides

    def types(self, side: TrustList) -> tuple[CertType, ...]:
        """Return the types that a list has under this certificate's issuer."""
        return () if self.issuer_digest is None else side.types_under(self.issuer_digest)

    def issuer_status(self) -> dict[str, Status]:
        """Say how the issuer stood at notBefore, by side."""
        digest, date_ms = self.issuer_digest, self.certificate.not_before_ms
        return {} if digest is None else {name: side.issuer_status(digest, date_ms) for name, side in self.then.items()}


@dataclass(frozen=True, slots=True)
class EventCase:
    """One event that names a certificate by its SHA-256."""

    event: Event
    place: Place
    lists: Lists
    limits: Limits


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An entry of which no certificate can be cut."""

    raw: bytes
    fold: bytes
    place: Place | None
    why: str


_LOOKS: tuple[tuple[str, Callable[[Certificate], object]], ...] = (  # what `odd` tries to read
    ("subject", lambda certificate: reading.attributes(certificate.subject)),
    ("issuer", lambda certificate: reading.attributes(certificate.issuer)),
    ("subjectAltName", reading.alternatives),
    ("keyUsage", reading.key_usage),
    ("extendedKeyUsage", reading.purposes),
    ("public key", lambda certificate: reading.key(certificate.spki)),
    ("signature algorithm", lambda certificate: reading.weak_hash(certificate.tbs_algorithm)),
)

Known = Mapping[bytes, bytes]  # issuer certificates, DER, by their SHA-256


def of_row(row: bytes, origin: str, known: Known, lists: Lists, limits: Limits) -> Case | Unreadable:
    """Make the case of a verified row of a log of certificates; `Malformed` for what is no row."""
    leaf = TileLeaf.parse(row)
    place = Place(origin, leaf.index, leaf.timestamp_ms)
    precert = leaf.entry_type == PRECERT_ENTRY
    raw = leaf.precert if precert else leaf.signed_entry
    try:
        certificate = certs.parse(raw)
        fold = sha256(leaf.signed_entry).digest() if precert else fold_of(certificate)
        name = _issuer_name(leaf.signed_entry) if precert else certificate.issuer
    except Malformed as e:
        return Unreadable(raw, sha256(raw).digest(), place, str(e))
    issuer, digest = _issuer(leaf.fingerprints, known)
    if digest is None and certificate.self_issued:  # a root, as itself
        issuer, digest = certificate, certificate.fingerprint
    if precert and leaf.issuer_key_hash and issuer is not None and issuer.is_precert_signing:
        issuer, digest = _issuer(leaf.fingerprints[1:], known)
    return Case(certificate, name, fold, place, precert, issuer, digest, lists, limits)


def at_hand(data: bytes, issuers: Sequence[bytes], lists: Lists, limits: Limits) -> Case | Unreadable:
    """Make the case of a certificate (DER) that is in no log, or in none that is known here; `issuers` may help."""
    try:
        certificate = certs.parse(data)
        fold = fold_of(certificate)
    except Malformed as e:
        return Unreadable(data, sha256(data).digest(), None, str(e))
    for other in issuers:
        try:
            issuer = certs.parse(other)
        except Malformed:
            continue
        if issuer.subject == certificate.issuer:
            return Case(
                certificate,
                certificate.issuer,
                fold,
                None,
                certificate.is_precert,
                issuer,
                issuer.fingerprint,
                lists,
                limits,
            )
    own = certificate if certificate.self_issued else None
    digest = None if own is None else own.fingerprint
    return Case(certificate, certificate.issuer, fold, None, certificate.is_precert, own, digest, lists, limits)


def fold_of(certificate: Certificate) -> bytes:
    """Return SHA-256 of a certificate's TBS less its poison or SCT list, if there is one that can be taken out."""
    tbs = certificate.tbs
    if (SCT_LIST in tbs or POISON in tbs) and certificate.extensions_error is None:
        if certificate.is_precert:
            tbs = strip_poison(tbs) if certificate.poison_valid else tbs
        elif sum(each.oid == SCT_LIST for each in certificate.extensions) == 1:
            tbs = strip_sct_list(tbs)
    return sha256(tbs).digest()


def with_suspensions(newest: TrustList, then: TrustList) -> TrustList:
    """Return a list with what was suspended at another time: that has no dates of its own."""
    if (newest.suspended_issuers, newest.suspended_types) == (then.suspended_issuers, then.suspended_types):
        return newest  # with all that it has looked up
    return replace(newest, suspended_issuers=then.suspended_issuers, suspended_types=then.suspended_types)


def status_of(statuses: Mapping[str, Status]) -> Status:
    """Return what counts of what the sides say: the stricter."""
    return strictest(statuses.values())


def _issuer_name(tbs: bytes) -> bytes:
    _, _, start, stop, *_ = certs.boundaries(tbs)
    return tbs[start:stop]


def _or_empty(look: Callable[[], tuple[_Part, ...]]) -> tuple[_Part, ...]:
    try:
        return look()
    except Malformed:
        return ()


@reading.remembered(1024, ISSUER_BYTES)
def _parsed(data: bytes) -> Certificate:
    return certs.parse(data)


def _issuer(fingerprints: Sequence[bytes], known: Known) -> tuple[Certificate | None, bytes | None]:
    if not fingerprints:
        return None, None
    data = known.get(fingerprints[0])
    try:
        return (None if data is None else _parsed(data)), fingerprints[0]
    except Malformed:
        return None, fingerprints[0]
