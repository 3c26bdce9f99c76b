"""Rates: what a source may, by its clock; and what a bounded memory of sources costs nobody but the flood."""

from random import Random

import pytest

from log.errors import RateLimited
from log.fair.rates import Rate, Rates
from tests.support.engine import FakeClock


def rates(per_second: int, clock: FakeClock, *, burst_s: int = 1, max_sources: int = 100) -> Rates[str]:
    return Rates(
        Rate("max_things_per_s", per_second, "leaps a second of one thing", burst_s), clock.mono_ms, max_sources
    )


def may(held: Rates[str], source: str) -> bool:
    """Take a token, if there is one."""
    try:
        held.take(source)
    except RateLimited:
        return False
    return True


def test_a_burst_and_then_the_rate() -> None:
    clock = FakeClock()
    held = rates(3, clock, burst_s=2)
    assert [may(held, "a") for _ in range(8)] == [True] * 6 + [False] * 2
    clock.advance(333)
    assert not may(held, "a")
    clock.advance(1)
    assert may(held, "a")
    assert not may(held, "a")
    clock.advance(3_600_000)  # saved up is no more than the burst
    assert [may(held, "a") for _ in range(8)] == [True] * 6 + [False] * 2


def test_sources_do_not_share_and_over_uses_nothing() -> None:
    clock = FakeClock()
    held = rates(2, clock)
    assert not any(held.over("a") for _ in range(10))
    held.take("a")
    held.take("a")
    assert held.over("a")
    assert not held.over("b")
    held.take("b")


def test_the_refusal_names_the_setting_and_when_to_come_again() -> None:
    held = rates(1, FakeClock())
    held.take("a")
    with pytest.raises(RateLimited, match="over max_things_per_s = 1 leaps a second of one thing") as refused:
        held.take("a")
    assert refused.value.retry_after_s == 1


def test_a_token_given_back_is_there_again_and_none_beyond_the_burst() -> None:
    clock = FakeClock()
    held = rates(1, clock)
    held.take("a")
    held.give_back("a")
    held.take("a")
    assert held.over("a")
    held.give_back("a")
    held.give_back("nobody")
    assert may(held, "a")
    assert not may(held, "a")


def test_the_memory_is_bounded_and_the_least_recently_used_leave() -> None:
    clock = FakeClock()
    held = rates(10, clock, max_sources=3)
    for source in ("a", "b", "c", "a", "d"):
        held.take(source)
        clock.advance(2_000)
    assert len(held) == 3
    for n in range(1000):
        held.take(f"source {n}")
        clock.advance(1_000)
    assert len(held) == 3


def test_a_flood_wins_no_token_by_driving_its_own_bucket_out() -> None:
    """The same tries with and without a full table: what the flood gets is never more."""
    for max_sources in (1, 2, 5, 50):
        clock = FakeClock()
        held = rates(10, clock, max_sources=max_sources)
        got = 0
        for _ in range(100):  # 100 ms apart: ten seconds
            got += sum(may(held, "flood") for _ in range(20))
            for n in range(max_sources):  # others enough to forget it
                may(held, f"other {n}")
            clock.advance(100)
        assert got <= 10 + 100, max_sources


def test_a_newcomer_waits_no_longer_than_the_burst() -> None:
    clock = FakeClock()
    held = rates(10, clock, max_sources=1)
    while may(held, "flood"):
        pass
    may(held, "other")
    clock.advance(100)
    held.take("other")  # drives the flood's bucket out
    clock.advance(1_000)
    assert all(may(held, "newcomer") for _ in range(10))


def test_against_a_plain_bucket() -> None:
    """Random times and tries against tokens counted as fractions."""
    random = Random(7)
    for _ in range(50):
        per_second, burst_s = random.randint(1, 40), random.randint(1, 3)
        clock = FakeClock()
        held = rates(per_second, clock, burst_s=burst_s)
        tokens = capacity = per_second * burst_s * 1000  # thousandths
        for _ in range(200):
            step_ms = random.choice((0, 0, 1, 7, 40, 999))
            clock.advance(step_ms)
            tokens = min(capacity, tokens + step_ms * per_second)
            if tokens >= 1000:
                assert may(held, "a")
                tokens -= 1000
            elif tokens < 999:  # between, a step of whole nanoseconds may have rounded
                assert not may(held, "a")
            else:
                tokens = 0 if may(held, "a") else tokens
