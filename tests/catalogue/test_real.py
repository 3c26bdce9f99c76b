"""Rows that a real monitor must stand against real servers: what is signed, what is served, how it is answered."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.catalogue.real import play, running
from tests.catalogue.rows import ROWS

TOGETHER = ((1,), (2,), (3,), (10,), (13, 22, 25), (14, 23, 24, 26))  # what ends, one monitor meets one after the other


@pytest.mark.parametrize("numbers", TOGETHER, ids=str)
async def test_rows_against_processes(numbers: Sequence[int], tmp_path: Path) -> None:
    async with running(tmp_path, numbers[0]) as case:
        for row in ROWS:
            if row.number in numbers:
                await play(case, row)
