"""PURE: a state as canonical JSON, for people, for export, and to compare two folds byte by byte."""

from collections.abc import Mapping
from typing import Any

from log.certs.trustlist import TrustList
from log.formats import jcs
from log.formats.fields import encode_date
from log.formats.note import VKey
from log.formats.text import b64encode
from log.governance.draft import LogEntry
from log.governance.fold import State


def encode(state: State) -> bytes:
    """Write everything that holds, in one spelling."""
    return jcs.encode(value(state))


def value(state: State) -> dict[str, Any]:
    """Return everything that holds as canonical JSON takes it."""
    return {
        "date": encode_date(state.date_ms - state.date_ms % 1000),
        "authorities": {side: each.value() for side, each in state.authorities.items()},
        "trust_lists": {side: _trust_list(each) for side, each in state.trust_lists.items()},
        "members": {
            key: {
                "name": member.name,
                "role": member.role,
                "suspended": key in state.suspended_members,
                "keys": _vkeys(state.member_keys.get(key, ())),
            }
            for key, member in state.members.items()
        },
        "nodes": {
            node.name: {
                "side": node.side,
                "url": node.url,
                "authority": node.authority,
                "witness": node.witness.encode(),
                "guards": {
                    guard.name: {"cosigner": guard.cosigner.encode(), "push": guard.push.encode()}
                    for guard in state.guards.values()
                    if guard.node == node.name
                },
            }
            for node in state.nodes.values()
        },
        "logs": {origin: _log(state, entry) for origin, entry in state.logs.items()},
        "witnesses": {
            witness.name: {"url": witness.url, "vkeys": _vkeys(witness.vkeys)} for witness in state.witnesses.values()
        },
        "frozen_logs": sorted(state.frozen_logs),
        "frozen_issuers": {chain: sorted(frozen) for chain, frozen in state.frozen_issuers.items()},
        "closed": {
            origin: {"size": closing.size, "root": b64encode(closing.root)} for origin, closing in state.closed.items()
        },
        "policies": {origin: policy.encode() for origin, policy in state.policies.items()},
    }


def _trust_list(listed: TrustList) -> Mapping[str, Any]:
    return {
        **listed.value(),
        "suspended_issuers": sorted(listed.suspended_issuers),
        "suspended_types": [list(key) for key in sorted(listed.suspended_types)],
    }


def _log(state: State, entry: LogEntry) -> dict[str, Any]:
    return {
        "node": entry.node,
        "name": entry.name,
        "family": entry.family,
        "vkeys": _vkeys(entry.vkeys),
        "window": None if entry.window is None else [encode_date(date) for date in entry.window],
        "closed": entry.origin in state.closed,
        "frozen": entry.origin in state.frozen_logs,
    }


def _vkeys(vkeys: tuple[VKey, ...]) -> list[str]:
    return sorted(vkey.encode() for vkey in vkeys)
