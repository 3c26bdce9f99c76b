"""Another way out: the same logs seen from another place, and the two views held against each other (F4, row 7).

A log that shows one tree to Hong Kong and another to Guangdong is found out by whoever asks from both. Each egress is a
proxy or a source address of its own; what it is shown is taken in as any other head, with its name as the vantage, so a
contradiction becomes evidence at once. A view that is merely behind is a stale replica.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from log.errors import BadSignature, Malformed, Unreachable
from monitor.ledger import Ledger
from monitor.logs import FollowedLog
from monitor.outcome import ONE_PATH, STALE, Finding, Outcome
from monitor.peer import Peer, severity
from monitor.store import Store


@dataclass(frozen=True, slots=True)
class Way:
    """How an egress leaves this machine."""

    name: str
    proxy: str = ""  # URL
    local_address: str = ""

    @property
    def path(self) -> tuple[str, str]:
        """What tells two ways apart."""
        return self.proxy, self.local_address


class Egress:
    """One way out, for all logs."""

    def __init__(self, way: Way, peer: Peer, ledger: Ledger, store: Store, others: Sequence[Way]) -> None:
        """`others` are the ways besides this one, the usual one among them."""
        self.way = way
        self._peer = peer
        self._ledger = ledger
        self._store = store
        self._same = [other.name for other in others if other.path == way.path]

    async def look(self, logs: Iterable[FollowedLog]) -> list[Finding]:
        """Ask each log for its head this way."""
        found = await asyncio.gather(*(self._ask(followed) for followed in logs if not followed.closed))
        findings = [finding for each in found for finding in each]
        if self._same:
            text = f"leaves by the same way as {', '.join(self._same)}: two views that are one show nothing"
            findings.append(Finding(Outcome.UNREACHED, f"egress {self.way.name}", ONE_PATH, text))
        return findings

    async def _ask(self, followed: FollowedLog) -> list[Finding]:
        try:
            answer = await self._peer.get(f"{followed.url}/checkpoint")
        except Unreachable as e:
            return [self._found(Outcome.UNREACHED, followed, "egress-silent", str(e))]
        if answer.status != 200:
            return [self._found(severity(answer), followed, "egress-silent", f"shows no head: {answer.reason}")]
        try:
            head, _, findings = await self._ledger.take(followed, answer.body, f"egress {self.way.name}")
        except (Malformed, BadSignature) as e:
            return [self._found(Outcome.UNVERIFIED, followed, "checkpoint", f"not a head of this log: {e}")]
        verified = await asyncio.to_thread(self._store.verified, followed.origin)
        if not findings and verified is not None and head.size < verified.head.size:
            text = f"is shown size {head.size}; we hold its head of size {verified.head.size}"
            return [self._found(Outcome.UNVERIFIED, followed, STALE, text)]
        return findings

    def _found(self, outcome: Outcome, followed: FollowedLog, code: str, text: str) -> Finding:
        about = f"egress {self.way.name}"
        return Finding(outcome, followed.origin, code, f"{about}: {text}", about)
