"""A leaf later than its head, a witness on both sides, data that lead nowhere: found in the look that meets them."""

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from log.errors import NotFound
from log.evidence.check import Pinned, Verdict, check
from log.evidence.heads import Kind
from log.formats.family import TILES
from log.formats.identity import Identity
from log.formats.tile_leaf import LEAF_HEADER
from log.merkle.hashing import HASH_SIZE, leaf_hash
from monitor.charges import apart
from monitor.outcome import Outcome
from monitor.store import AGREED, OPEN, REFUTED, Evidence, Vouched
from tests.monitor.conftest import Monitor
from tests.monitor.honest import grow, healthy
from tests.support.lying_log import Fault, LyingLog


class Mirror:
    """A reader of a log's rows and tiles at another place."""

    def __init__(self, log: LyingLog) -> None:
        self._log = log

    async def checkpoint(self) -> bytes:
        return self._log.note

    async def witnessed(self) -> bytes | None:
        return None

    async def entries(self, start: int, end: int, size: int) -> list[bytes]:
        return self._log.rows[start:end]

    async def hashes(self, level: int, start: int, end: int, size: int) -> bytes:
        found = self._log.hashes(level)[HASH_SIZE * start : HASH_SIZE * end]
        if len(found) != HASH_SIZE * (end - start):
            raise NotFound("beyond its tree")
        return found

    async def blob(self, digest: bytes) -> bytes | None:
        return None


def evidence(monitor: Monitor, subject: str, kind: Kind) -> list[Evidence]:
    assert monitor.store is not None
    return [each for each in monitor.store.evidence(subject) if each.kind is kind]


def judge(monitor: Monitor, found: Evidence) -> Verdict:
    """Check an object as a stranger does."""
    logs = [Identity.make(each.origin, each.vkeys) for each in monitor.world.logs]
    verdict = check(found.object, Pinned(logs, [node.witness.signer.vkey for node in monitor.world.nodes]))
    assert verdict.kind is found.kind
    assert verdict.subject == found.origin
    return verdict


def append(followed: LyingLog, time_ms: int, count: int = 1) -> None:
    """Append entries of this time."""
    for i in range(followed.size, followed.size + count):
        placed = followed.family.place(followed._parts(i, "late"), i, time_ms)
        followed._append([placed.row], [leaf_hash(placed.leaf)])


# --- E6 -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["hk_x509", "hk_governance"])
async def test_a_leaf_later_than_its_head_is_proven_at_once_and_that_head_never_cosigned(
    monitor: Monitor, name: str
) -> None:
    followed: LyingLog = getattr(monitor.world, name)
    await healthy(monitor)
    followed.add(3)
    append(followed, monitor.world.time_ms + 6_000)
    followed.add(300)
    await followed.sign()
    for _ in range(2):
        outcome, findings = await monitor.once()
        assert outcome is Outcome.PROVEN, findings
        [found] = evidence(monitor, followed.origin, Kind.TIME_LIE)
        assert judge(monitor, found).proven
        assert followed.size not in {size for size, _ in monitor.cosigned(followed)}
    assert monitor.store is not None
    assert [kept.alert.code for kept in monitor.store.alerts()].count("time-lie") == 1
    monitor.world.time_ms += 60_000
    await grow(followed)
    await healthy(monitor)
    assert followed.size in {size for size, _ in monitor.cosigned(followed)}


async def test_a_leaf_of_the_second_of_its_head_is_no_lie(monitor: Monitor) -> None:
    followed = monitor.world.hk_governance  # its heads have whole seconds only
    await healthy(monitor)
    append(followed, monitor.world.time_ms // 1000 * 1000 + 999)
    await followed.sign(time_ms=monitor.world.time_ms // 1000 * 1000)
    await healthy(monitor)


async def test_a_lying_head_that_only_a_witness_shows_is_proven_when_the_way_there_is_rebuilt(monitor: Monitor) -> None:
    followed = monitor.world.hk_x509
    await healthy(monitor)
    append(followed, monitor.world.time_ms + 5_000)
    await monitor.world.gd.witness.cosign(await followed.sign())
    monitor.world.time_ms += 10_000
    await grow(followed)
    outcome, findings = await monitor.once()
    assert outcome is Outcome.PROVEN, findings
    [found] = evidence(monitor, followed.origin, Kind.TIME_LIE)
    assert judge(monitor, found).proven
    assert monitor.held(followed)[0] is not None


@pytest.mark.parametrize("at", [0, 5, 300])
async def test_a_time_lie_is_proven_by_the_entries_where_nobody_has_the_hash_tiles(monitor: Monitor, at: int) -> None:
    """Whoever withholds them has his head convicted all the same, and the log is followed on."""
    followed = monitor.world.hk_x509
    await healthy(monitor)
    followed.add(at)
    append(followed, monitor.world.time_ms + 5_000)
    followed.add(300 - at)
    await followed.sign()
    followed.fault = Fault.HASH_FLIP
    outcome, findings = await monitor.once()
    assert outcome is Outcome.PROVEN, findings
    [found] = evidence(monitor, followed.origin, Kind.TIME_LIE)
    assert judge(monitor, found).proven
    assert monitor.store is not None
    verified = monitor.store.verified(followed.origin)
    assert verified is not None
    assert (verified.head.size, verified.head.root) == (followed.size, followed.root_at(followed.size))


async def test_a_time_lie_that_neither_tiles_nor_entries_prove_moves_nothing_until_somebody_has_them(
    monitor: Monitor,
) -> None:
    """The entries come once, and not again."""
    followed = monitor.world.hk_x509
    await healthy(monitor)
    held = monitor.held(followed)
    append(followed, monitor.world.time_ms + 5_000)
    await followed.sign()
    asked = []

    def once(path: str, answer: bytes | None) -> bytes | None:
        if not path.startswith("tile/"):
            return answer
        asked.append(path)
        return answer if path.startswith("tile/data") and asked.count(path) == 1 else None

    followed.alter = once
    _, findings = await monitor.once()
    assert [each.outcome for each in findings if each.code == "data"] == [Outcome.UNVERIFIED], findings
    assert monitor.held(followed) == held
    mirror = Mirror(followed)
    monitor.further = lambda origin: [mirror] if origin == followed.origin else []
    followed.alter = lambda path, answer: answer if path.startswith("tile/data") else once(path, answer)
    outcome, findings = await monitor.once()
    assert outcome is Outcome.PROVEN, findings
    assert len(evidence(monitor, followed.origin, Kind.TIME_LIE)) == 1


async def test_entries_of_any_bytes_tell_no_time(monitor: Monitor) -> None:
    monitor.start()
    followed = monitor.watch(monitor.world.hk_x509).log
    looks_late = LEAF_HEADER + b"\x7f" * 8
    assert followed.leaf_time_ms is not None
    assert followed.leaf_time_ms(looks_late) > monitor.world.time_ms
    assert followed.leaf_time_ms(b"none") == 0
    assert replace(followed, family=TILES).leaf_time_ms is None


# --- E7 -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("more", "grown"), [(100, 0), (90, 0), (150, 200), (150, 0)])
async def test_a_witness_that_cosigned_both_sides_of_a_fork_is_proven_to_lie(
    monitor: Monitor, more: int, grown: int
) -> None:
    world, honest = monitor.world, monitor.world.hk_x509
    await healthy(monitor)
    witness = world.gd.witness
    fork = await honest.branch(200, more)
    await witness.cosign(fork.note)
    if grown:
        world.time_ms += 2_000
        await grow(honest, grown)
    mirror = Mirror(fork)
    monitor.further = lambda origin: [mirror] if origin == honest.origin else []
    outcome, findings = await monitor.once()
    assert outcome is Outcome.PROVEN
    name = witness.signer.vkey.name
    assert [finding.subject for finding in findings if finding.code == "witness-lied"] == [name]
    [found] = evidence(monitor, name, Kind.COSIGNED_BOTH)
    assert judge(monitor, found).proven
    _, findings = await monitor.once()
    assert "witness-lied" not in {finding.code for finding in findings}, "it is said once"
    assert evidence(monitor, name, Kind.COSIGNED_BOTH) == [found]


async def test_a_witness_that_saw_one_side_only_has_not_lied(monitor: Monitor) -> None:
    """It stood at 300, which is on both sides, and followed the other branch from there."""
    world, honest = monitor.world, monitor.world.hk_x509
    await healthy(monitor)
    await grow(honest, 20)
    world.time_ms += 2_000
    fork = await honest.branch(300, 50)
    await world.gd.witness.cosign(fork.note)
    mirror = Mirror(fork)
    monitor.further = lambda origin: [mirror] if origin == honest.origin else []
    for _ in range(2):
        outcome, findings = await monitor.once()
        assert outcome is not Outcome.VOUCHED, findings
    assert [each.kind for each in evidence(monitor, honest.origin, Kind.CROSS_SIZE)] == [Kind.CROSS_SIZE]
    assert evidence(monitor, world.gd.witness.signer.vkey.name, Kind.COSIGNED_BOTH) == []


async def test_of_what_a_witness_vouched_for_truly_only_the_largest_tree_is_kept(monitor: Monitor) -> None:
    followed = monitor.world.hk_x509
    for _ in range(4):
        await healthy(monitor)
        await grow(followed)
    await healthy(monitor)
    assert monitor.store is not None
    kept = monitor.store.vouchings(followed.origin)
    assert len({witness for witness, _, _ in kept}) == len(kept) == 2, "another witness, and we"
    assert max(vouched.size for _, vouched, _ in kept) == followed.size


class Size(int):
    """A size that counts how often it was compared."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        Size.compared += 1
        return int(self) == other

    def __lt__(self, other: int) -> bool:
        Size.compared += 1
        return int(self) < other

    __hash__ = int.__hash__


def vouched(*heads: tuple[int, int, str]) -> list[tuple[Vouched, str]]:
    """Return what a witness vouched for: size, number of the root, what became of it."""
    return [(Vouched(Size(size), bytes([root]), 1, b""), state) for size, root, state in sorted(heads)]


def test_what_a_witness_vouched_for_is_paired_in_few_comparisons() -> None:
    """However many heads of another branch it has cosigned: pairs and comparisons do not grow as their square."""
    count = 4_096
    kept = vouched(
        *((2 * i, 1, REFUTED) for i in range(1, count)),
        *((2 * i + 1, 0, AGREED) for i in range(1, count)),
        *((2 * count, root, OPEN) for root in range(200)),
    )
    Size.compared = 0
    pairs = list(apart(kept))
    assert len(pairs) == count - 1 + 199
    assert Size.compared <= len(kept) * (1 + 2 * 14)


@given(
    st.dictionaries(
        st.tuples(st.integers(0, 9), st.integers(0, 2)), st.sampled_from([AGREED, REFUTED, OPEN]), max_size=12
    )
)
def test_every_head_that_excludes_another_is_in_a_pair(states: dict[tuple[int, int], str]) -> None:
    """The definition: of one size and two roots, or of two sizes, one on our branch and the other refuted."""
    ours = {size: root for (size, root), state in states.items() if state == AGREED}
    kept = vouched(*((*head, s) for head, s in states.items() if s != AGREED or ours[head[0]] == head[1]))
    every = set()
    for (one, state), (two, other) in product(kept, kept):
        same_size = int(one.size) == int(two.size) and one.root < two.root
        if same_size or (int(one.size) < int(two.size) and {state, other} == {AGREED, REFUTED}):
            every.add((one, two))
    found = set(apart(kept))
    assert found <= every
    refuted = {each for each, state in kept if state == REFUTED}
    of_one_size = {each for pair in every if pair[0].size == pair[1].size for each in pair}
    must = of_one_size | {each for pair in every for each in pair if each in refuted}
    assert {each for pair in found for each in pair} >= must


# --- E8 -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "place"),
    [
        (Fault.FLIP, "tile/data/001.p/51 entry 281"),
        (Fault.TILE_SIZE, "tile/data/001.p/51"),
        ("withheld", "tile/data/001.p/51"),
        ("hash", "tile/0/001.p/51 + tile/1/000.p/1"),  # of the edge any may be what does not lead to the root
    ],
)
async def test_what_leads_nowhere_is_kept_once_with_its_place(
    monitor: Monitor, fault: Fault | str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    followed = monitor.world.hk_x509
    await healthy(monitor)
    held = monitor.held(followed)
    await grow(followed)
    if isinstance(fault, Fault):
        followed.fault = fault
    else:
        rows = list(followed.rows)
        if fault == "hash":  # entry and hash are both wrong, and agree with nothing that was signed
            rows[305] = followed.family.place(followed._parts(305, "other"), 305, 1).row
            followed.fault = Fault.HASH_FLIP
        monkeypatch.setattr(followed, "_entries", lambda n, width: served(followed, rows, n, width, fault))
    for _ in range(2):
        outcome, findings = await monitor.once()
        assert outcome is Outcome.UNVERIFIED, findings
        assert monitor.held(followed) == held
    [found] = evidence(monitor, followed.origin, Kind.UNREPRODUCIBLE)
    verdict = judge(monitor, found)
    assert not verdict.proven
    assert f" at {place} " in verdict.text
    assert {each.evidence for each in findings if each.code == "data"} == {found.id.hex()}
    followed.fault = None
    monkeypatch.undo()
    await healthy(monitor)


def served(followed: LyingLog, rows: list[bytes], n: int, width: int, fault: str) -> bytes | None:
    return None if fault == "withheld" else followed.family.join(rows[n * 256 : n * 256 + width])


async def test_data_spoiled_on_the_way_crowd_out_no_proof(monitor: Monitor) -> None:
    world, followed = monitor.world, monitor.world.hk_x509
    monitor.path.write_text(monitor.path.read_text() + "evidence_per_log = 1\nunproven_per_log = 2\n")
    await healthy(monitor)
    for _ in range(3):
        await grow(followed)
        followed.fault = Fault.FLIP
        await monitor.once()
    assert len(evidence(monitor, followed.origin, Kind.UNREPRODUCIBLE)) == 2
    followed.fault = None
    world.hk.logs["x509"] = await followed.branch(200, followed.size - 200)
    outcome, _ = await monitor.once()
    assert outcome is Outcome.PROVEN
    assert len(evidence(monitor, followed.origin, Kind.SAME_SIZE)) == 1


# --- heads that no data settle --------------------------------------------------------------------------------


async def test_a_larger_fork_is_proven_with_the_tiles_of_anybody(monitor: Monitor) -> None:
    world, honest = monitor.world, monitor.world.hk_x509
    await healthy(monitor)
    fork = await honest.branch(200, 150)
    await world.gd.witness.cosign(fork.note)
    since = world.time_ms + 1_000
    outcome, findings = await monitor.once()
    assert outcome is Outcome.UNVERIFIED
    assert "unreconciled" in {finding.code for finding in findings}
    assert monitor.store is not None
    [waiting] = monitor.store.unsettled(honest.origin, 9)
    assert (waiting.head.size, waiting.since_ms) == (350, since)
    assert waiting.source == f"witness {world.gd.witness.signer.vkey.name}"

    spoiled, mirror = Mirror(honest), Mirror(fork)
    monitor.further = lambda origin: [spoiled, mirror] if origin == honest.origin else []
    outcome, findings = await monitor.once()
    assert outcome is Outcome.PROVEN, findings
    [found] = evidence(monitor, honest.origin, Kind.CROSS_SIZE)
    assert judge(monitor, found).proven
    assert monitor.store is not None
    assert monitor.store.unsettled(honest.origin, 9) == []


async def test_a_larger_head_that_is_true_stays_open_until_the_log_serves_it(monitor: Monitor) -> None:
    world, honest = monitor.world, monitor.world.hk_x509
    await healthy(monitor)
    ahead = await honest.branch(300, 50)
    await world.gd.witness.cosign(ahead.note)
    mirror = Mirror(ahead)
    monitor.further = lambda origin: [mirror] if origin == honest.origin else []
    for _ in range(2):
        outcome, findings = await monitor.once()
        assert outcome is Outcome.UNVERIFIED
        assert "unreconciled" in {finding.code for finding in findings}
        assert evidence(monitor, honest.origin, Kind.CROSS_SIZE) == []
    world.hk.logs["x509"] = ahead
    await healthy(monitor)
