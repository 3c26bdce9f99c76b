"""A thousand events at once leave the loop to others: the heavy work in a thread, the rest in pieces."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable

import pytest

from log.formats.event_batch import EventBatch, EventResults
from log.service import events
from log.service.event_judge import PIECE, EventJudge
from log.service.event_names import Known
from log.service.log import Log
from tests.service.desk import PLATFORM, Desk, receipts, send
from tests.support.members import batch, event

EVENTS = 300
ON_THE_LOOP = ((Known, "check"), (Log, "submit"), (Log, "inclusion"))  # once for each event
IN_A_THREAD = ((EventBatch, "parse"), (EventJudge, "elsewhere"), (events, "_entries"), (EventResults, "encode"))


def watch(monkeypatch: pytest.MonkeyPatch, owner: object, name: str, seen: Callable[[str], None]) -> None:
    """Tell of each call of a function or method, by its name."""
    real = getattr(owner, name)

    def told(*given: object) -> object:
        seen(name)
        return real(*given)

    monkeypatch.setattr(owner, name, told)


async def test_between_two_turns_of_the_loop_no_more_than_a_piece_is_done(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn = 0
    done: dict[str, Counter[int]] = {name: Counter() for _, name in ON_THE_LOOP}
    for owner, name in ON_THE_LOOP:
        watch(monkeypatch, owner, name, lambda called: done[called].update([turn]))
    sending = asyncio.create_task(send(desk.intake(), 1, [event(number) for number in range(EVENTS)]))
    while not sending.done():
        turn += 1
        await asyncio.sleep(0)
    assert len(receipts(await sending)) == EVENTS
    for name, counted in done.items():
        assert counted.total() == EVENTS, name
        assert max(counted.values()) <= PIECE, name


async def test_what_takes_long_is_done_in_a_thread(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    intake, body = desk.intake(), batch(PLATFORM.member, 1, [event(number) for number in range(3)])
    threads: dict[str, set[int]] = {name: set() for _, name in IN_A_THREAD}
    for owner, name in IN_A_THREAD:
        watch(monkeypatch, owner, name, lambda called: threads[called].add(threading.get_ident()))
    await intake.add(PLATFORM.submission(body, 1_800_000_000), body, "client")
    for name, used in threads.items():
        assert len(used) == 1, name
        assert threading.get_ident() not in used, name
