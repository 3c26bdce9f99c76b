"""How much room there is, and what a node says when nobody can tell."""

from pathlib import Path

import pytest

from log.errors import Unavailable
from log.node.disk import LOOK_MS, Disk, Footprint
from tests.support.engine import FakeClock


def test_a_file_system_that_cannot_be_asked_has_no_room(tmp_path: Path) -> None:
    clock, folder = FakeClock(), tmp_path / "data"
    folder.mkdir()
    disk = Disk(folder, 1, clock)
    disk.check()
    folder.rmdir()
    disk.check()  # as it was within the last second
    clock.advance(LOOK_MS)
    with pytest.raises(Unavailable) as refused:
        disk.check()
    assert refused.value.reason == "disk"
    assert disk.free_bytes() == 0
    folder.mkdir()
    clock.advance(LOOK_MS)
    disk.check()


async def test_stores_that_cannot_be_listed_are_left_out_of_what_is_used(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "000001.log").write_bytes(bytes(5))
    (tmp_path / "heads.sqlite").write_bytes(bytes(7))
    (tmp_path / "heads.sqlite-wal").write_bytes(bytes(8))
    stores = {
        ("", "heads"): tmp_path / "heads.sqlite",
        ("x509", "data"): tmp_path / "data",
        ("x509", "index"): tmp_path / "gone" / "index",
    }
    used = await Footprint(lambda _: stores).used_bytes(["x509"])
    assert used == {("", "heads"): 15, ("x509", "data"): 5}
