"""Tessera's mirror copies a log of a node as a tlog-tiles log, and what it wrote is what the node serves."""

from pathlib import Path

import pytest

from log.formats.checkpoint import parse_signed
from tests.support.foreign import foreign
from tests.support.go_tools import run, tool

COUNT = 300  # a full tile and a partial one, of hashes and of entries
TILES = ("tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/000", "tile/entries/001.p/44")


@pytest.mark.parametrize("family", ["x509", "tlog-tiles"])
async def test_a_mirror_of_a_log_is_that_log(tmp_path: Path, family: str) -> None:
    mirror = tool("tessera-mirror")
    async with foreign(tmp_path) as node:
        await node.fill(COUNT)
        await node.add(COUNT)
        copy = node.home / "copy"
        code, said = await run(node.home, mirror, "-source_url", f"{node.url}/{family}/", "-storage_dir", str(copy))
        assert code == 0, said
        _, checkpoint = parse_signed((copy / "checkpoint").read_bytes())
        assert (checkpoint.origin.rpartition("/")[2], checkpoint.size) == (family, COUNT)
        for path in TILES:
            served = await node.http.get(f"{node.url}/{family}/{path}")
            assert (copy / path).read_bytes() == served.content, path
