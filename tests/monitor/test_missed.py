"""What a witness missed is audited again a stretch at a time: a round ends, and nothing of the window is left out."""

from collections import Counter
from collections.abc import Callable

import pytest

from log.client.witness import Answer
from monitor.outcome import Finding, Outcome
from monitor.store import Store, Window
from tests.monitor.conftest import Monitor
from tests.monitor.honest import grow, healthy
from tests.support.lying_log import LyingLog
from tests.support.lying_node import LyingWitness

LOOK, LOOKS, CHUNK = 512, 2, 256
BOUNDS = f"look_entries = {LOOK}\nround_looks = {LOOKS}\nchunk_entries = {CHUNK}\n"
MISSED = 3_000


async def _refuse(_: LyingWitness, raw: bytes) -> Answer:
    return Answer(503, b"Service Unavailable\n", "text/plain")


@pytest.fixture
async def away(monitor: Monitor, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """A log that grew while its witness was away; return what brings that one back."""
    followed = monitor.world.hk_x509
    monitor.path.write_text(monitor.path.read_text() + BOUNDS)
    await healthy(monitor)
    monkeypatch.setattr(LyingWitness, "add_checkpoint", _refuse)
    monitor.world.time_ms += 700_000
    await grow(followed, MISSED)
    for _ in range(-(-MISSED // (LOOK * LOOKS))):
        await monitor.once()
    assert monitor.store is not None
    verified = monitor.store.verified(followed.origin)
    assert verified is not None
    assert verified.head.size == followed.size
    monitor.world.hk.seen.clear()
    return monkeypatch.undo


def tiles(monitor: Monitor) -> Counter[str]:
    """Return which tiles of entries were read since, and forget it."""
    seen = [each for each in monitor.world.hk.seen if "/x509/tile/data/" in each]
    monitor.world.hk.seen.clear()
    return Counter(seen)


def window(monitor: Monitor, followed: LyingLog) -> Window | None:
    assert monitor.store is not None
    return monitor.store.missed(followed.origin)


async def test_each_round_goes_on_where_the_last_one_stopped_after_a_restart_too(
    monitor: Monitor, away: Callable[[], None]
) -> None:
    followed, read, rounds = monitor.world.hk_x509, Counter[str](), 0
    away()
    while rounds == 0 or window(monitor, followed) is not None:
        await healthy(monitor)
        seen, rounds = tiles(monitor), rounds + 1
        assert seen.total() <= LOOK * LOOKS // CHUNK + 1, "a round is no longer for what was missed"
        read += seen
        assert rounds < 9
    assert rounds == 3
    first, last = 300 // CHUNK, followed.size // CHUNK
    numbers = {int(each.partition("/tile/data/")[2].partition(".p/")[0]) for each in read}
    assert numbers == set(range(first, last + 1)), "all of the window"
    assert set(read.values()) == {1}
    await healthy(monitor)
    assert tiles(monitor) == {}


class Killed(BaseException):
    """The end of the process."""


@pytest.mark.parametrize("write", ["keep_missed", "keep_cosigned"])
async def test_a_crash_at_either_write_of_its_return_loses_no_window(
    monitor: Monitor, away: Callable[[], None], monkeypatch: pytest.MonkeyPatch, write: str
) -> None:
    """The witness has answered by then, and shows everybody that it is back."""
    followed = monitor.world.hk_x509
    away()

    def end(_: Store, *__: object) -> None:
        raise Killed

    with monkeypatch.context() as dying:
        dying.setattr(Store, write, end)
        with pytest.raises(Killed):
            await monitor.once()
    monitor.stop()
    monitor.start()
    await healthy(monitor)
    left = window(monitor, followed)
    assert left is not None
    assert (left.size, left.head.size) == (300, followed.size)


def said(findings: list[Finding]) -> list[str]:
    return [each.text for each in findings if each.code == "data" and each.outcome is Outcome.UNVERIFIED]


async def test_what_is_wrong_in_it_is_said_until_all_of_it_is_right(monitor: Monitor, away: Callable[[], None]) -> None:
    followed = monitor.world.hk_x509
    rows = list(followed.rows)
    followed.rows[700] = (await followed.branch(600, 200)).rows[700]  # heads and hash tiles are as before
    away()
    monitor.stop()
    rounds = monitor.start()
    found = [said(await rounds.once()) for _ in range(6)]  # in one process
    wrong = [f"audited again from size 300: entries do not lead to the signed root of size {followed.size}"]
    assert found == [[], [], wrong, wrong, wrong, wrong], "at the end, and while it is read again"
    followed.rows = rows
    assert [said(await rounds.once()) for _ in range(3)] == [wrong, wrong, []]
    assert window(monitor, followed) is None


async def test_a_stretch_that_does_not_come_is_asked_for_again_and_not_those_before(
    monitor: Monitor, away: Callable[[], None]
) -> None:
    followed = monitor.world.hk_x509
    followed.alter = lambda path, answer: None if path == "tile/data/004" else answer
    away()
    outcome, findings = await monitor.once()
    assert outcome is Outcome.UNVERIFIED
    assert "audited again from size 300" in said(findings)[0]
    tiles(monitor)
    followed.alter = lambda _, answer: answer
    await healthy(monitor)
    assert not [each for each in tiles(monitor) if each.endswith(("data/001", "data/002"))]
