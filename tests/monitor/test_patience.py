"""A log that gives no answer of use, and one that asks to be left alone."""

import pytest

from log.errors import LogError, Malformed, NotFound, Redirected, Unreachable
from monitor.clock import Clock
from monitor.limits import Limits
from monitor.outcome import BUSY, GARBLED, REDIRECT, Outcome
from monitor.patience import Patience

ORIGIN = "hk.example/x509"


class Hands:
    """A clock that stands where it is put."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def clock(self, limits: Limits) -> Clock:
        return Clock(limits, lambda: 0, lambda: self.now_s)


@pytest.mark.parametrize(
    ("error", "outcome", "code"),
    [
        (Redirected("it is over there"), Outcome.UNVERIFIED, REDIRECT),
        (Malformed("no note"), Outcome.UNVERIFIED, GARBLED),
        (NotFound("checkpoint"), Outcome.UNVERIFIED, GARBLED),
        (Unreachable("nobody"), Outcome.UNREACHED, "silent"),
    ],
)
def test_what_is_said_of_no_answer_and_that_it_may_be_asked_again(error: LogError, outcome: Outcome, code: str) -> None:
    patience = Patience(ORIGIN, Limits(), Hands().clock(Limits()))
    found = patience.refused(error, "silent")
    assert (found.subject, found.outcome, found.code) == (ORIGIN, outcome, code)
    assert patience.resting() is None


@pytest.mark.parametrize(("asks_s", "rests_s"), [(7, 7.0), (10**6, 300.0)])
def test_a_busy_one_is_left_alone_as_long_as_it_asks_and_no_longer_than_we_allow(asks_s: int, rests_s: float) -> None:
    hands = Hands()
    patience = Patience(ORIGIN, Limits(retry_after_s=300.0), hands.clock(Limits()))
    found = patience.refused(Unreachable("busy", asks_s), "silent")
    assert (found.outcome, found.code) == (Outcome.UNREACHED, BUSY)
    hands.now_s += rests_s - 0.1
    assert patience.resting() == found
    hands.now_s += 0.1
    assert patience.resting() is None
