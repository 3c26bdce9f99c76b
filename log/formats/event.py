"""Entries that are no certificates: events, governance actions, anchors (formats.md section 21.3).

In the TLS presentation language:

    struct {
      u16    entry_format = 0x4B47;
      u16    entry_type;
      u64    timestamp_ms;                  set by the node, as in CT
      opaque submitter<1..255>;             key id or role of whoever submitted it
      Ref    refs<0..2^16-1>;               the leaves it speaks of
      opaque content_type<1..255>;
      opaque content<0..2^16-1>;
    } Entry;

    struct { opaque origin<1..255>; u64 index; opaque leaf_hash[32]; } Ref;

The bytes of an entry are its leaf. Some types have a content that is read here already: an anchor is a
checkpoint of another log as a signed note, so that a reader verifies it anew; an action of governance is its signed
note; genesis is canonical JSON; so is an event (`logged_event`), whose submitter is a member, and whose refs are those
that it states.
"""

from dataclasses import dataclass
from typing import Self

from log.errors import Malformed
from log.formats import jcs
from log.formats.action import Action
from log.formats.bundle import MAX_ENTRY_SIZE
from log.formats.checkpoint import Checkpoint, parse_signed
from log.formats.fields import member_id
from log.formats.logged_event import EVENT_ENTRIES, LoggedEvent
from log.formats.names import CONTENT_ACTION, CONTENT_CHECKPOINT, CONTENT_JCS, ENTRY_FORMAT, EntryType
from log.formats.note import Note
from log.formats.ref import HASH_SIZE, Ref
from log.formats.text import decode_text
from log.formats.wire import Reader, opaque8, opaque16, u16, u64


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry with its time."""

    entry_type: EntryType
    timestamp_ms: int
    submitter: bytes  # 1 to 255 bytes
    refs: tuple[Ref, ...]
    content_type: str  # a media type
    content: bytes

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read an entry, or raise `Malformed`, also for an unknown type or content not of its type."""
        entry = cls._read(data)
        entry._check_content()
        return entry

    @classmethod
    def _read(cls, data: bytes) -> Self:
        if len(data) > MAX_ENTRY_SIZE:
            raise Malformed(f"entry over {MAX_ENTRY_SIZE} bytes")
        reader = Reader(data)
        if reader.u16() != ENTRY_FORMAT:
            raise Malformed("entry of another format")
        entry_type = reader.u16()
        if entry_type not in set(EntryType):
            raise Malformed("entry of an unknown type")
        entry = cls(
            EntryType(entry_type),
            reader.u64(),
            _not_empty(reader.opaque8()),
            _parse_refs(reader.opaque16()),
            _line(reader.opaque8()),
            reader.opaque16(),
        )
        reader.done()
        if entry.encode() != data:
            raise AssertionError("an entry was read in two ways")
        return entry

    def encode(self) -> bytes:
        """Write the leaf. What is over `MAX_ENTRY_SIZE` in all was to be refused at submission."""
        return b"".join(
            (
                u16(ENTRY_FORMAT),
                u16(self.entry_type),
                u64(self.timestamp_ms),
                opaque8(self.submitter),
                opaque16(b"".join(ref.encode() for ref in self.refs)),
                opaque8(self.content_type.encode()),
                opaque16(self.content),
            )
        )

    def anchored(self) -> tuple[Note, Checkpoint]:
        """The checkpoint in an anchor, as a note and read; `Malformed` for an entry of another type."""
        if self.entry_type is not EntryType.CHECKPOINT_ANCHOR or self.content_type != CONTENT_CHECKPOINT:
            raise Malformed("entry that is not an anchor")
        return parse_signed(self.content)

    def genesis(self) -> jcs.JSON:
        """The content of a genesis entry; `Malformed` for an entry of another type."""
        if self.entry_type is not EntryType.GENESIS or self.content_type != CONTENT_JCS:
            raise Malformed("entry that is not a genesis")
        return jcs.parse(self.content)

    def action(self) -> tuple[Note, Action]:
        """The action in an entry, as a note and read; `Malformed` for an entry of another type."""
        if self.entry_type is not EntryType.GOVERNANCE_ACTION or self.content_type != CONTENT_ACTION:
            raise Malformed("entry that is not an action")
        note = Note.parse(self.content)
        return note, Action.parse(note.text)

    def logged_event(self) -> LoggedEvent:
        """The content of an event's entry; `Malformed` for an entry of another type."""
        if self.entry_type not in EVENT_ENTRIES or self.content_type != CONTENT_JCS:
            raise Malformed("entry that is not an event")
        logged = LoggedEvent.parse(self.content)
        if logged.entry_type is not self.entry_type or logged.event.refs != self.refs:
            raise Malformed("entry of another type, or with other refs, than its event has")
        member_id(decode_text(self.submitter))
        return logged

    def _check_content(self) -> None:
        match self.entry_type:
            case EntryType.SIGNATURE_EVENT | EntryType.SEAL_EVENT | EntryType.REVOCATION_EVENT:
                self.logged_event()
            case EntryType.GOVERNANCE_ACTION:
                self.action()
            case EntryType.CHECKPOINT_ANCHOR:
                self.anchored()
            case EntryType.GENESIS:
                self.genesis()


def anchor_entry(timestamp_ms: int, submitter: bytes, note: Note) -> Entry:
    """Anchor another log's head: `note` has its text and the signature lines of that log alone."""
    return Entry(EntryType.CHECKPOINT_ANCHOR, timestamp_ms, submitter, (), CONTENT_CHECKPOINT, note.encode())


def is_action(data: bytes) -> bool:
    """Say whether an entry is an action of governance, by its type alone: most entries of such a log are anchors."""
    return data[2:4] == u16(EntryType.GOVERNANCE_ACTION)


def action_entry(timestamp_ms: int, submitter: bytes, note: Note) -> Entry:
    """Take in an action of governance, with the lines under which it came."""
    return Entry(EntryType.GOVERNANCE_ACTION, timestamp_ms, submitter, (), CONTENT_ACTION, note.encode())


def parse_event(data: bytes) -> tuple[Entry, LoggedEvent]:
    """Read the entry of an event and what it holds, at one go; raises `Malformed`, also for other entries."""
    entry = Entry._read(data)
    return entry, entry.logged_event()


def event_entry(timestamp_ms: int, member: str, logged: LoggedEvent) -> Entry:
    """Take in an event of a member, <side>/<id>."""
    return Entry(logged.entry_type, timestamp_ms, member.encode(), logged.event.refs, CONTENT_JCS, logged.encode())


def genesis_entry(timestamp_ms: int, submitter: bytes, content: jcs.JSON) -> Entry:
    """The first entry of a governance log."""
    return Entry(EntryType.GENESIS, timestamp_ms, submitter, (), CONTENT_JCS, jcs.encode(content))


def _line(data: bytes) -> str:
    line = decode_text(_not_empty(data))
    if "\n" in line:
        raise Malformed("line break in a field of an entry")
    return line


def _not_empty(data: bytes) -> bytes:
    if not data:
        raise Malformed("empty field in an entry")
    return data


def _parse_refs(data: bytes) -> tuple[Ref, ...]:
    reader = Reader(data)
    refs = []
    while reader.more():
        origin = _line(reader.opaque8())
        refs.append(Ref(origin, reader.u64(), reader.take(HASH_SIZE)))
    return tuple(refs)
