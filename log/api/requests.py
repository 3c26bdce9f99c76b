"""What is logged of requests, and the ids by which an answer and a line are found together.

A line never holds what a stranger sent: a route's pattern instead of the path, a name of the settings, a reason's
word. An id is a word of this process and a number, so it costs an addition until somebody needs to read it.
"""

import logging
import secrets

from log.api.route import Route

REQUEST_ID = b"x-request-id"  # the header of every answer that is an error

logger = logging.getLogger("twinlog.http")


class Requests:
    """Numbers the requests of a process, and logs those worth a line."""

    def __init__(self, slow_request_ms: int) -> None:
        self._word = secrets.token_hex(4)
        self._slow_s = slow_request_ms / 1000
        self.number = 0  # of the newest request
        # From how many seconds on `tell` has something to say; one comparison for each request.
        self.notable_s = 0.0 if logger.isEnabledFor(logging.DEBUG) else self._slow_s

    def id(self, number: int) -> str:
        """Return the id of a request: 16 hex digits, of which the second half is its number."""
        return f"{self._word}{number:08x}"

    def tell(self, number: int, route: Route, status: int, seconds: float) -> None:
        """Log a request that took long; at the level `debug` every one."""
        if seconds >= self._slow_s:
            logger.warning("slow request", extra=_fields(self.id(number), route, status=status, ms=_ms(seconds)))
        else:
            logger.debug("request", extra=_fields(self.id(number), route, status=status, ms=_ms(seconds)))

    def refused(self, request_id: str, route: Route, log: str, status: int, reason: str) -> None:
        """Log a submission that was refused."""
        extra = _fields(request_id, route, log=log, status=status, reason=reason)
        logger.info("submission refused", extra=extra)

    def failed(self, request_id: str, route: Route) -> None:
        """Log the exception being handled, by which a request failed."""
        logger.exception("request failed", extra=_fields(request_id, route))


def _fields(request_id: str, route: Route, **more: object) -> dict[str, object]:
    return {"fields": {"request": request_id, "method": route.method, "route": route.pattern, **more}}


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
