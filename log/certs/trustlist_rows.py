"""The rows of a trust list: issuers and certificate types, each with its timeline, and how one stands on a date.

A date nobody knows is not invented: the row says `"unknown": true`. With no `from` it is the beginning that is
unknown, with a `from` and no `to` it is the end. What is known all the same: an issuer cannot begin before its
certificate does, and on the day the list was published its rows were as they stand.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any, Protocol, Self

from log.certs import certificate, der
from log.errors import Malformed
from log.formats.fields import encode_date_or_none, identifier, members, parse_date_or_none, typed
from log.formats.text import b64decode, b64encode

_DIGEST = re.compile(r"[0-9a-f]{64}")
_ISSUER_MEMBERS = (
    *("id", "certificate", "root_id", "from", "to", "withdrawn", "reason", "observed"),
    *("source_url", "source_sha256", "weak_hash"),
)
_TYPE_MEMBERS = ("id", "issuer_id", "name", "policy_oids", "jurisdiction", "from", "to")


class Status(StrEnum):
    """What a list says of something on a date, from the best to the worst."""

    LISTED = "listed"
    UNKNOWN = "unknown"  # the list does not know the day on which it began or ended
    OBSERVED = "observed"  # its certificates are logged; they are not recognised
    NOT_YET = "not-yet"
    ENDED = "ended"
    SUSPENDED = "suspended"  # by an action of governance, until another one lifts it
    WITHDRAWN = "withdrawn"
    ABSENT = "absent"  # not on the list at all


_ORDER = {status: place for place, status in enumerate(Status)}


def strictest(statuses: Iterable[Status]) -> Status:
    """Return the worst of several statuses that must all be good; `LISTED` for none."""
    return max(statuses, key=_ORDER.__getitem__, default=Status.LISTED)


def best(statuses: Iterable[Status]) -> Status:
    """Return the best of several statuses of which one good one is enough; `ABSENT` for none."""
    return min(statuses, key=_ORDER.__getitem__, default=Status.ABSENT)


class _Row(Protocol):
    """What the two kinds of rows have in common."""

    @property
    def from_ms(self) -> int | None: ...
    @property
    def to_ms(self) -> int | None: ...
    @property
    def unknown(self) -> bool: ...


@lru_cache(1024)
def begins_ms(data: bytes) -> int:
    """Return when a listed issuer's certificate begins: asked for each certificate under it."""
    return certificate.parse(data).not_before_ms


@dataclass(frozen=True, slots=True)
class Issuer:
    """A CA certificate on the list. Times are milliseconds since 1970, whole seconds; `to_ms` is exclusive."""

    id: str
    certificate: bytes  # DER
    root_id: str  # the issuer above all; of a root its own
    from_ms: int | None
    to_ms: int | None  # None: until further notice
    withdrawn_ms: int | None
    reason: str
    observed: bool
    source_url: str
    source_sha256: str  # hex digest of the page as it was read, "" when there is none
    weak_hash: bool  # SHA-1 signatures under it are admitted
    unknown: bool = False

    def status(self, date_ms: int, published_ms: int) -> Status:
        """Say how the issuer stood on a date, by a list that was published then."""
        if self.withdrawn_ms is not None and date_ms >= self.withdrawn_ms:
            return Status.WITHDRAWN
        status = _status(self, date_ms, published_ms, begins_ms(self.certificate))
        return strictest((status, Status.OBSERVED)) if self.observed else status

    @classmethod
    def of(cls, row: Any) -> Self:
        """Read a row, or raise `Malformed`."""
        fields = members(row, *_ISSUER_MEMBERS, optional="unknown")
        source_sha256 = typed(fields["source_sha256"], str)
        if source_sha256 and not _DIGEST.fullmatch(source_sha256):
            raise Malformed("source_sha256 is not a SHA-256 in hex")
        issuer = cls(
            identifier(fields["id"]),
            b64decode(typed(fields["certificate"], str)),
            identifier(fields["root_id"]),
            parse_date_or_none(fields["from"]),
            parse_date_or_none(fields["to"]),
            parse_date_or_none(fields["withdrawn"]),
            typed(fields["reason"], str),
            typed(fields["observed"], bool),
            typed(fields["source_url"], str),
            source_sha256,
            typed(fields["weak_hash"], bool),
            typed(fields.get("unknown", False), bool),
        )
        issuer.check()
        return issuer

    def row(self) -> dict[str, Any]:
        """Write the row as canonical JSON takes it."""
        return {
            "id": self.id,
            "certificate": b64encode(self.certificate),
            "root_id": self.root_id,
            "from": encode_date_or_none(self.from_ms),
            "to": encode_date_or_none(self.to_ms),
            "withdrawn": encode_date_or_none(self.withdrawn_ms),
            "reason": self.reason,
            "observed": self.observed,
            "source_url": self.source_url,
            "source_sha256": self.source_sha256,
            "weak_hash": self.weak_hash,
            **({"unknown": True} if self.unknown else {}),
        }

    def check(self) -> None:
        """Raise `Malformed` for a row that contradicts itself."""
        certificate.parse(self.certificate)
        _check_dates(self)


@dataclass(frozen=True, slots=True)
class CertType:
    """A type of certificate as one issuer issues it. `id` and `issuer_id` together are unique."""

    id: str
    issuer_id: str
    name: str
    policy_oids: tuple[str, ...]  # with dots; a certificate that names any of them may be of this type
    jurisdiction: str
    from_ms: int | None
    to_ms: int | None
    unknown: bool = False

    def status(self, date_ms: int, published_ms: int) -> Status:
        """Say how the type stood on a date, by a list that was published then."""
        return _status(self, date_ms, published_ms, None)

    @classmethod
    def of(cls, row: Any) -> Self:
        """Read a row, or raise `Malformed`."""
        fields = members(row, *_TYPE_MEMBERS, optional="unknown")
        cert_type = cls(
            identifier(fields["id"]),
            identifier(fields["issuer_id"]),
            typed(fields["name"], str),
            tuple(typed(policy, str) for policy in typed(fields["policy_oids"], list)),
            typed(fields["jurisdiction"], str),
            parse_date_or_none(fields["from"]),
            parse_date_or_none(fields["to"]),
            typed(fields.get("unknown", False), bool),
        )
        cert_type.check()
        return cert_type

    def row(self) -> dict[str, Any]:
        """Write the row as canonical JSON takes it."""
        return {
            "id": self.id,
            "issuer_id": self.issuer_id,
            "name": self.name,
            "policy_oids": list(self.policy_oids),
            "jurisdiction": self.jurisdiction,
            "from": encode_date_or_none(self.from_ms),
            "to": encode_date_or_none(self.to_ms),
            **({"unknown": True} if self.unknown else {}),
        }

    def check(self) -> None:
        """Raise `Malformed` for a row that contradicts itself."""
        for policy in self.policy_oids:
            der.oid(policy)
        _check_dates(self)


def _status(row: _Row, date_ms: int, published_ms: int, begins_ms: int | None) -> Status:
    """Place a date on a row's timeline; `begins_ms` is a time before which it cannot have begun."""
    if row.to_ms is not None and date_ms >= row.to_ms:
        return Status.ENDED
    if row.from_ms is None:
        if begins_ms is not None and date_ms < begins_ms:
            return Status.NOT_YET
        return Status.LISTED if date_ms >= published_ms else Status.UNKNOWN
    if date_ms < row.from_ms:
        return Status.NOT_YET
    if row.unknown:
        return Status.ENDED if date_ms >= published_ms else Status.UNKNOWN
    return Status.LISTED


def _check_dates(row: _Row) -> None:
    if row.from_ms is not None and row.to_ms is not None and row.from_ms >= row.to_ms:
        raise Malformed("a row that ends before it begins")
    if row.from_ms is None and not row.unknown:
        raise Malformed("a row without a beginning must say that it is unknown")
    if row.unknown and row.from_ms is not None and row.to_ms is not None:
        raise Malformed("a row with an unknown date has both")
