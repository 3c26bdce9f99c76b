"""The ways into a log: certificates in, SCTs out (RFC 6962 section 4); any bytes into an open test log."""

from collections.abc import Sequence
from dataclasses import dataclass

from log.checking.pool import Pool
from log.errors import Malformed, RateLimited, TooLarge
from log.formats.family import MAX_LEAF_SIZE, X509, raw_parts
from log.formats.sct import SCT
from log.sequencer.clock import Clock
from log.service.log import Log
from log.service.scts import SctIssuer


@dataclass(frozen=True, slots=True)
class IntakeLimits:
    """Bounds of what may be asked of a log that takes submissions."""

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


class OpenIntake:
    """The write side of an open test log: `POST /add` as Tessera's tools speak it."""

    def __init__(self, hosted: Log, clock: Clock, limits: IntakeLimits) -> None:
        self._log = hosted
        self._rate = TokenBucket(limits.max_rate_per_s, clock)

    async def add(self, entry: bytes) -> int:
        """Return the index of an entry, the first one of the same bytes, once a published head covers it.

        `TooLarge` over MAX_LEAF_SIZE, `Malformed` for no bytes at all.
        """
        self._rate.take()
        if len(entry) > MAX_LEAF_SIZE:
            raise TooLarge(f"an entry has at most {MAX_LEAF_SIZE} bytes")
        if not entry:
            raise Malformed("an entry of no bytes")
        return (await self._log.submit(raw_parts(entry))).index


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
