"""Every row of the catalogue, played against a monitor in this process; and that no number lacks its script."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from monitor import main, settings
from tests.catalogue.harness import Case, Row, play
from tests.catalogue.rows import ROWS
from tests.monitor.conftest import Monitor
from tests.support.action_log import GovernedWorld
from tests.support.lying_world import World

NUMBERS = range(1, 45)  # of monitoring.md §6


def test_every_number_has_one_script() -> None:
    assert Counter(row.number for row in ROWS) == Counter(NUMBERS)


@asynccontextmanager
async def monitoring(folder: Path, *, governed: bool) -> AsyncIterator[Monitor]:
    """Yield a monitor that was never started, between two nodes."""
    world = GovernedWorld() if governed else World()
    await world.begin()
    urls = {node.name: f"http://{node.name}" for node in world.reachable}
    path = world.write(folder, urls, limits="request_s = 60\n")
    main.create_state(settings.load(path))
    async with world.client() as client:
        made = Monitor(world, path, client)
        yield made
        made.stop()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.number:02} {row.fault}")
async def test_row(row: Row, tmp_path: Path) -> None:
    async with monitoring(tmp_path, governed=row.governed) as made:
        await play(Case(made, row.number), row)
