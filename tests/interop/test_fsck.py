"""The checkers of Tessera and TesseraCT pass every log of a node, and find one flipped byte; so does certspotter.

Tessera's reads tlog-tiles (of a log of certificates: the entry view), TesseraCT's static-ct with its issuers. Both
end with 0 whatever they found, so what they say counts; and with more workers than tiles, for one that has found an
error takes no more work, and whoever has some for it then waits for ever.
"""

from pathlib import Path

from log.storage.leveldb import LevelData
from tests.bench.node import HOST
from tests.interop.test_certspotter import Certspotter
from tests.support.foreign import FAMILIES, Foreign, foreign
from tests.support.go_tools import run, tool

FOUND_WHOLE = "Successfully fsck'd log with size"
HOW = ("-ui=false", "-N", "8")


async def tessera(node: Foreign, family: str) -> str:
    """Check a log as tlog-tiles; return what it says."""
    vkey = node.write(f"{family}.vkey", node.vkey(family))
    url = f"{node.url}/{family}/"
    words = ["-public_key", str(vkey), "-storage_url", url]
    _, said = await run(node.home, tool("tessera-fsck"), *HOW, *words)
    return said


async def tesseract(node: Foreign) -> str:
    """Check the log of certificates as static-ct; return what it says."""
    words = ["-origin", f"{HOST}/x509", "-public_key", await node.key(), "-monitoring_url", f"{node.url}/x509/"]
    _, said = await run(node.home, tool("tesseract-fsck"), *HOW, *words)
    return said


async def filled(node: Foreign) -> None:
    """Fill the logs beyond a full tile."""
    await node.fill(300)
    await node.add(300)


async def test_every_log_of_a_node_is_found_whole(tmp_path: Path) -> None:
    for name in ("tessera-fsck", "tesseract-fsck"):
        tool(name)
    async with foreign(tmp_path) as node:
        await filled(node)
        for family in FAMILIES:
            assert f"{FOUND_WHOLE} {1 if family == 'governance' else 300} " in await tessera(node, family)
        said = await tesseract(node)
        assert f"{FOUND_WHOLE} 300 " in said
        assert "Couldn't fetch issuer" not in said


async def test_one_flipped_byte_is_found_by_everybody(tmp_path: Path) -> None:
    """In the middle of an entry under a full tile, where the node itself does not look when it starts."""
    for name in ("tessera-fsck", "tesseract-fsck", "certspotter"):
        tool(name)
    async with foreign(tmp_path) as node:
        await filled(node)
        await node.stop()
        for family in ("x509", "tlog-tiles"):
            await flip(node, family, 17)
        await node.start()
        for family in ("x509", "tlog-tiles"):
            said = await tessera(node, family)
            assert "fsck failed" in said
            assert FOUND_WHOLE not in said
        assert FOUND_WHOLE in await tessera(node, "governance")
        assert FOUND_WHOLE not in await tesseract(node)
        spotter = Certspotter(node, await node.log_list(tiled=False))
        await spotter.complains("does not match the entries returned by the log")


async def flip(node: Foreign, family: str, index: int) -> None:
    """Change one bit in the middle of an entry of a stopped node."""
    path = node.node.settings.data_dir / family / "data"
    store = LevelData(path)
    try:
        (row,) = await store.entries(index, index + 1)
        at = len(row) // 2
        flipped = row[:at] + bytes([row[at] ^ 1]) + row[at + 1 :]
        await store._db.write([(b"e" + index.to_bytes(8), flipped)], sync=True)
        assert await store.entries(index, index + 1) == [flipped]
    finally:
        await store.close()
