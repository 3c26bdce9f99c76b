"""The files that a node's settings name, read and verified: trust lists, genesis, policies; else `SettingsError`."""

from hashlib import sha256
from pathlib import Path

from log.authority import FileAuthority
from log.certs.trustlist import TrustList
from log.errors import Malformed, SettingsError
from log.formats.genesis import Genesis
from log.formats.note import VKey
from log.formats.policy import Policy
from log.governance import fold
from log.node import trustlists
from log.settings import NodeSettings
from log.storage import HeadStore
from log.tables import GovernanceTable, LogTable


async def load_authority(settings: NodeSettings, heads: HeadStore) -> FileAuthority:
    """Read and verify every configured trust list. `SettingsError`."""
    lists: dict[str, TrustList] = {}
    for table in settings.trustlists:
        signers = [VKey.parse(signer) for signer in table.signers]
        data, note = _read(table.path / "trustlist.json"), _read(table.path / "trustlist.note")
        lists[table.side] = await trustlists.adopt(heads, table.side, data, note, signers, table.threshold)
    return FileAuthority(lists)


def load_genesis(table: GovernanceTable, side: str) -> Genesis:
    """Read the genesis that the settings pin; `SettingsError` when it is another one, or cannot be read."""
    data = _read(table.genesis)
    if sha256(data).hexdigest() != table.sha256:
        raise SettingsError(f"{table.genesis}: SHA-256 {sha256(data).hexdigest()}, not the one that is pinned")
    try:
        genesis = Genesis.parse(data)
        fold.check_genesis(genesis)
    except Malformed as error:
        raise SettingsError(f"{table.genesis}: {error}") from error
    if side and side not in genesis.sides:
        raise SettingsError(f"side: this genesis has the sides {', '.join(genesis.sides)}")
    return genesis


def check_policies(settings: NodeSettings) -> None:
    """Read the policy of every log: that of shards to come nobody reads sooner. `SettingsError`."""
    for table in settings.logs:
        _policy(table.policy)


def policy_of(table: LogTable, series: LogTable) -> Policy:
    """Return a log's policy. One that names logs must name this one, or a shard of the same log."""
    policy = _policy(table.policy)
    named = {line.vkey.name for line in policy.logs}
    shards = {name for name in named if table is not series and name.startswith(f"{series.origin}-")}
    if named and table.origin not in named and not shards:
        raise SettingsError(f"{table.policy}: this policy is of other logs than {table.origin}")
    return policy


def _policy(path: Path) -> Policy:
    try:
        return Policy.parse(_read(path))
    except Malformed as error:
        raise SettingsError(f"{path}: {error}") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from error
