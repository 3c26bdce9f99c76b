"""What a test does with a log that tells the truth: let it grow, and see that nothing is wrong."""

from monitor.outcome import Outcome
from tests.monitor.conftest import Monitor
from tests.support.lying_log import LyingLog


async def grow(followed: LyingLog, count: int = 7) -> None:
    followed.add(count)
    await followed.sign()


async def healthy(monitor: Monitor) -> None:
    outcome, findings = await monitor.once()
    assert (outcome, findings) == (Outcome.VOUCHED, [])
