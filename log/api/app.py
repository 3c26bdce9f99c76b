"""The HTTP application: the cold routes, FastAPI around them and the hot ones, the edge in front of it all.

Every route, hot or cold, is one `Route` and runs in `Front.answer`. FastAPI finds the cold ones, describes
all of them, and says 404 and 405 to everything else.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from log.access import Bodies
from log.api import handlers_events as events
from log.api import handlers_governance as governance
from log.api import handlers_node as whole
from log.api import handlers_rfc6962 as rfc6962
from log.api import handlers_submit as submit
from log.api.auth import Credentials, Doorkeeper
from log.api.clients import Clients
from log.api.describe import operation, responses, summary
from log.api.edge import HOT, Asgi, Edge
from log.api.front import Front
from log.api.limits import HttpLimits
from log.api.metrics import Metrics
from log.api.reply import Reply
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
from log.api.vitals import Vitals
from log.sequencer.clock import Clock, SystemClock

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


def create_app(node: ServedNode, options: Options, clock: Clock | None = None, vitals: Vitals | None = None) -> Asgi:
    """Return the ASGI application that serves `node`; `vitals` are of the process around it."""
    # Documents are routes like all others, and each thing has one URL: nothing is redirected.
    app = FastAPI(title="Twinlog", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    now_ms = (clock or SystemClock()).wall_ms
    metrics = Metrics(node, vitals or Vitals(now_ms()))
    site = Site(node, metrics, app.openapi)

    def bodies(name: str) -> Bodies:
        """What a log that is not there hides is nothing: the handler says 404 to everybody."""
        hosted = node.logs.get(name)
        return Bodies.PUBLIC if hosted is None else hosted.bodies

    doorkeeper = Doorkeeper(options.credentials, bodies, now_ms)
    clients = Clients(behind_proxy=options.behind_proxy)
    front = Front((*COLD, *HOT), site, doorkeeper, clients, options.limits, Requests(options.slow_request_ms))
    for route in (*COLD, *HOT):
        app.add_api_route(
            route.pattern,
            _endpoint(front, route),
            methods=[route.method],
            summary=summary(route),
            operation_id=route.handler.__name__,
            responses=responses(route),
            openapi_extra=operation(route),
            response_class=Response,
        )
    _answer_the_rest(app, front)
    return Edge(front, app)


def _endpoint(front: Front, route: Route) -> Callable[[Request], Awaitable[Response]]:
    """Return what FastAPI calls for a route."""

    async def endpoint(request: Request) -> Response:
        params = tuple(request.path_params.values())
        return _response(await front.answer(route, params, request.scope, request.receive))

    return endpoint


def _answer_the_rest(app: FastAPI, front: Front) -> None:
    """Give 404 and 405, which Starlette finds, the form of all errors. HEAD and OPTIONS are ours to allow."""

    async def lost(_request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        allowed = (error.headers or {}).get("Allow")
        if allowed is None:
            return _response(front.lost(error.status_code, "nothing is at this path"))
        methods = ", ".join([*_with_head(allowed.split(", ")), "OPTIONS"])
        allow = (b"allow", methods.encode("ascii"))
        return _response(front.lost(error.status_code, f"this path takes {methods}", allow))

    app.add_exception_handler(HTTPException, lost)


def _with_head(methods: Sequence[str]) -> list[str]:
    return [*sorted(methods), *(["HEAD"] if "GET" in methods else [])]


def _response(reply: Reply) -> Response:
    response = Response(reply.body, reply.status)
    response.raw_headers = reply.head()
    return response
