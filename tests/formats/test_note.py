"""Notes and verifier keys: where the text ends, what a key id covers, how much is read."""

import hashlib

import pytest

from log.errors import Malformed
from log.formats.checkpoint import Checkpoint
from log.formats.note import (
    KeyType,
    Note,
    NoteLimits,
    Signature,
    VKey,
    check_name,
    parse_signature_lines,
    signature_line,
)

LINE = Signature("example.com/log", b"\x01\x02\x03\x04", b"s" * 64)


def digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()[:4]


def test_the_last_empty_line_ends_the_text() -> None:
    note = Note(b"one\n\ntwo\n\n\nthree\n", (LINE,))

    assert Note.parse(note.encode()) == note


def test_a_signature_line_may_be_part_of_the_text() -> None:
    inner = Note(b"one\n", (LINE,)).encode()

    assert Note.parse(inner + b"\n" + signature_line(LINE)).text == inner


def test_repeated_lines_and_their_order_are_kept() -> None:
    other = Signature("grease.invalid", b"\xff" * 4, b"?")
    note = Note(b"text\n", (LINE, other, LINE))

    assert Note.parse(note.encode()).signatures == (LINE, other, LINE)
    assert note.with_signatures([other]) == Note(b"text\n", (other,))


def test_characters_that_split_lines_elsewhere_are_text() -> None:
    note = Note("one\u2028two\u0085three\x7f\n".encode(), (LINE,))

    assert Note.parse(note.encode()) == note
    assert Checkpoint.parse("a\u2028b\n0\n".encode() + b"A" * 43 + b"=\n").origin == "a\u2028b"


@pytest.mark.parametrize("raw", [b"\xff\n", b"\xed\xa0\x80\n", b"\xc0\xaf\n"])
def test_text_that_is_not_utf_8_is_refused(raw: bytes) -> None:
    with pytest.raises(Malformed):
        Note.parse(raw + b"\n" + signature_line(LINE))


def test_limits_are_the_last_values_that_are_read() -> None:
    raw = Note(b"text\n", (LINE,) * 100).encode()

    assert len(Note.parse(raw).signatures) == 100
    assert Note.parse(raw, NoteLimits(max_bytes=len(raw))).encode() == raw
    for too_much in (lambda: Note.parse(raw + signature_line(LINE)), lambda: parse_signature_lines(b"")):
        with pytest.raises(Malformed):
            too_much()
    for limits in (NoteLimits(max_bytes=len(raw) - 1), NoteLimits(max_signatures=99)):
        with pytest.raises(Malformed):
            Note.parse(raw, limits)
    with pytest.raises(Malformed):
        parse_signature_lines(signature_line(LINE), NoteLimits(max_bytes=10))


@pytest.mark.parametrize(
    "name", ["", " ", "a b", "a+b", "a\tb", "a\nb", "a\u00a0b", "a\u2003b", "a\u0085b", "a\x01b", "a\ud800b"]
)
def test_names_that_no_key_can_have(name: str) -> None:
    with pytest.raises(Malformed):
        check_name(name)
    with pytest.raises(Malformed):
        VKey.make(name, KeyType.ED25519, b"k" * 32)


def test_names_that_a_key_can_have() -> None:
    for name in ("a", "example.com/log", "香港.example", "a\u200bb", "—"):
        check_name(name)


def test_the_key_id_covers_what_each_type_says() -> None:
    key, spki = b"k" * 32, b"spki"

    assert VKey.make("n", KeyType.ED25519, key).key_id == digest(b"n\n\x01" + key)
    assert VKey.make("n", KeyType.COSIGNATURE, key).key_id == digest(b"n\n\x04" + key)
    assert VKey.make("n", KeyType.PRIVATE, key).key_id == digest(b"n\n\xff" + key)
    # 0x02: the key alone. 0x05: the log id, although the verifier key carries the key itself.
    assert VKey.make("n", KeyType.ECDSA, spki).key_id == digest(spki)
    log_id = hashlib.sha256(spki).digest()
    assert VKey.make("n", KeyType.TREE_HEAD, spki).key_id == digest(b"n\n\x05" + log_id)


@pytest.mark.parametrize(
    ("key_type", "size"),
    [(KeyType.ED25519, 31), (KeyType.COSIGNATURE, 33), (KeyType.MLDSA, 1311), (KeyType.TREE_HEAD, 0)],
)
def test_keys_of_a_wrong_length_are_refused(key_type: KeyType, size: int) -> None:
    with pytest.raises(Malformed):
        VKey.make("n", key_type, b"k" * size)


def test_a_line_belongs_to_a_key_by_name_and_id_together() -> None:
    vkey = VKey.make("n", KeyType.ED25519, b"k" * 32)

    assert vkey.owns(Signature("n", vkey.key_id, b"?"))
    assert not vkey.owns(Signature("m", vkey.key_id, b"?"))
    assert not vkey.owns(Signature("n", b"none", b"?"))
