"""Commitments: the bytes that are hashed, and what two of them have in common."""

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from log.errors import Malformed
from log.formats.commitment import Opening, encode_openings, parse_openings
from tests.formats import strategies as s

SALT = bytes(range(32))


def test_a_commitment_hashes_its_tag_field_salt_and_value() -> None:
    opening = Opening("document", SALT, b"value")

    assert opening.commitment == hashlib.sha256(b"twinlog/commitment@v1\n" + b"\x08document" + SALT + b"value").digest()
    assert opening.commitment.hex() == "7edd8592f358bd12e6be705e3432a535c2e3c1a3f04c939d9f9c4f9395bc2db7"


@given(s.OPENINGS.filter(len), st.data())
def test_another_field_salt_or_value_is_another_commitment(openings: tuple[Opening, ...], data: st.DataObject) -> None:
    one = openings[0]
    others = (
        replace(one, name=one.name + "x"),
        replace(one, salt=data.draw(s.HASHES.filter(lambda salt: salt != one.salt))),
        replace(one, value=one.value + b"x"),
        replace(one, name=one.name + "x", value=one.value[1:] + b"x"),
    )

    assert one.commitment not in {other.commitment for other in others}


def test_an_opening_shows_neither_salt_nor_value() -> None:
    assert repr(Opening("subject", SALT, b"A123456(7)")) == "Opening(name='subject')"


@pytest.mark.parametrize(
    "openings",
    [
        [Opening("b", SALT, b"1"), Opening("a", SALT, b"1")],
        [Opening("a", SALT, b"1"), Opening("a", SALT, b"2")],
        [Opening("a", SALT, b"")],
        [Opening("", SALT, b"1")],
        [Opening("Chan Tai Man", SALT, b"1")],
        [Opening("a", SALT[:-1], b"1")],
    ],
)
def test_openings_that_are_refused(openings: list[Opening]) -> None:
    with pytest.raises(Malformed):
        parse_openings(b"".join(opening.encode() for opening in openings))


def test_openings_are_written_in_the_order_of_their_fields() -> None:
    a, b = Opening("a", SALT, b"1"), Opening("b", SALT, b"1")

    assert encode_openings([b, a]) == encode_openings([a, b])
    assert parse_openings(encode_openings([b, a])) == (a, b)
    assert parse_openings(b"") == ()
