"""From an error to its answer: one table, the drawing in `log.errors` as status codes.

The body is plain text, the status in words on the first line and the reason on the second, as CT clients
expect. It never has Cache-Control or Content-Encoding: a cache that keeps a tile for a week must not keep
its 404 as long.
"""

import re
from http import HTTPStatus

from log import errors
from log.api.reply import TEXT, Headers, Reply, headers

STATUS: dict[type[errors.LogError], int] = {
    errors.Malformed: 400,
    errors.Refused: 400,
    errors.TooLarge: 413,
    errors.UnknownCoding: 415,
    errors.Closed: 410,
    errors.RateLimited: 429,
    errors.Unavailable: 503,
    errors.Denied: 403,
    errors.Unauthenticated: 401,
    errors.Conflict: 409,
    errors.NotFound: 404,
    errors.NotYet: 202,
    errors.StoreFailed: 503,
}

# What these say is for the operator's log; the public gets a sentence.
UNSPOKEN: dict[type[errors.LogError], str] = {
    errors.StoreFailed: "a store of this node has failed; it stops and recovers",
}

STORE_RETRY_S = 5  # contract: 503 of a failed store carries Retry-After 5
MAX_REASON_CHARS = 500

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_HEADERS = headers(TEXT, x_content_type_options="nosniff")


def status_of(error: errors.LogError) -> int | None:
    """Return the status of the nearest class in the table, or None for what no caller may be told about."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), None)


def word_of(error: errors.LogError) -> str:
    """Return the stable word for why something was refused: the error's own, or its class's (`not-found`)."""
    if isinstance(error, errors.Refused):
        return error.reason
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", type(error).__name__).lower()


def error_reply(error: errors.LogError, status: int, *extra: tuple[bytes, bytes]) -> Reply:
    """Return the answer for an error that has a status, with more headers."""
    reason = next((UNSPOKEN[kind] for kind in type(error).__mro__ if kind in UNSPOKEN), str(error))
    return text_reply(status, reason, *_extra(error), *extra)


def text_reply(status: int, reason: str, *extra: tuple[bytes, bytes]) -> Reply:
    """Return an answer in the form of all errors: one line of reason, whatever it quotes."""
    line = _UNPRINTABLE.sub(" ", reason)[:MAX_REASON_CHARS]
    body = f"{HTTPStatus(status).phrase}\n{line}\n"
    return Reply(status, (*_HEADERS, *extra), body.encode("utf-8", "replace"))


def _extra(error: errors.LogError) -> Headers:
    """Return the headers that belong to an error: when to come again, how to say who one is, in what coding."""
    match error:
        case errors.RateLimited() | errors.Unavailable() | errors.NotYet():
            return ((b"retry-after", b"%d" % error.retry_after_s),)
        case errors.StoreFailed():
            return ((b"retry-after", b"%d" % STORE_RETRY_S),)
        case errors.UnknownCoding():
            return ((b"accept-encoding", b"identity"),)
        case errors.Unauthenticated():
            return ((b"www-authenticate", b"Bearer"),)
        case _:
            return ()
