"""The composition root of the monitor: every object is made here, and nothing else makes one."""

import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import httpx
from fastapi import APIRouter, FastAPI

from log.client import LogReader
from log.client.bearer import read_token
from log.evidence.check import Pinned
from log.fair.rates import Rate, Rates
from log.formats.identity import Identity
from log.governance.draft import Closing
from log.serving.vitals import Vitals
from monitor import hand, keyring, pinned, timekeeper
from monitor.alert import Route
from monitor.board import Board
from monitor.branches import Branches
from monitor.channels.channel import Channel
from monitor.channels.command import Command
from monitor.channels.lines import Lines
from monitor.channels.mail import Mail, Relay
from monitor.channels.webhook import Webhook
from monitor.clock import Clock
from monitor.connections import http_client
from monitor.copy.folder import Copies
from monitor.copy.reader import CopyReader
from monitor.crew import Crew
from monitor.desk import Desk
from monitor.gossip import Gossip, Known
from monitor.governed import Governed
from monitor.health import Health
from monitor.judging import Judging, Source
from monitor.logs import FollowedLog, unread
from monitor.outbox import Outbox
from monitor.roster import Roster, Self, idle, roster
from monitor.rounds import Rounds
from monitor.rules.case import FixedLists, Hit, Lists
from monitor.rules.engine import Engine
from monitor.rules.limits import Limits as RuleLimits
from monitor.settings import Settings
from monitor.shelf import Shelf
from monitor.sources import Further, nobody
from monitor.standing import Standing
from monitor.store import Store
from monitor.tables import ChannelTable, CommandTable, LinesTable, MailTable, WebhookTable
from monitor.timekeeper import Timekeeper
from monitor.web import copies as copies_routes
from monitor.web import feedback
from monitor.web import gossip as gossip_routes
from monitor.web import health as health_routes
from monitor.web import metrics as metrics_routes
from monitor.web import page as page_routes
from monitor.web.app import make_app
from monitor.web.copies import Served
from monitor.web.gate import Gate
from monitor.web.metrics import Numbers
from monitor.workshop import Parts


def now_ms() -> int:
    """Return POSIX time in milliseconds."""
    return time.time_ns() // 1_000_000


def create_state(settings: Settings) -> None:
    """Make the state, once; raise `StateRefused` when there is one."""
    Store.create(settings.state, keyring.load(settings).witness.vkey.encode())


def governed_of(settings: Settings, store: Store, clock: Callable[[], int] = now_ms) -> Governed | None:
    """Return what an open store knows of governance; None where the settings pin no genesis."""
    genesis = pinned.genesis(settings)
    if genesis is None:
        return None
    governed = Governed(genesis, store, settings.bounds(), clock)
    governed.load()
    return governed


def look_of(settings: Settings, signing: keyring.Keys, store: Store, governed: Governed | None) -> Callable[[], Roster]:
    """Return what says whom to follow: the settings, and governance where there is some."""
    named, hidden = pinned.nodes(settings, signing.witness.vkey), pinned.unread(settings)
    if governed is None:
        return lambda: Roster(unread(named, hidden))
    own = Self(signing.witness.vkey, signing.guard.vkey)
    mirrored = [each for each in pinned.sources(settings) if each.origin]

    def ended(origin: str, closing: Closing) -> bool:
        verified = store.verified(origin)
        return verified is not None and verified.head.size >= closing.size

    def look() -> Roster:
        (chains, state), findings = governed.state(), governed.findings
        found = roster(named, chains, state, own, lambda name: pinned.poll_s(settings, name), ended)
        told = (*findings, *found.findings, *idle(mirrored, found.nodes))
        return replace(found, nodes=unread(found.nodes, hidden), findings=told)

    return look


@dataclass(frozen=True)
class Monitor:
    """A monitor put together: what goes round once or for ever, and what answers others."""

    crew: Crew
    rounds: Rounds
    standing: Standing
    routers: Callable[[], list[APIRouter]]
    judging: Judging
    store: Store
    vitals: Vitals  # of the process around it
    to_judge: Callable[[], list[Source]]

    @cached_property
    def app(self) -> FastAPI:
        """What answers others, made when it is first asked for: `run --once` serves nobody."""
        return make_app(self.routers())


def assemble(
    settings: Settings,
    signing: keyring.Keys,
    store: Store,
    client: httpx.AsyncClient,
    wall: Callable[[], int] = now_ms,
    monotonic: Callable[[], float] | None = None,
    outside: Mapping[str, httpx.AsyncClient] = MappingProxyType({}),
    further: Further = nobody,
    copies: Copies | None = None,
) -> Monitor:
    """Put a monitor together around an open store, an HTTP client, and one for each egress in `outside`.

    `further` may have logs' data, besides those that the settings name.

    A `wall` clock (ms) other than the machine's is its own `monotonic` one (s) too, unless there is another. Without
    `copies` nothing is copied.
    """
    governed, limits = governed_of(settings, store, wall), settings.bounds()
    if monotonic is None:
        monotonic = time.monotonic if wall is now_ms else lambda: wall() / 1000
    clock = Clock(limits, wall, monotonic)
    gossips: list[Gossip] = []

    def held_back() -> str:
        """Nobody signs before other monitors were asked what they remember of us, nor while they know more."""
        if not all(gossip.asked for gossip in gossips):
            return "other monitors have not been asked yet"
        return "another monitor knows more of us than we do" if any(each.knows_more for each in gossips) else ""

    def known() -> Known:
        return known_of(crew.logs, None if governed is None else governed.genesis.hash)

    sources = pinned.sources(settings)

    def elsewhere(origin: str) -> list[LogReader]:
        followed = logs().get(origin)
        return [*further(origin), *(() if followed is None else parts.others(followed, sources))]

    parts = Parts(signing, store, client, limits, clock, shelf_of(settings), governed, held_back, elsewhere, copies)
    archive = parts.archive(known)
    gossips += [parts.gossip(other, archive, known) for other in pinned.monitors(settings)]
    ways = pinned.ways(settings)
    egresses = [parts.egress(way, outside[way.name], ways) for way in ways if way.name in outside]
    store.routes = routes_of(settings)
    desk, keeper = Desk(store, limits, clock), Timekeeper(clock, store, limits, timekeeper.boot_id())
    outbox = Outbox(channels_of(settings, client), store, limits, clock, settings.name)

    def logs() -> dict[str, FollowedLog]:
        return {followed.origin: followed for followed in crew.logs}

    def origins() -> dict[str, str]:
        return {followed.origin_hash: followed.origin for followed in crew.logs}

    promises = parts.promises(logs)
    engine = Engine(pinned.rule_limits(settings))

    def branch_readers(followed: FollowedLog) -> list[LogReader]:
        return [*parts.views(followed, outside.values()), *elsewhere(followed.origin)]

    branches = Branches(store, branch_readers, engine, limits, wall)
    look = look_of(settings, signing, store, governed)
    crew = Crew(parts, look, gossips, egresses, promises, branches)
    rate = Rate("sender_rate", limits.sender_rate, "one address")
    rates: Rates[str] = Rates(rate, lambda: int(monotonic() * 1000), limits.senders)

    def served_copies() -> dict[str, Served]:
        if copies is None:
            return {}
        return {
            followed.origin_hash: Served(
                CopyReader(copies.of(followed)), followed.family, followed.origin in settings.copies.public
            )
            for followed in crew.logs
            if not followed.unread
        }

    others = tuple(gossip.other.vkey for gossip in gossips)
    lists = lists_of(settings, governed)
    judging = Judging(store, engine, lists, pinned.Watching(settings), limits, wall)
    gate = Gate(map(bytes.fromhex, settings.page.tokens), open_=settings.page.open)
    board = Board(store, lambda: crew.logs, limits, wall)
    health, vitals = Health(settings.name, lambda: crew.watches, store, clock, limits), Vitals(wall())
    pollination, tokens = parts.pollination(logs), pinned.copy_tokens(settings)

    def routers() -> list[APIRouter]:
        return [
            health_routes.router(health),
            metrics_routes.router(Numbers(board, health, store, outbox.names, vitals)),
            page_routes.router(board, gate),
            feedback.router(promises, pollination, rates, limits),
            gossip_routes.router(store, archive, parts.own, others, origins, limits),
            copies_routes.router(served_copies, tokens),
        ]

    rounds, standing = Rounds(crew, limits, desk, keeper, outbox), Standing(crew, limits, desk, keeper, outbox)
    return Monitor(crew, rounds, standing, routers, judging, store, vitals, lambda: [*map(parts.source, crew.logs)])


def lists_of(settings: Settings, governed: Governed | None) -> Lists:
    """Return the trust lists: those of governance where a genesis is pinned, else those of the settings."""
    return FixedLists(pinned.trust_lists(settings)) if governed is None else governed


def judge_files(files: Sequence[Path], settings: Settings | None) -> list[tuple[str, list[Hit]]]:
    """Judge certificates in files by the lists and limits of the settings, or by the usual ones; see `hand`."""
    if settings is None:
        return hand.judge(files, FixedLists(), RuleLimits.usual())
    limits = pinned.rule_limits(settings)
    if settings.governance is None:
        return hand.judge(files, lists_of(settings, None), limits)
    store = Store.read(settings.state)
    try:
        return hand.judge(files, lists_of(settings, governed_of(settings, store)), limits)
    finally:
        store.close()


def known_of(logs: Iterable[FollowedLog], genesis: bytes | None) -> Known:
    """Return whom these logs let us judge: themselves, and whoever is to witness them."""
    found = {followed.origin: followed for followed in logs}
    fed = [vkey for each in found.values() for witness in each.witnesses for vkey in witness.vkeys]
    named = [line.vkey for each in found.values() for line in each.policy.witnesses]
    identities = [Identity(each.origin, each.vkeys) for each in found.values()]
    return Known(found, Pinned(identities, tuple(dict.fromkeys([*fed, *named])), genesis))


def channels_of(settings: Settings, client: httpx.AsyncClient) -> list[Channel]:
    """Return whom alerts are told to; raise `SettingsError` for a file that holds no secret."""
    limit_s = settings.bounds().channel_s

    def secret(file: Path | None) -> str:
        return "" if file is None else read_token(file)

    def made(table: ChannelTable) -> Channel:
        match table:
            case WebhookTable():
                return Webhook(table.name, table.url, client, limit_s, secret(table.secret), secret(table.token))
            case MailTable():
                authorities = None if table.authorities is None else str(table.authorities)
                relay = Relay(table.host, table.port, table.tls, table.user, secret(table.password), authorities)
                return Mail(table.name, relay, table.sender, table.to, limit_s)
            case CommandTable():
                return Command(table.name, table.command)
            case LinesTable():
                return Lines(table.name)

    return [made(table) for table in settings.channels]


def routes_of(settings: Settings) -> tuple[Route, ...]:
    """Return which alerts go to which channel."""
    return tuple(Route(table.name, frozenset(table.classes), table.least) for table in settings.channels)


def shelf_of(settings: Settings) -> Shelf | None:
    """Return the folder for the heads that we cosigned last, or None where the settings name none."""
    return None if settings.publish is None else Shelf(settings.publish)


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Monitor]:
    """A whole monitor over real connections; everything is closed at the end."""
    signing = keyring.load(settings)
    limits = settings.bounds()
    store = Store.open(settings.state, signing.witness.vkey.encode(), limits.chain_rows, limits.fold_writes)
    copies = Copies(settings.copy_folder, limits)
    try:
        trusted = settings.authorities
        tokens = {table.url: read_token(table.file) for table in settings.tokens}
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(http_client(limits, tokens, authorities=trusted))
            outside = {
                way.name: await stack.enter_async_context(http_client(limits, way=way, authorities=trusted))
                for way in pinned.ways(settings)
            }
            yield assemble(settings, signing, store, client, outside=outside, copies=copies)
    finally:
        await copies.close()
        store.close()
