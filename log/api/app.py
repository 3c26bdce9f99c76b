"""The HTTP application: the cold routes, FastAPI around them and the hot ones, the edge in front of it all.

Every route, hot or cold, is one `Route` and runs in `Front.answer`. FastAPI (`described`) finds the cold ones,
describes all of them, and says 404 and 405 to everything else.
"""

import asyncio
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from log.access import Bodies
from log.api import handlers_events as events
from log.api import handlers_governance as governance
from log.api import handlers_node as whole
from log.api import handlers_rfc6962 as rfc6962
from log.api import handlers_submit as submit
from log.api.auth import Credentials, Doorkeeper
from log.api.edge import HOT, Asgi, Edge, Send
from log.api.front import Front
from log.api.limits import HttpLimits, Receive
from log.api.metrics import Metrics
from log.api.requests import Requests
from log.api.route import (
    ACTION,
    CONSISTENCY,
    COSIGNED,
    COUNTERS,
    ENTRY_PROOF,
    EVENT,
    EVENTS,
    FROM_WITNESS,
    GOVERNED,
    GUARD,
    HEALTH,
    OPEN,
    PAGE,
    RANGE,
    RECORD,
    ROOTS,
    STATUS,
    STH,
    TO_GOVERN,
    TO_WITNESS,
    Route,
    Site,
)
from log.api.served import ServedNode
from log.sequencer.clock import Clock, SystemClock
from log.serving.clients import Clients
from log.serving.vitals import Vitals

if TYPE_CHECKING:
    from fastapi import FastAPI

COLD = (
    Route("GET", "/", whole.status_page, PAGE),
    Route("GET", "/.well-known/twinlog.json", whole.well_known, STATUS),
    Route("GET", "/healthz", whole.healthz, HEALTH),
    Route("GET", "/metrics", whole.metrics, COUNTERS),
    Route("GET", "/openapi.json", whole.openapi, STATUS),
    Route("POST", "/guard", whole.hear_guard, GUARD),
    Route("POST", "/witness/add-checkpoint", whole.witness_add, TO_WITNESS),
    Route("GET", "/witness/{origin_hash}/checkpoint", whole.witness_latest, FROM_WITNESS),
    Route("GET", "/{log}/log.v3.json", whole.log_v3, STATUS),
    Route("GET", "/{log}/ct/v1/get-roots", submit.get_roots, ROOTS),
    Route("GET", "/{log}/ct/v1/get-sth", rfc6962.get_sth, STH),
    Route("GET", "/{log}/ct/v1/get-sth-consistency", rfc6962.get_sth_consistency, CONSISTENCY),
    Route("GET", "/{log}/ct/v1/get-entries", rfc6962.get_entries, RANGE),
    Route("GET", "/{log}/ct/v1/get-entry-and-proof", rfc6962.get_entry_and_proof, ENTRY_PROOF),
    Route("GET", "/{log}/genesis", governance.genesis, GOVERNED),
    Route("GET", "/{log}/actions", governance.actions, GOVERNED),
    Route("GET", "/{log}/actions/{chain}", governance.chain, GOVERNED),
    Route("GET", "/{log}/action/{action}", governance.action, ACTION),
    Route("POST", "/{log}/add-action", governance.add_action, TO_GOVERN),
    Route("POST", "/{log}/add-cosignatures", submit.add_cosignatures, COSIGNED),
    Route("POST", "/{log}/add", submit.add_entry, OPEN),
    Route("POST", "/{log}/add-events", events.add_events, EVENTS),
    Route("GET", "/{log}/event/{sig_digest}", events.event, EVENT),
    Route("GET", "/{log}/record/{digest}", events.submission_record, RECORD),
)


@dataclass(frozen=True, slots=True)
class Options:
    """What the settings say of HTTP."""

    credentials: Credentials = field(default_factory=Credentials)  # by which members are known
    behind_proxy: bool = False  # X-Forwarded-For says who the client is
    limits: HttpLimits = field(default_factory=HttpLimits)
    slow_request_ms: int = 1000  # a request that took longer is a line in the log


class Later:
    """FastAPI's application, made when it is first needed; whoever comes meanwhile waits for it."""

    def __init__(self, make: "Callable[[], FastAPI]") -> None:
        self._make = make
        self._made: FastAPI | None = None
        self._making = asyncio.Lock()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve a request, as ASGI has it."""
        async with self._making:
            app = await asyncio.to_thread(self.made) if self._made is None else self._made
        await app(scope, receive, send)

    def made(self) -> "FastAPI":
        """Return the application, making it when it is the first time."""
        if self._made is None:
            self._made = self._make()
        return self._made

    def openapi(self) -> dict[str, Any]:
        """Return the description of all routes."""
        return self.made().openapi()


def create_app(node: ServedNode, options: Options, clock: Clock | None = None, vitals: Vitals | None = None) -> Asgi:
    """Return the ASGI application that serves `node`; `vitals` are of the process around it."""
    now_ms = (clock or SystemClock()).wall_ms
    metrics = Metrics(node, vitals or Vitals(now_ms()))

    def bodies(name: str) -> Bodies:
        """What a log that is not there hides is nothing: the handler says 404 to everybody."""
        hosted = node.logs.get(name)
        return Bodies.PUBLIC if hosted is None else hosted.bodies

    def describe() -> "FastAPI":
        from log.api import described  # noqa: PLC0415 - FastAPI takes longer to import than a node to start

        return described.describe((*COLD, *HOT), front)

    rest = Later(describe)
    site = Site(node, metrics, rest.openapi)
    doorkeeper = Doorkeeper(options.credentials, bodies, now_ms)
    clients = Clients(behind_proxy=options.behind_proxy)
    front = Front((*COLD, *HOT), site, doorkeeper, clients, options.limits, Requests(options.slow_request_ms))
    return Edge(front, rest)
