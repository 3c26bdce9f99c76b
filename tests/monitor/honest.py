"""What a test does with a log that tells the truth: let it grow, and see that nothing is wrong."""

from log.formats.checkpoint import parse_signed
from monitor.outcome import Outcome
from tests.monitor.conftest import Monitor
from tests.support.lying_log import LyingLog


async def grow(followed: LyingLog, count: int = 7) -> None:
    followed.add(count)
    await followed.sign()


async def healthy(monitor: Monitor) -> None:
    outcome, findings = await monitor.once()
    assert (outcome, findings) == (Outcome.VOUCHED, [])


async def serves_again(monitor: Monitor, followed: LyingLog) -> None:
    """Hong Kong's log of certificates is the true one again: it grows, all is well, and it is vouched for."""
    monitor.world.hk.logs["x509"] = followed
    await grow(followed)
    await healthy(monitor)
    assert followed.witnessed is not None
    assert parse_signed(followed.witnessed)[1].size == followed.size
