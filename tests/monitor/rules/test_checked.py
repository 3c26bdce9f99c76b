"""Entries that are read again lead to the verified root, or are not taken."""

import pytest

from log.errors import LogError
from log.formats.family import TILES, X509, raw_parts
from monitor.checked import CheckedReader
from tests.support.memory_log import MemoryLog, certificates


@pytest.mark.parametrize("size", [1, 2, 3, 255, 256, 257, 700])
async def test_whatever_range_is_asked_for(size: int) -> None:
    held = MemoryLog(TILES, [raw_parts(b"entry %d" % i) for i in range(size)])
    reader = CheckedReader(held, TILES, size, held.root())
    ranges = {(0, size), (size - 1, size), (size // 2, size), (0, 1), (size // 3, size // 2 + 1)}
    for start, end in ranges:
        assert await reader.entries(start, end, size) == held.rows[start:end]


@pytest.mark.parametrize("index", [0, 1, 130, 255, 256, 400, 511, 512, 598, 599])
async def test_one_byte_anywhere_is_noticed(index: int) -> None:
    held = MemoryLog(X509, certificates(600))
    reader = CheckedReader(held, X509, 600, held.root())
    row = bytearray(held.rows[index])
    row[20] ^= 1
    held.rows[index] = bytes(row)
    with pytest.raises(LogError):
        await reader.entries(index, index + 1, 600)


async def test_a_larger_tree_serves_the_smaller() -> None:
    held = MemoryLog(TILES, [raw_parts(b"entry %d" % i) for i in range(300)])
    root = MemoryLog(TILES, [raw_parts(b"entry %d" % i) for i in range(270)]).root()
    assert await CheckedReader(held, TILES, 270, root).entries(260, 270, 270) == held.rows[260:270]
    with pytest.raises(LogError):
        await CheckedReader(held, TILES, 270, held.root()).entries(260, 270, 270)
