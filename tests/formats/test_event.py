"""Entries that are no certificates: their bytes, and the content of those types that are read."""

import pytest
from hypothesis import given

from log.errors import Malformed
from log.formats import names
from log.formats.checkpoint import Checkpoint
from log.formats.event import Entry, anchor_entry, genesis_entry, is_action
from log.formats.names import EntryType
from log.formats.note import Note, Signature
from log.formats.ref import Ref
from tests.formats.strategies import ENTRIES

LINE = Signature("hk.example/x509", b"\x01\x02\x03\x04", b"s" * 64)


def head(origin: str, size: int = 3) -> Note:
    return Note(Checkpoint(origin, size, b"r" * 32).encode(), (LINE,))


def test_an_entry_has_the_bytes_of_its_struct() -> None:
    ref = Ref("hk", 1, b"h" * 32)
    entry = Entry(EntryType.ERRATUM, 2, b"key", (ref,), "text/plain", b"content")

    assert entry.encode() == (
        b"\x4b\x47" + b"\x00\x12" + b"\x00" * 7 + b"\x02" + b"\x03key"
        b"\x00\x2b" + b"\x02hk" + b"\x00" * 7 + b"\x01" + b"h" * 32 + b"\x0atext/plain" + b"\x00\x07content"
    )


def test_no_entry_begins_like_what_a_ct_log_signs() -> None:
    assert names.ENTRY_FORMAT.to_bytes(2) not in {b"\x00\x00", b"\x00\x01"}


def test_entry_types_never_change() -> None:
    assert {member.name: member.value for member in EntryType} == {
        "SIGNATURE_EVENT": 1,
        "SEAL_EVENT": 2,
        "REVOCATION_EVENT": 3,
        "GOVERNANCE_ACTION": 16,
        "CHECKPOINT_ANCHOR": 17,
        "ERRATUM": 18,
        "GENESIS": 19,
    }


def test_an_anchor_holds_the_note_of_the_other_log() -> None:
    note = head("gd.example/x509")
    entry = Entry.parse(anchor_entry(5, b"monitor", note).encode())

    assert entry.anchored() == (note, Checkpoint("gd.example/x509", 3, b"r" * 32))
    with pytest.raises(Malformed):
        entry.genesis()


def test_a_genesis_holds_canonical_json() -> None:
    entry = Entry.parse(genesis_entry(5, b"joint", {"b": [1], "a": None}).encode())

    assert entry.content == b'{"a":null,"b":[1]}'
    assert entry.genesis() == {"a": None, "b": [1]}
    with pytest.raises(Malformed):
        entry.anchored()


@pytest.mark.parametrize(
    "entry",
    [
        Entry(EntryType.CHECKPOINT_ANCHOR, 0, b"m", (), names.CONTENT_CHECKPOINT, b"not a note"),
        Entry(EntryType.CHECKPOINT_ANCHOR, 0, b"m", (), names.CONTENT_CHECKPOINT, Note(b"t\n", (LINE,)).encode()),
        Entry(EntryType.CHECKPOINT_ANCHOR, 0, b"m", (), "text/plain", head("gd").encode()),
        Entry(EntryType.GENESIS, 0, b"m", (), names.CONTENT_JCS, b'{"b":1,"a":2}'),
        Entry(EntryType.GENESIS, 0, b"m", (), "text/plain", b"{}"),
        Entry(EntryType.ERRATUM, 0, b"", (), "text/plain", b""),
        Entry(EntryType.ERRATUM, 0, b"m", (), "", b""),
        Entry(EntryType.ERRATUM, 0, b"m", (), "text/plain\n", b""),
        Entry(EntryType.ERRATUM, 0, b"m", (Ref("", 0, b"h" * 32),), "text/plain", b""),
        Entry(EntryType.ERRATUM, 0, b"m", (Ref("hk\n", 0, b"h" * 32),), "text/plain", b""),
        Entry(EntryType.ERRATUM, 0, b"m", (Ref("hk", 0, b"h" * 31),), "text/plain", b""),
        Entry(EntryType.ERRATUM, 0, b"m", (), "text/plain", b"c" * 65_535),
    ],
)
def test_entries_that_no_log_takes(entry: Entry) -> None:
    with pytest.raises(Malformed):
        Entry.parse(entry.encode())


@pytest.mark.parametrize("start", [b"\x00\x00\x00\x10", b"\x4b\x47\x00\x00", b"\x4b\x47\x00\x04"])
def test_entries_of_another_format_or_an_unknown_type_are_refused(start: bytes) -> None:
    raw = Entry(EntryType.ERRATUM, 0, b"m", (), "text/plain", b"").encode()

    with pytest.raises(Malformed):
        Entry.parse(start + raw[4:])


@given(ENTRIES)
def test_an_action_is_known_by_its_type_alone(entry: Entry) -> None:
    assert is_action(entry.encode()) is (entry.entry_type is EntryType.GOVERNANCE_ACTION)
