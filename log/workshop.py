"""The logs of a node, made one by one: out of a table, its keys and its stores, a log and what takes entries in for it.

What all logs of a node share is given to the `Workshop` once. `main` makes that, and wires the logs together.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from log import files, state
from log.authority import Members
from log.checking.pool import Pool
from log.crypto.keys import LogKeys
from log.crypto.notes import sign_statement
from log.errors import LogError, StateRefused
from log.formats.event import Entry
from log.formats.family import EVENTS, FAMILIES, GOVERNANCE, TILES
from log.formats.identity import Identity as IdentityStatement
from log.formats.tlog_proof import EntryExtra
from log.node import closing
from log.node.guard import Guard
from log.node.halts import Halts
from log.node.keeper import Term
from log.sequencer.clock import Clock
from log.sequencer.commit import Committer
from log.sequencer.commit import Identity as SigningIdentity
from log.sequencer.head import store_name
from log.sequencer.loop import Commit, Sequencer, SequencerConfig
from log.sequencer.pool import PoolLimits
from log.service.admission import Admission
from log.service.event_judge import EventJudge
from log.service.event_names import Known
from log.service.events import EventIntake, EventLimits
from log.service.intake import CertificateIntake, IntakeLimits, OpenIntake
from log.service.log import Identity, Log, ReadLimits
from log.service.references import References
from log.service.rfc6962 import RangeLimits
from log.service.scts import SctIssuer
from log.service.witnessed import WitnessedHead
from log.settings import NodeSettings
from log.storage import DataStore, HeadStore, Index
from log.tables import LogTable

logger = logging.getLogger("twinlog.workshop")

CLOSED_BY_SETTINGS = "closed by its operator"


@dataclass(frozen=True, slots=True)
class Made:
    """A log, and the way into it: certificates, anything, or events. A governance log has a way of its own."""

    hosted: Log
    term: Term
    certificates: CertificateIntake | None = None
    anything: OpenIntake | None = None
    events: EventIntake | None = None


@dataclass(frozen=True, slots=True)
class Workshop:
    """What all logs of one node share, and how one is made of it."""

    settings: NodeSettings
    clock: Clock
    heads: HeadStore
    guard: Guard
    halts: Halts
    checks: Pool
    admission: Admission
    members: Members
    references: References
    known: Callable[[], Known]  # the names that events may use
    frozen_issuers: Callable[[], frozenset[bytes]]  # SHA-256 of each certificate under which nothing new is taken
    fail: Callable[[LogError], None]  # a store failed

    async def log(self, table: LogTable, series: LogTable, own: LogKeys) -> Made:
        """Open the stores of a log and put it together; it recovers when it is started.

        `series` is the table that a shard comes from, else `table` itself. `SettingsError`, `StateRefused`.
        """
        family, limits = FAMILIES[table.family], self.settings.limits
        if table is series and await self.heads.load(store_name(table.origin)) is None:
            raise StateRefused(
                f"head store: no head for {table.origin}: if the log is new in the settings, "
                f"`twinlog init --add {table.name}` makes it; else it is lost"
            )
        # The index is rebuilt from the entries, so a missing one is no lost state: it begins anew.
        data, index = state.open_stores(self.settings, table, create=False, create_index=True)
        sequencer = self._sequencer(table, own, data, index)
        policy = files.policy_of(table, series)
        hosted: Log
        scts = None if own.sct is None or own.log_id is None else SctIssuer(own.log_id, own.sct)
        witnessed = WitnessedHead(
            table.origin,
            own.vkeys,
            policy,
            self.heads,
            lambda size: hosted.root_at(size),  # noqa: PLW0108 - `hosted` comes two lines below
            lambda: sequencer.published.head,
            self.halts.halt,
        )
        statement = await _statement(table.origin, own, self.clock.wall_ms())
        hosted = Log(
            Identity(table.name, table.origin, own.vkeys, statement, policy, own.log_id),
            family,
            sequencer,
            data,
            index,
            witnessed,
            scts.extra if scts else _own_entry if family is GOVERNANCE else None,
            self.clock,
            self.guard.guarded,
            ReadLimits(
                limits.gzip_cache_bytes,
                limits.tile_cache_bytes,
                limits.proof_cache_bytes,
                RangeLimits(limits.max_get_entries, limits.max_get_entries_bytes),
            ),
            self.fail,
        )
        hosted.bodies = table.shown_to
        hosted.closed = await closing.reason(self.heads, table.origin) or (CLOSED_BY_SETTINGS if table.closed else "")
        return Made(
            hosted,
            Term(table.window, table is not series, table.closed),
            None if scts is None else self._certificates(hosted, scts),
            OpenIntake(hosted, self.clock, IntakeLimits(limits.max_rate_per_s)) if family is TILES else None,
            self._events(hosted, table) if family is EVENTS else None,
        )

    def _sequencer(self, table: LogTable, own: LogKeys, data: DataStore, index: Index) -> Sequencer:
        family, limits = FAMILIES[table.family], self.settings.limits
        identity = SigningIdentity(table.origin, own.signers)
        return Sequencer(
            table.origin,
            family,
            Committer(family, identity, data, self.heads, self.guard, self.clock),
            data,
            index,
            self.guard,
            self.clock,
            SequencerConfig(
                linger_ms=limits.linger_ms,
                heartbeat_ms=self.settings.heartbeat_s * 1000,
                index_sync_ms=limits.index_sync_ms,
                pool=PoolLimits(limits.pool_entries, limits.pool_bytes, limits.batch_entries, limits.batch_bytes),
            ),
            report=partial(_tell_slow, table.name, limits.slow_commit_ms),
            on_failure=self.fail,
            haste=lambda: self.admission.held > 0,
        )

    def _certificates(self, hosted: Log, scts: SctIssuer) -> CertificateIntake:
        limits = IntakeLimits(self.settings.limits.max_rate_per_s)
        return CertificateIntake(hosted, scts, self.checks, self.admission, self.clock, limits, self.frozen_issuers)

    def _events(self, hosted: Log, table: LogTable) -> EventIntake:
        limits = self.settings.limits
        return EventIntake(
            hosted,
            state.open_records(self.settings, table, create=False),
            EventJudge(self.references, self.members, self.known, self.clock, frozenset(table.refuse)),
            self.admission,
            self.clock,
            EventLimits(limits.max_events, limits.max_rate_per_s),
            self.fail,
        )


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
