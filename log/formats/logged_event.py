"""An event as the node writes it: what its submitter said, who signed for it, and what the node knew.

The content of an entry of type 1, 2 or 3 (`log.formats.event`) is the canonical JSON object

    {"event": {…},                       as it was submitted (`signature_event`)
     "record": "<base64>",               SHA-256 of the submission record of the request that brought it
     "seq": 7,                           the number that its member gave to that request
     "line": 0,                          the event's place in the request, from 0
     "certificate_standing": "own-log"}  what the node knew of the certificate (`event_codes.Standing`)
"""

from dataclasses import dataclass
from typing import Any, Self

from log.errors import Malformed
from log.formats import jcs
from log.formats import text as txt
from log.formats.event_codes import EventType, Standing
from log.formats.fields import members, typed
from log.formats.names import EntryType
from log.formats.ref import HASH_SIZE
from log.formats.signature_event import Event

MAX_EVENTS = 1000  # of one request (issue and contract: "up to 1,000 events")

_ENTRY_TYPES = {
    EventType.SIGN: EntryType.SIGNATURE_EVENT,
    EventType.COUNTERSIGN: EntryType.SIGNATURE_EVENT,
    EventType.SEAL_ISSUE: EntryType.SEAL_EVENT,
    EventType.SEAL_USE: EntryType.SEAL_EVENT,
    EventType.SEAL_REVOKE: EntryType.SEAL_EVENT,
    EventType.CERTIFICATE_REVOCATION: EntryType.REVOCATION_EVENT,
    EventType.PERSONAL_CERTIFICATE: EntryType.SIGNATURE_EVENT,
}
EVENT_ENTRIES = frozenset(_ENTRY_TYPES.values())


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """The content of an event's entry."""

    event: Event
    record: bytes  # 32 bytes
    seq: int  # from 1
    line: int  # 0 <= line < MAX_EVENTS
    certificate_standing: Standing

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """Read the content of an entry, or raise `Malformed`."""
        value = members(jcs.parse(content), "event", "record", "seq", "line", "certificate_standing")
        standing = typed(value["certificate_standing"], str)
        if standing not in set(Standing):
            raise Malformed("not a standing of a certificate")
        logged = cls(
            Event.of(value["event"]),
            txt.b64decode(typed(value["record"], str), HASH_SIZE),
            typed(value["seq"], int),
            typed(value["line"], int),
            Standing(standing),
        )
        if logged.seq < 1 or not 0 <= logged.line < MAX_EVENTS:
            raise Malformed("an event at no place of a request")
        if (logged.certificate_standing is Standing.NOT_LOGGED) != (logged.event.certificate_ref is None):
            raise Malformed("a standing that does not fit the event's reference")
        return logged

    def encode(self) -> bytes:
        value: dict[str, Any] = {
            "event": self.event.to_json(),
            "record": txt.b64encode(self.record),
            "seq": self.seq,
            "line": self.line,
            "certificate_standing": str(self.certificate_standing),
        }
        return jcs.encode(value)

    @property
    def entry_type(self) -> EntryType:
        """The type of the entry that holds it."""
        return _ENTRY_TYPES[self.event.type]
