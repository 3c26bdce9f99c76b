"""Who may submit now: rates and shares of clients, issuers and members, over all logs of a node.

    client   its address; pays for every submission, so that what fails its check has a price
    member   as its signature says; pays for every event, those that are refused too
    issuer   SHA-256 of the SPKI that signed the leaf, as it was verified; pays for every new entry

Nobody can spend an issuer's tokens by naming it: they are taken after the check of the signature. Nor by submitting
again what the log holds already, which anyone can read there: such a token is given back. Once an issuer has none,
what can only be its submission (`log.checking.claims`) is refused before the check, until tokens return.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from log.errors import RateLimited
from log.fair.abreast import Abreast, Room
from log.fair.rates import Rate, Rates
from log.fair.shares import Shares


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """Bounds for all logs of a node together."""

    max_client_rate_per_s: int = 10_000  # submissions a second
    max_issuer_rate_per_s: int = 10_000  # new entries a second
    max_member_rate_per_s: int = 10_000  # events a second
    rate_burst_s: int = 1  # seconds' worth of either rate that may come at once
    max_rate_sources: int = 8192  # clients, and issuers, and members, whose rate is remembered
    submissions: int = 4096  # between their arrival and their answer
    submitted_bytes: int = 64 << 20  # of their entries and certificates
    issuer_abreast: int = 8  # submissions of one issuer at one client under way, unless it is alone,
    issuer_most_abreast: int = 32  # and so many while others of it wait and it gets
    issuer_floor_per_s: int = 1000  # fewer answers a second than this
    issuer_alone_ms: int = 10_000  # after the newest entry of any other it is alone


class Admission:
    """The counters behind it. Only the event loop touches them."""

    def __init__(self, limits: AdmissionLimits, now_ms: Callable[[], int]) -> None:
        client = Rate(
            "max_client_rate_per_s",
            limits.max_client_rate_per_s,
            "submissions a second of one client",
            limits.rate_burst_s,
        )
        issuer = Rate(
            "max_issuer_rate_per_s",
            limits.max_issuer_rate_per_s,
            "new entries a second of one issuer",
            limits.rate_burst_s,
        )
        member = Rate(
            "max_member_rate_per_s", limits.max_member_rate_per_s, "events a second of one member", limits.rate_burst_s
        )
        self.members: Rates[str] = Rates(member, now_ms, limits.max_rate_sources)
        self.clients: Rates[str] = Rates(client, now_ms, limits.max_rate_sources)
        self.issuers: Rates[bytes] = Rates(issuer, now_ms, limits.max_rate_sources)
        self._places = Shares(limits.submissions)
        self._bytes = Shares(limits.submitted_bytes)
        room = Room(
            limits.issuer_abreast, limits.issuer_most_abreast, limits.issuer_floor_per_s, limits.issuer_alone_ms
        )
        self._abreast: Abreast[tuple[str, bytes], asyncio.Future[None]] = Abreast(room, now_ms)

    @property
    def held(self) -> int:
        """Submissions that wait because others submit too."""
        return self._abreast.held

    def check_claim(self, issuers: Sequence[bytes]) -> None:
        """Raise `RateLimited` when the submission is of one of these issuers and none of them has a token."""
        for issuer in issuers:
            if not self.issuers.over(issuer):
                return
        if issuers:
            raise self.issuers.refusal()

    def enter(self, client: str, issuer: bytes, size: int, count: int = 1) -> None:
        """Hold places and `size` bytes for submissions until `leave`; `RateLimited` when that is over their share.

        In the place of the issuer stands the member, for what a member sends.
        """
        if not self._places.enter(client, count, issuer):
            what = "submissions of this client, or of this issuer or member at it"
            raise RateLimited(f"too many {what}, in progress at once")
        if not self._bytes.enter(client, size, issuer):
            self._places.leave(client, count, issuer)
            raise RateLimited("too many bytes of this client, or of this issuer or member at it, in progress at once")

    def leave(self, client: str, issuer: bytes, size: int, count: int = 1) -> None:
        """Give back what `enter` held."""
        self._bytes.leave(client, size, issuer)
        self._places.leave(client, count, issuer)

    @asynccontextmanager
    async def abreast(self, client: str, issuer: bytes) -> AsyncIterator[None]:
        """Be under way as one of `issuer_abreast`; wait for that before."""
        source = client, issuer
        if not self._abreast.enter(source):
            place = asyncio.get_running_loop().create_future()
            self._abreast.wait(source, place)
            try:
                await place
            except asyncio.CancelledError:
                if not place.cancelled():  # it was given to one who goes away
                    self._go_on(source)
                raise
        try:
            yield
        finally:
            self._go_on(source)

    def entered(self, client: str, issuer: bytes) -> None:
        """Something of an issuer became a new entry: the others are not alone. Repeats and refusals hold up none."""
        self._abreast.there((client, issuer))

    def _go_on(self, source: tuple[str, bytes]) -> None:
        """Give the place of one that was under way to those that wait."""
        self._abreast.leave(source)
        while (place := self._abreast.following(source)) is not None:
            if place.cancelled():
                self._abreast.leave(source)
            else:
                place.set_result(None)
