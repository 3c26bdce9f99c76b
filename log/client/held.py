"""Events that a member has made and has no receipts for yet, as they wait on its own machine.

    {"batch": {…},                        the body of the request, `log.formats.event_batch`
     "openings": ["<base64>", …]}         of each event, `log.formats.commitment`

The file is there before anything is sent, and goes when the receipts are there: whatever happens in between, the
same request is sent again, which gets the same answer.
"""

from dataclasses import dataclass
from typing import Self

from log.client.events import Opened, kept
from log.errors import Malformed
from log.formats import jcs
from log.formats.commitment import Opening, encode_openings, parse_openings
from log.formats.event_batch import EventBatch, EventResults, Submitted
from log.formats.fields import members, typed
from log.formats.text import b64decode, b64encode


@dataclass(frozen=True, slots=True)
class Held:
    """A batch and the openings of its events, which are not for the log."""

    batch: EventBatch
    openings: tuple[tuple[Opening, ...], ...]  # one list an event

    @classmethod
    def one(cls, member: str, seq: int, opened: Opened, certificate_proof: bytes | None) -> Self:
        """Hold a single event."""
        return cls(EventBatch(member, seq, (Submitted(opened.event, certificate_proof),)), (opened.openings,))

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read what `encode` wrote, or raise `Malformed`."""
        value = members(jcs.parse(data), "batch", "openings")
        rows = typed(value["openings"], list)
        held = cls(
            EventBatch.parse(jcs.encode(value["batch"])),
            tuple(parse_openings(b64decode(typed(row, str))) for row in rows),
        )
        if len(held.openings) != len(held.batch.events):
            raise Malformed("openings for another number of events than there are")
        for submitted, openings in zip(held.batch.events, held.openings, strict=True):
            if {opening.name: opening.commitment for opening in openings} != submitted.event.commitments:
                raise Malformed("openings of other events")
        return held

    def encode(self) -> bytes:
        rows = [b64encode(encode_openings(openings)) for openings in self.openings]
        return jcs.encode({"batch": jcs.parse(self.batch.encode()), "openings": rows})

    def receipts(self, answer: EventResults) -> list[bytes | str]:
        """Return for each event its receipt to be kept, or why it was refused.

        Raises `Malformed` for an answer to another request, and what `kept` does.
        """
        if len(answer.results) != len(self.openings):
            raise Malformed("an answer to another request")
        rows = zip(self.batch.events, self.openings, answer.results, strict=True)
        return [
            result.refused or ""
            if result.receipt is None
            else kept(result.receipt, self.batch.member, Opened(submitted.event, openings))
            for submitted, openings, result in rows
        ]
