"""The outbox: every alert to every channel that takes it, at least once, whatever channels do (monitoring.md §5.3).

Each channel is served by a task of its own, one alert at a time, what is about logs first and the oldest of it, each
attempt within a time limit.
After a failure the channel is left alone for a while, longer each time; an alert that failed `deliver_tries` times is
given up, and shown. That a channel fails is a finding about ourselves, which goes to the others.
"""

import asyncio
import random
from collections.abc import Iterable

from log.errors import Unreachable
from monitor.channels.channel import Channel, body_of
from monitor.clock import Clock
from monitor.limits import Limits
from monitor.outcome import CHANNEL, Finding, Outcome
from monitor.store import GIVEN_UP, SENT, WAITING, Delivery, KeptAlert, Store

BATCH = 32  # alerts looked up at a time
TELL_S = 60.0  # for which a channel is told what is due before others may report; the rest is told the next time
LEAST_PAUSE = 0.1  # of the longest pause: the shortest


class Outbox:
    """The channels of one monitor. One task at a time calls `deliver` for a channel."""

    def __init__(self, channels: Iterable[Channel], store: Store, limits: Limits, clock: Clock, monitor: str) -> None:
        """`monitor` is our name."""
        self._channels = {channel.name: channel for channel in channels}
        self._store = store
        self._limits = limits
        self._clock = clock
        self._monitor = monitor
        self._rest_s = dict.fromkeys(self._channels, 0.0)  # on the monotonic clock: when each is tried again
        self._resumed: set[str] = set()  # channels that this process has looked at
        self._said: dict[str, list[Finding]] = {name: [] for name in self._channels}

    @property
    def names(self) -> tuple[str, ...]:
        """The channels there are."""
        return tuple(self._channels)

    async def deliver(self, name: str) -> list[Finding]:
        """Tell a channel what is due, as much as `TELL_S` allow; return what is wrong with it."""
        begun_s = self._clock.monotonic_s()
        if begun_s < self._rest_s[name]:
            return self._said[name]
        longest_ms = round(self._limits.deliver_pause_s * 1000)
        due = await asyncio.to_thread(self._store.due, name, self._clock.now_ms(), longest_ms, BATCH)
        if not due and name not in self._resumed:  # a failure that an earlier process has met is not over
            kept = await asyncio.to_thread(self._store.undelivered, [name])
            if any(each.state == WAITING for each in kept):
                self._said[name] = [_failed(name, "nor has this process tried yet")]
        self._resumed.add(name)
        while due:
            for delivery in due:
                self._said[name] = await self._tell(name, delivery)
                if self._said[name] or self._clock.monotonic_s() - begun_s >= TELL_S:
                    return self._said[name]
            due = await asyncio.to_thread(self._store.due, name, self._clock.now_ms(), longest_ms, BATCH)
        return self._said[name]

    async def _tell(self, name: str, delivery: Delivery) -> list[Finding]:
        error = await attempt(self._channels[name], delivery.kept, self._monitor, self._limits.channel_s)
        if not error:
            await asyncio.to_thread(self._store.keep_delivery, delivery, SENT, self._clock.now_ms())
            return []
        longest_s = min(2.0 ** min(delivery.attempts, 20), self._limits.deliver_pause_s)
        pause_s = random.uniform(LEAST_PAUSE * longest_s, longest_s)  # noqa: S311 - spreads load, guards nothing
        state = GIVEN_UP if delivery.attempts + 1 >= self._limits.deliver_tries else WAITING
        next_ms = self._clock.now_ms() + round(pause_s * 1000)
        await asyncio.to_thread(self._store.keep_delivery, delivery, state, next_ms)
        self._rest_s[name] = self._clock.monotonic_s() + pause_s
        return [_failed(name, error)]


def _failed(name: str, error: str) -> Finding:
    return Finding(Outcome.OWN, f"channel {name}", CHANNEL, f"channel {name} was not told an alert: {error}")


async def attempt(channel: Channel, kept: KeptAlert, monitor: str, limit_s: float) -> str:
    """Try once to tell one alert; return what went wrong, or "" when it was told."""
    try:
        async with asyncio.timeout(limit_s):
            await channel.send(kept, body_of(kept, monitor))
    except TimeoutError:
        return f"not done within {limit_s} s"
    except Unreachable as e:
        return str(e)
    return ""
