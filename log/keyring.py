"""A node's own keys: a file each, made once, read at each start; and what others pin of them."""

from log.crypto import keys
from log.crypto.keys import LogKeys
from log.formats.family import X509
from log.node import calendar
from log.sequencer.clock import Clock
from log.settings import NodeSettings
from log.tables import LogTable


def keygen(settings: NodeSettings, clock: Clock) -> None:
    """Make the key files that the settings call for and that are missing; none is overwritten.

    Of shards, also those of the next one that is not due yet: peers and monitors pin them long before it comes.
    """
    for table in _keyed(settings, clock.wall_ms()):
        keys.generate_log_keys(settings.keys_dir, table.name, scts=table.family == X509.name)
    if not (settings.keys_dir / "witness.pem").exists():
        keys.generate_witness_keys(settings.keys_dir)


def keygen_mldsa(settings: NodeSettings) -> None:
    """Make the witness's key for 0x06 lines, beside keys that are there. `SettingsError` when it exists."""
    keys.generate_witness_mldsa_key(settings.keys_dir)


def public_keys(settings: NodeSettings, clock: Clock) -> dict[str, list[str]]:
    """Return the vkeys of each log by origin, and the witness's under its own name: what others pin."""
    tables = _keyed(settings, clock.wall_ms())
    logs = {table.origin: [vkey.encode() for vkey in log_keys(settings, table).vkeys] for table in tables}
    witness = [signer.vkey.encode() for signer in keys.load_witness_keys(settings.keys_dir, witness_name(settings))]
    return {**logs, witness_name(settings): witness}


def witness_name(settings: NodeSettings) -> str:
    """Return the key name of the node's witness: that of the node, below the host of its first origin."""
    return settings.logs[0].origin.partition("/")[0] + "/witness"


def _keyed(settings: NodeSettings, now_ms: int) -> list[LogTable]:
    """Return each log that has keys of its own: those that must exist, and of each series the shard that comes next."""
    tables = [*settings.plain]
    for series in settings.series:
        due = calendar.due_years(series.first_year or 0, now_ms, settings.shard_ahead_days)
        tables += [series.shard(year) for year in (*due, max(due.stop, due.start))]
    return tables


def log_keys(settings: NodeSettings, table: LogTable) -> LogKeys:
    """Load the keys of one log. `SettingsError` names the file that is missing, open to others, or no key."""
    return keys.load_log_keys(settings.keys_dir, table.name, table.origin, scts=table.family == X509.name)
