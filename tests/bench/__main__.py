"""Measure the rows of design.md section 7: figure, machine limit of the same run, ratio. Up to ten minutes.

A missed goal is printed, not an exit code; 2 is a wrong argument. With `--soak` no row is measured: a monitor is
killed so often (`tests.soak_monitor`), and 1 means that something was lost.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests import soak_monitor
from tests.bench import machine
from tests.bench.ground import Ground, Scale
from tests.bench.rows import Result, Row
from tests.bench.table import ROWS

SEED = 1  # of the moments at which a monitor is killed


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the arguments, measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to a file as well")
    names = [row.name for row in ROWS]
    parser.add_argument("--only", nargs="+", choices=names, metavar="ROW", help=f"of {', '.join(names)}")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of one measurement (10)")
    parser.add_argument("--soak", type=int, metavar="KILLS", help="no rows: kill a monitor under load so often")
    given = parser.parse_args(arguments)
    if given.seconds < 1:
        parser.error("--seconds: at least 1")
    scale = Scale(seconds=given.seconds, vouch_seconds=6 * given.seconds)
    rows = [row for row in ROWS if given.only is None or row.name in given.only]
    with tempfile.TemporaryDirectory(prefix="twinlog-bench-") as folder:
        if given.soak is not None:
            lost = asyncio.run(soak_monitor.kills(Path(folder) / "pair", given.soak, SEED))
            print("\n".join(lost) or "nothing was skipped, no alert was lost")
            return 1 if lost else 0
        told = asyncio.run(measure(rows, Ground(Path(folder), scale)))
    if given.json is not None:
        given.json.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    return 0


async def measure(rows: Sequence[Row], ground: Ground) -> dict[str, Any]:
    """Run the rows one after the other; print each when it is done, return all as JSON has it."""
    described = machine.describe(ground.folder)
    for key, value in described.items():
        text = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
        print(f"{key}: {text}")
    results: list[tuple[Row, Result]] = []
    began = time.monotonic()
    for row in rows:
        result = await _run(row, ground)
        results.append((row, result))
        print("\n" + "\n".join(row.lines(result)), flush=True)
    missed = [row.name for row, result in results if not row.reached(result)]
    print(f"\n{len(rows)} rows in {time.monotonic() - began:.0f} s; not reached: {', '.join(missed) or 'none'}")
    return {"rows": [row.to_json(result) for row, result in results], "machine": described}


async def _run(row: Row, ground: Ground) -> Result:
    """Run one row. What ends it early is its result, and the others still run."""
    try:
        return await row.run(ground)
    except Exception as error:  # noqa: BLE001 - whatever it is
        traceback.print_exc()
        return Result(None, None, f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    sys.exit(main())
