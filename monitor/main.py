"""The composition root of the monitor: every object is made here, and nothing else makes one."""

import asyncio
import json
import logging
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

from log.client.http import HttpLog
from log.client.http import Limits as ReaderLimits
from log.crypto import keys
from log.crypto.mldsa import mldsa_available
from log.crypto.notes import NoteSigner
from log.errors import StateRefused, StorageError
from monitor import settings as config
from monitor.feeder import Feeder
from monitor.follower import Follower
from monitor.guard import Guard
from monitor.ledger import Ledger
from monitor.limits import Limits
from monitor.logs import WatchedNode
from monitor.outcome import Outcome, worst
from monitor.own_witness import OwnWitness
from monitor.peer import Peer
from monitor.rounds import Rounds, Watch
from monitor.settings import Settings
from monitor.shelf import Shelf
from monitor.store import Store

logger = logging.getLogger("monitor")


@dataclass(frozen=True, slots=True)
class Keys:
    """What a monitor signs with."""

    witness: NoteSigner  # 0x04
    guard: NoteSigner  # 0x01
    mldsa: NoteSigner | None = None  # 0x06, beside `witness`

    @property
    def cosigners(self) -> tuple[NoteSigner, ...]:
        """Those that cosign, 0x04 first."""
        return (self.witness,) if self.mldsa is None else (self.witness, self.mldsa)


def now_ms() -> int:
    """Return POSIX time in milliseconds."""
    return time.time_ns() // 1_000_000


def load_keys(settings: Settings) -> Keys:
    """Return the monitor's keys; raise `SettingsError`."""
    witness, *second = keys.load_witness_keys(settings.keys, settings.name)
    found = Keys(witness, keys.load_guard_key(settings.keys, settings.name), *second)
    keys.require_distinct([*found.cosigners, found.guard])
    return found


def make_keys(settings: Settings) -> Keys:
    """Make the keys that are not there yet, and return all."""
    if not (settings.keys / "witness.pem").exists():
        keys.generate_witness_keys(settings.keys)
    elif not (settings.keys / "witness.mldsa.pem").exists() and mldsa_available():
        keys.generate_witness_mldsa_key(settings.keys)
    if not (settings.keys / "guard.pem").exists():
        keys.generate_guard_key(settings.keys)
    return load_keys(settings)


def create_state(settings: Settings) -> None:
    """Make the state, once; raise `StateRefused` when there is one."""
    Store.create(settings.state, load_keys(settings).witness.vkey.encode())


def assemble(
    nodes: tuple[WatchedNode, ...],
    signing: Keys,
    store: Store,
    client: httpx.AsyncClient,
    limits: Limits,
    clock: Callable[[], int] = now_ms,
    shelf: Shelf | None = None,
) -> Rounds:
    """Put a monitor together around an open store and an HTTP client."""
    peer = Peer(client, limits.request_s, limits.max_answer_bytes)
    own = OwnWitness(signing.cosigners, store, clock)
    ledger = Ledger(store, limits, clock)
    watches = []
    for node in nodes:
        for followed in node.logs:
            reader = HttpLog(
                followed.url,
                followed.family,
                client,
                ReaderLimits(deadline_s=limits.request_s, checkpoint_bytes=limits.max_answer_bytes),
            )
            follower = Follower(followed, reader, store, ledger, limits, clock)
            feeders = [Feeder(followed, witness, reader, peer, store, ledger, limits) for witness in followed.witnesses]
            watches.append(Watch(followed, reader, follower, feeders, own, ledger, store, peer, node.poll_s, shelf))
    guards = [
        Guard(
            node,
            [followed for other in nodes if other is not node for followed in other.logs],
            signing.guard,
            own,
            store,
            peer,
            clock,
        )
        for node in nodes
        if node.guarded
    ]
    return Rounds(watches, guards, limits)


def shelf_of(settings: Settings) -> Shelf | None:
    """Return the folder for the heads that we cosigned last, or None where the settings name none."""
    return None if settings.publish is None else Shelf(settings.publish)


def http_client(limits: Limits) -> httpx.AsyncClient:
    """Return the client for all peers. It keeps nothing that a peer tells it to keep: a jar of cookies only grows.

    The route to a peer is what the settings say, not what the environment says of proxies.
    """
    return httpx.AsyncClient(
        timeout=limits.request_s,
        limits=httpx.Limits(max_connections=limits.connections),
        trust_env=False,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
    )


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Rounds]:
    """A whole monitor over real connections; everything is closed at the end."""
    signing = load_keys(settings)
    nodes = config.nodes(settings, signing.witness.vkey)
    limits = settings.bounds()
    store = Store.open(settings.state, signing.witness.vkey.encode(), limits.chain_rows, limits.fold_writes)
    try:
        async with http_client(limits) as client:
            yield assemble(nodes, signing, store, client, limits, shelf=shelf_of(settings))
    finally:
        store.close()


async def once(settings: Settings) -> Outcome:
    """Do one round and return what counts of it."""
    async with opened(settings) as rounds:
        return worst(finding.outcome for finding in await rounds.once())


async def run(settings: Settings) -> None:
    """Go round until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    async with opened(settings) as rounds:
        work = asyncio.ensure_future(rounds.run())
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, work.cancel)
        logger.info("the monitor runs", extra={"fields": {"event": "started", "logs": len(rounds.watches)}})
        try:
            await work
        except asyncio.CancelledError:
            logger.info("the monitor stops", extra={"fields": {"event": "stopped"}})
        except BaseExceptionGroup as group:
            raise _first(group) from group
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error that ended the monitor: our own bugs before what its state or settings say."""
    ours, others = group.split((StorageError, StateRefused))
    found: BaseException = others or ours or group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found


# --- what is written to stdout -----------------------------------------------------------------------------


class Lines(logging.Formatter):
    """One JSON object a line: time, level, event, message, and the event's own fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one record."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": at, "level": record.levelname.lower()}
        line |= getattr(record, "fields", {"event": record.name})
        line["message"] = record.getMessage()
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def write_lines() -> None:
    """Send this monitor's log lines to stdout."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(Lines())
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False
