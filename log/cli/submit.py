"""`twinlog submit`: certificates out of files and folders into a log, with progress, resumable.

Exit codes: 0 everything is logged; 1 something was refused, each named in `refused.csv`; 2 the log cannot be reached
or stayed busy, a setting or file is wrong, or there is no certificate. After 2, or after the process was
killed, the same command goes on.
"""

import asyncio
import contextlib
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from log.cli.codes import EXIT_SETTINGS
from log.cli.meter import Meter
from log.client import pem
from log.client.backlog import Backlog
from log.client.issuers import Issuers
from log.client.receipts import Receipts, Refusal, Refusals
from log.client.submit import Outcome, SubmitLimits, Submitter
from log.errors import LogError, Malformed, SettingsError, Unreachable

MAX_CHAIN = 10  # certificates that are put together; a log may take fewer
REFUSED = "refused.csv"

app = typer.Typer()


@app.command()
def submit(
    url: Annotated[str, typer.Argument(help="The log's URL, with its name: https://hk.example/x509")],
    paths: Annotated[
        list[Path], typer.Argument(help="Certificates, PEM chains, PEM files of many, or folders of them.", exists=True)
    ],
    out: Annotated[Path, typer.Option(help="Folder for the answers; a second run goes on from it.")] = Path("receipts"),
    issuers: Annotated[
        list[Path] | None, typer.Option(help="Files or folders of issuers to complete chains from.")
    ] = None,
    parallel: Annotated[
        int, typer.Option(min=1, max=1024, help="Most requests in flight; fewer when it is busy.")
    ] = 64,
    patience_s: Annotated[
        float, typer.Option("--patience", min=0, help="Seconds without any answer after which to give up.")
    ] = 120,
) -> None:
    """Submit certificates; keep each SCT, report each refusal. Run again to go on. Exit 1: refused; 2: unreachable."""
    limits = SubmitLimits(parallel=parallel, patience_s=patience_s)
    known = Issuers((der for file in pem.files(issuers or []) for der in pem.read(file)), MAX_CHAIN)
    raise typer.Exit(asyncio.run(_run(url, paths, out, known, limits)))


async def _run(url: str, paths: list[Path], out: Path, issuers: Issuers, limits: SubmitLimits) -> int:
    receipts, refusals = Receipts(out, url), Refusals(out / REFUSED)
    backlog = Backlog(paths, receipts, issuers, MAX_CHAIN)
    meter = Meter(backlog)
    begun_s = time.monotonic()
    failed: LogError | None = None
    try:
        async with Submitter(url, limits) as submitter, meter:
            await submitter.roots()  # a URL that is no log's is told at once, not after every try
            async with contextlib.aclosing(submitter.submit_all(backlog, receipts.keep)) as outcomes:
                async for outcome in outcomes:
                    if outcome.answer is None:
                        refusals.add(_refusal(outcome))
                    meter.count(logged=outcome.answer is not None)
    except (Unreachable, Malformed, SettingsError) as error:
        failed = error
    else:
        if not (meter.logged or meter.refused or backlog.logged_before):
            failed = pem.nowhere(paths)
    finally:
        backlog.close()
        refusals.close()
    lasted_s = time.monotonic() - begun_s
    print(f"{meter} in {lasted_s:.0f} s" + (f": see {refusals.path}" if meter.refused else ""))
    if failed is not None:
        sys.stderr.write(f"twinlog: {failed}\n")
        return EXIT_SETTINGS
    return 1 if meter.refused else 0


def _refusal(outcome: Outcome) -> Refusal:
    job = outcome.job
    return Refusal(job.source, job.number, job.fingerprint, outcome.status, outcome.refusal)
