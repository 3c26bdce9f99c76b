"""Garbage is looked for less often while a process serves, and as usual before and after."""

import gc
import weakref

from log import heap


class Knot:
    """An object in a cycle with itself."""

    def __init__(self) -> None:
        self.itself = self


def test_what_was_there_is_set_apart_and_all_is_as_before_afterwards() -> None:
    usual, kept = gc.get_threshold(), Knot()
    with heap.settled():
        assert gc.get_threshold() == heap.THRESHOLDS
        assert gc.get_freeze_count() > 0
        assert not any(found is kept for found in gc.get_objects())
    assert gc.get_threshold() == usual
    assert gc.get_freeze_count() == 0
    assert any(found is kept for found in gc.get_objects())


def test_cycles_that_are_made_meanwhile_are_found_without_being_asked_for() -> None:
    with heap.settled():
        lost = weakref.ref(Knot())
        kept: list[list[int]] = []
        while lost() is not None and len(kept) < 2 * heap.THRESHOLDS[0]:
            kept.append([])
        assert lost() is None
