"""What a long submission shows of itself."""

import asyncio
import io
from pathlib import Path

import pytest
from rich.console import Console

from log.cli import meter as meters
from log.cli.meter import Meter
from log.client.backlog import Backlog
from log.client.issuers import Issuers
from log.client.receipts import Receipts
from tests.support.odd_certificates import world

DONE = "7 logged, 2 logged before, 1 refused"


@pytest.fixture
def backlog(tmp_path: Path) -> Backlog:
    """Ten files, of which two have a receipt."""
    folder, receipts = tmp_path / "certificates", Receipts(tmp_path / "receipts", "https://hk.example/x509")
    folder.mkdir()
    for n in range(10):
        der = world().issue(world().profile(n))[0]
        (folder / f"{n}.der").write_bytes(der)
        if n < 2:
            receipts.keep(der, {"id": "", "timestamp": 1, "extensions": "", "signature": ""})
    return Backlog([folder], receipts, Issuers([], 10), 10)


async def shown(backlog: Backlog, end: str, *, terminal: bool) -> str:
    """Enter a meter, go through the backlog, and return what was written once it shows the end.

    The end is all of its words: a rate has digits too, such as 100/s.
    """
    written = io.StringIO()
    console = Console(file=written, force_terminal=terminal, width=150, legacy_windows=False)
    async with asyncio.timeout(30), Meter(backlog, console, line_s=0.01) as meter:
        for n, _ in enumerate(backlog):
            meter.count(logged=n != 3)
        while DONE not in written.getvalue() or end not in written.getvalue():
            await asyncio.sleep(0.01)
    assert str(meter) == DONE
    return written.getvalue()


async def test_lines_where_there_is_no_terminal(backlog: Backlog) -> None:
    lines = (await shown(backlog, "/s, 100 % read", terminal=False)).splitlines()
    assert all(line.startswith(f"{DONE}; ") for line in lines)
    assert "/s, 100 % read" in lines[-1]
    assert not any("\x1b" in line for line in lines)


async def test_a_bar_at_a_terminal(backlog: Backlog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meters, "BAR_S", 0.01)
    written = await shown(backlog, "100%", terminal=True)
    assert "━" in written


def test_a_line_says_how_far_it_is_and_how_long_it_takes(backlog: Backlog) -> None:
    meter = Meter(backlog, Console(file=io.StringIO()))
    assert meter.line() == "0 logged, 0 logged before, 0 refused; 0/s"  # nothing is known yet
    meter._total = backlog.measure()
    jobs = iter(backlog)
    for _ in range(4):
        next(jobs)
        meter.count(logged=True)
    line = meter.line()
    assert line.startswith("4 logged, ")
    assert " % read, about 0:0" in line
    assert line.endswith(" left")
