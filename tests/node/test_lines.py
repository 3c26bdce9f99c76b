"""What a node says of guards, clocks, halts, heads and slow commits: a line when it changes, none while it stays."""

import logging
from typing import Any

import pytest

from log.sequencer.loop import Commit
from log.workshop import _tell_slow
from tests.support.engine import ORIGIN, until
from tests.support.side import GOVERNANCE_ORIGIN, PEER, Side


def said(caplog: pytest.LogCaptureFixture, message: str) -> list[dict[str, Any]]:
    """Return the fields of the lines with this message."""
    return [vars(record)["fields"] for record in caplog.records if record.getMessage() == message]


async def test_a_guard_is_told_once_and_again_after_the_clocks_parted(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        side = Side()
        await side.create()
        await side.start()
        for _ in range(3):
            await side.open()
        own = [fields["origin"] for fields in said(caplog, "a guard has spoken for a log of ours")]
        assert sorted(own) == sorted([ORIGIN, GOVERNANCE_ORIGIN])
        assert said(caplog, "a guard has spoken for what our witness cosigned") == [{"origin": PEER}]
        assert sorted(fields["origin"] for fields in said(caplog, "recovered")) == sorted(own)
        side.clock.jump(5_000)
        side.running.health()
        side.running.health()
        assert said(caplog, "the clocks parted: nothing is signed until a guard speaks") == [{"by_ms": 5_000}]
        await side.open()
        assert len(said(caplog, "a guard has spoken for a log of ours")) == 4
        await side.crash()


async def test_that_heads_are_not_signed_is_told_once_and_that_they_are_again_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    side = Side()
    await side.create()
    with caplog.at_level(logging.INFO):
        await side.start()
        sequencer = side.x509.sequencer
        await until(lambda: sequencer.counts.missed_beats)
        unsigned = said(caplog, "no head is signed")
        assert {"origin": ORIGIN, "reason": "unguarded"} in unsigned
        missed = sequencer.counts.missed_beats
        side.clock.advance(1_000)
        await until(lambda: sequencer.counts.missed_beats > missed)
        assert [fields["origin"] for fields in said(caplog, "no head is signed")].count(ORIGIN) == 1
        await side.open()
        side.clock.advance(1_000)
        await until(lambda: sequencer.counts.beats)
        assert {"origin": ORIGIN} in said(caplog, "heads are signed again")
        await side.crash()


async def test_a_halt_is_told_when_it_comes_and_at_each_start(caplog: pytest.LogCaptureFixture) -> None:
    side = Side()
    await side.create()
    await side.start()
    await side.open()
    with caplog.at_level(logging.ERROR):
        assert side.halts is not None
        for _ in range(2):
            await side.halts.halt(ORIGIN, "another tree", b"ours\n", b"theirs\n")
        assert said(caplog, "signing is halted until an operator clears it") == [
            {"origin": ORIGIN, "why": "another tree"}
        ]
        await side.restart()
        assert said(caplog, "signing is still halted") == [{"origin": ORIGIN, "why": "another tree"}]
        await side.crash()


def test_a_commit_that_took_long_is_a_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        _tell_slow("x509", 500, Commit(3, 4096, 0.4994))
        _tell_slow("x509", 500, Commit(3, 4096, 0.5))
    assert said(caplog, "slow commit") == [{"log": "x509", "ms": 500, "entries": 3, "bytes": 4096}]
