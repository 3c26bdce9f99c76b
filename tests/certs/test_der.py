"""Elements: what is read is what would be written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from log.certs import der
from log.errors import Malformed


@given(st.sampled_from([der.SEQUENCE, der.OCTET_STRING, 0xA3]), st.integers(0, 70_000))
def test_an_element_is_read_back(tag: int, size: int) -> None:
    element = der.encode(tag, bytes(size))
    assert der.read(b"##" + element + b"##", 2, 2 + len(element)) == (tag, 2 + len(element) - size, 2 + len(element))
    assert der.whole(element, tag) == bytes(size)


@given(st.binary(max_size=12))
def test_whatever_is_read_has_the_one_spelling(data: bytes) -> None:
    try:
        tag, start, stop = der.read(data, 0, len(data))
    except Malformed:
        return
    assert der.encode(tag, data[start:stop]) == data[:stop]


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "30",
        "3001",
        "3080",  # indefinite
        "30800000",
        "308100",  # not minimal
        "30817f" + "00" * 127,
        "30820080" + "00" * 128,
        "3081",
        "3082ff",
        "30850000000000",
        "30840000000100",
        "30ff",
        "1f0100",  # a tag of several bytes
        "bf2400",
    ],
)
def test_other_spellings_are_malformed(wrong: str) -> None:
    data = bytes.fromhex(wrong)
    with pytest.raises(Malformed):
        der.read(data, 0, len(data))


def test_an_element_stays_within_what_holds_it() -> None:
    data = bytes.fromhex("3003020101") + b"more"
    assert der.children(data, 2, 5) == [(der.INTEGER, 2, 4, 5)]
    with pytest.raises(Malformed):
        der.children(data, 2, 4)
    with pytest.raises(Malformed):
        der.whole(data, der.SEQUENCE)
    with pytest.raises(Malformed):
        der.expect(data, 2, 5, der.SEQUENCE)


@pytest.mark.parametrize("dotted", ["1.2.840.113549.1.1.11", "2.5.29.19", "0.0", "2.999.3", "1.39.127.128.16384"])
def test_object_identifiers_are_read_back(dotted: str) -> None:
    assert der.dotted(der.oid(dotted)) == dotted


def test_an_object_identifier_as_x690_prints_it() -> None:
    assert der.oid("2.999.3").hex() == "883703"  # X.690 section 8.19.5
    assert der.oid("1.3.6.1.4.1.11129.2.4.3").hex() == "2b06010401d679020403"


@pytest.mark.parametrize("wrong", ["", "1", "1.", ".1", "1.40", "3.1", "1.02", "1.+2", "1. 2", "1.٣", "1.-1", "a.b"])
def test_no_object_identifiers(wrong: str) -> None:
    with pytest.raises(Malformed):
        der.oid(wrong)


@pytest.mark.parametrize("wrong", ["", "80", "2a80", "2a8001"])
def test_no_content_of_an_object_identifier(wrong: str) -> None:
    with pytest.raises(Malformed):
        der.dotted(bytes.fromhex(wrong))


@given(st.binary(min_size=1, max_size=9))
def test_content_of_an_object_identifier_is_read_back(content: bytes) -> None:
    try:
        text = der.dotted(content)
    except Malformed:
        return
    assert der.oid(text) == content


def test_an_arc_has_a_bound_like_its_digits() -> None:
    content = b"\x2a" + b"\xff" * 18 + b"\x7f"
    assert der.dotted(content) == f"1.2.{2**133 - 1}"
    for longer in (b"\x2a" + b"\xff" * 19 + b"\x7f", b"\x2a" + b"\xff" * 5000 + b"\x7f"):
        with pytest.raises(Malformed, match="arc"):
            der.dotted(longer)
