"""A monitor as a process: what `main` puts together is opened, and goes round once, or until a signal comes.

Or one of its channels is tried.
"""

import asyncio
import logging
import signal

from log import heap
from log.errors import SettingsError, StateRefused, StorageError
from monitor.alert import Alert, Class
from monitor.connections import http_client, serving
from monitor.main import Monitor, channels_of, now_ms, opened
from monitor.outbox import attempt
from monitor.outcome import exit_code
from monitor.settings import Settings
from monitor.store import KeptAlert

logger = logging.getLogger("monitor")


async def once(settings: Settings) -> int:
    """Do one round, judge what it brought, and return the exit code."""
    async with opened(settings) as monitor:
        with heap.settled():
            found = await monitor.rounds.once()
            while await monitor.judging.pass_over(monitor.to_judge()):
                pass
            await monitor.rounds.tell()  # of what was judged
        return exit_code(found, identity=await asyncio.to_thread(monitor.store.certificate_alerts) > 0)


async def run(settings: Settings) -> None:
    """Go round until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    async with opened(settings) as monitor, serving(settings, monitor.app) as url:
        work = asyncio.ensure_future(_all_work(monitor))
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, work.cancel)
        logger.info(
            "the monitor runs", extra={"fields": {"event": "started", "logs": len(monitor.crew.watches), "url": url}}
        )
        try:
            with heap.settled(), monitor.vitals.watched():
                await work
        except asyncio.CancelledError:
            logger.info("the monitor stops", extra={"fields": {"event": "stopped"}})
        except BaseExceptionGroup as group:
            raise _first(group) from group
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)


async def _all_work(monitor: Monitor) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(monitor.standing.run(), name="rounds")
        group.create_task(monitor.judging.run(monitor.to_judge, asyncio.Event()), name="judging")


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error that ended the monitor: our own bugs before what its state or settings say."""
    ours, others = group.split((StorageError, StateRefused))
    found: BaseException = others or ours or group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found


async def try_channel(settings: Settings, name: str) -> str:
    """Send a test alert to a channel; return what went wrong, or "". Raise `SettingsError` when there is none."""
    limits, alert = settings.bounds(), Alert("test", Class.OWN, "info", settings.name, "test", "this is a test")
    async with http_client(limits, authorities=settings.authorities) as client:
        found = [channel for channel in channels_of(settings, client) if channel.name == name]
        if not found:
            raise SettingsError(f"no channel is called {name}")
        kept = KeptAlert(0, alert, now_ms(), None, None)
        return await attempt(found[0], kept, settings.name, limits.channel_s)
