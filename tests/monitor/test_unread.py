"""A log whose entries are not for us: followed by its hash tiles alone, held to all that signatures and hashes show."""

import pytest

from log.errors import SettingsError
from log.evidence.heads import Kind
from monitor import status
from monitor.limits import Limits
from monitor.outcome import Outcome
from tests.monitor.conftest import Monitor
from tests.monitor.honest import grow, healthy
from tests.monitor.test_charges import Mirror, evidence, judge
from tests.support.hostile import Reply
from tests.support.lying_log import Fault, LyingLog

FORBIDDEN = Reply(403, ((b"content-type", b"text/plain"),), b"Forbidden\nhome-only\n")


def shut(followed: LyingLog) -> None:
    """Let a log show its entries to nobody."""
    followed.reply = lambda path: FORBIDDEN if path.startswith("tile/data/") else None


@pytest.fixture
def unread(monitor: Monitor) -> Monitor:
    """A monitor for which the entries of one log are not."""
    followed = monitor.world.hk_x509
    shut(followed)
    monitor.path.write_text(f'unread = ["{followed.origin}"]\n{monitor.path.read_text()}')
    return monitor


def asked(monitor: Monitor) -> set[str]:
    """Return what kinds of tiles of that log were asked for."""
    return {seen.split("/")[3] for seen in monitor.world.hk.seen if seen.startswith("GET /x509/tile/")}


async def test_it_is_followed_cosigned_and_fed_by_its_hash_tiles(unread: Monitor) -> None:
    followed = unread.world.hk_x509
    for count in (7, 900, 0):
        await healthy(unread)
        assert max(unread.cosigned(followed)) == (followed.size, followed.root_at(followed.size))
        assert followed.witnessed is not None
        await grow(followed, count)
    assert "data" not in asked(unread)
    assert unread.store is not None
    lines = list(status.sentences(unread.store, unread.crew.logs, Limits(), unread.world.time_ms))
    assert [line.partition(":")[0] for line in lines if "entries not seen here" in line] == [followed.origin]
    assert "judged" not in lines[0]
    assert unread.assembled is not None
    while await unread.assembled.judging.pass_over(unread.assembled.to_judge()):
        pass
    assert unread.store.judged(followed.origin).size == 0
    assert unread.store.judged(unread.world.gd_x509.origin).size == unread.world.gd_x509.size
    assert "data" not in asked(unread)


async def test_one_that_withholds_its_entries_without_our_word_is_not_verified(monitor: Monitor) -> None:
    followed = monitor.world.hk_x509
    await healthy(monitor)
    held = monitor.held(followed)
    await grow(followed)
    shut(followed)
    outcome, _ = await monitor.once()
    assert outcome is not Outcome.VOUCHED
    assert monitor.held(followed) == held


async def test_it_is_read_a_stretch_at_a_time_too(unread: Monitor) -> None:
    followed = unread.world.hk_x509
    await healthy(unread)
    unread.path.write_text(unread.path.read_text().replace("[limits]\n", "[limits]\nlook_entries = 512\n"))
    await grow(followed, 3_000)
    await healthy(unread)
    assert max(unread.cosigned(followed)) == (3_300, followed.root_at(3_300))


@pytest.mark.parametrize(("more", "kind"), [(100, Kind.SAME_SIZE), (150, Kind.CROSS_SIZE), (50, Kind.CROSS_SIZE)])
async def test_its_forks_are_proven(unread: Monitor, more: int, kind: Kind) -> None:
    followed = unread.world.hk_x509
    await healthy(unread)
    held = unread.held(followed)
    fork = await followed.branch(200, more)
    fork.reply = followed.reply
    unread.world.hk.logs["x509"] = fork
    unread.further = lambda origin: [Mirror(followed)] if origin == followed.origin else []
    outcome, _ = await unread.once()
    assert outcome is Outcome.PROVEN
    [found] = evidence(unread, followed.origin, kind)
    assert judge(unread, found).proven
    assert unread.held(followed) == held


async def test_hash_tiles_that_do_not_lead_to_the_root_move_nothing_and_are_kept(unread: Monitor) -> None:
    followed = unread.world.hk_x509
    await healthy(unread)
    held = unread.held(followed)
    await grow(followed)
    followed.fault = Fault.HASH_FLIP
    outcome, _ = await unread.once()
    assert outcome is Outcome.UNVERIFIED
    assert unread.held(followed) == held
    [found, *_] = evidence(unread, followed.origin, Kind.UNREPRODUCIBLE)
    verdict = judge(unread, found)
    assert not verdict.proven
    assert " at tile/0/" in verdict.text
    assert "data" not in asked(unread)
    followed.fault = None
    await unread.once()
    assert unread.held(followed) != held


def flipped(answer: bytes | None) -> bytes | None:
    return None if answer is None else answer[:40] + bytes([answer[40] ^ 1]) + answer[41:]


@pytest.mark.parametrize(
    ("spoilt", "place"),
    [
        ("tile/0/002", "tile/0/002"),
        ("tile/0/003.p/232", "tile/0/003.p/232 + tile/1/000.p/3"),  # which of the edge it is nothing tells
    ],
)
@pytest.mark.parametrize("lost", [False, True])
async def test_the_hash_tile_that_is_shown_is_the_one_that_does_not_fit(
    unread: Monitor, spoilt: str, place: str, lost: bool
) -> None:
    followed = unread.world.hk_x509
    await healthy(unread)
    await grow(followed, 700)
    followed.alter = lambda path, answer: (None if lost else flipped(answer)) if path == spoilt else answer
    outcome, _ = await unread.once()
    assert outcome is Outcome.UNVERIFIED
    [found] = evidence(unread, followed.origin, Kind.UNREPRODUCIBLE)
    assert f" at {spoilt if lost else place} " in judge(unread, found).text


async def test_one_that_is_right_when_it_is_read_again_is_shown_to_nobody(unread: Monitor) -> None:
    followed = unread.world.hk_x509
    await healthy(unread)
    await grow(followed, 700)
    asked_for: list[str] = []

    def once_wrong(path: str, answer: bytes | None) -> bytes | None:
        asked_for.append(path)
        return flipped(answer) if path == "tile/0/002" and asked_for.count(path) == 1 else answer

    followed.alter = once_wrong
    outcome, findings = await unread.once()
    assert outcome is Outcome.UNVERIFIED
    assert asked_for.count("tile/0/002") > 1
    assert [each.evidence for each in findings if each.code == "data"] == [""]
    assert evidence(unread, followed.origin, Kind.UNREPRODUCIBLE) == []
    await healthy(unread)


async def test_a_log_that_nobody_follows_cannot_be_one(monitor: Monitor) -> None:
    monitor.path.write_text(f'unread = ["hk.example/x5O9"]\n{monitor.path.read_text()}')
    with pytest.raises(SettingsError, match=r"hk\.example/x5O9 is a log that is not followed"):
        monitor.start()
