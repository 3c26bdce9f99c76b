"""Heads that come when our tree has passed them: settled by our copy, held against the leaves, kept within bounds."""

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from log.evidence.check import Pinned, check
from log.evidence.heads import Kind, read_head
from log.formats.identity import Identity
from monitor.outcome import Outcome
from monitor.store import Store
from tests.monitor.conftest import Monitor
from tests.monitor.test_charges import append
from tests.monitor.test_copy import Copying

POLLINATION = "/.well-known/ct/v1/sth-pollination"
LEAVES_MS = 1_700_000_000_000  # of the first leaf; each further one is a millisecond later
HEADS_MS = 1_750_000_000_000  # after all leaves, before all heads that the log serves
DAY_MS = 86_400_000


class Late(Copying):
    """A monitor with copies, to which relying parties bring heads."""

    async def old(self, size: int, time_ms: int | None = None) -> bytes:
        """Return a head over the first entries, signed so that nothing contradicts it unless another time is given."""
        prefix = await self.x509.branch(size, 0)
        return await prefix.sign(time_ms=HEADS_MS + size * 1_000 if time_ms is None else time_ms)

    async def bring(self, *notes: bytes) -> dict[str, Any]:
        transport = httpx.ASGITransport(self.monitor.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://m") as client:
            found = await client.post(POLLINATION, json={"notes": [base64.b64encode(each).decode() for each in notes]})
        assert found.status_code == 200, found.text
        told: dict[str, Any] = found.json()
        return told

    @property
    def store(self) -> Store:
        assert self.monitor.store is not None
        return self.monitor.store

    def proven(self) -> list[Kind]:
        """Return the kinds of evidence against the log, each checked as a stranger does."""
        pinned = Pinned([Identity.make(self.x509.origin, self.x509.vkeys)])
        found = self.store.evidence(self.x509.origin)
        assert all(check(each.object, pinned).kind is each.kind for each in found)
        return [each.kind for each in found]

    def brought(self) -> list[bytes]:
        """Return what is kept of what was brought, in the order in which it came."""
        rows = self.store.observations(0, 10_000, 1 << 30)
        return [row.raw for row in rows if row.source == "pollination"]


@pytest.fixture
async def late(monitor: Monitor, tmp_path: Path) -> AsyncIterator[Late]:
    made = Late(monitor, tmp_path / "copies")
    yield made
    await made.stop()


async def test_an_old_head_over_a_later_leaf_is_evidence_whenever_it_comes(late: Late) -> None:
    """Of size 300 the latest leaf is known, below it the copy is read; the last leaf of 250 has the time 249."""
    assert await late.round() == set()
    await late.grow(7)
    assert await late.round() == set()
    lies = [await late.old(300, LEAVES_MS + 298), await late.old(250, LEAVES_MS + 248)]
    await late.bring(*lies)
    findings = await late.round()
    assert late.proven() == [Kind.TIME_LIE] * 2
    assert findings == {(Outcome.PROVEN, "time-lie", late.x509.origin)}
    assert late.store.unread(late.x509.origin, 1_000, 100) == []
    assert await late.round() == set(), "it is said once, and the log is followed on"


async def test_an_old_head_that_is_true_is_no_evidence_and_is_looked_at_once(late: Late) -> None:
    await late.round()
    await late.bring(*[await late.old(size) for size in (120, 250, 256, 300)], await late.old(1, LEAVES_MS))
    assert await late.round() == set()
    assert late.store.evidence(late.x509.origin) == []
    assert late.store.unread(late.x509.origin, 1_000, 100) == []


async def test_the_latest_leaf_is_known_at_sizes_between_two_looks(late: Late) -> None:
    """Of one head 64 entries are read, and the one that is later stands far before these."""
    late.write("", "late_entries = 64\n")
    append(late.x509, LEAVES_MS + 5_000)
    await late.grow(200)
    await late.round()
    await late.bring(await late.old(480, LEAVES_MS + 1_000))
    assert await late.round() == {(Outcome.PROVEN, "time-lie", late.x509.origin)}
    assert late.proven() == [Kind.TIME_LIE]


async def test_what_our_copy_settles_is_asked_of_nobody_and_blocks_no_signature(late: Late) -> None:
    late.write("", "open_heads = 4\n")
    await late.round()
    for size in range(1, 41):
        head = read_head(await late.old(size), late.x509.origin, late.x509.vkeys)[0]
        late.store.observe(head, "monitor two" if size % 2 else "a witness", 1)
    assert late.store.counts(late.x509.origin).open == 40
    await late.grow(3)
    late.monitor.world.hk.seen.clear()
    assert late.monitor.rounds is not None
    assert await late.monitor.rounds.once() == []
    assert late.store.counts(late.x509.origin).open == 0
    assert not [each for each in late.monitor.world.hk.seen if "/x509/tile/0/000" in each]  # where the heads end
    assert max(late.monitor.cosigned(late.x509)) == (303, late.x509.root_at(303))


async def test_what_is_brought_and_true_is_settled_at_once(late: Late) -> None:
    await late.round()
    await late.bring(*[await late.old(size) for size in range(1, 41)])
    assert late.store.counts(late.x509.origin).open == 0


async def test_of_what_adds_nothing_so_many_are_kept_a_day_and_the_last_one(late: Late) -> None:
    late.write("", "pollination_kept = 3\n")
    await late.round()
    notes = [await late.old(size) for size in range(10, 16)]
    told = await late.bring(*notes)
    assert (late.brought(), told["evidence"]) == (notes[:3], [])
    assert late.store.last_brought(late.x509.origin) == notes[-1]
    await late.bring(notes[3])
    assert (late.brought(), late.store.last_brought(late.x509.origin)) == (notes[:3], notes[3])
    assert base64.b64encode(late.x509.note).decode() in told["notes"], "the newest is told of, whatever was brought"
    late.monitor.world.time_ms += DAY_MS
    await late.bring(*notes)
    assert late.brought() == notes


async def test_what_contradicts_is_compared_and_kept_whatever_the_day_has_brought(late: Late) -> None:
    late.write("", "pollination_kept = 1\n")
    await late.round()
    first, other_root = await late.old(10), await late.x509.branch(11, 3)
    await late.bring(first, await late.old(12))
    assert late.brought() == [first]

    later_and_smaller = await late.old(9, HEADS_MS + 11_500)
    await late.bring(later_and_smaller)
    assert (late.brought()[1:], late.proven()) == ([later_and_smaller], [Kind.ROLLBACK])

    await late.bring(await other_root.sign(time_ms=HEADS_MS + 14_000))
    assert late.brought()[2:] == [other_root.note]
    await late.bring(lie := await late.old(200, LEAVES_MS + 150))
    await late.round()
    assert late.brought()[3:] == [lie]
    assert set(late.proven()) == {Kind.CROSS_SIZE, Kind.ROLLBACK, Kind.TIME_LIE}


@pytest.mark.parametrize("at_once", [False, True])
async def test_two_that_contradict_each_other_alone_are_both_kept(late: Late, at_once: bool) -> None:
    late.write("", "pollination_kept = 1\n")
    await late.round()
    first = await late.old(10)
    one, two = await late.old(21, HEADS_MS + 20_000), await late.old(20, HEADS_MS + 21_000)
    await late.bring(first)
    if at_once:
        await asyncio.gather(late.bring(one), late.bring(two))
    else:
        await late.bring(one, two)
    assert sorted(late.brought()) == sorted([first, one, two])
    assert late.proven() == [Kind.ROLLBACK]


async def test_what_cannot_be_compared_yet_is_kept(late: Late) -> None:
    late.write("", "pollination_kept = 1\n")
    await late.round()
    await late.grow(9)
    larger = late.x509.note
    await late.bring(await late.old(10), larger)
    assert late.brought()[1:] == [larger]


async def test_without_copies_nothing_is_dropped(monitor: Monitor, tmp_path: Path) -> None:
    late = Late(monitor, tmp_path / "copies")
    late.write("", "pollination_kept = 1\n")
    await monitor.once()
    notes = [await late.old(size) for size in range(10, 16)]
    await late.bring(*notes)
    assert late.brought() == notes
