"""Canonical JSON against the examples of RFC 8785, and at its limits."""

import json

import pytest
from hypothesis import given, settings

from log.errors import Malformed
from log.formats import jcs
from tests.formats import strategies as s


def test_keys_are_sorted_by_utf_16_code_units() -> None:
    # The order that RFC 8785 section 3.2.3 prints: a surrogate pair comes before U+FB33.
    keys = ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
    encoded = jcs.encode(dict.fromkeys(reversed(keys), 0))

    assert list(json.loads(encoded)) == keys
    assert encoded.startswith(b'{"\\r":0,"1":0,')


def test_text_is_escaped_as_little_as_possible() -> None:
    # RFC 8785 section 3.2.2.2.
    assert jcs.encode('€$\x0f\nA\'B"\\\\"/\x7f') == '"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/\x7f"'.encode()
    assert jcs.encode("\b\t\n\f\r\x1f") == b'"\\b\\t\\n\\f\\r\\u001f"'


@pytest.mark.parametrize(
    "value", [1.0, float("nan"), b"bytes", {1: "key"}, {"a": {1, 2}}, 2**53, -(2**53), "\ud800", {"\ud800": 1}]
)
def test_values_without_a_canonical_form_are_refused(value: object) -> None:
    with pytest.raises(Malformed):
        jcs.encode(value)


def test_lists_may_be_nested_64_deep() -> None:
    raw = b"[" * 64 + b"]" * 64

    assert jcs.encode(jcs.parse(raw)) == raw


@given(s.JSON_VALUES)
@settings(deadline=None)
def test_the_fast_way_writes_what_the_slow_one_does(value: jcs.JSON) -> None:
    assert jcs.encode(value) == jcs._encode(value, jcs.MAX_DEPTH).encode()


def test_keys_of_a_tuple_and_of_a_subclass_are_written_alike() -> None:
    class Word(str):
        __slots__ = ()

    assert jcs.encode({"b": (1, Word("x")), "a": [True, None]}) == b'{"a":[true,null],"b":[1,"x"]}'
    assert jcs.encode({Word("b"): 1, "a": 2}) == b'{"a":2,"b":1}'
