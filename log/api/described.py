"""FastAPI around all routes: it finds the cold ones, says 404 and 405 to everything else, and describes all in OpenAPI.

The only file that knows FastAPI. Importing that takes longer than all else that a node does to start, so `app` reads
this file when the first request needs it.
"""

from collections.abc import Awaitable, Callable, Sequence

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from log.api.describe import operation, responses, summary
from log.api.front import Front
from log.api.reply import Reply
from log.api.route import Route


def describe(routes: Sequence[Route], front: Front) -> FastAPI:
    """Return the application that gives each of these routes to `front`."""
    # Documents are routes like all others, and each thing has one URL: nothing is redirected.
    app = FastAPI(title="Twinlog", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    for route in routes:
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
    return app


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
