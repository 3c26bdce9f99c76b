"""The composition root: the only place where a node's objects are put together.

`build` opens what `state` made once; `serve` runs it until a signal or a failed store ends it.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from log import bounds, files, heap, journal, state
from log.api import server
from log.api.app import Options, create_app
from log.authority import Authority, FileAuthority, FixedMembers, GovernedAuthority, GovernedMembers, Members
from log.checking.messages import Rules
from log.checking.pool import Pool
from log.checking.pool import PoolLimits as CheckingLimits
from log.crypto import keys
from log.crypto.keys import LogKeys
from log.crypto.notes import NoteSigner, sign_statement
from log.errors import LogError, SettingsError, StateRefused, StorageError, StoreFailed, Unavailable
from log.formats.checkpoint import is_rehearsal
from log.formats.event import Entry
from log.formats.family import EVENTS, FAMILIES, GOVERNANCE, TILES
from log.formats.genesis import Genesis
from log.formats.identity import Identity as IdentityStatement
from log.formats.jcs import JSON
from log.formats.note import VKey
from log.formats.text import b64encode
from log.formats.tlog_proof import EntryExtra
from log.governance.ledger import Ledger
from log.node import calendar, closing
from log.node.actions import Actions
from log.node.disk import Disk, Footprint
from log.node.governance import Governance
from log.node.governed import Governed, Pinned
from log.node.guard import Guard, GuardLimits
from log.node.halts import Halts
from log.node.keeper import Keeper, Series, Term, Timing
from log.node.node import Node, NodeConfig
from log.node.witness import NodeWitness
from log.sequencer.clock import Clock
from log.sequencer.commit import Committer
from log.sequencer.commit import Identity as SigningIdentity
from log.sequencer.loop import Commit, Sequencer, SequencerConfig
from log.sequencer.pool import PoolLimits
from log.service.admission import Admission
from log.service.event_names import Known
from log.service.events import EventIntake, EventLimits
from log.service.intake import CertificateIntake, IntakeLimits, OpenIntake
from log.service.log import Identity, Log, ReadLimits
from log.service.references import References
from log.service.rfc6962 import RangeLimits
from log.service.scts import SctIssuer
from log.service.witnessed import WitnessedHead
from log.serving.vitals import Vitals
from log.settings import LogTable, NodeSettings
from log.sockets import listen, stays_here, url_of
from log.storage import RecordStore

logger = logging.getLogger("twinlog.main")

CLOSED_BY_SETTINGS = "closed by its operator"
YEARS_TO_COME = 10  # for which a refusal can say from when on their shard takes a certificate

FROZEN_RETRY_S = 60  # what is frozen stays so for longer than a full pool

EXIT_STOPPED = 0
EXIT_STATE = 3
EXIT_STORE = 4


# --- a node out of its settings -------------------------------------------------------------------------------


async def build(settings: NodeSettings, clock: Clock, url: str, members: Members | None = None) -> Node:
    """Open a node's stores and put it together; nothing runs before `Node.start`.

    `url` is where the node listens: its public URL unless the settings name another. Nobody is a member by default.
    """
    return await _Builder(settings, clock, members or FixedMembers()).node(settings.public_url.rstrip("/") or url)


class _Builder:
    """Holds what the parts of one node share while they are put together."""

    def __init__(self, settings: NodeSettings, clock: Clock, members: Members) -> None:
        state.check_settings(settings)
        self._members = members
        self._settings = settings
        self._clock = clock
        self._heads = state.open_heads(settings, create=False)
        self._halts = Halts(self._heads)
        limits = settings.limits
        self._disk = Disk(settings.data_dir, limits.disk_watermark_bytes, clock)
        self._guard = Guard(
            clock,
            state.guards(settings),
            self._halts,
            self._room,
            GuardLimits(limits.parting_ms, limits.heard_ms, limits.clock_error_ms),
        )
        self._authority: Authority = FileAuthority()
        self._governed: Governed | None = None
        self._governance: list[Governance] = []
        self._checks = Pool(CheckingLimits(limits.checkers, limits.max_checking))
        self._admission = Admission(bounds.admission_limits(settings), clock.mono_ms)
        self._logs: list[Log] = []
        self._terms: dict[str, Term] = {}
        self._signers: list[NoteSigner] = []
        self._tables: list[tuple[LogTable, LogTable]] = []  # of each certificate log, with the one it comes from
        self._intakes: dict[str, CertificateIntake] = {}
        self._open_intakes: dict[str, OpenIntake] = {}
        self._events: dict[str, EventIntake] = {}
        self._witness: NodeWitness | None = None
        self._node: Node | None = None

    async def node(self, url: str) -> Node:
        settings = self._settings
        self._authority = await files.load_authority(settings, self._heads)
        governing = None
        if settings.governance is not None:
            self._guard.seal()
            ledger = Ledger(files.load_genesis(settings.governance, settings.side))
            self._authority = authority = GovernedAuthority(lambda: ledger.chains, settings.node)
            self._members = GovernedMembers(authority)
            governing = ledger, authority
        tables = await state.tables(settings, self._heads)
        loaded = {table.name: state.log_keys(settings, table) for table, _ in tables}
        witness_keys = keys.load_witness_keys(settings.keys_dir, state.witness_name(settings))
        self._signers = [*witness_keys, *(signer for own in loaded.values() for signer in own.signers)]
        keys.require_distinct(self._signers)
        for table, series in tables:
            self._logs.append(await self._add_log(table, series, loaded[table.name]))
        known = state.witnessed(settings)
        witness = NodeWitness(witness_keys, known, self._heads, self._guard, self._halts, self._clock, self._fail)
        self._witness = witness
        config = NodeConfig(
            settings.node,
            url,
            settings.heartbeat_s * 1000,
        )
        governed = None if governing is None else self._govern(*governing, witness)
        self._admit()
        self._governance = [
            Governance(
                hosted,
                settings.node.encode(),
                self._genesis(None if governing is None else governing[0].genesis),
                partial(self._anchors, hosted, witness),
                settings.anchor_s,
            )
            for hosted in self._logs
            if hosted.family is GOVERNANCE and not hosted.closed
        ]
        self._node = Node(
            config,
            self._logs,
            self._intakes,
            self._open_intakes,
            witness,
            self._guard,
            self._halts,
            self._heads,
            self._governance,
            self._disk,
            self._checks,
            Footprint(partial(state.store_paths, settings)),
            self._keeper(),
            governed,
            {name: term.window for name, term in self._terms.items()},
            self._events,
            self._members,
        )
        return self._node

    def _govern(self, ledger: Ledger, authority: GovernedAuthority, witness: NodeWitness) -> tuple[Actions, Governed]:
        """Put together what takes actions in and what the node makes of them."""
        settings = self._settings
        hosted = next(each for each in self._logs if each.family is GOVERNANCE)

        async def look() -> None:
            await governed.look()

        def vkeys_of(origin: str) -> tuple[VKey, ...]:
            entry = governed.state.logs.get(origin)
            return () if entry is None or entry.family != GOVERNANCE.name or origin == hosted.origin else entry.vkeys

        actions = Actions(hosted, ledger, settings.node.encode(), vkeys_of, self._clock, look)
        governed = Governed(
            Pinned(settings.node, settings.side, state.guards(settings)),
            authority.state,
            lambda: self._logs,
            self._guard,
            witness,
            self._heads,
            self._clock,
            self._admit,
            self._anchor_now,
        )
        self._governed = governed
        return actions, governed

    def _anchor_now(self) -> None:
        for each in self._governance:
            each.anchor_now()

    def _room(self, origin: str) -> None:
        """Raise `Unavailable` when the disk is low, or governance has frozen the log."""
        self._disk.check()
        if self._governed is not None and origin in self._governed.frozen_logs:
            raise Unavailable(f"{origin} is frozen by governance", FROZEN_RETRY_S, reason="frozen")

    def _frozen_issuers(self) -> frozenset[bytes]:
        return frozenset() if self._governed is None else self._governed.frozen_issuers

    def _keeper(self) -> Keeper:
        settings = self._settings
        series = [
            Series(table.name, table.origin, table.first_year or 0, table.closed) for table in state.sharded(settings)
        ]
        timing = Timing(settings.shard_ahead_days, settings.close_after_days)
        return Keeper(
            series,
            timing,
            self._heads,
            self._guard,
            self._clock,
            lambda: self._logs,
            self._terms.__getitem__,
            self._bring_up,
            self._anchor_now,
            lambda: self._named_here().keys(),
        )

    def _named_here(self) -> dict[str, tuple[VKey, ...]]:
        """Return the keys of each log that governance gives this node, by origin."""
        if self._governed is None:
            return {}
        named = self._governed.state.logs.values()
        return {entry.origin: entry.vkeys for entry in named if entry.node == self._settings.node}

    async def _bring_up(self, series: Series, year: int) -> None:
        """Create a shard and take it up. `SettingsError` and `Unavailable` before anything is written."""
        self._disk.check()
        of = next(table for table in state.sharded(self._settings) if table.name == series.name)
        table = of.shard(year)
        own = state.log_keys(self._settings, table)
        keys.require_distinct([*self._signers, *own.signers])
        if set(self._named_here().get(table.origin, own.vkeys)) != set(own.vkeys):
            raise SettingsError(f"governance names other keys for {table.origin} than this node has")
        files.policy_of(table, of)
        await state.create_shard(self._settings, table, self._heads, self._clock)
        hosted = await self._add_log(table, of, own)
        self._signers += own.signers
        self._admit()
        if self._node is None:
            raise AssertionError("a shard comes up in a node")
        await self._node.add(hosted, self._intakes.get(table.name), table.window)
        self._logs.append(hosted)

    async def _add_log(self, table: LogTable, series: LogTable, own: LogKeys) -> Log:
        settings, limits = self._settings, self._settings.limits
        family = FAMILIES[table.family]
        # The index is rebuilt from the entries, so a missing one is no lost state: it begins anew.
        data, index = state.open_stores(settings, table, create=False, create_index=True)
        identity = SigningIdentity(table.origin, own.signers)
        sequencer = Sequencer(
            table.origin,
            family,
            Committer(family, identity, data, self._heads, self._guard, self._clock),
            data,
            index,
            self._guard,
            self._clock,
            SequencerConfig(
                linger_ms=limits.linger_ms,
                heartbeat_ms=settings.heartbeat_s * 1000,
                index_sync_ms=limits.index_sync_ms,
                pool=PoolLimits(limits.pool_entries, limits.pool_bytes, limits.batch_entries, limits.batch_bytes),
            ),
            report=partial(_tell_slow, table.name, limits.slow_commit_ms),
            on_failure=self._fail,
        )
        policy = files.policy_of(table, series)
        hosted: Log
        scts = None if own.sct is None or own.log_id is None else SctIssuer(own.log_id, own.sct)
        witnessed = WitnessedHead(
            table.origin,
            own.vkeys,
            policy,
            self._heads,
            lambda size: hosted.root_at(size),  # noqa: PLW0108 - `hosted` comes two lines below
            lambda: sequencer.published.head,
            self._halts.halt,
        )
        hosted = Log(
            Identity(
                table.name,
                table.origin,
                own.vkeys,
                await _statement(table.origin, own, self._clock.wall_ms()),
                policy,
                own.log_id,
            ),
            family,
            sequencer,
            data,
            index,
            witnessed,
            scts.extra if scts else _own_entry if family is GOVERNANCE else None,
            self._clock,
            self._guard.guarded,
            ReadLimits(
                limits.gzip_cache_bytes,
                limits.tile_cache_bytes,
                limits.proof_cache_bytes,
                RangeLimits(limits.max_get_entries, limits.max_get_entries_bytes),
            ),
            self._fail,
        )
        hosted.bodies = table.shown_to
        hosted.closed = await closing.reason(self._heads, table.origin)
        if table.closed and not hosted.closed:
            hosted.closed = CLOSED_BY_SETTINGS
        self._terms[table.name] = Term(table.window, table is not series, table.closed)
        if scts is not None:
            self._tables.append((table, series))
            self._intakes[table.name] = CertificateIntake(
                hosted,
                scts,
                self._checks,
                self._admission,
                self._clock,
                IntakeLimits(limits.max_rate_per_s),
                self._frozen_issuers,
            )
        if family is TILES:
            self._open_intakes[table.name] = OpenIntake(hosted, self._clock, IntakeLimits(limits.max_rate_per_s))
        if family is EVENTS:
            records = state.open_records(settings, table, create=False)
            self._events[table.name] = self._event_intake(hosted, records, table)
        return hosted

    def _event_intake(self, hosted: Log, records: RecordStore, table: LogTable) -> EventIntake:
        limits = self._settings.limits
        references = References(
            lambda: {each.origin: each for each in self._logs},
            lambda: () if self._witness is None else self._witness.vkeys,
        )

        def known() -> Known:
            now_ms = self._clock.wall_ms()
            foreign = () if self._witness is None else self._witness.origins
            return Known.of(
                self._authority.at(now_ms).trust_lists.values(),
                {*foreign, *(each.origin for each in self._logs)},
                lambda member: self._members.role(member, now_ms) is not None,
            )

        return EventIntake(
            hosted,
            records,
            references,
            self._members,
            known,
            self._admission,
            self._clock,
            EventLimits(limits.max_events, limits.max_rate_per_s, frozenset(table.refuse)),
            self._fail,
        )

    def _admit(self) -> None:
        """Say by which rules each log of certificates admits, now that it is known which there are."""
        for table, series in self._tables:
            self._checks.admit(self._rules(table, series))

    def _rules(self, table: LogTable, series: LogTable) -> Rules:
        return Rules(
            table.name,
            tuple((each.certificate, each.weak_hash) for each in self._authority.at(self._clock.wall_ms()).anchors()),
            table.precert_signing,
            table.window,
            self._settings.limits.max_chain,
            tuple(self._takers(table, series)),
        )

    def _takers(self, table: LogTable, series: LogTable) -> Iterator[tuple[str, tuple[int, int]]]:
        """Yield the other shards beside a shard with their windows, and those to come with when that will be."""
        if table is series:
            return
        there = [other for other, of in self._tables if of is series]
        yield from ((other.name, other.window) for other in there if other is not table and other.window)
        newest = max(int(other.name.rpartition("-")[2]) for other in there)
        for year in range(newest + 1, newest + 1 + YEARS_TO_COME):
            begins_ms = calendar.begins_ms(year, self._settings.shard_ahead_days)
            yield f"{series.name}-{year}, from {calendar.date(begins_ms)} on", calendar.window(year)

    def _genesis(self, genesis: Genesis | None) -> JSON:
        """Return what the first governance entry says: who this node is, by which keys, under which genesis."""
        pinned: dict[str, JSON] = {} if genesis is None else {"genesis": b64encode(genesis.hash)}
        logs: dict[str, JSON] = {
            hosted.origin: [vkey.encode() for vkey in hosted.identity.vkeys] for hosted in self._logs
        }
        return {"node": self._settings.node, "logs": logs, **pinned}

    async def _anchors(self, own: Log, witness: NodeWitness) -> Sequence[bytes]:
        """Return the heads to anchor: of this node's other logs, and of the peers as our witness cosigned them."""
        return [
            *[each.published.head.note for each in self._logs if each is not own and not is_rehearsal(each.origin)],
            *[note for note in [await witness.cosigned(origin) for origin in witness.origins] if note],
        ]

    def _fail(self, error: LogError) -> None:
        if self._node is not None:
            self._node.fail(error)


async def _own_entry(row: bytes, _index: int) -> bytes:
    """Return the `extra` of a proof of an entry that only its log can show."""
    return EntryExtra(Entry.parse(row)).encode()


async def _statement(origin: str, own: LogKeys, now_ms: int) -> bytes:
    """Return the identity of a log, signed by each of its keys."""
    text = IdentityStatement.make(origin, own.vkeys).encode()
    return (await sign_statement(text, now_ms, own.signers)).encode()


def _tell_slow(log: str, slow_ms: int, commit: Commit) -> None:
    """Log a commit that took long."""
    taken_ms = round(commit.seconds * 1000)
    if taken_ms >= slow_ms:
        fields = {"log": log, "ms": taken_ms, "entries": commit.entries, "bytes": commit.bytes}
        logger.warning("slow commit", extra={"fields": fields})


# --- serving --------------------------------------------------------------------------------------------------


async def serve(
    settings: NodeSettings, clock: Clock, announce: Callable[[str], None], members: Members | None = None
) -> int:
    """Run a node until SIGTERM or SIGINT, or until a store fails; return the process's exit code.

    `announce` gets the URL once every log has recovered and the socket answers. Nobody is a member by default.
    """
    asyncio.get_running_loop().set_exception_handler(journal.task_failed)
    with listen(settings.listen) as listener, Vitals(clock.wall_ms()).watched() as vitals:
        return await _serve(settings, clock, listener, vitals, announce, members or FixedMembers())


async def _serve(
    settings: NodeSettings,
    clock: Clock,
    listener: socket.socket,
    vitals: Vitals,
    announce: Callable[[str], None],
    members: Members,
) -> int:
    tls = bounds.tls_of(settings)
    if tls is None and not settings.behind_proxy and not stays_here(listener):
        raise SettingsError(
            f"listen: {settings.listen} is reached from other machines: set tls_certificate and tls_key, or "
            "behind_proxy = true where a proxy in front speaks TLS"
        )
    url = url_of(listener, tls)
    try:
        node = await build(settings, clock, url, members)
        await node.start()
    except StoreFailed as error:
        logger.error("a store failed: %s", error)  # noqa: TRY400 - an answer to the operator, not a crash
        return EXIT_STORE
    except (StateRefused, StorageError) as error:
        logger.error("the state refuses: %s", error)  # noqa: TRY400 - an answer to the operator, not a crash
        return EXIT_STATE
    options = Options(
        bounds.credentials(settings, url, node.members),
        settings.behind_proxy,
        bounds.http_limits(settings),
        settings.limits.slow_request_ms,
    )
    failed = asyncio.create_task(node.ended())
    app = create_app(node, options, clock, vitals)
    logger.info("serving", extra={"fields": {"node": node.name, "url": url, "version": node.version}})
    with heap.settled():
        await server.serve(
            app,
            listener,
            settings.stop_timeout_s,
            failed,
            partial(announce, url),
            tls,
            bounds.connection_limits(settings),
        )
    logger.info("stopping", extra={"fields": {"node": node.name}})
    failed.cancel()
    await node.stop()
    logger.info("stopped", extra={"fields": {"node": node.name}})
    if node.failure is None:
        return EXIT_STOPPED
    return EXIT_STATE if isinstance(node.failure, StateRefused) else EXIT_STORE
