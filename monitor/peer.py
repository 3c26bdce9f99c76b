"""Requests to others, bounded: one deadline for the whole exchange, a limit on the body, no redirects."""

import httpx

from log.client.exchange import Answer, exchange
from log.errors import Malformed, Unreachable
from monitor.clock import Clock
from monitor.outcome import Outcome


class Peer:
    """The only place of the monitor that speaks HTTP, apart from `log.client.http`."""

    def __init__(
        self, client: httpx.AsyncClient, deadline_s: float, max_bytes: int, clock: Clock | None = None
    ) -> None:
        """`clock` is told what clocks of others show."""
        self._client = client
        self._deadline_s = deadline_s
        self._max_bytes = max_bytes
        self._clock = clock

    async def get(self, url: str, max_bytes: int | None = None) -> Answer:
        """Return the answer, or raise `Unreachable`; `max_bytes` where its body may be no larger than so."""
        return await self._ask("GET", url, None, max_bytes)

    async def post(self, url: str, body: bytes) -> Answer:
        """Return the answer, or raise `Unreachable`."""
        return await self._ask("POST", url, body, None)

    async def _ask(self, method: str, url: str, body: bytes | None, max_bytes: int | None) -> Answer:
        try:
            answer = await exchange(
                self._client,
                method,
                url,
                url,
                max_bytes=self._max_bytes if max_bytes is None else min(max_bytes, self._max_bytes),
                deadline_s=self._deadline_s,
                body=body,
                content_type="text/plain; charset=utf-8",
            )
        except Malformed as e:
            raise Unreachable(str(e)) from e
        if self._clock is not None and (date := answer.fields.get("date")) is not None:
            self._clock.heard_date(url, date)
        return answer


def severity(reply: Answer) -> Outcome:
    """Busy or unwilling counts as not reached; an answer that nobody should give, as one that does not verify."""
    return Outcome.UNREACHED if reply.status in {403, 404, 429} or reply.status >= 500 else Outcome.UNVERIFIED
