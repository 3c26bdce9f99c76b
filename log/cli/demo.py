"""`twinlog demo`: the whole of it on one machine."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from log.demo import run as demonstration

app = typer.Typer()


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="End by itself after the summary.")] = False,
    folder: Annotated[
        Path | None, typer.Option("--dir", help="Work here instead of in a fresh temporary folder.")
    ] = None,
) -> None:
    """Two nodes and a monitor on this machine: certificates in, proofs vouched for by both sides out."""
    raise typer.Exit(asyncio.run(demonstration.run(folder, once=once, console=Console())))
