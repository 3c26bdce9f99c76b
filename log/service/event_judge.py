"""What a log says of an event that a member sends: the standing of its certificate, or why it is not taken.

May its sender send it, does it name only what is known here (`event_names`), and what are its references
(`references`)? design.md section 5. Between pieces of a request the loop may turn to others.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from log.access import Role
from log.authority import Members
from log.errors import Refused
from log.formats.event_batch import EventBatch, Submitted
from log.formats.event_codes import EventType, Standing
from log.sequencer.clock import Clock
from log.service.event_names import Known
from log.service.event_plan import Refusal, Verdict
from log.service.references import References

PIECE = 32  # events between two moments at which the loop may turn to others

# What the members of a role may send. Whoever issues certificates says which were revoked; who has things signed, the
# rest. Seals are made by both.
SENDS: Mapping[Role, frozenset[EventType]] = {
    Role.PLATFORM: frozenset(
        {
            EventType.SIGN,
            EventType.COUNTERSIGN,
            EventType.SEAL_ISSUE,
            EventType.SEAL_USE,
            EventType.SEAL_REVOKE,
        }
    ),
    Role.CA: frozenset(
        {
            EventType.SEAL_ISSUE,
            EventType.SEAL_REVOKE,
            EventType.CERTIFICATE_REVOCATION,
            EventType.PERSONAL_CERTIFICATE,
        }
    ),
}


class EventJudge:
    """Judges events by what the node knows now. Only the event loop touches it."""

    def __init__(
        self,
        references: References,
        members: Members,
        known: Callable[[], Known],
        clock: Clock,
        refused: frozenset[Standing] = frozenset(),
    ) -> None:
        """`refused` are the standings of certificates whose events are not taken."""
        self._references = references
        self._members = members
        self._known = known
        self._clock = clock
        self._refused = refused

    async def here(self, batch: EventBatch) -> list[Verdict | None]:
        """Return what this node's own logs say of each event, None where they say nothing."""
        role = self._members.role(batch.member, self._clock.wall_ms())
        sends = SENDS.get(Role(role), frozenset()) if role in set(Role) else frozenset()
        known = self._known()
        verdicts: list[Verdict | None] = []
        for number, submitted in enumerate(batch.events):
            if number % PIECE == 0:
                await asyncio.sleep(0)
            verdicts.append(await self._own(submitted, batch.member, sends, known))
        return verdicts

    def elsewhere(self, events: Sequence[Submitted]) -> list[Verdict]:
        """Judge events of which `here` says nothing, by the proofs of other logs that they bring. For a thread."""
        verdicts: list[Verdict] = []
        for submitted in events:
            try:
                verdicts.append(self._by_policy(self._references.foreign(submitted)))
            except Refused as error:
                verdicts.append(Refusal(str(error), error.reason))
        return verdicts

    async def _own(
        self, submitted: Submitted, member: str, sends: frozenset[EventType], known: Known
    ) -> Verdict | None:
        if submitted.event.type not in sends:
            return Refusal(f"members of this role do not send events of the type {submitted.event.type}", "role")
        try:
            known.check(submitted.event, member)
            return self._by_policy(Standing.OWN_LOG) if await self._references.own(submitted) else None
        except Refused as error:
            return Refusal(str(error), error.reason)

    def _by_policy(self, standing: Standing) -> Verdict:
        if standing in self._refused:
            return Refusal(f"this log takes no event whose certificate is {standing}", "standing")
        return standing
