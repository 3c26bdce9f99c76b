"""The trust list of one side: which issuers are listed, and which of their certificate types are recognised when.

`trustlist.json` is one canonical JSON object (`log.formats.jcs`); `trustlist.note`, beside it, a signed note:

    twinlog-trustlist/1
    <version>
    <base64 SHA-256 of trustlist.json>

There are two timelines, and both count: when a *type* of certificate is recognised, and when an *issuer*
issues it. One type may have several rows, one an issuer, since issuers were replaced while the type stayed
recognised. A date nobody knows is not invented: the row says `"unknown": true`. With no `from` it is the
beginning that is unknown, with a `from` and no `to` it is the end. What is known all the same: an issuer
cannot begin before its certificate does, and on the day the list was published its rows were as they stand.

Lists say what was recognised. They do not decide what is logged: see `log.certs.chain`.
"""

import datetime as dt
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from hashlib import sha256
from typing import Any, Protocol, Self, TypeVar

from log.certs import certificate, der
from log.crypto import notes
from log.errors import Malformed, PolicyNotMet, VerificationError
from log.formats import jcs
from log.formats.names import TRUSTLIST
from log.formats.note import Note, VKey
from log.formats.text import b64decode, b64encode, decimal, decode_lines

_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{64}")
_IDENTIFIER = re.compile(r"[a-z0-9][a-z0-9.-]{0,99}")
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MILLISECOND = dt.timedelta(milliseconds=1)

_T = TypeVar("_T")


class Status(StrEnum):
    """What a list says of something on a date, from the best to the worst."""

    LISTED = "listed"
    UNKNOWN = "unknown"  # the list does not know the day on which it began or ended
    OBSERVED = "observed"  # its certificates are logged; they are not recognised
    NOT_YET = "not-yet"
    ENDED = "ended"
    WITHDRAWN = "withdrawn"
    ABSENT = "absent"  # not on the list at all


_ORDER = list(Status)


def strictest(statuses: Iterable[Status]) -> Status:
    """Return the worst of several statuses that must all be good; `LISTED` for none."""
    return max(statuses, key=_ORDER.index, default=Status.LISTED)


class _Row(Protocol):
    """What the two kinds of rows have in common."""

    @property
    def from_ms(self) -> int | None: ...
    @property
    def to_ms(self) -> int | None: ...
    @property
    def unknown(self) -> bool: ...


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
        begins_ms = certificate.parse(self.certificate).not_before_ms
        status = _status(self, date_ms, published_ms, begins_ms)
        return strictest((status, Status.OBSERVED)) if self.observed else status


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


@dataclass(frozen=True)
class TrustList:
    """One version of one side's list."""

    version: int  # >= 1, rises by one or more
    published_ms: int
    issuers: tuple[Issuer, ...]
    types: tuple[CertType, ...]

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read `trustlist.json`; `Malformed` for anything that `encode` does not write."""
        fields = _fields(jcs.parse(data), "version", "published", "issuers", "types")
        trust_list = cls(
            _typed(fields["version"], int),
            _time(fields["published"]),
            tuple(_issuer(row) for row in _typed(fields["issuers"], list)),
            tuple(_type(row) for row in _typed(fields["types"], list)),
        )
        trust_list._check()
        if trust_list.encode() != data:
            raise Malformed("trust list: another spelling than the canonical one")
        return trust_list

    def encode(self) -> bytes:
        """Write `trustlist.json`; `Malformed` when the rows do not go together."""
        self._check()
        return jcs.encode(
            {
                "version": self.version,
                "published": _date(self.published_ms),
                "issuers": [_issuer_row(issuer) for issuer in self.issuers],
                "types": [_type_row(cert_type) for cert_type in self.types],
            }
        )

    def note_text(self) -> bytes:
        """Return the text that the list's signers sign."""
        return note_text(self.version, self.encode())

    def issuer(self, fingerprint: bytes) -> Issuer | None:
        """Return the row of the issuer with this certificate (SHA-256), or None."""
        return self._by_fingerprint.get(fingerprint)

    def issuer_status(self, fingerprint: bytes, date_ms: int) -> Status:
        """Say how an issuer (SHA-256 of its certificate) stood on a date; a withdrawn root takes it along."""
        issuer = self.issuer(fingerprint)
        return Status.ABSENT if issuer is None else self._path_status(issuer, date_ms)

    def type_status(self, type_id: str, date_ms: int, issuer: bytes | None = None) -> Status:
        """Say how a type stood on a date; with the SHA-256 of an issuer's certificate, as this issuer issues it."""
        rows = [row for row in self.types if row.id == type_id]
        if issuer is not None:
            listed = self.issuer(issuer)
            rows = [row for row in rows if listed is not None and row.issuer_id == listed.id]
        found = (
            strictest((row.status(date_ms, self.published_ms), self._path_status(self._by_id[row.issuer_id], date_ms)))
            for row in rows
        )
        return min(found, key=_ORDER.index, default=Status.ABSENT)

    def types_of(self, policies: Sequence[str], issuer: bytes) -> tuple[CertType, ...]:
        """Return the types that a certificate with these policies can be of, given who issued it (SHA-256)."""
        listed = self.issuer(issuer)
        return tuple(
            row
            for row in self.types
            if listed is not None and row.issuer_id == listed.id and not set(policies).isdisjoint(row.policy_oids)
        )

    def _path_status(self, issuer: Issuer, date_ms: int) -> Status:
        root = self._by_id[issuer.root_id]
        if root.withdrawn_ms is not None and date_ms >= root.withdrawn_ms:
            return Status.WITHDRAWN
        return issuer.status(date_ms, self.published_ms)

    @cached_property
    def _by_id(self) -> dict[str, Issuer]:
        return {issuer.id: issuer for issuer in self.issuers}

    @cached_property
    def _by_fingerprint(self) -> dict[bytes, Issuer]:
        return {sha256(issuer.certificate).digest(): issuer for issuer in self.issuers}

    def _check(self) -> None:
        """Raise `Malformed` unless the rows go together."""
        if self.version < 1:
            raise Malformed("trust list: versions begin at 1")
        if len(self._by_id) != len(self.issuers) or len(self._by_fingerprint) != len(self.issuers):
            raise Malformed("trust list: an issuer stands there twice")
        if len({(row.id, row.issuer_id) for row in self.types}) != len(self.types):
            raise Malformed("trust list: a type stands there twice under one issuer")
        for issuer in self.issuers:
            if issuer.root_id not in self._by_id:
                raise Malformed(f"trust list: {issuer.id} has a root that is not listed")
            certificate.parse(issuer.certificate)
            _check_dates(issuer)
        for cert_type in self.types:
            if cert_type.issuer_id not in self._by_id:
                raise Malformed(f"trust list: {cert_type.id} has an issuer that is not listed")
            for policy in cert_type.policy_oids:
                der.oid(policy)
            _check_dates(cert_type)


def recognised(hk: TrustList, gd: TrustList, type_id: str, date_ms: int, issuer: bytes | None = None) -> Status:
    """Say whether a type was mutually recognised on a date: the stricter of what both lists say."""
    return strictest(side.type_status(type_id, date_ms, issuer) for side in (hk, gd))


def note_text(version: int, data: bytes) -> bytes:
    """Return the text signed for these bytes of `trustlist.json`."""
    return f"{TRUSTLIST}\n{version}\n{b64encode(sha256(data).digest())}\n".encode()


def verify(data: bytes, note: bytes, signers: Sequence[VKey], threshold: int, in_use: int = 0) -> TrustList:
    """Read a list that `threshold` of its signers have signed; `in_use` is the version it is to replace.

    Raises `Malformed`; `BadSignature` for a line of a signer that does not verify; `PolicyNotMet` for too
    few; `VerificationError` when the note is about other bytes, or the version is lower than the one in use.
    """
    if not 1 <= threshold <= len(signers):
        raise AssertionError("a threshold from 1 to the number of signers")
    parsed = Note.parse(note)
    _, version, digest = _note_lines(parsed.text)
    signed = {verified.vkey.key for verified in notes.verify_note(parsed, signers)}
    if len(signed) < threshold:
        raise PolicyNotMet(f"trust list: {len(signed)} signatures where {threshold} must be")
    if b64decode(digest, 32) != sha256(data).digest():
        raise VerificationError("trust list: the note is about another file")
    trust_list = TrustList.parse(data)
    if decimal(version) != trust_list.version:
        raise VerificationError("trust list: note and file have different versions")
    if trust_list.version < in_use:
        raise VerificationError(f"trust list: version {trust_list.version} after version {in_use}")
    return trust_list


def _note_lines(text: bytes) -> list[str]:
    lines = decode_lines(text)
    if len(lines) != 3 or lines[0] != TRUSTLIST:
        raise Malformed("not the note of a trust list")
    return lines


# --- rows -----------------------------------------------------------------------------------------------------

_ISSUER_FIELDS = (
    *("id", "certificate", "root_id", "from", "to", "withdrawn", "reason", "observed"),
    *("source_url", "source_sha256", "weak_hash"),
)
_TYPE_FIELDS = ("id", "issuer_id", "name", "policy_oids", "jurisdiction", "from", "to")


def _issuer(row: Any) -> Issuer:
    fields = _fields(row, *_ISSUER_FIELDS, optional="unknown")
    source_sha256 = _typed(fields["source_sha256"], str)
    if source_sha256 and not _DIGEST.fullmatch(source_sha256):
        raise Malformed("trust list: source_sha256 is not a SHA-256 in hex")
    return Issuer(
        _identifier(fields["id"]),
        b64decode(_typed(fields["certificate"], str)),
        _identifier(fields["root_id"]),
        _time_or_none(fields["from"]),
        _time_or_none(fields["to"]),
        _time_or_none(fields["withdrawn"]),
        _typed(fields["reason"], str),
        _typed(fields["observed"], bool),
        _typed(fields["source_url"], str),
        source_sha256,
        _typed(fields["weak_hash"], bool),
        _typed(fields.get("unknown", False), bool),
    )


def _type(row: Any) -> CertType:
    fields = _fields(row, *_TYPE_FIELDS, optional="unknown")
    return CertType(
        _identifier(fields["id"]),
        _identifier(fields["issuer_id"]),
        _typed(fields["name"], str),
        tuple(_typed(policy, str) for policy in _typed(fields["policy_oids"], list)),
        _typed(fields["jurisdiction"], str),
        _time_or_none(fields["from"]),
        _time_or_none(fields["to"]),
        _typed(fields.get("unknown", False), bool),
    )


def _issuer_row(issuer: Issuer) -> dict[str, Any]:
    return {
        "id": issuer.id,
        "certificate": b64encode(issuer.certificate),
        "root_id": issuer.root_id,
        "from": _date_or_none(issuer.from_ms),
        "to": _date_or_none(issuer.to_ms),
        "withdrawn": _date_or_none(issuer.withdrawn_ms),
        "reason": issuer.reason,
        "observed": issuer.observed,
        "source_url": issuer.source_url,
        "source_sha256": issuer.source_sha256,
        "weak_hash": issuer.weak_hash,
        **({"unknown": True} if issuer.unknown else {}),
    }


def _type_row(cert_type: CertType) -> dict[str, Any]:
    return {
        "id": cert_type.id,
        "issuer_id": cert_type.issuer_id,
        "name": cert_type.name,
        "policy_oids": list(cert_type.policy_oids),
        "jurisdiction": cert_type.jurisdiction,
        "from": _date_or_none(cert_type.from_ms),
        "to": _date_or_none(cert_type.to_ms),
        **({"unknown": True} if cert_type.unknown else {}),
    }


def _check_dates(row: _Row) -> None:
    if row.from_ms is not None and row.to_ms is not None and row.from_ms >= row.to_ms:
        raise Malformed("trust list: a row that ends before it begins")
    if row.from_ms is None and not row.unknown:
        raise Malformed("trust list: a row without a beginning must say that it is unknown")
    if row.unknown and row.from_ms is not None and row.to_ms is not None:
        raise Malformed("trust list: a row with an unknown date has both")


def _fields(value: Any, *names: str, optional: str | None = None) -> dict[str, Any]:
    """Return an object that has exactly these members, and perhaps the optional one."""
    if not isinstance(value, dict) or value.keys() - {optional} != set(names):
        raise Malformed(f"trust list: an object with the members {', '.join(names)} expected")
    return value


def _typed(value: Any, kind: type[_T]) -> _T:
    if type(value) is not kind:  # to isinstance, True is an int
        raise Malformed(f"trust list: {kind.__name__} expected")
    return value


def _identifier(value: Any) -> str:
    text = _typed(value, str)
    if not _IDENTIFIER.fullmatch(text):
        raise Malformed(f"trust list: not an identifier: {text[:80]!r}")
    return text


def _time(value: Any) -> int:
    """Read a date as the list spells it, 2015-07-10T16:00:00Z, to milliseconds since 1970."""
    text = _typed(value, str)
    if not _DATE.fullmatch(text):
        raise Malformed(f"trust list: not a date: {text[:40]!r}")
    try:
        return (dt.datetime.fromisoformat(text) - _EPOCH) // _MILLISECOND
    except ValueError as e:
        raise Malformed(f"trust list: no such date: {text}") from e


def _time_or_none(value: Any) -> int | None:
    return None if value is None else _time(value)


def _date(timestamp_ms: int) -> str:
    moment = _EPOCH + timestamp_ms * _MILLISECOND
    if moment.microsecond:
        raise Malformed("trust list: dates are whole seconds")
    return moment.isoformat().replace("+00:00", "Z")


def _date_or_none(timestamp_ms: int | None) -> str | None:
    return None if timestamp_ms is None else _date(timestamp_ms)
