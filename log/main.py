"""The composition root: the only place where a node's objects are put together.

`build` opens what `state` made once, in numbered steps, and hands out a `Node`, which `process` runs. Each log is made
in `workshop`; what is said here is how they, the witness, the guard and governance know of each other.
"""

from collections.abc import Sequence
from functools import partial

from log import admitting, bounds, files, keyring, pinned, state
from log.admitting import Admitting
from log.authority import Authority, FixedMembers, GovernedAuthority, GovernedMembers, Members
from log.checking.pool import Pool
from log.checking.pool import PoolLimits as CheckingLimits
from log.crypto import keys
from log.crypto.notes import NoteSigner
from log.errors import LogError, SettingsError, Unavailable
from log.formats.checkpoint import is_rehearsal
from log.formats.family import GOVERNANCE
from log.formats.jcs import JSON
from log.formats.note import VKey
from log.formats.text import b64encode
from log.governance.ledger import Ledger
from log.node.actions import Actions
from log.node.disk import Disk, Footprint
from log.node.governance import Governance
from log.node.governed import Governed, Pinned
from log.node.guard import Guard, GuardLimits
from log.node.halts import Halts
from log.node.keeper import Keeper, Series, Timing
from log.node.node import Node, NodeConfig
from log.node.witness import NodeWitness
from log.sequencer.clock import Clock
from log.service.admission import Admission
from log.service.event_names import Known
from log.service.log import Log
from log.service.references import References
from log.settings import NodeSettings
from log.storage import HeadStore
from log.workshop import Made, Workshop

FROZEN_RETRY_S = 60  # what is frozen stays so for longer than a full pool


async def build(settings: NodeSettings, clock: Clock, url: str, members: Members | None = None) -> Node:
    """Open a node's stores and put it together; nothing runs before `Node.start`.

    `url` is where the node listens: its public URL unless the settings name another. Nobody is a member by default.
    """
    # 1. The head store, and by files who is listed.
    pinned.check_settings(settings)
    files.check_policies(settings)
    heads = state.open_heads(settings, create=False)
    authority = await files.load_authority(settings, heads)
    builder = _Builder(settings, clock, heads, authority, members or FixedMembers())
    return await builder.node(settings.public_url.rstrip("/") or url)


class _Builder:
    """Holds what the parts of a node share: while they are put together, and for shards to come as long as it runs."""

    def __init__(
        self, settings: NodeSettings, clock: Clock, heads: HeadStore, authority: Authority, members: Members
    ) -> None:
        self._settings, self._clock, self._heads = settings, clock, heads
        limits = settings.limits
        self._made: dict[str, Made] = {}  # by the name of the log
        self._admitting: list[Admitting] = []
        self._anchoring: list[Governance] = []
        self._governed: Governed | None = None
        self._node: Node | None = None
        # 2. What may keep a log from signing and from taking more in.
        self._halts = Halts(heads)
        self._disk = Disk(settings.data_dir, limits.disk_watermark_bytes, clock)
        guard_limits = GuardLimits(limits.parting_ms, limits.heard_ms, limits.clock_error_ms)
        self._guard = Guard(clock, pinned.guards(settings), self._halts, self._room, guard_limits)
        # 3. Where a genesis is pinned, governance says who is listed and who is a member.
        self._authority, self._members = authority, members
        self._governing: tuple[Ledger, GovernedAuthority] | None = None
        if settings.governance is not None:
            self._guard.seal()
            ledger = Ledger(files.load_genesis(settings.governance, settings.side))
            self._authority = governed = GovernedAuthority(lambda: ledger.chains)
            self._members = GovernedMembers(governed)
            self._governing = ledger, governed
        # 4. The witness.
        witness_keys = keys.load_witness_keys(settings.keys_dir, keyring.witness_name(settings))
        self._signers: list[NoteSigner] = [*witness_keys]
        known = pinned.witnessed(settings)
        self._witness = NodeWitness(witness_keys, known, heads, self._guard, self._halts, clock, self._fail)
        # 5. What the logs share.
        self._checks = Pool(CheckingLimits(limits.checkers, limits.max_checking))
        self._workshop = self._shared()

    async def node(self, url: str) -> Node:
        """Put the node together."""
        settings = self._settings
        # 6. The logs, once no two of all keys are alike.
        tables = await state.tables(settings, self._heads)
        own = {table.name: keyring.log_keys(settings, table) for table, _ in tables}
        self._signers += (signer for each in own.values() for signer in each.signers)
        keys.require_distinct(self._signers)
        for table, series in tables:
            made = self._made[table.name] = await self._workshop.log(table, series, own[table.name])
            if made.certificates is not None:
                self._admitting.append(Admitting(table, series))
        # 7. What governance makes of them, and under whom each log of certificates admits.
        governed = None if self._governing is None else self._govern(*self._governing)
        self._admit()
        self._anchoring = [
            self._anchors_in(hosted) for hosted in self._logs() if hosted.family is GOVERNANCE and not hosted.closed
        ]
        # 8. The node around all of it.
        self._node = Node(
            NodeConfig(settings.node, url, settings.heartbeat_s * 1000),
            self._logs(),
            {name: made.certificates for name, made in self._made.items() if made.certificates is not None},
            {name: made.anything for name, made in self._made.items() if made.anything is not None},
            self._witness,
            self._guard,
            self._halts,
            self._heads,
            self._anchoring,
            self._disk,
            self._checks,
            self._workshop.admission,
            Footprint(partial(state.store_paths, settings)),
            self._keeper(),
            governed,
            {name: made.term.window for name, made in self._made.items()},
            {name: made.events for name, made in self._made.items() if made.events is not None},
            self._members,
        )
        return self._node

    def _shared(self) -> Workshop:
        settings, members, witness = self._settings, self._members, self._witness

        def known() -> Known:
            now_ms = self._clock.wall_ms()
            return Known.of(
                self._authority.at(now_ms).trust_lists.values(),
                {*witness.origins, *(each.origin for each in self._logs())},
                lambda member: members.role(member, now_ms) is not None,
            )

        return Workshop(
            settings,
            self._clock,
            self._heads,
            self._guard,
            self._halts,
            self._checks,
            Admission(bounds.admission_limits(settings), self._clock.mono_ms),
            members,
            References(lambda: {each.origin: each for each in self._logs()}, lambda: witness.vkeys),
            known,
            lambda: frozenset() if self._governed is None else self._governed.frozen_issuers,
            self._fail,
        )

    def _logs(self) -> list[Log]:
        return [each.hosted for each in self._made.values()]

    def _admit(self) -> None:
        """Say by which rules each log of certificates admits."""
        anchors, limits = self._authority.at(self._clock.wall_ms()).anchors(), self._settings.limits
        for each in self._admitting:
            self._checks.admit(
                admitting.rules(each, self._admitting, anchors, limits.max_chain, self._settings.shard_ahead_days)
            )

    def _room(self, origin: str) -> None:
        """Raise `Unavailable` when the disk is low, or governance has frozen the log."""
        self._disk.check()
        if self._governed is not None and origin in self._governed.frozen_logs:
            raise Unavailable(f"{origin} is frozen by governance", FROZEN_RETRY_S, reason="frozen")

    def _fail(self, error: LogError) -> None:
        if self._node is not None:
            self._node.fail(error)

    # --- governance -------------------------------------------------------------------------------------------

    def _govern(self, ledger: Ledger, authority: GovernedAuthority) -> tuple[Actions, Governed]:
        """Put together what takes actions in and what the node makes of them."""
        settings = self._settings
        hosted = next(each for each in self._logs() if each.family is GOVERNANCE)

        async def look() -> None:
            await governed.look()

        def vkeys_of(origin: str) -> tuple[VKey, ...]:
            entry = governed.state.logs.get(origin)
            return () if entry is None or entry.family != GOVERNANCE.name or origin == hosted.origin else entry.vkeys

        actions = Actions(hosted, ledger, settings.node.encode(), vkeys_of, self._clock, look)
        governed = Governed(
            Pinned(settings.node, settings.side, pinned.guards(settings)),
            authority.state,
            self._logs,
            self._guard,
            self._witness,
            self._heads,
            self._clock,
            self._admit,
            self._anchor_now,
        )
        self._governed = governed
        return actions, governed

    def _anchors_in(self, own: Log) -> Governance:
        """Put together what writes the first entry of a governance log, and later heads into it.

        They are the heads of this node's other logs, and of the peers as our witness cosigned them.
        """
        witness = self._witness

        async def heads() -> Sequence[bytes]:
            return [
                *[
                    each.published.head.note
                    for each in self._logs()
                    if each is not own and not is_rehearsal(each.origin)
                ],
                *[note for note in [await witness.cosigned(origin) for origin in witness.origins] if note],
            ]

        return Governance(own, self._settings.node.encode(), self._first_entry(), heads, self._settings.anchor_s)

    def _first_entry(self) -> JSON:
        """Return what the first governance entry says: who this node is, by which keys, under which genesis."""
        governing = self._governing
        pinned: dict[str, JSON] = {} if governing is None else {"genesis": b64encode(governing[0].genesis.hash)}
        logs: dict[str, JSON] = {
            hosted.origin: [vkey.encode() for vkey in hosted.identity.vkeys] for hosted in self._logs()
        }
        return {"node": self._settings.node, "logs": logs, **pinned}

    def _anchor_now(self) -> None:
        for each in self._anchoring:
            each.anchor_now()

    def _named_here(self) -> dict[str, tuple[VKey, ...]]:
        """Return the keys of each log that governance gives this node, by origin."""
        if self._governed is None:
            return {}
        named = self._governed.state.logs.values()
        return {entry.origin: entry.vkeys for entry in named if entry.node == self._settings.node}

    # --- shards to come ---------------------------------------------------------------------------------------

    def _keeper(self) -> Keeper:
        settings = self._settings
        return Keeper(
            [Series(table.name, table.origin, table.first_year or 0, table.closed) for table in settings.series],
            Timing(settings.shard_ahead_days, settings.close_after_days),
            self._heads,
            self._guard,
            self._clock,
            self._logs,
            lambda name: self._made[name].term,
            self._bring_up,
            self._anchor_now,
            lambda: self._named_here().keys(),
        )

    async def _bring_up(self, series: Series, year: int) -> None:
        """Create a shard and take it up. `SettingsError` and `Unavailable` before anything is written."""
        self._disk.check()
        of = next(table for table in self._settings.series if table.name == series.name)
        table = of.shard(year)
        own = keyring.log_keys(self._settings, table)
        keys.require_distinct([*self._signers, *own.signers])
        if set(self._named_here().get(table.origin, own.vkeys)) != set(own.vkeys):
            raise SettingsError(f"governance names other keys for {table.origin} than this node has")
        files.policy_of(table, of)
        await state.create_shard(self._settings, table, self._heads, self._clock)
        made = await self._workshop.log(table, of, own)
        self._signers += own.signers
        self._admitting.append(Admitting(table, of))
        self._admit()
        if self._node is None:
            raise AssertionError("a shard comes up in a node")
        await self._node.add(made.hosted, made.certificates, table.window)
        self._made[table.name] = made
