"""`twinlog audit`: a running log from outside, or the stores of a stopped node (contract.md, "Audit")."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from log import state
from log.cli.options import FamilyName, TokenFile, connect
from log.client import audit as auditor
from log.client.audit import Report
from log.client.http import HttpLog
from log.errors import NotFound, SettingsError
from log.formats.family import FAMILIES
from log.formats.note import VKey
from log.settings import NodeSettings

app = typer.Typer()


@app.command()
def audit(
    url: Annotated[str, typer.Argument(help="The log's URL; leave out with --data.")] = "",
    vkey: Annotated[list[str] | None, typer.Option(help="A key of the log; all that it signs with.")] = None,
    family: FamilyName = "x509",
    data: Annotated[
        Path | None, typer.Option(help="Audit the stores of a stopped node: its settings file, or the folder of one.")
    ] = None,
    index: Annotated[bool, typer.Option("--index", help="With --data: check every key of the index too.")] = False,
    deep: Annotated[bool, typer.Option("--deep", help="Derive each precertificate's TBS again.")] = False,
    token_file: TokenFile = None,
) -> None:
    """Rebuild every leaf hash, tile and head from the entries; name the first wrong byte and exit 1."""

    async def remote() -> None:
        async with connect(url, token_file) as client:
            vkeys = [VKey.parse(text) for text in vkey or []]
            reader = HttpLog(url, FAMILIES[family], client)
            try:
                _report(await auditor.audit(reader, FAMILIES[family], vkeys, deep=deep))
            except NotFound as error:
                raise NotFound(f"{error} (audited as a log of the family {family})") from error

    async def local(settings: Path) -> None:
        loaded = NodeSettings.load(settings / "twinlog.toml" if settings.is_dir() else settings)
        async for stored in state.stopped_logs(loaded):
            _report(await auditor.audit(stored.reader, stored.family, stored.vkeys, deep=deep))
            if index:
                print(f"  {await auditor.audit_index(stored.reader, stored.family, stored.index)} index keys")

    if data is None and not url:
        raise SettingsError("audit takes a URL with --vkey, or --data")
    asyncio.run(remote() if data is None else local(data))


def _report(report: Report) -> None:
    print(f"{report.origin}: {report.entries} entries, {report.bytes} bytes, root {report.root.hex()}: all in order")
