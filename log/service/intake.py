"""Certificates in, SCTs out: RFC 6962 `add-chain` and `add-pre-chain` over one log.

Checking a chain costs one signature check, which releases the interpreter's lock. Submissions that come
close together are checked in one hop to a thread: a hop for each would cost as much as it saves.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from log.certs.chain import Admitted, ChainChecker, Pending
from log.errors import LogError, RateLimited, Unavailable
from log.formats.family import X509
from log.formats.sct import SCT
from log.sequencer.clock import Clock
from log.service.log import Log
from log.service.scts import SctIssuer


@dataclass(frozen=True, slots=True)
class IntakeLimits:
    """Bounds of what may be asked of a log that takes certificates."""

    max_rate_per_s: int = 20_000  # submissions a second, all issuers together; one second's worth may burst
    max_checking: int = 4096  # chains that wait for their signature check
    check_batch: int = 64  # chains checked in one hop to a thread


class CertificateIntake:
    """The write side of one certificate log."""

    def __init__(
        self,
        hosted: Log,
        scts: SctIssuer,
        checker: Callable[[], ChainChecker],
        clock: Clock,
        limits: IntakeLimits,
    ) -> None:
        self._log = hosted
        self._scts = scts
        self._checker = checker
        self._rate = TokenBucket(limits.max_rate_per_s, clock)
        self._queue = CheckQueue(limits)

    def roots(self) -> tuple[bytes, ...]:
        """Return every certificate (DER) that admits: get-roots."""
        return self._checker().anchors

    async def add_chain(self, chain: Sequence[bytes], precert: bool) -> SCT:
        """Admit a chain (DER, leaf first) and return its SCT: the same bytes for the same submission.

        `Malformed` or `Refused` and its kinds; a refused submission leaves the tree as it was.
        """
        self._rate.take()
        checker = self._checker()
        admitted = await self._queue.check(checker, checker.prepare(chain, precert))
        placement = await self._log.submit(admitted.parts, admitted.certificates)
        leaf = X509.place(admitted.parts, placement.index, placement.timestamp_ms).leaf
        return await self._scts.sign(leaf, placement.index, placement.timestamp_ms)


class CheckQueue:
    """Signature checks of chains, many to a thread hop."""

    def __init__(self, limits: IntakeLimits) -> None:
        self._limits = limits
        self._waiting: list[tuple[ChainChecker, Pending, asyncio.Future[Admitted]]] = []
        self._worker: asyncio.Task[None] | None = None

    async def check(self, checker: ChainChecker, pending: Pending) -> Admitted:
        """Return what the chain admits; `Refused` when a signature does not verify; `Unavailable` when full."""
        if len(self._waiting) >= self._limits.max_checking:
            raise Unavailable("too many chains wait for their check", reason="pool-full")
        future: asyncio.Future[Admitted] = asyncio.get_running_loop().create_future()
        self._waiting.append((checker, pending, future))
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        try:
            await self._check_waiting()
        finally:
            # At once, not when the task is reaped: a chain that comes in between would wait for nobody.
            self._worker = None

    async def _check_waiting(self) -> None:
        while self._waiting:
            batch = self._waiting[: self._limits.check_batch]
            del self._waiting[: len(batch)]
            results = await asyncio.to_thread(_check_all, [(checker, pending) for checker, pending, _ in batch])
            for (_, _, future), result in zip(batch, results, strict=True):
                if future.done():
                    continue
                if isinstance(result, Admitted):
                    future.set_result(result)
                else:
                    future.set_exception(result)


def _check_all(batch: Sequence[tuple[ChainChecker, Pending]]) -> list[Admitted | Exception]:
    results: list[Admitted | Exception] = []
    for checker, pending in batch:
        try:
            results.append(checker.verify(pending))
        except LogError as error:
            results.append(error)
        except Exception as error:  # noqa: BLE001 - one chain's bug must not strand the others; its caller raises it
            results.append(error)
    return results


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
