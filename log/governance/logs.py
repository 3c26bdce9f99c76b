"""Actions about nodes, logs, witnesses, guards, policies, and what is frozen or closed."""

import re
from typing import Any

from log.errors import Malformed
from log.formats.checkpoint import is_rehearsal
from log.formats.fields import identifier, members, parse_date, typed
from log.formats.note import KeyType, VKey, check_name
from log.formats.policy import Policy
from log.formats.text import b64decode
from log.governance.draft import Closing, Draft, GuardEntry, LogEntry, NodeEntry, Payload, WitnessEntry
from log.governance.kinds import Kind, Where

ALL_LOGS = "*"  # a policy for every log that has none of its own
ROOT_SIZE = 32

_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_URL = re.compile(r"https?://[^\s/?#]+(/[^\s?#]*)?")
_LOG_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_WITNESS_TYPES = frozenset({KeyType.COSIGNATURE, KeyType.MLDSA})


def _add_node(draft: Draft, payload: Payload, _effective_ms: int) -> None:
    fields = members(payload, "name", "side", "url", "authority", "witness")
    side = typed(fields["side"], str)
    node = NodeEntry(
        _name(fields["name"]),
        side and identifier(side),
        _url(fields["url"]),
        _line(fields["authority"]),
        _witness_key(fields["witness"]),
    )
    draft.nodes[node.name] = node
    draft.removed_nodes.discard(node.name)


def _remove_node(draft: Draft, payload: Payload, _effective_ms: int) -> None:
    draft.removed_nodes.add(_name(_because(payload, "name")["name"]))


def _add_log(draft: Draft, payload: Payload, _effective_ms: int) -> None:
    """A new log, or new keys of one: a shard of next year is a log with a window."""
    fields = members(payload, "origin", "node", "name", "family", "vkeys", "window")
    origin, name = _name(fields["origin"]), typed(fields["name"], str)
    if is_rehearsal(origin):
        raise Malformed("a rehearsal log is no log of governance: nothing there counts")
    vkeys = tuple(VKey.parse(typed(text, str)) for text in typed(fields["vkeys"], list))
    if any(vkey.name != origin for vkey in vkeys) or KeyType.ED25519 not in {vkey.type for vkey in vkeys}:
        raise Malformed("the keys of a log bear its origin, and one is of type 0x01")
    if not _LOG_NAME.fullmatch(name):
        raise Malformed("not the name of a log")
    draft.logs[origin] = LogEntry(
        origin, _name(fields["node"]), name, identifier(fields["family"]), vkeys, _window(fields["window"])
    )


def _close_log(draft: Draft, payload: Payload, _effective_ms: int) -> None:
    """End a log at this head. Of two closings the earlier head counts: nothing beyond it was agreed."""
    fields = _because(payload, "origin", "size", "root")
    size = typed(fields["size"], int)
    if size < 0:
        raise Malformed("a size is not negative")
    closing = Closing(size, b64decode(typed(fields["root"], str), ROOT_SIZE))
    origin = _name(fields["origin"])
    draft.closed[origin] = min(closing, draft.closed.get(origin, closing))


def _freeze_log(draft: Draft, payload: Payload, _effective_ms: int) -> None:
    draft.frozen_logs.add(_name(_because(payload, "origin")["origin"]))


def _unfreeze_log(draft: Draft, payload: Payload, _effective_ms: int) -> None:
    draft.frozen_logs.discard(_name(_because(payload, "origin")["origin"]))


def _freeze_issuer(draft: Draft, payload: Payload, _effective_ms: int) -> None:
    draft.frozen_issuers.add(_fingerprint(payload))


def _unfreeze_issuer(draft: Draft, payload: Payload, _effective_ms: int) -> None:
    draft.frozen_issuers.discard(_fingerprint(payload))


def _add_witness(draft: Draft, payload: Payload, _effective_ms: int) -> None:
    fields = members(payload, "name", "vkeys", "url")
    url = typed(fields["url"], str)
    keys = tuple(_witness_key(key) for key in typed(fields["vkeys"], list))
    if not keys:
        raise Malformed("a witness without a key")
    witness = WitnessEntry(_name(fields["name"]), keys, url and _url(url))
    draft.witnesses[witness.name] = witness
    draft.removed_witnesses.discard(witness.name)


def _remove_witness(draft: Draft, payload: Payload, _effective_ms: int) -> None:
    draft.removed_witnesses.add(_name(_because(payload, "name")["name"]))


def _add_guard(draft: Draft, payload: Payload, _effective_ms: int) -> None:
    fields = members(payload, "node", "name", "cosigner", "push")
    cosigner, push = VKey.parse(typed(fields["cosigner"], str)), VKey.parse(typed(fields["push"], str))
    if cosigner.type is not KeyType.COSIGNATURE or push.type is not KeyType.ED25519:
        raise Malformed("a guard cosigns by a key of type 0x04 and pushes by one of type 0x01")
    guard = GuardEntry(_name(fields["node"]), _name(fields["name"]), cosigner, push)
    draft.guards[guard.node, guard.name] = guard
    draft.removed_guards.discard((guard.node, guard.name))


def _remove_guard(draft: Draft, payload: Payload, _effective_ms: int) -> None:
    fields = _because(payload, "node", "name")
    draft.removed_guards.add((_name(fields["node"]), _name(fields["name"])))


def _policy(draft: Draft, payload: Payload, _effective_ms: int) -> None:
    """A tlog-policy in its canonical form, for one origin or for `*`."""
    fields = members(payload, "origin", "policy")
    origin, text = typed(fields["origin"], str), typed(fields["policy"], str)
    policy = Policy.parse(text)
    if policy.encode() != text:
        raise Malformed("policy with another spelling than the canonical one")
    draft.policies[origin if origin == ALL_LOGS else _name(origin)] = policy


def _because(payload: Any, *names: str) -> dict[str, Any]:
    fields = members(payload, *names, "reason")
    typed(fields["reason"], str)
    return fields


def _name(value: Any) -> str:
    text = typed(value, str)
    check_name(text)
    return text


def _line(value: Any) -> str:
    text = typed(value, str)
    if not text or any(char.isspace() for char in text):
        raise Malformed("a word expected")
    return text


def _url(value: Any) -> str:
    text = typed(value, str)
    if not _URL.fullmatch(text):
        raise Malformed("not an http or https URL")
    return text


def _fingerprint(payload: Any) -> str:
    text = typed(_because(payload, "fingerprint")["fingerprint"], str)
    if not _FINGERPRINT.fullmatch(text):
        raise Malformed("a fingerprint is a SHA-256 in hex")
    return text


def _witness_key(value: Any) -> VKey:
    vkey = VKey.parse(typed(value, str))
    if vkey.type not in _WITNESS_TYPES:
        raise Malformed("a witness's key is of type 0x04 or 0x06")
    return vkey


def _window(value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    dates = [parse_date(date) for date in typed(value, list)]
    if len(dates) != 2 or dates[0] >= dates[1]:
        raise Malformed("a window is two dates, the earlier first")
    return dates[0], dates[1]


KINDS = {
    "node-add": Kind(Where.JOINT, False, _add_node),
    "node-remove": Kind(Where.JOINT, True, _remove_node),
    "witness-add": Kind(Where.JOINT, False, _add_witness),
    "witness-remove": Kind(Where.JOINT, True, _remove_witness),
    "policy": Kind(Where.JOINT, False, _policy),
    "log-add": Kind(Where.ANY, False, _add_log),
    "log-close": Kind(Where.ANY, True, _close_log),
    "log-freeze": Kind(Where.ANY, True, _freeze_log),
    "log-unfreeze": Kind(Where.ANY, False, _unfreeze_log),
    "issuer-freeze": Kind(Where.ANY, True, _freeze_issuer),
    "issuer-unfreeze": Kind(Where.ANY, False, _unfreeze_issuer),
    "guard-add": Kind(Where.ANY, False, _add_guard),
    "guard-remove": Kind(Where.ANY, True, _remove_guard),
}
