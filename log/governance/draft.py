"""What one chain has said up to a date, while it is being folded.

Suspensions, freezes and the like are kept as sets beside what they are about, not inside it: what restricts holds
whether or not its subject is there yet, so no action can fail for want of another.
"""

from dataclasses import dataclass, field
from typing import Any

from log.certs.trustlist import TrustList
from log.certs.trustlist_rows import CertType, Issuer
from log.formats.note import VKey
from log.formats.policy import Policy

TypeKey = tuple[str, str]  # id of a certificate type, id of the issuer that issues it


@dataclass(frozen=True, slots=True)
class Member:
    """Whoever may write or read more than the public: a CA, a platform, a regulator, …"""

    id: str
    name: str  # for people
    role: str


@dataclass(frozen=True, slots=True)
class NodeEntry:
    """A node. `side` is "" for one that has no authorities here."""

    name: str
    side: str
    url: str
    authority: str  # the `@authority` that requests to it are signed for (RFC 9421 section 2.2.3)
    witness: VKey


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A log: its identity, where it lies, and for which notAfter it takes certificates."""

    origin: str
    node: str
    name: str  # path under the node's URL
    family: str
    vkeys: tuple[VKey, ...]
    window: tuple[int, int] | None  # POSIX milliseconds, from (inclusive) and to (exclusive)


@dataclass(frozen=True, slots=True)
class WitnessEntry:
    """A witness outside the nodes."""

    name: str
    vkeys: tuple[VKey, ...]
    url: str  # "" when nobody feeds it


@dataclass(frozen=True, slots=True)
class GuardEntry:
    """A monitor that guards a node."""

    node: str
    name: str
    cosigner: VKey
    push: VKey


@dataclass(frozen=True, slots=True, order=True)
class Closing:
    """The head with which a log ended."""

    size: int
    root: bytes


@dataclass(slots=True)
class Draft:
    """Everything one chain can say."""

    trust_list: TrustList | None = None  # the newest version that was brought whole
    issuers: dict[str, Issuer] = field(default_factory=dict)  # admitted one by one since
    types: dict[TypeKey, CertType] = field(default_factory=dict)
    suspended_issuers: set[str] = field(default_factory=set)
    suspended_types: set[TypeKey] = field(default_factory=set)
    withdrawn_issuers: dict[str, int] = field(default_factory=dict)  # since when
    ended_types: dict[TypeKey, int] = field(default_factory=dict)
    members: dict[str, Member] = field(default_factory=dict)
    suspended_members: set[str] = field(default_factory=set)
    keys: dict[str, dict[str, VKey]] = field(default_factory=dict)  # by member, by vkey text
    revoked_keys: set[tuple[str, str]] = field(default_factory=set)
    nodes: dict[str, NodeEntry] = field(default_factory=dict)
    removed_nodes: set[str] = field(default_factory=set)
    logs: dict[str, LogEntry] = field(default_factory=dict)
    closed: dict[str, Closing] = field(default_factory=dict)
    witnesses: dict[str, WitnessEntry] = field(default_factory=dict)
    removed_witnesses: set[str] = field(default_factory=set)
    guards: dict[tuple[str, str], GuardEntry] = field(default_factory=dict)  # by node and name
    removed_guards: set[tuple[str, str]] = field(default_factory=set)
    frozen_logs: set[str] = field(default_factory=set)  # origins
    frozen_issuers: set[str] = field(default_factory=set)  # SHA-256 of their certificates, hex
    policies: dict[str, Policy] = field(default_factory=dict)  # by origin; "*" for all logs without their own


Payload = dict[str, Any]
