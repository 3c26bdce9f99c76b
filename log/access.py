"""Who may do what: one pure decision, asked on every route (design section 5).

`RULES` and `ENTRY_RULES` are the whole of it, tables of action by resource. What they do not name is refused. Heads,
hash tiles, proofs, issuers and governance are open to all, so that anyone can check the log; what is written into it
is read by members, by everybody, or by members of its own side, as the log is configured. Requests that prove
themselves (a chain to a listed issuer, a cosignature, a witness's proof, an action) need no principal.
"""

from dataclasses import dataclass
from enum import StrEnum

from log.errors import Denied, Unauthenticated


class Role(StrEnum):
    """What a caller is known as. Governance admits members by these words (`log.governance.parties`)."""

    ANONYMOUS = "anonymous"
    CA = "ca"
    PLATFORM = "platform"
    REGULATOR = "regulator"
    RELYING_PARTY = "relying-party"
    MONITOR = "monitor"
    OPERATOR = "operator"
    GUARD = "guard"  # a configured monitor, by its signed push


MEMBERS = frozenset(Role) - {Role.ANONYMOUS, Role.GUARD}


class Action(StrEnum):
    """What a caller wants to do."""

    READ = "read"
    WRITE = "write"


class Kind(StrEnum):
    """What a route serves or takes."""

    STATUS = "status"  # the page of the node, its description, health and metrics
    HEAD = "head"  # checkpoints, signed tree heads
    HASHES = "hashes"  # hash tiles
    PROOF = "proof"
    ISSUER = "issuer"  # issuer certificates, get-roots
    GOVERNANCE = "governance"  # genesis and actions, which prove themselves
    ENTRY = "entry"  # bodies: data tiles, entry bundles, get-entries
    SUBMISSION = "submission"  # add-chain, add-pre-chain
    OPEN = "open"  # entries of an open test log: a node has none unless its settings say `open_add`
    EVENT = "event"  # signature events, in signed requests
    RECORD = "record"  # what a member signed
    COSIGNATURE = "cosignature"  # add-cosignatures
    WITNESS = "witness"  # the other side's heads, for this node's cosignature
    GUARD = "guard"  # what monitors hold and push


class Bodies(StrEnum):
    """To whom the entries of a log are shown."""

    PUBLIC = "public"
    MEMBERS = "members"
    HOME_ONLY = "home-only"  # members of the node's own side


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller, once its credential has been checked; neither that nor its name comes here."""

    role: Role
    side: str = ""  # that let it in as a member; "" for whoever is none
    expires_ms: int | None = None  # from then on the credential counts for nothing


ANONYMOUS = Principal(Role.ANONYMOUS)


@dataclass(frozen=True, slots=True)
class Resource:
    """What is asked for. `bodies` is the setting of the log that it belongs to, `side` that of the node."""

    kind: Kind
    bodies: Bodies = Bodies.HOME_ONLY
    side: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether the caller may; `restricted` answers are sent `private, no-store`."""

    allowed: bool
    restricted: bool
    reason: str  # for people: what is missing
    unauthenticated: bool = False  # a credential would help: 401 instead of 403

    def require(self) -> None:
        """Raise `Unauthenticated` or `Denied` unless the caller may."""
        if not self.allowed:
            raise Unauthenticated(self.reason) if self.unauthenticated else Denied(self.reason)


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may: these roles, and of them only those of the node's own side where it says so."""

    roles: frozenset[Role]
    home: bool = False


_ALL = Rule(frozenset(Role))
_NOBODY = Rule(frozenset())
_AUDITORS = frozenset({Role.REGULATOR, Role.OPERATOR})

RULES: dict[tuple[Action, Kind], Rule] = {
    (Action.READ, Kind.STATUS): _ALL,
    (Action.READ, Kind.HEAD): _ALL,
    (Action.READ, Kind.HASHES): _ALL,
    (Action.READ, Kind.PROOF): _ALL,
    (Action.READ, Kind.ISSUER): _ALL,
    (Action.READ, Kind.GOVERNANCE): _ALL,
    (Action.READ, Kind.WITNESS): _ALL,
    (Action.WRITE, Kind.SUBMISSION): _ALL,
    (Action.WRITE, Kind.OPEN): _ALL,
    (Action.WRITE, Kind.GOVERNANCE): _ALL,
    (Action.WRITE, Kind.EVENT): Rule(frozenset({Role.CA, Role.PLATFORM}), home=True),
    (Action.WRITE, Kind.COSIGNATURE): _ALL,
    (Action.WRITE, Kind.WITNESS): _ALL,
    (Action.WRITE, Kind.GUARD): Rule(frozenset({Role.GUARD})),
}

# What depends on to whom a log shows its entries. Who signed is never shown to everybody.
ENTRY_RULES: dict[tuple[Kind, Bodies], Rule] = {
    (Kind.ENTRY, Bodies.PUBLIC): _ALL,
    (Kind.ENTRY, Bodies.MEMBERS): Rule(MEMBERS),
    (Kind.ENTRY, Bodies.HOME_ONLY): Rule(MEMBERS, home=True),
    (Kind.RECORD, Bodies.PUBLIC): Rule(_AUDITORS),
    (Kind.RECORD, Bodies.MEMBERS): Rule(_AUDITORS),
    (Kind.RECORD, Bodies.HOME_ONLY): Rule(_AUDITORS, home=True),
}


def rule(action: Action, resource: Resource) -> Rule:
    """Return who may do this to that."""
    if action is Action.READ and resource.kind in {Kind.ENTRY, Kind.RECORD}:
        return ENTRY_RULES.get((resource.kind, resource.bodies), _NOBODY)
    return RULES.get((action, resource.kind), _NOBODY)


def decide(principal: Principal, action: Action, resource: Resource, now_ms: int) -> Decision:
    """Decide whether a caller may do this to that; `now_ms` is the time, milliseconds since 1970."""
    applied = rule(action, resource)
    expired = principal.expires_ms is not None and now_ms >= principal.expires_ms
    role = Role.ANONYMOUS if expired else principal.role
    restricted = applied != _ALL
    at_home = not applied.home or (principal.side == resource.side and bool(resource.side))
    if role in applied.roles and at_home:
        return Decision(True, restricted, "")
    if not applied.roles:
        return Decision(False, restricted, f"nobody may {action} {resource.kind}")
    credential = "a bearer token or a signed request" if action is Action.READ else "a signed request"
    text = f"to {action} this ({resource.kind}) takes {credential}, as {' or '.join(sorted(applied.roles))}"
    if applied.home:
        text += " of this node's own side"
    if expired:
        text += ", and this one has expired"
    return Decision(False, restricted, text, unauthenticated=role is Role.ANONYMOUS)
