"""A guard says which clock is right: when ours part, or nobody has spoken, nothing is signed (promise 4)."""

import pytest

from log.errors import Conflict, Denied, Unavailable
from log.formats.checkpoint import Checkpoint
from log.node.guard import Guard, GuardKey, GuardLimits
from log.node.halts import Halts
from log.storage.memory import Disk, MemoryHeads
from tests.support.engine import ORIGIN, FakeClock, witness_signer
from tests.support.side import PUSH, Side, opened


@pytest.mark.parametrize("ms", [3_600_000, 2_001, -2_001, -3_600_000])
async def test_clocks_that_part_close_the_node_until_a_guard_speaks_anew(ms: int) -> None:
    """SIGSTOP of a copied machine looks like this from within: the wall clock has gone on alone."""
    side = await opened(1)
    stale = await side.own_notes()
    side.clock.jump(ms)
    with pytest.raises(Unavailable):
        await side.submit(1)
    with pytest.raises(Unavailable):
        await side.ask(0, await side.peer_head(2))
    assert not side.x509.status().guarded
    with pytest.raises(Conflict):
        await side.push(*stale, time_s=side.clock.wall_ms() // 1000)
    assert side.running.health()[1]["clock_partings"] == 1
    if ms > 0:
        assert (await side.open())["guarded"]
        await side.submit(1)
    await side.audited()


@pytest.mark.parametrize("ms", [2_000, -900])
async def test_a_small_step_of_the_clock_closes_nothing(ms: int) -> None:
    side = await opened(1)
    side.clock.jump(ms)
    await side.submit(1)
    await side.audited()


async def test_a_parting_while_the_guards_note_is_compared_leaves_the_node_closed() -> None:
    side = await opened(2)
    await side.restart()
    side.clock.advance(1_000)
    note = await side.cosigned(await side.x509.checkpoint())
    bears_out = side.x509.bears_out

    async def slow(checkpoint: Checkpoint) -> bool:
        side.clock.jump(3_600_000)
        assert not side.x509.status().guarded  # another task looks at the clocks
        return await bears_out(checkpoint)

    side.x509.bears_out = slow  # type: ignore[method-assign]
    with pytest.raises(Conflict):
        await side.push(note, peers=False)
    with pytest.raises(Unavailable):
        await side.submit(9)


def key(name: str, seed: int) -> GuardKey:
    return GuardKey(name, witness_signer(name, seed).vkey, PUSH.vkey)


def a_guard(clock: FakeClock) -> Guard:
    guard = Guard(clock, [key("a", 50), key("b", 51)], Halts(MemoryHeads(Disk())), lambda _: None, GuardLimits())
    clock.advance(5_000)
    return guard


@pytest.mark.parametrize(("error_s", "fine"), [(0, True), (60, True), (-60, True), (61, False), (-61, False)])
def test_a_guard_that_was_heard_must_put_the_clock_within_a_minute(error_s: int, fine: bool) -> None:
    clock = FakeClock()
    guard = a_guard(clock)
    guard.hear(key("a", 50), clock.wall_ms() // 1000 + error_s)
    guard._guarded.add(ORIGIN)
    if fine:
        guard.permit(ORIGIN)
    else:
        with pytest.raises(Unavailable, match="clock"):
            guard.permit(ORIGIN)


def test_one_of_the_guards_heard_lately_is_enough_and_silence_stops_nothing() -> None:
    clock = FakeClock()
    guard = a_guard(clock)
    now_s = clock.wall_ms() // 1000
    guard.hear(key("a", 50), now_s + 600)
    guard.hear(key("b", 51), now_s)
    guard.open(ORIGIN, now_s)
    guard.permit(ORIGIN)
    clock.advance(50_000)
    guard.hear(key("a", 50), now_s + 700)  # b falls silent, a goes on being wrong
    guard.permit(ORIGIN)
    clock.advance(20_000)
    with pytest.raises(Unavailable, match="clock"):
        guard.permit(ORIGIN)
    guard.hear(key("b", 51), clock.wall_ms() // 1000)
    guard.permit(ORIGIN)
    clock.advance(86_400_000)  # all guards are silent for a day
    guard.permit(ORIGIN)


def test_a_guard_whose_clock_was_ahead_is_believed_again_a_minute_after_it_was_set_right() -> None:
    clock = FakeClock()
    guard = a_guard(clock)
    now_s = clock.wall_ms() // 1000
    guard.hear(key("a", 50), now_s + 86_400)
    guard.open(ORIGIN, now_s)
    for _ in range(61):
        with pytest.raises(Unavailable, match="clock"):
            guard.permit(ORIGIN)
        guard.hear(key("a", 50), clock.wall_ms() // 1000)
        clock.advance(1_000)
    guard.hear(key("a", 50), clock.wall_ms() // 1000)
    guard.permit(ORIGIN)


def test_what_time_it_is_is_not_for_a_guard_to_say_that_is_none_any_more() -> None:
    clock = FakeClock()
    guard = a_guard(clock)
    now_s = clock.wall_ms() // 1000
    guard.hear(key("a", 50), now_s + 600)
    guard.open(ORIGIN, now_s)
    with pytest.raises(Unavailable, match="clock"):
        guard.permit(ORIGIN)
    guard.appoint([key("b", 51)])
    guard.permit(ORIGIN)
    guard.hear(key("b", 51), now_s + 600)
    with pytest.raises(Unavailable, match="clock"):
        guard.permit(ORIGIN)
    guard.appoint([key("b", 51), key("c", 52)])
    with pytest.raises(Unavailable, match="clock"):
        guard.permit(ORIGIN)


def test_without_guards_nothing_is_closed_and_nothing_is_called_protected() -> None:
    clock = FakeClock()
    guard = Guard(clock, [], Halts(MemoryHeads(Disk())), lambda _: None, GuardLimits())
    guard.permit(ORIGIN)
    clock.jump(3_600_000)
    guard.permit(ORIGIN)
    assert guard.partings == 1


async def test_a_node_without_guards_says_so() -> None:
    side = Side(guards=())
    await side.create()
    await side.start()
    assert await side.submit(0) == 0
    assert side.running.guards == ()
    with pytest.raises(Denied):
        await side.push(*await side.own_notes())
