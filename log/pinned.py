"""Whose keys a node's settings pin, read into values: logs that it witnesses, guards, signers of trust lists.

`SettingsError` names whatever does not fit together.
"""

from log.client.witness import check_witnessable
from log.errors import Malformed, SettingsError
from log.formats.note import KeyType, VKey
from log.node.guard import GuardKey
from log.settings import NodeSettings


def check_settings(settings: NodeSettings) -> None:
    """Raise `SettingsError` for what must not be.

    A head store under the data folder, a node that witnesses itself, a key that is none or of another type.
    """
    if settings.heads_file.resolve().is_relative_to(settings.data_dir.resolve()):
        raise SettingsError("heads_file: must not lie under data_dir, or one restored folder forks the log")
    if any(_own(settings, entry.origin) for entry in settings.witnessed):
        raise SettingsError("witnessed: a node never witnesses its own logs")
    witnessed(settings)
    guards(settings)
    for side in settings.trustlists:
        for signer in side.signers:
            _vkey(f"trustlists {side.side}: signers", signer, KeyType.ED25519)


def witnessed(settings: NodeSettings) -> dict[str, tuple[VKey, ...]]:
    """Return the keys of each log that the node's witness cosigns; `SettingsError` for what cannot be witnessed."""
    found: dict[str, tuple[VKey, ...]] = {}
    for entry in settings.witnessed:
        if entry.origin in found:
            raise SettingsError(f"witnessed: {entry.origin} stands there twice")
        where = f"witnessed {entry.origin}"
        found[entry.origin] = tuple(_parsed(where, vkey) for vkey in entry.vkeys)
        try:
            check_witnessable(entry.origin, found[entry.origin])
        except Malformed as error:
            raise SettingsError(f"{where}: {error}") from error
    return found


def guards(settings: NodeSettings) -> tuple[GuardKey, ...]:
    """Return the keys of each guard; `SettingsError` for a key of another type than its use asks for.

    The type is part of a key's id. A 0x01 key in the place of a 0x04 key names nobody's cosignatures, and is never
    taken to mean the 0x04 key of the same bytes.
    """
    return tuple(
        GuardKey(
            guard.name,
            _vkey(f"guard {guard.name}: cosigner", guard.cosigner, KeyType.COSIGNATURE),
            _vkey(f"guard {guard.name}: push", guard.push, KeyType.ED25519),
        )
        for guard in settings.guards
    )


def _parsed(where: str, text: str) -> VKey:
    try:
        return VKey.parse(text)
    except Malformed as error:
        raise SettingsError(f"{where}: {error}: {text!r}") from error


def _vkey(where: str, text: str, key_type: KeyType) -> VKey:
    vkey = _parsed(where, text)
    if vkey.type is not key_type:
        raise SettingsError(f"{where}: a key of type {vkey.type:#04x} where {key_type:#04x} belongs")
    return vkey


def _own(settings: NodeSettings, origin: str) -> bool:
    """Say whether an origin is that of a log of this node, or could be of a shard to come."""
    base, _, year = origin.rpartition("-")
    shard_of = {table.origin for table in settings.series}
    return origin in {table.origin for table in settings.plain} or (year.isdigit() and base in shard_of)
