"""Every parser: what was written is read back, and what is read was written that way; all else is `Malformed`."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from log.errors import Malformed
from log.formats.policy import Policy
from tests.formats import strategies as s
from tests.formats.catalogue import FORMATS, Format

each_format = pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)


@each_format
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_what_is_written_is_read_back(form: Format, data: st.DataObject) -> None:
    value = data.draw(form.values)

    assert form.parse(form.encode(value)) == value


@each_format
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_what_is_read_was_written_so_and_all_else_is_malformed(form: Format, data: st.DataObject) -> None:
    raw = data.draw(s.damaged(form.values.map(form.encode)))
    try:
        value = form.parse(raw)
    except Malformed:
        return

    assert form.encode(value) == raw


# A policy is written by people, so many texts mean one policy: what is read has a canonical form that means the same.


@given(s.policies())
@settings(max_examples=40, deadline=None)
def test_a_policy_that_is_written_is_read_back(policy: Policy) -> None:
    assert Policy.parse(policy.encode()) == policy


@given(s.damaged(s.policies().map(lambda policy: policy.encode().encode())))
@settings(max_examples=60, deadline=None)
def test_a_policy_that_is_read_is_the_same_in_its_canonical_form(raw: bytes) -> None:
    try:
        policy = Policy.parse(raw)
    except Malformed:
        return

    assert Policy.parse(policy.encode()) == policy
    assert Policy.parse(policy.encode().encode("utf-8", "surrogateescape")) == policy
