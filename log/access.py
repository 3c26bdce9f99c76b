"""Who may do what: one pure decision, asked on every route (design section 5).

`RULES` is the whole of it, a table of action by resource. What the table does not name is refused. Heads,
hash tiles, proofs, issuers and lists are open to all, so that anyone can check the log; what is written into
it is open or for holders of a token, as the log is configured. Requests that prove themselves (a chain to a
listed issuer, a cosignature, a witness's proof) need no principal.
"""

from dataclasses import dataclass
from enum import StrEnum

from log.errors import Denied, Unauthenticated


class Role(StrEnum):
    """What a caller is known as."""

    ANONYMOUS = "anonymous"
    READER = "reader"  # bears a token
    GUARD = "guard"  # a configured monitor, by its signed push
    OPERATOR = "operator"


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
    TRUST_LIST = "trust-list"
    GOVERNANCE = "governance"  # genesis and actions, which prove themselves
    ENTRY = "entry"  # bodies: data tiles, entry bundles, get-entries
    SUBMISSION = "submission"  # add-chain, add-pre-chain
    OPEN = "open"  # entries of an open test log: a node has none unless its settings say `open_add`
    COSIGNATURE = "cosignature"  # add-cosignatures
    WITNESS = "witness"  # the other side's heads, for this node's cosignature
    GUARD = "guard"  # what monitors hold and push
    ADMIN = "admin"  # what only the operator does: clear a halt, reload lists


class Bodies(StrEnum):
    """To whom the entries of a log are shown."""

    PUBLIC = "public"
    TOKEN = "token"


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller, once its credential has been checked; the credential itself does not come here."""

    role: Role
    name: str = ""
    expires_ms: int | None = None  # from then on the credential counts for nothing


ANONYMOUS = Principal(Role.ANONYMOUS)


@dataclass(frozen=True, slots=True)
class Resource:
    """What is asked for; `bodies` is the setting of the log that an entry belongs to."""

    kind: Kind
    bodies: Bodies = Bodies.TOKEN


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


_ALL = frozenset(Role)
_TOKEN = frozenset({Role.READER, Role.GUARD, Role.OPERATOR})
_OPERATOR = frozenset({Role.OPERATOR})

# Who may; what is not here, nobody may. Entry bodies of a public log are everybody's to read: see `decide`.
RULES: dict[tuple[Action, Kind], frozenset[Role]] = {
    (Action.READ, Kind.STATUS): _ALL,
    (Action.READ, Kind.HEAD): _ALL,
    (Action.READ, Kind.HASHES): _ALL,
    (Action.READ, Kind.PROOF): _ALL,
    (Action.READ, Kind.ISSUER): _ALL,
    (Action.READ, Kind.TRUST_LIST): _ALL,
    (Action.READ, Kind.GOVERNANCE): _ALL,
    (Action.READ, Kind.ENTRY): _TOKEN,
    (Action.READ, Kind.WITNESS): _ALL,
    (Action.READ, Kind.ADMIN): _OPERATOR,
    (Action.WRITE, Kind.SUBMISSION): _ALL,
    (Action.WRITE, Kind.OPEN): _ALL,
    (Action.WRITE, Kind.GOVERNANCE): _ALL,
    (Action.WRITE, Kind.COSIGNATURE): _ALL,
    (Action.WRITE, Kind.WITNESS): _ALL,
    (Action.WRITE, Kind.GUARD): frozenset({Role.GUARD}),
    (Action.WRITE, Kind.ADMIN): _OPERATOR,
}


def decide(principal: Principal, action: Action, resource: Resource, now_ms: int) -> Decision:
    """Decide whether a caller may do this to that; `now_ms` is the time, milliseconds since 1970."""
    roles = RULES.get((action, resource.kind), frozenset())
    if (action, resource.kind) == (Action.READ, Kind.ENTRY) and resource.bodies is Bodies.PUBLIC:
        roles = _ALL
    expired = principal.expires_ms is not None and now_ms >= principal.expires_ms
    role = Role.ANONYMOUS if expired else principal.role
    restricted = roles != _ALL
    if role in roles:
        return Decision(True, restricted, "")
    if not roles:
        return Decision(False, restricted, f"nobody may {action} {resource.kind}")
    text = f"to {action} {resource.kind} takes a credential as {' or '.join(sorted(roles))}"
    if expired:
        text += ", and this one has expired"
    return Decision(False, restricted, text, unauthenticated=role is Role.ANONYMOUS)
