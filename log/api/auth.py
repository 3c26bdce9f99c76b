"""Who is calling, and whether they may: the bearer token of a request, and `access.decide` on every route.

A node knows tokens by their SHA-256 alone. Comparing takes the same time whatever was guessed, and a token
that is not known leaves its bearer anonymous: what is open to all stays open to them.

Guards have no token. Their push is signed, and only the node can tell by whom: it is let in as a guard's, and
`Node.hear_guard` denies whoever is none.
"""

import hmac
from collections.abc import Callable, Sequence
from hashlib import sha256

from log.access import ANONYMOUS, Action, Bodies, Kind, Principal, Resource, Role, decide

Fields = Sequence[tuple[bytes, bytes]]

_BY_ITS_BODY = {Kind.GUARD: Principal(Role.GUARD)}


class Doorkeeper:
    """Knows the tokens, and whom a request comes from."""

    def __init__(self, bodies: Bodies, tokens_sha256: Sequence[bytes], now_ms: Callable[[], int]) -> None:
        self.bodies = bodies
        self.now_ms = now_ms
        self._tokens_sha256 = tokens_sha256

    def principal(self, fields: Fields) -> Principal:
        """Return who the Authorization header says is calling (RFC 6750 section 2.1)."""
        if self._tokens_sha256:
            for name, value in fields:
                if name == b"authorization":
                    scheme, _, token = value.partition(b" ")
                    if scheme.lower() == b"bearer":
                        return self._bearer(sha256(token.strip()).digest())
        return ANONYMOUS

    def _bearer(self, digest: bytes) -> Principal:
        known = [hmac.compare_digest(digest, token) for token in self._tokens_sha256]
        return Principal(Role.READER, digest.hex()[:8]) if any(known) else ANONYMOUS


class Door:
    """The way to one action on one kind of resource."""

    def __init__(self, keeper: Doorkeeper, action: Action, kind: Kind) -> None:
        self._keeper = keeper
        self._action = action
        self._resource = Resource(kind, keeper.bodies)
        self._sender = _BY_ITS_BODY.get(kind)
        anonymous = decide(ANONYMOUS, action, self._resource, keeper.now_ms())
        # Anybody may pass, at any time: who has no credential has none that expires. So nobody need be asked.
        self.is_open = anonymous.allowed and not anonymous.restricted

    def admit(self, fields: Fields) -> bool:
        """Return whether what lies behind is restricted, for one who may pass; else raise `Denied`."""
        principal = self._sender or self._keeper.principal(fields)
        decision = decide(principal, self._action, self._resource, self._keeper.now_ms())
        decision.require()
        return decision.restricted
