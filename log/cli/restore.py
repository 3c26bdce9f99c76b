"""`twinlog restore`: the data folder of a stopped node that lost it, out of a monitor's copy (design.md §6).

For each log whose folder is not there: either its stores are rebuilt beside and put in place by one rename, at exactly
the head of the head store; or nothing is written but a report on how the log is to be closed. Nothing is ever signed,
and a folder that holds anything is never touched. After a crash the command is run again: what is in place stays, and
what was half done lies in a folder of this command's own name and begins anew.
"""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from log import keyring, state
from log.cli.options import TokenFile, connect
from log.client import LogReader
from log.client.beyond import Promise, promises_beyond
from log.client.exchange import exchange
from log.client.http import HttpLog
from log.crypto.notes import open_note
from log.errors import StateRefused
from log.folders import make_folder, sync_names, write_private
from log.formats.family import EVENTS, FAMILIES, X509, Family
from log.formats.note import VKey
from log.formats.text import b64encode
from log.merkle.frontier import Frontier
from log.node.restore import rebuild, why_closed
from log.sequencer.head import Head, Published, decode_head, store_name
from log.service.tree import StoredTree
from log.settings import NodeSettings
from log.storage.edge import held_rows, load_edge
from log.storage.leveldb import LevelData
from log.tables import LogTable

NOTE_BYTES = 1 << 20
DEADLINE_S = 30.0

app = typer.Typer()


@dataclass(frozen=True, slots=True)
class Source:
    """A copy of one log, and the tree that it holds."""

    reader: LogReader
    size: int
    root: bytes
    note: bytes  # a head over that tree under the log's keys; b"" where the copy has none


@app.command()
def restore(
    source: Annotated[str, typer.Option("--from", help="URL of a monitor, or the folder of a stopped one's copies.")],
    settings: Annotated[Path, typer.Option("--settings", "-s", help="The node's TOML file.")] = Path("twinlog.toml"),
    name: Annotated[list[str] | None, typer.Option("--log", help="Only the log of this name.")] = None,
    scts: Annotated[
        list[Path] | None, typer.Option(help="Files or folders with SCTs that submitters kept, for a closing.")
    ] = None,
    report: Annotated[Path, typer.Option(help="Folder for the reports on logs to close.")] = Path("restore"),
    token_file: TokenFile = None,
) -> None:
    """Rebuild what a stopped node lost from a verified copy, or report how its logs end. Exit 1 when one must."""
    loaded = NodeSettings.load(settings)
    closed = asyncio.run(_restore(loaded, source, name or [], scts or [], report, token_file))
    raise typer.Exit(1 if closed else 0)


async def _restore(
    settings: NodeSettings, source: str, names: list[str], scts: list[Path], report: Path, token_file: Path | None
) -> int:
    """Go through the logs; return how many must be closed."""
    closed = 0
    async with connect(source, token_file) as client:
        for table, value in await _heads(settings):
            folder = settings.data_dir / table.name
            if names and table.name not in names:
                continue
            if folder.exists() and any(folder.iterdir()):
                if names:
                    raise StateRefused(f"{folder} is not empty: move it away, if it is lost")
                print(f"{table.origin}: {folder} is there, nothing to do")
                continue
            vkeys = keyring.log_keys(settings, table).vkeys
            head = None if value is None else decode_head(value, table.origin, vkeys)
            async with _copy_of(table, vkeys, source, client) as copy:
                why = why_closed(head, copy.size, copy.root)
                if why or head is None:
                    closed += 1
                    _close(table, vkeys, head, copy, why, scts, report)
                else:
                    await _put_in_place(settings, table, vkeys, head, copy.reader)
    return closed


async def _heads(settings: NodeSettings) -> list[tuple[LogTable, bytes | None]]:
    """Return each log with what the head store holds of it: nothing where the store itself is lost."""
    try:
        heads = state.open_heads(settings, create=False)
    except StateRefused:
        return [(table, None) for table in settings.logs if table.shards is None]
    try:
        return [(table, await heads.load(store_name(table.origin))) for table, _ in await state.tables(settings, heads)]
    finally:
        await heads.close()


@asynccontextmanager
async def _copy_of(
    table: LogTable, vkeys: tuple[VKey, ...], source: str, client: httpx.AsyncClient
) -> AsyncIterator[Source]:
    family, place = FAMILIES[table.family], sha256(table.origin.encode()).hexdigest()
    if source.startswith(("http://", "https://")):
        base = f"{source.rstrip('/')}/{place}"
        answer = await exchange(
            client, "GET", f"{base}/checkpoint/newest", "checkpoint", max_bytes=NOTE_BYTES, deadline_s=DEADLINE_S
        )
        if answer.status != httpx.codes.OK:
            raise StateRefused(f"{table.origin}: the monitor answers {answer.status} for its copy")
        opened = open_note(answer.body, vkeys)
        if opened.checkpoint.origin != table.origin:
            raise StateRefused(f"{table.origin}: the monitor's head is of {opened.checkpoint.origin}")
        yield Source(HttpLog(base, family, client), opened.checkpoint.size, opened.checkpoint.root, answer.body)
        return
    data = LevelData(Path(source) / place)
    try:
        yield await _stored(family, data)
    finally:
        await data.close()


async def _stored(family: Family, data: LevelData) -> Source:
    edge = await load_edge(family, data, await held_rows(data))
    published = Published(Head(edge.size, edge.root(), 0, b""), edge, Frontier.empty())
    return Source(StoredTree(data, lambda: published), edge.size, edge.root(), b"")


async def _put_in_place(
    settings: NodeSettings, table: LogTable, vkeys: tuple[VKey, ...], head: Head, source: LogReader
) -> None:
    """Build the stores of a log beside its place, and move them there.

    1. `<name>.restoring`: stores filled and audited; one that a crash left is removed before
    2. the head store still holds this tree: no node has signed meanwhile
    3. the rename
    """
    make_folder(settings.data_dir)
    beside = table.model_copy(update={"name": f"{table.name}.restoring"})
    folder = settings.data_dir / beside.name
    if folder.exists():
        shutil.rmtree(folder)
    if table.family == EVENTS.name:
        await state.open_records(settings, beside, create=True).close()
    data, index = state.open_stores(settings, beside, create=True)
    try:
        found = await rebuild(source, FAMILIES[table.family], vkeys, head, data, index)
    finally:
        await index.close()
        await data.close()
    heads = state.open_heads(settings, create=False)
    try:
        value = await heads.load(store_name(table.origin))
    finally:
        await heads.close()
    again = None if value is None else decode_head(value, table.origin, vkeys)
    if why := why_closed(again, head.size, head.root):
        raise StateRefused(f"{table.origin}: its head moved meanwhile: {why}")
    place = settings.data_dir / table.name
    if place.exists():
        place.rmdir()  # empty, or this fails
    folder.rename(place)
    sync_names(settings.data_dir)
    print(f"{table.origin}: {found.entries} entries and {found.issuers} issuers in place, at the head it signed last")


# --- the end of a log ---------------------------------------------------------------------------------------


def _close(
    table: LogTable,
    vkeys: tuple[VKey, ...],
    head: Head | None,
    copy: Source,
    why: str,
    scts: list[Path],
    folder: Path,
) -> None:
    """Write how a log ends: a report for machines and one for people, and the payload of its `log-close`."""
    beyond, unread = promises_beyond(scts, vkeys, copy.size)
    payload = {"origin": table.origin, "size": copy.size, "root": b64encode(copy.root), "reason": why}
    make_folder(folder)
    report: dict[str, Any] = {
        "origin": table.origin,
        "why": why,
        "final": {"size": copy.size, "root": b64encode(copy.root), "note": copy.note.decode()},
        "signed_last": None if head is None else {"size": head.size, "note": head.note.decode()},
        "scts_beyond": [_promise(each) for each in beyond],
        "not_read": [str(file) for file in unread],
    }
    write_private(folder / f"{table.name}.json", json.dumps(report, indent=2).encode() + b"\n")
    write_private(folder / f"{table.name}.log-close.json", json.dumps(payload).encode() + b"\n")
    write_private(folder / f"{table.name}.txt", _told(table, copy, why, beyond, folder).encode())
    print(f"{table.origin}: must be closed at size {copy.size}: {why}")
    print(f"  {len(beyond)} SCTs beyond it; see {folder / table.name}.txt")


def _promise(promise: Promise) -> dict[str, Any]:
    return {
        "file": str(promise.file),
        "index": promise.sct.index,
        "certificate": promise.fingerprint,
        "signature": promise.signature,
        "sct": promise.sct.to_json(),
    }


def _told(table: LogTable, copy: Source, why: str, beyond: list[Promise], folder: Path) -> str:
    lines = [
        f"{table.origin} cannot go on under this origin.",
        f"Why: {why}.",
        "",
        f"Final head: size {copy.size}, root {copy.root.hex()}",
        *(
            copy.note.decode().splitlines()
            or ["(the copy is a folder, and holds no signed head; the monitor's state does)"]
        ),
        "",
        "1. Close the log at this head, by one side's authorities or both:",
        f"   twinlog governance draft FOLDER CHAIN log-close - < {folder / table.name}.log-close.json",
        "2. Open a log under a new origin, with new keys, and submit there again what is beyond the final head.",
    ]
    if table.family == X509.name:
        lines += ["", f"SCTs known beyond the final head: {len(beyond)}"]
        lines += [
            f"   index {each.sct.index}, signature {each.signature}, certificate {each.fingerprint or 'not known'}, "
            f"{each.file}"
            for each in beyond
        ]
    return "\n".join(lines) + "\n"
