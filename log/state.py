"""A node's state on disk: made once, then opened by `main`, and by the auditor while the node is stopped."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from log import keyring, pinned
from log.errors import SettingsError, StateRefused, StoreMissing
from log.formats.family import EVENTS, FAMILIES, Family
from log.formats.note import VKey
from log.merkle.frontier import Frontier
from log.node import calendar, shards
from log.node import witness as witness_state
from log.sequencer.clock import Clock
from log.sequencer.commit import Committer, Identity
from log.sequencer.head import Published, decode_head, store_name
from log.service.tree import StoredTree
from log.settings import NodeSettings
from log.storage import HeadStore
from log.storage.edge import load_edge
from log.storage.level_database import LevelLimits
from log.storage.leveldb import LevelData, LevelIndex, LevelRecords
from log.storage.sqlite_heads import HeadLimits, SqliteHeads
from log.tables import LogTable


async def tables(settings: NodeSettings, heads: HeadStore) -> list[tuple[LogTable, LogTable]]:
    """Return the table of each log that exists, with the one in the settings from which it comes.

    Of shards these are the ones that were created, whatever the clock says now. `SettingsError` when the settings
    leave out one of them.
    """
    found = [(table, table) for table in settings.plain]
    for series in settings.series:
        for year in await shards.created_years(heads, series.origin):
            if year < (series.first_year or 0):
                raise SettingsError(f"first_year: the shard {series.name}-{year} exists, and its reads go on for ever")
            found.append((series.shard(year), series))
    return found


async def init(settings: NodeSettings, clock: Clock) -> int:
    """Create the stores, sign each log's empty head, write the witness marker; return the number of logs.

    Of shards those that are due. Refuses a state that exists.
    """
    pinned.check_settings(settings)
    due = [
        series.shard(year)
        for series in settings.series
        for year in calendar.due_years(series.first_year or 0, clock.wall_ms(), settings.shard_ahead_days)
    ]
    for table in (*settings.plain, *due):
        _require_keys(settings, table)  # before anything is created
    heads = open_heads(settings, create=True)
    try:
        await witness_state.create(heads)
        for table in settings.plain:
            await _make_stores(settings, table)
            await _sign_empty_head(settings, table, heads, clock)
        for table in due:
            await create_shard(settings, table, heads, clock)
    finally:
        await heads.close()
    return len(settings.plain) + len(due)


async def add(settings: NodeSettings, name: str, clock: Clock) -> None:
    """Make the state of a log that came into the settings of a node after its `init`, exactly once, as a shard's.

    `SettingsError` for no such log, for shards, which `serve` makes, and for missing keys; `StateRefused` when it is
    there, or something of it.
    """
    pinned.check_settings(settings)
    table = next((table for table in settings.plain if table.name == name), None)
    if table is None:
        raise SettingsError(f"logs: none is called {name!r}; what has `shards` is made by `twinlog serve`")
    _require_keys(settings, table)
    heads = open_heads(settings, create=False)
    try:
        await create_shard(settings, table, heads, clock)
    finally:
        await heads.close()


def _require_keys(settings: NodeSettings, table: LogTable) -> None:
    try:
        keyring.log_keys(settings, table)
    except SettingsError as error:
        raise SettingsError(f"{error}; `twinlog keygen` makes the keys of what is new") from error


async def create_shard(settings: NodeSettings, table: LogTable, heads: HeadStore, clock: Clock) -> None:
    """Make the state of a shard or an added log once; see `log.node.shards` for the order of its writes, its errors."""

    async def sign() -> None:
        value = await heads.load(store_name(table.origin))
        if value is None:
            await _sign_empty_head(settings, table, heads, clock)
        elif decode_head(value, table.origin, keyring.log_keys(settings, table).vkeys).size:
            raise StateRefused(f"head store: {table.origin} is recorded as new, but its head covers entries")

    folder = settings.data_dir / table.name
    await shards.create(
        heads, shards.NewShard(table.origin, folder.exists, partial(_make_stores, settings, table), sign)
    )


async def _make_stores(settings: NodeSettings, table: LogTable) -> None:
    """Make the stores of a log, or find them empty. `StateRefused` when the data store holds an entry."""
    if table.family == EVENTS.name:
        await open_records(settings, table, create=True).close()
    data, index = open_stores(settings, table, create=True)
    try:
        await data.entries(0, 1)
    except StoreMissing:
        return
    finally:
        await index.close()
        await data.close()
    raise StateRefused(f"{settings.data_dir / table.name} holds entries of a log that is to be created")


async def _sign_empty_head(settings: NodeSettings, table: LogTable, heads: HeadStore, clock: Clock) -> None:
    data, index = open_stores(settings, table, create=False)
    try:
        identity = Identity(table.origin, keyring.log_keys(settings, table).signers)
        await Committer(FAMILIES[table.family], identity, data, heads, OpenGate(), clock).create()
    finally:
        await index.close()
        await data.close()


class OpenGate:
    """The gate of a log that has no past yet: only `init` signs without asking."""

    def admit(self, origin: str) -> None:
        """Let everything in."""

    def permit(self, origin: str) -> None:
        """Let everything be signed."""


@dataclass(frozen=True, slots=True)
class StoppedLog:
    """One log of a stopped node, for the auditor."""

    reader: StoredTree
    family: Family
    vkeys: tuple[VKey, ...]
    index: LevelIndex


async def stopped_logs(settings: NodeSettings) -> AsyncIterator[StoppedLog]:
    """Open a stopped node's logs one after the other, changing nothing. `StoreLocked` while the node runs."""
    heads = open_heads(settings, create=False)
    try:
        for table, _ in await tables(settings, heads):
            family, vkeys = FAMILIES[table.family], keyring.log_keys(settings, table).vkeys
            value = await heads.load(store_name(table.origin))
            if value is None:
                raise StateRefused(f"head store: no head for {table.origin}")
            head = decode_head(value, table.origin, vkeys)
            data, index = open_stores(settings, table, create=False)
            try:
                published = Published(head, await load_edge(family, data, head.size), Frontier.empty())
                yield StoppedLog(StoredTree(data, partial(_held, published)), family, vkeys, index)
            finally:
                await index.close()
                await data.close()
    finally:
        await heads.close()


def _held(published: Published) -> Published:
    return published


def store_paths(settings: NodeSettings, names: Iterable[str]) -> dict[tuple[str, str], Path]:
    """Return where each store lies, by (log name or "", store)."""
    with_records = {table.name for table in settings.logs if table.family == EVENTS.name}
    stores = [
        (name, store)
        for name in names
        for store in ("data", "index", "records")
        if store != "records" or name in with_records
    ]
    return {("", "heads"): settings.heads_file, **{key: settings.data_dir.joinpath(*key) for key in stores}}


def open_heads(settings: NodeSettings, *, create: bool) -> SqliteHeads:
    """Open the head store; `StateRefused` when it is missing and not to be created."""
    limits = HeadLimits(busy_timeout_ms=settings.limits.head_busy_ms)
    return SqliteHeads(settings.heads_file, limits, create=create)


def open_stores(
    settings: NodeSettings, table: LogTable, *, create: bool, create_index: bool = False
) -> tuple[LevelData, LevelIndex]:
    """Open the two stores of one log: the data first, so that a wrong folder is told before an index is made in it."""
    limits = LevelLimits(write_buffer_bytes=settings.limits.write_buffer_bytes)
    folder = settings.data_dir / table.name
    data = LevelData(folder / "data", limits, create=create)
    return data, LevelIndex(folder / "index", limits, create=create or create_index)


def open_records(settings: NodeSettings, table: LogTable, *, create: bool) -> LevelRecords:
    """Open what members sent to a log of events."""
    limits = LevelLimits(write_buffer_bytes=settings.limits.write_buffer_bytes)
    return LevelRecords(settings.data_dir / table.name / "records", limits, create=create)
