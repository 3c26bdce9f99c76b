"""What a node writes into its own governance log: genesis once, anchors of heads (design.md section 3)."""

import asyncio

from log.client.audit import audit
from log.crypto.notes import open_note
from log.formats.event import Entry
from log.formats.names import EntryType
from tests.support.engine import ORIGIN, until
from tests.support.side import Side


async def governed(side: Side, at_least: int) -> list[Entry]:
    """Wait until the governance log has so many entries and return them all."""
    hosted = side.running.logs["governance"]
    await until(lambda: side.x509.sequencer.counts.beats)  # its own, the first; the next is far away
    async with asyncio.timeout(90):
        while hosted.size < at_least:
            side.clock.advance(1)
            await side.x509.sequencer._committer.heartbeat()
            await asyncio.sleep(0)
    await audit(hosted, hosted.family, hosted.identity.vkeys)
    return [Entry.parse(row) for row in await hosted.entries(0, hosted.size, hosted.size)]


async def test_genesis_is_written_once_however_often_the_node_starts() -> None:
    side = Side(governed=True, guards=())
    await side.create()
    for _ in range(3):
        await side.start()
        entries = await governed(side, 2)
        kinds = [entry.entry_type for entry in entries]
        assert kinds[0] is EntryType.GENESIS
        assert kinds.count(EntryType.GENESIS) == 1
        assert entries[0].genesis() == {"node": "hk"}
        await side.crash()


async def test_an_anchor_holds_another_logs_head_as_it_was_signed() -> None:
    side = Side(governed=True, guards=())
    await side.create()
    await side.start()
    await side.submit(1)
    entries = await governed(side, 4)
    anchors = [entry for entry in entries if entry.entry_type is EntryType.CHECKPOINT_ANCHOR]
    assert anchors
    for entry in anchors:
        note, checkpoint = entry.anchored()
        assert checkpoint.origin == ORIGIN
        open_note(note.encode(), side.x509.identity.vkeys)
        side.record.see(note.encode())
    await side.crash()


async def test_genesis_waits_for_the_guard() -> None:
    side = Side(governed=True)
    await side.create()
    await side.start()
    for _ in range(50):
        await asyncio.sleep(0)
    assert side.running.logs["governance"].size == 0
    assert side.running.failure is None
    await side.crash()


async def test_a_governance_task_that_fails_ends_the_node() -> None:
    class Broken(Side):
        async def anchors(self) -> list[bytes]:
            raise ZeroDivisionError

    side = Broken(governed=True, guards=())
    await side.create()
    node = await side.start()
    async with asyncio.timeout(90):
        await node.ended()
    assert node.failure is not None
    await side.crash()
