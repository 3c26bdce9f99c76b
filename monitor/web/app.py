"""The routers in one application: bodies are bounded, errors are two lines of text as a node's are.

Status texts and reasons: `Forbidden\nthe keys of … are not pinned here\n` (contract.md, "Answers of add-chain").
"""

import asyncio
from collections.abc import Iterable
from http import HTTPStatus

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from log.errors import (
    Denied,
    LogError,
    Malformed,
    NotFound,
    RateLimited,
    StorageError,
    TooLarge,
    Unauthenticated,
    Unavailable,
    VerificationError,
)

TEXT = "text/plain; charset=utf-8"
_STATUS = (  # what is of several kinds is of the first
    (TooLarge, 413),
    (RateLimited, 429),
    (Unauthenticated, 401),
    ((VerificationError, Denied), 403),
    (Malformed, 400),
    (NotFound, 404),
    ((StorageError, Unavailable), 503),
)


def make_app(routers: Iterable[APIRouter]) -> FastAPI:
    """Return the application. No page of documentation: `/openapi.json` says what there is."""
    app = FastAPI(title="Twinlog monitor", docs_url=None, redoc_url=None, redirect_slashes=False)
    for router in routers:
        app.include_router(router)
    app.add_exception_handler(HTTPException, _unknown)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(LogError, _ours)
    return app


async def body(request: Request, limit: int, deadline_s: float) -> bytes:
    """Return the body of a request; `TooLarge` as soon as it is over `limit` bytes, 408 when it drips for too long."""
    found = bytearray()
    try:
        async with asyncio.timeout(deadline_s):
            async for part in request.stream():
                found += part
                if len(found) > limit:
                    raise TooLarge(f"a body of over {limit} bytes")
    except TimeoutError as e:
        raise HTTPException(408, f"no whole body within {deadline_s:g} s") from e
    return bytes(found)


def answer(status: int, reason: str, headers: dict[str, str] | None = None) -> Response:
    """Return an error: the text of its status, then the reason."""
    return Response(f"{HTTPStatus(status).phrase}\n{reason}\n", status, headers, TEXT)


def _status(error: LogError) -> int:
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


async def _ours(_request: Request, error: Exception) -> Response:
    assert isinstance(error, LogError)  # noqa: S101 - by registration
    headers: dict[str, str] = {}
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, RateLimited):
        headers["Retry-After"] = "1"
    return answer(_status(error), str(error), headers)


async def _invalid(_request: Request, _error: Exception) -> Response:
    return answer(400, "a parameter that cannot be read")


async def _unknown(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - by registration
    reasons = {404: "nothing is at this path", 405: "not with this method"}
    reason = reasons.get(error.status_code, error.detail)
    return answer(error.status_code, reason, dict(error.headers or {}))
