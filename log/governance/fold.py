"""PURE: what holds on a date, out of the chains: each folded for itself, then put together.

An action holds from its `effective_ms` on. Within a chain the later seq has the last word. Between chains there is
no order: what a side says of its list, its members and its logs stands for itself, and where two chains speak of one
thing the stricter wins. Frozen, closed or removed by one is so for all, and a log whose keys two chains give
differently is no log.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from log.certs.trustlist import TrustList
from log.certs.trustlist_rows import CertType, Issuer
from log.formats.action import JOINT
from log.formats.genesis import Authorities, Genesis
from log.formats.note import VKey
from log.formats.policy import Policy
from log.governance.chains import KINDS, Chain, Chains, Signed, check_kind
from log.governance.draft import Closing, Draft, GuardEntry, LogEntry, Member, NodeEntry, WitnessEntry

_K = TypeVar("_K")
_V = TypeVar("_V")


@dataclass(frozen=True, slots=True)
class State:
    """Everything that holds on a date. Members are keyed by `<side>/<id>`, logs, freezes and closings by origin."""

    date_ms: int
    authorities: Mapping[str, Authorities]  # by side: the keys for the next action of its own chain
    trust_lists: Mapping[str, TrustList]  # by side
    members: Mapping[str, Member]
    suspended_members: frozenset[str]
    member_keys: Mapping[str, tuple[VKey, ...]]  # of those that are not suspended
    nodes: Mapping[str, NodeEntry]
    logs: Mapping[str, LogEntry]
    closed: Mapping[str, Closing]
    frozen_logs: frozenset[str]
    frozen_issuers: Mapping[str, frozenset[str]]  # by chain: SHA-256 of certificates, hex; `joint` freezes for all
    witnesses: Mapping[str, WitnessEntry]
    guards: Mapping[tuple[str, str], GuardEntry]  # by node and name
    policies: Mapping[str, Policy]  # by origin, `*` for the rest

    def freezes(self, side: str, fingerprint: str) -> bool:
        """Say whether a side's logs take nothing more from the issuer with this certificate (SHA-256, hex)."""
        return any(fingerprint in self.frozen_issuers.get(chain, ()) for chain in (side, JOINT))


def check_genesis(genesis: Genesis) -> None:
    """Raise `Malformed` unless everything that a genesis begins with can be read."""
    for chain, rows in genesis.initial.items():
        for row in rows:
            check_kind(row.type, chain, row.payload, genesis.created_ms)


def at(chains: Chains, date_ms: int) -> State:
    """Return what holds on a date, POSIX milliseconds."""
    genesis = chains.genesis
    drafts = {name: _draft(genesis, name, chain, date_ms) for name, chain in chains.chains.items()}
    sides = {side: drafts[side] for side in genesis.sides}
    members = {f"{side}/{each.id}": each for side, draft in sides.items() for each in draft.members.values()}
    suspended = frozenset(f"{side}/{each}" for side, draft in sides.items() for each in draft.suspended_members)
    every = drafts.values()
    return State(
        date_ms=date_ms,
        authorities={side: chains.authorities(side, chains.chains[side].next_seq)[0] for side in genesis.sides},
        trust_lists={side: _trust_list(draft, genesis.created_ms) for side, draft in sides.items()},
        members=members,
        suspended_members=suspended,
        member_keys={name: keys for name, keys in _keys(sides).items() if name in members and name not in suspended},
        nodes=_without(drafts[JOINT].nodes, drafts[JOINT].removed_nodes),
        logs=_agreed(draft.logs for draft in every),
        closed=_earliest(draft.closed for draft in every),
        frozen_logs=frozenset().union(*(draft.frozen_logs for draft in every)),
        frozen_issuers={name: frozenset(draft.frozen_issuers) for name, draft in drafts.items()},
        witnesses=_without(drafts[JOINT].witnesses, drafts[JOINT].removed_witnesses),
        guards=_without(
            _agreed(draft.guards for draft in every), set().union(*(draft.removed_guards for draft in every))
        ),
        policies=dict(drafts[JOINT].policies),
    )


def _draft(genesis: Genesis, name: str, chain: Chain, date_ms: int) -> Draft:
    draft = Draft()
    if genesis.created_ms <= date_ms:
        for row in genesis.initial[name]:
            KINDS[row.type].take(draft, row.payload, genesis.created_ms)
    for signed in chain.actions:
        _take(draft, signed, date_ms)
    for signed in chain.disputed:  # of which no order is sure, and none matters: restrictions only add
        if KINDS[signed.action.type].restricts:
            _take(draft, signed, date_ms)
    return draft


def _take(draft: Draft, signed: Signed, date_ms: int) -> None:
    action = signed.action
    if action.effective_ms <= date_ms:
        KINDS[action.type].take(draft, action.payload, action.effective_ms)


def _trust_list(draft: Draft, created_ms: int) -> TrustList:
    """Return the list as its newest version has it, with what was said of its rows since.

    A row that names an issuer which is not there says nothing yet, and is left out.
    """
    base = draft.trust_list or TrustList(1, created_ms, (), ())
    issuers = {**{each.id: each for each in base.issuers}, **draft.issuers}
    issuers = {key: each for key, each in issuers.items() if each.root_id in issuers}
    types = {**{(each.id, each.issuer_id): each for each in base.types}, **draft.types}
    return TrustList(
        base.version,
        base.published_ms,
        tuple(_withdrawn(each, draft.withdrawn_issuers.get(key)) for key, each in issuers.items()),
        tuple(_ended(each, draft.ended_types.get(key)) for key, each in types.items() if each.issuer_id in issuers),
        frozenset(draft.suspended_issuers),
        frozenset(draft.suspended_types),
    )


def _withdrawn(issuer: Issuer, since_ms: int | None) -> Issuer:
    if since_ms is None or (issuer.withdrawn_ms is not None and issuer.withdrawn_ms <= since_ms):
        return issuer
    return replace(issuer, withdrawn_ms=since_ms)


def _ended(cert_type: CertType, since_ms: int | None) -> CertType:
    if since_ms is None or (cert_type.to_ms is not None and cert_type.to_ms <= since_ms):
        return cert_type
    return replace(cert_type, to_ms=since_ms)


def _keys(sides: Mapping[str, Draft]) -> dict[str, tuple[VKey, ...]]:
    return {
        f"{side}/{member}": tuple(key for text, key in held.items() if (member, text) not in draft.revoked_keys)
        for side, draft in sides.items()
        for member, held in draft.keys.items()
    }


def _without(entries: Mapping[_K, _V], removed: Iterable[_K]) -> dict[_K, _V]:
    gone = set(removed)
    return {key: value for key, value in entries.items() if key not in gone}


def _agreed(said: Iterable[Mapping[_K, _V]]) -> dict[_K, _V]:
    """Return what no two chains say differently."""
    found: dict[_K, _V] = {}
    torn: set[_K] = set()
    for entries in said:
        for key, value in entries.items():
            if found.setdefault(key, value) != value:
                torn.add(key)
    return _without(found, torn)


def _earliest(said: Iterable[Mapping[str, Closing]]) -> dict[str, Closing]:
    found: dict[str, Closing] = {}
    for entries in said:
        for origin, closing in entries.items():
            found[origin] = min(closing, found.get(origin, closing))
    return found
