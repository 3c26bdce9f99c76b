"""The ways into a log: certificates in, SCTs out (RFC 6962 section 4); any bytes into an open test log.

A chain passes these in order, the cheap ones first:

    1. the log takes entries at all (410)
    2. its client's rate
    3. the rate of the issuer that it claims, and the log's rate
    4. its share of what is in progress, which bounds the next five
    5. while others submit too: until few enough of its issuer are under way
    6. the check of its chain, in turn; the issuer is known from here on
    7. whether governance has frozen an issuer above it: then only what is logged since long is answered
    8. the issuer's rate
    9. the commit, or the place that it has since long
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from log.checking.pool import Checked, Pool
from log.errors import Malformed, Refused, TooLarge
from log.fair.rates import Rate, Rates
from log.formats.family import MAX_LEAF_SIZE, X509, raw_parts
from log.formats.sct import SCT
from log.sequencer.clock import Clock
from log.sequencer.pool import Placement
from log.service.admission import Admission
from log.service.log import Log
from log.service.scts import SctIssuer

UNKNOWN = b""  # the issuer of a chain that claims none that is known


@dataclass(frozen=True, slots=True)
class IntakeLimits:
    """Bounds of what may be asked of a log that takes submissions."""

    max_rate_per_s: int = 20_000  # submissions a second, all together; one second's worth may burst


class CertificateIntake:
    """The write side of one certificate log."""

    def __init__(
        self,
        hosted: Log,
        scts: SctIssuer,
        checks: Pool,
        admission: Admission,
        clock: Clock,
        limits: IntakeLimits,
        frozen: Callable[[], frozenset[bytes]] = frozenset,
    ) -> None:
        """`frozen` tells the SHA-256 of each certificate from under which nothing more is taken."""
        self._frozen = frozen
        self._log = hosted
        self._scts = scts
        self._checks = checks
        self._admission = admission
        self._rate = _rate(limits, clock)

    @property
    def scts_signed(self) -> int:
        """SCTs that this process signed, repeated ones and those in proofs too."""
        return self._scts.signed

    def roots(self) -> tuple[bytes, ...]:
        """Return every certificate (DER) that admits: get-roots."""
        return tuple(self._checks.anchors(self._log.name).values())

    def arrive(self, client: str) -> None:
        """Let a client's request in, whatever its body holds: `Closed` or `RateLimited`."""
        self._log.check_open()  # 1
        self._admission.clients.take(client)  # 2

    async def add_chain(self, chain: Sequence[bytes], precert: bool, client: str = "") -> SCT:
        """Admit a chain (DER, leaf first) and return its SCT: the same bytes for the same submission.

        `Malformed` or `Refused` and its kinds; a refused submission leaves the tree as it was.
        """
        self._log.check_open()
        claimed = self._checks.claimed(self._log.name, chain)
        self._admission.check_claim(claimed)  # 3
        self._rate.take(None)
        issuer = claimed[0] if claimed else UNKNOWN
        weight = _weight(chain)
        self._admission.enter(client, issuer, weight)  # 4
        try:
            async with self._admission.abreast(client, issuer):  # 5
                checked = await self._checks.check(self._log.name, chain, precert, client, issuer)  # 6
                placement = await self._place(checked, client, issuer or checked.issuer)
        finally:
            self._admission.leave(client, issuer, weight)
        leaf = X509.place(checked.parts, placement.index, placement.timestamp_ms).leaf
        return await self._scts.sign(leaf, placement.index, placement.timestamp_ms)

    async def _place(self, checked: Checked, client: str, source: bytes) -> Placement:
        """Return the entry's place. Its issuer pays for a new one, and for none that was published before.

        A new one tells others that `source` is there: the issuer as the submission came in under it.
        """
        size = self._log.size
        if (frozen := self._frozen()) and not frozen.isdisjoint(digest for digest, _ in checked.certificates):  # 7
            placed = await self._log.placed(checked.parts)
            if placed is None:
                raise Refused("an issuer of this certificate is frozen by governance", "frozen-issuer")
            return placed
        issuers = self._admission.issuers
        issuers.take(checked.issuer)  # 8
        try:
            placement = await self._log.submit(checked.parts, checked.certificates)  # 9
        except BaseException:
            issuers.give_back(checked.issuer)
            raise
        if placement.index < size:
            issuers.give_back(checked.issuer)
        else:
            self._admission.entered(client, source)
        return placement


class OpenIntake:
    """The write side of an open test log: `POST /add` as Tessera's tools speak it."""

    def __init__(self, hosted: Log, clock: Clock, limits: IntakeLimits) -> None:
        self._log = hosted
        self._rate = _rate(limits, clock)

    async def add(self, entry: bytes) -> int:
        """Return the index of an entry, the first one of the same bytes, once a published head covers it.

        `Closed`, `RateLimited`; `TooLarge` over MAX_LEAF_SIZE, `Malformed` for no bytes at all.
        """
        self._log.check_open()
        self._rate.take(None)
        if len(entry) > MAX_LEAF_SIZE:
            raise TooLarge(f"an entry has at most {MAX_LEAF_SIZE} bytes")
        if not entry:
            raise Malformed("an entry of no bytes")
        return (await self._log.submit(raw_parts(entry))).index


def _rate(limits: IntakeLimits, clock: Clock) -> Rates[None]:
    return Rates(Rate("max_rate_per_s", limits.max_rate_per_s, "submissions a second, all together"), clock.mono_ms, 1)


def _weight(chain: Sequence[bytes]) -> int:
    """Return about how many bytes a submission is in the pool: an entry may hold TBS and precertificate."""
    return sum(map(len, chain)) + len(chain[0] if chain else b"")
