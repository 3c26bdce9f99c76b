"""Heads that come when our tree has passed them: settled by our copy, held against the leaves, kept within bounds."""

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from log.evidence.check import Pinned, check
from log.evidence.heads import Head, Kind, contradiction, read_head
from log.formats.identity import Identity
from log.formats.note import KeyType, Note, Signature
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


async def test_beyond_so_many_a_day_the_earliest_and_latest_of_a_tree_stand_for_the_others(late: Late) -> None:
    """And every tree that is new is kept."""
    late.write("", "pollination_kept = 3\nsender_rate = 1000\n")
    await late.round()
    notes = [await late.old(size) for size in (10, 20, 30, 40)]
    told = await late.bring(*notes)
    assert (late.brought(), told["evidence"]) == (notes, [])
    assert base64.b64encode(late.x509.note).decode() in told["notes"], "the newest is told of, whatever was brought"
    signed_ms = HEADS_MS + 20 * 1_000
    for moved in (100, 50, 300, 200, -300, -100, -400, 400):
        await late.bring(await late.old(20, signed_ms + moved))
    assert late.brought() == notes
    assert spares(late) == {(20, signed_ms - 400), (20, signed_ms + 400)}
    late.monitor.world.time_ms += DAY_MS
    await late.bring(again := await late.old(20, signed_ms + 100))
    assert late.brought() == [*notes, again]


def spares(late: Late) -> set[tuple[int, int]]:
    """Return (size, time) of all heads that are not among the observations, by their 0x05 line."""
    query = "SELECT size, time_ms FROM spare WHERE type = 5"
    with late.store._reading() as database:
        return set(database.execute(query))


HEADS = (KeyType.TREE_HEAD, KeyType.COSIGNATURE)


@given(st.permutations(range(9)), st.data())
def test_what_a_head_between_two_others_of_its_tree_contradicts_one_of_these_does(order: list[int], data: Any) -> None:
    """The reason why such a one need not be kept, for both types of signed times."""
    kinds = data.draw(st.sampled_from([(KeyType.TREE_HEAD,), (KeyType.COSIGNATURE,), HEADS]))
    ours, theirs = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    times = sorted(order[:3])

    def head(size: int, time: int) -> Head:
        return Head("o", size, bytes([size]), tuple((kind, time) for kind in kinds), b"", b"")

    first, between, last = (head(ours, time) for time in times)
    other = head(theirs, data.draw(st.integers(-1, 10)))
    if contradiction(between, other) is not None:
        assert contradiction(first, other) is not None or contradiction(last, other) is not None


async def test_a_head_that_is_not_among_the_observations_is_evidence_as_soon_as_one_contradicts_it(late: Late) -> None:
    """Whoever brings that one: here the log serves it itself."""
    late.write("", "pollination_kept = 1\n")
    await late.round()
    await late.bring(await late.old(10))
    await late.bring(await late.old(20))
    latest = await late.old(20, HEADS_MS + 500_000)
    await late.bring(latest)
    assert latest not in late.brought()
    assert late.proven() == []
    larger = await late.old(200, HEADS_MS + 400_000)
    head, opened = read_head(larger, late.x509.origin, late.x509.vkeys)
    assert opened.verified
    watch = late.monitor.watch(late.x509)
    await watch._ledger.take(watch.log, head.raw, "log")
    assert late.proven() == [Kind.ROLLBACK]
    assert latest in late.brought()


@pytest.mark.parametrize("between", ["its check and its keeping", "the other's check and its keeping", "a crash"])
async def test_one_that_comes_by_another_way_while_it_is_let_go_is_compared_with_it(
    late: Late, between: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    late.write("", "pollination_kept = 1\n")
    await late.round()
    await late.bring(await late.old(10), await late.old(20))
    let_go, larger = await late.old(20, HEADS_MS + 500_000), await late.old(200, HEADS_MS + 400_000)
    watch = late.monitor.watch(late.x509)
    head, other = (read_head(note, late.x509.origin, late.x509.vkeys)[0] for note in (let_go, larger))
    is_earliest, observe = late.store.is_earliest, late.store.observe

    def other_first(asked: Head) -> bool:
        """The log shows the other head when this one was compared already."""
        if asked == head:
            watch._ledger._take(watch.log, other, "log")
        return is_earliest(asked)

    def this_first(kept: Head, source: str, now_ms: int, *, timed: bool = True) -> bool:
        """It is kept when the other one was compared with all that was let go already."""
        if kept == other:
            late.store.keep_spare(head, now_ms)
        return observe(kept, source, now_ms, timed=timed)

    if between == "its check and its keeping":
        monkeypatch.setattr(late.store, "is_earliest", other_first)
        await late.bring(let_go)
    else:
        monkeypatch.setattr(late.store, "observe", this_first)
        if between == "a crash":
            late.store.observe(other, "log", 1)
            await watch._ledger.resume(watch.log)
        else:
            await watch._ledger.take(watch.log, larger, "log")
    assert late.proven() == [Kind.ROLLBACK]
    assert let_go in late.brought()


async def test_what_witnesses_cosigned_is_kept_of_every_head_that_is_brought(late: Late) -> None:
    late.write("", "pollination_kept = 1\n")
    await late.round()
    witness = late.monitor.world.gd.witness
    await late.bring(await late.old(10), await late.old(20))
    note = await late.old(20, HEADS_MS + 20_100)
    line = await witness.cosign(note)
    cosigned = Note.parse(note)
    await late.bring(cosigned.with_signatures([*cosigned.signatures, line]).encode())
    assert len(late.brought()) == 2
    fork = await late.x509.branch(9, 11)
    line = await witness.cosign(fork.note)
    cosigned = Note.parse(fork.note)
    wrong = Signature(line.name, line.key_id, line.data[:-1] + bytes([line.data[-1] ^ 1]))
    await late.bring(cosigned.with_signatures([*cosigned.signatures, wrong]).encode())
    name = witness.signer.vkey.encode()
    origin = late.x509.origin
    assert [each.size for who, each, _ in late.store.vouchings(origin) if who == name] == [300]
    await late.bring(cosigned.with_signatures([*cosigned.signatures, line]).encode())
    assert [each.size for who, each, _ in late.store.vouchings(origin) if who == name] == [20, 300]


async def test_what_contradicts_is_compared_and_kept_whatever_the_day_has_brought(late: Late) -> None:
    late.write("", "pollination_kept = 1\n")
    await late.round()
    first, other_root = await late.old(10), await late.x509.branch(11, 3)
    await late.bring(first, await late.old(12), await late.old(12, HEADS_MS + 12_100))
    assert late.brought() == [first, await late.old(12)]

    later_and_smaller = await late.old(9, HEADS_MS + 11_500)
    await late.bring(later_and_smaller)
    assert (late.brought()[2:], late.proven()) == ([later_and_smaller], [Kind.ROLLBACK])

    await late.bring(await other_root.sign(time_ms=HEADS_MS + 14_000))
    assert late.brought()[3:] == [other_root.note]
    await late.bring(lie := await late.old(200, LEAVES_MS + 150))
    await late.round()
    assert late.brought()[4:] == [await late.old(12, HEADS_MS + 12_100), lie], "and what the last one contradicts"
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


async def test_without_copies_the_earliest_is_kept_as_any_other(monitor: Monitor, tmp_path: Path) -> None:
    late = Late(monitor, tmp_path / "copies")
    late.write("", "pollination_kept = 1\n")
    await monitor.once()
    notes = [await late.old(10, HEADS_MS - moved) for moved in range(6)]  # a leaf may be later than each of them
    await late.bring(*notes)
    assert late.brought() == notes
