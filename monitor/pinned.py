"""What the settings pin, read into values: nodes, their logs, logs of others, witnesses, the genesis.

`SettingsError` names whatever does not fit together.
"""

from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from log.certs import trustlist
from log.certs.trustlist import TrustList
from log.client.witness import check_witnessable
from log.errors import LogError, Malformed, SettingsError
from log.formats.family import FAMILIES, TILES, Family
from log.formats.genesis import Genesis
from log.formats.note import KeyType, VKey, check_name
from log.formats.policy import Policy
from log.governance.fold import check_genesis
from monitor.egress import Way
from monitor.logs import FollowedLog, OtherMonitor, OtherSource, WatchedNode, Witness, fed_to
from monitor.rules.limits import Limits as RuleLimits
from monitor.rules.reading import folded
from monitor.rules.watchlist import Watched, WatchList, ascii_name
from monitor.settings import Settings, load
from monitor.tables import ForeignTable, LogTable, NodeTable, WitnessTable


def nodes(settings: Settings, own: VKey) -> tuple[WatchedNode, ...]:
    """Return what is to be watched; `SettingsError` for what does not fit together.

    A log's heads go to the witness of every other node and to every witness of its policy that has a URL, but
    never to the witness of its own node, nor to us. Logs of others come last, in a node without name.
    """
    _distinct((node.name for node in settings.nodes), "node name")
    origins = [followed.origin for node in settings.nodes for followed in node.logs]
    _distinct([*origins, *(followed.origin for followed in settings.logs)], "origin")
    names = {node.name for node in settings.nodes}
    if settings.governance is None and (unknown := set(settings.near) - names):
        raise SettingsError(f"near: no node is called {', '.join(sorted(unknown))}")
    witnesses = {node.name: _witness(node.witness) for node in settings.nodes if node.witness is not None}
    watched = []
    for node in settings.nodes:
        others = {name: witness for name, witness in witnesses.items() if name != node.name}
        home = witnesses.get(node.name)
        logs = tuple(_log(node, followed, others, home, own) for followed in node.logs)
        try:
            check_name(node.name)
        except Malformed as e:
            raise SettingsError(f"node {node.name!r}: {e}") from e
        watched.append(
            WatchedNode(node.name, node.url.rstrip("/"), home, logs, node.guard, poll_s(settings, node.name))
        )
    if settings.logs:
        foreign = tuple(_foreign(followed, witnesses, own) for followed in settings.logs)
        watched.append(WatchedNode("", "", None, foreign, guarded=False, poll_s=settings.far_poll_s))
    return tuple(watched)


def copy_tokens(settings: Settings) -> tuple[bytes, ...]:
    """Return the SHA-256 of each bearer token by which copied entries may be read."""
    return tuple(map(bytes.fromhex, settings.copies.tokens))


def sources(settings: Settings) -> tuple[OtherSource, ...]:
    """Return who else may have the data of logs, in the order in which they are asked.

    `SettingsError` for a mirror of a log that the settings do not name, where no governance may name it either.
    """
    origins = {followed.origin for node in settings.nodes for followed in node.logs}
    origins |= {followed.origin for followed in settings.logs}
    for table in settings.sources:
        if settings.governance is None and table.origin and table.origin not in origins:
            raise SettingsError(f"sources: {table.url} is to mirror {table.origin}, a log that is not followed")
    return tuple(OtherSource(table.url.rstrip("/"), table.origin) for table in settings.sources)


def unread(settings: Settings) -> frozenset[str]:
    """Return the origins of the logs whose entries are not for us; `SettingsError` as for `sources`."""
    origins = {followed.origin for node in settings.nodes for followed in node.logs}
    origins |= {followed.origin for followed in settings.logs}
    for origin in settings.unread:
        if settings.governance is None and origin not in origins:
            raise SettingsError(f"unread: {origin} is a log that is not followed")
    return frozenset(settings.unread)


def monitors(settings: Settings) -> tuple[OtherMonitor, ...]:
    """Return the other monitors with which we exchange; `SettingsError` for a key that is none."""
    _distinct((table.name for table in settings.peers), "name of another monitor")
    found = []
    for table in settings.peers:
        try:
            vkey = VKey.parse(table.vkey)
        except Malformed as e:
            raise SettingsError(f"monitor {table.name}: {e}") from e
        if vkey.type is not KeyType.COSIGNATURE:
            raise SettingsError(f"monitor {table.name}: the key under which a monitor cosigns is of type 0x04")
        found.append(OtherMonitor(table.name, table.url.rstrip("/"), vkey))
    return tuple(found)


def ways(settings: Settings) -> tuple[Way, ...]:
    """Return the egresses."""
    _distinct((table.name for table in settings.egresses), "name of an egress")
    return tuple(Way(table.name, table.proxy or "", table.local_address or "") for table in settings.egresses)


def poll_s(settings: Settings, node: str) -> float:
    """Return how often a node is polled, in seconds, by its name."""
    return settings.poll_s if node in settings.near else settings.far_poll_s


def genesis(settings: Settings) -> Genesis | None:
    """Return the pinned genesis, None when the settings name none; `SettingsError` for another file than the pinned."""
    table = settings.governance
    if table is None:
        return None
    name = table.genesis.name
    try:
        data = table.genesis.read_bytes()
        if sha256(data).hexdigest() != table.sha256:
            raise SettingsError(f"governance: {name} has the SHA-256 {sha256(data).hexdigest()}, not the pinned one")
        found = Genesis.parse(data)
        check_genesis(found)
    except Malformed as e:
        raise SettingsError(f"governance: {name}: {e}") from e
    except OSError as e:
        raise SettingsError(f"governance: cannot read {name}: {e.strerror}") from e
    return found


def _log(
    node: NodeTable, followed: LogTable, others: dict[str, Witness], home: Witness | None, own: VKey
) -> FollowedLog:
    where = f"node {node.name}, log {followed.name}"
    family, vkeys, policy = _pinned(where, followed.family, followed.origin, followed.vkeys, followed.policy)
    if KeyType.ED25519 not in {vkey.type for vkey in vkeys}:
        raise SettingsError(f"{where}: no 0x01 key")
    if family is TILES:
        raise SettingsError(f"{where}: no node has a log of the family {family.name}")
    never = {own.name} if home is None else {own.name, home.vkey.name}
    fed = fed_to(_brought_to(where, followed.witnesses, others), policy, never)
    return FollowedLog(node.name, followed.name, family, followed.origin, followed.url.rstrip("/"), vkeys, policy, fed)


def _foreign(followed: ForeignTable, witnesses: dict[str, Witness], own: VKey) -> FollowedLog:
    where = f"log {followed.name}"
    family, vkeys, policy = _pinned(where, followed.family, followed.origin, followed.vkeys, followed.policy)
    fed = fed_to(_brought_to(where, followed.witnesses, witnesses), policy, {own.name})
    return FollowedLog("", followed.name, family, followed.origin, followed.url.rstrip("/"), vkeys, policy, fed)


def _brought_to(where: str, named: list[str] | None, witnesses: dict[str, Witness]) -> list[Witness]:
    """Return the nodes' witnesses to which the heads of a log are brought: those that are named, or all."""
    if unknown := set(named or ()) - set(witnesses):
        raise SettingsError(f"{where}: no other node with a witness is called {', '.join(sorted(unknown))}")
    return [witnesses[name] for name in (witnesses if named is None else named)]


def _pinned(
    where: str, family_name: str, origin: str, keys: Iterable[str], policy_file: Path | None
) -> tuple[Family, tuple[VKey, ...], Policy]:
    """Return the family, the keys and the policy of a log that can be witnessed."""
    family = FAMILIES.get(family_name)
    if family is None:
        raise SettingsError(f"{where}: no family is called {family_name}")
    try:
        vkeys = tuple(VKey.parse(text) for text in keys)
        check_witnessable(origin, vkeys)
        policy = Policy.parse(b"quorum none\n" if policy_file is None else policy_file.read_bytes())
    except Malformed as e:
        raise SettingsError(f"{where}: {e}") from e
    except OSError as e:
        raise SettingsError(f"{where}: cannot read {Path(e.filename).name}: {e.strerror}") from e
    if family.receipt == "sct" and KeyType.TREE_HEAD not in {vkey.type for vkey in vkeys}:
        raise SettingsError(f"{where}: no 0x05 key")
    return family, vkeys, policy


def _witness(table: WitnessTable) -> Witness:
    where = f"witness {table.name}"
    vkeys = [_cosigner(where, table.vkey, KeyType.COSIGNATURE)]
    if table.mldsa is not None:
        vkeys.append(_cosigner(where, table.mldsa, KeyType.MLDSA))
    if (table.retiring is None) != (table.until is None):
        raise SettingsError(f"{where}: retiring and until go together")
    retiring = None if table.retiring is None else _cosigner(where, table.retiring, KeyType.COSIGNATURE)
    if len({vkey.name for vkey in (*vkeys, *([retiring] if retiring else []))}) > 1:
        raise SettingsError(f"{where}: its keys have two names")
    until_ms = 0 if table.until is None else round(table.until.timestamp() * 1000)
    return Witness(table.name, tuple(vkeys), table.url.rstrip("/"), retiring, until_ms)


def _cosigner(where: str, text: str, key_type: KeyType) -> VKey:
    try:
        vkey = VKey.parse(text)
    except Malformed as e:
        raise SettingsError(f"{where}: {e}") from e
    if vkey.type is not key_type:
        raise SettingsError(f"{where}: not a key of type {key_type:#04x}")
    return vkey


def _distinct(values: Iterable[str], what: str) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise SettingsError(f"{what} {value} stands there twice")
        seen.add(value)


def trust_lists(settings: Settings) -> dict[str, TrustList]:
    """Return each side's list of the settings, verified; `SettingsError` for one that cannot be used."""
    _distinct((table.side for table in settings.trustlists), "side of a trust list")
    found: dict[str, TrustList] = {}
    for table in settings.trustlists:
        if table.threshold > len(table.signers):
            raise SettingsError(f"trust list of {table.side}: a threshold above the number of signers")
        try:
            data, note = (table.path / "trustlist.json").read_bytes(), (table.path / "trustlist.note").read_bytes()
            signers = [VKey.parse(signer) for signer in table.signers]
            found[table.side] = trustlist.verify(data, note, signers, table.threshold)
        except (OSError, LogError) as e:
            raise SettingsError(f"trust list of {table.side}: {e}") from e
    return found


def rule_limits(settings: Settings) -> RuleLimits:
    """Return what rules rest on; `SettingsError` for a file that cannot be used."""
    path = settings.rules.limits
    if path is None:
        return RuleLimits.usual()
    try:
        return RuleLimits.parse(path.read_bytes())
    except (OSError, Malformed) as e:
        raise SettingsError(f"rules: limits: {e}") from e


def watchlist(settings: Settings) -> WatchList:
    """Return who is to be told of what."""
    _distinct((table.name for table in settings.watch), "name of a watcher")
    return WatchList(
        tuple(
            Watched(
                table.name,
                tuple(map(ascii_name, table.suffixes)),
                tuple(map(folded, table.organisations)),
                tuple(map(bytes.fromhex, table.keys)),
            )
            for table in settings.watch
        )
    )


class Watching:
    """The watchlist of a settings file, as the file has it now: it is read again when it has changed.

    One that cannot be read changes nothing, and `trouble` of the list says so.
    """

    def __init__(self, settings: Settings) -> None:
        self._file = settings.file
        self._list = watchlist(settings)
        self._seen = self._stamp()

    def __call__(self) -> WatchList:
        """Return the list. Blocks."""
        stamp = self._stamp()
        if stamp != self._seen:
            self._seen = stamp
            try:
                self._list = watchlist(load(self._file))
            except SettingsError as e:
                self._list = WatchList(self._list.watched, str(e))
        return self._list

    def _stamp(self) -> tuple[int, int, int]:
        try:
            found = self._file.stat()
        except OSError:
            return 0, 0, 0
        return found.st_ino, found.st_mtime_ns, found.st_size
