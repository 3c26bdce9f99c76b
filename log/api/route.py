"""A route as data: where it lies, what answers it, what sort it is. Edge and FastAPI are made of these."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from log.access import Action, Kind
from log.api.limits import Lane
from log.api.metrics import Metrics
from log.api.reply import BINARY, CERTIFICATE, HTML, JSON, TEXT, Reply
from log.api.served import ServedLog, ServedNode
from log.errors import NotFound
from log.formats.action import SEQ_CONTENT_TYPE
from log.formats.submission import Submission
from log.formats.witness_request import SIZE_CONTENT_TYPE

_YEAR = re.compile(r"-[0-9]{4}")  # what the name of a shard has behind that of its series


class Call(msgspec.Struct, frozen=True):
    """One request, as far as handlers need it."""

    params: tuple[str, ...]  # what stands in the path for the pattern's names, in their order
    query: bytes
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes  # empty for GET
    restricted: bool  # not everybody may ask for this: no cache may keep the answer
    client: str = ""  # who sends this body, as `log.serving.clients` names it; "" for GET
    signed: Submission | None = None  # what a member signed; its digest is not yet held against the body


@dataclass(frozen=True, slots=True)
class Site:
    """What every handler works on: the node, and what HTTP itself has to show."""

    node: ServedNode
    metrics: Metrics
    openapi: Callable[[], Mapping[str, Any]]

    def log(self, name: str) -> ServedLog:
        """Return the log at `/<name>/`, or raise `NotFound`."""
        served = self.node.logs.get(name)
        if served is None:
            raise self.nowhere(name, "log")
        return served

    def nowhere(self, name: str, what: str) -> NotFound:
        """Return the error for a name that is no log's; where it is that of a series, it names the shards."""
        shards = [
            other for other in sorted(self.node.logs) if other.startswith(name) and _YEAR.fullmatch(other, len(name))
        ]
        hint = f"; its shards are {', '.join(shards)}" if shards else ""
        return NotFound(f"this node has no {what} of that name{hint}")


Handler = Callable[[Site, Call], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Sort:
    """What routes of one sort share."""

    action: Action  # what `access.decide` is asked about,
    kind: Kind  # of what
    lane: Lane
    produces: str = JSON  # content type of a 200
    consumes: str | None = None  # content type of a POST's body
    refuses: tuple[int, ...] = ()  # statuses beside 200 and those that any route may give
    says: tuple[tuple[int, str], ...] = ()  # content types of such statuses where plain text is not the only one
    query: tuple[str, ...] = ()  # names of query parameters that may be there,
    needs: tuple[str, ...] = ()  # and of those that must


@dataclass(frozen=True, slots=True, eq=False)  # compared and hashed by identity: there is one of each
class Route:
    """A method and a pattern as Starlette spells it: `{word}` is one segment, `{word:path}` all the rest."""

    method: str
    pattern: str
    handler: Handler
    sort: Sort


_READ, _WRITE = Action.READ, Action.WRITE

NOTE = Sort(_READ, Kind.HEAD, Lane.READ, TEXT)
TILE = Sort(_READ, Kind.HASHES, Lane.READ, BINARY)
ENTRIES = Sort(_READ, Kind.ENTRY, Lane.ENTRIES, BINARY)
ISSUER = Sort(_READ, Kind.ISSUER, Lane.READ, CERTIFICATE)
ROOTS = Sort(_READ, Kind.ISSUER, Lane.READ)
PROOF = Sort(_READ, Kind.PROOF, Lane.PROVE, TEXT, refuses=(202, 400), query=("leaf", "fingerprint", "head"))
STH = Sort(_READ, Kind.HEAD, Lane.READ)
CONSISTENCY = Sort(_READ, Kind.PROOF, Lane.PROVE, refuses=(400,), needs=("first", "second"))
BY_HASH = Sort(_READ, Kind.PROOF, Lane.PROVE, refuses=(400,), needs=("hash", "tree_size"))
RANGE = Sort(_READ, Kind.ENTRY, Lane.ENTRIES, refuses=(400,), needs=("start", "end"))
ENTRY_PROOF = Sort(_READ, Kind.ENTRY, Lane.ENTRIES, refuses=(400,), needs=("leaf_index", "tree_size"))
CHAIN = Sort(_WRITE, Kind.SUBMISSION, Lane.SUBMIT, consumes=JSON, refuses=(400, 410, 413, 415, 429))
OPEN = Sort(_WRITE, Kind.OPEN, Lane.SUBMIT, TEXT, BINARY, refuses=(400, 413, 415, 429))
GOVERNED = Sort(_READ, Kind.GOVERNANCE, Lane.READ, refuses=(400,))
ACTION = Sort(_READ, Kind.GOVERNANCE, Lane.PROVE, TEXT, refuses=(400,))
TO_GOVERN = Sort(
    *(_WRITE, Kind.GOVERNANCE, Lane.GOSSIP, TEXT, TEXT),
    refuses=(400, 409, 410, 413, 415),
    says=((409, SEQ_CONTENT_TYPE),),
)
EVENTS = Sort(_WRITE, Kind.EVENT, Lane.EVENTS, JSON, JSON, refuses=(400, 409, 410, 413, 415, 429))
EVENT = Sort(_READ, Kind.ENTRY, Lane.PROVE, TEXT, refuses=(202, 400), query=("head",))
RECORD = Sort(_READ, Kind.RECORD, Lane.READ, TEXT)
COSIGNED = Sort(_WRITE, Kind.COSIGNATURE, Lane.GOSSIP, TEXT, TEXT, refuses=(400, 409, 413, 415))
GUARD = Sort(_WRITE, Kind.GUARD, Lane.GOSSIP, JSON, TEXT, refuses=(400, 409, 413, 415))
TO_WITNESS = Sort(
    *(_WRITE, Kind.WITNESS, Lane.GOSSIP, TEXT, TEXT),
    refuses=(400, 409, 413, 415, 422),
    says=((409, SIZE_CONTENT_TYPE),),
)
FROM_WITNESS = Sort(_READ, Kind.WITNESS, Lane.READ, TEXT)
PAGE = Sort(_READ, Kind.STATUS, Lane.STATUS, HTML)
STATUS = Sort(_READ, Kind.STATUS, Lane.STATUS)
HEALTH = Sort(_READ, Kind.STATUS, Lane.STATUS, says=((503, JSON),))
COUNTERS = Sort(_READ, Kind.STATUS, Lane.STATUS, TEXT)
