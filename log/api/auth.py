"""Who is calling, and whether they may: `access.decide` on every route, and what a caller shows for it.

Members sign their requests (`log.crypto.signed_requests`); to read, a bearer token does as well. A node knows tokens by
their SHA-256 alone. Comparing takes the same time whatever was guessed, and a token that is not known leaves its bearer
anonymous: what is open to all stays open to them. A signature that does not verify is 401 where it matters. Nothing but
a signature counts for a write, so that every write has a submission record.

Guards have neither. Their push is signed, and only the node can tell by whom: it is let in as a guard's, and
`log.node.pushes` denies whoever is none.
"""

import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from log.access import ANONYMOUS, MEMBERS, Action, Bodies, Kind, Principal, Resource, Role, decide
from log.authority import FixedMembers, Members
from log.crypto.signed_requests import RequestHead, is_signed, verify_head
from log.formats.names import READ_TAG, WRITE_TAG
from log.formats.note import VKey
from log.formats.submission import Submission

Fields = Sequence[tuple[bytes, bytes]]
Scope = Mapping[str, Any]

_BY_ITS_BODY = {Kind.GUARD: Principal(Role.GUARD)}
_OF_A_LOG = frozenset({Kind.ENTRY, Kind.RECORD})  # where it matters to whom a log shows its entries


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token, and for whom it stands."""

    role: Role
    side: str
    sha256: bytes  # 32 bytes
    expires_ms: int  # POSIX milliseconds

    @property
    def principal(self) -> Principal:
        return Principal(self.role, self.side, self.expires_ms)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What counts as a credential at one node."""

    side: str = ""  # the node's own
    authority: str = ""  # for which requests are signed (RFC 9421 section 2.2.3); nobody's signature counts without
    members: Members = field(default_factory=FixedMembers)
    max_created_skew_s: int = 300  # between a signature's `created` and the node's clock
    tokens: Sequence[Token] = ()


class Doorkeeper:
    """Knows who may come in by what."""

    def __init__(self, credentials: Credentials, bodies: Callable[[str], Bodies], now_ms: Callable[[], int]) -> None:
        """`bodies` says to whom the log of a name shows its entries."""
        self.side = credentials.side
        self.bodies = bodies
        self.now_ms = now_ms
        self._credentials = credentials

    def reader(self, scope: Scope) -> Principal:
        """Return who is calling to read: by a signature, or by a token (RFC 6750 section 2.1). `Unauthenticated`."""
        fields: Fields = scope["headers"]
        if is_signed(fields):
            return self.signer(scope, READ_TAG)[0]
        for name, value in fields:
            if name == b"authorization":
                scheme, _, token = value.partition(b" ")
                if scheme.lower() == b"bearer":
                    return self._bearer(sha256(token.strip()).digest())
        return ANONYMOUS

    def signer(self, scope: Scope, tag: str) -> tuple[Principal, Submission | None]:
        """Return who signed a request, and what; `Unauthenticated` for a signature that is not a member's."""
        fields: Fields = scope["headers"]
        if not is_signed(fields):
            return ANONYMOUS, None
        credentials, now_ms = self._credentials, self.now_ms()
        head = RequestHead(
            scope["method"],
            credentials.authority,
            scope["path"],
            scope["query_string"].decode("latin-1"),
            fields,
            has_body=tag == WRITE_TAG,
        )

        def keys(member: str) -> Sequence[VKey]:
            known = credentials.members.role(member, now_ms) in MEMBERS
            return credentials.members.keys(member, now_ms) if known else ()

        submission = verify_head(head, tag, keys, now_ms, credentials.max_created_skew_s)
        role = Role(credentials.members.role(submission.member, now_ms) or Role.ANONYMOUS)
        return Principal(role, submission.member.partition("/")[0]), submission

    def _bearer(self, digest: bytes) -> Principal:
        found = ANONYMOUS
        for token in self._credentials.tokens:  # all of them, whichever it is
            if hmac.compare_digest(digest, token.sha256):
                found = token.principal
        return found


class Door:
    """The way to one action on one kind of resource."""

    def __init__(self, keeper: Doorkeeper, action: Action, kind: Kind) -> None:
        self._keeper = keeper
        self._action = action
        self._kind = kind
        self._sender = _BY_ITS_BODY.get(kind)
        # Where anybody may pass, at any time: who has no credential has none that expires. So nobody need be asked.
        self._open = {bodies: self._is_open(bodies) for bodies in Bodies}
        self.is_open = all(self._open.values())

    def _is_open(self, bodies: Bodies) -> bool:
        decision = decide(ANONYMOUS, self._action, self._resource(bodies), self._keeper.now_ms())
        return decision.allowed and not decision.restricted

    def _resource(self, bodies: Bodies) -> Resource:
        return Resource(self._kind, bodies, self._keeper.side)

    def admit(self, params: Sequence[str], scope: Scope) -> tuple[bool, Submission | None]:
        """Return whether what lies behind is restricted, and what the caller signed; else raise `Denied`."""
        bodies = self._keeper.bodies(params[0]) if self._kind in _OF_A_LOG else Bodies.HOME_ONLY
        if self._open[bodies]:
            return False, None
        submission = None
        if self._sender is not None:
            principal = self._sender
        elif self._action is Action.READ:
            principal = self._keeper.reader(scope)
        else:
            principal, submission = self._keeper.signer(scope, WRITE_TAG)
        decision = decide(principal, self._action, self._resource(bodies), self._keeper.now_ms())
        decision.require()
        return decision.restricted, submission
