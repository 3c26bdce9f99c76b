"""Hash tiles that are not those of the tree: which are read, when, and how long they are told of."""

import pytest

from log.evidence.heads import Kind
from log.evidence.objects import identify
from log.evidence.served import unreproducible
from log.formats.checkpoint import parse_signed
from monitor.alert import Class
from monitor.outcome import HASHES, HASHES_LOST, Outcome
from monitor.store import Evidence
from tests.monitor.conftest import Monitor
from tests.monitor.honest import grow, healthy


def flip(monitor: Monitor, begin: str) -> None:
    def changed(path: str, answer: bytes | None) -> bytes | None:
        if answer is None or not path.startswith(begin):
            return answer
        return answer[:9] + bytes([answer[9] ^ 1]) + answer[10:]

    monitor.world.hk_x509.alter = changed


async def wrong(monitor: Monitor) -> list[str]:
    """One round of a new process; return what it says of hash tiles."""
    outcome, findings = await monitor.once()
    said = [each.text for each in findings if each.code == HASHES]
    assert len(said) == len(findings)
    assert outcome is (Outcome.UNVERIFIED if said else Outcome.VOUCHED)
    return said


@pytest.mark.parametrize("place", ["tile/0/000", "tile/0/001", "tile/0/002.p/88", "tile/1/000.p/2"])
async def test_a_wrong_tile_is_told_of_until_it_is_right(monitor: Monitor, place: str) -> None:
    followed = monitor.world.hk_x509
    await grow(followed, 300)
    await healthy(monitor)
    flip(monitor, place)
    for _ in range(2):
        assert await wrong(monitor) == [f"serves {place} otherwise than its entries have it"]
    assert monitor.store is not None
    assert len(monitor.store.evidence(followed.origin)) == 1, "one object, however often it is read"
    await grow(followed, 1)
    shown = await wrong(monitor)
    assert followed.witnessed is not None
    assert parse_signed(followed.witnessed)[1].size == followed.size, "our own hashes are used"
    if "p" not in place:
        assert len(shown) == 1
    monitor.world.hk_x509.alter = lambda _, answer: answer
    assert await wrong(monitor) == []


async def test_full_tiles_are_read_some_at_a_time(monitor: Monitor) -> None:
    followed = monitor.world.hk_x509
    monitor.path.write_text(monitor.path.read_text() + "hash_tiles = 1\n")
    await grow(followed, 500)
    flip(monitor, "tile/0/002")
    monitor.start()
    assert monitor.rounds is not None
    seen = []
    for _ in range(3):
        monitor.world.time_ms += 1_000
        seen.append(HASHES in {each.code for each in await monitor.rounds.once()})
    assert seen == [False, False, True]
    assert monitor.world.hk.seen.count("GET /x509/tile/0/000") == 1


async def test_hash_tiles_of_another_tree_are_a_matter_of_its_head(monitor: Monitor) -> None:
    honest = monitor.world.hk_x509
    await healthy(monitor)
    monitor.stop()
    monitor.start()
    watch = monitor.watch(honest)
    assert await watch.look() == []
    monitor.world.hk.logs["x509"] = await honest.branch(100, 200)
    for _ in range(2):
        assert await watch.audit_again() == [], "it has gone over to another tree: the next look says so"
    assert Outcome.PROVEN in {each.outcome for each in await watch.look()}
    assert await watch.audit_again() == []


@pytest.mark.parametrize("spoilt", [None, b"", b"half"], ids=["not there", "empty", "cut off"])
@pytest.mark.parametrize("times", [1, 3])
async def test_a_tile_that_is_lost_on_the_way_once_is_no_alert(
    monitor: Monitor, spoilt: bytes | None, times: int
) -> None:
    followed = monitor.world.hk_x509
    await healthy(monitor)
    monitor.stop()
    monitor.start()
    assert monitor.rounds is not None
    assert monitor.store is not None
    followed.alter = lambda path, answer: spoilt if path == "tile/0/000" else answer
    for time in range(times):
        monitor.world.time_ms += 1_000
        assert {each.code for each in await monitor.rounds.once()} == {HASHES_LOST}
        assert len(monitor.store.evidence(followed.origin)) == min(time, 1)
    told = [(kept.alert.code, kept.alert.cls) for kept in monitor.store.alerts(lasting=True)]
    assert told == ([(HASHES_LOST, Class.SUSPECTED)] if times == 3 else [])
    followed.alter = lambda _, answer: answer
    monitor.world.time_ms += 1_000
    assert await monitor.rounds.once() == []
    assert monitor.store.alerts(lasting=True) == []


@pytest.mark.parametrize("place", ["tile/0/001", "tile/0/001 + tile/1/000.p/2", "tile/0/001 + tile/1/0"])  # cut off
async def test_every_tile_on_record_is_read_again(monitor: Monitor, place: str) -> None:
    followed = monitor.world.hk_x509
    monitor.path.write_text(monitor.path.read_text() + "hash_tiles = 1\n")
    await grow(followed, 300)
    await healthy(monitor)
    assert monitor.store is not None
    verified = monitor.store.verified(followed.origin)
    assert verified is not None
    made = unreproducible(followed.origin, followed.vkeys, verified.head, place, b"", ["here"])
    kept = Evidence(identify(made), Kind.UNREPRODUCIBLE, followed.origin, made, 1)
    assert monitor.store.charge(kept, place, 9)
    monitor.world.hk.seen.clear()
    await healthy(monitor)
    assert "GET /x509/tile/0/001" in monitor.world.hk.seen
