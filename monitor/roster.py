"""PURE: whom to follow: what the settings pin, and what governance says of it and besides.

A node or log that governance ever named is as governance has it: its keys, policy, witness and guards; and it is gone
when governance has it no longer (`node-remove`, or two chains that give a log different keys). What governance never
named is as the settings have it. The way there, a URL, and how often it is asked stays with the settings where they
say it: transport is not trusted.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from log.client.witness import check_witnessable
from log.errors import Malformed
from log.formats.family import FAMILIES, TILES, Family
from log.formats.note import KeyType, VKey
from log.formats.policy import NO_QUORUM, Policy
from log.governance.chains import Chains
from log.governance.draft import Closing, LogEntry, NodeEntry, WitnessEntry
from log.governance.fold import State
from log.governance.logs import ALL_LOGS
from monitor.logs import Final, FollowedLog, OtherSource, WatchedNode, Witness, fed_to
from monitor.outcome import SOURCE, Finding, Outcome

LOG_CLOSE = "log-close"
NO_POLICY = Policy((), (), (), NO_QUORUM)


@dataclass(frozen=True, slots=True)
class Self:
    """What governance knows this monitor by."""

    cosigner: VKey
    push: VKey


@dataclass(frozen=True, slots=True)
class Roster:
    """Who is followed, and what could not be."""

    nodes: tuple[WatchedNode, ...]
    findings: tuple[Finding, ...] = ()


def roster(
    pinned: Sequence[WatchedNode],
    chains: Chains,
    state: State,
    own: Self,
    poll_s: Callable[[str], float],
    ended: Callable[[str, Closing], bool],
) -> Roster:
    """Put settings and governance together.

    `pinned` are the nodes of the settings, logs of others in one without name; `poll_s` tells how often a node is
    asked, by its name; `ended` whether a closed log was followed up to the head it was closed with.
    """
    return _Roster(pinned, chains, state, own, poll_s, ended).whole()


def idle(mirrored: Iterable[OtherSource], nodes: Iterable[WatchedNode]) -> list[Finding]:
    """Say which mirrors are of logs that nobody names: a name that was written wrong, or a log that is gone."""
    origins = {followed.origin for node in nodes for followed in node.logs}
    return [
        Finding(Outcome.OWN, each.origin, SOURCE, f"{each.url} is to mirror it, but it is not followed", each.url)
        for each in mirrored
        if each.origin not in origins
    ]


class _Roster:
    def __init__(
        self,
        pinned: Sequence[WatchedNode],
        chains: Chains,
        state: State,
        own: Self,
        poll_s: Callable[[str], float],
        ended: Callable[[str, Closing], bool],
    ) -> None:
        self._chains = chains
        self._pinned = {node.name: node for node in pinned if node.name}
        self._nameless = [node for node in pinned if not node.name]
        self._state = state
        self._own = own
        self._poll_s = poll_s
        self._ended = ended
        self._nodes_named = set(_named(chains, state.date_ms, "node-add", "name"))
        self._logs_named = set(_named(chains, state.date_ms, "log-add", "origin"))
        self._findings: list[Finding] = []

    def whole(self) -> Roster:
        names = [name for name in self._pinned if name not in self._nodes_named or name in self._state.nodes]
        names += [name for name in self._state.nodes if name not in self._pinned]
        homes = {name: self._home(name) for name in names}
        gone = {
            node.witness.vkey.name
            for name, node in self._pinned.items()
            if name not in homes and node.witness is not None
        }
        nodes = [self._node(name, homes) for name in names]
        nodes += [
            replace(node, logs=tuple(_without(followed, gone) for followed in node.logs)) for node in self._nameless
        ]
        return Roster(tuple(nodes), tuple(self._findings))

    def _home(self, name: str) -> Witness | None:
        """Return the witness that a node is."""
        pinned, entry = self._pinned.get(name), self._state.nodes.get(name)
        held = None if pinned is None else pinned.witness
        if entry is None or (held is not None and entry.witness in held.vkeys):
            return held
        return Witness(name, (entry.witness,), held.url if held is not None else f"{_base(entry.url)}/witness")

    def _node(self, name: str, homes: dict[str, Witness | None]) -> WatchedNode:
        pinned, entry = self._pinned.get(name), self._state.nodes.get(name)
        url = pinned.url if pinned is not None else _base(_there(entry).url)
        others = [witness for other, witness in homes.items() if other != name and witness is not None]
        others += [Witness(each.name, _in_order(each.vkeys), _base(each.url)) for each in self._outside()]
        home = homes[name]
        never = {self._own.cosigner.name} if home is None else {self._own.cosigner.name, home.vkey.name}
        logs = [
            replace(
                followed,
                witnesses=fed_to(others, followed.policy, never),
                closed=self._over(followed.origin),
                final=self._final(followed.origin),
            )
            for followed in (() if pinned is None else pinned.logs)
            if followed.origin not in self._logs_named
        ]
        for log_entry in self._state.logs.values():
            if log_entry.node == name:
                logs += self._log(log_entry, url, others, never)
        guarded = (pinned is not None and pinned.guarded) or self._names_us(name)
        return WatchedNode(name, url, home, tuple(logs), guarded, self._poll_s(name))

    def _outside(self) -> Iterable[WitnessEntry]:
        return (entry for entry in self._state.witnesses.values() if entry.url)

    def _names_us(self, node: str) -> bool:
        return any(
            (guard.node, guard.cosigner, guard.push) == (node, self._own.cosigner, self._own.push)
            for guard in self._state.guards.values()
        )

    def _log(self, entry: LogEntry, node_url: str, others: list[Witness], never: set[str]) -> list[FollowedLog]:
        try:
            family = _family(entry)
        except Malformed as e:
            self._findings.append(Finding(Outcome.UNVERIFIED, entry.origin, "unfollowed", f"cannot be followed: {e}"))
            return []
        pinned = next(
            (each for node in self._pinned.values() for each in node.logs if each.origin == entry.origin), None
        )
        given = self._state.policies
        policy = given.get(entry.origin) or given.get(ALL_LOGS) or (NO_POLICY if pinned is None else pinned.policy)
        return [
            FollowedLog(
                entry.node,
                entry.name,
                family,
                entry.origin,
                pinned.url if pinned is not None and pinned.node == entry.node else f"{node_url}/{entry.name}",
                entry.vkeys,
                policy,
                fed_to(others, policy, never),
                closed=self._over(entry.origin),
                final=self._final(entry.origin),
            )
        ]

    def _final(self, origin: str) -> Final | None:
        """Return how a log was closed, and since when: by the first of its closings that holds."""
        closing = self._state.closed.get(origin)
        if closing is None:
            return None
        every = [signed.action for chain in self._chains.chains.values() for signed in chain.actions]
        since = [each.effective_ms for each in every if each.type == LOG_CLOSE and each.payload["origin"] == origin]
        return Final(closing.size, closing.root, min(since, default=self._chains.genesis.created_ms))

    def _over(self, origin: str) -> bool:
        closing = self._state.closed.get(origin)
        return closing is not None and self._ended(origin, closing)


def _named(chains: Chains, date_ms: int, kind: str, member: str) -> Iterable[str]:
    """Yield everything that an action of this kind names up to a date, the genesis' own among them."""
    for name, chain in chains.chains.items():
        if chains.genesis.created_ms <= date_ms:
            yield from (row.payload[member] for row in chains.genesis.initial[name] if row.type == kind)
        for signed in chain.actions:
            if signed.action.type == kind and signed.action.effective_ms <= date_ms:
                yield signed.action.payload[member]


def _family(entry: LogEntry) -> Family:
    """Return the family of a log that can be followed, or raise `Malformed`."""
    family = FAMILIES.get(entry.family)
    if family is None or family is TILES:
        raise Malformed(f"no node has a log of the family {entry.family} that this monitor knows")
    check_witnessable(entry.origin, entry.vkeys)
    if family.receipt == "sct" and KeyType.TREE_HEAD not in {vkey.type for vkey in entry.vkeys}:
        raise Malformed("no 0x05 key")
    return family


def _without(followed: FollowedLog, gone: set[str]) -> FollowedLog:
    return replace(followed, witnesses=tuple(each for each in followed.witnesses if each.vkey.name not in gone))


def _in_order(vkeys: Iterable[VKey]) -> tuple[VKey, ...]:
    return tuple(sorted(vkeys, key=lambda vkey: vkey.type))


def _base(url: str) -> str:
    return url.rstrip("/")


def _there(entry: NodeEntry | None) -> NodeEntry:
    if entry is None:
        raise AssertionError("a node that neither settings nor governance name")
    return entry
