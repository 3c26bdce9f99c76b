"""Actions about members and the keys by which they sign what they write."""

from typing import Any

from log.access import MEMBERS
from log.errors import Malformed
from log.formats.fields import identifier, members, typed
from log.formats.names import SM2_COSIGNATURE
from log.formats.note import KeyType, VKey
from log.governance.draft import Draft, Member, Payload
from log.governance.kinds import Kind, Where


def _admit(draft: Draft, payload: Payload, _effective_ms: int) -> None:
    fields = members(payload, "id", "name", "role", "keys")
    member = Member(identifier(fields["id"]), typed(fields["name"], str), typed(fields["role"], str))
    if member.role not in MEMBERS:
        raise Malformed(f"a member's role is one of {', '.join(sorted(MEMBERS))}")
    keys = [_key(member.id, key) for key in typed(fields["keys"], list)]
    draft.members[member.id] = member
    draft.keys.setdefault(member.id, {}).update({key.encode(): key for key in keys})


def _suspend(draft: Draft, payload: Payload, _effective_ms: int) -> None:
    draft.suspended_members.add(_named(payload))


def _resume(draft: Draft, payload: Payload, _effective_ms: int) -> None:
    draft.suspended_members.discard(_named(payload))


def _register(draft: Draft, payload: Payload, _effective_ms: int) -> None:
    fields = members(payload, "member", "key")
    member = identifier(fields["member"])
    key = _key(member, fields["key"])
    draft.keys.setdefault(member, {})[key.encode()] = key


def _rotate(draft: Draft, payload: Payload, _effective_ms: int) -> None:
    """From one moment on the new key counts and the old one does not."""
    fields = members(payload, "member", "old", "new")
    member = identifier(fields["member"])
    old, new = _key(member, fields["old"]), _key(member, fields["new"])
    keys = draft.keys.setdefault(member, {})
    keys.pop(old.encode(), None)
    keys[new.encode()] = new


def _revoke(draft: Draft, payload: Payload, _effective_ms: int) -> None:
    """For ever: a key that was in the wrong hands is never registered again."""
    fields = members(payload, "member", "key", "reason")
    typed(fields["reason"], str)
    member = identifier(fields["member"])
    draft.revoked_keys.add((member, _key(member, fields["key"]).encode()))


def _named(payload: Any) -> str:
    fields = members(payload, "id", "reason")
    typed(fields["reason"], str)
    return identifier(fields["id"])


def _key(member: str, text: Any) -> VKey:
    """Read a member's key: Ed25519 (0x01), P-256 (0x02) or SM2 (0xff), named as the member is."""
    vkey = VKey.parse(typed(text, str))
    sm2 = vkey.type is KeyType.PRIVATE and vkey.key.startswith(SM2_COSIGNATURE)
    if vkey.type not in {KeyType.ED25519, KeyType.ECDSA} and not sm2:
        raise Malformed("a member's key is of type 0x01, 0x02, or SM2 under 0xff")
    if vkey.name != member:
        raise Malformed("a member's key bears the member's id as its name")
    return vkey


KINDS = {
    "member-admit": Kind(Where.SIDE, False, _admit),
    "member-suspend": Kind(Where.SIDE, True, _suspend),
    "member-resume": Kind(Where.SIDE, False, _resume),
    "key-register": Kind(Where.SIDE, False, _register),
    "key-rotate": Kind(Where.SIDE, False, _rotate),
    "key-revoke": Kind(Where.SIDE, True, _revoke),
}
