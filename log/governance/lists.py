"""Actions about one side's trust list: whole versions, issuers and certificate types, each with its own timeline."""

from typing import Any

from log.certs.trustlist import TrustList
from log.certs.trustlist_rows import CertType, Issuer
from log.errors import Malformed
from log.formats.fields import identifier, members, typed
from log.governance.draft import Draft, Payload, TypeKey
from log.governance.kinds import Kind, Where


def _trust_list(draft: Draft, payload: Payload, _effective_ms: int) -> None:
    """Bring a version of the list whole. What was admitted one by one before is in it, or is no more."""
    draft.trust_list = TrustList.of(members(payload, "list")["list"])
    draft.issuers.clear()
    draft.types.clear()


def _admit_issuer(draft: Draft, payload: Payload, _effective_ms: int) -> None:
    issuer = Issuer.of(members(payload, "issuer")["issuer"])
    if issuer.observed:
        raise Malformed("an issuer that is only observed is brought by issuer-observe")
    draft.issuers[issuer.id] = issuer


def _observe_issuer(draft: Draft, payload: Payload, _effective_ms: int) -> None:
    issuer = Issuer.of(members(payload, "issuer")["issuer"])
    if not issuer.observed:
        raise Malformed("an issuer that is recognised is brought by ca-admit")
    draft.issuers[issuer.id] = issuer


def _suspend_issuer(draft: Draft, payload: Payload, _effective_ms: int) -> None:
    draft.suspended_issuers.add(_named(payload))


def _resume_issuer(draft: Draft, payload: Payload, _effective_ms: int) -> None:
    draft.suspended_issuers.discard(_named(payload))


def _withdraw_issuer(draft: Draft, payload: Payload, effective_ms: int) -> None:
    named = _named(payload)
    draft.withdrawn_issuers[named] = min(effective_ms, draft.withdrawn_issuers.get(named, effective_ms))


def _admit_type(draft: Draft, payload: Payload, _effective_ms: int) -> None:
    cert_type = CertType.of(members(payload, "type")["type"])
    draft.types[cert_type.id, cert_type.issuer_id] = cert_type


def _suspend_type(draft: Draft, payload: Payload, _effective_ms: int) -> None:
    draft.suspended_types.add(_named_type(payload))


def _resume_type(draft: Draft, payload: Payload, _effective_ms: int) -> None:
    draft.suspended_types.discard(_named_type(payload))


def _end_type(draft: Draft, payload: Payload, effective_ms: int) -> None:
    named = _named_type(payload)
    draft.ended_types[named] = min(effective_ms, draft.ended_types.get(named, effective_ms))


def _named(payload: Any) -> str:
    fields = members(payload, "id", "reason")
    typed(fields["reason"], str)
    return identifier(fields["id"])


def _named_type(payload: Any) -> TypeKey:
    fields = members(payload, "id", "issuer_id", "reason")
    typed(fields["reason"], str)
    return identifier(fields["id"]), identifier(fields["issuer_id"])


KINDS = {
    "trust-list": Kind(Where.SIDE, False, _trust_list),
    "ca-admit": Kind(Where.SIDE, False, _admit_issuer),
    "ca-suspend": Kind(Where.SIDE, True, _suspend_issuer),
    "ca-resume": Kind(Where.SIDE, False, _resume_issuer),
    "ca-withdraw": Kind(Where.SIDE, True, _withdraw_issuer),
    "issuer-observe": Kind(Where.SIDE, False, _observe_issuer),
    "type-admit": Kind(Where.SIDE, False, _admit_type),
    "type-suspend": Kind(Where.SIDE, True, _suspend_type),
    "type-resume": Kind(Where.SIDE, False, _resume_type),
    "type-withdraw": Kind(Where.SIDE, True, _end_type),
}
