"""A log that is longer than one look takes in: a stretch at a time, nothing skipped, others seen meanwhile."""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from log.crypto.notes import sign_note
from log.evidence.heads import Kind
from log.formats.checkpoint import Checkpoint
from log.formats.family import GOVERNANCE
from log.merkle.hashing import leaf_hash, node_hash
from log.merkle.tiles import TILE_WIDTH, Edge, parse_numbered
from monitor import status
from monitor.limits import Limits
from monitor.loops import Stop
from monitor.outcome import BEHIND, Finding, Outcome
from monitor.store import AGREED, CONVICTED, REFUTED, Halfway
from tests.monitor.conftest import Monitor
from tests.monitor.honest import grow, healthy
from tests.monitor.test_belated import Late
from tests.monitor.test_charges import append, evidence, judge
from tests.monitor.test_sources import Elsewhere, name
from tests.support.hostile import Reply
from tests.support.lying_log import Fault, LyingLog

LOOK = 512  # entries
BOUNDS = f"look_entries = {LOOK}\nchunk_entries = 256\nround_looks = 1\n"


async def stops(monitor: Monitor, followed: LyingLog) -> Finding:
    """Go round once: every log is fine, but this one is longer than a look."""
    outcome, findings = await monitor.once()
    assert outcome is Outcome.UNREACHED
    assert {each.code for each in findings if each.subject == followed.origin} <= {BEHIND, "unreconciled"}
    [found] = [each for each in findings if each.code == BEHIND]
    return found


def halfway(monitor: Monitor, followed: LyingLog) -> Halfway | None:
    assert monitor.store is not None
    return monitor.store.halfway(followed.origin)


def state(monitor: Monitor, followed: LyingLog, size: int) -> str | None:
    assert monitor.store is not None
    return monitor.store.state(followed.origin, size, followed.root_at(size))


async def bound(monitor: Monitor) -> Monitor:
    """Let everything be verified as it is, and few entries be taken in from then on in one look."""
    await healthy(monitor)
    monitor.path.write_text(monitor.path.read_text().replace("[limits]\n", f"[limits]\n{BOUNDS}"))
    return monitor


@pytest.fixture
async def bounded(monitor: Monitor) -> Monitor:
    return await bound(monitor)


async def test_the_next_look_goes_on_where_one_stopped_and_others_are_seen_meanwhile(bounded: Monitor) -> None:
    """Each round is a process of its own (where one stopped outlives it), and looks twice at what is behind."""
    world, followed = bounded.world, bounded.world.hk_x509
    held = bounded.held(followed)
    await grow(followed, 2_000)
    world.hk.seen.clear()
    for read in (1_280, 2_304):
        await grow(world.gd_x509)
        found = await stops(bounded, followed)
        assert found.text.startswith(f"read up to entry {read} of {followed.size}:")
        kept = halfway(bounded, followed)
        assert kept is not None
        assert (kept.begun, kept.size, kept.goal) == (300, read, followed.size)
        assert bounded.held(followed) == held
        assert max(bounded.cosigned(world.gd_x509)) == (world.gd_x509.size, world.gd_x509.root_at(world.gd_x509.size))
        await grow(followed, 100)
    assert bounded.store is not None
    lines = list(status.sentences(bounded.store, bounded.crew.logs, Limits(), world.time_ms))
    assert "verified up to 300 entries" in lines[0]
    assert "read on to 2,304 of 2,400 entries" in lines[0]
    assert await bounded.once() == (Outcome.VOUCHED, [])
    assert max(bounded.cosigned(followed)) == (2_500, followed.root_at(2_500))
    assert halfway(bounded, followed) is None
    paths = [seen.partition(f"/{followed.name}/tile/data/")[2] for seen in world.hk.seen]
    asked = Counter(parse_numbered(path)[0] for path in paths if path)
    assert asked == Counter(range(1, 10))  # every tile from entry 300 on, and none twice


async def test_one_round_looks_as_often_as_it_may(bounded: Monitor) -> None:
    bounded.path.write_text(bounded.path.read_text().replace("round_looks = 1\n", "round_looks = 64\n"))
    await grow(bounded.world.hk_x509, 10_000)
    await healthy(bounded)


async def test_a_tree_of_2_40_entries_that_are_all_true_holds_up_nobody(monitor: Monitor) -> None:
    """Its hash tiles are true too: all its entries are one, so each level has one hash."""
    followed = monitor.world.hk_governance
    row = followed.rows[-1]
    nodes = [leaf_hash(GOVERNANCE.leaf_input(row))]
    while len(nodes) <= 40:
        nodes.append(node_hash(nodes[-1], nodes[-1]))
    followed.rows, followed.leaves, followed._edge, followed._tiles = [], [], Edge(), []
    followed._append([row] * 300, [nodes[0]] * 300)
    await followed.sign()

    def answer(path: str, truth: bytes | None) -> bytes | None:
        match path.split("/"):
            case ["tile", "entries", *number]:
                return GOVERNANCE.join([row] * parse_numbered("/".join(number))[1])
            case ["tile", level, *number]:
                return nodes[8 * int(level)] * parse_numbered("/".join(number))[1]
        return truth

    followed.alter = answer
    await bound(monitor)
    monitor.world.time_ms += 1_000
    text = Checkpoint(followed.origin, 1 << 40, nodes[40]).encode()
    followed.note = (await sign_note(text, monitor.world.time_ms, followed.signers)).encode()
    followed.frozen = True
    held = monitor.held(followed)
    for looks in (2, 4):
        for other in (monitor.world.hk_x509, monitor.world.gd_x509):
            await grow(other)
        await stops(monitor, followed)
        kept = halfway(monitor, followed)
        assert kept is not None
        assert kept.size == TILE_WIDTH + looks * LOOK
        assert monitor.held(followed) == held
        for other in (monitor.world.hk_x509, monitor.world.gd_x509):
            assert max(monitor.cosigned(other)) == (other.size, other.root_at(other.size))
    assert monitor.store is not None
    assert monitor.store.evidence(followed.origin) == []


def without_hash_tiles(path: str, truth: bytes | None) -> bytes | None:
    return None if path.startswith("tile/") and path.split("/")[1].isdecimal() else truth


async def test_entries_that_are_not_the_trees_are_met_where_they_lie(bounded: Monitor) -> None:
    """Hash tiles tell at the first stop, though the tree goes on for long."""
    followed = bounded.world.hk_x509
    held = bounded.held(followed)
    await grow(followed, 2_000)
    followed.fault = Fault.FLIP
    outcome, findings = await bounded.once()
    assert outcome is Outcome.UNVERIFIED
    [found] = [each for each in findings if each.subject == followed.origin]
    assert found.code == "data"
    [shown] = evidence(bounded, followed.origin, Kind.UNREPRODUCIBLE)
    assert not judge(bounded, shown).proven
    assert found.evidence == shown.id.hex()
    assert halfway(bounded, followed) is None
    assert bounded.held(followed) == held
    followed.fault = None
    await stops(bounded, followed)
    await healthy(bounded)


async def test_without_hash_tiles_the_end_tells_and_nothing_false_is_gone_on_from(bounded: Monitor) -> None:
    followed = bounded.world.hk_x509
    held = bounded.held(followed)
    await grow(followed, 1_000)

    def spoiled(path: str, truth: bytes | None) -> bytes | None:
        if path.startswith("tile/data/002") and truth is not None:
            truth = truth[:20] + bytes([truth[20] ^ 1]) + truth[21:]
        return without_hash_tiles(path, truth)

    followed.alter = spoiled
    await stops(bounded, followed)  # two looks that take in what is false
    outcome, findings = await bounded.once()
    assert outcome is Outcome.UNVERIFIED
    assert "do not lead to the signed root of size 1300" in str(findings)
    assert halfway(bounded, followed) is None
    assert bounded.held(followed) == held
    followed.alter = without_hash_tiles
    for _ in range(2):
        await bounded.once()
    assert bounded.store is not None
    verified = bounded.store.verified(followed.origin)
    assert verified is not None
    assert (verified.head.size, verified.head.root) == (1_300, followed.root_at(1_300))


async def test_a_fork_behind_a_stop_moves_nothing(bounded: Monitor) -> None:
    """What was read on one branch is not gone on from on another, and the branches are proven."""
    world, truth = bounded.world, bounded.world.hk_x509
    held = bounded.held(truth)
    await grow(truth, 3_000)
    await stops(bounded, truth)
    fork = await truth.branch(400, 3_000)
    world.hk.logs["x509"] = fork
    outcome, _ = await bounded.once()
    assert outcome is Outcome.PROVEN
    [found] = evidence(bounded, truth.origin, Kind.CROSS_SIZE)
    assert judge(bounded, found).proven
    assert bounded.held(truth) == held
    way = halfway(bounded, truth)
    assert way is not None
    assert way.goal == fork.size, "the stop on the other branch is forgotten, and the way begins anew"
    world.time_ms += 1_000
    await truth.sign(time_ms=world.time_ms)
    world.hk.logs["x509"] = truth
    for _ in range(3):
        await bounded.once()
    assert bounded.store is not None
    verified = bounded.store.verified(truth.origin)
    assert verified is not None
    assert (verified.head.size, verified.head.root) == (truth.size, truth.root_at(truth.size))
    assert bounded.store.state(truth.origin, fork.size, fork.root_at(fork.size)) in {CONVICTED, REFUTED}


async def test_a_head_that_is_passed_is_settled_at_the_end(bounded: Monitor) -> None:
    """Without hash tiles, and without a copy: by the root that was ours when we passed it."""
    followed = bounded.world.hk_x509
    await grow(followed, 500)
    passed = followed.note
    await grow(followed, 1_500)
    followed.alter = without_hash_tiles
    bounded.stop()
    rounds = bounded.start()
    [watch] = [each for each in bounded.crew.watches if each.log.origin == followed.origin]
    await watch._ledger.take(watch.log, passed, "a witness")
    await rounds.once()
    assert state(bounded, followed, 800) not in {AGREED, None}
    assert halfway(bounded, followed) is not None
    await bounded.once()
    assert state(bounded, followed, 800) == AGREED


async def test_a_leaf_of_the_future_that_was_passed_convicts_the_head_at_the_end(bounded: Monitor) -> None:
    followed = bounded.world.hk_x509
    followed.add(100)
    append(followed, bounded.world.time_ms + 100_000)
    followed.add(1_500)
    await followed.sign()
    await stops(bounded, followed)
    assert evidence(bounded, followed.origin, Kind.TIME_LIE) == []
    outcome, _ = await bounded.once()
    assert outcome is Outcome.PROVEN
    [found] = evidence(bounded, followed.origin, Kind.TIME_LIE)
    assert judge(bounded, found).proven
    assert bounded.store is not None
    known = bounded.store.latest_leaf(followed.origin, 1_500)
    assert known is None or known.size <= 1_500
    assert max(bounded.cosigned(followed))[0] == 300


async def test_what_a_stop_belongs_to_goes_with_the_tree_that_was_verified(bounded: Monitor) -> None:
    """A smaller head that is verified meanwhile: the way begins there."""
    followed = bounded.world.hk_x509
    await grow(followed, 30)
    smaller = followed.note
    await grow(followed, 2_000)
    await stops(bounded, followed)
    followed.remembered, followed.fault = smaller, Fault.OLD_HEAD
    kept = halfway(bounded, followed)
    assert kept is not None
    await bounded.once()
    assert halfway(bounded, followed) is None
    assert bounded.store is not None
    bounded.store.keep_halfway(followed.origin, replace(kept, frontier=bytes(len(kept.frontier))), {}, {})
    verified = bounded.store.verified(followed.origin)
    assert verified is not None
    assert verified.head.size == 330
    followed.fault = None
    for _ in range(2):
        await stops(bounded, followed)
    await healthy(bounded)


@pytest.fixture
async def late(monitor: Monitor, tmp_path: Path) -> AsyncIterator[Late]:
    made = Late(monitor, tmp_path / "copies")
    yield made
    await made.stop()


async def test_the_copy_goes_on_too_and_serves_the_verified_tree_meanwhile(late: Late) -> None:
    """Over restarts: nothing is read again for it."""
    assert await late.round() == set()
    late.write("", BOUNDS)
    x509, world = late.x509, late.monitor.world
    before = x509.rows[:]
    await late.grow(3_000)
    world.hk.seen.clear()
    for _ in range(2):
        assert {code for _, code, _ in await late.round()} == {BEHIND}
        assert late.reader.size == 300
        assert await late.reader.entries(0, 300, 300) == before
    assert await late.round() == set()
    assert halfway(late.monitor, x509) is None
    await late.equals(x509)
    paths = [seen.partition(f"/{x509.name}/tile/data/")[2] for seen in world.hk.seen]
    asked = Counter(parse_numbered(path)[0] for path in paths if path)
    assert set(asked) == set(range(1, 13))
    assert max(asked.values()) == 1


async def test_late_heads_are_held_against_leaves_that_were_passed(late: Late) -> None:
    """The latest leaf of each stretch is known when its tree is verified."""
    assert await late.round() == set()
    late.write("", BOUNDS + "late_entries = 256\n")
    late.x509.add(100)
    append(late.x509, late.monitor.world.time_ms + 500)
    await late.grow(2_000)
    for _ in range(3):
        await late.round()
    assert halfway(late.monitor, late.x509) is None
    known = late.store.latest_leaf(late.x509.origin, 1_024)
    assert known is not None
    assert (known.size, known.index) == (1_024, 400)


async def test_a_monitor_that_stands_does_not_wait_between_two_stretches(bounded: Monitor) -> None:
    """However seldom the log is polled; and its loop ends between two of them when it is to."""
    followed = bounded.world.hk_x509
    await grow(followed, 2_000)
    bounded.stop()
    bounded.start()
    assert bounded.assembled is not None
    watch, stop, looks = bounded.watch(followed), Stop(), list[bool]()
    watch.poll_s = 86_400
    look = watch.look

    async def looked() -> list[Finding]:
        findings = await look()
        looks.append(watch.more)
        if len(looks) == 2 or not watch.more:
            stop.set()
        return findings

    watch.look = looked  # type: ignore[method-assign]
    await bounded.assembled.standing._look_loop(watch, stop)
    assert looks == [True, True]
    stop.clear()
    await bounded.assembled.standing._look_loop(watch, stop)
    assert looks == [True, True, True, False]
    assert max(bounded.cosigned(followed)) == (2_300, followed.root_at(2_300))


async def test_a_wrong_stop_that_somebody_else_gave_holds_up_nothing_and_is_charged_to_nobody(bounded: Monitor) -> None:
    """The log gives no tile for a while, one mirror lies where nobody shows hash tiles, and another comes later."""
    followed, outside = bounded.world.hk_x509, Elsewhere()
    bounded.world.outside = outside
    name(bounded, *(f'url = "http://out/{place}"\norigin = "{followed.origin}"' for place in ("lies", "tells")))
    await grow(followed, 1_000)
    outside.logs["lies"] = lies = await followed.branch(300, 1_000, "of another")
    lies.alter = without_hash_tiles
    followed.reply = lambda path: Reply(503, (), b"busy\n") if path.startswith("tile/") else None
    await bounded.once()
    stop = halfway(bounded, followed)
    assert stop is not None
    assert stop.goal == followed.size
    outside.logs["tells"] = await followed.branch(followed.size, 0)
    for _ in range(3):
        await bounded.once()
    assert bounded.store is not None
    verified = bounded.store.verified(followed.origin)
    assert verified is not None
    assert (verified.head.size, verified.head.root) == (followed.size, followed.root_at(followed.size))
    followed.reply = lambda _: None
    await bounded.once()
    assert evidence(bounded, followed.origin, Kind.UNREPRODUCIBLE) == []
