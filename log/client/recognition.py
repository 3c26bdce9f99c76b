"""PURE: what both sides' trust lists say of a certificate on a date (design section 5).

Admission to a log is not recognition, and an SCT implies none. A certificate is mutually recognised where every side
lists a type that it can be of, as issued by its issuer; what each side says is shown beside it, also where they differ.
The issuer is the listed one whose key signed the certificate: a name alone makes nobody an issuer.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce

from log.certs import certificate
from log.certs.certificate import Certificate
from log.certs.trustlist import TrustList
from log.certs.trustlist_rows import Issuer, Status, best, strictest
from log.crypto import suites
from log.errors import LogError


@dataclass(frozen=True, slots=True)
class Said:
    """What one side says."""

    side: str
    issuer_id: str  # in the list of that side; "" when it lists no issuer of this certificate
    issuer: Status
    types: Mapping[str, Status]  # by id: those that the certificate's policies name


@dataclass(frozen=True, slots=True)
class Recognition:
    """What all sides say on one date, and what that makes together."""

    date_ms: int
    sides: tuple[Said, ...]

    @property
    def mutual(self) -> Status:
        """Return the best that all sides say of one type; `ABSENT` when no type is on every list."""
        common = reduce(frozenset.intersection, (frozenset(said.types) for said in self.sides)) if self.sides else ()
        return best(strictest(said.types[each] for said in self.sides) for each in common)


def recognition(der: bytes, lists: Mapping[str, TrustList], date_ms: int) -> Recognition:
    """Return what the lists of all sides say of a certificate on a date, POSIX milliseconds; `Malformed` for no DER."""
    subject = certificate.parse(der)
    return Recognition(date_ms, tuple(_said(side, subject, listed, date_ms) for side, listed in lists.items()))


def _said(side: str, subject: Certificate, listed: TrustList, date_ms: int) -> Said:
    issuers = list(_issuers(subject, listed))
    found = [(each, listed.issuer_status(_fingerprint(each), date_ms)) for each in issuers]
    if not found:
        return Said(side, "", Status.ABSENT, {})
    issuer, status = min(found, key=lambda pair: list(Status).index(pair[1]))
    types: dict[str, Status] = {}
    for each in issuers:
        for row in listed.types_of(subject.policies, _fingerprint(each)):
            said = listed.type_status(row.id, date_ms, _fingerprint(each))
            types[row.id] = best((said, types.get(row.id, said)))
    return Said(side, issuer.id, status, types)


def _issuers(subject: Certificate, listed: TrustList) -> Iterator[Issuer]:
    """Yield the listed issuers that signed a certificate: one key may stand in several certificates."""
    for row in listed.issuers:
        issuer = certificate.parse(row.certificate)
        if issuer.subject == subject.issuer and _signed(subject, issuer):
            yield row


def _signed(subject: Certificate, issuer: Certificate) -> bool:
    try:
        suites.load_issuer_key(issuer.spki).verify(subject.signature_algorithm, subject.tbs, subject.signature)
    except LogError:  # wrong, or by an algorithm that nobody recognises
        return False
    return True


def _fingerprint(row: Issuer) -> bytes:
    return certificate.parse(row.certificate).fingerprint
