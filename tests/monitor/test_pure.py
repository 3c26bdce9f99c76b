"""The parts that only compute: verdicts on two heads, prefixes, rebuilding, the worst outcome."""

import dataclasses
from hashlib import sha256
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from log.errors import BadProof, Malformed
from log.evidence import objects as evidence
from log.evidence import prefix
from log.evidence.heads import Head, Kind, contradiction
from log.evidence.prefix import Prefix
from log.formats import jcs
from log.formats.family import TILES
from log.formats.note import KeyType
from log.merkle import proof
from log.merkle.frontier import Frontier
from log.merkle.hashing import EMPTY_ROOT, leaf_hash
from monitor import judge
from monitor.judge import Place
from monitor.limits import Limits
from monitor.outcome import Finding, Outcome, exit_code, worst
from monitor.rebuild import Rebuild
from monitor.rounds import Rounds
from tests.support.rfc6962 import mth


def rows(count: int, salt: str = "") -> list[bytes]:
    return [f"row {i}{salt}".encode() for i in range(count)]


def head(size: int, time_ms: int = 0, root: bytes = b"r", kind: KeyType = KeyType.TREE_HEAD) -> Head:
    return Head("o", size, root, ((kind, time_ms),), b"n", b"n")


def frontier(entries: list[bytes]) -> Frontier:
    made = Frontier.empty()
    made.extend(leaf_hash(row) for row in entries)
    return made


# --- judge ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "two", "kind"),
    [
        (head(5, 1), head(5, 2, b"s"), Kind.SAME_SIZE),
        (head(5, 1), head(5, 1, b"s"), Kind.SAME_SIZE),
        (head(5, 1), head(5, 2), None),
        (head(5, 1), head(6, 2), None),
        (head(5, 2), head(6, 1), Kind.ROLLBACK),
        (head(5, 2), head(6, 2), Kind.SAME_TIME),
        (head(5, 2000, kind=KeyType.COSIGNATURE), head(6, 2000, kind=KeyType.COSIGNATURE), None),
        (head(5, 3000, kind=KeyType.COSIGNATURE), head(6, 2000, kind=KeyType.COSIGNATURE), Kind.ROLLBACK),
        (head(5, 3000, kind=KeyType.COSIGNATURE), head(6, 2000), None),
    ],
)
def test_what_two_heads_prove_by_their_signatures_alone(one: Head, two: Head, kind: Kind | None) -> None:
    assert contradiction(one, two) is kind
    assert contradiction(two, one) is kind


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 2500)), min_size=2, max_size=30))
def test_an_honest_log_never_contradicts_itself_at_whatever_speed(steps: list[tuple[int, int]]) -> None:
    heads, size, time_ms = [], 0, 1_000
    for grown, passed in steps:
        size, time_ms = size + grown, time_ms + passed
        times = ((KeyType.COSIGNATURE, time_ms // 1000 * 1000), (KeyType.TREE_HEAD, time_ms))
        heads.append(Head("o", size, sha256(b"%d" % size).digest(), times, b"", b""))
    assert all(contradiction(one, two) is None for one in heads for two in heads)


def test_where_a_head_stands_against_the_one_we_hold() -> None:
    held = head(5, 10)
    assert judge.place(held, None) is Place.FIRST
    assert judge.place(head(6), held) is Place.LARGER
    assert judge.place(head(4), held) is Place.SMALLER
    assert judge.place(head(5, 10), held) is Place.SAME
    assert judge.place(head(5, 11), held) is Place.SAME
    assert judge.place(head(5, 9), held) is Place.OLDER
    assert judge.place(head(5, 11, b"s"), held) is Place.OTHER
    assert judge.place(dataclasses.replace(held, times=()), held) is Place.SAME


def test_the_worst_outcome_counts() -> None:
    order = [Outcome.PROVEN, Outcome.OWN, Outcome.UNVERIFIED, Outcome.UNREACHED, Outcome.VOUCHED]
    assert [int(outcome) for outcome in order] == [1, 3, 4, 2, 0]
    for i, outcome in enumerate(order):
        assert worst(reversed(order[i:])) is outcome
    assert worst([]) is Outcome.VOUCHED


def test_exit_codes_tell_tampering_identity_operational_and_degraded_apart() -> None:
    silent, lapsed = (Finding(Outcome.UNREACHED, "hk", code, "") for code in ("witness-silent", "not-cross-witnessed"))
    fork, own, garbled = (
        Finding(outcome, "hk", "x", "") for outcome in (Outcome.PROVEN, Outcome.OWN, Outcome.UNVERIFIED)
    )
    assert exit_code([], identity=False) == 0
    assert exit_code([silent], identity=False) == 2
    assert exit_code([silent, lapsed], identity=False) == 6
    assert exit_code([silent, lapsed], identity=True) == 5
    assert [exit_code([silent, lapsed, each], identity=True) for each in (fork, own, garbled)] == [1, 3, 4]


# --- prefix -----------------------------------------------------------------------------------------------------


def span_hashes(old: int, entries: list[bytes]) -> list[bytes]:
    left, right = prefix.cover(old, len(entries))
    return [mth(entries[span.start : span.end]) for span in (*left, *right)]


@given(st.data(), st.integers(1, 90))
def test_a_prefix_is_told_from_another_tree_and_a_wrong_hash_frames_nobody(data: st.DataObject, size: int) -> None:
    old = data.draw(st.integers(0, size))
    entries = rows(size)
    root, old_root = mth(entries), mth(entries[:old])
    hashes = span_hashes(old, entries)
    left, right = prefix.spans(old, size)
    assert prefix.gather(old, size, [mth(entries[span.start : span.end]) for span in (*left, *right)]) == hashes
    assert prefix.compare(old, size, old_root, root, hashes) is Prefix.SAME
    assert prefix.compare(old, size, mth(rows(old, "!")) if old else b"x" * 32, root, hashes) is Prefix.OTHER
    wrong = data.draw(st.integers(0, len(hashes) - 1))
    hashes[wrong] = bytes([hashes[wrong][0] ^ 1]) + hashes[wrong][1:]
    with pytest.raises(BadProof):
        prefix.compare(old, size, old_root, root, hashes)


def test_a_proof_has_no_hash_more_and_no_fewer() -> None:
    entries = rows(11)
    hashes = span_hashes(5, entries)
    for wrong in (hashes[1:], hashes[:-1], [*hashes, bytes(32)], [], [*hashes[:-1], hashes[-1][:-1]]):
        with pytest.raises(BadProof):
            prefix.compare(5, 11, mth(entries[:5]), mth(entries), wrong)


@given(st.integers(0, 3000), st.integers(0, 3000))
def test_spans_cover_both_sides_in_perfect_subtrees(old: int, more: int) -> None:
    left, right = prefix.spans(old, old + more)
    at = 0
    for span in (*left, *right):
        width = span.end - span.start
        assert span.start == at
        assert width.bit_count() == 1
        assert span.start % width == 0
        at = span.end
    assert at == old + more
    assert sum(span.end - span.start for span in left) == old


# --- rebuild ----------------------------------------------------------------------------------------------------


@given(st.data(), st.integers(0, 700), st.integers(1, 700), st.integers(1, 300))
def test_a_rebuilt_tree_has_root_milestones_and_proof(data: st.DataObject, old: int, more: int, chunk: int) -> None:
    size = old + more
    stops = data.draw(st.lists(st.integers(0, size + 5), max_size=5))
    entries = rows(size)
    sought = data.draw(st.integers(old, size - 1))
    rebuild = Rebuild(frontier(entries[:old]), size, stops, TILES, sought=sought)
    at = old // 256 * 256
    while rebuild.missing:
        end = min(size, max(at // 256 * 256 + 256, at + chunk))
        rebuild.feed(at, entries[at:end])
        at = end
    grown = rebuild.finish()
    assert grown.root == frontier(entries).root() == grown.frontier.root()
    assert grown.roots == {stop: frontier(entries[:stop]).root() for stop in stops if old < stop <= size}
    leaf = leaf_hash(TILES.leaf_input(entries[sought]))
    proof.verify_inclusion(sought, size, leaf, grown.inclusion, grown.root)
    if old == 0:
        assert grown.proof == ()
    else:
        proof.verify_consistency(old, size, frontier(entries[:old]).root(), grown.root, grown.proof)


@given(st.integers(0, 400), st.integers(1, 400), st.integers(1, 90), st.lists(st.integers(0, 800), max_size=3))
def test_the_latest_leaf_is_noted_where_it_is_asked_for_and_at_every_so_many(
    old: int, more: int, every: int, stops: list[int]
) -> None:
    size, entries = old + more, rows(old + more)
    times = [(7 * i) % 31 for i in range(size)]
    time_of = dict(zip(entries, times, strict=True)).__getitem__
    timed = dataclasses.replace(TILES, unpack=lambda some: (TILES.unpack(some)[0], list(map(time_of, some)), set()))
    rebuild = Rebuild(frontier(entries[:old]), size, stops, timed, every)
    rebuild.feed(old // 256 * 256, entries[old // 256 * 256 :])
    grown = rebuild.finish()
    asked = {stop for stop in stops if old < stop <= size} | {size}
    best = {stop: max(range(old, stop), key=times.__getitem__) for stop in range(old + 1, size + 1)}
    assert {stop: leaf.index for stop, leaf in grown.latest.items()} == {stop: best[stop] for stop in asked}
    assert all(leaf.leaf == entries[leaf.index] for leaf in grown.latest.values())
    passed = asked | {stop for stop in range(old + 1, size + 1) if stop % every == 0}
    assert grown.times == {stop: (times[best[stop]], best[stop]) for stop in passed}


@given(st.integers(1, 600), st.data())
def test_a_changed_row_below_the_frontier_is_seen_when_its_tile_comes_again(old: int, data: st.DataObject) -> None:
    start = old // 256 * 256
    if start == old:
        return
    entries = rows(old + 3)
    rebuild = Rebuild(frontier(entries[:old]), old + 3, [], TILES)
    entries[data.draw(st.integers(start, old - 1))] += b"!"
    with pytest.raises(BadProof):
        rebuild.feed(start, entries[start:])


def test_an_empty_frontier_is_the_empty_tree() -> None:
    assert Rebuild(Frontier.empty(), 0, [], TILES).finish().root == EMPTY_ROOT


# --- evidence ---------------------------------------------------------------------------------------------------


def test_evidence_is_checked_for_what_it_claims() -> None:
    entries = rows(11)
    small = Head("o", 5, mth(rows(5, "!")), (), b"small\n", b"")
    large = Head("o", 11, mth(entries), (), b"large\n", b"")
    notes = {each.note: each for each in (small, large)}
    data = evidence.encode(Kind.CROSS_SIZE, "o", (), (large, small), span_hashes(5, entries))
    assert evidence.check(data, notes.__getitem__) is Kind.CROSS_SIZE
    assert data == evidence.encode(Kind.CROSS_SIZE, "o", (), (small, large), span_hashes(5, entries))

    value = jcs.parse(data)
    assert isinstance(value, dict)
    with pytest.raises(BadProof):
        evidence.check(jcs.encode(value | {"kind": "E1", "proof": None}), notes.__getitem__)
    with pytest.raises(Malformed):
        evidence.check(jcs.encode(value | {"proof": None}), notes.__getitem__)
    with pytest.raises(Malformed):
        evidence.check(jcs.encode(value | {"more": 1}), notes.__getitem__)
    honest = dataclasses.replace(small, root=mth(entries[:5]))
    with pytest.raises(BadProof):
        evidence.check(data, {small.note: honest, large.note: large}.__getitem__)


async def test_what_a_look_found_that_stopped_on_the_way_is_found_by_the_round() -> None:
    behind = Finding(Outcome.UNREACHED, "hk", "behind", "further than one look goes")
    lie = Finding(Outcome.PROVEN, "hk", "late", "told once")
    looks = [([behind, lie], True), ([behind], True), ([], False)]

    class Long:
        more = False

        async def look(self) -> list[Finding]:
            found, self.more = looks.pop(0)
            return found

    rounds: Any = SimpleNamespace(_limits=Limits(round_looks=9))
    watch: Any = Long()
    assert await Rounds._look(rounds, watch) == [lie]
    assert looks == []
