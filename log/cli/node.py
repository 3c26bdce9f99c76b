"""Commands of whoever runs a node: keygen, init, serve, halts."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from log import journal, keyring, process, state
from log.node.halts import Halted, Halts, forks
from log.sequencer.clock import SystemClock
from log.settings import NodeSettings

Settings = Annotated[Path, typer.Option("--settings", "-s", help="The node's TOML file.")]

app = typer.Typer()


@app.command()
def keygen(
    settings: Settings = Path("twinlog.toml"),
    mldsa: Annotated[
        bool, typer.Option("--mldsa", help="Make the witness's ML-DSA-44 key alone, beside the keys there are.")
    ] = False,
) -> None:
    """Make the key files that are missing, of shards one year ahead, and print the public keys that others pin."""
    loaded, clock = NodeSettings.load(settings), SystemClock()
    if mldsa:
        keyring.keygen_mldsa(loaded)
    else:
        keyring.keygen(loaded, clock)
    print(json.dumps(keyring.public_keys(loaded, clock), indent=2))


@app.command()
def init(
    settings: Settings = Path("twinlog.toml"),
    add: Annotated[
        str, typer.Option(metavar="NAME", help="Of a node that exists: make this log, new in the settings.")
    ] = "",
) -> None:
    """Create a node's stores and sign each log's empty head. Once."""
    loaded = NodeSettings.load(settings)
    if add:
        asyncio.run(state.add(loaded, add, SystemClock()))
        print(f"{loaded.node}: {add} created; start the node anew")
        return
    count = asyncio.run(state.init(loaded, SystemClock()))
    print(f"{loaded.node}: {count} logs created")


@app.command()
def serve(settings: Settings = Path("twinlog.toml")) -> None:
    """Run a node until SIGTERM or Ctrl-C. Exit codes: 0 stopped, 2 settings, 3 state refuses, 4 store failed."""
    loaded = NodeSettings.load(settings)
    with journal.kept(loaded.log_format, loaded.log_level, loaded.limits.log_repeats_per_minute):
        code = uvloop.run(process.serve(loaded, SystemClock(), lambda url: print(f"listening on {url}", flush=True)))
    _let_go_of_output()
    raise typer.Exit(code)


def _let_go_of_output() -> None:
    """Write out what was printed. Where that fails, as on a full disk, it must not change the exit code."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@app.command()
def halts(
    settings: Settings = Path("twinlog.toml"),
    clear: Annotated[str, typer.Option(help="Let this origin sign again. Read both notes first.")] = "",
) -> None:
    """Show why origins of a stopped node may not sign, and which logs forked, each with both notes; or clear a halt."""

    def show(why: str, first: str, second: str, pair: Halted) -> None:
        print(f"{pair.origin}: {why}\n\n{first}:\n{pair.ours.decode()}\n{second}:\n{pair.theirs.decode()}")

    async def work() -> None:
        heads = state.open_heads(NodeSettings.load(settings), create=False)
        try:
            held = Halts(heads)
            await held.load()
            if clear:
                await held.clear(clear)
            for halted in held.all():
                show(halted.why, "ours", "theirs", halted)
            for fork in await forks(heads):
                show(f"{fork.why}, evidence against that log; it halts nothing here", "cosigned", "refused", fork)
        finally:
            await heads.close()

    asyncio.run(work())
