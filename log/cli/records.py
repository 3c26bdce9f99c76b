"""Submission records at a terminal: who signed for an entry, without a node (`log.client.records`)."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from log import state
from log.client.records import verify_record
from log.errors import SettingsError
from log.formats.family import EVENTS
from log.formats.fields import encode_date, member_id
from log.formats.note import VKey
from log.settings import NodeSettings
from log.storage import RecordStore
from log.tables import LogTable

PAGE = 1000  # names read at once

app = typer.Typer(help="Submission records: which member signed a request, in a form that a court can check.")


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="Where to write them: <side>/<member>/<seq>.record and .body")],
    settings: Annotated[Path, typer.Option("--settings", "-s", help="The TOML file of a stopped node.")] = Path(
        "twinlog.toml"
    ),
    name: Annotated[str, typer.Option("--log", help="The log's name.")] = "events",
    member: Annotated[str, typer.Option("--member", help="Only this one's: <side>/<id>.")] = "",
) -> None:
    """Write the records that a log of events keeps, each with the body that was signed."""
    loaded = NodeSettings.load(settings)
    table = next((each for each in loaded.logs if each.name == name and each.family == EVENTS.name), None)
    if table is None:
        raise SettingsError(f"no log of events is called {name}")
    count = asyncio.run(_export(loaded, table, folder, member and member_id(member)))
    print(f"{count} records written to {folder}")


async def _export(settings: NodeSettings, table: LogTable, folder: Path, member: str) -> int:
    store = state.open_records(settings, table, create=False)
    count = 0
    try:
        after = (member, 0)
        while names := await store.names(after, PAGE):
            for name in names:
                if member and name[0] != member:
                    return count
                await _write(store, folder, *name)
                count += 1
            after = names[-1]
    finally:
        await store.close()
    return count


async def _write(store: RecordStore, folder: Path, member: str, seq: int) -> None:
    filed, body = await store.find(member, seq), await store.body(member, seq)
    if filed is None or body is None:
        raise AssertionError("a record is filed with its body")
    place = folder / member
    place.mkdir(parents=True, exist_ok=True)
    (place / f"{seq}.body").write_bytes(body)
    (place / f"{seq}.record").write_bytes(filed.record)


@app.command()
def verify(
    record: Annotated[Path, typer.Argument(help="The record.")],
    key: Annotated[list[str], typer.Option("--key", "-k", help="A vkey of the member; may be given more than once.")],
    body: Annotated[Path | None, typer.Option("--body", help="The request's body.")] = None,
) -> None:
    """Say who signed a request, for which node and when, or exit with 1."""
    content = None if body is None else body.read_bytes()
    submission = verify_record(record.read_bytes(), [VKey.parse(text) for text in key], content)
    base = submission.base
    print(f"record {submission.hash.hex()}")
    print(f"signed by {base.key.encode()} at {encode_date(base.created_s * 1000)}")
    print(f"{base.method} {base.path}{base.query} at {base.authority}")
    if base.digest is not None:
        print(f"body {base.digest.hex()}{'' if content is None else ', which is this file'}")
