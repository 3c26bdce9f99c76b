"""Chunks of entries are read ahead of being hashed: in order, each once, never far, and nothing is left behind."""

import asyncio
import threading
from collections.abc import Sequence
from typing import Any, cast

import pytest

from log.crypto.notes import sign_note
from log.errors import Malformed, Unreachable
from log.evidence.heads import Head
from log.formats.checkpoint import Checkpoint
from log.formats.family import X509
from log.formats.policy import Policy
from log.merkle.frontier import Frontier
from log.merkle.hashing import leaf_hash
from monitor.clock import Clock
from monitor.fetching import Fetcher
from monitor.limits import Limits
from monitor.logs import FollowedLog
from monitor.outcome import Outcome
from monitor.rebuild import Fed, Rebuild
from tests.monitor.conftest import Monitor
from tests.monitor.honest import healthy
from tests.support.memory_log import ORIGIN, MemoryLog, certificates

LOG = FollowedLog("hk", "x509", X509, ORIGIN, "http://hk/x509", (), Policy.parse("quorum none\n"), ())
SIZE = 1_000
WAIT_S = 60


class Bench:
    """A follower of a log in memory; what is asked for and what is hashed, in the order in which it begins."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, ahead_bytes: int) -> None:
        self.held = MemoryLog(X509, certificates(SIZE))
        self.root = self.held.rebuild([leaf_hash(X509.leaf_input(row)) for row in self.held.rows])
        self.happened: list[tuple[str, int]] = []
        self.silent_from = SIZE
        self.asked = {at: threading.Event() for at in range(0, SIZE, 256)}  # by where a chunk begins
        self.waits_for = 0  # so many entries on, a chunk must have been asked for before one is hashed
        limits = Limits(chunk_entries=256, ahead_bytes=ahead_bytes)
        self.fetcher = Fetcher(LOG, limits, Clock(limits, lambda: 0, lambda: 0))
        feed = Rebuild.feed

        def fed(rebuild: Rebuild, start: int, rows: Sequence[bytes]) -> Fed:
            self.happened.append(("hashed", start))
            if self.waits_for and start + self.waits_for < SIZE:
                assert self.asked[start + self.waits_for].wait(WAIT_S), f"nothing is asked for while {start} is hashed"
            return feed(rebuild, start, rows)

        monkeypatch.setattr(Rebuild, "feed", fed)

    async def entries(self, start: int, end: int, size: int) -> list[bytes]:
        self.happened.append(("asked", start))
        self.asked[start].set()
        if start >= self.silent_from:
            raise Unreachable("gone")
        return await self.held.entries(start, end, size)

    async def lead(self) -> None:
        head = Head(ORIGIN, SIZE, self.root, (), b"", b"")
        try:
            await self.fetcher.lead(cast(Any, self), head, Frontier.empty(), ())
        finally:
            assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_one_chunk_is_asked_for_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, ahead_bytes=1 << 20)
    bench.waits_for = 256
    await bench.lead()
    assert [at for what, at in bench.happened if what == "asked"] == [0, 256, 512, 768]
    assert [at for what, at in bench.happened if what == "hashed"] == [0, 256, 512, 768]
    for at in (0, 256):
        assert bench.happened.index(("hashed", at)) < bench.happened.index(("asked", at + 512))


async def test_nothing_is_asked_for_ahead_of_a_chunk_of_many_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, ahead_bytes=1)
    await bench.lead()
    assert bench.happened == [(what, at) for at in (0, 256, 512, 768) for what in ("asked", "hashed")]


@pytest.mark.parametrize("silent_from", [0, 256, 768])
async def test_a_log_that_goes_silent_ends_it(monkeypatch: pytest.MonkeyPatch, silent_from: int) -> None:
    bench = Bench(monkeypatch, ahead_bytes=1 << 20)
    bench.silent_from = silent_from
    with pytest.raises(Unreachable):
        await bench.lead()
    assert max(at for _, at in bench.happened) == silent_from


async def test_rows_that_cannot_be_read_end_it_while_more_are_on_their_way(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, ahead_bytes=1 << 20)
    bench.held.rows[300] = b"?"
    with pytest.raises(Malformed):
        await bench.lead()
    assert ("hashed", 512) not in bench.happened


async def test_a_size_that_a_log_merely_claims_costs_nothing(monitor: Monitor) -> None:
    """Sizes go up to 2**63; what is noted at every so many entries is noted as they come."""
    followed = monitor.world.hk_x509
    await healthy(monitor)
    held, monitor.world.time_ms = monitor.held(followed), monitor.world.time_ms + 1_000
    text = Checkpoint(followed.origin, 1 << 62, bytes(32)).encode()
    followed.note = (await sign_note(text, monitor.world.time_ms, followed.signers)).encode()
    followed.frozen = True
    outcome, findings = await monitor.once()
    assert outcome is Outcome.UNVERIFIED
    assert {each.code for each in findings if each.subject == followed.origin} == {"data"}
    assert monitor.held(followed) == held
