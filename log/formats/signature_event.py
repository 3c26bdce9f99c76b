"""Events: that something was signed, sealed, revoked, without a word about who or what (design.md section 5).

An event is a canonical JSON object (RFC 8785). Its members are words of fixed lists (`event_codes`), identifiers
that the node finds in its lists, digests, OIDs, numbers and times to the minute; there is no free text. What
is absent has no member. All else about a person or a document is a commitment (`commitment`), in the object
`commitments` by its field.

    format, type, at, platform_jurisdiction                  in each event; `at` is when, as the submitter claims
    platform, city, channel, purpose, transfer_basis, …      circumstances, in any event
    ca, signer_jurisdiction, key_algorithm, …                of the certificate that signed, is shown, or is meant
    sig_digest, signature_algorithm, container, …            of the signature; `sig_digest` is SHA-256 of its value
    seal_kind, seal_version, seal_maker                      of the seal
    reason                                                   why it was revoked
    events                                                   leaves of the earlier events that this one speaks of

An organisation's certificate is named by its SHA-256 (`certificate`), and perhaps by the leaf that it is in
(`certificate_ref`), with its validity. A natural person's is committed to and nothing of these is there, because
each would be the same in all events of that person. The table of domain.md section 2.3 is where the members come from.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from log.errors import Malformed
from log.formats import event_codes as codes
from log.formats import jcs
from log.formats import text as txt
from log.formats.event_codes import EventType
from log.formats.fields import encode_minute, identifier, members, parse_minute, typed
from log.formats.names import EVENT
from log.formats.ref import HASH_SIZE, Ref

MAX_EVENT_BYTES = 8192  # the usual one has 700 to 1,000
MAX_POLICY_OIDS = 8
MAX_EVENT_REFS = 8
MAX_KEY_BITS = 65_536

_OID = re.compile(r"(?=.{3,80}\Z)[0-2](\.(0|[1-9][0-9]*))+")
_ORIGIN = re.compile(r"[a-z0-9][a-z0-9._:/-]{0,254}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event. What is None or empty is absent; `_REQUIRED` and `_OPTIONAL` say what a type has."""

    type: EventType
    at_ms: int  # POSIX milliseconds, whole minutes, as all times here
    platform_jurisdiction: str
    platform: str | None = None
    relying_jurisdiction: str | None = None
    city: str | None = None
    channel: str | None = None
    purpose: str | None = None
    transfer_basis: str | None = None
    ca: str | None = None  # its id in a trust list
    certificate_type: str | None = None  # that type's id there
    policy_oids: tuple[str, ...] = ()
    signer_jurisdiction: str | None = None
    key_algorithm: str | None = None
    key_bits: int | None = None
    certificate: bytes | None = None  # SHA-256
    not_before_ms: int | None = None
    not_after_ms: int | None = None
    certificate_ref: Ref | None = None
    signature_algorithm: str | None = None
    sig_digest: bytes | None = None  # SHA-256 of the signature's value
    container: str | None = None
    document_algorithm: str | None = None
    time_stamp_ms: int | None = None
    time_stamp_covers: str | None = None
    tsa: bytes | None = None  # SHA-256 of the time-stamping authority's certificate
    status: str | None = None  # of the certificate at signing
    status_source: str | None = None
    status_ms: int | None = None  # thisUpdate
    seal_kind: str | None = None
    seal_version: int | None = None
    seal_maker: bytes | None = None  # SHA-256 of the seal maker's certificate
    reason: str | None = None
    events: tuple[Ref, ...] = ()
    commitments: Mapping[str, bytes] = field(default_factory=dict)  # field -> 32 bytes

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read an event, or raise `Malformed`."""
        if len(data) > MAX_EVENT_BYTES:
            raise Malformed(f"event over {MAX_EVENT_BYTES} bytes")
        return cls.of(jcs.parse(data))

    def encode(self) -> bytes:
        return jcs.encode(self.to_json())

    @classmethod
    def of(cls, value: Any) -> Self:
        """Read an event as JSON that was parsed (by `jcs.parse`: of one spelling), or raise `Malformed`."""
        given = typed(value, dict)
        if given.get("format") != EVENT:
            raise Malformed("not an event of version 1")
        kind, names = _type(given.get("type")), given.keys() - {"format"}
        if missing := _REQUIRED[kind] - names:
            raise Malformed(f"{kind}: {min(missing)} is missing")
        if strange := names - _REQUIRED[kind] - _OPTIONAL[kind]:
            raise Malformed(f"{kind}: {min(strange)[:40]!r} does not belong here")
        event = cls(**{_BY_NAME[name].attribute: _BY_NAME[name].read(given[name]) for name in names})
        event._check(names)
        return event

    def to_json(self) -> dict[str, Any]:
        """Return the event as the object that `encode` writes."""
        given = ((member, getattr(self, member.attribute)) for member in _MEMBERS)
        return {"format": EVENT} | {m.name: m.write(value) for m, value in given if value not in (None, (), {})}

    @property
    def refs(self) -> tuple[Ref, ...]:
        """The leaves that the event speaks of, its certificate's first."""
        return self.events if self.certificate_ref is None else (self.certificate_ref, *self.events)

    def _check(self, given: set[str]) -> None:
        """Raise `Malformed` for members that do not go together; each by itself is one of its type."""
        for group in _TOGETHER:
            if given & group and not given >= group:
                raise Malformed(f"{self.type}: only together: {', '.join(sorted(group))}")
        if "tsa" in given and self.time_stamp_ms is None:
            raise Malformed("tsa: without a time-stamp")
        committed = self.commitments.keys()
        if "ca" in given and (self.certificate is None) != ("certificate" in committed):
            raise Malformed("a certificate is named by its SHA-256, or committed to")
        if self.certificate is None and given & _OF_ORGANISATIONS:
            raise Malformed(f"{min(given & _OF_ORGANISATIONS)}: only of a certificate that is named by its SHA-256")
        for name, member in (("document", "document_algorithm"), ("seal", "seal_kind")):
            if member in given and name not in committed:
                raise Malformed(f"{self.type}: without a commitment to its {name}")


class _Member(NamedTuple):
    name: str
    attribute: str
    read: Callable[[Any], Any]
    write: Callable[[Any], Any]


def _same(value: Any) -> Any:
    return value


def _word(words: frozenset[str]) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if typed(value, str) not in words:
            raise Malformed(f"not a word of its list: {str(value)[:40]!r}")
        return str(value)

    return read


_type_word = _word(frozenset(EventType))


def _type(value: Any) -> EventType:
    return EventType(_type_word(value))


def _digest(value: Any) -> bytes:
    return txt.b64decode(typed(value, str), HASH_SIZE)


def _key_bits(value: Any) -> int:
    if not 1 <= typed(value, int) <= MAX_KEY_BITS:
        raise Malformed("a key of so many bits is none")
    return int(value)


def _seal_version(value: Any) -> int:
    if typed(value, int) not in codes.SEAL_VERSIONS:
        raise Malformed("a seal of an unknown version")
    return int(value)


def _oids(value: Any) -> tuple[str, ...]:
    oids = tuple(typed(value, list))
    if not 1 <= len(oids) <= MAX_POLICY_OIDS or not all(_OID.fullmatch(typed(oid, str)) for oid in oids):
        raise Malformed(f"policy_oids: 1 to {MAX_POLICY_OIDS} OIDs with dots")
    return oids


def _ref(value: Any) -> Ref:
    ref = members(value, "origin", "index", "leaf_hash")
    if not _ORIGIN.fullmatch(typed(ref["origin"], str)) or typed(ref["index"], int) < 0:
        raise Malformed("not a reference to a leaf")
    return Ref(ref["origin"], ref["index"], _digest(ref["leaf_hash"]))


def _refs(value: Any) -> tuple[Ref, ...]:
    refs = tuple(_ref(item) for item in typed(value, list))
    if len(set(refs)) != len(refs) or not 1 <= len(refs) <= MAX_EVENT_REFS:
        raise Malformed(f"events: 1 to {MAX_EVENT_REFS} leaves, each once")
    return refs


def _refs_json(refs: tuple[Ref, ...]) -> list[dict[str, Any]]:
    return [ref.to_json() for ref in refs]


def _commitments(value: Any) -> dict[str, bytes]:
    given = typed(value, dict)
    if not given:
        raise Malformed("commitments: absent where there are none")
    if unknown := given.keys() - codes.COMMITTED:
        raise Malformed(f"nothing commits to {min(unknown)[:40]!r}")
    return {name: _digest(committed) for name, committed in given.items()}


def _commitments_json(commitments: Mapping[str, bytes]) -> dict[str, str]:
    return {name: txt.b64encode(committed) for name, committed in commitments.items()}


_MEMBERS = (
    _Member("type", "type", _type, str),
    _Member("at", "at_ms", parse_minute, encode_minute),
    _Member("platform_jurisdiction", "platform_jurisdiction", _word(codes.JURISDICTIONS), _same),
    _Member("platform", "platform", identifier, _same),
    _Member("relying_jurisdiction", "relying_jurisdiction", _word(codes.JURISDICTIONS), _same),
    _Member("city", "city", _word(codes.CITIES), _same),
    _Member("channel", "channel", _word(codes.CHANNELS), _same),
    _Member("purpose", "purpose", _word(codes.PURPOSES), _same),
    _Member("transfer_basis", "transfer_basis", _word(codes.TRANSFER_BASES), _same),
    _Member("ca", "ca", identifier, _same),
    _Member("certificate_type", "certificate_type", identifier, _same),
    _Member("policy_oids", "policy_oids", _oids, list),
    _Member("signer_jurisdiction", "signer_jurisdiction", _word(codes.JURISDICTIONS), _same),
    _Member("key_algorithm", "key_algorithm", _word(codes.KEY_ALGORITHMS), _same),
    _Member("key_bits", "key_bits", _key_bits, _same),
    _Member("certificate", "certificate", _digest, txt.b64encode),
    _Member("not_before", "not_before_ms", parse_minute, encode_minute),
    _Member("not_after", "not_after_ms", parse_minute, encode_minute),
    _Member("certificate_ref", "certificate_ref", _ref, Ref.to_json),
    _Member("signature_algorithm", "signature_algorithm", _word(codes.SIGNATURE_ALGORITHMS), _same),
    _Member("sig_digest", "sig_digest", _digest, txt.b64encode),
    _Member("container", "container", _word(codes.CONTAINERS), _same),
    _Member("document_algorithm", "document_algorithm", _word(codes.DOCUMENT_ALGORITHMS), _same),
    _Member("time_stamp", "time_stamp_ms", parse_minute, encode_minute),
    _Member("time_stamp_covers", "time_stamp_covers", _word(codes.TIME_STAMP_COVERS), _same),
    _Member("tsa", "tsa", _digest, txt.b64encode),
    _Member("status", "status", _word(codes.STATUSES), _same),
    _Member("status_source", "status_source", _word(codes.STATUS_SOURCES), _same),
    _Member("status_updated", "status_ms", parse_minute, encode_minute),
    _Member("seal_kind", "seal_kind", _word(codes.SEAL_KINDS), _same),
    _Member("seal_version", "seal_version", _seal_version, _same),
    _Member("seal_maker", "seal_maker", _digest, txt.b64encode),
    _Member("reason", "reason", _word(codes.REASONS), _same),
    _Member("events", "events", _refs, _refs_json),
    _Member("commitments", "commitments", _commitments, _commitments_json),
)

_BY_NAME = {member.name: member for member in _MEMBERS}

_ALWAYS = {"type", "at", "platform_jurisdiction"}
_CIRCUMSTANCES = {
    "platform", "relying_jurisdiction", "city", "channel", "purpose", "transfer_basis", "commitments",
}  # fmt: skip
_OF_ORGANISATIONS = {"not_before", "not_after", "certificate_ref"}
_CERTIFICATE = {"ca", "signer_jurisdiction", "key_algorithm"}
_MORE_OF_CERTIFICATE = {"certificate_type", "policy_oids", "key_bits", "certificate"} | _OF_ORGANISATIONS
_STATUS = {"status", "status_source", "status_updated"}
_TIME_STAMP = {"time_stamp", "time_stamp_covers"}
_SIGNATURE = {"sig_digest", "signature_algorithm", "container", "document_algorithm"}
_MORE_OF_SIGNATURE = _STATUS | _TIME_STAMP | {"tsa"}
_SEAL = {"seal_kind", "seal_version"}

_TOGETHER = (_STATUS, _TIME_STAMP, {"not_before", "not_after"})

_REQUIRED = {
    EventType.SIGN: _ALWAYS | _CERTIFICATE | _SIGNATURE,
    EventType.COUNTERSIGN: _ALWAYS | _CERTIFICATE | _SIGNATURE | {"events"},
    EventType.SEAL_ISSUE: _ALWAYS | _CERTIFICATE | _SEAL,
    EventType.SEAL_USE: _ALWAYS | _CERTIFICATE | _SIGNATURE | _SEAL,
    EventType.SEAL_REVOKE: _ALWAYS | _SEAL | {"reason"},
    EventType.CERTIFICATE_REVOCATION: _ALWAYS | _CERTIFICATE | {"reason"},
    EventType.PERSONAL_CERTIFICATE: _ALWAYS | _CERTIFICATE,
}
_OPTIONAL = {
    EventType.SIGN: _CIRCUMSTANCES | _MORE_OF_CERTIFICATE | _MORE_OF_SIGNATURE,
    EventType.COUNTERSIGN: _CIRCUMSTANCES | _MORE_OF_CERTIFICATE | _MORE_OF_SIGNATURE,
    EventType.SEAL_ISSUE: _CIRCUMSTANCES | _MORE_OF_CERTIFICATE | {"seal_maker", "sig_digest"},  # of its maker
    EventType.SEAL_USE: _CIRCUMSTANCES | _MORE_OF_CERTIFICATE | _MORE_OF_SIGNATURE | {"seal_maker", "events"},
    EventType.SEAL_REVOKE: _CIRCUMSTANCES | {"seal_maker", "events"},
    EventType.CERTIFICATE_REVOCATION: _CIRCUMSTANCES | _MORE_OF_CERTIFICATE,
    EventType.PERSONAL_CERTIFICATE: _CIRCUMSTANCES | {"certificate_type", "policy_oids", "key_bits"},
}
