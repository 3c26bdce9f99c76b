"""Events that wait for their receipts: what the file holds, and whose answer it takes."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from log.client.events import Opened
from log.client.held import Held
from log.errors import Malformed
from log.formats.event_batch import EventBatch, EventResults, Result, Submitted
from tests.formats import strategies as s

OPENED = s.opened_events().filter(lambda opened: opened[1]).map(lambda opened: Opened(*opened))


@given(OPENED, OPENED)
@settings(max_examples=20, deadline=None)
def test_events_are_held_with_their_own_openings(one: Opened, other: Opened) -> None:
    held = Held.one("hk/iam-smart", 7, one, None)
    assert Held.parse(held.encode()) == held
    two = Held(EventBatch("hk/a", 1, (Submitted(one.event), Submitted(other.event))), (one.openings, other.openings))
    assert Held.parse(two.encode()) == two
    for wrong in (
        replace(held, openings=()),
        replace(held, openings=(one.openings[1:],)),
        replace(two, openings=two.openings[:1]),
        replace(held, openings=(tuple(replace(opening, value=opening.value + b".") for opening in one.openings),)),
    ):
        with pytest.raises(Malformed):
            Held.parse(wrong.encode())


@given(st.data())
@settings(max_examples=10, deadline=None)
def test_an_answer_has_a_result_for_each_event(data: st.DataObject) -> None:
    held = Held.one("hk/iam-smart", 7, data.draw(OPENED), None)
    assert held.receipts(EventResults((Result(None, "not logged"),))) == ["not logged"]
    with pytest.raises(Malformed, match="another request"):
        held.receipts(EventResults((Result(None, "not logged"),) * 2))
