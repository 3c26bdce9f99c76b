"""The one function around every handler, whichever way the request came in.

    1. ask `access.decide` whether this caller may do this here, or answer 401 or 403
    2. read the body, counted while it comes, or answer 413
    3. take a place in the route's lane, or answer 503 (before 1, too, when none is free)
    4. call the handler, give the place back
    5. turn what it raised into the answer that the table in `errors` gives it
    6. count the answer, and log what an operator should know of (`requests`)

Whatever happens, the caller gets an answer in the form of all errors, and none of them tells what is inside.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from log.access import Kind
from log.api import exchange
from log.api.auth import Door, Doorkeeper
from log.api.errors import error_reply, status_of, text_reply, word_of
from log.api.limits import Bodies, HttpLimits, Lane, Places, Receive
from log.api.metrics import NO_ROUTE, Meter
from log.api.reply import Reply
from log.api.requests import REQUEST_ID, Requests
from log.api.route import Call, Handler, Route, Site
from log.errors import LogError
from log.serving.clients import Clients

Scope = Mapping[str, Any]

_SUBMITTED = frozenset({Kind.SUBMISSION, Kind.EVENT})


@dataclass(frozen=True, slots=True)
class _Desk:
    """Where one route is answered."""

    door: Door
    places: Places  # shared by the routes of a lane
    bodies: Bodies  # shared by the routes of a lane
    meter: Meter


class Front:
    """Answers requests that a route took, and those that none did."""

    def __init__(
        self,
        routes: Iterable[Route],
        site: Site,
        doorkeeper: Doorkeeper,
        clients: Clients,
        limits: HttpLimits,
        requests: Requests,
    ) -> None:
        self._site = site
        self._clients = clients
        self._requests = requests
        places = {lane: Places(lane, limits) for lane in Lane}
        bodies = {lane: Bodies(limits, lane) for lane in Lane}  # what is sent to one lane takes no room from another
        self._desks = {
            route: _Desk(
                Door(doorkeeper, route.sort.action, route.sort.kind),
                places[route.sort.lane],
                bodies[route.sort.lane],
                site.metrics.meter(route.method, route.pattern),
            )
            for route in routes
        }
        self._nowhere = site.metrics.meter(NO_ROUTE, NO_ROUTE)
        site.metrics.watch(places, bodies)

    async def answer(self, route: Route, params: tuple[str, ...], scope: Scope, receive: Receive) -> Reply:
        """Return the answer to a request that a route took. Raises nothing but cancellation."""
        started = time.perf_counter()
        desk = self._desks[route]
        requests = self._requests
        requests.number = number = requests.number + 1
        try:
            if desk.places.busy >= desk.places.limit:
                desk.places.refuse()
            headers = scope["headers"]
            restricted, signed = (False, None) if desk.door.is_open else desk.door.admit(params, scope)
            if route.method == "GET":
                call = Call(params, scope["query_string"], headers, b"", restricted)
                reply = await self._in_place(desk.places, route.handler, call)
            else:  # the body first: a place is for work, and whoever sends slowly holds up nobody
                client = self._clients.of(scope)
                body = await desk.bodies.read(headers, receive, client, scope.get(exchange.KEY))
                try:
                    call = Call(params, scope["query_string"], headers, body, restricted, client, signed)
                    reply = await self._in_place(desk.places, route.handler, call)
                finally:
                    desk.bodies.release(len(body), client)
        except LogError as error:
            reply = self._refusal(route, params, error, requests.id(number))
        except Exception:  # noqa: BLE001 - whatever it is, it is logged and the caller gets an answer
            reply = self._crash(route, requests.id(number))
        else:
            if reply.status >= 400:  # an error in the handler's own form: a witness's, of /healthz
                reply = Reply(reply.status, (*reply.headers, (REQUEST_ID, requests.id(number).encode())), reply.body)
        seconds = time.perf_counter() - started
        desk.meter.count(reply.status, seconds, len(reply.body))
        if seconds >= requests.notable_s:
            requests.tell(number, route, reply.status, seconds)
        return reply

    def lost(self, status: int, reason: str, *extra: tuple[bytes, bytes]) -> Reply:
        """Return the answer to a request that no route took."""
        self._nowhere.statuses[status] += 1
        self._requests.number += 1
        return text_reply(status, reason, *extra, (REQUEST_ID, self._requests.id(self._requests.number).encode()))

    async def _in_place(self, places: Places, handler: Handler, call: Call) -> Reply:
        if places.busy >= places.limit:
            places.refuse()
        places.busy += 1
        try:
            return await handler(self._site, call)
        finally:
            places.busy -= 1

    def _refusal(self, route: Route, params: tuple[str, ...], error: LogError, request_id: str) -> Reply:
        status = status_of(error)
        if status is None:
            return self._crash(route, request_id)
        if route.sort.kind in _SUBMITTED:
            reason = word_of(error)
            name = self._site.metrics.refused(params[0], reason)
            self._requests.refused(request_id, route, name, status, reason)
        return error_reply(error, status, (REQUEST_ID, request_id.encode()))

    def _crash(self, route: Route, request_id: str) -> Reply:
        """Log the exception being handled and return a 500 that says no more than where to look."""
        self._requests.failed(request_id, route)
        reason = f"an error of this node; its operator finds it under {request_id}"
        return text_reply(500, reason, (REQUEST_ID, request_id.encode()))
