"""Our own clock: jumps and offsets take the trust away from it, and one voice alone never does."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.clock import Clock, offset
from monitor.limits import Limits
from monitor.outcome import Outcome
from monitor.store import Store
from monitor.timekeeper import Timekeeper

LIMITS = Limits()
HOUR_MS = 3_600_000


class Hands:
    """Both clocks, moved by hand."""

    def __init__(self) -> None:
        self.wall_ms = 1_800_000_000_000
        self.monotonic_s = 5_000.0
        self.looks = 0  # at either clock
        self.held_up: dict[int, float] = {}  # the process stops before this look, for so many seconds
        self.clock = Clock(LIMITS, lambda: self._look().wall_ms, lambda: self._look().monotonic_s)

    def _look(self) -> "Hands":
        self.go(self.held_up.get(self.looks, 0))
        self.looks += 1
        return self

    def go(self, seconds: float) -> None:
        """Let time pass as it does."""
        self.wall_ms += round(seconds * 1000)
        self.monotonic_s += seconds


@pytest.mark.parametrize("jump_ms", [HOUR_MS, -HOUR_MS, 8 * HOUR_MS, 2_001, -2_001])
def test_a_jump_takes_the_trust_away_until_the_clock_has_settled(jump_ms: int) -> None:
    hands = Hands()
    hands.go(30)
    assert hands.clock.tick() is None
    assert hands.clock.trusted()
    hands.wall_ms += jump_ms
    assert not hands.clock.trusted(), "before anybody looked"
    assert hands.clock.tick() == jump_ms
    assert not hands.clock.trusted()
    hands.go(LIMITS.clock_settle_s - 1)
    assert hands.clock.tick() is None
    assert not hands.clock.trusted()
    hands.go(1)
    assert hands.clock.trusted()


@pytest.mark.parametrize("leap_ms", [1_000, -1_000, 2_000])
def test_a_leap_second_is_no_jump(leap_ms: int) -> None:
    hands = Hands()
    hands.wall_ms += leap_ms
    assert hands.clock.trusted()
    assert hands.clock.tick() is None


@pytest.mark.parametrize("look", range(12))
def test_a_process_that_is_held_up_between_its_looks_at_both_clocks_sees_no_jump(look: int) -> None:
    hands = Hands()
    hands.held_up = {hands.looks + look: 60}
    for _ in range(3):
        assert hands.clock.tick() is None
        assert hands.clock.trusted()
        hands.go(30)


def test_most_others_are_believed_and_one_is_not() -> None:
    hands = Hands()
    hands.clock.heard("http://hk/x", hands.wall_ms + HOUR_MS)
    assert hands.clock.trusted()
    hands.clock.heard("http://gd/x", hands.wall_ms + 100)
    assert hands.clock.trusted()
    hands.clock.heard("http://witness/x", hands.wall_ms + HOUR_MS + 10)
    assert not hands.clock.trusted()
    assert hands.clock.offset_ms() == HOUR_MS + 5
    hands.clock.heard("http://hk/x", hands.wall_ms - HOUR_MS)
    assert hands.clock.trusted(), "they do not agree to which side"
    hands.clock.heard("http://hk/x", hands.wall_ms + HOUR_MS)
    hands.go(400)
    assert hands.clock.trusted(), "that was long ago"


def test_a_date_header_is_a_voice_and_rubbish_is_none() -> None:
    hands = Hands()
    for who in ("http://a", "http://b"):
        for rubbish in ("", "yesterday", "Fri, 99 Jan 2027 08:00:00 GMT", "x" * 10_000):
            hands.clock.heard_date(who, rubbish)
        assert hands.clock.trusted()
        hands.clock.heard_date(who, "Fri, 15 Jan 2027 09:00:00 GMT")
    assert hands.clock.offset_ms() == HOUR_MS + 500


def test_a_host_has_one_voice() -> None:
    hands = Hands()
    for path in ("", "/witness", "/guard"):
        hands.clock.heard(f"http://hk{path}", hands.wall_ms + HOUR_MS)
    assert hands.clock.trusted()


def test_after_a_jump_two_who_agree_with_us_let_us_sign_before_the_clock_has_settled() -> None:
    hands = Hands()
    assert hands.clock.fit_to_sign()
    hands.wall_ms += 8 * HOUR_MS  # the machine slept
    assert not hands.clock.fit_to_sign()
    hands.clock.tick()
    hands.clock.heard("http://hk", hands.wall_ms)
    assert not hands.clock.fit_to_sign()
    hands.clock.heard("http://gd", hands.wall_ms - HOUR_MS)
    assert not hands.clock.fit_to_sign(), "one agrees, and one does not"
    hands.clock.heard("http://out", hands.wall_ms + 400)
    assert hands.clock.fit_to_sign()
    assert not hands.clock.trusted()
    hands.clock.heard("http://out", hands.wall_ms - HOUR_MS)
    assert not hands.clock.fit_to_sign()


def test_strangers_cannot_fill_our_memory() -> None:
    hands = Hands()
    for number in range(10_000):
        hands.clock.heard(f"http://{number}", hands.wall_ms)
    assert len(hands.clock._heard) <= 256


@given(st.lists(st.integers(-4_999, 4_999), max_size=9), st.lists(st.integers(-(10**9), 10**9), max_size=9))
def test_no_minority_moves_the_verdict(true: list[int], lies: list[int]) -> None:
    if len(lies) <= len(true) or len(lies) < 2:
        assert offset([*true, *lies], 5.0) is None


# --- across restarts --------------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Store:
    Store.create(tmp_path / "state", "key")
    return Store.open(tmp_path / "state", "key", 10)


async def test_a_clock_that_was_set_while_we_were_away_is_not_trusted(store: Store) -> None:
    hands = Hands()
    assert await Timekeeper(hands.clock, store, LIMITS, "boot").check() == []
    hands.go(100)
    hands.clock = Clock(LIMITS, lambda: hands.wall_ms, lambda: hands.monotonic_s)
    keeper = Timekeeper(hands.clock, store, LIMITS, "boot")
    assert await keeper.check() == []
    assert not keeper.jumped
    assert hands.clock.trusted()

    hands.wall_ms -= HOUR_MS
    hands.clock = Clock(LIMITS, lambda: hands.wall_ms, lambda: hands.monotonic_s)
    keeper = Timekeeper(hands.clock, store, LIMITS, "boot")
    assert await keeper.check() == [], "that it jumped is told as a line"
    assert keeper.jumped
    assert not hands.clock.trusted()
    store.close()


async def test_after_another_boot_only_a_clock_behind_the_last_one_is_a_jump(store: Store) -> None:
    hands = Hands()
    await Timekeeper(hands.clock, store, LIMITS, "one").check()
    hands.wall_ms += 8 * HOUR_MS  # the machine was off
    hands.monotonic_s = 3
    hands.clock = Clock(LIMITS, lambda: hands.wall_ms, lambda: hands.monotonic_s)
    await Timekeeper(hands.clock, store, LIMITS, "two").check()
    assert hands.clock.trusted()
    hands.wall_ms -= 9 * HOUR_MS
    hands.clock = Clock(LIMITS, lambda: hands.wall_ms, lambda: hands.monotonic_s)
    await Timekeeper(hands.clock, store, LIMITS, "three").check()
    assert not hands.clock.trusted()
    store.close()


async def test_that_we_are_off_is_a_finding_about_ourselves(store: Store) -> None:
    hands = Hands()
    keeper = Timekeeper(hands.clock, store, LIMITS, "boot")
    for who in ("http://hk", "http://gd"):
        hands.clock.heard(who, hands.wall_ms - 6_000)
    [finding] = await keeper.check()
    assert (finding.outcome, finding.code) == (Outcome.OWN, "clock")
    assert "6 s ahead of" in finding.text
    store.close()
