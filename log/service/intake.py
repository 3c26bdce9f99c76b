"""Certificates in, SCTs out: RFC 6962 `add-chain` and `add-pre-chain` over one log."""

from collections.abc import Sequence
from dataclasses import dataclass

from log.checking.pool import Pool
from log.errors import RateLimited
from log.formats.family import X509
from log.formats.sct import SCT
from log.sequencer.clock import Clock
from log.service.log import Log
from log.service.scts import SctIssuer


@dataclass(frozen=True, slots=True)
class IntakeLimits:
    """Bounds of what may be asked of a log that takes certificates."""

    max_rate_per_s: int = 20_000  # submissions a second, all issuers together; one second's worth may burst


class CertificateIntake:
    """The write side of one certificate log."""

    def __init__(
        self,
        hosted: Log,
        scts: SctIssuer,
        checks: Pool,
        clock: Clock,
        limits: IntakeLimits,
    ) -> None:
        self._log = hosted
        self._scts = scts
        self._checks = checks
        self._rate = TokenBucket(limits.max_rate_per_s, clock)

    def roots(self) -> tuple[bytes, ...]:
        """Return every certificate (DER) that admits: get-roots."""
        return tuple(self._checks.anchors(self._log.name).values())

    async def add_chain(self, chain: Sequence[bytes], precert: bool) -> SCT:
        """Admit a chain (DER, leaf first) and return its SCT: the same bytes for the same submission.

        `Malformed` or `Refused` and its kinds; a refused submission leaves the tree as it was.
        """
        self._rate.take()
        checked = await self._checks.check(self._log.name, chain, precert)
        placement = await self._log.submit(checked.parts, checked.certificates)
        leaf = X509.place(checked.parts, placement.index, placement.timestamp_ms).leaf
        return await self._scts.sign(leaf, placement.index, placement.timestamp_ms)


class TokenBucket:
    """A rate: `per_second` tokens a second, at most one second's worth saved up."""

    def __init__(self, per_second: int, clock: Clock) -> None:
        self._per_second = per_second
        self._clock = clock
        self._tokens = float(per_second)
        self._filled_ms = clock.mono_ms()

    def take(self) -> None:
        """Use one token; `RateLimited` when there is none."""
        now_ms = self._clock.mono_ms()
        self._tokens = min(self._per_second, self._tokens + (now_ms - self._filled_ms) * self._per_second / 1000)
        self._filled_ms = now_ms
        if self._tokens < 1:
            raise RateLimited(f"over {self._per_second} submissions a second")
        self._tokens -= 1
