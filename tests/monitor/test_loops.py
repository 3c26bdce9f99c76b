"""Loops that come and go while others run."""

import asyncio

import pytest

from monitor.loops import Loops, Stop, every, pause

WAIT_S = 60


class Diary:
    """Work that writes down when it begins and ends, and takes as long as the test likes."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.go_on = asyncio.Event()
        self.step = asyncio.Event()

    async def work(self, name: str, stop: Stop) -> None:
        self.lines.append(f"{name} begins")
        self.step.set()
        await self.go_on.wait()
        await stop.wait()
        self.lines.append(f"{name} ends")


async def test_a_loop_that_is_no_longer_wanted_finishes_before_its_successor_begins() -> None:
    diary, old, new = Diary(), object(), object()
    async with asyncio.timeout(WAIT_S), asyncio.TaskGroup() as group:
        loops = Loops(group)
        loops.want({("look", old): lambda stop: diary.work("old", stop)})
        await diary.step.wait()
        loops.want({("look", new): lambda stop: diary.work("new", stop)})
        loops.want({("look", new): lambda stop: diary.work("never", stop)})
        for _ in range(10):
            await asyncio.sleep(0)
        assert diary.lines == ["old begins"]
        diary.go_on.set()
        while "new begins" not in diary.lines:
            await asyncio.sleep(0)
        loops.want({})
    assert diary.lines == ["old begins", "old ends", "new begins", "new ends"]


async def test_a_loop_that_is_unwanted_before_it_began_never_begins() -> None:
    diary, old, new = Diary(), object(), object()
    async with asyncio.timeout(WAIT_S), asyncio.TaskGroup() as group:
        loops = Loops(group)
        loops.want({("look", old): lambda stop: diary.work("old", stop)})
        await diary.step.wait()
        loops.want({("look", new): lambda stop: diary.work("new", stop)})
        loops.want({})
        diary.go_on.set()
    assert diary.lines == ["old begins", "old ends"]


async def test_an_error_in_one_loop_ends_all() -> None:
    async def broken(stop: Stop) -> None:
        raise ZeroDivisionError

    async def run() -> None:
        async with asyncio.timeout(WAIT_S), asyncio.TaskGroup() as group:
            Loops(group).want({("well", 1): lambda stop: diary.work("well", stop), ("ill", 1): broken})

    diary = Diary()
    with pytest.raises(ExceptionGroup) as caught:
        await run()
    assert caught.group_contains(ZeroDivisionError)
    assert diary.lines == ["well begins"]


async def test_a_pause_ends_when_told_to_stop_and_by_itself() -> None:
    stop, count = Stop(), 0

    async def work() -> None:
        nonlocal count
        count += 1
        if count == 3:
            stop.set()

    async with asyncio.timeout(WAIT_S):
        await pause(0.001, Stop())
        await pause(-1, Stop())
        await every(0.001, work, stop)
        assert count == 3
        await pause(WAIT_S * 10, stop)
        await every(WAIT_S * 10, work, stop)
    assert count == 3


async def test_a_pause_ends_by_any_of_its_events() -> None:
    one, two = asyncio.Event(), asyncio.Event()
    asyncio.get_running_loop().call_later(0.01, two.set)
    await pause(WAIT_S * 10, one, two)
    assert two.is_set()
    await pause(WAIT_S * 10, one, two)  # is set already
    await pause(0.001, one)
